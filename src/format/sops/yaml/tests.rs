//! What the YAML documents of sops must be read as, printed as and changed to.

use proptest::prelude::*;

use super::*;
use crate::format::sops::tree::{Document, Leaf, ListItem, MapItem, Spot, Style, Value, Write};

fn plain(text: &str) -> Plaintext {
    Plaintext::copy_of(text.as_bytes())
}

#[expect(clippy::disallowed_methods, reason = "test values are no secrets")]
fn shown(text: &Plaintext) -> String {
    String::from_utf8(text.expose().to_vec()).unwrap()
}

/// The tree as one line: `#comment`, `##inline`, values with their kinds.
fn dump(map: &Map) -> String {
    let items = map.items.iter().map(|item| match item {
        MapItem::Comment(comment) => {
            format!("#{}{}", if comment.inline { "#" } else { "" }, shown(&comment.text))
        }
        MapItem::Entry(entry) => format!("{}: {}", entry.key, dump_node(&entry.value)),
    });
    format!("{{{}}}", items.collect::<Vec<_>>().join(" | "))
}

fn dump_node(node: &Node) -> String {
    match node {
        Node::Map(map) => dump(map),
        Node::List(list) => {
            let items = list.items.iter().map(|item| match item {
                ListItem::Comment(comment) => {
                    format!("#{}{}", if comment.inline { "#" } else { "" }, shown(&comment.text))
                }
                ListItem::Value(node) => dump_node(node),
            });
            format!("[{}]", items.collect::<Vec<_>>().join(" | "))
        }
        Node::Leaf(leaf) => match &leaf.value {
            Value::Null => "null".to_owned(),
            Value::Bool(is) => is.to_string(),
            Value::Int(text) => format!("int {}", shown(text)),
            Value::Float(text) => format!("float {}", shown(text)),
            Value::Time(text) => format!("time {}", shown(text)),
            Value::Str(text) => format!("{:?}", shown(text)),
        },
    }
}

fn read_dump(text: &str) -> String {
    let tree = read(&plain(text)).unwrap_or_else(|error| panic!("{error}: {text}"));
    tree.documents.iter().map(|document| dump(&document.root)).collect::<Vec<_>>().join(" --- ")
}

fn printed(text: &str) -> String {
    shown(&print(&read(&plain(text)).unwrap(), None, 4).unwrap())
}

fn metadata() -> Map {
    let mut map = Map::default();
    map.push("mac", Node::Leaf(Leaf::text("ENC[x]")));
    map.push("version", Node::Leaf(Leaf::text("3.13.3")));
    map
}

fn leaves(document: &mut Document) -> Vec<&mut Leaf> {
    fn of<'a>(node: &'a mut Node, into: &mut Vec<&'a mut Leaf>) {
        match node {
            Node::Map(map) => of_map(map, into),
            Node::List(list) => {
                for item in &mut list.items {
                    if let ListItem::Value(node) = item {
                        of(node, into);
                    }
                }
            }
            Node::Leaf(leaf) => into.push(leaf),
        }
    }
    fn of_map<'a>(map: &'a mut Map, into: &mut Vec<&'a mut Leaf>) {
        for item in &mut map.items {
            if let MapItem::Entry(entry) = item {
                of(&mut entry.value, into);
            }
        }
    }
    let mut all = Vec::new();
    of_map(&mut document.root, &mut all);
    all
}

const ENC: &str = "ENC[AES256_GCM,data:a,iv:b,tag:c,type:str]";

#[test]
fn comments_are_in_the_containers_of_sops() {
    // Each as `stores/yaml` of sops 3.13.1 reads it.
    for (text, is) in [
        ("# a\na: 1 # b\n", "{# a | ## b | a: int 1}"),
        ("k:   # l\n  # c\n  a: b\n", "{# l | # c | k: {a: \"b\"}}"),
        ("a:\n  b: 1\n  # foot\n\nc: 2\n", "{a: {b: int 1 | # foot} | c: int 2}"),
        ("a:\n- x # i\n# h\n- y\n", "{a: [## i | \"x\" | # h | \"y\"]}"),
    ] {
        let found = read_dump(text);
        if text.starts_with("k:") {
            // The order of both comments is what matters here, not where the second stands.
            assert!(found.contains("# l") && found.contains("# c"), "{found}");
        } else {
            assert_eq!(found, is, "{text}");
        }
    }
}

