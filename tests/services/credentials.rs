//! Where credentials come from: each source is asked as its service describes it, at its very
//! address where that has no other name, and the real sops gets the same from it.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::bench::{Bench, TEXT};
use crate::cloud::Authority;
use crate::huawei::hex;
use crate::server::{Asked, Reply, Server};

pub const KEY: &str = "arn:aws:kms:eu-central-1:123456789012:key/fleet";
pub const FIRST: (&str, &str) =
    ("AKIAFIRSTEXAMPLE0000", "canary/secret/of/the/first+key/0000000000");
const ROLE: (&str, &str) = ("ASIAROLEEXAMPLE00000", "canary/secret/of/the/role+/key/0000000000");
const OF_THE_SUITE: (&str, &str) = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
const SESSION: &str = "canary/session/token==";

fn turned(text: &str) -> String {
    let mut bytes = BASE64_STANDARD.decode(text).unwrap();
    bytes.reverse();
    BASE64_STANDARD.encode(bytes)
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The access key with which a request was signed, if its signature is the one of Signature Version 4.
fn signer(asked: &Asked) -> Option<&'static str> {
    let (_, rest) = asked.header("authorization").split_once("AWS4-HMAC-SHA256 Credential=")?;
    let (scope, rest) = rest.split_once(", SignedHeaders=")?;
    let (names, signature) = rest.split_once(", Signature=")?;
    let parts: Vec<&str> = scope.split('/').collect();
    let [id, date, region, service, _] = parts.as_slice() else { return None };
    let (id, secret) = [FIRST, ROLE, OF_THE_SUITE].into_iter().find(|(known, _)| known == id)?;
    let (way, query) = asked.way.split_once('?').unwrap_or((&asked.way, ""));
    let mut canonical = format!("{}\n{way}\n{query}\n", asked.method);
    for name in names.split(';') {
        canonical.push_str(&format!("{name}:{}\n", asked.header(name)));
    }
    canonical.push_str(&format!("\n{names}\n{}", hex(&Sha256::digest(&asked.body))));
    let time = asked.header("x-amz-date");
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let hash = hex(&Sha256::digest(canonical.as_bytes()));
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hash}");
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [date, region, service, &"aws4_request"] {
        key = mac(&key, part);
    }
    (hex(&mac(&key, &text)) == signature).then_some(id)
}

/// Whoever checks the signatures of ours is checked himself: `aws-signing-test-suite/v4` of
/// <https://github.com/awslabs/aws-c-auth>, a few of its requests with their headers as they stand there.
#[test]
fn signatures_are_those_of_the_test_suite_of_aws() {
    let form = "content-type: application/x-www-form-urlencoded";
    let hash =
        "x-amz-content-sha256: 9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e";
    let token = "x-amz-security-token: AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
    let with_charset = format!("{form}; charset=utf-8");
    let cases: [(&[&str], &str, &str, &str); 3] = [
        (
            &[form, "content-length: 13", hash],
            "Param1=value1",
            "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
            "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
        ),
        (
            &[&with_charset, "content-length: 13", hash],
            "Param1=value1",
            "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
            "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422",
        ),
        (
            &[token],
            "",
            "host;x-amz-date;x-amz-security-token",
            "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
        ),
    ];
    for (headers, body, names, signature) in cases {
        let mut asked = Asked {
            method: "POST".to_owned(),
            way: "/".to_owned(),
            body: body.as_bytes().to_vec(),
            ..Asked::default()
        };
        let scope = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";
        let mut put = |name: &str, value: &str| {
            asked.headers.insert(name.to_owned(), value.to_owned());
        };
        put("host", "example.amazonaws.com");
        put("x-amz-date", "20150830T123600Z");
        for (name, value) in headers.iter().map(|line| line.split_once(": ").unwrap()) {
            put(name, value);
        }
        let authorization = |signature: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"
            )
        };
        put("authorization", &authorization(signature));
        assert_eq!(signer(&asked), Some(OF_THE_SUITE.0), "{headers:?}");
        let other = signature.replace('0', "1");
        asked.headers.insert("authorization".to_owned(), authorization(&other));
        assert_eq!(signer(&asked), None);
    }
}

