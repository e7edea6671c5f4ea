//! What each service may say, and what may come in its place: each an error that names the service,
//! the key and what to do, in time, with nothing changed.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::{Bench, TEXT};
use crate::server::{Asked, Reply, Server};

const CANARY: &str = "canary-of-the-credentials";

/// A service that can be told what to answer, and `a.yaml`, whose key it has.
struct Service {
    bench: Bench,
    server: Server,
    told: Arc<Mutex<Option<Told>>>,
    name: &'static str,
    key: String,
}

#[derive(Clone)]
struct Told(u16, String, Vec<u8>);

impl Service {
    fn new(
        name: &'static str,
        key: &str,
        option: &str,
        variables: &[(&str, &str)],
        answer: fn(&Asked) -> Reply,
    ) -> Option<Self> {
        let mut bench = Bench::new()?;
        let told: Arc<Mutex<Option<Told>>> = Arc::default();
        let heard = Arc::clone(&told);
        let server = Server::new(move |asked| match heard.lock().unwrap().clone() {
            Some(Told(0, ..)) => {
                std::thread::sleep(Duration::from_secs(20));
                Reply(200, String::new(), vec![])
            }
            Some(Told(status, headers, body)) => Reply(status, headers, body),
            None => answer(asked),
        });
        let url = server.url();
        for (name, value) in variables {
            bench.set(name, &value.replace("URL", &url));
        }
        bench.set("SECRETCTL_KEY_SERVICES_TIMEOUT", "2");
        bench.set("SECRETCTL_KEY_SERVICES", &url);
        bench.write("a.yaml", TEXT);
        let key = key.replace("URL", &url);
        if option.is_empty() {
            // An address without HTTPS is taken from rules alone.
            let rule = "  - key_groups:\n      - azure_keyvault:\n          - key: fleet";
            let rest = format!("            vaultUrl: {url}\n            version: \"0123\"");
            bench.write(".sops.yaml", &format!("creation_rules:\n{rule}\n{rest}\n"));
            bench.ours(&["encrypt", "-i", "a.yaml"]).ok();
        } else {
            bench.ours(&["encrypt", "-i", option, &key, "a.yaml"]).ok();
        }
        bench.native(&["decrypt", "a.yaml"]).ok();
        Some(Self { bench, server, told, name, key })
    }

    /// What is said of an answer; it names service, key and a remedy.
    #[track_caller]
    fn said(&self, status: u16, headers: &str, body: &[u8]) -> String {
        *self.told.lock().unwrap() = Some(Told(status, headers.to_owned(), body.to_vec()));
        let begin = Instant::now();
        let said = self.bench.refused("a.yaml", &[CANARY]);
        assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
        *self.told.lock().unwrap() = None;
        for part in [self.name, &self.key, "hint: "] {
            assert!(said.contains(part), "{status} {part}: {said}");
        }
        said
    }

    #[track_caller]
    fn says(&self, status: u16, body: &Value, expected: &[&str]) {
        let said = self.said(status, "", body.to_string().as_bytes());
        for part in expected {
            assert!(said.contains(part), "{status} {body} {part}: {said}");
        }
    }

    /// What any server may do to any of them.
    #[track_caller]
    fn is_hostile(&self) {
        let canary = "<html>canary-value</html>".as_bytes();
        for (status, headers, body, expected) in [
            (200, "", canary.to_vec(), "is no answer: it is not JSON"),
            (200, "", vec![], "is no answer: it is not JSON"),
            (200, "", b"{}".to_vec(), "is no answer"),
            (200, "", vec![b'['; 300_000], "is no answer: it is not JSON"),
            (200, "", vec![b' '; 2 << 20], "it is more than 1 MiB"),
            (302, "location: https://evil.example/\r\n", vec![], "points to another address"),
            (403, "", canary.to_vec(), "refused (HTTP 403)"),
            (429, "", vec![], "refused (HTTP 429)"),
            (503, "", canary.to_vec(), "refused (HTTP 503)"),
            (0, "", vec![], "did not answer within 2 s"),
        ] {
            self.server.asked();
            let said = self.said(status, headers, &body);
            assert!(said.contains(expected), "{status} {expected}: {said}");
            let asked = self.server.asked().len();
            // Two commands; who is busy is asked again, with pauses that double.
            let times = if matches!(status, 429 | 503) { 4..=12 } else { 2..=2 };
            assert!(times.contains(&asked), "{status}: {asked}");
        }
        self.bench.native(&["decrypt", "a.yaml"]).ok();
    }
}

