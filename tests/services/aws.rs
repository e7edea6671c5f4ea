//! AWS KMS, as moto has it.

use std::fs;

use crate::bench::{Bench, Program, TEXT, iam, kms, moto, new_key};
use crate::server::Server;

const SECRET: &str = "canary/secret/access/key/of/forty/chars+";

/// A bench, moto, and a server before it that counts.
fn start() -> Option<(Bench, Program, Server)> {
    let mut bench = Bench::new()?;
    let moto = moto(&bench, &[])?;
    let counter = Server::before(moto.port);
    bench.set("AWS_ENDPOINT_URL", &counter.url());
    bench.set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
    bench.set("AWS_SECRET_ACCESS_KEY", SECRET);
    Some((bench, moto, counter))
}

#[test]
fn files_are_written_and_read_with_the_real_sops() {
    let Some((mut bench, moto, counter)) = start() else { return };
    let (key, other) = (new_key(&moto), new_key(&moto));
    bench.both_ways(&["--kms", &key]);
    bench.native(&["set", "ours.yaml", "/db/password", "\"second\""]).ok();
    assert!(bench.theirs(&["decrypt", "ours.yaml"]).ok().out.contains("password: second"));
    bench.editor("sed -i s/second/third/ \"$1\"");
    bench.native(&["edit", "ours.yaml"]).ok();
    assert!(bench.theirs(&["decrypt", "ours.yaml"]).ok().out.contains("password: third"));
    let before = bench.read("ours.yaml");
    bench.native(&["rotate", "ours.yaml"]).ok();
    assert_ne!(bench.read("ours.yaml"), before);
    bench.ours(&["rotate", "-i", "--add-kms", &other, "ours.yaml"]).ok();
    assert!(bench.read("ours.yaml").contains(&other));
    bench.ours(&["rotate", "-i", "--rm-kms", &key, "ours.yaml"]).ok();
    assert!(!bench.read("ours.yaml").contains(&key));
    assert!(bench.theirs(&["decrypt", "ours.yaml"]).ok().out.contains("password: third"));

    // Another name for the key.
    let id = key.rsplit('/').next().unwrap();
    let body = format!(r#"{{"AliasName":"alias/fleet","TargetKeyId":"{id}"}}"#);
    kms(&moto, "CreateAlias", &body);
    let (account, _) = key.rsplit_once(":key/").unwrap();
    bench.both_ways(&["--kms", &format!("{account}:alias/fleet")]);

    // A profile, and no variables.
    bench.unset("AWS_ACCESS_KEY_ID");
    bench.unset("AWS_SECRET_ACCESS_KEY");
    let text = "[prod]\naws_access_key_id = AKIAPROFILEEXAMPLE\naws_secret_access_key = x\n";
    fs::write(bench.home(".aws/credentials"), text).unwrap();
    counter.asked();
    bench.both_ways(&["--kms", &key, "--aws-profile", "prod"]);
    assert!(
        counter
            .asked()
            .iter()
            .all(|one| one.header("authorization").contains("AKIAPROFILEEXAMPLE"))
    );

    // A role is taken on first, and its credentials sign.
    bench.set("AWS_PROFILE", "prod");
    let role = format!("{key}+arn:aws:iam::123456789012:role/opener");
    bench.both_ways(&["--kms", &role]);
    counter.asked();
    bench.native(&["decrypt", "theirs.yaml"]).ok();
    let asked = counter.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    let form = String::from_utf8(asked[0].body.clone()).unwrap();
    assert!(
        form.contains("Action=AssumeRole") && form.contains("RoleSessionName=sops%40"),
        "{form}"
    );
    assert!(form.contains("RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fopener"), "{form}");
    assert!(!asked[1].header("x-amz-security-token").is_empty());
    assert!(!asked[1].header("authorization").contains("AKIAPROFILEEXAMPLE"));
}

#[test]
fn the_context_counts_and_what_is_unknown_is_refused() {
    let Some((bench, moto, _counter)) = start() else { return };
    let key = new_key(&moto);
    bench.both_ways(&["--kms", &key, "--encryption-context", "team:web,stage:prod"]);
    let text = bench.read("ours.yaml");
    bench.write("ours.yaml", &text.replace("team: web", "team: hub"));
    assert_ne!(bench.read("ours.yaml"), text);
    let said = bench.refused("ours.yaml", &[SECRET]);
    assert!(said.contains("no key service opens it") && said.contains("AWS KMS refused"), "{said}");
    assert!(said.contains(&key) && said.contains("encryption context"), "{said}");
    assert_eq!(bench.ours(&["decrypt", "ours.yaml"]).code, 128);
    // A key that is not there.
    bench.write("ours.yaml", &text.replace(&key, "arn:aws:kms:us-east-1:123456789012:key/none"));
    let said = bench.refused("ours.yaml", &[SECRET]);
    assert!(said.contains("AWS KMS refused") && said.contains("hint:"), "{said}");
    // Nothing is written where a key cannot wrap.
    bench.write("new.yaml", TEXT);
    let ran =
        bench.ours(&["encrypt", "-i", "--kms", "arn:aws:kms:us-east-1:1:key/none", "new.yaml"]);
    assert_ne!(ran.code, 0);
    assert_eq!(bench.read("new.yaml"), TEXT);
}

#[test]
fn signatures_and_policies_are_those_of_aws() {
    let Some(mut bench) = Bench::new() else { return };
    let Some(moto) = moto(&bench, &[("INITIAL_NO_AUTH_ACTION_COUNT", "4")]) else { return };
    let key = new_key(&moto);
    iam(&moto, "Action=CreateUser&UserName=u");
    let policy = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%5B%22kms%3AEncrypt%22%2C%22kms%3ADecrypt%22%5D%2C%22Resource%22%3A%22%2A%22%7D%5D%7D";
    iam(&moto, &format!("Action=PutUserPolicy&UserName=u&PolicyName=p&PolicyDocument={policy}"));
    let made = iam(&moto, "Action=CreateAccessKey&UserName=u");
    let of = |name: &str| {
        let (_, rest) = made.split_once(&format!("<{name}>")).unwrap();
        rest.split_once('<').unwrap().0.to_owned()
    };
    bench.set("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{}", moto.port));
    bench.set("AWS_ACCESS_KEY_ID", &of("AccessKeyId"));
    bench.set("AWS_SECRET_ACCESS_KEY", &of("SecretAccessKey"));
    bench.both_ways(&["--kms", &key, "--encryption-context", "a:b"]);
    // The signature is looked at: another secret does not do.
    bench.set("AWS_SECRET_ACCESS_KEY", SECRET);
    let said = bench.refused("ours.yaml", &[SECRET]);
    assert!(
        said.contains("AWS KMS refused (HTTP 403)") && said.contains("secret access key"),
        "{said}"
    );
    bench.set("AWS_ACCESS_KEY_ID", "AKIANOBODYKNOWSTHIS0");
    let said = bench.refused("ours.yaml", &[SECRET]);
    assert!(said.contains("AWS KMS refused (HTTP 403)") && said.contains("hint:"), "{said}");
    // Nobody to ask for credentials at all.
    bench.unset("AWS_ACCESS_KEY_ID");
    let said = bench.refused("ours.yaml", &[SECRET]);
    assert!(said.contains("no credentials for AWS KMS") && said.contains("AWS_PROFILE"), "{said}");
}

