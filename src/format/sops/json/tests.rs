//! Errors of JSON texts, and how changes are laid out.

#![allow(clippy::disallowed_methods, reason = "a test looks at what it made")]

use super::{print, read, set, splice, unset};
use crate::format::sops::store::{MetadataEdit, Step};
use crate::format::sops::tree::{Leaf, List, ListItem, Map, Node, Value};
use crate::plaintext::Plaintext;

fn text(text: &str) -> Plaintext {
    Plaintext::copy_of(text.as_bytes())
}

fn shown(text: &Plaintext) -> String {
    String::from_utf8(text.expose().to_vec()).unwrap()
}

fn way(keys: &[&str]) -> Vec<Step> {
    let step = |key: &&str| match key.parse() {
        Ok(index) => Step::Index(index),
        Err(_) => Step::Key((*key).to_owned()),
    };
    keys.iter().map(step).collect()
}

fn x() -> Node {
    Node::Leaf(Leaf::text("x"))
}

#[test]
fn errors_have_a_place_and_no_text() {
    for (json, error) in [
        ("", "line 1, column 1: the text ends here, in the middle"),
        ("[1]", "line 1, column 1: the whole is to be one object, `{…}`"),
        ("{\"a\":1}\n x", "line 2, column 2: text behind the end of the document"),
        ("{\"a\":1,}", "line 1, column 8: a key in quotes is missing here"),
        ("{\"a\" 1}", "line 1, column 6: `:` is missing here"),
        ("{\"a\":1 2}", "line 1, column 8: `,` or `}` is missing here"),
        ("{\"a\":[1 2]}", "line 1, column 9: `,` or `]` is missing here"),
        ("{\"a\":secret}", "line 1, column 6: a value is missing here"),
        ("{\"a\":\"é\\x\"}", "line 1, column 9: an escape that JSON does not have"),
        ("{\"a\":\"\\ud8g0\"}", "line 1, column 11: an escape that JSON does not have"),
        ("{\"a\":\"\n\"}", "line 1, column 7: a control character in a string"),
        ("{\"a\":\"\0\"}", "line 1, column 7: a control character in a string"),
        ("{\"a\":01}", "line 1, column 7: `,` or `}` is missing here"),
        ("{\"a\":-}", "line 1, column 7: not a number of JSON"),
        ("{\"a\":1e400}", "line 1, column 6: a number too large"),
        ("{\"a\":", "line 1, column 6: the text ends here, in the middle"),
        ("\u{feff}{}", "line 1, column 1: JSON does not begin with a byte order mark"),
        ("{\"sops\":1}", "line 1, column 2: `sops` is no object"),
        ("{\"sops\":{},\"sops\":{}}", "line 1, column 12: `sops` stands there twice"),
    ] {
        assert_eq!(read(&text(json)).unwrap_err().to_string(), error, "{json:?}");
    }
    let wrong = Plaintext::copy_of(b"{\"a\":\"x\xFFy\"}");
    assert_eq!(read(&wrong).unwrap_err().to_string(), "line 1, column 8: not UTF-8");
}

#[test]
fn ten_thousand_levels_are_an_error() {
    for opening in ["{\"a\":", "["] {
        let deep = format!("{{\"b\":{}", opening.repeat(10_000));
        assert_eq!(read(&text(&deep)).unwrap_err().what, "too many levels");
    }
    let fits = format!("{{\"a\":{}{}}}", "[".repeat(255), "]".repeat(255));
    assert!(read(&text(&fits)).is_ok());
    let too_deep = format!("{{\"a\":{}{}}}", "[".repeat(256), "]".repeat(256));
    assert!(read(&text(&too_deep)).is_err());
}

#[test]
fn text_behind_an_encrypted_document_is_passed_over_as_in_sops() {
    let tree = read(&text("{\"a\":1,\"sops\":{\"mac\":\"m\"}} garbage")).unwrap();
    assert!(tree.documents[0].metadata.is_some());
}

#[test]
fn metadata_goes_with_its_comma() {
    for (with, without) in [
        ("{\"a\":1,\"sops\":{}}", "{\"a\":1}"),
        ("{\"sops\":{},\"a\":1}", "{\"a\":1}"),
        ("{\"a\":1, \"sops\" : {} , \"b\":2}", "{\"a\":1 , \"b\":2}"),
        ("{\n\t\"sops\": {\n\t}\n}\n", "{}\n"),
        ("{\n\t\"a\": 1,\n\t\"sops\": {}\n}\n", "{\n\t\"a\": 1\n}\n"),
    ] {
        let json = text(with);
        let tree = read(&json).unwrap();
        let removed = splice(&json, &tree, MetadataEdit::Remove).unwrap();
        assert_eq!(shown(&removed), without);
        let span = tree.documents[0].metadata_span.clone().unwrap();
        assert_eq!([&with[..span.start], &with[span.end..]].concat(), without);
    }
}

#[test]
fn what_no_mac_covers_goes_with_the_metadata() {
    let json = text("{\"a\":1,\"sops\":{}}\n{\"a\":2}\n");
    let tree = read(&json).unwrap();
    assert!(tree.documents[0].passed_over);
    assert_eq!(shown(&splice(&json, &tree, MetadataEdit::Remove).unwrap()), "{\"a\":1}");
    let json = text("{\"a\":1,\"sops\":{}}\n");
    assert!(!read(&json).unwrap().documents[0].passed_over);
}

