//! Errors of INI texts, and what changes leave of them.

#![allow(clippy::disallowed_methods, reason = "a test looks at what it made")]

use super::{read, set, splice, unset};
use crate::format::sops::store::{MetadataEdit, Step};
use crate::format::sops::tree::{Leaf, Map, MapItem, Node, Write};
use crate::plaintext::Plaintext;

fn text(text: &str) -> Plaintext {
    Plaintext::copy_of(text.as_bytes())
}

fn shown(text: &Plaintext) -> String {
    String::from_utf8(text.expose().to_vec()).unwrap()
}

fn way(keys: &[&str]) -> Vec<Step> {
    keys.iter().map(|key| Step::Key((*key).to_owned())).collect()
}

fn mac() -> Map {
    let mut map = Map::default();
    map.push("mac", Node::Leaf(Leaf::text("m")));
    map
}

#[test]
fn errors_name_the_line_and_not_its_text() {
    for (ini, error) in [
        ("a = 1\nsecret", "line 2: a line without `=`"),
        ("[secret", "line 1: a header without `]`"),
        ("[]", "line 1: a header without a name"),
        ("= secret", "line 1: a line without a key"),
        ("`secret = 1", "line 1: a key whose quote does not end"),
        ("\n\na = `secret\nmore", "line 3: a value whose quote does not end"),
        ("a = \"\"\"secret\n", "line 1: a value whose quote does not end"),
        ("- = 1", "line 1: the key `-`, which sops encrypts so that nothing decrypts it"),
        ("[sops]\na = 1\n[sops]\n", "line 3: the section `sops` stands there twice"),
        ("[sops]\na__list_1 = 1\n", "line 1: a list of the metadata is not whole"),
    ] {
        assert_eq!(read(&text(ini)).unwrap_err().to_string(), error, "{ini:?}");
    }
    assert!(read(&Plaintext::copy_of(b"\xFF = 1")).is_err());
}

#[test]
fn metadata_has_line_breaks_of_both_kinds() {
    for enc in ["a\\nb\\n", "\"\"\"a\nb\n\"\"\""] {
        let ini = format!("k = v\n\n[sops]\nage__list_0__map_enc = {enc}\nmac = m\n");
        let tree = read(&text(&ini)).unwrap();
        let Some(Node::List(age)) = tree.documents[0].metadata.as_ref().unwrap().find("age") else {
            panic!("no list");
        };
        let Some(Node::Map(first)) = age.values().next() else { panic!("no map") };
        let Some(Node::Leaf(leaf)) = first.find("enc") else { panic!("no value") };
        assert_eq!(shown(&crate::format::sops::convert::to_text(&leaf.value)), "a\nb\n");
        let removed = splice(&text(&ini), &tree, MetadataEdit::Remove).unwrap();
        assert_eq!(shown(&removed), "k = v\n");
        assert_eq!(&ini[tree.documents[0].metadata_span.clone().unwrap()], &ini[6..]);
    }
}

#[test]
fn what_no_mac_covers_goes_with_the_metadata() {
    let ini = text("[a] evil = 3\npw = 2\n# a comment\npw = 1\n\n[sops]\nmac = x\n");
    let tree = read(&ini).unwrap();
    assert!(tree.documents[0].passed_over);
    let removed = shown(&splice(&ini, &tree, MetadataEdit::Remove).unwrap());
    assert!(removed.contains("pw = 1") && removed.contains("# a comment"), "{removed}");
    assert!(!removed.contains("pw = 2") && !removed.contains("evil"), "{removed}");
    let ini = text("[a]\npw = 1\n\n[sops]\nmac = x\n");
    assert!(!read(&ini).unwrap().documents[0].passed_over);
}

#[test]
fn nothing_is_lost_or_stays_readable_that_sops_passes_over() {
    for passed_over in ["[a] hidden\nk = v\n", "k = v\n; hidden\n"] {
        let ini = text(passed_over);
        let tree = read(&ini).unwrap();
        let error = splice(&ini, &tree, MetadataEdit::Put(&mac())).unwrap_err();
        assert!(error.canonical_can && error.to_string().contains("before a key"), "{error}");
    }
    let blank = text("[a]  \nk = v\n\n\n");
    let tree = read(&blank).unwrap();
    let put = splice(&blank, &tree, MetadataEdit::Put(&mac())).unwrap();
    assert!(shown(&put).starts_with("[a]") && shown(&put).ends_with("[sops]\nmac = m\n"));
    let twice = text("k = hidden\nk = v\n");
    let tree = read(&twice).unwrap();
    let error = splice(&twice, &tree, MetadataEdit::Put(&mac())).unwrap_err();
    assert_eq!(error.to_string(), "`[\"DEFAULT\"][\"k\"]`: this key stands there twice");
    assert!(error.canonical_can);
    let quoted = text("k = `a;b` hidden\n");
    let mut tree = read(&quoted).unwrap();
    seal(&mut tree.documents[0].root);
    let put = splice(&quoted, &tree, MetadataEdit::Put(&mac())).unwrap();
    assert_eq!(shown(&put), "k = `ENC[]`\n\n[sops]\nmac = m\n");
}

