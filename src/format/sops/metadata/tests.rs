//! Metadata of many versions, read, and written as the newest does. Peers are for
//! `tests/sops_keys.rs`.

use serde_json::{Value as Json, json};

use super::*;
use crate::format::sops::tree::MapItem;

fn node(json: &Json) -> Node {
    let number = |text: String| Value::Int(Plaintext::new(text.into_bytes()));
    match json {
        Json::Null => Node::Leaf(Leaf::new(Value::Null)),
        Json::Bool(flag) => Node::Leaf(Leaf::new(Value::Bool(*flag))),
        Json::Number(digits) => Node::Leaf(Leaf::new(number(digits.to_string()))),
        Json::String(string) => text(string),
        Json::Array(items) => {
            Node::List(List { items: items.iter().map(|i| ListItem::Value(node(i))).collect() })
        }
        Json::Object(_) => Node::Map(map(json)),
    }
}

fn map(json: &Json) -> Map {
    let mut map = Map::default();
    for (key, value) in json.as_object().unwrap() {
        map.push(key, node(value));
    }
    map
}

/// As JSON; the order of the keys is checked on the way.
fn back(node: &Node) -> Json {
    match node {
        Node::Leaf(leaf) => match &leaf.value {
            Value::Null => Json::Null,
            Value::Bool(flag) => json!(flag),
            Value::Int(_) => json!(text_of(&leaf.value).unwrap().parse::<i64>().unwrap()),
            Value::Str(_) => json!(text_of(&leaf.value).unwrap()),
            Value::Float(_) | Value::Time(_) => panic!("only texts are written"),
        },
        Node::List(list) => list.values().map(back).collect(),
        Node::Map(map) => {
            let keys: Vec<&str> = map.entries().map(|entry| entry.key.as_str()).collect();
            assert!(keys.is_sorted(), "{keys:?}");
            map.entries().map(|entry| (entry.key.clone(), back(&entry.value))).collect()
        }
    }
}

fn read(json: &Json) -> Metadata {
    Metadata::read(&map(json)).unwrap()
}

#[track_caller]
fn becomes(json: &Json, written: &Json) {
    assert_eq!(&back(&Node::Map(read(json).to_map())), written);
}

fn refused(json: &Json) -> String {
    Metadata::read(&map(json)).unwrap_err().to_string()
}

const ALICE: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN";

#[test]
fn the_newest_shape_comes_back_as_it_was() {
    let all = json!({
        "age": [
            {"enc": "E\n", "recipient": format!("{ALICE} alice@laptop")},
            {"enc": "E", "recipient": format!("{ALICE}  two  blanks")},
            {"enc": "E", "recipient": "age1broken"},
        ],
        "azure_kv": [{"created_at": "T", "enc": "E", "name": "n", "vault_url": "u", "version": ""}],
        "gcp_kms": [{"created_at": "T", "enc": "E", "resource_id": "projects/p"}],
        "hc_vault": [{"created_at": "T", "enc": "E", "engine_path": "e", "key_name": "k",
            "vault_address": "https://v"}],
        "hckms": [{"created_at": "T", "enc": "E", "key_id": "eu:1"}],
        "kms": [
            {"arn": "a", "aws_profile": "", "created_at": "T", "enc": "E"},
            {"arn": "a", "aws_profile": "p", "context": {"b": "2", "c": ""}, "created_at": "T",
                "enc": "E", "role": "r", "new": {"x": [1, null, true]}},
        ],
        "lastmodified": "2026-01-02T03:04:05Z",
        "mac": "ENC[x]",
        "mac_only_encrypted": true,
        "new_kms": [{"id": "x"}],
        "pgp": [{"created_at": "T", "enc": "-----BEGIN", "fp": "ABCD"}],
        "shamir_threshold": 2,
        "encrypted_regex": "^data$",
        "version": "9.0.0",
    });
    becomes(&all, &all);
    let metadata = read(&all);
    let kinds: Vec<&str> = metadata.keys().map(|entry| entry.key.kind().name()).collect();
    let order = "kms kms gcp_kms hckms azure_kv hc_vault pgp age age age";
    assert_eq!(kinds.join(" "), order);
    assert_eq!(metadata.needed_groups(), 1);

    let groups = json!({
        "key_groups": [
            {"age": [{"enc": "E", "recipient": ALICE}], "hc_vault": []},
            {"age": [], "hc_vault": [], "new": [{"id": "x"}],
                "pgp": [{"created_at": "T", "enc": "E", "fp": "AB"}]},
            {"age": [], "hc_vault": []},
        ],
        "lastmodified": "T", "mac": "", "version": "3.13.3",
    });
    becomes(&groups, &groups);
    assert_eq!(read(&groups).needed_groups(), 3);
    assert!(!read(&groups).is_encrypted() && read(&all).is_encrypted());
}