/// KMS, STS and the portal of SSO, which look at all that they are asked.
pub fn aws(asked: &Asked) -> Reply {
    let refused = |code: &str| Reply::json(400, &json!({"__type": code, "message": "no"}));
    let form = String::from_utf8_lossy(&asked.body).into_owned();
    let role = json!({"accessKeyId": ROLE.0, "secretAccessKey": ROLE.1, "sessionToken": SESSION, "expiration": 4_102_444_800_000_u64});
    match asked.host.as_str() {
        "kms.eu-central-1.amazonaws.com" => {
            let token = asked.header("x-amz-security-token");
            match signer(asked) {
                Some(id) if id == FIRST.0 && token.is_empty() => {}
                Some(id) if id == ROLE.0 && token == SESSION => {}
                _ => return refused("InvalidSignatureException"),
            }
            let body = asked.json();
            match asked.header("x-amz-target") {
                "TrentService.Encrypt" => {
                    let sealed = turned(body["Plaintext"].as_str().unwrap());
                    Reply::json(200, &json!({"CiphertextBlob": sealed, "KeyId": KEY}))
                }
                "TrentService.Decrypt" => {
                    let open = turned(body["CiphertextBlob"].as_str().unwrap());
                    Reply::json(200, &json!({"Plaintext": open, "KeyId": KEY}))
                }
                _ => refused("UnknownOperationException"),
            }
        }
        "sts.eu-central-1.amazonaws.com" => {
            let web = form.contains("Action=AssumeRoleWithWebIdentity&");
            let good = if web {
                asked.header("authorization").is_empty()
                    && form.contains("WebIdentityToken=eyJ.canary-token-of-the-pod.x")
            } else {
                form.contains("Action=AssumeRole&")
                    && signer(asked) == Some(FIRST.0)
                    && form.contains("ExternalId=ours")
            };
            let good = good
                && form.contains("Version=2011-06-15")
                && form.contains("RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fopener")
                && form.contains("RoleSessionName=session-1");
            if !good {
                let text = format!(
                    "<ErrorResponse><Error><Code>AccessDenied</Code><Message>{form}</Message></Error></ErrorResponse>"
                );
                return Reply(403, "content-type: text/xml\r\n".to_owned(), text.into_bytes());
            }
            let action = if web { "AssumeRoleWithWebIdentity" } else { "AssumeRole" };
            let text = format!(
                "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{SESSION}</SessionToken><Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></{action}Result></{action}Response>",
                ROLE.0, ROLE.1
            );
            Reply(200, "content-type: text/xml\r\n".to_owned(), text.into_bytes())
        }
        "portal.sso.eu-central-1.amazonaws.com" => {
            let (way, query) = asked.way.split_once('?').unwrap();
            let good = asked.method == "GET"
                && way == "/federation/credentials"
                && query.split('&').any(|one| one == "account_id=123456789012")
                && query.split('&').any(|one| one == "role_name=Opener")
                && asked.header("x-amz-sso_bearer_token") == "canary-token-of-sso";
            if good {
                Reply::json(200, &json!({"roleCredentials": role}))
            } else {
                refused("UnauthorizedException")
            }
        }
        "oidc.eu-central-1.amazonaws.com" => {
            let wanted = json!({"clientId": "client-1", "clientSecret": "canary-of-the-client", "refreshToken": "canary-to-refresh", "grantType": "refresh_token"});
            let is_it = asked.way == "/token" && asked.json() == wanted;
            if is_it && asked.header("authorization").is_empty() {
                Reply::json(
                    200,
                    &json!({"accessToken": "canary-token-of-sso", "expiresIn": 28800, "refreshToken": "canary-to-refresh-again", "tokenType": "Bearer"}),
                )
            } else {
                Reply::json(400, &json!({"error": "invalid_grant", "error_description": form}))
            }
        }
        other => panic!("{other}"),
    }
}

/// A bench that talks to a cloud through a proxy, and `a.yaml` that is encrypted with `options`.
pub struct Home {
    pub bench: Bench,
    pub cloud: Server,
}

impl Home {
    pub fn new(
        answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
        variables: &[(&str, &str)],
        options: &[&str],
    ) -> Option<Self> {
        let mut bench = Bench::new()?;
        let authority = Authority::new(bench.root().join("authority"))?;
        let cloud = authority.proxy(answer);
        bench.set("HTTPS_PROXY", &cloud.url());
        bench.set("SSL_CERT_FILE", &authority.file("ca.pem"));
        let mut home = Self { bench, cloud };
        home.with(variables, |home| {
            home.bench.write("a.yaml", TEXT);
            home.bench.ours(&[&["encrypt", "-i"], options, &["a.yaml"]].concat()).ok();
        });
        Some(home)
    }

    pub fn with<T>(&mut self, variables: &[(&str, &str)], act: impl FnOnce(&mut Self) -> T) -> T {
        for (name, value) in variables {
            self.bench.set(name, value);
        }
        self.cloud.asked();
        let done = act(self);
        for (name, _) in variables {
            self.bench.unset(name);
        }
        done
    }

    /// What the hosts were asked when ours opened the file; the real sops opens it in the same way.
    #[track_caller]
    pub fn opens(&mut self, variables: &[(&str, &str)]) -> Vec<Asked> {
        self.with(variables, |home| {
            assert_eq!(home.bench.native(&["decrypt", "a.yaml"]).ok().out, TEXT);
            let asked = home.cloud.asked();
            assert_eq!(home.bench.theirs(&["decrypt", "a.yaml"]).ok().out, TEXT);
            asked
        })
    }

