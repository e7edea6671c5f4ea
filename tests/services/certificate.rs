//! Azure, for a service principal with a certificate: the directory checks what it signs with the public
//! key of that certificate, and the real sops gets a token from the same directory in the same way.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rsa::pkcs8::DecodePublicKey;
use rsa::{Pkcs1v15Sign, Pss, RsaPrivateKey, RsaPublicKey};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::bench::TEXT;
use crate::credentials::{AZURE, AZURE_CLIENT, AZURE_KEY, Home, azure, challenge, for_the_sdk};
use crate::server::{Asked, Reply};

/// The certificate in a PEM file, as openssl has it.
struct Known {
    public: RsaPublicKey,
    thumbprint: Vec<u8>,
    der: Vec<u8>,
}

/// `own` and `other`, each a key and a certificate in PEM, and what is made of them.
struct Files {
    folder: tempfile::TempDir,
    /// Whether the vault names ADFS.
    in_adfs: Arc<AtomicBool>,
}

impl Files {
    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Several of them in one.
    fn join(&self, name: &str, parts: &[&str]) -> String {
        let parts = parts.iter().map(|part| fs::read_to_string(self.file(part)).unwrap());
        fs::write(self.file(name), parts.collect::<String>()).unwrap();
        self.file(name)
    }

    /// What openssl says; names of files begin with `@`.
    fn openssl(&self, arguments: &str) -> String {
        let folder = format!("{}/", self.folder.path().display());
        let arguments = arguments.split(' ').map(|word| word.replace('@', &folder));
        let made = Command::new("openssl").args(arguments).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8_lossy(&made.stdout).into_owned()
    }
}

/// Those files, and a home whose directory knows the certificate `own`.
fn start() -> Option<(Files, Home)> {
    if crate::desk::lacks("openssl") {
        return None;
    }
    let files = Files { folder: tempfile::tempdir().unwrap(), in_adfs: Arc::default() };
    let in_adfs = Arc::clone(&files.in_adfs);
    for name in ["own", "other"] {
        let key = format!("-newkey rsa:2048 -nodes -keyout @{name}.key");
        files.openssl(&format!("req -x509 {key} -days 2 -subj /CN={name} -out @{name}.crt"));
    }
    let public = files.openssl("x509 -in @own.crt -pubkey -noout");
    let known = Known {
        public: RsaPublicKey::from_public_key_pem(&public).unwrap(),
        thumbprint: hash_in(&files.openssl("x509 -in @own.crt -fingerprint -sha256 -noout")),
        der: der_of(&files.file("own.crt")),
    };
    let vault = azure(RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).unwrap());
    let answer = move |asked: &Asked| {
        let form = String::from_utf8_lossy(&asked.body).into_owned();
        let asserts = form.split('&').find_map(|one| one.strip_prefix("client_assertion="));
        let Some(assertion) = asserts.filter(|_| asked.host == "login.microsoftonline.com") else {
            let asks = asked.host != "login.microsoftonline.com"
                && asked.header("authorization").is_empty();
            if asks && in_adfs.load(Ordering::Relaxed) {
                return Reply(401, challenge("adfs"), vec![]);
            }
            return for_the_sdk(asked).unwrap_or_else(|| vault(asked));
        };
        match refusal(assertion, asked, &form, &known) {
            None => Reply::json(200, &json!({"access_token": AZURE, "expires_in": 3600})),
            Some(why) => {
                let why = format!("{why} {assertion}");
                Reply::json(401, &json!({"error": "invalid_client", "error_description": why}))
            }
        }
    };
    let mut home = Home::new(answer, &AZURE_CLIENT, &["--azure-kv", AZURE_KEY])?;
    home.bench.set("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9");
    Some((files, home))
}

const PASSWORD: &str = "AZURE_CLIENT_CERTIFICATE_PASSWORD";

/// The variables that name a certificate.
fn with(pem: &str) -> [(&str, &str); 3] {
    let [tenant, client, _] = AZURE_CLIENT;
    [tenant, client, ("AZURE_CLIENT_CERTIFICATE_PATH", pem)]
}

