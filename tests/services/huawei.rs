//! Huawei Cloud KMS: the exact request with its signature made anew, and the real sops at the same
//! server.

use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::bench::Bench;
use crate::server::{Asked, Reply, Server};

const SECRET: &str = "canary-secret-access-key-of-huawei";
const KEY: &str = "0d0466b0-e727-4d9c-b35d-f84bb474a37f";

const OTHER: &str = "7f0466b0-e727-4d9c-b35d-f84bb474a37f";

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// Whether the signature is the one that the documentation of the gateway describes.
pub fn is_signed(asked: &Asked, secret: &str) -> bool {
    let Some((_, rest)) = asked.header("authorization").split_once("SignedHeaders=") else {
        return false;
    };
    let (names, signature) = rest.split_once(", Signature=").unwrap();
    let (way, query) = asked.way.split_once('?').unwrap_or((&asked.way, ""));
    let mut canonical = format!("{}\n{way}/\n{query}\n", asked.method);
    for name in names.split(';') {
        canonical.push_str(&format!("{name}:{}\n", asked.header(name)));
    }
    canonical.push_str(&format!("\n{names}\n{}", hex(&Sha256::digest(&asked.body))));
    let date = asked.header("x-sdk-date");
    let text = format!("SDK-HMAC-SHA256\n{date}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes()) == signature
}

fn answer(asked: &Asked) -> Reply {
    if !is_signed(asked, SECRET) {
        let text = "verify aksk signature fail";
        return Reply::json(401, &json!({"error_code": "APIGW.0301", "error_msg": text}));
    }
    let body = asked.json();
    let turned =
        |text: &serde_json::Value| text.as_str().unwrap().chars().rev().collect::<String>();
    if body["key_id"] != KEY && body["key_id"] != OTHER {
        return Reply::json(
            403,
            &json!({"error": {"error_code": "KMS.1104", "error_msg": "disabled"}}),
        );
    }
    assert_eq!(body["encryption_algorithm"], "SYMMETRIC_DEFAULT");
    match asked.way.as_str() {
        "/v1.0/project-1/kms/encrypt-data" => {
            Reply::json(200, &json!({"key_id": KEY, "cipher_text": turned(&body["plain_text"])}))
        }
        "/v1.0/project-1/kms/decrypt-data" => {
            Reply::json(200, &json!({"key_id": KEY, "plain_text": turned(&body["cipher_text"])}))
        }
        way => panic!("{way}"),
    }
}

#[test]
fn the_request_is_signed_as_the_gateway_wants_it() {
    let Some(mut bench) = Bench::new() else { return };
    let server = Server::new(answer);
    bench.set("HUAWEICLOUD_SDK_REGION_KMS_CN_NORTH_4", &server.url());
    bench.set("HUAWEICLOUD_SDK_PROJECT_ID", "project-1");
    bench.set("HUAWEICLOUD_SDK_AK", "AKEXAMPLE");
    bench.set("HUAWEICLOUD_SDK_SK", SECRET);
    bench.both_ways(&["--hckms", &format!("cn-north-4:{KEY}")]);
    server.asked();
    bench.native(&["decrypt", "theirs.yaml"]).ok();
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("x-project-id"), "project-1");
    assert!(asked[0].header("authorization").starts_with("SDK-HMAC-SHA256 Access=AKEXAMPLE, "));
    // Keys come and go.
    let (key, other) = (format!("cn-north-4:{KEY}"), format!("cn-north-4:{OTHER}"));
    bench.ours(&["rotate", "-i", "--add-hckms", &other, "ours.yaml"]).ok();
    assert!(bench.read("ours.yaml").contains(KEY) && bench.read("ours.yaml").contains(OTHER));
    bench.ours(&["rotate", "-i", "--rm-hckms", &key, "ours.yaml"]).ok();
    assert!(!bench.read("ours.yaml").contains(KEY));
    assert_eq!(bench.theirs(&["decrypt", "ours.yaml"]).ok().out, crate::bench::TEXT);
    bench.theirs(&["rotate", "-i", "--add-hckms", &key, "--rm-hckms", &other, "ours.yaml"]).ok();
    // Wrong credentials, and a key that is disabled.
    bench.set("HUAWEICLOUD_SDK_SK", "canary-of-another-access-key");
    let said = bench.refused("ours.yaml", &["canary-of-another-access-key"]);
    assert!(said.contains("Huawei Cloud KMS refused (HTTP 401): APIGW.0301"), "{said}");
    assert!(said.contains("clock"), "{said}");
    bench.set("HUAWEICLOUD_SDK_SK", SECRET);
    let text = bench.read("ours.yaml").replace(KEY, "0d0466b0-e727-4d9c-b35d-000000000000");
    bench.write("ours.yaml", &text);
    let said = bench.refused("ours.yaml", &[SECRET]);
    assert!(said.contains("KMS.1104: disabled") && said.contains("enabled"), "{said}");
    // A region is no part of an address.
    bench.write("ours.yaml", &text.replace("cn-north-4:", "evil.example/:"));
    server.asked();
    let said = bench.refused("ours.yaml", &[SECRET]);
    assert!(said.contains("REGION:UUID"), "{said}");
    assert_eq!(server.asked().len(), 0);
}

/// A project that the credentials do not name is asked for, once a region.
#[test]
fn credentials_come_from_a_file_and_the_project_from_a_question() {
    let Some(mut bench) = Bench::new() else { return };
    let server = Server::new(|asked| {
        if asked.way == "/v3/projects?name=cn-north-4" && is_signed(asked, SECRET) {
            return Reply::json(
                200,
                &json!({"projects": [{"id": "project-1", "name": "cn-north-4"}]}),
            );
        }
        answer(asked)
    });
    bench.set("HUAWEICLOUD_SDK_REGION_KMS_CN_NORTH_4", &server.url());
    bench.set("HUAWEICLOUD_SDK_IAM_ENDPOINT", &server.url());
    std::fs::create_dir_all(bench.home(".huaweicloud")).unwrap();
    let file = bench.home(".huaweicloud/credentials");
    std::fs::write(&file, format!("[basic]\nak = AKEXAMPLE\nsk = {SECRET}\n")).unwrap();
    bench.write("a.yaml", crate::bench::TEXT);
    bench.ours(&["encrypt", "-i", "--hckms", &format!("cn-north-4:{KEY}"), "a.yaml"]).ok();
    server.asked();
    bench.native(&["decrypt", "a.yaml"]).ok();
    let ways: Vec<String> = server.asked().into_iter().map(|one| one.way).collect();
    assert_eq!(ways, ["/v3/projects?name=cn-north-4", "/v1.0/project-1/kms/decrypt-data"]);
    // The file elsewhere, with a project in it.
    let text = format!("[basic]\nak = AKEXAMPLE\nsk = {SECRET}\nproject_id = project-1\n");
    bench.write("credentials", &text);
    std::fs::remove_file(file).unwrap();
    bench.set("HUAWEICLOUD_SDK_CREDENTIALS_FILE", bench.path("credentials").to_str().unwrap());
    bench.native(&["decrypt", "a.yaml"]).ok();
    assert_eq!(server.asked().len(), 1);
}