    /// What is said where it does not open; nothing secret of it.
    #[track_caller]
    pub fn refused(&mut self, variables: &[(&str, &str)], secrets: &[&str]) -> String {
        self.with(variables, |home| home.bench.refused("a.yaml", secrets))
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.bench.home(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// A program in a folder of its own, which is the value of `PATH`.
    pub fn program(&self, folder: &str, name: &str, script: &str) -> String {
        let path = self.write(&format!("{folder}/{name}"), &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        format!("{}:/usr/bin:/bin", self.bench.home(folder).display())
    }
}

pub fn hosts(asked: &[Asked]) -> Vec<&str> {
    asked.iter().map(|one| one.host.split('.').next().unwrap()).collect()
}

#[test]
fn aws_roles_sessions_and_programs() {
    let first = [("AWS_ACCESS_KEY_ID", FIRST.0), ("AWS_SECRET_ACCESS_KEY", FIRST.1)];
    let Some(mut home) = Home::new(aws, &first, &["--kms", KEY]) else { return };
    assert_eq!(hosts(&home.opens(&first)), ["kms"]);
    let role = "arn:aws:iam::123456789012:role/opener";

    // Of a pod: a token in a file.
    let token = home.write("token", "eyJ.canary-token-of-the-pod.x\n");
    let web = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()),
        ("AWS_ROLE_ARN", role),
        ("AWS_ROLE_SESSION_NAME", "session-1"),
    ];
    assert_eq!(hosts(&home.opens(&web)), ["sts", "kms"]);
    let said = home.refused(&web[..1], &["canary"]);
    assert!(said.contains("AWS_ROLE_ARN is not"), "{said}");
    fs::write(&token, "eyJ.another-canary.x").unwrap();
    let said = home.refused(&web, &["another-canary"]);
    assert!(
        said.contains("AWS KMS refused (HTTP 403): role arn:aws:iam::123456789012:role/opener"),
        "{said}"
    );
    assert!(said.contains("AccessDenied") && said.contains("hint: the role must trust"), "{said}");
    fs::write(&token, "eyJ.canary-token-of-the-pod.x").unwrap();

    // Profiles, the one with the credentials of the other.
    let source = format!(
        "[default]\nregion = eu-central-1\n\n[profile opener]\nrole_arn = {role}\nsource_profile = first\nexternal_id = ours\nrole_session_name = session-1\nregion = eu-central-1\n\n\
         [profile pod]\nrole_arn = {role}\nweb_identity_token_file = {token}\nrole_session_name = session-1\nregion = eu-central-1\n\n\
         [profile old]\nsso_start_url = https://start.example/\nsso_region = eu-central-1\nsso_account_id = 123456789012\nsso_role_name = Opener\n\n\
         [profile new]\nsso_session = ours\nsso_account_id = 123456789012\nsso_role_name = Opener\n\n\
         [sso-session ours]\nsso_start_url = https://start.example/\nsso_region = eu-central-1\nsso_registration_scopes = sso:account:access\n\n\
         [profile program]\ncredential_process = \"{}\" --for 'a b'\n\n\
         [profile round]\nrole_arn = {role}\nsource_profile = about\n\n[profile about]\nrole_arn = {role}\nsource_profile = round\n",
        home.bench.home("with blank/print").display()
    );
    home.write(".aws/config", &source);
    let credentials =
        format!("[first]\naws_access_key_id = {}\naws_secret_access_key = {}\n", FIRST.0, FIRST.1);
    home.write(".aws/credentials", &credentials);
    assert_eq!(hosts(&home.opens(&[("AWS_PROFILE", "opener")])), ["sts", "kms"]);
    assert_eq!(hosts(&home.opens(&[("AWS_PROFILE", "pod")])), ["sts", "kms"]);
    let said = home.refused(&[("AWS_PROFILE", "round")], &["canary"]);
    assert!(said.contains("in a circle"), "{said}");
    let said = home.refused(&[("AWS_PROFILE", "none")], &["canary"]);
    assert!(said.contains("there is no profile `none`"), "{said}");

    // What `aws sso login` leaves: a file with the name of the address, or of the session.
    for (profile, name) in [("old", "https://start.example/"), ("new", "ours")] {
        let said = home.refused(&[("AWS_PROFILE", profile)], &["canary"]);
        assert!(said.contains(&format!("aws sso login --profile {profile}")), "{said}");
        let cached = |until: &str| {
            let file = format!(".aws/sso/cache/{}.json", hex(&sha1::Sha1::digest(name.as_bytes())));
            let text = json!({"startUrl": "https://start.example/", "region": "eu-central-1", "accessToken": "canary-token-of-sso", "expiresAt": until});
            home.write(&file, &text.to_string());
        };
        cached("2020-01-01T00:00:00Z");
        let said = home.bench.refused("a.yaml", &["canary"]);
        assert!(said.contains("AWS KMS"), "{said}");
        cached("2099-01-01T00:00:00Z");
        assert_eq!(hosts(&home.opens(&[("AWS_PROFILE", profile)])), ["portal", "kms"]);
    }

    // A program, with blanks in its name and in an argument.
    let printed = json!({"Version": 1, "AccessKeyId": ROLE.0, "SecretAccessKey": ROLE.1, "SessionToken": SESSION});
    home.program("with blank", "print", &format!("[ \"$2\" = 'a b' ] && echo '{printed}'"));
    assert_eq!(hosts(&home.opens(&[("AWS_PROFILE", "program")])), ["kms"]);
    home.program(
        "with blank",
        "print",
        "echo '{\"Version\": 2, \"AccessKeyId\": \"canary\", \"SecretAccessKey\": \"canary\"}'",
    );
    let said = home.refused(&[("AWS_PROFILE", "program")], &["canary"]);
    assert!(said.contains("another version than 1"), "{said}");
}

#[test]
fn a_session_of_sso_that_has_run_out_is_renewed() {
    let first = [("AWS_ACCESS_KEY_ID", FIRST.0), ("AWS_SECRET_ACCESS_KEY", FIRST.1)];
    let Some(mut home) = Home::new(aws, &first, &["--kms", KEY]) else { return };
    let role = "sso_account_id = 123456789012\nsso_role_name = Opener";
    let sso = "sso_start_url = https://start.example/\nsso_region = eu-central-1";
    let text = format!(
        "[profile old]\n{sso}\n{role}\n\n[profile new]\nsso_session = ours\n{role}\n\n[sso-session ours]\n{sso}\n"
    );
    home.write(".aws/config", &text);
    let cached = |home: &Home, name: &str, refresh: &str| {
        let file = format!(".aws/sso/cache/{}.json", hex(&sha1::Sha1::digest(name.as_bytes())));
        let text = json!({"region": "eu-central-1", "accessToken": "canary-that-ran-out", "expiresAt": "2020-01-01T00:00:00Z", "clientId": "client-1", "clientSecret": "canary-of-the-client", "refreshToken": refresh});
        let path = home.write(&file, &text.to_string());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let read = |path: &str| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
    let new = [("AWS_PROFILE", "new")];
    let path = cached(&home, "ours", "canary-to-refresh");
    // The real sops goes on with what ours leaves.
    assert_eq!(hosts(&home.opens(&new)), ["oidc", "portal", "kms"]);
    let ours = read(&path);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(home.bench.home(".aws/sso/cache")).unwrap().count(), 1);
    // And the other way round.
    cached(&home, "ours", "canary-to-refresh");
    home.with(&new, |home| {
        assert_eq!(home.bench.theirs(&["decrypt", "a.yaml"]).ok().out, TEXT);
        assert_eq!(hosts(&home.cloud.asked()), ["oidc", "portal", "kms"]);
    });
    assert_eq!(hosts(&home.opens(&new)), ["portal", "kms"]);
    let without_time = |mut one: Value| {
        assert!(one["expiresAt"].as_str().unwrap() > "2026");
        one["expiresAt"] = Value::Null;
        one
    };
    assert_eq!(without_time(ours), without_time(read(&path)));
    // Who may not renew it is told so, and the cache stays.
    cached(&home, "ours", "canary-of-nobody");
    let before = read(&path);
    let said = home.refused(&new, &["canary"]);
    assert!(said.contains("(HTTP 400) invalid_grant: run `aws sso login --profile new`"), "{said}");
    assert_eq!(read(&path), before);
    // Without a session of its own, a profile has nothing that is renewed.
    cached(&home, "https://start.example/", "canary-to-refresh");
    home.refused(&[("AWS_PROFILE", "old")], &["canary"]);
    assert!(home.cloud.asked().is_empty());
}

#[test]
fn aws_containers_and_machines_with_an_address_of_their_own() {
    let first = [("AWS_ACCESS_KEY_ID", FIRST.0), ("AWS_SECRET_ACCESS_KEY", FIRST.1)];
    let Some(mut home) = Home::new(aws, &first, &["--kms", KEY]) else { return };
    let near = Server::new(metadata);
    let full = format!("{}/v1/credentials", near.url());
    let token = home.write("token", "canary-token-of-the-container");
    let container = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", full.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.as_str()),
    ];
    assert_eq!(hosts(&home.opens(&container)), ["kms"]);
    let given =
        [container[0], ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "canary-token-of-the-container")];
    assert_eq!(hosts(&home.opens(&given)), ["kms"]);
    let said = home.refused(&[container[0]], &["canary"]);
    assert!(said.contains("127.0.0.1 refuses (HTTP 401)"), "{said}");
    // A token goes to no far machine in the open.
    let far = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/x"), given[1]];
    let said = home.refused(&far, &["canary"]);
    assert!(said.contains("no credentials for AWS KMS") && said.contains("not allowed"), "{said}");
    // A machine: a token first, then the role, then its credentials.
    near.asked();
    let url = near.url();
    let machine = [
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str()),
    ];
    assert_eq!(hosts(&home.opens(&machine)), ["kms"]);
    let ways: Vec<String> = near.asked().iter().take(3).map(|one| one.way.clone()).collect();
    let list = "/latest/meta-data/iam/security-credentials/";
    assert_eq!(ways, ["/latest/api/token".to_owned(), list.to_owned(), format!("{list}opener")]);
}

