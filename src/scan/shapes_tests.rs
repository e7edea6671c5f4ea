//! Each shape is found, also inside of other texts; what only looks like one is not.

use super::matcher::{Hit, Matcher, What};
use super::needle::Needles;
use super::shape::{Severity, ShapeKind};

fn shapes(text: &[u8]) -> Vec<(ShapeKind, Severity)> {
    let matcher = Matcher::new(&Needles::default(), true);
    let mut hits: Vec<Hit> = Vec::new();
    matcher.searcher().whole(text, &mut |hit| hits.push(hit));
    let mut search = matcher.searcher();
    let mut again: Vec<Hit> = Vec::new();
    for chunk in text.chunks(777) {
        search.feed(chunk, &mut |hit| again.push(hit));
    }
    search.end(&mut |hit| again.push(hit));
    assert_eq!(hits, again, "chunks change nothing");
    hits.iter()
        .map(|hit| match hit.what {
            What::Shape(kind, severity) => (kind, severity),
            What::Needle(_) | What::Fingerprint(_) => unreachable!("there are no needles"),
        })
        .collect()
}

fn file(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/keys/");
    std::fs::read_to_string(format!("{folder}{name}")).unwrap()
}

#[test]
fn keys_of_real_programs() {
    use Severity::{High, Low};
    for (name, expected) in [
        ("rsa.pkcs1.pem", vec![(ShapeKind::PemPrivateKey, High)]),
        ("rsa.pkcs8.pem", vec![(ShapeKind::PemPrivateKey, High)]),
        ("rsa.encrypted-pkcs1.pem", vec![(ShapeKind::PemEncryptedKey, Low)]),
        ("rsa.encrypted-pkcs8.pem", vec![(ShapeKind::PemEncryptedKey, Low)]),
        ("ec.sec1.pem", vec![(ShapeKind::PemPrivateKey, High)]),
        ("ec.pkcs8.pem", vec![(ShapeKind::PemPrivateKey, High)]),
        ("ed25519.pkcs8.pem", vec![(ShapeKind::PemPrivateKey, High)]),
        ("openssh.ed25519", vec![(ShapeKind::OpensshKey, High)]),
        ("openssh.rsa", vec![(ShapeKind::OpensshKey, High)]),
        ("openssh.ecdsa", vec![(ShapeKind::OpensshKey, High)]),
        ("openssh.encrypted", vec![(ShapeKind::OpensshEncryptedKey, Low)]),
        ("gpg.ed25519.asc", vec![(ShapeKind::PgpKey, High)]),
        ("gpg.rsa.asc", vec![(ShapeKind::PgpKey, High)]),
        ("gpg.encrypted.asc", vec![(ShapeKind::PgpKey, Low)]),
        ("putty.ppk", vec![(ShapeKind::PuttyKey, High)]),
        ("putty.encrypted.ppk", vec![(ShapeKind::PuttyKey, Low)]),
        ("age.txt", vec![(ShapeKind::AgeIdentity, High)]),
        ("age-pq.txt", vec![(ShapeKind::AgeHybridIdentity, High)]),
        ("certificate.pem", vec![]),
        ("rsa.public.pem", vec![]),
        ("gpg.public.asc", vec![]),
        ("openssh.ed25519.pub", vec![]),
    ] {
        let text = file(name);
        assert_eq!(shapes(text.as_bytes()), expected, "{name}");
        if name.contains("putty") {
            continue;
        }
        let json = serde_json::to_string(&text).unwrap();
        assert_eq!(shapes(json.as_bytes()), expected, "{name} in JSON");
        let aterm = serde_json::to_string(&json).unwrap();
        assert_eq!(shapes(aterm.as_bytes()), expected, "{name} in JSON in ATerm");
        let indented = text.replace('\n', "\n      ");
        assert_eq!(shapes(indented.as_bytes()), expected, "{name} indented");
        assert_eq!(shapes(text.replace('\n', "\r\n").as_bytes()), expected, "{name} with CR LF");
        if text.starts_with("-----") {
            let engine = &base64::engine::general_purpose::STANDARD;
            let twice = base64::Engine::encode(engine, &text);
            assert_eq!(shapes(twice.as_bytes()), expected, "{name} in Base64");
        }
        // its structure is broken: one character less in the middle of the key
        let cut: Vec<&str> = text.lines().map(|line| line.get(..30).unwrap_or(line)).collect();
        let broken = cut.join("\n");
        if text.lines().any(|line| line.len() > 30 && !line.contains("---")) {
            assert_eq!(shapes(broken.as_bytes()), [], "{name} cut");
        }
    }
}

