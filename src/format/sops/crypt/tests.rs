//! Against files of sops, read by a reader of our own that knows no comments and sorts keys.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::*;
use crate::format::sops::data_key::DataKey;
use crate::format::sops::select::Rule;
use crate::format::sops::time;
use crate::format::sops::tree::Entry;

struct File {
    tree: Tree,
    metadata: serde_json::Map<String, Json>,
    cipher: Cipher,
    selector: Selector,
}

impl File {
    fn read(name: &str) -> Self {
        let mut json = read(name);
        let Some(Json::Object(metadata)) = json.as_object_mut().unwrap().remove("sops") else {
            panic!("no metadata");
        };
        let cipher = Cipher::new(&data_key(metadata["age"][0]["enc"].as_str().unwrap()));
        let selector = Selector::new(rule(&metadata).as_ref()).unwrap();
        Self { tree: tree(&json), metadata, cipher, selector }
    }

    fn job(&self) -> Job<'_> {
        let mac_only_encrypted = self.metadata.contains_key("mac_only_encrypted");
        Job { selector: &self.selector, mac_only_encrypted, cipher: &self.cipher, exact: false }
    }

    /// Whether the values are those that the MAC is over.
    fn decrypt(&mut self) -> Result<bool, Failed> {
        let mut tree = std::mem::take(&mut self.tree);
        let done = decrypt(&mut tree, self.job())?;
        self.tree = tree;
        let mac = self.metadata["mac"].as_str().unwrap();
        let modified = self.metadata["lastmodified"].as_str().unwrap();
        let bound = time::without_fraction(modified).unwrap();
        let stored = self.cipher.decrypt(mac.as_bytes(), bound.as_bytes()).unwrap();
        Ok(stored.1.same_as(&done.mac))
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/sops")
}

fn read(name: &str) -> Json {
    serde_json::from_slice(&std::fs::read(folder().join(name)).unwrap()).unwrap()
}

fn data_key(enc: &str) -> DataKey {
    let keys = std::fs::read_to_string(folder().join("key.txt")).unwrap();
    let key: age::x25519::Identity =
        keys.lines().find(|line| line.starts_with("AGE-")).unwrap().parse().unwrap();
    let armor = age::armor::ArmoredReader::new(enc.as_bytes());
    let decryptor = age::Decryptor::new(armor).unwrap();
    let mut bytes = Vec::new();
    let mut reader = decryptor.decrypt(std::iter::once(&key as &dyn age::Identity)).unwrap();
    reader.read_to_end(&mut bytes).unwrap();
    DataKey::from_plaintext(Plaintext::new(bytes)).unwrap()
}

fn rule(metadata: &serde_json::Map<String, Json>) -> Option<Rule> {
    type Make = fn(String) -> Rule;
    let makes: [Make; 4] = [
        Rule::EncryptedRegex,
        Rule::UnencryptedRegex,
        Rule::EncryptedSuffix,
        Rule::UnencryptedSuffix,
    ];
    makes.iter().find_map(|make| {
        let name = make(String::new()).name();
        metadata.get(name).map(|text| make(text.as_str().unwrap().to_owned()))
    })
}

fn tree(json: &Json) -> Tree {
    let Node::Map(root) = node(json) else { panic!("no map") };
    Tree { documents: vec![Document { root, ..Document::default() }] }
}

fn node(json: &Json) -> Node {
    let copy = |text: &str| Plaintext::copy_of(text.as_bytes());
    let value = match json {
        Json::Object(map) => {
            let items = map.iter().map(|(key, value)| {
                MapItem::Entry(Entry { key: key.clone(), key_span: 0..0, value: node(value) })
            });
            return Node::Map(Map { items: items.collect() });
        }
        Json::Array(list) => {
            let items = list.iter().map(|item| ListItem::Value(node(item)));
            return Node::List(List { items: items.collect() });
        }
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) if number.is_i64() => Value::Int(copy(&number.to_string())),
        Json::Number(number) => Value::Float(copy(&number.to_string())),
        Json::String(text) => Value::Str(copy(text)),
    };
    Node::Leaf(Leaf::new(value))
}