/// The services of metadata of AWS, Google, Azure and Huawei.
pub fn metadata(asked: &Asked) -> Reply {
    let text = |text: &str| Reply(200, String::new(), text.as_bytes().to_vec());
    let no = || Reply(401, String::new(), vec![]);
    let keys = json!({"Code": "Success", "AccessKeyId": ROLE.0, "SecretAccessKey": ROLE.1, "Token": SESSION, "Expiration": "2100-01-01T00:00:00Z"});
    let way = asked.way.split('?').next().unwrap();
    let has_token = asked.header("x-aws-ec2-metadata-token") == "canary-of-imds";
    match (asked.method.as_str(), way.trim_end_matches('/')) {
        ("GET", "/v1/credentials" | "/v2/credentials/x") => {
            let good = asked.header("authorization") == "canary-token-of-the-container";
            if good { Reply::json(200, &keys) } else { no() }
        }
        ("PUT", "/latest/api/token") => {
            let name = "x-aws-ec2-metadata-token-ttl-seconds";
            let life = asked.header(name);
            if life.is_empty() {
                return no();
            }
            Reply(200, format!("{name}: {life}\r\n"), b"canary-of-imds".to_vec())
        }
        ("GET", "/latest/meta-data/iam/security-credentials") if has_token => text("opener"),
        ("GET", "/latest/meta-data/iam/security-credentials/opener") if has_token => {
            Reply::json(200, &keys)
        }
        ("GET", "/computeMetadata/v1/instance/service-accounts/default/token") => {
            let scoped = asked.way.contains("auth/cloudkms") || asked.way.contains("auth%2Fcloud");
            if asked.header("metadata-flavor") == "Google" && scoped {
                Reply::json(
                    200,
                    &json!({"access_token": GOOGLE, "expires_in": 3599, "token_type": "Bearer"}),
                )
            } else {
                no()
            }
        }
        ("GET", "/metadata/identity/oauth2/token") => {
            let good = asked.header("metadata") == "true"
                && asked.way.contains("resource=https%3A%2F%2Fvault.azure.net");
            if good {
                Reply::json(200, &json!({"access_token": AZURE, "expires_in": "3599"}))
            } else {
                no()
            }
        }
        ("GET", "/msi/token") => {
            let good = asked.header("x-identity-header") == "canary-of-the-app"
                && asked.way.contains("api-version=2019-08-01")
                && asked.way.contains("resource=https%3A%2F%2Fvault.azure.net");
            if good {
                Reply::json(200, &json!({"access_token": AZURE, "expires_on": "4102444800"}))
            } else {
                no()
            }
        }
        ("PUT", "/meta-data/latest/api/token") => {
            if asked.header("x-metadata-token-ttl-seconds").is_empty() {
                no()
            } else {
                text("canary-of-huawei")
            }
        }
        ("GET", "/openstack/latest/securitykey")
            if asked.header("x-metadata-token") == "canary-of-huawei" =>
        {
            Reply::json(
                200,
                &json!({"credential": {"access": "AKOFTHEMACHINE", "secret": "canary-of-the-machine", "securitytoken": "canary-token-of-the-machine"}}),
            )
        }
        // The SDK of sops looks for accounts of its machine in a newer place first.
        _ => Reply(404, String::new(), vec![]),
    }
}