#[test]
fn comments_keep_their_place_and_mark() {
    let ini = text("# one\n#  two\n[a] ; three\nk = v ; four\n");
    let mut tree = read(&ini).unwrap();
    seal(&mut tree.documents[0].root);
    let sealed = splice(&ini, &tree, MetadataEdit::Keep).unwrap();
    assert_eq!(shown(&sealed), "# ENC[]\n[a] \nk = ENC[] ; ENC[]\n");
    let header = text("[a] ; b\n");
    let mut tree = read(&header).unwrap();
    seal(&mut tree.documents[0].root);
    let sealed = splice(&header, &tree, MetadataEdit::Keep).unwrap();
    // a bracket on the line of the header would become part of its name
    assert_eq!(shown(&sealed), "; ENC[]\n[a] \n");
}

#[test]
fn values_are_set_in_place() {
    for (ini, keys, value, expected) in [
        ("k = v ; c\n", &["DEFAULT", "k"][..], "x", "k = x ; c\n"),
        ("k = \"v\"\n", &["DEFAULT", "k"], "x", "k = \"x\"\n"),
        ("k = v\n", &["DEFAULT", "k"], "a;b", "k = `a;b`\n"),
        ("k = v\n", &["DEFAULT", "k"], "a\nb", "k = \"\"\"a\nb\"\"\"\n"),
        ("k = v\n", &["DEFAULT", "k"], "b\\", "k = `b\\`\n"),
        ("k=\n", &["DEFAULT", "k"], "x", "k=x\n"),
        ("[s]\nlong = 1\nk    = 2\n", &["s", "m"], "x", "[s]\nlong = 1\nk    = 2\nm    = x\n"),
        ("[s]\na=1\n[t]\n", &["s", "m"], "x", "[s]\na=1\nm=x\n[t]\n"),
        ("[s]\r\na = 1\r\n", &["s", "m"], "x", "[s]\r\na = 1\r\nm = x\r\n"),
        ("[s]", &["s", "m"], "x", "[s]\nm = x\n"),
        ("a = 1\n", &["s", "m"], "x", "a = 1\n\n[s]\nm = x\n"),
        ("", &["DEFAULT", "m"], "x", "m = x\n"),
        ("; c\n[s]\n", &["DEFAULT", "m"], "x", "m = x\n; c\n[s]\n"),
    ] {
        let new = Node::Leaf(Leaf::text(value));
        assert_eq!(shown(&set(&text(ini), &way(keys), &new).unwrap()), expected);
    }
}

#[test]
fn what_ini_cannot_say_is_refused() {
    let x = Node::Leaf(Leaf::text("x"));
    let set = |keys: &[&str], value: &Node| {
        set(&text("[s]\nk = v\n"), &way(keys), value).unwrap_err().to_string()
    };
    assert_eq!(set(&["s", "-"], &x), "`[\"s\"][\"-\"]`: INI cannot have this key");
    assert_eq!(set(&["s", "#a"], &x), "`[\"s\"][\"#a\"]`: INI cannot have this key");
    assert_eq!(set(&["sops", "a"], &x), "`[\"sops\"]`: this section is for the metadata");
    assert_eq!(set(&["s"], &x), "`[\"s\"]`: INI has no value outside of a section");
    assert_eq!(set(&["n\n", "a"], &x), "`[\"n\\n\"]`: INI cannot have a section of this name");
    let value = Node::Leaf(Leaf::text("`\n\"\"\"\nx"));
    assert_eq!(set(&["s", "k"], &value), "`[\"s\"][\"k\"]`: INI cannot hold this value");
}

#[test]
fn a_section_is_set_and_removed_as_a_whole() {
    let mut map = Map::default();
    map.push("x", Node::Leaf(Leaf::text("1")));
    let ini = text("[s]\nk = v\nl = w\n\n[t]\nm = 1\n");
    let replaced = set(&ini, &way(&["s"]), &Node::Map(map)).unwrap();
    assert_eq!(shown(&replaced), "[s]\nx = 1\n\n[t]\nm = 1\n");
    let removed = unset(&ini, &way(&["t"])).unwrap().unwrap();
    assert_eq!(shown(&removed), "[s]\nk = v\nl = w\n");
    assert!(unset(&ini, &way(&["u"])).unwrap().is_none());
}

#[test]
fn a_key_is_removed_with_what_it_hides() {
    let ini = text("k = 1\n; c\nl = 2\nk = \"\"\"3\n4\"\"\"\nm = 5\n");
    let removed = unset(&ini, &way(&["DEFAULT", "k"])).unwrap().unwrap();
    assert_eq!(shown(&removed), "; c\nl = 2\nm = 5\n");
    assert!(unset(&ini, &way(&["DEFAULT", "n"])).unwrap().is_none());
    assert!(unset(&ini, &[Step::Index(0)]).is_err());
}

fn seal(map: &mut Map) {
    for item in &mut map.items {
        match item {
            MapItem::Comment(comment) => {
                comment.text = text("ENC[]");
                comment.write = Write::Value;
            }
            MapItem::Entry(entry) => match &mut entry.value {
                Node::Map(map) => seal(map),
                Node::Leaf(leaf) => {
                    *leaf = Leaf { spot: leaf.spot.take(), ..Leaf::text("ENC[]") };
                }
                Node::List(_) => panic!("INI has no lists"),
            },
        }
    }
}