#[test]
fn tokens() {
    use Severity::{High, Low};
    // put together here, so that no scanner takes this file for a leak
    let github = |prefix: &str| format!("{prefix}_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ{}", "0mLq17");
    let random = "q7Rk2mVw9ZtB4nXc8LdP3sHy6JfA1gUe5oTiW0bN3xKz8QvE2rMp7YhG4cDs";
    let sha = format!("$6$saltsalt${}", &random.repeat(2)[..86]);
    for (text, expected) in [
        (github("ghp"), (ShapeKind::GithubToken, High)),
        (github("ghs"), (ShapeKind::GithubToken, High)),
        (format!("github_pat_{}_{}", &random[..22], &random[..59]), (ShapeKind::GithubToken, High)),
        (format!("glpat-{}", &random[..20]), (ShapeKind::GitlabToken, High)),
        (
            format!("xoxb-123456789012-123456789012-{}", &random[..24]),
            (ShapeKind::SlackToken, High),
        ),
        (format!("sk_live_{}", &random[..24]), (ShapeKind::StripeKey, High)),
        (format!("AKIA{}", "Q3EGRZ7YXN4KWBTM"), (ShapeKind::AwsKey, Low)),
        (
            format!("AKIA{}\nsecret = {}", "Q3EGRZ7YXN4KWBTM", &random[..40]),
            (ShapeKind::AwsKey, High),
        ),
        (
            format!("$y$j9T$F5Jx5fExrKuPp53xLKQ..1${}", &random[..43]),
            (ShapeKind::PasswordHash, Low),
        ),
        (sha, (ShapeKind::PasswordHash, Low)),
        (
            format!("PrivateKey = {}", "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="),
            (ShapeKind::WireguardKey, High),
        ),
        (
            format!("  privateKey = \"{}\";", "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="),
            (ShapeKind::WireguardKey, High),
        ),
        (
            format!(
                "{}.{}.{}",
                "eyJhbGciOiJIUzI1NiJ9",
                "eyJzdWIiOiJ0ZXN0LW9ubHkifQ",
                &random[..43]
            ),
            (ShapeKind::Jwt, High),
        ),
        (
            bech32_upper("age-plugin-tpm-", &[7, 99, 3, 200, 45]),
            (ShapeKind::AgePluginIdentity, Low),
        ),
    ] {
        for around in [("", ""), ("token=", "\n"), ("\"", "\""), ("x\\n", "\\n"), (" ", ".")] {
            let text = format!("{}{text}{}", around.0, around.1);
            assert_eq!(shapes(text.as_bytes()), [expected], "{text}");
        }
    }
}

fn bech32_upper(hrp: &str, data: &[u8]) -> String {
    crate::key::bech32::encode(hrp, data).unwrap().to_uppercase()
}

#[test]
fn what_is_no_secret_is_not_told() {
    for text in [
        // checksums that are wrong
        "ghp_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq18",
        "AGE-SECRET-KEY-1QQPQYPQXPQ9QCRSSZG2PVXQ6RS0ZQG3YYC5Z5TPWXQERGD3C8G7RUSQ6RLRQX",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "glpat-xxxxxxxxxxxxxxxxxxxx",
        "sk_live_xxxxxxxxxxxxxxxxxxxxxxxx",
        "AKIAIOSFODNN7EXAMPLE",
        "PrivateKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "PrivateKey = <your key>",
        // of programs
        "-----BEGIN RSA PRIVATE KEY-----\0-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----",
        "AGE-SECRET-KEY-1",
        "AGE-PLUGIN-%s-1",
        "PuTTY-User-Key-File-2: Encryption: none Private-Lines: ",
        "eyJhbGciOiJIUzI1NiJ9",
        "$6$rounds=5000$",
        // what a repository of secrets is full of
        "sha256-yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
        "/nix/store/0c1p2k9z8p0dzkx7b3w8z1m6v5y4n2q1-hello-2.12.1",
        "ENC[AES256_GCM,data:Zm9vYmFyYmF6,iv:yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=,tag:0c1p2k9z8p0dzkx7b3w8zw==,type:str]",
        "<SOPS:yAnz5TFlXXJte14tji3zlMNqhd2rYUIgJBgB3fBmk:PLACEHOLDER>",
        "age1qqpqypqxpq9qcrsszg2pvxq6rs0zqg3yyc5z5tpwxqergd3c8g7rusq6rlrqx",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIXwjlGHWRdpIbnXAC5rHGFGF1sCmlAskMUNFmOIyaRL",
        "age-encryption.org/v1\n-> X25519 yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk\nyAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk\n--- yAnz5TF",
        "-----BEGIN AGE ENCRYPTED FILE-----\nYWdlLWVuY3J5cHRpb24ub3JnL3Yx\n-----END AGE ENCRYPTED FILE-----",
    ] {
        assert_eq!(shapes(text.as_bytes()), [], "{text}");
    }
}
