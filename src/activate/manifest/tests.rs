//! Manifests good and bad: what is read, where faults are found, and that the schema that is shipped
//! is that of the types.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::sops_nix::{self, Surroundings};
use super::*;

const FILE: &str = "/nix/store/x-manifest.json";

fn parsed(manifest: &Value) -> Result<Manifest, String> {
    let text = serde_json::to_string_pretty(manifest).unwrap();
    Manifest::parse(Path::new(FILE), text.as_bytes(), Some(Path::new("/run/user/7")))
        .map_err(|error| error.to_string())
}

fn example() -> Value {
    json!({
        "version": 1,
        "stores": { "secrets": { "mountPoint": "/run/secrets.d", "link": "/run/secrets" } },
        "identities": [{ "file": "/etc/ssh/ssh_host_ed25519_key" }],
        "secrets": [
            { "name": "db/password", "store": "secrets", "file": "/nix/store/x-db.yaml",
              "key": ["db", "password"], "owner": "web", "group": 12, "mode": "0440",
              "links": ["/etc/db"], "restartUnits": ["web.service"] },
            { "name": "token", "store": "secrets", "file": "/nix/store/x-token.age" }
        ],
        "templates": [
            { "name": "web.conf", "store": "secrets", "content": "<secretctl:token>" }
        ],
        "placeholders": { "<X>": { "store": "secrets", "secret": "token" } },
        "services": { "web.service": { "credentials": { "tls": { "file": "/x" } } } }
    })
}

#[test]
fn what_may_be_left_out_has_its_default() {
    let manifest = parsed(&example()).unwrap();
    let store = &manifest.stores["secrets"];
    assert_eq!(
        (store.keep_generations, store.mode, store.phase),
        (1, FileMode(0o751), Phase::Normal)
    );
    assert_eq!(store.filesystem, Filesystem::Ramfs);
    let token = &manifest.secrets[1];
    assert_eq!((&token.owner, &token.group), (&Owner::Number(0), &Owner::Number(0)));
    assert_eq!((token.mode, token.required, token.format), (FileMode(0o400), true, Format::Auto));
    assert!(manifest.logging.keys && manifest.logging.changes && manifest.gnupg.is_none());
    let db = &manifest.secrets[0];
    assert_eq!((&db.owner, &db.group), (&Owner::Name("web".to_owned()), &Owner::Number(12)));
    assert_eq!(db.key.as_ref().unwrap().to_string(), "db/password");
}

/// A change of the example, the field that is at fault, and what is said of it.
type Case = (fn(&mut Value), &'static str, &'static str);