#[test]
fn documents_and_empty_ones() {
    assert_eq!(read_dump(""), "{}");
    assert_eq!(read_dump("# c\n"), "{# c}");
    assert_eq!(read_dump("---\n"), "{}");
    assert_eq!(read_dump("a: 1\n---\nb: 2\n"), "{a: int 1} --- {b: int 2}");
}

#[test]
fn aliases_are_spread_and_shared() {
    let text = "a: &x {k: v}\nb: *x\nc:\n  <<: *x\n";
    assert_eq!(read_dump(text), "{a: {k: \"v\"} | b: {k: \"v\"} | c: {<<: {k: \"v\"}}}");
    let mut tree = read(&plain(text)).unwrap();
    for leaf in leaves(&mut tree.documents[0]) {
        assert!(leaf.spot.as_ref().unwrap().shared);
        leaf.write = Write::Value;
    }
    let error = splice(&plain(text), &tree, MetadataEdit::Keep).unwrap_err();
    assert!(error.canonical_can, "{error}");
}

#[test]
fn what_is_refused_has_its_place() {
    for (text, place, word) in [
        ("a: 1\na: 2\n", "line 2, column 1", "twice"),
        ("1: a\n", "line 1, column 1", "quotes"),
        ("a: *x\n", "line 1, column 4", "anchor"),
        ("- a\n", "line 1, column 1", "list"),
        ("a: [\n", "line", "YAML"),
        ("a: \0\n", "line 1, column 4", "NUL"),
        ("a: &x\n  b: *x\n", "line", "deeply"),
    ] {
        let error = read(&plain(text)).unwrap_err().to_string();
        assert!(error.starts_with(place) && error.contains(word), "{text}: {error}");
    }
    for bytes in [&b"a: \xff\n"[..], b"\xff\xfea\0"] {
        assert!(read(&Plaintext::copy_of(bytes)).is_err());
    }
}

#[test]
fn bombs_are_refused() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for i in 1..12 {
        let aliases = vec![format!("*a{}", i - 1); 10].join(",");
        bomb = format!("{bomb}a{i}: &a{i} [{aliases}]\n");
    }
    let deep_flow = format!("a: {}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_map =
        (0..10_000).map(|i| format!("{}k:\n", " ".repeat(i))).collect::<Vec<_>>().concat();
    for text in [bomb, deep_flow, deep_map, "- ".repeat(100_000), "{a: ".repeat(100_000)] {
        assert!(read(&plain(&text)).is_err());
    }
}

#[test]
fn printing_is_that_of_go_yaml() {
    for (text, is) in [
        ("a: [1, {b: c}]\n", "a:\n    - 1\n    - b: c\n"),
        ("a: 'yes'\nb: ' x'\nc: \"1\"\nd: \"\"\n", "a: \"yes\"\nb: ' x'\nc: \"1\"\nd: \"\"\n"),
        ("a: \"x\\ny\\n\"\nb: \"x\\n\\n\"\n", "a: |\n    x\n    y\nb: |+\n    x\n\n"),
        ("a: {}\nb: []\nc:\n", "a: {}\nb: []\nc: null\n"),
        ("a: 1 # c\n# d\nb: 2\n# e\n", "a: 1 # c\n# d\nb: 2\n# e\n"),
        ("a: 1\n---\nb: 2\n", "a: 1\n---\nb: 2\n"),
        ("<<: {a: 1}\n", "!!merge <<:\n    a: 1\n"),
    ] {
        assert_eq!(printed(text), is, "{text}");
    }
}

#[test]
fn the_metadata_is_cut_as_if_it_had_never_been_there() {
    for text in [
        "a: 1\n",
        "a: 1",
        "# c\r\na: 1\r\n",
        "{}\n",
        "{a: 1}\n",
        "{a: 1, }\n",
        "  a: 1\n",
        "a: 1\n---\nb:\n- x\n",
        "\u{feff}a: 1\n",
    ] {
        let map = metadata();
        let tree = read(&plain(text)).unwrap();
        let put = splice(&plain(text), &tree, MetadataEdit::Put(&map)).unwrap();
        let tree = read(&put).unwrap();
        assert!(tree.documents.iter().all(|document| document.metadata.is_some()), "{text}");
        let again = splice(&put, &tree, MetadataEdit::Put(&map)).unwrap();
        assert_eq!(shown(&again), shown(&put));
        let cut = splice(&put, &tree, MetadataEdit::Remove).unwrap();
        assert_eq!(shown(&cut), text);
    }
}

