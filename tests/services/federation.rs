//! Google, for who has an account elsewhere (workload identity federation, as in the runners of GitHub)
//! and for who acts as an account of a service.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rsa::RsaPrivateKey;
use serde_json::{Value, json};

use crate::credentials::{GOOGLE, GOOGLE_KEY, Home, google, hosts};
use crate::server::{Asked, Reply};

const SUBJECT: &str = "eyJ.canary-of-the-runner.x";
const BETWEEN: &str = "ya29.canary-token-between";
const AUDIENCE: &str =
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/g";
const ACTS_AS: &str = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/opener@p-1.iam.gserviceaccount.com:generateAccessToken";

/// The service that exchanges tokens, the one that lets somebody act as an account, and an issuer.
fn elsewhere(asked: &Asked) -> Option<Reply> {
    let said = String::from_utf8_lossy(&asked.body).into_owned();
    let refused =
        || Reply::json(400, &json!({"error": "invalid_grant", "error_description": said}));
    let header = |name: &str, value: &str| asked.header(name) == value;
    match asked.host.as_str() {
        "sts.googleapis.com" => {
            let said = said.replace("%3A", ":").replace("%2F", "/");
            let has = |part: &str| said.contains(part);
            let acts = has("scope=https://www.googleapis.com/auth/iam")
                || has("scope=https://www.googleapis.com/auth/cloud-platform");
            let good = asked.way == "/v1/token"
                && has("grant_type=urn:ietf:params:oauth:grant-type:token-exchange")
                && has("requested_token_type=urn:ietf:params:oauth:token-type:access_token")
                && has("subject_token_type=urn:ietf:params:oauth:token-type:jwt")
                && has(&format!("audience={AUDIENCE}"))
                && has(&format!("subject_token={SUBJECT}"))
                && has("scope=https://www.googleapis.com/auth/");
            let token = if acts && !has("auth/cloudkms") { BETWEEN } else { GOOGLE };
            let answer = json!({
                "access_token": token, "expires_in": 3599, "token_type": "Bearer",
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            });
            Some(if good { Reply::json(200, &answer) } else { refused() })
        }
        "iamcredentials.googleapis.com" => {
            let scope = asked.json()["scope"].to_string();
            let good = asked.way.replace("%40", "@") == ACTS_AS.split_once(".com").unwrap().1
                && (header("authorization", &format!("Bearer {BETWEEN}"))
                    || header("authorization", &format!("Bearer {GOOGLE}")))
                && (scope.contains("auth/cloudkms") || scope.contains("auth/cloud-platform"));
            let answer = json!({"accessToken": GOOGLE, "expireTime": "2100-01-01T00:00:00Z"});
            Some(if good { Reply::json(200, &answer) } else { refused() })
        }
        "issuer.test.invalid" => {
            let good = header("authorization", "Bearer canary-of-the-request");
            let answer = json!({"value": SUBJECT});
            Some(if good { Reply::json(200, &answer) } else { refused() })
        }
        _ => None,
    }
}

/// The file of an account that is elsewhere.
fn account(source: &Value, acts_as: bool) -> String {
    let mut account = json!({
        "type": "external_account", "audience": AUDIENCE, "universe_domain": "googleapis.com",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token", "credential_source": source,
    });
    if acts_as {
        account["service_account_impersonation_url"] = ACTS_AS.into();
    }
    account.to_string()
}

#[test]
fn accounts_of_elsewhere_and_acting_as_another_one() {
    let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let answer = google(key.to_public_key());
    let busy = Arc::new(AtomicBool::new(false));
    let is_busy = Arc::clone(&busy);
    let both = move |asked: &Asked| {
        if asked.host.starts_with("sts.") && is_busy.swap(false, Ordering::Relaxed) {
            return Reply(503, String::new(), vec![]);
        }
        elsewhere(asked).unwrap_or_else(|| answer(asked))
    };
    let token = [("GOOGLE_OAUTH_ACCESS_TOKEN", GOOGLE)];
    let Some(mut home) = Home::new(both, &token, &["--gcp-kms", GOOGLE_KEY]) else { return };
    home.bench.set("SOPS_GCP_KMS_CLIENT_TYPE", "rest");
    let file = home.write("token", SUBJECT);
    let in_json = home.write("token.json", &json!({"id": SUBJECT}).to_string());
    let of_issuer = json!({
        "url": "https://issuer.test.invalid/token?audience=x",
        "headers": {"Authorization": "Bearer canary-of-the-request"},
        "format": {"type": "json", "subject_token_field_name": "value"},
    });
    let json_format = json!({"type": "json", "subject_token_field_name": "id"});
    for (source, first) in [
        (json!({"file": file}), None),
        (json!({"file": in_json, "format": json_format}), None),
        (of_issuer, Some("issuer")),
    ] {
        for acts_as in [false, true] {
            let named = home.write("account.json", &account(&source, acts_as));
            let asked = home.opens(&[("GOOGLE_APPLICATION_CREDENTIALS", &named)]);
            let mut expected = Vec::from_iter(first);
            expected.push("sts");
            expected.extend(acts_as.then_some("iamcredentials"));
            expected.push("cloudkms");
            assert_eq!(hosts(&asked), expected, "{source}");
        }
    }
    // Who is busy is asked again.
    busy.store(true, Ordering::Relaxed);
    let asked = home.opens(&[("GOOGLE_CREDENTIALS", &account(&json!({"file": file}), true))]);
    assert_eq!(hosts(&asked), ["sts", "sts", "iamcredentials", "cloudkms"]);
    // A token that has run out.
    let old = home.write("old", "eyJ.canary-that-ran-out.x");
    let old = account(&json!({"file": old}), true);
    let said = home.refused(&[("GOOGLE_CREDENTIALS", &old)], &["canary"]);
    assert!(said.contains("sts.googleapis.com refuses (HTTP 400) invalid_grant"), "{said}");

    // `gcloud auth application-default login --impersonate-service-account`.
    let acting = json!({
        "type": "impersonated_service_account", "delegates": [],
        "service_account_impersonation_url": ACTS_AS,
        "source_credentials": {
            "type": "authorized_user", "client_id": "client.apps.googleusercontent.com",
            "client_secret": "canary-of-the-client", "refresh_token": "1//canary-to-refresh",
        },
    });
    let named = home.write("acting.json", &acting.to_string());
    let asked = home.opens(&[("GOOGLE_APPLICATION_CREDENTIALS", &named)]);
    assert_eq!(hosts(&asked), ["oauth2", "iamcredentials", "cloudkms"]);
}