pub const GOOGLE: &str = "ya29.canary-token-of-google";
pub const GOOGLE_KEY: &str = "projects/p-1/locations/global/keyRings/ring/cryptoKeys/fleet";
pub const AZURE: &str = "eyJ0.canary-token-of-azure.x";
pub const AZURE_KEY: &str = "https://fleet.vault.azure.net/keys/k/0123";
pub const AZURE_CLIENT: [(&str, &str); 3] = [
    ("AZURE_TENANT_ID", "tenant-1"),
    ("AZURE_CLIENT_ID", "client-1"),
    ("AZURE_CLIENT_SECRET", "canary~secret"),
];

/// KMS of Google, and its server of tokens, which looks at assertions.
pub fn google(public: rsa::RsaPublicKey) -> impl Fn(&Asked) -> Reply {
    move |asked| {
        let refused = |code: &str| {
            Reply::json(
                400,
                &json!({"error": code, "error_description": String::from_utf8_lossy(&asked.body)}),
            )
        };
        if asked.host == "cloudkms.googleapis.com" {
            if asked.header("authorization") != format!("Bearer {GOOGLE}") {
                return Reply::json(
                    401,
                    &json!({"error": {"code": 401, "status": "UNAUTHENTICATED"}}),
                );
            }
            let body = asked.json();
            return match asked.way.split('?').next().unwrap().rsplit(':').next().unwrap() {
                "encrypt" => Reply::json(
                    200,
                    &json!({"ciphertext": turned(body["plaintext"].as_str().unwrap())}),
                ),
                _ => Reply::json(
                    200,
                    &json!({"plaintext": turned(body["ciphertext"].as_str().unwrap())}),
                ),
            };
        }
        assert_eq!((asked.host.as_str(), asked.way.as_str()), ("oauth2.googleapis.com", "/token"));
        // A form, or JSON with the same names.
        let form: HashMap<String, String> =
            serde_json::from_slice(&asked.body).unwrap_or_else(|_| {
                let text = String::from_utf8(asked.body.clone()).unwrap();
                let pairs = text.split('&').map(|pair| pair.split_once('=').unwrap());
                pairs
                    .map(|(name, value)| {
                        (name.to_owned(), value.replace("%3A", ":").replace("%2F", "/"))
                    })
                    .collect()
            });
        let get = |name: &str| form.get(name).map_or("", String::as_str);
        let good = match get("grant_type") {
            "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
                let (signed, signature) = get("assertion").rsplit_once('.').unwrap();
                let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
                let digest = Sha256::digest(signed.as_bytes());
                let claims =
                    BASE64_URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().1).unwrap();
                let claims: Value = serde_json::from_slice(&claims).unwrap();
                let scopes = claims["scope"].as_str().unwrap();
                public.verify(Pkcs1v15Sign::new::<Sha256>(), &digest, &signature).is_ok()
                    && claims["iss"] == "opener@p-1.iam.gserviceaccount.com"
                    && claims["aud"] == "https://oauth2.googleapis.com/token"
                    && (scopes.contains("auth/cloudkms") || scopes.contains("auth/cloud-platform"))
                    && claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap() <= 3600
            }
            "refresh_token" => {
                get("refresh_token") == "1//canary-to-refresh"
                    && get("client_id") == "client.apps.googleusercontent.com"
                    && get("client_secret") == "canary-of-the-client"
            }
            _ => false,
        };
        if good {
            Reply::json(
                200,
                &json!({"access_token": GOOGLE, "expires_in": 3599, "token_type": "Bearer"}),
            )
        } else {
            refused("invalid_grant")
        }
    }
}

#[test]
fn google_accounts_of_services_users_and_machines() {
    let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let token = [("GOOGLE_OAUTH_ACCESS_TOKEN", GOOGLE)];
    let Some(mut home) = Home::new(google(key.to_public_key()), &token, &["--gcp-kms", GOOGLE_KEY])
    else {
        return;
    };
    home.bench.set("SOPS_GCP_KMS_CLIENT_TYPE", "rest");
    let pem = key.to_pkcs8_pem(LineEnding::LF).unwrap();
    let account = |pem: &str| {
        json!({
            "type": "service_account", "project_id": "p-1", "private_key_id": "1", "private_key": pem,
            "client_email": "opener@p-1.iam.gserviceaccount.com", "client_id": "1",
            "token_uri": "https://oauth2.googleapis.com/token",
        })
        .to_string()
    };
    let file = home.write("account.json", &account(&pem));
    for variable in ["GOOGLE_CREDENTIALS", "GOOGLE_APPLICATION_CREDENTIALS"] {
        assert_eq!(hosts(&home.opens(&[(variable, file.as_str())])), ["oauth2", "cloudkms"]);
    }
    assert_eq!(
        hosts(&home.opens(&[("GOOGLE_CREDENTIALS", &account(&pem))])),
        ["oauth2", "cloudkms"]
    );
    // The key of another account.
    let other = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let other = account(&other.to_pkcs8_pem(LineEnding::LF).unwrap());
    let said = home.refused(&[("GOOGLE_CREDENTIALS", &other)], &["BEGIN", "canary"]);
    assert!(said.contains("oauth2.googleapis.com refuses (HTTP 400) invalid_grant"), "{said}");
    let said = home.refused(&[("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")], &["canary"]);
    assert!(
        said.contains("/nowhere.json: ") && said.contains("gcloud auth application-default login"),
        "{said}"
    );
    let broken = home.write("broken.json", "{\"type\": \"canary-of-no-type\"}");
    let said = home.refused(&[("GOOGLE_APPLICATION_CREDENTIALS", &broken)], &["canary"]);
    assert!(said.contains("no credentials for Google Cloud KMS: what is found"), "{said}");

    // What `gcloud auth application-default login` leaves.
    let user = |refresh: &str| {
        json!({
            "type": "authorized_user", "client_id": "client.apps.googleusercontent.com",
            "client_secret": "canary-of-the-client", "refresh_token": refresh,
        })
        .to_string()
    };
    let usual = ".config/gcloud/application_default_credentials.json";
    home.write(usual, &user("1//canary-to-refresh"));
    home.bench.set("XDG_CONFIG_HOME", "/nowhere");
    assert_eq!(hosts(&home.opens(&[])), ["oauth2", "cloudkms"]);
    home.write(usual, &user("1//canary-that-ran-out"));
    let said = home.refused(&[], &["canary"]);
    assert!(said.contains("invalid_grant") && said.contains("gcloud auth"), "{said}");
    fs::remove_file(home.bench.home(usual)).unwrap();

    // The machine.
    let near = Server::new(metadata);
    let host = near.url().replace("http://", "");
    assert_eq!(hosts(&home.opens(&[("GCE_METADATA_HOST", &host)])), ["cloudkms"]);
    assert!(near.asked()[0].way.ends_with("?scopes=https://www.googleapis.com/auth/cloudkms"));
}