#[test]
fn nobody_is_asked_without_need() {
    let Some((bench, moto, counter)) = start() else { return };
    let (first, second) = (new_key(&moto), new_key(&moto));
    let mut identity = Vec::new();
    let made = bench.run(std::path::Path::new("age-keygen"), &[]).ok();
    identity.extend(made.out.bytes());
    let recipient = made.out.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    fs::create_dir_all(bench.home(".config/sops/age")).unwrap();
    fs::write(bench.home(".config/sops/age/keys.txt"), &identity).unwrap();
    let names: Vec<String> = (0..20).map(|number| format!("f{number}.yaml")).collect();
    let rules = |kms: &str| {
        let kms = if kms.is_empty() { String::new() } else { format!("    kms: {kms}\n") };
        bench.write(".sops.yaml", &format!("creation_rules:\n  - age: {recipient}\n{kms}"));
    };
    rules("");
    for name in &names {
        bench.write(name, TEXT);
        bench.ours(&["encrypt", "-i", name]).ok();
    }
    let verbs = ["Encrypt", "Decrypt"];
    // A reader that is new is asked for each file, and nobody else.
    rules(&first);
    bench.native(&["status"]);
    assert_ne!(bench.native(&["rekey", "--check"]).code, 0);
    assert_eq!(counter.asked().len(), 0);
    bench.native(&["rekey"]).ok();
    assert_eq!(counter.count(&verbs), [20, 0]);
    bench.native(&["rekey", "--check"]).ok();
    bench.native(&["status"]).ok();
    bench.native(&["rekey"]).ok();
    assert_eq!(counter.asked().len(), 0);
    rules(&format!("{first},{second}"));
    bench.native(&["rekey"]).ok();
    let asked = counter.asked();
    assert_eq!(asked.len(), 20);
    assert!(asked.iter().all(|one| one.json()["KeyId"] == second.as_str()));
    assert_eq!(bench.theirs(&["decrypt", "f7.yaml"]).ok().out, TEXT);
    // What opens here opens without a service.
    bench.native(&["decrypt", "f7.yaml"]).ok();
    fs::remove_file(bench.home(".config/sops/age/keys.txt")).unwrap();
    counter.asked();
    assert_eq!(bench.theirs(&["decrypt", "f3.yaml"]).ok().out, TEXT);
    assert_eq!(bench.native(&["decrypt", "f3.yaml"]).ok().out, TEXT);
    // A ciphertext that many files hold is asked about once.
    bench.write("one.yaml", TEXT);
    fs::remove_file(bench.path(".sops.yaml")).unwrap();
    bench.ours(&["encrypt", "-i", "--kms", &first, "one.yaml"]).ok();
    for name in &names {
        fs::copy(bench.path("one.yaml"), bench.path(name)).unwrap();
    }
    counter.asked();
    let files: Vec<&str> = names.iter().map(String::as_str).collect();
    bench.native(&[&["rotate"], files.as_slice()].concat()).ok();
    assert_eq!(counter.count(&verbs), [20, 1]);
    assert_eq!(bench.theirs(&["decrypt", "f19.yaml"]).ok().out, TEXT);
}