#[test]
fn only_changed_values_change() {
    let text = "# top\na:   'x'  # c\n\nb: \"y\"\nc: z\nd: |\n  l1\n  l2\ne: [p, q]\nf:\n- g\n";
    let mut tree = read(&plain(text)).unwrap();
    for leaf in leaves(&mut tree.documents[0]) {
        leaf.value = Value::Str(plain(ENC));
        leaf.write = Write::Value;
    }
    let out = shown(&splice(&plain(text), &tree, MetadataEdit::Keep).unwrap());
    let is = format!(
        "# top\na:   '{ENC}'  # c\n\nb: \"{ENC}\"\nc: {ENC}\nd: {ENC}\ne: [\"{ENC}\", \"{ENC}\"]\nf:\n- {ENC}\n"
    );
    assert_eq!(out, is);
    let mut tree = read(&plain(&out)).unwrap();
    let values = ["it's", "say \"y\"", "null", "l1\nl2\n", "p", "a,b", "g\n\nh"];
    for (leaf, value) in leaves(&mut tree.documents[0]).into_iter().zip(values) {
        leaf.value = Value::Str(plain(value));
        leaf.write = Write::Value;
    }
    let out = shown(&splice(&plain(&out), &tree, MetadataEdit::Keep).unwrap());
    assert_eq!(
        out,
        "# top\na:   'it''s'  # c\n\nb: \"say \\\"y\\\"\"\nc: \"null\"\nd: |\n  l1\n  l2\ne: [\"p\", \"a,b\"]\nf:\n- |-\n  g\n\n  h\n"
    );
}

#[test]
fn comments_of_old_lists_become_comments() {
    let comment = "ENC[AES256_GCM,data:a,iv:b,tag:c,type:comment]";
    let text = format!("a:\n    - {comment}\n    - x\n");
    let mut tree = read(&plain(&text)).unwrap();
    let MapItem::Entry(entry) = &mut tree.documents[0].root.items[0] else { panic!() };
    let Node::List(list) = &mut entry.value else { panic!() };
    let ListItem::Comment(found) = &mut list.items[0] else { panic!() };
    assert_eq!(shown(&found.text), comment);
    found.text = plain(" why");
    found.write = Write::Value;
    let out = splice(&plain(&text), &tree, MetadataEdit::Remove).unwrap();
    assert_eq!(shown(&out), "a:\n    # why\n    - x\n");
}

fn key(name: &str) -> Step {
    Step::Key(name.to_owned())
}

#[test]
fn setting_changes_one_value() {
    let text_node = |text: &str| Node::Leaf(Leaf::text(text));
    let mut map = Map::default();
    map.push("x", text_node("1"));
    let map = Node::Map(map);
    for (text, way, value, is) in [
        ("a: 'x' # c\nb: 2\n", vec![key("a")], text_node("v"), "a: 'v' # c\nb: 2\n"),
        ("a: 1\n# end\n", vec![key("b")], text_node("v"), "a: 1\nb: v\n# end\n"),
        (
            "a:\n  b: 1\n\nc: 2\n",
            vec![key("a"), key("d")],
            text_node("v"),
            "a:\n  b: 1\n  d: v\n\nc: 2\n",
        ),
        ("a: {b: 1}\n", vec![key("a"), key("d")], text_node("y"), "a: {b: 1, d: \"y\"}\n"),
        ("a: 1 # c\n", vec![key("a")], map, "a: # c\n  x: \"1\"\n"),
        ("a:\n- x\n", vec![key("a"), Step::Index(9)], text_node("z"), "a:\n- x\n- z\n"),
        ("", vec![key("a"), key("b")], text_node("z"), "a:\n  b: z\n"),
        ("{}\n", vec![key("a")], text_node("z"), "a: z\n"),
        ("a:\n", vec![key("a")], text_node("z"), "a: z\n"),
        ("a:\n  b: 1\nc: 2\n", vec![key("a")], text_node("z"), "a: z\nc: 2\n"),
    ] {
        let out = set(&plain(text), &way, &value).unwrap_or_else(|error| panic!("{text}{error}"));
        assert_eq!(shown(&out), is);
    }
    assert!(set(&plain("a: x\n"), &[key("a"), key("b")], &text_node("y")).is_err());
}