#[test]
fn every_fault_names_line_and_field() {
    let cases: [Case; 34] = [
        (|m| m["version"] = json!(2), "version", "version 2 is not known"),
        (|m| m["extra"] = json!(1), "extra", "unknown field `extra`"),
        (|m| m["secrets"][1]["extra"] = json!(1), "secrets[1].extra", "unknown field"),
        (|m| m["secrets"][0]["name"] = json!("../x"), "secrets[0].name", "cannot be the name"),
        (|m| m["secrets"][0]["name"] = json!("/etc/passwd"), "secrets[0].name", "begins with `/`"),
        (|m| m["secrets"][0]["name"] = json!("a//b"), "secrets[0].name", "part of it is empty"),
        (|m| m["secrets"][1]["name"] = json!("db"), "secrets[0].name", "`db` cannot be a folder"),
        (|m| m["secrets"][1]["name"] = json!("db/password"), "secrets[1].name", "secrets[0] has"),
        (|m| m["templates"][0]["name"] = json!("token"), "templates[0].name", "secrets[1] has"),
        (|m| m["secrets"][0]["mode"] = json!("4755"), "secrets[0].mode", "three octal digits"),
        (|m| m["secrets"][0]["mode"] = json!(400), "secrets[0].mode", "expected a string"),
        (|m| m["secrets"][0]["mode"] = json!("0490"), "secrets[0].mode", "three octal digits"),
        (|m| m["secrets"][0]["owner"] = json!(-1), "secrets[0].owner", "name or number"),
        (|m| m["secrets"][0]["owner"] = json!(4_294_967_295_u32), "secrets[0].owner", "too large"),
        (|m| m["secrets"][0]["owner"] = json!("a:b"), "secrets[0].owner", "cannot be the name of"),
        (|m| m["secrets"][0]["group"] = json!(""), "secrets[0].group", "cannot be the name of"),
        (|m| m["secrets"][0]["key"] = json!([]), "secrets[0].key", "at least one step"),
        (|m| m["secrets"][0]["file"] = json!("x.age"), "secrets[0].file", "has to be absolute"),
        (|m| m["secrets"][0]["format"] = json!("toml"), "secrets[0].format", "unknown variant"),
        (|m| m["secrets"][0]["links"] = json!(["/"]), "secrets[0].links[0]", "cannot be meant"),
        (|m| m["secrets"][0]["links"] = json!(["/a/../b"]), "secrets[0].links[0]", "`..` in it"),
        (
            |m| m["secrets"][0]["links"] = json!(["/nix/store/x"]),
            "secrets[0].links[0]",
            "Nix store",
        ),
        (
            |m| m["secrets"][0]["links"] = json!(["/run/secrets/y"]),
            "secrets[0].links[0]",
            "inside of",
        ),
        (
            |m| m["secrets"][0]["copies"] = json!(["/run"]),
            "secrets[0].copies[0]",
            "a folder of the",
        ),
        (|m| m["secrets"][1]["copies"] = json!(["/etc/db"]), "secrets[1].copies[0]", "there twice"),
        (
            |m| m["secrets"][0]["links"] = json!(["%r/x"]),
            "secrets[0].links[0]",
            "which mode `system`",
        ),
        (
            |m| m["secrets"][0]["restartUnits"] = json!(["web"]),
            "secrets[0].restartUnits[0]",
            "unit",
        ),
        (
            |m| m["secrets"][0]["store"] = json!("none"),
            "secrets[0].store",
            "there is no store `none`",
        ),
        (
            |m| m["stores"]["b"] = json!({ "mountPoint": "/run/secrets/b", "link": "/run/b" }),
            "stores.secrets.link",
            "lie in one another",
        ),
        (
            |m| m["identities"][0]["file"] = json!("/nix/store/x-key"),
            "identities[0].file",
            "take it for known",
        ),
        (|m| m["templates"][0]["file"] = json!("/x"), "templates[0]", "both a `content` and a"),
        (
            |m| m["placeholders"]["<X>"]["secret"] = json!("y"),
            "placeholders.<X>",
            "has no secret `y`",
        ),
        (
            |m| m["services"] = json!({ "web": { "credentials": {} } }),
            "services.web",
            "no name of a service",
        ),
        (|m| m["hostPublicKeys"] = json!(["ssh-ed25519 x"]), "hostPublicKeys[0]", ""),
    ];
    for (change, field, what) in cases {
        let mut manifest = example();
        change(&mut manifest);
        let error = parsed(&manifest).unwrap_err();
        let line = error.lines().find(|line| line.contains(&format!("`{field}`: ")));
        let line = line.unwrap_or_else(|| panic!("no `{field}` in: {error}"));
        assert!(line.contains(what), "no `{what}` in: {error}");
        let (number, rest) = line.trim().split_once(':').unwrap();
        assert!(number.parse::<usize>().unwrap() > 0 && rest.contains(':'), "{line}");
        assert!(error.starts_with(&format!("the manifest `{FILE}` cannot be used")), "{error}");
    }
}

#[test]
fn all_faults_are_told() {
    let mut manifest = example();
    manifest["secrets"][0]["store"] = json!("none");
    manifest["secrets"][1]["links"] = json!(["/run/secrets/x"]);
    manifest["templates"][0]["content"] = json!(null);
    let error = parsed(&manifest).unwrap_err();
    assert_eq!(error.lines().count(), 4, "{error}");
}

#[test]
fn paths_of_a_session_are_put_together() {
    let mut manifest = example();
    manifest["mode"] = json!("user");
    manifest["stores"]["secrets"] = json!({ "mountPoint": "%r/a.d", "link": "%r/a" });
    manifest["secrets"][0]["links"] = json!(["%r/x/y"]);
    let read = parsed(&manifest).unwrap();
    assert_eq!(read.stores["secrets"].link.as_path(), Path::new("/run/user/7/a"));
    assert_eq!(read.secrets[0].links[0].as_path(), Path::new("/run/user/7/x/y"));
    manifest["secrets"][0]["links"] = json!(["%r/../x"]);
    assert!(parsed(&manifest).unwrap_err().contains("`..` in it"));
    let text = manifest.to_string();
    assert!(Manifest::parse(Path::new(FILE), text.as_bytes(), None).is_err());
}

#[test]
fn the_schema_that_is_shipped_is_that_of_the_types() {
    let schema = schema();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(SCHEMA);
    let shipped = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        shipped == schema,
        "{SCHEMA} is stale: run `cargo test --lib the_schema -- --ignored` and look at it"
    );
}

/// Not a check: writes the schema.
#[test]
#[ignore = "it writes into the repository"]
fn bless_the_schema() {
    std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(SCHEMA), schema()).unwrap();
}