#[test]
fn rules_of_our_own_name_keys_of_services() {
    let Some((bench, moto, counter)) = start() else { return };
    let (first, second) = (new_key(&moto), new_key(&moto));
    let made = bench.run(std::path::Path::new("age-keygen"), &[]).ok();
    let recipient = made.out.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    let rules = |readers: &str| {
        let text = format!(
            "users:\n  alice: {recipient}\n  kms-prod: {first}\n  kms-spare: {second}\nsecrets:\n  - path: \"*.yaml\"\n    readers: [{readers}]\n  - path: \"*.age\"\n    readers: [alice, kms-prod]\n"
        );
        bench.write("secretctl.yaml", &text);
    };
    rules("kms-prod");
    bench.write("plain", TEXT);
    counter.asked();
    bench.native(&["encrypt", "-o", "a.yaml", "plain"]).ok();
    assert_eq!(counter.count(&["Encrypt", "Decrypt"]), [1, 0]);
    assert_eq!(bench.theirs(&["decrypt", "a.yaml"]).ok().out, TEXT);
    rules("kms-spare, kms-prod");
    bench.native(&["rekey"]).ok();
    counter.asked();
    rules("kms-spare");
    bench.native(&["rekey"]).ok();
    assert!(!bench.read("a.yaml").contains(&first));
    assert_eq!(bench.theirs(&["decrypt", "a.yaml"]).ok().out, TEXT);
    // Files of age know no such readers.
    counter.asked();
    let ran = bench.native(&["encrypt", "-o", "b.age", "plain"]);
    assert!(ran.code != 0 && ran.err.contains("kms-prod"), "{ran:?}");
    assert!(!bench.path("b.age").exists());
    assert_eq!(counter.asked().len(), 0);
}