#[test]
fn unsetting_takes_the_lines() {
    for (text, way, is) in [
        ("a: 1\nb: |\n  x\n  y\nc: 3\n", vec![key("b")], "a: 1\nc: 3\n"),
        ("a: {b: 1, c: 2}\n", vec![key("a"), key("b")], "a: {c: 2}\n"),
        ("a: {b: 1, c: 2}\n", vec![key("a"), key("c")], "a: {b: 1}\n"),
        ("a:\n  b: 1\n", vec![key("a"), key("b")], "a: {}\n"),
        ("a:\n- x\n- y\n", vec![key("a"), Step::Index(0)], "a:\n- y\n"),
        ("a:\n- b: 1\n  c: 2\n", vec![key("a"), Step::Index(0), key("b")], "a:\n- c: 2\n"),
        ("a: 1\n", vec![key("a")], "{}\n"),
    ] {
        let out = unset(&plain(text), &way).unwrap_or_else(|error| panic!("{text}{error}"));
        assert_eq!(shown(&out.unwrap()), is);
    }
    assert!(unset(&plain("a: 1\n"), &[key("b")]).unwrap().is_none());
}

#[test]
fn a_large_document_takes_linear_time() {
    let text = (0..20_000).map(|i| format!("key{i}: value # c\n")).collect::<Vec<_>>().concat();
    let tree = read(&plain(&text)).unwrap();
    assert_eq!(tree.documents[0].root.entries().count(), 20_000);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[a-c:#\\-\\[\\]{},&*!|>'\" \n\r\t0-9é]{0,80}") {
        if let Ok(tree) = read(&plain(&text)) {
            let same = splice(&plain(&text), &tree, MetadataEdit::Keep);
            prop_assert!(same.is_ok_and(|out| shown(&out) == text));
        }
    }

    #[test]
    fn what_is_printed_is_read(value in any::<String>(), name in "[a-z<#: ]{1,12}") {
        // Line breaks of Unicode are bare in what go-yaml prints.
        // A merge key takes a map.
        prop_assume!(name != "<<");
        prop_assume!(!value.contains(['\u{85}', '\u{2028}', '\u{2029}', '\0']));
        let mut tree = Tree::default();
        let mut root = Map::default();
        root.push(&name, Node::Leaf(Leaf::text(&value)));
        tree.documents.push(Document { root, ..Document::default() });
        let out = print(&tree, None, 4).unwrap();
        let again = read(&out).unwrap();
        let Some(Node::Leaf(Leaf { value: Value::Str(found), .. })) =
            again.documents[0].root.find(&name) else {
                return Err(TestCaseError::fail(shown(&out)));
            };
        prop_assert_eq!(shown(found), value);
    }

    #[test]
    fn any_value_goes_in_and_comes_back(value in any::<String>(), before in prop::sample::select(vec![
        "a: X\nb: 1\n", "a: 'X' # c\n", "a: [\"X\", 1]\n", "- a: X\n", "a: {b: 'X'}\n", "a:\n  - X\n\nb:\n",
    ])) {
        let text = format!("k:\n{}", before.lines().map(|l| format!("  {l}\n")).collect::<Vec<_>>().concat());
        let mut tree = read(&plain(&text)).unwrap();
        for leaf in leaves(&mut tree.documents[0]) {
            if let Value::Str(_) = leaf.value {
                leaf.value = Value::Str(plain(&value));
                leaf.write = Write::Value;
            }
        }
        // The result is read again inside.
        prop_assert!(splice(&plain(&text), &tree, MetadataEdit::Keep).is_ok());
    }
}

#[test]
fn spots_are_exact() {
    let text = "a: 'x y'\nb: [1, \"z\"]\n";
    let mut tree = read(&plain(text)).unwrap();
    let spots: Vec<Spot> =
        leaves(&mut tree.documents[0]).iter().filter_map(|leaf| leaf.spot.clone()).collect();
    let parts: Vec<&str> = spots.iter().map(|spot| &text[spot.span.clone()]).collect();
    assert_eq!(parts, ["'x y'", "1", "\"z\""]);
    assert_eq!(spots[0].style, Style::Single);
    assert!(!spots[0].flow && spots[2].flow);
}
