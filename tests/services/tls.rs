//! Whom the client trusts, as whom it comes, and the way that it takes there.

use crate::bench::{Bench, TEXT};
use crate::cloud::Authority;
use crate::server::{Reply, Server, kept};

const TOKEN: &str = "hvs.canary-token-for-a-private-vault";

/// A bench with `a.yaml`, whose key is in a vault at an address.
fn start(authority: &str, address: &str) -> Option<Bench> {
    let mut bench = Bench::new()?;
    bench.set("SECRETCTL_KEY_SERVICES_TIMEOUT", "5");
    bench.set("VAULT_TOKEN", TOKEN);
    let plain = Server::new(kept);
    bench.set("VAULT_ADDR", &plain.url());
    bench.write("a.yaml", TEXT);
    let key = format!("{}/v1/transit/keys/fleet", plain.url());
    bench.ours(&["encrypt", "-i", "--hc-vault-transit", &key, "a.yaml"]).ok();
    let text = bench.read("a.yaml").replace(&plain.url(), address);
    bench.write("a.yaml", &text);
    bench.set("VAULT_ADDR", address);
    assert!(authority.ends_with("ca.pem"));
    Some(bench)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn an_authority_of_ones_own_is_trusted_where_it_is_named() {
    let folder = folder();
    let Some(authority) = Authority::new(folder.path().to_owned()) else { return };
    let server = authority.server(false, kept);
    let ca = authority.file("ca.pem");
    let address = format!("https://localhost:{}", server.port);
    let Some(mut bench) = start(&ca, &address) else { return };
    let said = bench.refused("a.yaml", &[TOKEN]);
    assert!(said.contains("the transit engine of Vault cannot be reached"), "{said}");
    assert!(said.contains("certificate") && said.contains("set SSL_CERT_FILE"), "{said}");
    assert_eq!(server.asked().len(), 0, "nothing was said to it");
    for variable in ["SSL_CERT_FILE", "NIX_SSL_CERT_FILE", "VAULT_CACERT"] {
        bench.set(variable, &ca);
        assert_eq!(bench.native(&["decrypt", "a.yaml"]).ok().out, TEXT, "{variable}");
        bench.unset(variable);
    }
    // What is no authority is told with its name.
    for (name, content) in [("empty.pem", ""), ("none.pem", "canary-of-no-certificate")] {
        bench.write(name, content);
        for variable in ["SSL_CERT_FILE", "NIX_SSL_CERT_FILE", "VAULT_CACERT"] {
            bench.set(variable, bench.path(name).to_str().unwrap());
            let said = bench.refused("a.yaml", &[TOKEN, "canary"]);
            assert!(said.contains(name), "{variable}: {said}");
            bench.unset(variable);
        }
    }
    bench.set("VAULT_CACERT", &ca);
    bench.set("VAULT_SKIP_VERIFY", "true");
    let said = bench.refused("a.yaml", &[TOKEN]);
    assert!(said.contains("VAULT_SKIP_VERIFY is set"), "{said}");
}

#[test]
fn a_client_comes_with_the_certificate_that_it_has() {
    let folder = folder();
    let Some(authority) = Authority::new(folder.path().to_owned()) else { return };
    let server = authority.server(true, kept);
    let ca = authority.file("ca.pem");
    let Some(mut bench) = start(&ca, &format!("https://127.0.0.1:{}", server.port)) else { return };
    bench.set("VAULT_CACERT", &ca);
    let said = bench.refused("a.yaml", &[TOKEN]);
    assert!(said.contains("cannot be reached") || said.contains("is no answer"), "{said}");
    bench.set("VAULT_CLIENT_CERT", &authority.file("leaf.pem"));
    bench.set("VAULT_CLIENT_KEY", &authority.file("leaf.key"));
    assert_eq!(bench.native(&["decrypt", "a.yaml"]).ok().out, TEXT);
    assert!(server.asked().iter().all(|one| one.certified));
    bench.set("VAULT_CLIENT_KEY", &authority.file("leaf.pem"));
    let said = bench.refused("a.yaml", &[TOKEN]);
    assert!(said.contains("leaf.pem: it is no private key"), "{said}");
}

#[test]
fn a_proxy_is_used_for_far_hosts_but_not_for_those_that_are_excepted() {
    let folder = folder();
    let Some(authority) = Authority::new(folder.path().to_owned()) else { return };
    let proxy = authority.proxy(kept);
    let ca = authority.file("ca.pem");
    let Some(mut bench) = start(&ca, "https://vault.test.invalid:8200") else { return };
    bench.set("SSL_CERT_FILE", &ca);
    let said = bench.refused("a.yaml", &[TOKEN]);
    assert!(said.contains("lookup") && said.contains("HTTPS_PROXY"), "{said}");
    for variable in ["HTTPS_PROXY", "ALL_PROXY"] {
        bench.set(variable, &proxy.url());
        assert_eq!(bench.native(&["decrypt", "a.yaml"]).ok().out, TEXT, "{variable}");
        let asked = proxy.asked();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].host, "vault.test.invalid");
        for list in ["vault.test.invalid", ".test.invalid", "*"] {
            bench.set("NO_PROXY", list);
            let said = bench.refused("a.yaml", &[TOKEN]);
            assert!(said.contains("lookup"), "{variable} {list}: {said}");
        }
        bench.unset("NO_PROXY");
        assert_eq!(proxy.asked().len(), 0);
        bench.unset(variable);
    }
    // One that refuses, and one that is not there.
    let refusing = Server::new(|_| Reply(403, String::new(), b"canary of the proxy".to_vec()));
    bench.set("HTTPS_PROXY", &refusing.url());
    let said = bench.refused("a.yaml", &[TOKEN]);
    assert!(said.contains("cannot be reached: the proxy refuses"), "{said}");
    assert!(refusing.asked().iter().all(|one| one.header("x-vault-token").is_empty()));
    bench.set("HTTPS_PROXY", "http://127.0.0.1:9");
    let said = bench.refused("a.yaml", &[TOKEN]);
    assert!(said.contains("cannot be reached"), "{said}");
    // A name that the certificate does not have.
    bench.set("HTTPS_PROXY", &proxy.url());
    let text = bench.read("a.yaml").replace("vault.test.invalid", "other.test.invalid");
    bench.write("a.yaml", &text);
    bench.set("VAULT_ADDR", "https://other.test.invalid:8200");
    let said = bench.refused("a.yaml", &[TOKEN]);
    assert!(said.contains("cannot be reached") && said.contains("certificate"), "{said}");
    assert_eq!(proxy.asked().len(), 0);
    // This machine is asked without one.
    let near = authority.server(false, kept);
    let address = format!("https://localhost:{}", near.port);
    let text = text.replace("https://other.test.invalid:8200", &address);
    bench.write("a.yaml", &text);
    bench.set("VAULT_ADDR", &address);
    assert_eq!(bench.native(&["decrypt", "a.yaml"]).ok().out, TEXT);
    assert_eq!(proxy.asked().len(), 0);
}