#[test]
fn metadata_is_laid_out_as_what_stands_beside_it() {
    let mut metadata = Map::default();
    metadata.push("mac", x());
    for (json, expected) in [
        ("{}", "{\n\t\"sops\": {\n\t\t\"mac\": \"x\"\n\t}\n}"),
        ("{\"a\":1}", "{\"a\":1,\"sops\":{\"mac\":\"x\"}}"),
        ("{\"a\": 1, \"b\": 2}", "{\"a\": 1, \"b\": 2, \"sops\": {\"mac\": \"x\"}}"),
        ("{\n  \"a\": 1\n}\n", "{\n  \"a\": 1,\n  \"sops\": {\n    \"mac\": \"x\"\n  }\n}\n"),
        (
            "{\r\n\t\"a\": 1\r\n}",
            "{\r\n\t\"a\": 1,\r\n\t\"sops\": {\r\n\t\t\"mac\": \"x\"\r\n\t}\r\n}",
        ),
        (
            "{\n  \"sops\": {\"mac\": \"y\"},\n  \"a\": 1\n}",
            "{\n  \"sops\": {\n    \"mac\": \"x\"\n  },\n  \"a\": 1\n}",
        ),
    ] {
        let json = text(json);
        let tree = read(&json).unwrap();
        let put = splice(&json, &tree, MetadataEdit::Put(&metadata)).unwrap();
        assert_eq!(shown(&put), expected);
    }
}

#[test]
fn values_are_set_in_place() {
    for (json, keys, expected) in [
        ("{\"a\":1}", &["a"][..], "{\"a\":\"x\"}"),
        ("{\"a\":1}", &["b"], "{\"a\":1,\"b\":\"x\"}"),
        ("{ \"a\": 1 }", &["b"], "{ \"a\": 1, \"b\": \"x\" }"),
        ("{\"a\":[1,2]}", &["a", "1"], "{\"a\":[1,\"x\"]}"),
        ("{\"a\":[1,2]}", &["a", "7"], "{\"a\":[1,2,\"x\"]}"),
        ("{\"a\":{}}", &["a", "b", "0"], "{\"a\":{\"b\":[\"x\"]}}"),
        ("{}", &["a"], "{\n\t\"a\": \"x\"\n}"),
        (
            "{\n  \"a\": {}\n}\n",
            &["a", "b", "c"],
            "{\n  \"a\": {\n    \"b\": {\n      \"c\": \"x\"\n    }\n  }\n}\n",
        ),
        ("{\n  \"a\": [\n    1\n  ]\n}", &["a", "1"], "{\n  \"a\": [\n    1,\n    \"x\"\n  ]\n}"),
        ("{\n  \"a\": [1, 2]\n}", &["a", "2"], "{\n  \"a\": [1, 2, \"x\"]\n}"),
        ("{\"a\":1,\"a\":2}", &["a"], "{\"a\":\"x\",\"a\":2}"),
    ] {
        assert_eq!(shown(&set(&text(json), &way(keys), &x()).unwrap()), expected);
    }
    let mut map = Map::default();
    map.push("k", Node::List(List { items: vec![ListItem::Value(x())] }));
    let set = set(&text("{\n\t\"a\": 1\n}"), &way(&["a"]), &Node::Map(map)).unwrap();
    assert_eq!(shown(&set), "{\n\t\"a\": {\n\t\t\"k\": [\n\t\t\t\"x\"\n\t\t]\n\t}\n}");
}

#[test]
fn ways_that_lead_nowhere_are_refused() {
    for (keys, error) in [
        (&["a", "b"][..], "`[\"a\"][\"b\"]`: the way leads through a single value"),
        (&["l", "b"], "`[\"l\"][\"b\"]`: the way has a key where the text has a list"),
        (&["0"], "`[0]`: the way has a number where the text has an object"),
        (&["sops", "mac"], "`[\"sops\"][\"mac\"]`: this key is for the metadata"),
        (&[], "a way with a key is needed"),
    ] {
        let error_of = set(&text("{\"a\":1,\"l\":[]}"), &way(keys), &x()).unwrap_err();
        assert_eq!(error_of.to_string(), error);
    }
}

#[test]
fn values_are_removed_with_their_comma() {
    for (json, keys, expected) in [
        ("{\"a\":1,\"b\":2}", &["a"][..], Some("{\"b\":2}")),
        ("{\n  \"a\": 1,\n  \"b\": 2\n}", &["b"], Some("{\n  \"a\": 1\n}")),
        ("{\"a\":[1,2,3]}", &["a", "1"], Some("{\"a\":[1,3]}")),
        ("{\"a\":[1]}", &["a", "0"], Some("{\"a\":[]}")),
        ("{\"a\":[1]}", &["a", "1"], None),
        ("{\"a\":[1]}", &["b", "c"], None),
    ] {
        let removed = unset(&text(json), &way(keys)).unwrap();
        assert_eq!(removed.as_ref().map(shown).as_deref(), expected);
    }
    assert!(unset(&text("{\"a\":1}"), &way(&["a", "b"])).is_err());
}

#[test]
fn what_json_has_no_number_for_is_refused() {
    let float = |digits: &str| Node::Leaf(Leaf::new(Value::Float(text(digits))));
    for (digits, expected) in [("0x1p4", Some("16")), ("1_0.5", Some("10.5")), ("inf", None)] {
        let mut tree = read(&text("{}")).unwrap();
        tree.documents[0].root.push("a", float(digits));
        let printed = print(&tree, None, Some(0)).ok();
        let expected = expected.map(|digits| format!("{{\n\"a\": {digits}\n}}\n"));
        assert_eq!(printed.as_ref().map(shown), expected);
    }
}