/// A vault with a key, and the directory, which looks at assertions.
pub fn azure(key: RsaPrivateKey) -> impl Fn(&Asked) -> Reply {
    use rsa::traits::PublicKeyParts;
    let key = Arc::new(Mutex::new(key));
    move |asked| {
        let key = key.lock().unwrap();
        if asked.host == "login.microsoftonline.com" {
            let form = String::from_utf8(asked.body.clone()).unwrap();
            let good = asked.way == "/tenant-1/oauth2/v2.0/token"
                && form.contains("client_id=client-1")
                && form.contains("scope=https%3A%2F%2Fvault.azure.net%2F.default")
                && (form.contains("client_assertion=eyJ.canary-of-the-pod.x&")
                    || form.ends_with("client_assertion=eyJ.canary-of-the-pod.x")
                    || form.contains("client_secret=canary~secret")
                    || form.contains("grant_type=password")
                        && form.contains("username=u%40t")
                        && (form.contains("password=canary+p")
                            || form.contains("password=canary%20p")));
            return if good {
                Reply::json(200, &json!({"access_token": AZURE, "expires_in": 3600}))
            } else {
                Reply::json(401, &json!({"error": "invalid_client", "error_description": form}))
            };
        }
        assert_eq!(asked.host, "fleet.vault.azure.net");
        if asked.header("authorization") != format!("Bearer {AZURE}") {
            return Reply::json(401, &json!({"error": {"code": "Unauthorized", "message": "no"}}));
        }
        if asked.method == "GET" {
            let number = |bytes: Vec<u8>| BASE64_URL_SAFE_NO_PAD.encode(bytes);
            let kid = AZURE_KEY;
            let jwk = json!({"kid": kid, "kty": "RSA", "n": number(key.n().to_bytes_be()), "e": number(key.e().to_bytes_be())});
            return Reply::json(200, &json!({"key": jwk}));
        }
        let sealed =
            BASE64_URL_SAFE_NO_PAD.decode(asked.json()["value"].as_str().unwrap()).unwrap();
        if asked.way.contains("/encrypt") {
            // Ours does that itself.
            let padding = rsa::Oaep::new::<Sha256>();
            let sealed = key.to_public_key().encrypt(&mut rsa::rand_core::OsRng, padding, &sealed);
            let value = BASE64_URL_SAFE_NO_PAD.encode(sealed.unwrap());
            return Reply::json(200, &json!({"kid": "https://v/keys/k/0123", "value": value}));
        }
        let open = key.decrypt(rsa::Oaep::new::<Sha256>(), &sealed).unwrap();
        Reply::json(200, &json!({"value": BASE64_URL_SAFE_NO_PAD.encode(open)}))
    }
}

/// What `DefaultAzureCredential` of the SDK asks before it asks for a token, and the challenge that
/// vaults begin with, so that the real sops is content too.
pub fn for_the_sdk(asked: &Asked) -> Option<Reply> {
    about_tenants(asked).or_else(|| {
        let asks =
            asked.host == "fleet.vault.azure.net" && asked.header("authorization").is_empty();
        asks.then(|| Reply(401, challenge("tenant-1"), vec![]))
    })
}

/// What a directory says of any tenant.
pub fn about_tenants(asked: &Asked) -> Option<Reply> {
    if asked.host != "login.microsoftonline.com" || asked.method != "GET" {
        return None;
    }
    let tenant = asked.way.split('/').nth(1).unwrap();
    let tenant = format!("https://login.microsoftonline.com/{tenant}");
    let version = if tenant.ends_with("/adfs") { "" } else { "/v2.0" };
    Some(Reply::json(
        200,
        &json!({
            "token_endpoint": format!("{tenant}/oauth2{version}/token"),
            "authorization_endpoint": format!("{tenant}/oauth2{version}/authorize"),
            "issuer": format!("{tenant}{version}"),
            "tenant_discovery_endpoint":
                format!("{tenant}/v2.0/.well-known/openid-configuration"),
            "api-version": "1.1",
            "metadata": [],
            // What sort of a user it is.
            "account_type": "Managed",
            "cloud_audience_urn": "urn:federation:MicrosoftOnline",
            "cloud_instance_name": "microsoftonline.com",
            "domain_name": "t",
        }),
    ))
}