fn schema() -> String {
    let mut text = serde_json::to_string_pretty(&schemars::schema_for!(Manifest)).unwrap();
    text.push('\n');
    text
}

const SCHEMA: &str = "docs/reference/manifest.schema.json";

#[test]
fn the_page_of_the_manifest_names_every_field() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/manifest.md");
    let page = std::fs::read_to_string(file).unwrap();
    let schema: Value = serde_json::from_str(&schema()).unwrap();
    let parts = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    for part in parts {
        for field in part["properties"].as_object().into_iter().flat_map(|fields| fields.keys()) {
            assert!(page.contains(&format!("`{field}`")), "`{field}` is not in the page");
        }
    }
}

fn foreign(manifest: &Value) -> Result<sops_nix::Converted, String> {
    let text = serde_json::to_string_pretty(manifest).unwrap();
    let around = Surroundings {
        runtime: Some(Path::new("/run/user/7")),
        gpg: Some(PathBuf::from("/usr/bin/gpg")),
    };
    sops_nix::parse(Path::new(FILE), text.as_bytes(), &around).map_err(|error| error.to_string())
}

fn of_sops_nix() -> Value {
    json!({
        "secrets": [
            { "name": "a", "key": "x/y", "path": "/run/secrets/a", "owner": null, "uid": 0,
              "group": null, "gid": 0, "sopsFile": "/nix/store/x.yaml", "format": "yaml",
              "mode": "0400", "restartUnits": ["web"], "reloadUnits": null, "sopsFileHash": "",
              "neededForUsers": false },
            { "name": "b", "key": "", "path": "/etc/b", "owner": "web", "uid": 0, "group": "1000",
              "gid": 0, "sopsFile": "/nix/store/x.env", "format": "dotenv", "mode": "440" }
        ],
        "templates": [
            { "name": "t", "content": "P", "path": "/run/secrets/rendered/t", "mode": "0400",
              "uid": 5, "gid": 6, "file": "/ignored" }
        ],
        "placeholderBySecretName": { "a": "<SOPS:a>", "b": "<SOPS:b>", "early": "<SOPS:early>" },
        "secretsMountPoint": "/run/secrets.d", "symlinkPath": "/run/secrets", "keepGenerations": 3,
        "gnupgHome": null, "sshKeyPaths": ["/etc/rsa"], "ageKeyFile": "/var/age.txt",
        "ageSshKeyPaths": ["/etc/ed25519", "/nix/store/x-key"], "useTmpfs": true, "userMode": false,
        "logging": { "keyImport": false, "secretChanges": true }, "new": 1
    })
}

#[test]
fn the_manifest_of_sops_nix_is_ours_in_other_words() {
    let sops_nix::Converted { manifest, keys_in_store } = foreign(&of_sops_nix()).unwrap();
    let store = &manifest.stores["secrets"];
    assert_eq!((store.keep_generations, store.filesystem), (3, Filesystem::Tmpfs));
    let (a, b) = (&manifest.secrets[0], &manifest.secrets[1]);
    assert_eq!(a.key.as_ref().unwrap().steps(), ["x", "y"]);
    assert!(a.links.is_empty() && a.restart_units[0].as_str() == "web.service");
    assert_eq!((&b.owner, &b.group), (&Owner::Name("web".into()), &Owner::Name("1000".into())));
    assert_eq!((b.format, b.key.as_ref(), b.mode), (Format::Dotenv, None, FileMode(0o440)));
    assert_eq!(b.links[0].as_path(), Path::new("/etc/b"));
    let template = &manifest.templates[0];
    assert_eq!((template.name.as_str(), template.content.as_deref()), ("rendered/t", Some("P")));
    assert_eq!((&template.owner, template.file.as_ref()), (&Owner::Number(5), None));
    assert!(template.links.is_empty() && manifest.placeholders.len() == 2);
    assert_eq!(manifest.absent["<SOPS:early>"], "early");
    let identities: Vec<&Path> = manifest.identities.iter().map(|one| one.file.as_path()).collect();
    assert_eq!(
        identities,
        ["/etc/ed25519", "/nix/store/x-key", "/var/age.txt", "/etc/rsa"].map(Path::new)
    );
    assert_eq!(keys_in_store, [Path::new("/nix/store/x-key")]);
    assert!(!manifest.logging.keys && manifest.logging.changes);
}