/// As sops would write the values: type and bytes, keys before them.
fn shown(map: &Map) -> Vec<String> {
    let mut lines = Vec::new();
    show(&mut lines, "", &map.items.iter().collect::<Vec<_>>());
    lines
}

fn show(lines: &mut Vec<String>, at: &str, items: &[&MapItem]) {
    for item in items {
        match item {
            MapItem::Entry(entry) => show_node(lines, &format!("{at}/{}", entry.key), &entry.value),
            MapItem::Comment(comment) => lines.push(format!("{at}#{}", text(&comment.text))),
        }
    }
}

fn show_node(lines: &mut Vec<String>, at: &str, node: &Node) {
    match node {
        Node::Map(map) => show(lines, at, &map.items.iter().collect::<Vec<_>>()),
        Node::List(list) => {
            for item in &list.items {
                match item {
                    ListItem::Value(node) => show_node(lines, &format!("{at}[]"), node),
                    ListItem::Comment(comment) => {
                        lines.push(format!("{at}[]#{}", text(&comment.text)));
                    }
                }
            }
        }
        Node::Leaf(leaf) => lines.push(match value::bytes_of(&leaf.value).unwrap() {
            Some((kind, bytes)) => {
                let bytes = String::from_utf8_lossy(bytes.slice()).into_owned();
                format!("{at}={}:{bytes}", kind.name())
            }
            None => format!("{at}=null"),
        }),
    }
}

#[expect(clippy::disallowed_methods, reason = "test")]
fn text(text: &Plaintext) -> String {
    String::from_utf8_lossy(text.expose()).into_owned()
}

fn comment(text: &str) -> Comment {
    let text = Plaintext::copy_of(text.as_bytes());
    Comment { text, spot: None, inline: false, write: Write::Keep }
}

fn cipher() -> Cipher {
    // test-only
    Cipher::new(&DataKey::from_plaintext(Plaintext::copy_of(&[7; 32])).unwrap())
}

const FILES: [&str; 6] = [
    "plain.json",
    "encrypted_regex.json",
    "unencrypted_regex.json",
    "encrypted_suffix.json",
    "unencrypted_suffix.json",
    "mac_only.json",
];

#[test]
fn reads_what_sops_wrote_under_every_rule_of_keys() {
    let expected = shown(&tree(&read("plain.json")).documents[0].root);
    for version in ["3.13.1", "3.13.3"] {
        // before 3.13.2, every number of JSON was a float
        let numbers = |line: &String| match version {
            "3.13.1" => line.replace("=int:", "=float:"),
            _ => line.clone(),
        };
        for name in FILES {
            let mut file = File::read(&format!("{version}-{name}"));
            assert!(file.decrypt().unwrap(), "{version} {name}");
            let found = shown(&file.tree.documents[0].root);
            let same = found.iter().map(numbers).eq(expected.iter().map(numbers));
            assert!(same, "{version} {name}: {found:?}");
        }
    }
}

#[test]
fn encrypts_the_same_values_as_sops() {
    for name in FILES {
        let theirs = File::read(&format!("3.13.3-{name}"));
        let mut ours = tree(&read("plain.json"));
        let done = encrypt(&mut ours, theirs.job(), None).unwrap().unwrap();
        let kinds = |tree: &Tree| -> Vec<String> {
            let hide = |line: String| match line.split_once("=str:ENC[") {
                Some((at, rest)) => format!("{at}={}", rest.rsplit_once(",type:").unwrap().1),
                None => line,
            };
            shown(&tree.documents[0].root).into_iter().map(hide).collect()
        };
        assert_eq!(kinds(&ours), kinds(&theirs.tree), "{name}");
        let again = decrypt(&mut ours, theirs.job()).unwrap();
        assert!(again.mac.same_as(&done.mac), "{name}");
        assert_eq!(
            shown(&ours.documents[0].root),
            shown(&tree(&read("plain.json")).documents[0].root)
        );
    }
}

/// Changes a file of sops, which must then name what is wrong and where.
fn tampered(change: impl Fn(&mut serde_json::Map<String, Json>)) -> Result<bool, Failed> {
    let mut file = File::read("3.13.3-plain.json");
    let mut json = read("3.13.3-plain.json");
    let map = json.as_object_mut().unwrap();
    map.remove("sops");
    change(map);
    file.tree = tree(&json);
    file.decrypt()
}

