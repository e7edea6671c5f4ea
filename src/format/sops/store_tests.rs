//! Holds the stores JSON, dotenv, INI and binary against what sops makes of the same texts, and
//! against themselves: what was printed is read, and what was changed can be changed back.

#![allow(clippy::disallowed_methods, reason = "a test looks at what it made")]

use proptest::prelude::*;

use super::convert::to_store;
use super::number;
use super::store::{Layout, MetadataEdit, Step, Store};
use super::tree::{Document, Leaf, List, ListItem, Map, MapItem, Node, Tree, Value, Write};
use crate::plaintext::Plaintext;

const FACTS: &str = include_str!("../../../testdata/sops-stores/stores.tsv");
const WITH_SPACES: Layout = Layout { yaml_indent: 4, json_indent: Some(2), binary_indent: None };

#[test]
fn documents_are_read_and_printed_as_sops_does() {
    let mut count = 0_u32;
    for fact in FACTS.lines().filter(|line| !line.starts_with("number")) {
        let fields: Vec<&str> = fact.split('\t').collect();
        let store = Store::of_name(fields[0]).unwrap();
        let text = hex::decode(fields[1]).unwrap();
        let shown = String::from_utf8_lossy(&text).into_owned();
        let text = Plaintext::new(text);
        count = u32::saturating_add(count, 1);
        if fields[2] == "error" {
            assert!(store.read(&text).is_err(), "{store}: {shown:?}");
            continue;
        }
        let tree = store.read(&text).unwrap_or_else(|e| panic!("{store}: {shown:?}: {e}"));
        assert_eq!(dump(&tree.documents[0].root), fields[3], "{store}: {shown:?}");
        let targets = [store, Store::Json, Store::Dotenv, Store::Ini];
        let layouts = [Layout::default(), WITH_SPACES, WITH_SPACES, WITH_SPACES];
        for ((target, layout), expected) in targets.into_iter().zip(layouts).zip(&fields[4..]) {
            let mut tree = store.read(&text).unwrap();
            number::as_sops(&mut tree, target);
            let printed =
                to_store(tree, store, target).and_then(|t| target.print(&t, None, &layout));
            let printed = printed.map(|text| format!("ok{}", hex::encode(text.expose())));
            assert_eq!(printed.as_deref().unwrap_or("error"), *expected, "{store}: {shown:?}");
        }
    }
    assert!(count > 200);
}

#[test]
fn numbers_are_those_of_go() {
    let mut count = 0_u32;
    for fact in FACTS.lines().filter(|line| line.starts_with("number")) {
        let fields: Vec<&str> = fact.split('\t').collect();
        let text = String::from_utf8(hex::decode(fields[1]).unwrap()).unwrap();
        let ours = [number::fixed, number::json, number::yaml, number::text]
            .map(|print| print(&text).map_or("error".to_owned(), |text| utf8(&text)));
        let theirs = if fields[2] == "ok" { &fields[3..] } else { &["error"; 4] };
        assert_eq!(ours.as_slice(), theirs, "{text:?}");
        count = u32::saturating_add(count, 1);
    }
    assert!(count > 100);
}

#[test]
fn a_hundred_thousand_keys_are_no_trouble() {
    let (mut json, mut lines) = ("{".to_owned(), String::new());
    for number in 0..100_000 {
        let comma = if number == 0 { "" } else { "," };
        json.extend([comma, "\n\t\"k", &number.to_string(), "\": \"v\""]);
        lines.extend(["k", &number.to_string(), " = v\n"]);
    }
    json.push_str("\n}\n");
    for (store, text) in [(Store::Json, &json), (Store::Dotenv, &lines), (Store::Ini, &lines)] {
        let text = Plaintext::copy_of(text.as_bytes());
        let (encrypted, values) = encrypt(store, &text).unwrap();
        assert_eq!(values.len(), 100_000);
        assert!(encrypted.len() > text.len());
    }
}

