//! Every command with a key of every service: who is asked, how often and in which order, and that
//! whatever opens a file first is enough.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::bench::{Bench, TEXT};
use crate::credentials::{AZURE_CLIENT, Home, azure, for_the_sdk};
use crate::server::{Answering, Asked, Reply, Server, kept, serve};

/// KMS, GCP KMS and Huawei, which keep everything in the open, and a vault of Azure with a key.
fn clouds(asked: &Asked) -> Reply {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use rsa::traits::PublicKeyParts;
    use rsa::{Oaep, RsaPrivateKey};
    use std::sync::OnceLock;
    static KEY: OnceLock<RsaPrivateKey> = OnceLock::new();
    let number = |bytes: Vec<u8>| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    if asked.way.contains("/oauth2/") {
        return Reply::json(200, &json!({"access_token": "canary-token"}));
    }
    if asked.way.contains("?api-version") {
        let key = KEY.get_or_init(|| RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap());
        if asked.method == "GET" {
            let (n, e) = (number(key.n().to_bytes_be()), number(key.e().to_bytes_be()));
            let kid = "https://v/keys/k/0123";
            return Reply::json(200, &json!({"key": {"kid": kid, "kty": "RSA", "n": n, "e": e}}));
        }
        let sealed = asked.json()["value"].as_str().unwrap().to_owned();
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(sealed).unwrap();
        let open = key.decrypt(Oaep::new::<sha2::Sha256>(), &sealed).unwrap();
        return Reply::json(200, &json!({"value": number(open)}));
    }
    let body = asked.json();
    if body["batch_input"].is_array() {
        return kept(asked);
    }
    let mut answer = json!({});
    for (from, to) in [
        ("Plaintext", "CiphertextBlob"),
        ("CiphertextBlob", "Plaintext"),
        ("plaintext", "ciphertext"),
        ("ciphertext", "plaintext"),
        ("plain_text", "cipher_text"),
        ("cipher_text", "plain_text"),
    ] {
        if body[from].is_string() {
            let text = body[from].as_str().unwrap();
            answer[to] = text.trim_start_matches("vault:v1:").into();
        }
    }
    // sops asks a Vault for one thing at a time.
    if asked.way.starts_with("/v1/transit/") {
        if let Some(text) = answer["ciphertext"].as_str() {
            answer["ciphertext"] = format!("vault:v1:{text}").into();
        }
        answer = json!({"data": answer});
    }
    Reply::json(200, &answer)
}

/// A bench at which all services are one server.
fn start(server: &Server) -> Option<Bench> {
    let mut bench = Bench::new()?;
    let url = server.url();
    for (name, value) in [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "canary-of-aws"),
        ("SOPS_GCP_KMS_ENDPOINT", &url),
        ("SOPS_GCP_KMS_CLIENT_TYPE", "rest"),
        ("GOOGLE_OAUTH_ACCESS_TOKEN", "canary-of-google"),
        ("HUAWEICLOUD_SDK_REGION_KMS_CN_NORTH_4", &url),
        ("HUAWEICLOUD_SDK_PROJECT_ID", "project-1"),
        ("HUAWEICLOUD_SDK_AK", "AKEXAMPLE"),
        ("HUAWEICLOUD_SDK_SK", "canary-of-huawei"),
        ("VAULT_ADDR", &url),
        ("VAULT_TOKEN", "canary-of-vault"),
        ("VAULT_NAMESPACE", "team/web"),
        ("AZURE_AUTHORITY_HOST", &url),
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_CLIENT_SECRET", "canary-of-azure"),
        ("SECRETCTL_KEY_SERVICES", &url),
    ] {
        bench.set(name, value);
    }
    Some(bench)
}