fn refused(change: impl Fn(&mut serde_json::Map<String, Json>)) -> (String, ValueError, usize) {
    let failed = tampered(change).unwrap_err();
    (crate::format::sops::store::Way(&failed.way).to_string(), failed.what, failed.others)
}

fn replace(json: &mut Json, from: &str, to: &str) {
    *json = json.as_str().unwrap().replacen(from, to, 1).into();
}

#[test]
fn a_changed_value_is_refused_at_its_place() {
    let changed = refused(|map| replace(&mut map["hidden_s"]["deep"][2]["k"], "data:", "data:A"));
    assert_eq!(changed, (r#"["hidden_s"]["deep"][2]["k"]"#.into(), ValueError::Malformed, 0));
    let changed = refused(|map| {
        let tag = map["apple"].as_str().unwrap().split(",tag:").nth(1).unwrap()[..1].to_owned();
        let other = if tag == "A" { "tag:B" } else { "tag:A" };
        replace(&mut map["apple"], &format!("tag:{tag}"), other);
    });
    assert_eq!(changed, (r#"["apple"]"#.into(), ValueError::Tampered, 0));
    let plain = refused(|map| map["apple"] = "words".into());
    assert_eq!(plain, (r#"["apple"]"#.into(), ValueError::NotEncrypted, 0));
    let number = refused(|map| map["int"] = 42.into());
    assert_eq!(number, (r#"["int"]"#.into(), ValueError::NotText, 0));
}

#[test]
fn values_that_change_places_are_refused_at_both() {
    let swapped = refused(|map| {
        let (apple, int) = (map["apple"].clone(), map["int"].clone());
        map["apple"] = int;
        map["int"] = apple;
    });
    assert_eq!(swapped, (r#"["apple"]"#.into(), ValueError::Tampered, 1));
    let moved = refused(|map| {
        let value = map.remove("apple").unwrap();
        map.insert("pear".into(), value);
    });
    assert_eq!(moved, (r#"["pear"]"#.into(), ValueError::Tampered, 0));
}

#[test]
fn a_type_that_does_not_fit_is_refused() {
    let changed = refused(|map| replace(&mut map["apple"], "type:str", "type:int"));
    assert_eq!(changed, (r#"["apple"]"#.into(), ValueError::Content(Kind::Int), 0));
    let changed = refused(|map| replace(&mut map["apple"], "type:str", "type:comment"));
    assert_eq!(changed, (r#"["apple"]"#.into(), ValueError::Comment, 0));
    // the type is not part of what is encrypted, and the MAC does not see it
    assert!(tampered(|map| replace(&mut map["int"], "type:int", "type:str")).unwrap());
}

#[test]
fn what_is_missing_or_hidden_is_seen_by_the_mac() {
    let remove = |map: &mut serde_json::Map<String, Json>| {
        map["hidden_s"]["deep"].as_array_mut().unwrap().remove(0);
    };
    assert!(!tampered(remove).unwrap());
    let key = |map: &mut serde_json::Map<String, Json>| {
        map.remove("apple");
    };
    assert!(!tampered(key).unwrap());
    let plain = |map: &mut serde_json::Map<String, Json>| {
        map["meta_unencrypted"]["public"] = "other".into();
    };
    assert!(!tampered(plain).unwrap());
    // an item of a list that is called a comment is none for the MAC
    let hide = |map: &mut serde_json::Map<String, Json>| {
        replace(&mut map["hidden_s"]["deep"][0], "type:str", "type:comment");
    };
    assert!(!tampered(hide).unwrap());
}

#[test]
fn another_key_opens_nothing() {
    let mut file = File::read("3.13.3-plain.json");
    let cipher = cipher();
    let mut tree = std::mem::take(&mut file.tree);
    let job = Job { cipher: &cipher, ..file.job() };
    let Failed { done, others, .. } = decrypt(&mut tree, job).unwrap_err();
    assert_eq!(done, 0);
    assert!(others > 5);
}

fn with_comments() -> Tree {
    let mut inner = List::default();
    inner.items.push(ListItem::Comment(comment(" in list")));
    inner.items.push(ListItem::Value(Node::Leaf(Leaf::text("x"))));
    let mut root = Map::default();
    root.items.push(MapItem::Comment(comment(" top")));
    root.push("list", Node::List(inner));
    root.items.push(MapItem::Comment(comment("")));
    root.push("value", Node::Leaf(Leaf::text("y")));
    Tree { documents: vec![Document { root, ..Document::default() }] }
}

#[test]
fn comments_are_bound_to_what_they_stand_in() {
    let (cipher, selector) = (cipher(), Selector::new(None).unwrap());
    let job = Job { selector: &selector, mac_only_encrypted: false, cipher: &cipher, exact: false };
    let mut tree = with_comments();
    let before = shown(&tree.documents[0].root);
    let done = encrypt(&mut tree, job, None).unwrap().unwrap();
    let MapItem::Comment(top) = &tree.documents[0].root.items[0] else { panic!() };
    assert!(cipher.decrypt(text(&top.text).as_bytes(), b":").is_ok());

    // as sops writes it, an encrypted comment of a list is an item
    let MapItem::Entry(entry) = &mut tree.documents[0].root.items[1] else { panic!() };
    let Node::List(list) = &mut entry.value else { panic!() };
    let ListItem::Comment(first) = &list.items[0] else { panic!() };
    let first = text(&first.text);
    assert!(cipher.decrypt(first.as_bytes(), b"list:").is_ok());
    list.items[0] = ListItem::Value(Node::Leaf(Leaf::text(&first)));

    let again = decrypt(&mut tree, job).unwrap();
    assert!(again.mac.same_as(&done.mac));
    assert_eq!(again.comments_left, 0);
    assert_eq!(shown(&tree.documents[0].root), before);
}

#[test]
fn a_comment_that_cannot_be_read_stays() {
    let (cipher, selector) = (cipher(), Selector::new(None).unwrap());
    let job = Job { selector: &selector, mac_only_encrypted: false, cipher: &cipher, exact: false };
    let mut tree = with_comments();
    encrypt(&mut tree, job, None).unwrap().unwrap();
    let broken = "ENC[AES256_GCM,data:AAAA,iv:AAAA,tag:AAAA,type:comment]";
    tree.documents[0].root.items[0] = MapItem::Comment(comment(broken));
    tree.documents[0].root.items.push(MapItem::Comment(comment(" by hand")));
    assert_eq!(decrypt(&mut tree, job).unwrap().comments_left, 1);
    assert_eq!(shown(&tree.documents[0].root)[0], format!("#{broken}"));
}

#[test]
fn a_comment_that_could_not_be_read_again_is_refused() {
    let cipher = cipher();
    let rule = Rule::UnencryptedCommentRegex("type:".into());
    let selector = Selector::new(Some(&rule)).unwrap();
    let job = Job { selector: &selector, mac_only_encrypted: false, cipher: &cipher, exact: false };
    let failed = encrypt(&mut with_comments(), job, None).unwrap().unwrap_err();
    assert_eq!(failed.what, ValueError::Ambiguous);
    assert_eq!(failed.others, 1);
}

#[test]
fn a_comment_encrypts_what_follows_it_in_a_list() {
    let cipher = cipher();
    let rule = Rule::EncryptedCommentRegex("^ in".into());
    let selector = Selector::new(Some(&rule)).unwrap();
    let job = Job { selector: &selector, mac_only_encrypted: true, cipher: &cipher, exact: false };
    let mut tree = with_comments();
    let before = shown(&tree.documents[0].root);
    encrypt(&mut tree, job, None).unwrap().unwrap();
    let lines = shown(&tree.documents[0].root);
    assert_eq!(lines[0], "# top");
    assert_eq!(lines[1], "/list[]# in list");
    assert!(lines[2].starts_with("/list[]=str:ENC["), "{}", lines[2]);
    assert_eq!(lines[4], "/value=str:y");
    decrypt(&mut tree, job).unwrap();
    assert_eq!(shown(&tree.documents[0].root), before);
}