#[test]
fn binary_documents_are_bytes_until_they_are_encrypted() {
    let bytes: Vec<u8> = (0..=255).collect();
    let text = Plaintext::new(bytes);
    let tree = Store::Binary.read_plain(&text).unwrap();
    assert!(Store::Binary.print(&tree, None, &Layout::default()).unwrap().same_as(&text));
    let mut tree = tree;
    let mut number = 0;
    each(&mut tree.documents[0].root, &mut |value, write| seal(&mut number, value, write));
    let encrypted = Store::Binary.splice(&text, &tree, MetadataEdit::Put(&metadata())).unwrap();
    let printed = Store::Binary.print(&tree, Some(&metadata()), &Layout::default()).unwrap();
    assert!(printed.same_as(&encrypted));
    let shown = utf8(&encrypted);
    assert!(shown.starts_with("{\n\t\"data\": \"ENC[1]\",\n\t\"sops\": {\n\t\t\"age\""), "{shown}");
    let mut again = Store::Binary.read(&encrypted).unwrap();
    let kept = Store::Binary.splice(&encrypted, &again, MetadataEdit::Put(&metadata())).unwrap();
    assert!(kept.same_as(&encrypted));
    each(&mut again.documents[0].root, &mut |value, write| {
        *value = Plaintext::new((0..=255).collect());
        *write = Write::Value;
    });
    let decrypted = Store::Binary.splice(&encrypted, &again, MetadataEdit::Remove).unwrap();
    assert!(decrypted.same_as(&text));
}

#[test]
fn a_binary_document_is_set_as_a_whole() {
    let new = Node::Leaf(Leaf::text("new"));
    let text = Plaintext::copy_of(b"old");
    for way in [vec![], vec![Step::Key("data".to_owned())]] {
        assert_eq!(utf8(&Store::Binary.set(&text, &way, &new).unwrap()), "new");
    }
    for way in [vec![Step::Key("other".to_owned())], vec![Step::Index(0)]] {
        assert!(Store::Binary.set(&text, &way, &new).is_err());
    }
    assert!(Store::Binary.set(&text, &[], &Node::Map(Map::default())).is_err());
    let other = Store::Json.read(&Plaintext::copy_of(b"{\"data\": 1}")).unwrap();
    assert!(Store::Binary.print(&other, None, &Layout::default()).is_err());
}