#[test]
fn a_client_signs_with_the_key_of_its_certificate() {
    let Some((files, mut home)) = start() else { return };
    files.openssl("rsa -in @own.key -traditional -out @old.key");
    for pem in [
        files.join("key-first.pem", &["own.key", "own.crt"]),
        files.join("certificate-first.pem", &["own.crt", "old.key"]),
        files.join("chain.pem", &["other.crt", "own.crt", "own.key"]),
    ] {
        let asked = home.opens(&with(&pem));
        assert!(chain(&asked[0]).is_empty());
        let chained = ("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "TRUE");
        let asked = home.opens(&[&with(&pem)[..], &[chained]].concat());
        let chain = chain(&asked[0]);
        assert_eq!(chain.len(), if pem.ends_with("chain.pem") { 2 } else { 1 });
        assert_eq!(chain[0], der_of(&files.file("own.crt")));
    }
    // Each time it is another one.
    let pem = files.file("chain.pem");
    let asked: Vec<_> = (0..2).map(|_| home.opens(&with(&pem))).collect();
    assert_ne!(claims(&asked[0][0])["jti"], claims(&asked[1][0])["jti"]);
    // To ADFS it says it as that understands it.
    let adfs = [("AZURE_TENANT_ID", "adfs"), with(&pem)[1], with(&pem)[2]];
    files.in_adfs.store(true, Ordering::Relaxed);
    home.opens(&adfs);
    files.in_adfs.store(false, Ordering::Relaxed);
    // A secret stands before it, and it before a user.
    home.opens(&[&AZURE_CLIENT[2..], &with("/none.pem")].concat());
    let user = [("AZURE_USERNAME", "u"), ("AZURE_PASSWORD", "canary-of-the-user")];
    home.opens(&[&with(&pem)[..], &user].concat());
    // One that the directory does not know.
    let other = files.join("other.pem", &["other.key", "other.crt"]);
    let said = home.refused(&with(&other), &["canary", "eyJ"]);
    assert!(said.contains("(HTTP 401) invalid_client; look whether the certificate in"), "{said}");
}

/// Ours and, for what openssl calls legacy, the real sops, which reads nothing else.
#[test]
fn a_certificate_in_pkcs12_is_as_good_as_one_in_pem() {
    let Some((files, mut home)) = start() else { return };
    let file = files.file("own.p12");
    for (how, password, is_legacy) in [
        ("-legacy", "canary", true),
        ("-legacy", "", true),
        ("-legacy -noiter -nomaciter", "canary", true),
        ("-legacy -certfile @other.crt", "canary-\u{e4}\u{20ac}", true),
        ("-macalg sha1 -certpbe PBE-SHA1-3DES -keypbe PBE-SHA1-3DES", "canary", true),
        ("", "canary", false),
        ("", "", false),
        ("-certfile @other.crt", "canary-\u{e4}\u{20ac}\u{1f511}", false),
        ("-macalg sha384 -certpbe aes-128-cbc -keypbe aes-192-cbc", "canary", false),
        ("-macalg sha512 -certpbe NONE -keypbe des-ede3-cbc", "canary", false),
        ("-certpbe NONE -keypbe NONE", "canary", false),
    ] {
        let own = "pkcs12 -export -in @own.crt -inkey @own.key -out @own.p12 -passout";
        files.openssl(format!("{own} pass:{password} {how}").trim_end());
        let chained = ("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "1");
        let used = [&with(&file)[..], &[chained, (PASSWORD, password)]].concat();
        let asked = if is_legacy { home.opens(&used) } else { opens_here(&mut home, &used) };
        let chain = chain(&asked[0]);
        assert_eq!(chain.len(), if how.contains("other") { 2 } else { 1 }, "{how}");
        assert_eq!(chain[0], der_of(&files.file("own.crt")), "{how}");
    }
    // PEM needs no password, and is read nevertheless where there is one.
    let all = files.join("all.pem", &["other.crt", "own.crt", "own.key"]);
    opens_here(&mut home, &[&with(&all)[..], &[(PASSWORD, "canary")]].concat());
}

/// What the hosts were asked when ours opened the file, which the real sops does not.
#[track_caller]
fn opens_here(home: &mut Home, variables: &[(&str, &str)]) -> Vec<Asked> {
    home.with(variables, |home| {
        assert_eq!(home.bench.native(&["decrypt", "a.yaml"]).ok().out, TEXT);
        let asked = home.cloud.asked();
        let ran = home.bench.theirs(&["decrypt", "a.yaml"]);
        assert!(ran.code != 0 && ran.err.contains("pkcs12: "), "{ran:?}");
        asked
    })
}

#[test]
fn pkcs12_that_does_not_open_is_told() {
    let Some((files, mut home)) = start() else { return };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout @ec.key";
    files.openssl(&format!("req -x509 {key} -subj /CN=ec -out @ec.crt"));
    let export = |name: &str, how: &str| {
        files.openssl(&format!("pkcs12 -export -passout pass:canary -out @{name} {how}"));
        fs::read(files.file(name)).unwrap()
    };
    let own = "-in @own.crt -inkey @own.key";
    let whole = export("own.p12", own);
    export("legacy.p12", &format!("{own} -legacy"));
    export("ec.p12", "-in @ec.crt -inkey @ec.key");
    export("no-key.p12", "-in @own.crt -nokeys");
    export("no-certificate.p12", "-inkey @own.key -nocerts");
    let write = |name: &str, bytes: &[u8]| fs::write(files.file(name), bytes).unwrap();
    write("torn.p12", &whole[..whole.len() / 2]);
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    write("changed.p12", &changed);
    // The MAC of SHA-256 ends with a number of two bytes; here it has four.
    let (mut slow, mac) = (whole.clone(), whole.len() - 0x43);
    assert_eq!((&slow[..2], &slow[mac..mac + 2]), (&[0x30, 0x82][..], &[0x30, 0x41][..]));
    let length = u16::from_be_bytes([slow[2], slow[3]]) + 2;
    slow[2..4].copy_from_slice(&length.to_be_bytes());
    slow[mac + 1] += 2;
    slow.truncate(whole.len() - 4);
    slow.extend([2, 4]);
    slow.extend(10_000_001_u32.to_be_bytes());
    write("slow.p12", &slow);
    let password = "set AZURE_CLIENT_CERTIFICATE_PASSWORD to it";
    let as_pem = "NEW.pem` writes it as PEM";
    for (name, used, parts) in [
        ("own.p12", "", ["it has a password", password]),
        ("legacy.p12", "", ["it has a password", password]),
        ("own.p12", "canary-other", ["its password is another one", password]),
        ("legacy.p12", "canary-other", ["its password is another one", password]),
        ("changed.p12", "canary", ["it was changed, or", password]),
        (
            "torn.p12",
            "canary",
            ["neither PEM nor PKCS#12 in DER, or not whole", "; give the whole file"],
        ),
        ("slow.p12", "canary", ["asks for more than 10,000,000 rounds", as_pem]),
        ("ec.p12", "canary", ["its key is no RSA key", ""]),
        ("no-key.p12", "canary", ["there is no private key in it", ""]),
        ("no-certificate.p12", "canary", ["there is no certificate in it", ""]),
    ] {
        let file = files.file(name);
        let said = home.refused(&[&with(&file)[..], &[(PASSWORD, used)]].concat(), &["canary"]);
        for part in parts.into_iter().chain(["no credentials for Azure Key Vault", &file, "hint: "])
        {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(home.cloud.asked().is_empty());
    }
}

#[test]
fn what_holds_no_certificate_with_its_key_is_told() {
    let Some((files, mut home)) = start() else { return };
    files.openssl(
        "pkcs12 -export -in @own.crt -inkey @own.key -nomac -passout pass:canary -out @own.p12",
    );
    files.openssl("pkcs8 -topk8 -in @own.key -passout pass:canary -out @new.key");
    files.openssl("rsa -in @own.key -traditional -aes128 -passout pass:canary -out @old.key");
    files.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out @ec.key");
    fs::write(files.file("torn.pem"), "-----BEGIN CERTIFICATE-----\ncanary%%%\n").unwrap();
    fs::write(files.file("no pem"), "canary-in-no-pem").unwrap();
    let body = fs::read_to_string(files.file("own.key")).unwrap();
    let body = body.lines().nth(3).unwrap();
    let locked = files.join("locked.pem", &["own.crt", "new.key"]);
    for (pem, expected) in [
        (files.file("gone.pem"), "No such file"),
        (files.file("own.p12"), "not protected in a way that is known here; `openssl pkcs12"),
        (locked.clone(), "its key is encrypted; `openssl pkey"),
        (files.join("old.pem", &["own.crt", "old.key"]), "its key is encrypted; `openssl pkey"),
        (files.file("own.key"), "there is no certificate in it"),
        (files.file("own.crt"), "there is no private key in it"),
        (files.file("no pem"), "there is no private key in it"),
        (files.file("torn.pem"), "it is not PEM"),
        (files.join("ec.pem", &["ec.key", "own.crt"]), "its key is no RSA key"),
        (files.join("both.pem", &["own.key", "other.key"]), "several private keys"),
        (files.join("mismatch.pem", &["own.key", "other.crt"]), "none of its certificates is of"),
    ] {
        let said = home.refused(&with(&pem), &["canary", body]);
        for part in ["no credentials for Azure Key Vault", &pem, expected, "hint: "] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(home.cloud.asked().is_empty());
    }
    // What it says to do does it.
    for (pem, count) in [(locked, 2), (files.file("own.p12"), 1)] {
        let said = home.refused(&with(&pem), &[]);
        let commands = said.split('`').filter(|part| part.starts_with("openssl "));
        let commands: Vec<&str> = commands.collect();
        assert_eq!(commands.len(), count, "{said}");
        for command in commands {
            let command = command.replace("NEW.pem", &files.file("new.pem"));
            let command = command.replace("-in", "-passin pass:canary -in");
            assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
        }
        home.opens(&with(&files.file("new.pem")));
    }
}

/// Why an assertion is not taken, if it is not.
fn refusal(assertion: &str, asked: &Asked, form: &str, known: &Known) -> Option<&'static str> {
    let parts: Vec<&str> = assertion.split('.').collect();
    let [head, body, signature] = parts.as_slice() else { return Some("parts") };
    let digest = Sha256::digest(format!("{head}.{body}"));
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    // ADFS knows an older way.
    let adfs = asked.way.starts_with("/adfs/");
    let fits = if adfs {
        known.public.verify(Pkcs1v15Sign::new::<Sha256>(), &digest, &signature)
    } else {
        known.public.verify(Pss::new::<Sha256>(), &digest, &signature)
    };
    if fits.is_err() {
        return Some("signature");
    }
    let head: Value =
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap();
    // sops writes it with the other alphabet.
    let (alg, name, way) = if adfs {
        ("RS256", "x5t", "/adfs/oauth2/token")
    } else {
        ("PS256", "x5t#S256", "/tenant-1/oauth2/v2.0/token")
    };
    let print = head[name].as_str().unwrap().replace('+', "-").replace('/', "_");
    let print = BASE64_URL_SAFE_NO_PAD.decode(print.trim_end_matches('=')).unwrap();
    let known_print =
        if adfs { Sha1::digest(&known.der).to_vec() } else { known.thumbprint.clone() };
    if head["alg"] != alg || head["typ"] != "JWT" || print != known_print {
        return Some("header");
    }
    let first = head["x5c"][0].as_str().map(|one| BASE64_STANDARD.decode(one).unwrap());
    if first.is_some_and(|one| one != known.der) {
        return Some("chain");
    }
    let body: Value =
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let [begin, end] = ["nbf", "exp"].map(|name| body[name].as_u64().unwrap());
    let good = body["aud"] == format!("https://login.microsoftonline.com{way}")
        && body["iss"] == "client-1"
        && body["sub"] == "client-1"
        && body["jti"].as_str().unwrap().len() >= 32
        && (now - 30..=now).contains(&begin)
        && end == begin + 600;
    let form = [
        "grant_type=client_credentials",
        "client_id=client-1",
        "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer",
        "scope=https%3A%2F%2Fvault.azure.net%2F.default",
    ]
    .iter()
    .all(|part| form.contains(part));
    let good = good && form && asked.way == way;
    (!good).then_some("claims")
}

fn part(asked: &Asked, number: usize) -> Value {
    let form = String::from_utf8_lossy(&asked.body);
    let assertion = form.split("client_assertion=").nth(1).unwrap();
    let part = assertion.split('&').next().unwrap().split('.').nth(number).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn claims(asked: &Asked) -> Value {
    part(asked, 1)
}

/// The certificates that are sent.
fn chain(asked: &Asked) -> Vec<Vec<u8>> {
    let head = part(asked, 0);
    let all = head["x5c"].as_array().cloned().unwrap_or_default();
    all.iter().map(|one| BASE64_STANDARD.decode(one.as_str().unwrap()).unwrap()).collect()
}

/// `… Fingerprint=AA:BB`
fn hash_in(line: &str) -> Vec<u8> {
    let (_, pairs) = line.trim().split_once('=').unwrap();
    pairs.split(':').map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn der_of(file: &str) -> Vec<u8> {
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("-----"));
    BASE64_STANDARD.decode(lines.collect::<String>()).unwrap()
}
