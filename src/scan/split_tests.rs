//! What of a value is looked for, and what is not and why.

use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::traits::{PrivateKeyParts, PublicKeyParts};

use super::needle::Why;
use super::split::parts;
use crate::plaintext::Plaintext;

fn split(text: &str) -> Vec<(String, Result<Vec<u8>, Why>)> {
    parts("", &Plaintext::copy_of(text.as_bytes()))
        .into_iter()
        .map(|part| (part.path, part.value.map(|value| value.expose().to_vec())))
        .collect()
}

fn values(text: &str) -> Vec<(String, String)> {
    split(text)
        .into_iter()
        .filter_map(|(path, value)| Some((path, String::from_utf8(value.ok()?).unwrap())))
        .collect()
}

fn file(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/keys/");
    std::fs::read_to_string(format!("{folder}{name}")).unwrap()
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn documents_are_taken_apart() {
    let env =
        "# the database\nDB_USER=gitea\nDB_PASSWORD=\"q7Rk2mVw9Zt\"\nexport TOKEN='zz top 19'\n";
    assert_eq!(values(env), pairs(&[("DB_PASSWORD", "q7Rk2mVw9Zt"), ("TOKEN", "zz top 19")]));
    let json = r#"{"a": {"b": ["q7Rk2mVw9Zt", 5]}, "c": "x\"y"}"#;
    assert_eq!(values(json), pairs(&[("a/b/0", "q7Rk2mVw9Zt"), ("a/b/1", "5"), ("c", "x\"y")]));
    let yaml = "# c\ndb:\n  password: q7Rk2mVw9Zt\n  env: |\n    A=one\n    B=two\n";
    assert_eq!(
        values(yaml),
        pairs(&[("db/password", "q7Rk2mVw9Zt"), ("db/env/A", "one"), ("db/env/B", "two")])
    );
    let netrc = "machine h.example login me password q7Rk2mVw9Zt\nmachine i password other\n";
    assert_eq!(values(netrc), pairs(&[("h.example", "q7Rk2mVw9Zt"), ("i", "other")]));
    let lines = "q7Rk2mVw9Zt\n\n  second line  \n";
    assert_eq!(
        values(lines),
        pairs(&[("line 1", "q7Rk2mVw9Zt"), ("line 3", "second line"), ("", lines.trim())])
    );
    assert_eq!(values("one value \n"), pairs(&[("", "one value")]));
    // a line may only look like an assignment
    assert_eq!(values("Xk9#vQ2!mZw=1"), pairs(&[("", "Xk9#vQ2!mZw=1")]));
    assert_eq!(values("Xk9vQ2mZw=1"), pairs(&[("Xk9vQ2mZw", "1"), ("", "Xk9vQ2mZw=1")]));
    assert_eq!(values("TOKEN=q7Rk2mVw9ZtB"), pairs(&[("TOKEN", "q7Rk2mVw9ZtB")]));
    let named = parts("db/password", &Plaintext::copy_of(b"a=q7Rk2mVw9ZtB"));
    assert_eq!((named.len(), named[0].path.as_str()), (1, "db/password"));
    let many = "q7Rk2mVw9ZtB\n".repeat(20_005);
    let many = split(&many);
    assert_eq!((many.len(), &many[20_000].1), (20_001, &Err(Why::TooMany)));
}

#[test]
fn passwords_are_taken_out_of_what_is_around_them() {
    assert_eq!(
        values("postgres://gitea:p%40ss%2Fword@db.example.org:5432/gitea?sslmode=require"),
        pairs(&[("password", "p@ss/word")])
    );
    assert_eq!(
        values("Authorization: Basic dXNlcjpxN1JrMm1Wdzla"),
        pairs(&[
            ("Authorization/password", "q7Rk2mVw9Z"),
            ("Authorization", "dXNlcjpxN1JrMm1Wdzla"),
        ])
    );
    assert_eq!(
        values("Authorization: Bearer q7Rk2mVw9Zt"),
        pairs(&[("Authorization", "q7Rk2mVw9Zt")])
    );
    let wireguard = "[Interface]\nAddress = 10.0.0.1/24\nPrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n\n[Peer]\nPublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\nEndpoint = vpn.example.org:51820\n";
    let found = split(wireguard);
    let kept: Vec<_> =
        found.iter().filter(|(_, value)| value.is_ok()).map(|(path, _)| path.as_str()).collect();
    assert_eq!(kept, ["PrivateKey", "PrivateKey/key"]);
}

#[test]
fn keys_are_reduced_to_their_private_part() {
    let find = |name: &str| -> Vec<(String, Vec<u8>)> {
        split(&file(name))
            .into_iter()
            .filter_map(|(path, value)| Some((path, value.ok()?)))
            .filter(|(path, _)| path != "armored key")
            .collect()
    };
    let bytes = |number: &rsa::BigUint| number.to_bytes_be();
    let rsa = rsa::RsaPrivateKey::from_pkcs1_pem(&file("rsa.pkcs1.pem")).unwrap();
    let again = rsa::RsaPrivateKey::from_pkcs8_pem(&file("rsa.pkcs8.pem")).unwrap();
    assert_eq!(rsa, again);
    let expected = vec![
        ("d".to_owned(), bytes(rsa.d())),
        ("p".to_owned(), bytes(&rsa.primes()[0])),
        ("q".to_owned(), bytes(&rsa.primes()[1])),
    ];
    assert_eq!(find("rsa.pkcs1.pem"), expected);
    assert_eq!(find("rsa.pkcs8.pem"), expected);
    let ssh = |name: &str| ssh_key::PrivateKey::from_openssh(file(name)).unwrap();
    let ed25519 = ssh("openssh.ed25519");
    let seed = ed25519.key_data().ed25519().unwrap().private.to_bytes().to_vec();
    assert_eq!(find("openssh.ed25519"), [("seed".to_owned(), seed)]);
    let pair = ssh("openssh.rsa");
    let private = &pair.key_data().rsa().unwrap().private;
    let number = |number: &ssh_key::Mpint| number.as_positive_bytes().unwrap().to_vec();
    assert_eq!(
        find("openssh.rsa"),
        [
            ("d".to_owned(), number(&private.d)),
            ("p".to_owned(), number(&private.p)),
            ("q".to_owned(), number(&private.q)),
        ]
    );
    let scalar = find("openssh.ecdsa");
    assert_eq!((scalar.len(), scalar[0].0.as_str(), scalar[0].1.len()), (1, "scalar", 32));
    let ec = find("ec.sec1.pem");
    assert_eq!((ec[0].0.as_str(), ec[0].1.len()), ("scalar", 32));
    assert_eq!(ec, find("ec.pkcs8.pem"));
    let pkcs8 = find("ed25519.pkcs8.pem");
    assert_eq!((pkcs8[0].0.as_str(), pkcs8[0].1.len()), ("private key", 32));
    let gpg = find("gpg.ed25519.asc");
    assert_eq!((gpg.len(), gpg[0].0.as_str(), gpg[0].1.len()), (1, "secret number", 32));
    let gpg = find("gpg.rsa.asc");
    assert_eq!(gpg.len(), 1);
    assert!(gpg[0].1.len() > 200);
    let putty = find("putty.ppk");
    let ed25519 = find("openssh.ed25519");
    assert_eq!(putty.len(), 1);
    assert!(super::armor::find(&putty[0].1, &ed25519[0].1).is_some(), "{putty:?} {ed25519:?}");
    // of nothing is the public part kept
    let modulus = bytes(rsa.n());
    assert!(!find("rsa.pkcs8.pem").iter().any(|(_, part)| *part == modulus));
    for name in ["certificate.pem", "rsa.public.pem", "gpg.public.asc", "openssh.ed25519.pub"] {
        assert_eq!(find(name), [], "{name}");
    }
}

/// The text of a key is met where it was encoded once more; no line of it that others share.
#[test]
fn the_most_secret_line_of_armor_is_looked_for() {
    for (name, numbers) in [
        ("openssh.ed25519", 4..=4),
        ("ec.pkcs8.pem", 2..=2),
        ("rsa.pkcs8.pem", 6..=12),
        ("rsa.encrypted-pkcs8.pem", 2..=28),
    ] {
        for text in
            [file(name), file(name).replace('\n', "\r\n"), format!("a text\n  {}", file(name))]
        {
            let lines: Vec<&str> =
                text.lines().skip_while(|line| !line.contains("-----")).collect();
            let of_armor = |(path, value): (String, Result<Vec<u8>, Why>)| {
                (path == "armored key").then(|| String::from_utf8(value.unwrap()).unwrap())
            };
            let found: Vec<String> = split(&text).into_iter().filter_map(of_armor).collect();
            assert_eq!(found.len(), 1, "{name}");
            let number = lines.iter().position(|line| *line == found[0]).unwrap();
            assert!(numbers.contains(&number), "{name}: {number}");
        }
    }
}

#[test]
fn identities_of_age() {
    let found = split(&file("age.txt"));
    let identity = file("age.txt").lines().last().unwrap().to_owned();
    let kept: Vec<_> = found.iter().filter_map(|(_, value)| value.as_ref().ok()).collect();
    assert_eq!(kept.len(), 2, "{found:?}");
    assert_eq!(kept[0].len(), 32);
    assert_eq!(*kept[1], identity.as_bytes());
    assert!(found.iter().any(|(_, value)| *value == Err(Why::Comment)));
}

#[test]
fn what_stands_in_the_open_by_right_is_not_looked_for() {
    for (text, why) in [
        ("  \n", Why::Empty),
        (
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIXwjlGHWRdpIbnXAC5rHGFGF1sCmlAskMUNFmOIyaRL a@b",
            Why::Public,
        ),
        ("db1.internal.example.com", Why::Name),
        ("10.1.2.3/24,fd00::1", Why::Name),
        ("alice@example.org", Why::Name),
        ("/run/secrets/db-password", Why::Name),
        ("https://grafana.example.org/login", Why::Name),
    ] {
        assert_eq!(split(text), [(String::new(), Err(why))], "{text}");
    }
    // a token in a path is one
    assert_eq!(values("https://hooks.example.org/T0/q7Rk2mVw9ZtB4nXc8LdP3sHy").len(), 1);
}
