//! Vaults of Azure that want a token of another tenant than that of the credentials, and say so: ours gets
//! it where that is allowed, and the real sops does so for the same vault. And vaults that say something
//! else there.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rsa::RsaPrivateKey;
use serde_json::json;

use crate::bench::TEXT;
use crate::credentials::{
    AZURE, AZURE_CLIENT, AZURE_KEY, Home, about_tenants, azure, challenge, hosts, metadata,
};
use crate::server::{Asked, Reply, Server};

const OF_THE_FIRST: &str = "eyJ0.canary-token-of-the-first-tenant.x";
const LIST: &str = "AZURE_ADDITIONALLY_ALLOWED_TENANTS";

/// A vault, and what it does.
#[derive(Default)]
struct Vault {
    /// Takes no token at all.
    closed: bool,
    /// What it says of the one that it wants: header lines.
    challenge: String,
    /// How long it thinks before it refuses; any further answer never comes.
    slow: Option<Duration>,
    /// How long the directory thinks of a token of `tenant-2`.
    directory: Duration,
}

/// A home, and the vault of `tenant-2` at which its file was encrypted.
fn start() -> Option<(Home, Arc<Mutex<Vault>>)> {
    let state =
        Arc::new(Mutex::new(Vault { challenge: challenge("tenant-2"), ..Vault::default() }));
    let (told, refused) = (Arc::clone(&state), AtomicUsize::new(0));
    let first = azure(RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap());
    let answer = move |asked: &Asked| {
        if let Some(reply) = about_tenants(asked) {
            return reply;
        }
        if asked.host == "login.microsoftonline.com" {
            let slow = told.lock().unwrap().directory;
            if asked.way.starts_with("/tenant-2/") {
                std::thread::sleep(slow);
            }
            let mut like_first = asked.clone();
            "/tenant-1/oauth2/v2.0/token".clone_into(&mut like_first.way);
            let Reply(status, headers, body) = first(&like_first);
            let good =
                asked.way == "/tenant-2/oauth2/v2.0/token" || asked.way == "/adfs/oauth2/token";
            if good || status != 200 {
                return Reply(status, headers, body);
            }
            let token = match asked.way.split('/').nth(1).unwrap() {
                "tenant-1" => OF_THE_FIRST.to_owned(),
                other => format!("{OF_THE_FIRST}.{other}"),
            };
            return Reply::json(200, &json!({"access_token": token, "expires_in": 3600}));
        }
        let state = told.lock().unwrap();
        if asked.header("authorization") == format!("Bearer {AZURE}") && !state.closed {
            drop(state);
            return first(asked);
        }
        let number = refused.fetch_add(1, Ordering::Relaxed);
        let headers = state.challenge.replace("NUMBER", &number.to_string());
        let slow = state.slow;
        drop(state);
        if let Some(slow) = slow {
            let is_first = asked.header("authorization") == format!("Bearer {OF_THE_FIRST}");
            std::thread::sleep(if is_first { slow } else { Duration::from_secs(20) });
        }
        Reply(401, headers, br#"{"error": {"code": "Unauthorized", "message": "no"}}"#.to_vec())
    };
    let variables = [&AZURE_CLIENT[..], &[(LIST, "tenant-2")]].concat();
    let mut home = Home::new(answer, &variables, &["--azure-kv", AZURE_KEY])?;
    // No machine of Azure answers here.
    home.bench.set("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9");
    Some((home, state))
}

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&AZURE_CLIENT[..], more].concat()
}

/// Whom the directory was asked for, and `vault` for each question to the vault.
fn tenants(asked: &[Asked]) -> Vec<&str> {
    let tenant = |one| match hosts(std::slice::from_ref(one))[..] {
        ["login"] => one.way.split('/').nth(1).unwrap(),
        _ => "vault",
    };
    asked.iter().map(tenant).collect()
}

