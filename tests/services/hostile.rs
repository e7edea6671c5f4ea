//! Servers that are slow, broken or mean harm: an error in time that says what it was, nothing
//! changed, and no secret told.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::bench::{Bench, TEXT};
use crate::server::{Reply, Server, kept};

const TOKEN: &str = "hvs.canary-token-for-nobody-else";

/// A bench with `a.yaml`, which a server keeps the key of, and its address in the file.
fn start() -> Option<(Bench, String)> {
    let mut bench = Bench::new()?;
    let server = Server::new(kept);
    bench.set("VAULT_TOKEN", TOKEN);
    bench.set("SECRETCTL_KEY_SERVICES_TIMEOUT", "3");
    at(&mut bench, &server.url());
    bench.write("a.yaml", TEXT);
    let key = format!("{}/v1/transit/keys/fleet", server.url());
    bench.ours(&["encrypt", "-i", "--hc-vault-transit", &key, "a.yaml"]).ok();
    bench.native(&["decrypt", "a.yaml"]).ok();
    Some((bench, server.url()))
}

fn at(bench: &mut Bench, address: &str) {
    bench.set("VAULT_ADDR", address);
}

/// What is said of `a.yaml` when another server has its key.
fn said_by(bench: &mut Bench, old: &str, server: &Server) -> String {
    moved(bench, old, &server.url());
    let said = bench.refused("a.yaml", &[TOKEN]);
    moved(bench, &server.url(), old);
    assert!(said.contains("tried:") && said.contains("transit/keys/fleet"), "{said}");
    said
}

fn moved(bench: &mut Bench, from: &str, to: &str) {
    let text = bench.read("a.yaml");
    bench.write("a.yaml", &text.replace(from, to));
    at(bench, to);
}

#[test]
fn answers_that_are_none_are_told_from_each_other() {
    let Some((mut bench, old)) = start() else { return };
    let same = |status, headers: &str, body: Vec<u8>| {
        let headers = headers.to_owned();
        Server::new(move |_| Reply(status, headers.clone(), body.clone()))
    };
    let no_json = "is no answer: it is not JSON";
    let unwrapped = |text: &str| json!({"data": {"batch_results": [{"plaintext": text}]}});
    let short = unwrapped(&BASE64_STANDARD.encode("short")).to_string().into_bytes();
    let none = json!({"data": {"batch_results": []}}).to_string().into_bytes();
    let cases = [
        (302, "location: http://evil.example/\r\n", vec![], "points to another address"),
        (307, "location: /v1/other\r\n", vec![], "points to another address"),
        (200, "", b"<html>canary-value</html>".to_vec(), no_json),
        (200, "", vec![0xff; 4000], no_json),
        (200, "", vec![b'['; 500_000], no_json),
        (200, "", vec![b'x'; 3 << 20], "it is more than 1 MiB"),
        (200, "", none, "more or less than was asked for"),
        (200, "", unwrapped("no!base64").to_string().into_bytes(), "not Base64"),
        (200, "", short, "5 bytes"),
        (418, "", b"canary-value".to_vec(), "refused (HTTP 418)"),
    ];
    for (status, headers, body, expected) in cases {
        let server = same(status, headers, body);
        let said = said_by(&mut bench, &old, &server);
        assert!(said.contains(expected), "{status} {expected}: {said}");
    }
    // Who repeats what it was sent is not repeated.
    let echo = Server::new(|asked| {
        let words =
            format!("{} {}", asked.header("x-vault-token"), String::from_utf8_lossy(&asked.body));
        Reply::json(403, &json!({"errors": [words]}))
    });
    let said = said_by(&mut bench, &old, &echo);
    assert!(said.contains("refused (HTTP 403)") && said.contains("vault login"), "{said}");
    // A key that is given away is not told when a file is encrypted, either.
    at(&mut bench, &echo.url());
    bench.write("new.yaml", TEXT);
    echo.asked();
    let key = format!("{}/v1/transit/keys/fleet", echo.url());
    let ran = bench.ours(&["encrypt", "-i", "--hc-vault-transit", &key, "new.yaml"]);
    let body = echo.asked().remove(0).json();
    let sent = body["batch_input"][0]["plaintext"].as_str().unwrap();
    assert!(ran.code != 0 && !ran.err.contains(&sent[..12]) && !ran.err.contains(TOKEN), "{ran:?}");
    assert_eq!(bench.read("new.yaml"), TEXT);
}

#[test]
fn who_is_busy_is_asked_again_for_a_while() {
    let Some((mut bench, old)) = start() else { return };
    let times = AtomicUsize::new(0);
    let server = Server::new(move |asked| match times.fetch_add(1, Ordering::Relaxed) {
        0 => Reply(429, String::new(), vec![]),
        1 => Reply(503, String::new(), b"busy".to_vec()),
        _ => kept(asked),
    });
    moved(&mut bench, &old, &server.url());
    bench.native(&["decrypt", "a.yaml"]).ok();
    assert_eq!(server.asked().len(), 3);
    let busy = Server::new(|_| Reply(429, String::new(), vec![]));
    let begin = Instant::now();
    let said = said_by(&mut bench, &server.url(), &busy);
    assert!(said.contains("refused (HTTP 429)"), "{said}");
    let asked = busy.asked().len();
    // Twice the command, each with pauses that double within three seconds.
    assert!((6..=12).contains(&asked), "{asked}");
    assert!(begin.elapsed() < Duration::from_secs(30));
}