const MAY: &str = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES";

#[test]
fn programs_print_the_token_of_an_account_elsewhere() {
    let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let answer = google(key.to_public_key());
    let both = move |asked: &Asked| elsewhere(asked).unwrap_or_else(|| answer(asked));
    let token = [("GOOGLE_OAUTH_ACCESS_TOKEN", GOOGLE)];
    let Some(mut home) = Home::new(both, &token, &["--gcp-kms", GOOGLE_KEY]) else { return };
    home.bench.set("SOPS_GCP_KMS_CLIENT_TYPE", "rest");
    let (ran, printed) = (home.bench.home("ran"), home.bench.home("printed"));
    let told = "$GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE $GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE $GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE $GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL $GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE";
    home.program(
        "bin",
        "token",
        &format!("echo \"$# $1 {told}\" >> '{}'; cat '{}'", ran.display(), printed.display()),
    );
    let program = home.bench.home("bin/token").display().to_string();
    let account = |output: Option<&str>, acts_as: bool| {
        let command = format!("{program} ;'x");
        account(
            &json!({"executable": {"command": command, "timeout_millis": 5000, "output_file": output}}),
            acts_as,
        )
    };
    let jwt = "urn:ietf:params:oauth:token-type:jwt";
    let good = json!({
        "version": 1, "success": true, "token_type": jwt, "id_token": SUBJECT,
        "expiration_time": 4_102_444_800_u64,
    });
    home.write("printed", &good.to_string());
    // Nothing runs where nobody says that it may.
    for may in ["", "0", "true"] {
        let said =
            home.refused(&[("GOOGLE_CREDENTIALS", &account(None, false)), (MAY, may)], &["canary"]);
        assert!(said.contains("set GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1"), "{said}");
    }
    assert!(!ran.exists());
    for acts_as in [false, true] {
        let asked = home.opens(&[("GOOGLE_CREDENTIALS", &account(None, acts_as)), (MAY, "1")]);
        let expected: &[&str] =
            if acts_as { &["sts", "iamcredentials", "cloudkms"] } else { &["sts", "cloudkms"] };
        assert_eq!(hosts(&asked), expected);
        // The real sops tells it the same.
        let told = fs::read_to_string(&ran).unwrap();
        let email = if acts_as { "opener@p-1.iam.gserviceaccount.com" } else { "" };
        let line = format!("1 ;'x {jwt} {AUDIENCE} 0 {email} \n");
        assert_eq!(told, line.repeat(2));
        fs::remove_file(&ran).unwrap();
    }
    // What it left in a file serves as long as it lasts.
    let output = home.write("output", &good.to_string());
    home.opens(&[("GOOGLE_CREDENTIALS", &account(Some(&output), false))]);
    assert!(!ran.exists());
    let mut old = good.clone();
    old["expiration_time"] = 1.into();
    fs::write(&output, old.to_string()).unwrap();
    home.opens(&[("GOOGLE_CREDENTIALS", &account(Some(&output), false)), (MAY, "1")]);
    assert!(fs::read_to_string(&ran).unwrap().ends_with(&format!(" {output}\n")));
    // What is no token is told.
    let failed = json!({"version": 1, "success": false, "code": "401", "message": "log in first"});
    let mut another = good.clone();
    another["version"] = 2.into();
    for (text, words) in [
        (failed.to_string(), "says why not: 401: log in first"),
        (old.to_string(), "gives a token that has run out"),
        (another.to_string(), "gives no token in an answer of version 1"),
        ("canary".to_owned(), "gives no token in an answer of version 1"),
    ] {
        home.write("printed", &text);
        let said =
            home.refused(&[("GOOGLE_CREDENTIALS", &account(None, false)), (MAY, "1")], &["canary"]);
        assert!(said.contains(words), "{said}");
    }
}