#[test]
fn a_vault_of_another_tenant_gets_a_token_of_it() {
    let Some((mut home, _)) = start() else { return };
    let both = ["tenant-1", "vault", "tenant-2", "vault"];
    let token = home.write("token", "eyJ.canary-of-the-pod.x");
    let user = [("AZURE_USERNAME", "u@t"), ("AZURE_PASSWORD", "canary p")];
    for list in ["tenant-2", "other;tenant-2", "*"] {
        // The real sops is as content with each of them.
        assert_eq!(tenants(&home.opens(&with(&[(LIST, list)]))), both);
        let pod = [&AZURE_CLIENT[..2], &[("AZURE_FEDERATED_TOKEN_FILE", &token), (LIST, list)]];
        assert_eq!(tenants(&home.opens(&pod.concat())), both);
        let user = [&AZURE_CLIENT[..2], &user, &[(LIST, list)]].concat();
        assert_eq!(tenants(&home.opens(&user)), both);
    }
    // What it said once is known from then on: a decryption, and the public key of the same vault.
    let asked = home.with(&with(&[(LIST, "*")]), |home| {
        home.bench.native(&["rotate", "a.yaml"]).ok();
        home.cloud.asked()
    });
    assert_eq!(tenants(&asked), [&both[..], &["vault"]].concat());

    // Nobody allows it: the real sops does not go there, either.
    for variables in [with(&[]), with(&[(LIST, "other;tenant-20")])] {
        let said = home.refused(&variables, &["canary"]);
        for part in ["HTTP 401", "of the tenant tenant-2", "https://fleet.vault.azure.net", LIST] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(tenants(&home.cloud.asked()), ["tenant-1", "vault"].repeat(2));
        home.with(&variables, |home| {
            assert_ne!(home.bench.theirs(&["decrypt", "a.yaml"]).code, 0);
            assert!(!tenants(&home.cloud.asked()).contains(&"tenant-2"));
        });
    }
    // It is the tenant of the credentials.
    let own = [("AZURE_TENANT_ID", "tenant-2"), AZURE_CLIENT[1], AZURE_CLIENT[2]];
    assert_eq!(tenants(&home.opens(&own)), ["tenant-2", "vault"]);
    // It may be any, unless there is a list.
    let any = [("AZURE_TENANT_ID", "organizations"), AZURE_CLIENT[1], AZURE_CLIENT[2]];
    let asked = home.opens(&any);
    assert_eq!(tenants(&asked), ["organizations", "vault", "tenant-2", "vault"]);
    let said = home.refused(&[&any[..], &[(LIST, "other")]].concat(), &["canary"]);
    assert!(said.contains("of the tenant tenant-2") && said.contains(LIST), "{said}");
    let other = with(&[("AZURE_CLIENT_SECRET", "canary-of-nobody"), (LIST, "*")]);
    let said = home.refused(&other, &["canary"]);
    assert!(said.contains("the directory refuses (HTTP 401) invalid_client"), "{said}");
}

#[test]
fn adfs_is_one_tenant() {
    let Some((mut home, vault)) = start() else { return };
    let adfs = [("AZURE_TENANT_ID", "adfs"), AZURE_CLIENT[1], AZURE_CLIENT[2], (LIST, "*")];
    vault.lock().unwrap().challenge = challenge("adfs");
    let asked = home.opens(&adfs);
    assert_eq!(tenants(&asked), ["adfs", "vault"]);
    assert_eq!(asked[0].way, "/adfs/oauth2/token");
    *vault.lock().unwrap() =
        Vault { closed: true, challenge: challenge("tenant-2"), ..Vault::default() };
    let said = home.refused(&adfs, &["canary"]);
    assert!(said.contains("tenant-2") && said.contains("`adfs` has no others"), "{said}");
    home.with(&adfs, |home| {
        let ran = home.bench.theirs(&["decrypt", "a.yaml"]);
        assert!(ran.err.contains("ADFS doesn't support tenants"), "{ran:?}");
        assert!(!tenants(&home.cloud.asked()).contains(&"tenant-2"));
    });
}