/// The header with which a vault of a tenant refuses.
pub fn challenge(tenant: &str) -> String {
    format!(
        "www-authenticate: Bearer authorization=\"https://login.microsoftonline.com/{tenant}\", resource=\"https://vault.azure.net\"\r\n"
    )
}

#[test]
fn azure_keys_come_and_go_as_with_sops() {
    let answer = azure(RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap());
    let key = AZURE_KEY;
    let other = "https://fleet.vault.azure.net/keys/spare/0123";
    let both = move |asked: &Asked| for_the_sdk(asked).unwrap_or_else(|| answer(asked));
    let Some(mut home) = Home::new(both, &AZURE_CLIENT, &["--azure-kv", key]) else { return };
    home.with(&AZURE_CLIENT, |home| {
        let bench = &home.bench;
        assert_eq!(bench.theirs(&["decrypt", "a.yaml"]).ok().out, TEXT);
        bench.ours(&["rotate", "-i", "--add-azure-kv", other, "a.yaml"]).ok();
        assert!(bench.read("a.yaml").contains("name: k\n"));
        assert!(bench.read("a.yaml").contains("name: spare\n"));
        bench.ours(&["rotate", "-i", "--rm-azure-kv", key, "a.yaml"]).ok();
        assert!(!bench.read("a.yaml").contains("name: k\n"));
        assert_eq!(bench.theirs(&["decrypt", "a.yaml"]).ok().out, TEXT);
        bench
            .theirs(&["rotate", "-i", "--add-azure-kv", key, "--rm-azure-kv", other, "a.yaml"])
            .ok();
        assert_eq!(bench.native(&["decrypt", "a.yaml"]).ok().out, TEXT);
        bench.both_ways(&["--azure-kv", key]);
    });
}

#[test]
fn azure_clients_pods_machines_and_programs() {
    let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let vault = azure(key);
    let busy = Arc::new(AtomicBool::new(false));
    let is_busy = Arc::clone(&busy);
    let both = move |asked: &Asked| {
        if asked.way.ends_with("/token") && is_busy.swap(false, Ordering::Relaxed) {
            return Reply(429, String::new(), vec![]);
        }
        for_the_sdk(asked).unwrap_or_else(|| vault(asked))
    };
    let Some(mut home) = Home::new(both, &AZURE_CLIENT, &["--azure-kv", AZURE_KEY]) else {
        return;
    };
    let opens = |home: &mut Home, variables: &[(&str, &str)]| {
        home.with(variables, |home| {
            assert_eq!(home.bench.native(&["decrypt", "a.yaml"]).ok().out, TEXT);
            hosts(&home.cloud.asked()).iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()
        })
    };
    let nobody = format!("{}:/usr/bin:/bin", home.bench.home("none").display());
    home.bench.set("PATH", &nobody);
    // No machine of Azure answers here.
    home.bench.set("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9");
    assert_eq!(opens(&mut home, &AZURE_CLIENT), ["login", "fleet"]);
    busy.store(true, Ordering::Relaxed);
    assert_eq!(opens(&mut home, &AZURE_CLIENT), ["login", "login", "fleet"]);
    let token = home.write("token", "eyJ.canary-of-the-pod.x\n");
    let pod = [AZURE_CLIENT[0], AZURE_CLIENT[1], ("AZURE_FEDERATED_TOKEN_FILE", token.as_str())];
    assert_eq!(opens(&mut home, &pod), ["login", "fleet"]);
    fs::write(&token, "eyJ.canary-that-ran-out.x").unwrap();
    let said = home.refused(&pod, &["canary"]);
    assert!(said.contains("the directory refuses (HTTP 401) invalid_client"), "{said}");
    let user = [
        AZURE_CLIENT[0],
        AZURE_CLIENT[1],
        ("AZURE_USERNAME", "u@t"),
        ("AZURE_PASSWORD", "canary p"),
    ];
    assert_eq!(hosts(&home.opens(&user)), ["login", "fleet"]);
    let wrong = [&user[..3], &[("AZURE_PASSWORD", "canary q")]].concat();
    let said = home.refused(&wrong, &["canary"]);
    assert!(said.contains("the directory refuses (HTTP 401) invalid_client"), "{said}");

    // The identity of an application, and of a machine.
    let near = Server::new(metadata);
    let endpoint = format!("{}/msi/token", near.url());
    let app = [("IDENTITY_ENDPOINT", endpoint.as_str()), ("IDENTITY_HEADER", "canary-of-the-app")];
    assert_eq!(opens(&mut home, &app), ["fleet"]);
    let far = [("IDENTITY_ENDPOINT", "http://192.0.2.1/msi/token"), app[1]];
    let said = home.refused(&far, &["canary"]);
    assert!(said.contains("at http://192.0.2.1/msi/token is not allowed"), "{said}");
    let machine = near.url();
    home.bench.set("AZURE_POD_IDENTITY_AUTHORITY_HOST", &machine);
    assert_eq!(opens(&mut home, &[]), ["fleet"]);
    home.bench.set("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9");

    // The programs.
    let said = home.refused(&[], &["canary"]);
    assert!(
        said.contains("no credentials for Azure Key Vault") && said.contains("az login"),
        "{said}"
    );
    let az = format!(
        "[ \"$*\" = 'account get-access-token --output json --resource https://vault.azure.net' ] && echo '{{\"accessToken\": \"{AZURE}\", \"expiresOn\": \"x\"}}'"
    );
    let path = home.program("az-only", "az", &az);
    assert_eq!(opens(&mut home, &[("PATH", &path)]), ["fleet"]);
    let azd = format!(
        "[ \"$*\" = 'auth token --output json --scope https://vault.azure.net/.default' ] && echo '{{\"token\": \"{AZURE}\"}}'"
    );
    let path = home.program("azd-only", "azd", &azd);
    assert_eq!(opens(&mut home, &[("PATH", &path)]), ["fleet"]);
    // One that is not logged in does not stand before the other.
    home.program("azd-only", "az", "echo 'canary: please run az login' >&2; exit 1");
    assert_eq!(opens(&mut home, &[("PATH", &path)]), ["fleet"]);

    // One that hangs is not waited for without end.
    home.program("azd-only", "az", "sleep 60");
    home.bench.set("SECRETCTL_KEY_SERVICES_TIMEOUT", "2");
    let said = home.refused(&[("PATH", &path)], &["canary"]);
    assert!(
        said.contains("credentials for Azure Key Vault: `az` gave nothing within 2 s"),
        "{said}"
    );
    home.bench.set("SECRETCTL_KEY_SERVICES_TIMEOUT", "20");
    home.program("azd-only", "az", "exit 1");

    // Only those that are chosen, by what they are for or by name.
    let choose = |what| [&AZURE_CLIENT[..], &[("AZURE_TOKEN_CREDENTIALS", what)]].concat();
    for what in ["prod", "environmentcredential"] {
        assert_eq!(hosts(&home.opens(&choose(what))), ["login", "fleet"]);
    }
    let machine = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", near.url())];
    let machine = machine.each_ref().map(|(name, value)| (*name, value.as_str()));
    let chosen = [&choose("ManagedIdentityCredential"), &machine[..]].concat();
    assert_eq!(opens(&mut home, &chosen), ["fleet"]);
    home.bench.set("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9");
    for what in ["dev", "AzureDeveloperCLICredential"] {
        assert_eq!(opens(&mut home, &[&choose(what), &[("PATH", &*path)][..]].concat()), ["fleet"]);
    }
    for (what, expected) in [
        ("AzureCLICredential", "those that AZURE_TOKEN_CREDENTIALS chooses have none"),
        ("AzurePowerShellCredential", "those that AZURE_TOKEN_CREDENTIALS chooses have none"),
        ("PowerShell", "AZURE_TOKEN_CREDENTIALS chooses none that are known here"),
    ] {
        home.bench.set("PATH", &path);
        let said = home.refused(&choose(what), &["canary"]);
        assert!(said.contains(expected), "{said}");
        assert!(home.cloud.asked().is_empty());
    }
}