#[test]
fn what_sops_nix_would_do_by_accident_is_refused() {
    let cases: [Case; 6] = [
        (|m| m["secrets"][0]["name"] = json!("../x"), "secrets[0].name", "cannot be the name"),
        (|m| m["secrets"][1]["name"] = json!("a"), "secrets[1].name", "secrets[0] has this name"),
        (|m| m["secrets"][1]["name"] = json!("rendered/t"), "templates[0].name", "secrets[1] has"),
        (|m| m["secrets"][1]["name"] = json!("a/b"), "secrets[1].name", "cannot be a folder"),
        (|m| m["secrets"][1]["mode"] = json!("999"), "secrets[1].mode", "octal"),
        (|m| m["gnupgHome"] = json!("/x"), "gnupgHome", "mutually exclusive"),
    ];
    for (change, field, what) in cases {
        let mut manifest = of_sops_nix();
        change(&mut manifest);
        let error = foreign(&manifest).unwrap_err();
        assert!(error.contains(&format!("`{field}`: ")) && error.contains(what), "{error}");
    }
}

#[test]
fn paths_of_user_mode_are_expanded_as_there() {
    let mut manifest = of_sops_nix();
    manifest["userMode"] = json!(true);
    manifest["secretsMountPoint"] = json!("%r/secrets.d");
    manifest["symlinkPath"] = json!("/home/me/%%r/secrets");
    manifest["secrets"][0]["path"] = json!("/home/me/%r/secrets/a");
    manifest["secrets"][1]["path"] = json!("%r/b%%r");
    manifest["templates"][0]["path"] = json!("/home/me/%%r/secrets/rendered/t");
    let read = foreign(&manifest).unwrap().manifest;
    let store = &read.stores["secrets"];
    assert_eq!(store.mount_point.as_path(), Path::new("/run/user/7/secrets.d"));
    assert_eq!(store.link.as_path(), Path::new("/home/me/%r/secrets"));
    assert_eq!(read.secrets[0].links[0].as_path(), Path::new("/home/me//run/user/7/secrets/a"));
    assert_eq!(read.secrets[1].links[0].as_path(), Path::new("/run/user/7/b%r"));
    assert!(read.templates[0].links.is_empty() && read.mode == Mode::User);
}

#[test]
fn what_is_huge_or_deep_ends_soon() {
    let deep = format!("{{\"secrets\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let many: Vec<Value> = (0..2_000)
        .map(|at| json!({ "name": "same", "store": format!("s{at}"), "file": "/x" }))
        .collect();
    let mut manifest = example();
    manifest["secrets"] = json!(many);
    let stores = (0..500).map(|at| {
        let store = json!({ "mountPoint": format!("/run/{at}.d"), "link": format!("/run/{at}") });
        (format!("s{at}"), store)
    });
    let mut crowded = example();
    crowded["stores"] = Value::Object(stores.collect());
    for text in [deep, manifest.to_string(), crowded.to_string(), String::new(), "[]".into()] {
        assert!(Manifest::parse(Path::new(FILE), text.as_bytes(), None).is_err());
    }
    let error = parsed(&manifest).unwrap_err();
    assert!(error.contains("more faults are not told"), "{error}");
}

proptest! {
    /// Whatever is put in the place of a value, nothing panics, and nothing that leads out of the
    /// store gets through.
    #[test]
    fn changed_manifests_never_panic(at in 0_usize..4000, with in "[\\[\\]{}\",:./%a-z0-9-]{0,6}") {
        for (text, ours) in [(example().to_string(), true), (of_sops_nix().to_string(), false)] {
            let at = at.min(text.len());
            let end = at.saturating_add(with.len()).min(text.len());
            let changed = format!("{}{with}{}", &text[..at], &text[end..]);
            let read = if ours {
                Manifest::parse(Path::new(FILE), changed.as_bytes(), None).ok()
            } else {
                foreign_text(&changed)
            };
            for secret in read.iter().flat_map(|manifest| &manifest.secrets) {
                prop_assert!(!secret.name.as_str().split('/').any(|part| part == ".." || part.is_empty()));
            }
        }
    }
}

fn foreign_text(text: &str) -> Option<Manifest> {
    let around = Surroundings { runtime: None, gpg: None };
    let read = sops_nix::parse(Path::new(FILE), text.as_bytes(), &around);
    read.ok().map(|converted| converted.manifest)
}

/// What systemd has to put both names into is that short.
#[test]
fn names_of_service_and_credential_have_a_limit_together() {
    let with = |length: usize| {
        let mut manifest = example();
        let name = "x".repeat(length.saturating_sub("web.service".len()));
        manifest["services"]["web.service"]["credentials"][name] = json!({ "file": "/x" });
        parsed(&manifest)
    };
    assert!(with(83).is_ok());
    let error = with(84).unwrap_err();
    assert!(error.contains("longer than the 83 bytes"), "{error}");
}