#[test]
fn what_another_store_cannot_say_is_refused() {
    let tree = |text: &str| Store::Json.read(&Plaintext::copy_of(text.as_bytes())).unwrap();
    for (text, to, error) in [
        (r#"{"a":{"b":1}}"#, Store::Dotenv, r#"`["a"]`: dotenv has no room for maps and lists"#),
        (r#"{"a":1}"#, Store::Ini, r#"`["a"]`: INI has no value outside of a section"#),
        (
            r#"{"a":{"b":[]}}"#,
            Store::Ini,
            r#"`["a"]["b"]`: a section of INI has no room for maps and lists"#,
        ),
    ] {
        assert_eq!(to_store(tree(text), Store::Json, to).unwrap_err().to_string(), error);
    }
    let two = Tree { documents: vec![Document::default(), Document::default()] };
    assert!(to_store(two, Store::Yaml, Store::Json).is_err());
}

#[test]
fn values_become_text_where_there_is_only_text() {
    let json = r#"{"a":{"i":7,"f":1.0,"g":1e30,"b":true,"n":null,"s":"x"}}"#;
    let tree = Store::Json.read(&Plaintext::copy_of(json.as_bytes())).unwrap();
    let tree = to_store(tree, Store::Json, Store::Ini).unwrap();
    let printed = Store::Ini.print(&tree, None, &Layout::default()).unwrap();
    assert_eq!(utf8(&printed), "[a]\ni = 7\nf = 1.0\ng = 1E+30\nb = true\nn = <nil>\ns = x\n");
    let time = |text: &str| Value::Time(Plaintext::copy_of(text.as_bytes()));
    let shown = |text| utf8(&super::convert::to_text(&time(text)));
    assert_eq!(shown("2024-01-02T03:04:05.678+01:00"), "2024-01-02T03:04:05+01:00");
    assert_eq!(shown("2024-01-02T03:04:05.5Z"), "2024-01-02T03:04:05Z");
    assert_eq!(shown("2024-01-02T03:04:05Z"), "2024-01-02T03:04:05Z");
}

proptest! {
    #[test]
    fn json_that_was_printed_is_read(root in map(json_node(), "\\PC{0,5}".boxed())) {
        check_printed(Store::Json, root)?;
    }

    #[test]
    fn dotenv_that_was_printed_is_read(root in map(text_node("[^\\\\]{0,9}"), "[a-z\"' ]{0,5}".boxed())) {
        check_printed(Store::Dotenv, root)?;
    }

    #[test]
    fn ini_that_was_printed_is_read(
        root in map(map(text_node("[a-z #;=:é\\[\n]{0,9}"), "[a-z=:\"é]{1,5}".boxed())
            .prop_map(|keys| Node::Map(without_twins(keys))).boxed(), "[a-z\\[\\]#= ]{1,5}".boxed()),
    ) {
        let mut whole = Map::default();
        whole.push("DEFAULT", Node::Map(Map::default()));
        whole.items.extend(root.items);
        check_printed(Store::Ini, whole)?;
    }

    #[test]
    fn changed_json_can_be_changed_back(root in map(json_node(), "\\PC{0,5}".boxed()), spaces: bool) {
        let tree = Tree { documents: vec![Document { root, ..Document::default() }] };
        let layout = if spaces { WITH_SPACES } else { Layout::default() };
        let text = Store::Json.print(&tree, None, &layout).unwrap();
        check_changes(Store::Json, &text, true)?;
    }

    #[test]
    fn changed_dotenv_can_be_changed_back(text in pieces(DOTENV)) {
        check_changes(Store::Dotenv, &Plaintext::new(text), false)?;
    }

    #[test]
    fn changed_ini_can_be_changed_back(text in pieces(INI)) {
        check_changes(Store::Ini, &Plaintext::new(text), false)?;
    }

    #[test]
    fn any_bytes_are_read_or_refused(text in prop::collection::vec(any::<u8>(), 0..60)) {
        let text = Plaintext::new(text);
        for store in [Store::Json, Store::Dotenv, Store::Ini] {
            if let Ok(tree) = store.read(&text) {
                let same = store.splice(&text, &tree, MetadataEdit::Keep).unwrap();
                prop_assert!(same.same_as(&text));
            }
        }
    }

    #[test]
    fn numbers_keep_their_value(bits: u64) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        let text = format!("{value:e}");
        for print in [number::fixed, number::json, number::yaml, number::text] {
            let again = number::parse(&utf8(&print(&text).unwrap())).unwrap();
            prop_assert_eq!(again.to_bits(), bits);
        }
    }
}

const DOTENV: &[&str] = &["a", "B", "=", "=", "#", "\\n", "\\", " ", "\"", "\n", "\n", "\r\n", "é"];
const INI: &[&str] = &[
    "k",
    "l = ",
    "m : ",
    "v",
    "=",
    ":",
    "#",
    "; c",
    "[s]",
    "[t]",
    "\n",
    "\n",
    "\n",
    "\r\n",
    " ",
    "\"",
    "'",
    "`",
    "\"\"\"",
    "\\",
    "\t",
    "é",
    "\n[a]\n",
    "\nq = `x#y`\n",
    "\nr = \"a b\" ; z\n",
];

fn pieces(alphabet: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(alphabet);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

fn text_node(characters: &'static str) -> BoxedStrategy<Node> {
    characters.prop_map(|text| Node::Leaf(Leaf::text(&text))).boxed()
}

fn map(node: BoxedStrategy<Node>, key: BoxedStrategy<String>) -> BoxedStrategy<Map> {
    prop::collection::vec((key, node), 0..5)
        .prop_map(|entries| {
            let mut map = Map::default();
            for (key, node) in entries {
                map.push(&key, node);
            }
            map
        })
        .boxed()
}

fn json_node() -> BoxedStrategy<Node> {
    let digits = |number: f64| number::json(&format!("{number:e}")).unwrap();
    let leaf = prop_oneof![
        Just(()).prop_map(|()| Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|n| Value::Int(Plaintext::new(n.to_string().into_bytes()))),
        any::<i32>().prop_map(move |n| Value::Float(digits(f64::from(n) / 8.0 + 0.0625))),
        any::<i32>().prop_map(move |n| Value::Float(digits(f64::from(n) * 1e30 + 1e22))),
        any::<String>().prop_map(|text| Value::Str(Plaintext::new(text.into_bytes()))),
    ];
    leaf.prop_map(|value| Node::Leaf(Leaf::new(value)))
        .boxed()
        .prop_recursive(4, 24, 4, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..4).prop_map(|nodes| {
                Node::List(List { items: nodes.into_iter().map(ListItem::Value).collect() })
            });
            let key = any::<String>().boxed();
            prop_oneof![list, map(inner, key).prop_map(Node::Map)].boxed()
        })
        .boxed()
}