#[test]
fn programs_are_asked_for_the_tenant_of_the_vault() {
    let Some((mut home, _)) = start() else { return };
    // The real sops looks for a machine where the proxy stands.
    home.bench.set("AZURE_TOKEN_CREDENTIALS", "dev");
    let ran = home.write("ran", "");
    let token = |token: &str, names: [&str; 2], when: &str| {
        format!("echo '{{\"{}\": \"{token}\", \"{}\": {when}}}'", names[0], names[1])
    };
    let az = ["accessToken", "expires_on"];
    let azd = ["token", "expiresOn"];
    let pwsh = ["Token", "ExpiresOn"];
    let date = "\"2100-01-01T00:00:00Z\"";
    let decoded = "$(printf %s \"$6\" | base64 -d | iconv -f UTF-16LE -t UTF-8)";
    for (program, given, option, names, when) in [
        ("az", "$*", " --tenant tenant-2", az, "4102444800"),
        ("azd", "$*", " --tenant-id tenant-2", azd, date),
        ("pwsh", decoded, "TenantId*tenant-2", pwsh, "4102444800"),
    ] {
        let script = format!(
            "given=\"{given}\"\nprintf '%s\\n' \"$given\" >>{ran}\ncase $given in\n*{}*) {};;\n*) {};;\nesac",
            option.replace(' ', "\\ "),
            token(AZURE, names, when),
            token(OF_THE_FIRST, names, when),
        );
        let path = home.program(&format!("{program}-only"), program, &script);
        for list in ["", "tenant-2", "*"] {
            fs::write(&ran, "").unwrap();
            let variables = [("PATH", path.as_str()), (LIST, list)];
            home.with(&variables, |home| {
                assert_eq!(home.bench.native(&["decrypt", "a.yaml"]).ok().out, TEXT);
            });
            assert_eq!(hosts(&home.cloud.asked()), ["fleet", "fleet"]);
            let said = fs::read_to_string(&ran).unwrap();
            assert_eq!(said.matches("tenant-2").count(), 1, "{said}");
            if program == "pwsh" {
                let line = "$asked = @{ ResourceUrl = 'https://vault.azure.net'; \
                            TenantId = 'tenant-2'; WarningAction = 'Ignore' }";
                assert!(said.lines().any(|one| one == line), "{said}");
            }
            // The real sops asks for it at once.
            home.with(&variables, |home| {
                assert_eq!(home.bench.theirs(&["decrypt", "a.yaml"]).ok().out, TEXT);
            });
        }
        // A list is a list for them, too.
        fs::write(&ran, "").unwrap();
        let said = home.refused(&[("PATH", &path), (LIST, "other")], &["canary"]);
        assert!(said.contains("of the tenant tenant-2") && said.contains(LIST), "{said}");
        assert!(!fs::read_to_string(&ran).unwrap().contains("tenant-2"));
        home.with(&[("PATH", &path), (LIST, "other")], |home| {
            assert_ne!(home.bench.theirs(&["decrypt", "a.yaml"]).code, 0);
        });
        // Who is not logged in there.
        let script = script.replace(&token(AZURE, names, when), "exit 1");
        home.program(&format!("{program}-only"), program, &script);
        let said = home.refused(&[("PATH", &path)], &["canary"]);
        assert!(
            said.contains("have none for the tenant tenant-2, which the vault names"),
            "{said}"
        );
    }
}

#[test]
fn machines_have_one_tenant() {
    let Some((mut home, vault)) = start() else { return };
    let near = Server::new(metadata);
    let machine = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", near.url())];
    let machine = machine.each_ref().map(|(name, value)| (*name, value.as_str()));
    home.with(&machine, |home| {
        assert_eq!(home.bench.native(&["decrypt", "a.yaml"]).ok().out, TEXT);
        assert_eq!(hosts(&home.cloud.asked()), ["fleet"]);
    });
    vault.lock().unwrap().closed = true;
    let said = home.refused(&machine, &["canary"]);
    assert!(said.contains("refused (HTTP 401): Unauthorized"), "{said}");
    // Once for each of two commands: it is the same token.
    assert_eq!(hosts(&home.cloud.asked()), ["fleet"; 2]);
}