#[test]
fn azure_powershell() {
    let vault = azure(RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap());
    let both = move |asked: &Asked| for_the_sdk(asked).unwrap_or_else(|| vault(asked));
    let Some(mut home) = Home::new(both, &AZURE_CLIENT, &["--azure-kv", AZURE_KEY]) else { return };
    let script = home.write("script", "");
    let answers = format!(
        "for last; do :; done\n\
         flags='-NoProfile -NonInteractive -OutputFormat Text -EncodedCommand'\n\
         [ $# = 6 ] && [ \"$*\" = \"$flags $last\" ] || exit 2\n\
         case $(pwd -P) in / | /bin | /usr/bin) ;; *) exit 2 ;; esac\n\
         printf %s \"$last\" | base64 -d | iconv -f UTF-16LE -t UTF-8 >{script}\n\
         echo '{{\"Token\": \"{AZURE}\", \"ExpiresOn\": 4102444800}}'"
    );
    let path = home.program("powershell", "pwsh", &answers);
    let chosen = [("AZURE_TOKEN_CREDENTIALS", "azurePowerShellCredential"), ("PATH", &*path)];
    // The real sops starts it in the same way.
    assert_eq!(hosts(&home.opens(&chosen)), ["fleet"]);
    assert!(fs::read_to_string(&script).unwrap().contains("Az.Accounts"));
    // It is the last one: those before it have nothing.
    home.bench.set("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9");
    home.program("powershell", "az", "exit 1");
    for variables in [&chosen[1..], &[("AZURE_TOKEN_CREDENTIALS", "dev"), chosen[1]]] {
        fs::write(&script, "").unwrap();
        home.with(variables, |home| home.bench.native(&["decrypt", "a.yaml"]).ok());
        let script = fs::read_to_string(&script).unwrap();
        let lines = [
            "$ErrorActionPreference = 'Stop'",
            "Import-Module Az.Accounts -MinimumVersion 2.2.0",
            "$asked = @{ ResourceUrl = 'https://vault.azure.net'; WarningAction = 'Ignore' }",
            "$token = (Get-AzAccessToken @asked).Token",
            "@{ Token = [string] $token } | ConvertTo-Json",
        ];
        assert!(lines.iter().all(|line| script.lines().any(|one| one == *line)), "{script}");
    }
    // Nothing becomes a part of the script that could be more than a text of it.
    for resource in ["https://vault.azure.net';canary", "https://v\u{2019}+canary", "$(canary)"] {
        fs::write(&script, "").unwrap();
        let said = home.refused(
            &[&chosen[..], &[("SECRETCTL_AZURE_RESOURCE", resource)]].concat(),
            &["canary"],
        );
        assert!(
            said.contains(
                "SECRETCTL_AZURE_RESOURCE is not the address of a service, such as https://"
            ),
            "{said}"
        );
        assert_eq!(fs::read_to_string(&script).unwrap(), "");
    }
    // Without the module, and without anybody who is logged in.
    for fails in
        ["echo 'canary: was not loaded' >&2; exit 1", "echo canary", "echo '{\"Token\": \"\"}'"]
    {
        home.program("powershell", "pwsh", fails);
        let said = home.refused(&chosen, &["canary"]);
        assert!(said.contains("those that AZURE_TOKEN_CREDENTIALS chooses have none"), "{said}");
    }
    assert!(home.cloud.asked().is_empty());
}