fn without_twins(mut map: Map) -> Map {
    let mut seen = std::collections::HashSet::new();
    map.items.retain(|item| match item {
        MapItem::Entry(entry) => seen.insert(entry.key.clone()),
        MapItem::Comment(_) => true,
    });
    map
}

fn check_printed(store: Store, root: Map) -> Result<(), TestCaseError> {
    let tree = Tree { documents: vec![Document { root, ..Document::default() }] };
    // a key that the store cannot have
    let Ok(text) = store.print(&tree, None, &Layout::default()) else { return Ok(()) };
    let again = store.read(&text);
    let again = again.map_err(|e| TestCaseError::fail(format!("{e}: {}", utf8(&text))))?;
    prop_assert_eq!(dump(&tree.documents[0].root), dump(&again.documents[0].root));
    Ok(())
}

/// Nothing changed gives the text; all values changed and changed back gives the tree, and no
/// value can be read in between.
fn check_changes(store: Store, text: &Plaintext, bytes_too: bool) -> Result<(), TestCaseError> {
    let Ok(tree) = store.read(text) else { return Ok(()) };
    if tree.documents[0].metadata.is_some() {
        return Ok(());
    }
    let same = store.splice(text, &tree, MetadataEdit::Keep).unwrap();
    prop_assert!(same.same_as(text));
    let Some((encrypted, values)) = encrypt(store, text) else { return Ok(()) };
    let again = store.read(&encrypted).unwrap();
    let expected = if store == Store::Json { metadata() } else { texts(metadata()) };
    prop_assert_eq!(dump(again.documents[0].metadata.as_ref().unwrap()), dump(&expected));
    let Some(decrypted) = decrypt(store, &encrypted, values) else { return Ok(()) };
    let back = store.read(&decrypted).unwrap();
    prop_assert_eq!(dump(&back.documents[0].root), dump(&tree.documents[0].root));
    prop_assert!(!bytes_too || decrypted.same_as(text), "{}", utf8(&decrypted));
    Ok(())
}

/// The text with all values replaced, and the values; `None` where the store says it cannot.
fn encrypt(store: Store, text: &Plaintext) -> Option<(Plaintext, Vec<Value>)> {
    let mut tree = store.read(text).unwrap();
    let (mut number, mut values) = (0, Vec::new());
    let root = &mut tree.documents[0].root;
    each_value(root, &mut |value, write| {
        if matches!(&value, Value::Null) || matches!(&value, Value::Str(s) if s.is_empty()) {
            return;
        }
        let mut sealed = Plaintext::default();
        seal(&mut number, &mut sealed, write);
        values.push(std::mem::replace(value, Value::Str(sealed)));
    });
    match store.splice(text, &tree, MetadataEdit::Put(&metadata())) {
        Ok(encrypted) => {
            let again = store.read(&encrypted).unwrap();
            assert_eq!(dump(&again.documents[0].root), dump(&tree.documents[0].root));
            Some((encrypted, values))
        }
        Err(error) => {
            assert!(error.canonical_can, "{error}");
            None
        }
    }
}