#[test]
fn who_is_silent_is_waited_for_once() {
    let Some((mut bench, old)) = start() else { return };
    let silent = Server::silent();
    let begin = Instant::now();
    let said = said_by(&mut bench, &old, &silent);
    assert!(said.contains("did not answer within 3 s"), "{said}");
    assert!(said.contains("SECRETCTL_KEY_SERVICES_TIMEOUT"), "{said}");
    assert!(begin.elapsed() < Duration::from_secs(25), "{:?}", begin.elapsed());
    // Many keys of AWS at a silent place take no longer than one.
    let mut text = bench.read("a.yaml");
    let (head, rest) = text.split_once("sops:\n").unwrap();
    let entry = |number: usize| {
        let arn = format!("arn:aws:kms:us-east-1:123456789012:key/{number}");
        format!(
            "        - arn: {arn}\n          aws_profile: \"\"\n          created_at: \"2026-01-01T00:00:00Z\"\n          enc: AAAA\n"
        )
    };
    let entries: String = (0..100).map(entry).collect();
    text = format!("{head}sops:\n    kms:\n{entries}{rest}");
    bench.write("a.yaml", &text);
    bench.set("AWS_ENDPOINT_URL", &silent.url());
    bench.set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
    bench.set("AWS_SECRET_ACCESS_KEY", "canary/access/key");
    bench.unset("VAULT_TOKEN");
    silent.asked();
    let begin = Instant::now();
    bench.refused("a.yaml", &["canary/access/key"]);
    assert!(begin.elapsed() < Duration::from_secs(25), "{:?}", begin.elapsed());
    assert!(silent.asked().len() <= 32);
}

#[test]
fn many_that_are_silent_take_no_longer_than_a_few() {
    let Some((mut bench, old)) = start() else { return };
    bench.set("SECRETCTL_KEY_SERVICES_TIMEOUT", "2");
    let silent: Vec<TcpListener> =
        (0..160).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let text = bench.read("a.yaml");
    let (head, rest) = text.split_once("    hc_vault:\n").unwrap();
    let entry = |one: &TcpListener| {
        let port = one.local_addr().unwrap().port();
        format!(
            "        - vault_address: http://127.0.0.1:{port}\n          engine_path: transit\n          key_name: fleet\n          created_at: \"2026-01-01T00:00:00Z\"\n          enc: vault:v1:AAAA\n"
        )
    };
    let entries: String = silent.iter().map(entry).collect();
    let rest = rest.replace(&old, "http://127.0.0.1:1");
    bench.write("a.yaml", &format!("{head}    hc_vault:\n{entries}{rest}"));
    let begin = Instant::now();
    let ran = bench.ours(&["decrypt", "a.yaml"]);
    assert!(ran.code != 0 && ran.err.contains("did not answer within 2 s"), "{ran:?}");
    // Sixteen at a time, it would be ten times as long.
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn no_credentials_go_where_anybody_listens() {
    let Some((mut bench, old)) = start() else { return };
    // Far and in the open; an address of metadata, which no key has; nobody there.
    moved(&mut bench, &old, "http://192.0.2.1:8200");
    let said = bench.refused("a.yaml", &[TOKEN]);
    assert!(said.contains("at http://192.0.2.1:8200 is not encrypted"), "{said}");
    moved(&mut bench, "http://192.0.2.1:8200", "http://169.254.169.254");
    bench.set("SECRETCTL_KEY_SERVICES", "http://169.254.169.254");
    bench.set("SOPS_HC_VAULT_ALLOWLIST", "all");
    let said = bench.refused("a.yaml", &[TOKEN]);
    assert!(said.contains("at http://169.254.169.254 is not allowed"), "{said}");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = format!("http://127.0.0.1:{free}");
    moved(&mut bench, "http://169.254.169.254", &nobody);
    let said = bench.refused("a.yaml", &[TOKEN]);
    assert!(said.contains("the transit engine of Vault cannot be reached"), "{said}");
    // A certificate that nobody vouches for.
    if crate::desk::lacks("openssl") {
        return;
    }
    let pem = bench.root().join("server.pem");
    let made = bench.run(
        std::path::Path::new("openssl"),
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            pem.to_str().unwrap(),
            "-out",
            pem.with_extension("crt").to_str().unwrap(),
        ],
    );
    made.ok();
    let port = free.to_string();
    let mut server = Command::new("openssl")
        .args(["s_server", "-quiet", "-accept", &port, "-key"])
        .arg(&pem)
        .arg("-cert")
        .arg(pem.with_extension("crt"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(1));
    moved(&mut bench, &nobody, &format!("https://localhost:{port}"));
    let said = bench.refused("a.yaml", &[TOKEN]);
    let _ended = server.kill();
    let heard = server.wait_with_output().unwrap().stdout;
    assert!(said.contains("cannot be reached") && said.contains("ertificate"), "{said}");
    assert!(said.contains("SSL_CERT_FILE"), "{said}");
    assert!(!String::from_utf8_lossy(&heard).contains("canary"), "a token was sent");
}
