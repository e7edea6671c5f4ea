//! The units of sops-nix, with the program under the name of its installer: manifests are those that
//! sops-nix makes, for users and for the rest.

use serde_json::{Value, json};

use crate::{CANARY, Guest, HASH, PASSWORD, guest, host};

#[test]
fn the_units_of_sops_nix_run_with_our_program() {
    for debian in guest::all() {
        let guest = host(&debian);
        for (suffix, wants) in [("", "sysinit.target"), ("-for-users", "systemd-sysusers.service")]
        {
            let name = format!("sops-install-secrets{suffix}.service");
            guest.put(&format!("{UNITS}/{name}"), unit(suffix), 0o644);
            guest.link(&format!("../{name}"), &format!("{UNITS}/{wants}.wants/{name}"));
        }
        guest.put(&format!("{UNITS}/systemd-sysusers.service.d/overrides.conf"), SYSUSERS, 0o644);
        for (name, text) in [("restarted", "start"), ("untouched", "start")] {
            let unit = format!(
                "[Unit]\nDescription={name}\n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
                 ExecStart=/bin/sh -c 'echo {text} >>/report/{name}'\n"
            );
            guest.put(&format!("{UNITS}/{name}.service"), unit, 0o644);
        }
        manifest(&guest, "/etc/manifest-for-users.json", "/run/secrets-for-users", &[alice()]);
        manifest(&guest, "/etc/manifest.json", "/run/secrets", &secrets("changing.age"));
        manifest(&guest, "/etc/manifest-2.json", "/run/secrets", &secrets("changing-2.age"));
        manifest(&guest, "/etc/manifest-3.json", "/run/secrets", &secrets("strange.age"));
        let boot = guest.boot(include_str!("sops_nix.sh"));

        boot.is("units", "active\nactive");
        boot.is("filesystem", "ramfs");
        boot.is("value", &format!("400 0 0 {PASSWORD}"));
        boot.is("owned", &format!("440 990 990 {CANARY}"));
        boot.is("link", &format!("/run/secrets/linked {CANARY}"));
        boot.is("template", &format!("640 990 991 password={PASSWORD}"));
        boot.is("hash", &format!("{HASH}\n{HASH}"));
        boot.succeeded("check");
        boot.failed("check-broken");
        boot.is("changed", "second");
        boot.is("restarted-2", "start\nstart");
        boot.is("untouched-2", "start");
        // sops-nix would not install the others, and starts over at the next boot.
        boot.is("state-of-failing", "failed");
        boot.is("kept", &format!("second\n{CANARY}"));
    }
}

/// The unit, as the module of sops-nix would make it.
fn unit(suffix: &str) -> String {
    let order = match suffix {
        "" => "After=local-fs.target systemd-sysusers.service\n",
        _ => "Before=systemd-sysusers.service\n",
    };
    format!(
        "[Unit]\nDefaultDependencies=no\n{order}RequiresMountsFor=/etc/ssh\n\
         [Service]\nType=oneshot\nRemainAfterExit=yes\n\
         Environment=SOPS_RESTART_UNITS_VIA_SYSTEMCTL=1\n\
         ExecStart=/opt/secretctl/bin/sops-install-secrets {} /etc/manifest{suffix}.json\n",
        if suffix.is_empty() { "" } else { "-ignore-passwd" }
    )
}

fn manifest(guest: &Guest, path: &str, link: &str, secrets: &[Value]) {
    let placeholder =
        "<SOPS:0000000000000000000000000000000000000000000000000000000000000001:PLACEHOLDER>";
    let template = json!({
        "name": "app.env", "content": format!("password={placeholder}"), "path": format!("{link}/rendered/app.env"),
        "mode": "0640", "owner": "app", "uid": 0, "group": "readers", "gid": 0, "restartUnits": [],
        "reloadUnits": [], "file": "",
    });
    let templates = if link == "/run/secrets" { vec![template] } else { Vec::new() };
    let manifest = json!({
        "secrets": secrets,
        "templates": templates,
        "placeholderBySecretName": { "value": placeholder },
        "secretsMountPoint": format!("{link}.d"),
        "symlinkPath": link,
        "keepGenerations": 1,
        "gnupgHome": null,
        "sshKeyPaths": [],
        "ageKeyFile": null,
        "ageSshKeyPaths": ["/etc/ssh/ssh_host_ed25519_key"],
        "useTmpfs": false,
        "userMode": false,
        "logging": { "keyImport": true, "secretChanges": true },
    });
    guest.put(path, manifest.to_string(), 0o444);
}

fn secret(name: &str, file: &str, more: &Value) -> Value {
    let yaml = file.strip_suffix(".yaml").is_some();
    let mut secret = json!({
        "name": name, "key": if yaml { "db/password" } else { "" }, "path": format!("/run/secrets/{name}"),
        "owner": null, "uid": 0, "group": null, "gid": 0, "sopsFile": format!("/srv/{file}"),
        "format": if yaml { "yaml" } else { "binary" }, "mode": "0400", "restartUnits": [],
        "reloadUnits": [], "neededForUsers": false, "sopsFileHash": "",
    });
    for (field, value) in more.as_object().unwrap() {
        secret[field] = value.clone();
    }
    secret
}

fn secrets(changing: &str) -> Vec<Value> {
    let binary = |name: &str| format!("sops-{name}");
    vec![
        secret("value", "all.yaml", &json!({})),
        secret(
            "owned",
            &binary("plain.age"),
            &json!({ "owner": "app", "group": "app", "mode": "0440" }),
        ),
        secret("linked", &binary("plain.age"), &json!({ "path": "/etc/app/linked" })),
        secret("changing", &binary(changing), &json!({ "restartUnits": ["restarted.service"] })),
        secret("constant", &binary("plain.age"), &json!({ "restartUnits": ["untouched.service"] })),
    ]
}

fn alice() -> Value {
    let more = json!({ "neededForUsers": true, "path": "/run/secrets-for-users/alice" });
    secret("alice", "sops-alice.age", &more)
}

const UNITS: &str = "/etc/systemd/system";
const SYSUSERS: &str = "[Unit]\nConditionNeedsUpdate=\n[Service]\n\
    LoadCredential=passwd.hashed-password.alice:/run/secrets-for-users/alice\n";