fn decrypt(store: Store, encrypted: &Plaintext, values: Vec<Value>) -> Option<Plaintext> {
    let mut tree = store.read(encrypted).unwrap();
    let mut values = values.into_iter();
    each_value(&mut tree.documents[0].root, &mut |value, write| {
        if matches!(&value, Value::Str(text) if text.expose().starts_with(b"ENC[")) {
            *value = values.next().unwrap();
            *write = Write::Value;
        }
    });
    match store.splice(encrypted, &tree, MetadataEdit::Remove) {
        Ok(decrypted) => Some(decrypted),
        Err(error) => {
            assert!(error.canonical_can, "{error}");
            None
        }
    }
}

fn seal(number: &mut usize, value: &mut Plaintext, write: &mut Write) {
    *number = number.saturating_add(1);
    *value = Plaintext::new(format!("ENC[{number}]").into_bytes());
    *write = Write::Value;
}

fn metadata() -> Map {
    let mut first = Map::default();
    first.push("enc", Node::Leaf(Leaf::text("a\nb\n")));
    let mut map = Map::default();
    let list = List { items: vec![ListItem::Value(Node::Map(first))] };
    map.push("age", Node::List(list));
    map.push("mac", Node::Leaf(Leaf::text("ENC[m]")));
    map.push("shamir_threshold", Node::Leaf(Leaf::new(Value::Int(Plaintext::copy_of(b"2")))));
    map
}

/// As flat metadata has it.
fn texts(mut map: Map) -> Map {
    each_value(&mut map, &mut |value, _| *value = Value::Str(super::convert::to_text(value)));
    map
}

/// Values that are texts, and comments.
fn each(map: &mut Map, change: &mut dyn FnMut(&mut Plaintext, &mut Write)) {
    each_value(map, &mut |value, write| {
        if let Value::Str(text) = value {
            change(text, write);
        }
    });
}

fn each_value(map: &mut Map, change: &mut dyn FnMut(&mut Value, &mut Write)) {
    for item in &mut map.items {
        match item {
            MapItem::Comment(comment) => {
                let text = std::mem::take(&mut comment.text);
                let mut value = Value::Str(text);
                change(&mut value, &mut comment.write);
                let Value::Str(text) = value else { panic!("a comment is text") };
                comment.text = text;
            }
            MapItem::Entry(entry) => each_in(&mut entry.value, change),
        }
    }
}

fn each_in(node: &mut Node, change: &mut dyn FnMut(&mut Value, &mut Write)) {
    match node {
        Node::Map(map) => each_value(map, change),
        Node::List(list) => {
            for item in &mut list.items {
                if let ListItem::Value(node) = item {
                    each_in(node, change);
                }
            }
        }
        Node::Leaf(leaf) => change(&mut leaf.value, &mut leaf.write),
    }
}

fn dump(map: &Map) -> String {
    let item = |item: &MapItem| match item {
        MapItem::Comment(comment) => format!("#{}", hex::encode(comment.text.expose())),
        MapItem::Entry(entry) => {
            format!("{}={}", hex::encode(entry.key.as_bytes()), show(&entry.value))
        }
    };
    format!("{{{}}}", map.items.iter().map(item).collect::<Vec<_>>().join(","))
}

fn show(node: &Node) -> String {
    match node {
        Node::Map(map) => dump(map),
        Node::List(list) => {
            format!("[{}]", list.values().map(show).collect::<Vec<_>>().join(","))
        }
        Node::Leaf(leaf) => match &leaf.value {
            Value::Null => "n".to_owned(),
            Value::Bool(value) => format!("b{value}"),
            Value::Int(text) => format!("i{}", utf8(text)),
            Value::Float(text) => format!("f{}", utf8(&number::fixed(&utf8(text)).unwrap())),
            Value::Time(text) => format!("t{}", utf8(text)),
            Value::Str(text) => format!("s{}", hex::encode(text.expose())),
        },
    }
}

fn utf8(text: &Plaintext) -> String {
    String::from_utf8_lossy(text.expose()).into_owned()
}