#[test]
fn old_and_loose_shapes_are_read() {
    let newest = json!({
        "lastmodified": "2020-01-02T03:04:05Z", "mac": "M",
        "pgp": [{"created_at": "2019-01-01T00:00:00Z", "enc": "E", "fp": "AB"}],
        "unencrypted_suffix": "_plain", "version": VERSION,
    });
    // Before 3.13: other orders, empty lists or none, no version; in INI and dotenv all is text.
    becomes(
        &json!({
            "kms": null, "gcp_kms": [], "azure_kv": "", "hc_vault": {}, "key_groups": null,
            "pgp": [{"fp": "AB", "created_at": "2019-01-01T00:00:00Z", "enc": "E"}],
            "lastmodified": "2020-01-02T03:04:05Z", "mac": "M", "unencrypted_suffix": "_plain",
            "encrypted_suffix": null, "shamir_threshold": "0", "mac_only_encrypted": "false",
        }),
        &newest,
    );
    // A map alone is a list of one; and direct lists win over groups.
    becomes(
        &json!({
            "pgp": {"fp": "AB", "created_at": "2019-01-01T00:00:00Z", "enc": "E"},
            "key_groups": [{"age": [{"enc": "E", "recipient": "x"}]}], "shamir_threshold": 0,
            "lastmodified": "2020-01-02T03:04:05Z", "mac": "M", "unencrypted_suffix": "_plain",
        }),
        &newest,
    );
    // One group is no group; what is beside its keys stays beside them.
    let keys = &newest["pgp"];
    becomes(
        &json!({
            "key_groups": [{"pgp": keys, "new": 1, "mac": "lost"}], "version": VERSION,
            "lastmodified": "T", "mac": "M",
        }),
        &json!({"lastmodified": "T", "mac": "M", "new": 1, "pgp": keys, "version": VERSION}),
    );
    for (flag, is) in [(json!("1"), true), (json!(2), true), (json!("T"), true), (json!(""), false)]
    {
        let text = json!({"pgp": [{"fp": 12}], "lastmodified": "T", "mac_only_encrypted": flag,
            "shamir_threshold": "2", "version": 3});
        let metadata = read(&text);
        assert_eq!((metadata.mac_only_encrypted, metadata.shamir_threshold), (is, Some(2)));
        assert_eq!((metadata.mac, metadata.version.as_deref()), (None, Some("3")));
        assert_eq!(metadata.groups[0][0].key, WrappingKey::Pgp("12".to_owned()));
    }
}

#[test]
fn times_without_quotes_are_texts_and_the_last_duplicate_counts() {
    let mut source = map(&json!({"pgp": [{"fp": "AB"}], "lastmodified": "first", "version": "1"}));
    let time = Value::Time(Plaintext::copy_of(b"2020-01-02T03:04:05Z"));
    source.push("lastmodified", Node::Leaf(Leaf::new(time)));
    source.items.retain(|item| matches!(item, MapItem::Entry(_)));
    assert_eq!(Metadata::read(&source).unwrap().last_modified, "2020-01-02T03:04:05Z");
}

#[test]
fn errors_name_the_field_and_no_value() {
    let base = |field: &str, value: Json| {
        let mut all = json!({"pgp": [{"fp": "AB"}], "lastmodified": "T"});
        all[field] = value;
        refused(&all)
    };
    let text = "`shamir_threshold` in the metadata of sops is not a number of groups";
    assert_eq!(base("shamir_threshold", json!("canary")), text);
    assert_eq!(
        base("kms", json!([{"arn": "a"}, {"arn": ["canary"]}])),
        "`kms[1].arn` in the metadata of sops is a list or map and should be a text"
    );
    assert_eq!(
        base("kms", json!([{"context": {"x": [1]}}])),
        "`kms[0].context.x` in the metadata of sops is a list or map and should be a text"
    );
    assert_eq!(base("age", json!(["canary"])), "`age[0]` in the metadata of sops is not a map");
    assert_eq!(base("age", json!("canary")), "`age` in the metadata of sops is not a list");
    assert_eq!(
        base("lastmodified", json!("")),
        "`lastmodified` in the metadata of sops is missing"
    );
    assert_eq!(
        refused(&json!({"pgp": [{"fp": "A"}], "lastmodified": "T", "encrypted_regex": "a",
            "encrypted_suffix": "b"})),
        "`encrypted_regex` in the metadata of sops stands beside another rule of its kind"
    );
    assert_eq!(
        base("mac_only_encrypted", json!("canary")),
        "`mac_only_encrypted` in the metadata of sops is neither true nor false"
    );
    let nobody = refused(&json!({"lastmodified": "T", "key_groups": [{"age": []}]}));
    let text = "the metadata of sops are of no use: they name no key that could open the file";
    assert_eq!(nobody, text);
    let deep = json!({"lastmodified": "T", "key_groups": [{}, {"age": [1]}]});
    assert_eq!(refused(&deep), "`key_groups[1].age[0]` in the metadata of sops is not a map");
}

#[test]
fn a_key_is_removed_wherever_it_is() {
    let mut metadata = read(&json!({
        "key_groups": [
            {"age": [{"enc": "E", "recipient": format!("{ALICE} a")}], "pgp": [{"fp": "AB"}]},
            {"age": [{"enc": "E", "recipient": ALICE}]},
        ],
        "lastmodified": "T",
    }));
    let alice = metadata.wrapping_keys()[1][0].clone();
    assert_eq!(metadata.remove(&alice), 2);
    assert_eq!(metadata.wrapping_keys(), [vec![WrappingKey::Pgp("AB".to_owned())], vec![]]);
}