fn turned(text: &Value) -> String {
    text.as_str().unwrap().chars().rev().collect::<String>().replace('=', "_")
}

fn back(text: &Value) -> String {
    text.as_str().unwrap().replace('_', "=").chars().rev().collect()
}

fn aws() -> Option<Service> {
    let answer = |asked: &Asked| {
        let body = asked.json();
        // What KMS gives is Base64.
        match (body["Plaintext"].as_str(), body["CiphertextBlob"].as_str()) {
            (Some(text), _) => Reply::json(200, &json!({"CiphertextBlob": text})),
            (_, Some(text)) => Reply::json(200, &json!({"Plaintext": text})),
            _ => Reply::json(400, &json!({"__type": "ValidationException"})),
        }
    };
    let variables = [
        ("AWS_ENDPOINT_URL", "URL"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", CANARY),
    ];
    let key = "arn:aws:kms:us-east-1:123456789012:key/fleet";
    Service::new("AWS KMS", key, "--kms", &variables, answer)
}

#[test]
fn of_aws() {
    let Some(service) = aws() else { return };
    for (code, remedy) in [
        ("ExpiredTokenException", "log in again"),
        ("UnrecognizedClientException", "look at the profile and the region"),
        ("InvalidSignatureException", "look at the clock of this machine"),
        ("AccessDeniedException", "ask for kms:Encrypt and kms:Decrypt"),
        ("NotFoundException", "at region and account in its ARN"),
        ("DisabledException", "enable the key"),
        ("KMSInvalidStateException", "about to be deleted: cancel that"),
        ("InvalidCiphertextException", "the encryption context of the key in the file was changed"),
        ("IncorrectKeyException", "of another key"),
        ("com.amazonaws.kms#DisabledException", "enable the key"),
    ] {
        let words = format!("no: {CANARY}");
        let short = code.rsplit('#').next().unwrap();
        let body = json!({"__type": code, "message": words});
        service.says(400, &body, &[&format!("refused (HTTP 400): {short}"), remedy]);
    }
    // Too often: asked again for a while, by the code and not by the status.
    for code in ["ThrottlingException", "LimitExceededException"] {
        service.server.asked();
        let body = json!({"__type": code, "message": "Rate exceeded"});
        service.says(400, &body, &[code, "Rate exceeded", "have the quota raised"]);
        let asked = service.server.asked().len();
        assert!((4..=12).contains(&asked), "{asked}");
    }
    service.is_hostile();
}

#[test]
fn of_google() {
    let answer = |asked: &Asked| {
        let body = asked.json();
        match (body["plaintext"].as_str(), body["ciphertext"].as_str()) {
            (Some(text), _) => Reply::json(200, &json!({"ciphertext": text})),
            (_, Some(text)) => Reply::json(200, &json!({"plaintext": text})),
            _ => Reply::json(400, &json!({})),
        }
    };
    let variables = [("SOPS_GCP_KMS_ENDPOINT", "URL"), ("GOOGLE_OAUTH_ACCESS_TOKEN", CANARY)];
    let key = "projects/p/locations/global/keyRings/r/cryptoKeys/k";
    let Some(service) = Service::new("Google Cloud KMS", key, "--gcp-kms", &variables, answer)
    else {
        return;
    };
    for (status, code, remedy) in [
        (401, "UNAUTHENTICATED", "the token has run out"),
        (403, "PERMISSION_DENIED", "roles/cloudkms.cryptoKeyEncrypterDecrypter"),
        (404, "NOT_FOUND", "look at project, location and names"),
        (400, "FAILED_PRECONDITION", "disabled or destroyed: enable it"),
        (400, "INVALID_ARGUMENT", "may be of another key"),
    ] {
        let message = format!("no: {CANARY}");
        let body = json!({"error": {"code": status, "message": message, "status": code}});
        service.says(status, &body, &[&format!("refused (HTTP {status}): {code}"), remedy]);
    }
    service.is_hostile();
}

#[test]
fn of_huawei() {
    let answer = |asked: &Asked| {
        let body = asked.json();
        if body["plain_text"].is_string() {
            Reply::json(200, &json!({"cipher_text": turned(&body["plain_text"])}))
        } else {
            Reply::json(200, &json!({"plain_text": back(&body["cipher_text"])}))
        }
    };
    let variables = [
        ("HUAWEICLOUD_SDK_REGION_KMS_CN_NORTH_4", "URL"),
        ("HUAWEICLOUD_SDK_PROJECT_ID", "project-1"),
        ("HUAWEICLOUD_SDK_AK", "AKEXAMPLE"),
        ("HUAWEICLOUD_SDK_SK", CANARY),
    ];
    let key = "cn-north-4:0d0466b0-e727-4d9c-b35d-f84bb474a37f";
    let Some(service) = Service::new("Huawei Cloud KMS", key, "--hckms", &variables, answer) else {
        return;
    };
    for (status, code, remedy) in [
        (401, "APIGW.0301", "at the clock of this machine"),
        (403, "KMS.1104", "whether it is enabled"),
        (404, "KMS.1201", "look at region and id"),
        (400, "KMS.0205", "may be of another key"),
    ] {
        let words = format!("no: {CANARY}");
        let body = json!({"error": {"error_code": code, "error_msg": words}});
        service.says(status, &body, &[&format!("refused (HTTP {status}): {code}"), remedy]);
    }
    service.is_hostile();
}

#[test]
fn of_vault() {
    let variables = [("VAULT_ADDR", "URL"), ("VAULT_TOKEN", CANARY)];
    let key = "URL/v1/transit/keys/fleet";
    let option = "--hc-vault-transit";
    let name = "the transit engine of Vault";
    let Some(service) = Service::new(name, key, option, &variables, crate::server::kept) else {
        return;
    };
    for (status, words, remedy) in [
        (403, "permission denied", "run `vault login`"),
        (404, "no handler for route", "look whether the engine is mounted there"),
        (400, "encryption key not found", "whether it was deleted"),
        (503, "Vault is sealed", "unseal it"),
    ] {
        let body = json!({"errors": [words]});
        service.says(status, &body, &[&format!("refused (HTTP {status}): {words}"), remedy]);
    }
    // One of the answers to a batch.
    let body =
        json!({"data": {"batch_results": [{"error": "cipher: message authentication failed"}]}});
    service.says(400, &body, &["message authentication failed", "may be of another key"]);
    service.is_hostile();
}

#[test]
fn of_azure() {
    use base64::Engine;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use rsa::traits::PublicKeyParts;
    use rsa::{Oaep, RsaPrivateKey};
    use std::sync::OnceLock;
    static KEY: OnceLock<RsaPrivateKey> = OnceLock::new();
    let answer = |asked: &Asked| {
        let key = KEY.get().unwrap();
        let number = |bytes: Vec<u8>| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        if asked.method == "GET" {
            let (n, e) = (number(key.n().to_bytes_be()), number(key.e().to_bytes_be()));
            let kid = "https://v/keys/fleet/0123";
            return Reply::json(200, &json!({"key": {"kid": kid, "kty": "RSA", "n": n, "e": e}}));
        }
        let sealed =
            BASE64_URL_SAFE_NO_PAD.decode(asked.json()["value"].as_str().unwrap()).unwrap();
        let open = key.decrypt(Oaep::new::<sha2::Sha256>(), &sealed).unwrap();
        Reply::json(200, &json!({"value": number(open)}))
    };
    KEY.get_or_init(|| RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap());
    // The directory is another server, which goes on working.
    let directory = Server::new(|_| Reply::json(200, &json!({"access_token": CANARY})));
    let authority = directory.url();
    let variables = [
        ("AZURE_AUTHORITY_HOST", authority.as_str()),
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_CLIENT_SECRET", "canary-of-the-client"),
    ];
    let key = "URL/keys/fleet/0123";
    let Some(service) = Service::new("Azure Key Vault", key, "", &variables, answer) else {
        return;
    };
    for (status, code, remedy) in [
        (401, "Unauthorized", "run `az login`, and look at the tenant"),
        (403, "Forbidden", "the key may also be disabled"),
        (404, "KeyNotFound", "whether it was deleted"),
        (400, "BadParameter", "of another key or version"),
    ] {
        let body = json!({"error": {"code": code, "message": format!("no: {CANARY}")}});
        service.says(status, &body, &[&format!("refused (HTTP {status}): {code}"), remedy]);
    }
    service.is_hostile();
}
