//! The transit engine, as `OpenBao` has it, and groups of keys.

use std::fs;

use crate::bench::{Bench, Program, TEXT, TOKEN, bao, moto, new_key};
use crate::server::Server;

fn start() -> Option<(Bench, Program, Server)> {
    let mut bench = Bench::new()?;
    let bao = bao(&bench)?;
    let counter = Server::before(bao.port);
    bench.set("VAULT_ADDR", &counter.url());
    bench.set("VAULT_TOKEN", TOKEN);
    Some((bench, bao, counter))
}

#[test]
fn files_are_written_and_read_with_the_real_sops() {
    let Some((mut bench, _bao, counter)) = start() else { return };
    let key = format!("{}/v1/transit/keys/fleet", counter.url());
    let other = format!("{}/v1/transit/keys/other", counter.url());
    bench.both_ways(&["--hc-vault-transit", &key]);
    bench.native(&["set", "ours.yaml", "/db/password", "\"second\""]).ok();
    bench.ours(&["rotate", "-i", "--add-hc-vault-transit", &other, "ours.yaml"]).ok();
    bench.ours(&["rotate", "-i", "--rm-hc-vault-transit", &key, "ours.yaml"]).ok();
    assert!(bench.theirs(&["decrypt", "ours.yaml"]).ok().out.contains("password: second"));
    // The token of `vault login`.
    bench.unset("VAULT_TOKEN");
    let said = bench.refused("ours.yaml", &[TOKEN]);
    assert!(said.contains("no credentials for the transit engine of Vault"), "{said}");
    fs::write(bench.home(".vault-token"), TOKEN).unwrap();
    bench.native(&["decrypt", "ours.yaml"]).ok();
    // Many files are one question.
    let names: Vec<String> = (0..20).map(|number| format!("f{number}.yaml")).collect();
    for name in &names {
        bench.write(name, TEXT);
        bench.ours(&["encrypt", "-i", "--hc-vault-transit", &key, name]).ok();
    }
    counter.asked();
    let files: Vec<&str> = names.iter().map(String::as_str).collect();
    bench.native(&[&["rotate"], files.as_slice()].concat()).ok();
    assert_eq!(counter.count(&["decrypt", "encrypt"]), [1, 1]);
    assert_eq!(bench.theirs(&["decrypt", "f11.yaml"]).ok().out, TEXT);
}

#[test]
fn a_token_goes_nowhere_else() {
    let Some((mut bench, _bao, counter)) = start() else { return };
    let key = format!("{}/v1/transit/keys/fleet", counter.url());
    bench.write("a.yaml", TEXT);
    bench.ours(&["encrypt", "-i", "--hc-vault-transit", &key, "a.yaml"]).ok();
    counter.asked();
    bench.set("VAULT_ADDR", "https://vault.example:8200");
    let said = bench.refused("a.yaml", &[TOKEN]);
    assert!(said.contains("is not allowed") && said.contains(&counter.url()), "{said}");
    assert!(said.contains("SECRETCTL_KEY_SERVICES="), "{said}");
    assert_eq!(counter.asked().len(), 0);
    bench.set("SECRETCTL_KEY_SERVICES", &counter.url());
    bench.native(&["decrypt", "a.yaml"]).ok();
    bench.set("SOPS_HC_VAULT_ALLOWLIST", "none");
    assert!(bench.refused("a.yaml", &[TOKEN]).contains("is not allowed"));
    bench.unset("SOPS_HC_VAULT_ALLOWLIST");
    // A token that is not taken, and a key that is not there.
    let wrong = "hvs.another-canary-token";
    bench.set("VAULT_TOKEN", wrong);
    let said = bench.refused("a.yaml", &[wrong]);
    assert!(said.contains("refused (HTTP 403)") && said.contains("vault login"), "{said}");
    bench.set("VAULT_TOKEN", TOKEN);
    let text = bench.read("a.yaml").replace("key_name: fleet", "key_name: gone");
    bench.write("a.yaml", &text);
    let said = bench.refused("a.yaml", &[TOKEN]);
    assert!(
        said.contains("the transit engine of Vault refused") && said.contains("hint:"),
        "{said}"
    );
}

#[test]
fn groups_of_keys_are_shared_among_services() {
    let Some((mut bench, _bao, counter)) = start() else { return };
    let Some(moto) = moto(&bench, &[]) else { return };
    bench.set("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{}", moto.port));
    bench.set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
    bench.set("AWS_SECRET_ACCESS_KEY", "x");
    let rules = format!(
        "creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n      - kms:\n          - arn: {}\n      - hc_vault:\n          - {url}/v1/transit/keys/fleet\n      - hc_vault:\n          - {url}/v1/transit/keys/other\n",
        new_key(&moto),
        url = counter.url()
    );
    bench.write(".sops.yaml", &rules);
    bench.both_ways(&[]);
    // Two of three suffice; one does not.
    bench.unset("AWS_ACCESS_KEY_ID");
    assert_eq!(bench.native(&["decrypt", "theirs.yaml"]).ok().out, TEXT);
    bench.unset("VAULT_TOKEN");
    let said = bench.refused("theirs.yaml", &[TOKEN]);
    assert!(said.contains("0 of the 2 key groups"), "{said}");
    bench.set("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
    let said = bench.refused("theirs.yaml", &[TOKEN]);
    assert!(said.contains("1 of the 2 key groups"), "{said}");
}