/// The name of the kind in rules, and two keys, as rules name them.
fn kinds(url: &str) -> [(&'static str, [String; 2]); 5] {
    let arn = |name| format!("arn: arn:aws:kms:us-east-1:123456789012:key/{name}");
    let google =
        |name| format!("resource_id: projects/p/locations/global/keyRings/r/cryptoKeys/{name}");
    let huawei = |name| format!("key_id: cn-north-4:{name}");
    let azure = |name| format!("{{vaultUrl: \"{url}\", key: {name}, version: \"0123\"}}");
    let vault = |name| format!("{url}/v1/transit/keys/{name}");
    [
        ("kms", ["first", "second"].map(arn)),
        ("gcp_kms", ["first", "second"].map(google)),
        ("hckms", ["first", "second"].map(huawei)),
        ("azure_keyvault", ["first", "second"].map(azure)),
        ("hc_vault", ["first", "second"].map(vault)),
    ]
}

/// Rules with groups of keys, each of which is a kind and an entry.
fn rules(bench: &Bench, groups: &[&[(&str, &String)]]) {
    let mut text = "creation_rules:\n  - key_groups:\n".to_owned();
    for group in groups {
        for (index, (kind, entry)) in group.iter().enumerate() {
            let lead = if index == 0 { "      - " } else { "        " };
            text.push_str(&format!("{lead}{kind}:\n          - {entry}\n"));
        }
    }
    // Keys of one kind stand in one list.
    for kind in ["kms", "gcp_kms", "hckms", "azure_keyvault", "hc_vault"] {
        let double = format!("\n        {kind}:\n");
        if groups.iter().any(|group| group.len() > 1 && group.iter().all(|(of, _)| *of == kind)) {
            text = text.replace(&double, "\n");
        }
    }
    bench.write(".sops.yaml", &text);
}

#[test]
fn every_command_works_with_a_key_of_every_service() {
    let server = Server::new(clouds);
    let Some(mut bench) = start(&server) else { return };
    bench.write("plain.txt", TEXT);
    for (kind, [first, second]) in &kinds(&server.url()) {
        let idle = |bench: &Bench, arguments: &[&str], code: i32| {
            server.asked();
            assert_eq!(bench.native(arguments).code, code, "{kind} {arguments:?}");
            assert!(server.asked().is_empty(), "{kind} {arguments:?}");
        };
        // How often something was wrapped or unwrapped; a public key of Azure wraps here.
        let questions = || {
            let asked = server.asked();
            for one in &asked {
                let is_vault = one.way.starts_with("/v1/transit/");
                let space = if is_vault { "team/web" } else { "" };
                assert_eq!(one.header("x-vault-namespace"), space);
            }
            asked.iter().filter(|one| !one.way.contains("/oauth2/")).count()
        };
        let shows = |bench: &Bench, password: &str| {
            let text = TEXT.replace("canary-value", password);
            assert_eq!(bench.native(&["decrypt", "a.yaml"]).ok().out, text);
            // The SDK of Azure wants HTTPS.
            if *kind != "azure_keyvault" {
                assert_eq!(bench.theirs(&["decrypt", "a.yaml"]).ok().out, text);
            }
        };
        rules(&bench, &[&[(kind, first)]]);
        bench.native(&["encrypt", "--output", "a.yaml", "plain.txt"]).ok();
        shows(&bench, "canary-value");
        idle(&bench, &["status"], 0);
        idle(&bench, &["rekey", "--check"], 0);
        idle(&bench, &["rekey"], 0);
        bench.editor("sed -i s/canary-value/edited/ \"$1\"");
        bench.native(&["edit", "a.yaml"]).ok();
        shows(&bench, "edited");
        bench.native(&["set", "a.yaml", "/db/password", "\"canary-value\""]).ok();
        bench.native(&["rotate", "a.yaml"]).ok();
        shows(&bench, "canary-value");
        // One reader more: what it takes is the data key, and to have it wrapped for that one.
        rules(&bench, &[&[(kind, first), (kind, second)]]);
        idle(&bench, &["rekey", "--check"], 1);
        bench.native(&["rekey"]).ok();
        assert_eq!(questions(), 2, "{kind}");
        rules(&bench, &[&[(kind, second)]]);
        idle(&bench, &["status"], 1);
        bench.native(&["rekey"]).ok();
        assert!(!bench.read("a.yaml").contains("first"), "{}", bench.read("a.yaml"));
        shows(&bench, "canary-value");
        // Groups.
        fs::remove_file(bench.path("a.yaml")).unwrap();
        rules(&bench, &[&[(kind, first)], &[(kind, second)]]);
        bench.native(&["encrypt", "--output", "a.yaml", "plain.txt"]).ok();
        shows(&bench, "canary-value");
        idle(&bench, &["rekey", "--check"], 0);
        fs::remove_file(bench.path("a.yaml")).unwrap();
        fs::remove_file(bench.path(".sops.yaml")).unwrap();
        let name = |entry: &str| match entry.split_once(": ") {
            Some(("key_id", key)) => format!("hckms:{key}"),
            Some((_, key)) => key.to_owned(),
            None => entry.to_owned(),
        };
        // Those name no vault of Azure that is not at HTTPS.
        if *kind != "azure_keyvault" {
            rules_of_our_own(&bench, &server, [&name(first), &name(second)]);
        }
    }
}

/// Rules of our own, which name a key by itself: a file is encrypted, gets a reader, and loses one.
fn rules_of_our_own(bench: &Bench, server: &Server, [first, second]: [&str; 2]) {
    let rules = |readers: &str| {
        let users = format!("users:\n  u: {first}\n  v: {second}\n");
        let rule = format!("secrets:\n  - path: a.yaml\n    readers: [{readers}]\n");
        bench.write("secretctl.yaml", &(users + &rule));
    };
    let idle = |arguments: &[&str], code: i32| {
        server.asked();
        assert_eq!(bench.native(arguments).code, code, "{first} {arguments:?}");
        assert!(server.asked().is_empty(), "{first} {arguments:?}");
    };
    let holds = |names: [bool; 2]| {
        let text = bench.read("a.yaml");
        assert_eq!(["first", "second"].map(|name| text.contains(name)), names, "{text}");
        assert_eq!(bench.native(&["decrypt", "a.yaml"]).ok().out, TEXT);
        assert_eq!(bench.theirs(&["decrypt", "a.yaml"]).ok().out, TEXT);
        idle(&["status"], 0);
        idle(&["rekey", "--check"], 0);
    };
    rules("u");
    bench.native(&["encrypt", "--output", "a.yaml", "plain.txt"]).ok();
    holds([true, false]);
    for (readers, names) in [("u, v", [true, true]), ("v", [false, true])] {
        rules(readers);
        idle(&["status"], 1);
        idle(&["rekey", "--check"], 1);
        bench.native(&["rekey"]).ok();
        holds(names);
    }
    for name in ["a.yaml", "secretctl.yaml"] {
        fs::remove_file(bench.path(name)).unwrap();
    }
}

#[test]
fn rules_of_our_own_name_keys_of_azure() {
    let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let answer = azure(key);
    let both = move |asked: &Asked| for_the_sdk(asked).unwrap_or_else(|| answer(asked));
    let keys =
        ["first/0123", "second"].map(|key| format!("https://fleet.vault.azure.net/keys/{key}"));
    let Some(mut home) = Home::new(both, &AZURE_CLIENT, &["--azure-kv", &keys[0]]) else { return };
    home.with(&AZURE_CLIENT, |home| {
        home.bench.write("plain.txt", TEXT);
        fs::remove_file(home.bench.path("a.yaml")).unwrap();
        rules_of_our_own(&home.bench, &home.cloud, [&keys[0], &keys[1]]);
    });
}

/// A file with an entry for each of two kinds, either of which opens it.
fn of_two(bench: &Bench, server: &Server) {
    let kinds = kinds(&server.url());
    let [kms, .., vault] = &kinds;
    rules(bench, &[&[(kms.0, &kms.1[0]), (vault.0, &vault.1[0])]]);
    bench.write("plain.txt", TEXT);
    bench.native(&["encrypt", "--output", "a.yaml", "plain.txt"]).ok();
    server.asked();
}

#[test]
fn the_order_of_decryption_says_who_is_asked_first() {
    let server = Server::new(clouds);
    let Some(mut bench) = start(&server) else { return };
    of_two(&bench, &server);
    for (order, first_is_vault) in [("hc_vault,kms", true), ("kms,hc_vault", false)] {
        bench.set("SOPS_DECRYPTION_ORDER", order);
        for ran in [bench.native(&["decrypt", "a.yaml"]), bench.theirs(&["decrypt", "a.yaml"])] {
            assert_eq!(ran.ok().out, TEXT);
        }
        let ways: Vec<String> = server.asked().into_iter().map(|one| one.way).collect();
        let is_vault = |way: &String| way.starts_with("/v1/transit/");
        assert_eq!(ways.len(), 2, "{order} {ways:?}");
        assert!(ways.iter().all(|way| is_vault(way) == first_is_vault), "{order} {ways:?}");
    }
    // A key that is here comes first, unless the order says otherwise.
    let made = bench.run(std::path::Path::new("age-keygen"), &[]).ok();
    let recipient = made.out.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    fs::create_dir_all(bench.home(".config/sops/age")).unwrap();
    fs::write(bench.home(".config/sops/age/keys.txt"), &made.out).unwrap();
    bench.unset("SOPS_DECRYPTION_ORDER");
    bench.ours(&["rotate", "-i", "--add-age", recipient, "a.yaml"]).ok();
    server.asked();
    for (order, count) in [("", 0), ("age", 0), ("kms,age", 1), ("hc_vault", 1)] {
        bench.set("SOPS_DECRYPTION_ORDER", order);
        for real in [false, true] {
            let decrypt = ["decrypt", "a.yaml"];
            let ran = if real { bench.theirs(&decrypt) } else { bench.native(&decrypt) };
            assert_eq!(ran.ok().out, TEXT);
            assert_eq!(server.asked().len(), count, "{order}");
        }
    }
}

#[test]
fn who_opens_a_group_first_is_enough() {
    let server = Server::new(clouds);
    let Some(mut bench) = start(&server) else { return };
    let silent = Server::silent();
    of_two(&bench, &server);
    for number in 0..40 {
        fs::copy(bench.path("plain.txt"), bench.path("b.yaml")).unwrap();
        bench.ours(&["encrypt", "-i", "b.yaml"]).ok();
        fs::rename(bench.path("b.yaml"), bench.path(&format!("f{number}.yaml"))).unwrap();
    }
    let kinds = kinds(&server.url());
    let [kms, google, .., vault] = &kinds;
    let groups = [(kms.0, &kms.1[0]), (google.0, &google.1[0]), (vault.0, &vault.1[0])];
    bench.write("groups.yaml", TEXT);
    let rest = "    shamir_threshold: 2\n";
    rules(&bench, &groups.each_ref().map(std::slice::from_ref));
    let text = bench.read(".sops.yaml");
    bench.write(".sops.yaml", &format!("{text}{rest}"));
    bench.ours(&["encrypt", "-i", "groups.yaml"]).ok();
    // From now on AWS says nothing, for longer than a test may take.
    bench.set("AWS_ENDPOINT_URL", &silent.url());
    bench.set("SECRETCTL_KEY_SERVICES_TIMEOUT", "60");
    rules(&bench, &[&[(vault.0, &vault.1[0])]]);
    let begin = Instant::now();
    for name in ["a.yaml", "groups.yaml"] {
        assert_eq!(bench.native(&["decrypt", name]).ok().out, TEXT);
    }
    fs::remove_file(bench.path("groups.yaml")).unwrap();
    // Nor does it hold up a whole tree, each file of which has another data key.
    bench.native(&["rekey"]).ok();
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    assert!(!bench.read("f39.yaml").contains("arn:aws"));
    assert!(!silent.asked().is_empty());
    // What is then still locked waits for all, and says what each of them said.
    bench.set("SECRETCTL_KEY_SERVICES_TIMEOUT", "2");
    bench.set("AWS_ENDPOINT_URL", &server.url());
    rules(&bench, &[&[(kms.0, &kms.1[0]), (vault.0, &vault.1[0])]]);
    bench.native(&["rekey"]).ok();
    bench.set("AWS_ENDPOINT_URL", &silent.url());
    bench.set("VAULT_ADDR", "http://127.0.0.1:9");
    bench.unset("SECRETCTL_KEY_SERVICES");
    let said = bench.refused("a.yaml", &[]);
    assert!(said.contains("did not answer within 2 s"), "{said}");
    assert!(said.contains("is not allowed"), "{said}");
}

#[test]
fn connections_are_used_again() {
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let begin = move |mut stream: TcpStream, list: &Mutex<Vec<Asked>>, answer: &Answering| {
        count.fetch_add(1, Ordering::Relaxed);
        loop {
            let before = list.lock().unwrap().len();
            serve(&mut stream, Asked::default(), list, answer);
            if list.lock().unwrap().len() == before {
                return;
            }
        }
    };
    let answer = |asked: &Asked, stream: &mut dyn Write| {
        let Reply(status, headers, body) = clouds(asked);
        let head =
            format!("HTTP/1.1 {status} Told\r\n{headers}content-length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    };
    let server = Server::at("127.0.0.1:0", begin, answer);
    let Some(bench) = start(&server) else { return };
    let kinds = kinds(&server.url());
    let [kms, ..] = &kinds;
    rules(&bench, &[&[(kms.0, &kms.1[0])]]);
    let names: Vec<String> = (0..60).map(|number| format!("f{number}.yaml")).collect();
    for name in &names {
        bench.write(name, TEXT);
    }
    for name in &names {
        bench.ours(&["encrypt", "-i", name]).ok();
    }
    server.asked();
    opened.store(0, Ordering::Relaxed);
    let files: Vec<&str> = names.iter().map(String::as_str).collect();
    bench.native(&[&["rotate"], files.as_slice()].concat()).ok();
    assert_eq!(server.asked().len(), 120);
    // As many at a time as there are threads.
    let opened = opened.load(Ordering::Relaxed);
    assert!((1..=16).contains(&opened), "{opened}");
}
