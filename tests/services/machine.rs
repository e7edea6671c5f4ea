//! Machines that give credentials at fixed addresses: in a network of its own, where those addresses
//! are ours. The test starts itself again in there, for which no rights are needed where users may have
//! namespaces; where they may not, it says so.

use std::process::Command;

use rsa::RsaPrivateKey;
use serde_json::json;

use crate::bench::TEXT;
use crate::credentials::{
    AZURE_CLIENT, AZURE_KEY, FIRST, GOOGLE, GOOGLE_KEY, Home, KEY, aws, azure, google, hosts,
    metadata,
};
use crate::huawei::is_signed;
use crate::server::{Answering, Asked, Reply, Server, replying, serve};

const INSIDE: &str = "SECRETCTL_TEST_INSIDE";
const NETWORK: &str = "ip link set lo up && ip addr add 169.254.169.254/32 dev lo && \
                       ip addr add 169.254.170.2/32 dev lo && exec \"$0\" \"$@\"";

#[test]
fn machines_give_credentials_at_their_fixed_addresses() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let here = std::env::current_exe().unwrap();
    let made = Command::new("unshare")
        .args(["-rn", "sh", "-c", "ip link set lo up && ip addr add 169.254.169.254/32 dev lo"])
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        assert!(
            std::env::var_os("SECRETCTL_TEST_STRICT").is_none(),
            "there are no namespaces here"
        );
        println!("skipped: no network of its own here");
        return;
    }
    let name = "machine::machines_give_credentials_at_their_fixed_addresses";
    let ran = Command::new("unshare")
        .args(["-rn", "sh", "-c", NETWORK])
        .arg(here)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "yes")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    let also = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success() && said.contains("1 passed"), "{said}{also}");
}

fn at(address: &str) -> Server {
    let begin = |mut stream, list: &_, answer: &Answering| {
        serve(&mut stream, Asked::default(), list, answer);
    };
    Server::at(address, begin, replying(metadata))
}

/// What the cloud was asked.
fn opens(home: &mut Home, variables: &[(&str, &str)]) -> Vec<String> {
    home.with(variables, |home| {
        assert_eq!(home.bench.native(&["decrypt", "a.yaml"]).ok().out, TEXT);
        hosts(&home.cloud.asked()).iter().map(|host| (*host).to_owned()).collect()
    })
}

fn inside() {
    let (machine, container) = (at("169.254.169.254:80"), at("169.254.170.2:80"));
    let on = ("AWS_EC2_METADATA_DISABLED", "false");
    let first = [("AWS_ACCESS_KEY_ID", FIRST.0), ("AWS_SECRET_ACCESS_KEY", FIRST.1)];
    let Some(mut home) = Home::new(aws, &first, &["--kms", KEY]) else { return };
    assert_eq!(opens(&mut home, &[on]), ["kms"]);
    assert_eq!(machine.asked().len(), 3);
    let relative = [
        on,
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/never"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "canary-token-of-the-container"),
    ];
    assert_eq!(opens(&mut home, &relative), ["kms"]);
    assert_eq!((machine.asked().len(), container.asked().len()), (0, 1));

    let key = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap();
    let Some(mut home) = Home::new(azure(key.clone()), &AZURE_CLIENT, &["--azure-kv", AZURE_KEY])
    else {
        return;
    };
    assert_eq!(opens(&mut home, &[]), ["fleet"]);
    assert_eq!(machine.asked().len(), 1);

    let token = [("GOOGLE_OAUTH_ACCESS_TOKEN", GOOGLE)];
    let options = ["--gcp-kms", GOOGLE_KEY];
    let Some(mut home) = Home::new(google(key.to_public_key()), &token, &options) else { return };
    assert_eq!(opens(&mut home, &[("GCE_METADATA_HOST", "169.254.169.254")]), ["cloudkms"]);
    assert_eq!(machine.asked().len(), 1);

    let keys = [
        ("HUAWEICLOUD_SDK_AK", "AKOFTHEMACHINE"),
        ("HUAWEICLOUD_SDK_SK", "canary-of-the-machine"),
        ("HUAWEICLOUD_SDK_SECURITY_TOKEN", "canary-token-of-the-machine"),
    ];
    let options = ["--hckms", "cn-north-4:0d0466b0-e727-4d9c-b35d-f84bb474a37f"];
    let Some(mut home) = Home::new(huawei, &keys, &options) else { return };
    assert_eq!(opens(&mut home, &[]), ["iam", "kms"]);
    assert_eq!(machine.asked().len(), 2);
    // Nobody there.
    drop(home);
}

/// IAM and KMS of Huawei for the credentials of the machine.
fn huawei(asked: &Asked) -> Reply {
    let good = is_signed(asked, "canary-of-the-machine")
        && asked.header("x-security-token") == "canary-token-of-the-machine";
    if !good {
        return Reply::json(401, &json!({"error_code": "APIGW.0301", "error_msg": "no"}));
    }
    if asked.host.starts_with("iam.") {
        return Reply::json(200, &json!({"projects": [{"id": "project-1"}]}));
    }
    let body = asked.json();
    let name = if asked.way.ends_with("/encrypt-data") { "plain_text" } else { "cipher_text" };
    let other = if name == "plain_text" { "cipher_text" } else { "plain_text" };
    let turned: String = body[name].as_str().unwrap().chars().rev().collect();
    Reply::json(200, &json!({ other: turned }))
}
