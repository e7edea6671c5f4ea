//! Azure Key Vault: the exact requests to directory and vault, with a real key in the vault.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rsa::traits::PublicKeyParts;
use rsa::{Oaep, RsaPrivateKey};
use serde_json::json;

use crate::bench::{Bench, TEXT};
use crate::server::{Asked, Reply, Server};

const SECRET: &str = "canary~secret~of~the~client";
const TOKEN: &str = "eyJ0.canary-token-of-azure.x";
const VERSION: &str = "0123456789abcdef0123456789abcdef";

fn answer(key: &RsaPrivateKey, asked: &Asked) -> Reply {
    if asked.way == "/tenant-1/oauth2/v2.0/token" {
        let form = String::from_utf8(asked.body.clone()).unwrap();
        let good = form.contains("grant_type=client_credentials")
            && form.contains("client_id=client-1")
            && form.contains("scope=https%3A%2F%2Fvault.azure.net%2F.default")
            && form.contains("client_secret=canary~secret~of~the~client")
            && asked.method == "POST";
        return if good {
            Reply::json(
                200,
                &json!({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}),
            )
        } else {
            let description = format!("invalid: {form}");
            Reply::json(401, &json!({"error": "invalid_client", "error_description": description}))
        };
    }
    if asked.header("authorization") != format!("Bearer {TOKEN}") {
        return Reply::json(401, &json!({"error": {"code": "Unauthorized", "message": "no"}}));
    }
    let (way, query) = asked.way.split_once('?').unwrap();
    assert!(query.starts_with("api-version=7."), "{query}");
    let number = |bytes: Vec<u8>| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    match (asked.method.as_str(), way) {
        ("GET", "/keys/fleet") => {
            let jwk = json!({
                "kid": format!("https://v/keys/fleet/{VERSION}"), "kty": "RSA",
                "n": number(key.n().to_bytes_be()), "e": number(key.e().to_bytes_be()),
                "key_ops": ["encrypt", "decrypt"],
            });
            Reply::json(200, &json!({"key": jwk, "attributes": {"enabled": true}}))
        }
        ("POST", way) if way == format!("/keys/fleet/{VERSION}/decrypt") => {
            let body = asked.json();
            assert_eq!(body["alg"], "RSA-OAEP-256");
            let sealed = BASE64_URL_SAFE_NO_PAD.decode(body["value"].as_str().unwrap()).unwrap();
            let open = key.decrypt(Oaep::new::<sha2::Sha256>(), &sealed).unwrap();
            Reply::json(200, &json!({"kid": "k", "value": BASE64_URL_SAFE_NO_PAD.encode(open)}))
        }
        _ => {
            Reply::json(403, &json!({"error": {"code": "Forbidden", "message": "key is disabled"}}))
        }
    }
}

#[test]
fn a_vault_opens_what_was_wrapped_with_its_public_key() {
    let Some(mut bench) = Bench::new() else { return };
    let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let server = Server::new(move |asked| answer(&key, asked));
    bench.set("AZURE_AUTHORITY_HOST", &server.url());
    bench.set("AZURE_TENANT_ID", "tenant-1");
    bench.set("AZURE_CLIENT_ID", "client-1");
    bench.set("AZURE_CLIENT_SECRET", SECRET);
    let rules = format!(
        "creation_rules:\n  - key_groups:\n      - azure_keyvault:\n          - vaultUrl: {}\n            key: fleet\n            version: \"\"\n",
        server.url()
    );
    bench.write(".sops.yaml", &rules);
    // A token for all vaults goes to no address that a file alone names.
    bench.write("a.yaml", TEXT);
    let ran = bench.ours(&["encrypt", "-i", "a.yaml"]);
    assert_ne!(ran.code, 0);
    assert!(ran.err.contains("is not allowed"), "{ran:?}");
    assert_eq!((bench.read("a.yaml").as_str(), server.asked().len()), (TEXT, 0));
    bench.set("SECRETCTL_KEY_SERVICES", &server.url());
    bench.ours(&["encrypt", "-i", "a.yaml"]).ok();
    assert!(bench.read("a.yaml").contains(&format!("version: {VERSION}")));
    assert_eq!(server.asked().len(), 2, "a token, and the public key");
    assert_eq!(bench.native(&["decrypt", "a.yaml"]).ok().out, TEXT);
    assert_eq!(server.asked().len(), 2, "a token, and the question");
    // The rules name no version, and the file has one: nobody need be asked to see that this is right.
    bench.native(&["rekey", "--check"]).ok();
    bench.native(&["rekey"]).ok();
    assert!(bench.native(&["status", "a.yaml"]).ok().out.contains("fleet"));
    assert_eq!(server.asked().len(), 0);
    let pinned = rules.replace("version: \"\"", "version: 00000000000000000000000000000000");
    bench.write(".sops.yaml", &pinned);
    let ran = bench.native(&["rekey", "--check"]);
    assert!(ran.code == 1 && server.asked().is_empty(), "another version is another key: {ran:?}");
    bench.write(".sops.yaml", &rules);
    bench.native(&["set", "a.yaml", "/db/password", "\"second\""]).ok();
    bench.native(&["rotate", "a.yaml"]).ok();
    assert!(bench.native(&["decrypt", "a.yaml"]).ok().out.contains("password: second"));
    let text = bench.read("a.yaml").replace(VERSION, "ffff");
    let good = bench.read("a.yaml");
    bench.write("a.yaml", &text);
    let said = bench.refused("a.yaml", &[SECRET, TOKEN]);
    assert!(said.contains("Azure Key Vault refused (HTTP 403): Forbidden"), "{said}");
    bench.write("a.yaml", &good);
    bench.set("AZURE_CLIENT_SECRET", "canary-that-is-wrong");
    let said = bench.refused("a.yaml", &["canary-that-is-wrong"]);
    assert!(said.contains("no credentials for Azure Key Vault"), "{said}");
    assert!(said.contains("invalid_client") && said.contains("az login"), "{said}");
}