#[test]
fn vaults_that_name_what_is_no_tenant_or_are_never_content() {
    let Some((mut home, vault)) = start() else { return };
    let set = |closed, challenge: &str| {
        *vault.lock().unwrap() =
            Vault { closed, challenge: challenge.to_owned(), ..Vault::default() };
    };
    let any = with(&[(LIST, "*")]);
    let taken = "the token is not taken there";
    let others = "https://fleet.vault.azure.net wants a token for a service of others";
    let of = "https://vault.azure.net";
    let named = |authorization: &str, resource: &str| {
        format!(
            "www-authenticate: Bearer authorization=\"{authorization}\", resource=\"{resource}\"\r\n"
        )
    };
    for (challenge, expected) in [
        (String::new(), taken),
        ("www-authenticate: Bearer\r\n".to_owned(), taken),
        ("www-authenticate: =\"=,==\"\" , Bearer\r\n".to_owned(), taken),
        (named("tenant-2", of), taken),
        (named("https://login.microsoftonline.com", of), taken),
        (named("https://login.microsoftonline.com/..", of), taken),
        (named("https://login.microsoftonline.com//tenant-2", of), taken),
        (named("https://login.microsoftonline.com/--help", of), taken),
        (named("https://login.microsoftonline.com/a%2Fb", of), taken),
        (named("https://login.microsoftonline.com/x';y", of), taken),
        (named(&format!("https://login.microsoftonline.com/{OF_THE_FIRST}"), of), taken),
        (named(&format!("https://login.microsoftonline.com/{}", "a".repeat(300)), of), taken),
        (named(&format!("https://x/tenant-2/{}", "a".repeat(5_000)), of), taken),
        (
            named("https://login.microsoftonline.com/tenant-2", "https://graph.microsoft.com"),
            others,
        ),
        (named("https://login.microsoftonline.com/tenant-2", "https://evil.example"), others),
        (named("https://login.microsoftonline.com/tenant-2", ""), others),
    ] {
        set(true, &challenge);
        let said = home.refused(&any, &["canary"]);
        assert!(said.contains(expected) && said.contains("hint: "), "{challenge}: {said}");
        // Two commands, and neither asks the directory again.
        assert_eq!(tenants(&home.cloud.asked()), ["tenant-1", "vault"].repeat(2), "{challenge}");
    }
    // Of all that it says the tenant is used, and nobody else is asked.
    for challenge in [
        named("https://evil.example/tenant-2", of),
        named("https://evil.example/tenant-2/../tenant-3", of),
    ] {
        set(false, &challenge);
        home.with(&any, |home| {
            assert_eq!(home.bench.native(&["decrypt", "a.yaml"]).ok().out, TEXT);
            let asked = home.cloud.asked();
            assert_eq!(tenants(&asked), ["tenant-1", "vault", "tenant-2", "vault"]);
            assert!(String::from_utf8_lossy(&asked[2].body).contains("vault.azure.net%2F.default"));
        });
    }
    // It is never content: once more, and no end of it.
    for (named, second) in [("tenant-2", "tenant-2"), ("t-NUMBER", "t-")] {
        set(true, &challenge(named));
        let said = home.refused(&any, &["canary"]);
        assert!(said.contains(taken), "{said}");
        let asked = home.cloud.asked();
        let asked = tenants(&asked);
        assert_eq!((asked.len(), asked[0], asked[1], asked[3]), (8, "tenant-1", "vault", "vault"));
        assert!(asked[2].starts_with(second), "{asked:?}");
    }
    // Nor does it send those who ask beside each other to many.
    set(true, &challenge("t-NUMBER"));
    home.with(&any, |home| {
        let keys = ["a", "b", "c", "d"].map(|key| AZURE_KEY.replace("/k/", &format!("/{key}/")));
        home.bench.write("b.yaml", TEXT);
        home.bench.ours(&["encrypt", "-i", "--azure-kv", &keys.join(","), "b.yaml"]);
        assert_eq!(home.bench.read("b.yaml"), TEXT);
        let asked = home.cloud.asked();
        let others = tenants(&asked).into_iter().filter(|one| one.starts_with("t-"));
        assert_eq!(others.count(), 1);
    });
    set(true, &challenge("tenant-1"));
    home.refused(&any, &["canary"]);
    assert_eq!(tenants(&home.cloud.asked()), ["tenant-1", "vault"].repeat(2));
}

#[test]
fn a_vault_has_one_limit_of_time_and_the_directory_another() {
    let Some((mut home, vault)) = start() else { return };
    home.bench.set("SECRETCTL_KEY_SERVICES_TIMEOUT", "4");
    let seconds = Duration::from_secs_f32;
    for (slow, directory) in [(Some(seconds(3.0)), Duration::ZERO), (None, seconds(20.0))] {
        *vault.lock().unwrap() =
            Vault { closed: true, challenge: challenge("tenant-2"), slow, directory };
        let begin = Instant::now();
        let said = home.refused(&with(&[(LIST, "*")]), &["canary"]);
        // Two commands.
        assert!(begin.elapsed() < seconds(12.0), "{:?}", begin.elapsed());
        let timeout = "SECRETCTL_KEY_SERVICES_TIMEOUT";
        assert!(said.contains("did not answer within 4 s") && said.contains(timeout), "{said}");
        assert!(!said.contains("401"), "{said}");
        assert_eq!(tenants(&home.cloud.asked())[..3], ["tenant-1", "vault", "tenant-2"]);
    }
    // Together they may take longer than one of them.
    let (slow, directory) = (Some(seconds(2.5)), seconds(2.5));
    *vault.lock().unwrap() =
        Vault { closed: false, challenge: challenge("tenant-2"), slow, directory };
    home.with(&with(&[(LIST, "*")]), |home| {
        let begin = Instant::now();
        assert_eq!(home.bench.native(&["decrypt", "a.yaml"]).ok().out, TEXT);
        assert!(begin.elapsed() > seconds(4.5), "{:?}", begin.elapsed());
    });
}
