//! Google Cloud KMS: the exact request, and the real sops at the same server.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::bench::Bench;
use crate::server::{Asked, Reply, Server};

const TOKEN: &str = "ya29.canary-token-of-google";
const KEY: &str = "projects/p-1/locations/global/keyRings/ring/cryptoKeys/fleet";

const OTHER: &str = "projects/p-1/locations/global/keyRings/ring/cryptoKeys/spare";

fn turned(text: &str) -> String {
    let mut bytes = BASE64_STANDARD.decode(text).unwrap();
    bytes.reverse();
    BASE64_STANDARD.encode(bytes)
}

fn answer(asked: &Asked) -> Reply {
    if asked.header("authorization") != format!("Bearer {TOKEN}") {
        let message = format!("{} is not it", asked.header("authorization"));
        let error =
            json!({"error": {"code": 401, "message": message, "status": "UNAUTHENTICATED"}});
        return Reply::json(401, &error);
    }
    let body = asked.json();
    let way = asked.way.split('?').next().unwrap();
    let is = |verb: &str| [KEY, OTHER].iter().any(|key| way == format!("/v1/{key}:{verb}"));
    if asked.method == "POST" && is("encrypt") {
        let sealed = turned(body["plaintext"].as_str().unwrap());
        Reply::json(
            200,
            &json!({"name": format!("{KEY}/cryptoKeyVersions/1"), "ciphertext": sealed}),
        )
    } else if asked.method == "POST" && is("decrypt") {
        Reply::json(200, &json!({"plaintext": turned(body["ciphertext"].as_str().unwrap())}))
    } else {
        let error =
            json!({"error": {"code": 400, "message": "disabled", "status": "FAILED_PRECONDITION"}});
        Reply::json(400, &error)
    }
}

#[test]
fn the_request_is_that_of_google_and_of_sops() {
    let Some(mut bench) = Bench::new() else { return };
    let server = Server::new(answer);
    bench.set("SOPS_GCP_KMS_ENDPOINT", &server.url());
    bench.set("SOPS_GCP_KMS_CLIENT_TYPE", "rest");
    bench.set("GOOGLE_OAUTH_ACCESS_TOKEN", TOKEN);
    bench.both_ways(&["--gcp-kms", KEY]);
    server.asked();
    bench.native(&["decrypt", "theirs.yaml"]).ok();
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].way, format!("/v1/{KEY}:decrypt"));
    assert_eq!(asked[0].header("content-type"), "application/json");
    assert_eq!(asked[0].json().as_object().unwrap().len(), 1);
    // Keys come and go.
    bench.ours(&["rotate", "-i", "--add-gcp-kms", OTHER, "ours.yaml"]).ok();
    assert!(bench.read("ours.yaml").contains(KEY) && bench.read("ours.yaml").contains(OTHER));
    bench.ours(&["rotate", "-i", "--rm-gcp-kms", KEY, "ours.yaml"]).ok();
    assert!(!bench.read("ours.yaml").contains(KEY));
    assert_eq!(bench.theirs(&["decrypt", "ours.yaml"]).ok().out, crate::bench::TEXT);
    bench.theirs(&["rotate", "-i", "--add-gcp-kms", KEY, "--rm-gcp-kms", OTHER, "ours.yaml"]).ok();
    assert_eq!(bench.native(&["decrypt", "ours.yaml"]).ok().out, crate::bench::TEXT);
    // A token that has run out, repeated by who refuses it.
    let wrong = "ya29.canary-that-ran-out";
    bench.set("GOOGLE_OAUTH_ACCESS_TOKEN", wrong);
    let said = bench.refused("ours.yaml", &[wrong, "ya29"]);
    assert!(said.contains("Google Cloud KMS refused (HTTP 401): UNAUTHENTICATED"), "{said}");
    assert!(said.contains(KEY) && said.contains("gcloud auth"), "{said}");
    bench.set("GOOGLE_OAUTH_ACCESS_TOKEN", TOKEN);
    // A key that is disabled.
    let text = bench.read("ours.yaml").replace("cryptoKeys/fleet", "cryptoKeys/off");
    bench.write("ours.yaml", &text);
    let said = bench.refused("ours.yaml", &[TOKEN]);
    assert!(said.contains("disabled or destroyed"), "{said}");
    // What is no name of a key makes no address.
    server.asked();
    let text = text.replace("cryptoKeys/off", "cryptoKeys/off:destroy");
    bench.write("ours.yaml", &text);
    bench.refused("ours.yaml", &[TOKEN]);
    assert_eq!(server.asked().len(), 0);
}
