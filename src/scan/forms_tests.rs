//! Made-up secrets in the forms of a leak, written by other programs' code than ours where there is
//! some: all are found, at any place. Decoys are not, and text without order is no hit.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::form::Form;
use super::forms::Forms;
use super::matcher::{Hit, Matcher, What};
use super::needle::{Known, NeedleId, Needles};
use crate::plaintext::Plaintext;

fn needles(values: &[&str]) -> Needles {
    let known = |value: &&str| Known {
        file: "secret.age".to_owned(),
        key_path: String::new(),
        value: Plaintext::copy_of(value.as_bytes()),
    };
    Needles::of(values.iter().map(known).collect()).0
}

fn hits(needles: &Needles, text: &[u8]) -> Vec<Hit> {
    search(&Matcher::new(needles, false), text)
}

fn search(matcher: &Matcher, text: &[u8]) -> Vec<Hit> {
    let mut hits = Vec::new();
    matcher.searcher().whole(text, &mut |hit| hits.push(hit));
    hits
}

/// Every form that is a pure encoding, by code that is not of this room.
fn forms(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let json = serde_json::to_string(secret).unwrap();
    let ascii: String =
        json.chars().map(|c| if c.is_ascii() { c.to_string() } else { utf16_escape(c) }).collect();
    let slashes = json.replace('/', "\\/");
    let wide =
        |bytes: fn(u16) -> [u8; 2]| secret.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let hex = hex(secret);
    let colons: Vec<String> = secret.bytes().map(|byte| format!("{byte:02X}")).collect();
    let percent: String = secret.bytes().map(percent).collect();
    let xml = secret
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;");
    let nix = secret.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "\\${");
    let nix = nix.replace('\n', "\\n");
    let systemd = format!("Environment={}", json.replace('%', "%%"));
    let mut forms = vec![
        ("as it is", secret.as_bytes().to_vec()),
        ("JSON", json.clone().into_bytes()),
        ("JSON in JSON", serde_json::to_vec(&json).unwrap()),
        ("ASCII JSON", ascii.into_bytes()),
        ("JSON with slashes", slashes.into_bytes()),
        ("shell", shell_words::quote(secret).into_owned().into_bytes()),
        ("indented Nix", secret.replace("''", "'''").replace("${", "''${").into_bytes()),
        ("Nix", nix.into_bytes()),
        ("systemd", systemd.into_bytes()),
        ("XML", xml.clone().into_bytes()),
        ("HTML", xml.replace('\'', "&#39;").into_bytes()),
        ("percent", percent.clone().into_bytes()),
        ("lower percent", lower_percent(&percent).into_bytes()),
        ("form", percent.replace("%20", "+").into_bytes()),
        ("UTF-16LE", wide(u16::to_le_bytes)),
        ("UTF-16BE", wide(u16::to_be_bytes)),
        ("hex", hex.clone().into_bytes()),
        ("upper hex", hex.to_uppercase().into_bytes()),
        ("hex with colons", colons.join(":").into_bytes()),
        ("lower hex with colons", colons.join(":").to_lowercase().into_bytes()),
    ];
    for before in ["", "u", "us", "use"] {
        for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
            let line = engine.encode(format!("{before}{secret}\nand more"));
            forms.push(("Base64", line.clone().into_bytes()));
            let encoded = serde_json::to_string(&line).unwrap();
            forms.push(("Base64 in JSON", encoded.into_bytes()));
        }
    }
    for before in (0..76).step_by(5) {
        let text = format!("{}{secret}{}", "#".repeat(before), "-".repeat(60));
        let line = STANDARD.encode(text);
        for width in [60, 64, 70, 76] {
            for gap in ["\n", "\r\n", "\n      ", "\\n", "\\\\n", " ", "&#10;", "%0A"] {
                let lines: Vec<&str> = line
                    .as_bytes()
                    .chunks(width)
                    .map(|chunk| std::str::from_utf8(chunk).unwrap())
                    .collect();
                forms.push(("Base64 in lines", lines.join(gap).into_bytes()));
            }
        }
    }
    forms
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn utf16_escape(character: char) -> String {
    let units = character.encode_utf16(&mut [0; 2]).to_vec();
    units.iter().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat()
}

fn percent(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

fn lower_percent(text: &str) -> String {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        out.push('%');
        out.push_str(&digits.to_lowercase());
        out.push_str(rest);
    }
    out
}

#[test]
fn every_form_of_every_kind_of_secret() {
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/keys/openssh.ed25519");
    let key = std::fs::read_to_string(key).unwrap();
    for secret in [
        "ghx_q7Rk2mVw9ZtB4nXc8LdP3sHy6JfA1gUe5oTi",
        "q7Rk2mVw9ZtB",
        "p&\"4s\\s<w>'0%r$ {d}+/=~`!",
        "it''s ${mine} $HOME%h",
        "gr\u{fc}ne \u{d6}tter \u{1f511} qu\u{e4}ken",
        "first l1ne of F0ur\n  and \"the\" second\\\n\tthird; #7",
        key.trim_end(),
    ] {
        let matcher = Matcher::new(&needles(&[secret]), false);
        for (form, written) in forms(secret) {
            let mut text = b"some text = ".to_vec();
            text.extend_from_slice(&written);
            text.extend_from_slice(b"; more\n");
            let found = search(&matcher, &text);
            let written = String::from_utf8_lossy(&written);
            // armor is Base64 already: in hex and in itself only the text of its lines is met
            let nested = secret.starts_with("-----")
                && (form.contains("hex") || form.contains("Base64") || form.contains("UTF"));
            assert!(nested || !found.is_empty(), "{form} of {secret}: {written}");
        }
    }
}

#[test]
fn names_forms_as_they_are() {
    let secret = "p&\"4s\\s<w>'0%r$ {d}";
    let needles = needles(&[secret]);
    for (text, form) in [
        (secret.to_owned(), Form::Raw),
        (format!("(\"{}\")", secret.replace('\\', "\\\\").replace('"', "\\\"")), Form::Aterm),
        (STANDARD.encode(secret), Form::Base64),
        (hex(secret), Form::Hex),
        (secret.bytes().map(percent).collect(), Form::Percent),
    ] {
        let found: Vec<Form> = hits(&needles, text.as_bytes()).iter().map(|hit| hit.form).collect();
        assert_eq!(found, [form], "{text}");
    }
}

#[test]
fn one_secret_inside_of_another_is_found_too() {
    let needles = needles(&["q7Rk2mVw9ZtB4nXc8LdP3sHy", "w9ZtB4nXc8LdP3"]);
    let found: Vec<What> =
        hits(&needles, b"=q7Rk2mVw9ZtB4nXc8LdP3sHy=").iter().map(|hit| hit.what).collect();
    assert_eq!(found.len(), 2);
    assert!(
        found.contains(&What::Needle(NeedleId(0))) && found.contains(&What::Needle(NeedleId(1)))
    );
}

#[test]
fn the_same_value_is_one_needle_with_all_its_origins() {
    let needles = needles(&["q7Rk2mVw9ZtB4nXc", "other q7Rk2mVw9ZtB4", "q7Rk2mVw9ZtB4nXc\n"]);
    assert_eq!(needles.len(), 2);
    let known = ["a.age", "b.age"].map(|file| Known {
        file: file.to_owned(),
        key_path: "x".to_owned(),
        value: Plaintext::copy_of(b"q7Rk2mVw9ZtB4nXc"),
    });
    let (needles, _) = Needles::of(known.into());
    let files: Vec<&str> =
        needles.origins(NeedleId(0)).iter().map(|origin| origin.file.as_str()).collect();
    assert_eq!(files, ["a.age", "b.age"]);
}

#[test]
fn weak_values_are_whole_words_only() {
    let needles = needles(&["k8Jq2z"]);
    let count = |text: &str| hits(&needles, text.as_bytes()).iter().filter(|hit| hit.weak).count();
    for text in [
        "k8Jq2z",
        "pass=k8Jq2z;",
        "\"k8Jq2z\"",
        "a\\nk8Jq2z\\n",
        "k8Jq2z.",
        "azhKcTJ6",
        "ok:azhKcTJ6\n",
    ] {
        assert!(count(text) == 1 || text.contains("azh"), "{text}");
    }
    assert_eq!(count(&format!("data: {}", STANDARD.encode("k8Jq2z"))), 1);
    for text in ["ak8Jq2z", "k8Jq2z1", "k8Jq2z_x", "x-k8Jq2z", "k8Jq2\u{e4}z"] {
        assert_eq!(count(text), 0, "{text}");
    }
}

#[test]
fn decoys_are_no_hits() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/keys/");
    let file = |name: &str| std::fs::read_to_string(format!("{folder}{name}")).unwrap();
    let key = file("openssh.ed25519");
    let other = file("openssh.encrypted");
    let values =
        [key.as_str(), "changeme", "postgres", "true", &file("ec.pkcs8.pem"), &file("age.txt")];
    let needles = needles(&values);
    let first_line = other.lines().nth(1).unwrap();
    for decoy in [
        file("openssh.ed25519.pub"),
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{first_line}\n"),
        file("certificate.pem"),
        "password = changeme; user = postgres; enable = true;".to_owned(),
        file("age.txt").lines().nth(1).unwrap().to_owned(),
        "sha256-yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=".to_owned(),
    ] {
        assert_eq!(hits(&needles, decoy.as_bytes()), [], "{decoy}");
    }
}

/// What is searched for one value.
fn patterns(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Forms::default();
    forms.add(value, 0, false);
    forms.patterns().iter().map(|pattern| forms.bytes(pattern).to_vec()).collect()
}

fn assert_written(secret: &str, written: &[(&str, &str)]) {
    let patterns = patterns(secret.as_bytes());
    for (writer, text) in written {
        assert!(patterns.iter().any(|it| it == text.as_bytes()), "{writer}: {text}");
        let text = format!("x=\"{text}\"");
        assert!(!hits(&needles(&[secret]), text.as_bytes()).is_empty(), "{text}");
    }
}

#[test]
fn xml_with_numbers_for_its_own_characters() {
    assert_written(
        "p<3&xY7\"Kq2mZw8Lr",
        &[
            ("decimal", "p&#60;3&#38;xY7&#34;Kq2mZw8Lr"),
            ("hexadecimal", "p&#x3c;3&#x26;xY7&#x22;Kq2mZw8Lr"),
            ("upper hexadecimal", "p&#x3C;3&#x26;xY7&#x22;Kq2mZw8Lr"),
        ],
    );
    assert_written(
        "a+b=c`d'e/f>g \u{e4}Kq2mZw",
        &[
            ("html/template", "a&#43;b=c`d&#39;e/f&gt;g \u{e4}Kq2mZw"),
            ("html/template, no quotes", "a&#43;b&#61;c&#96;d&#39;e/f&gt;g&#32;\u{e4}Kq2mZw"),
            ("askama", "a+b=c`d&#39;e/f&#62;g \u{e4}Kq2mZw"),
            ("he", "a+b=c&#x60;d&#x27;e/f&#x3E;g &#xE4;Kq2mZw"),
            (".NET", "a&#x2B;b=c`d&#x27;e/f&gt;g &#xE4;Kq2mZw"),
            ("mustache", "a+b&#x3D;c&#x60;d&#39;e&#x2F;f&gt;g \u{e4}Kq2mZw"),
            ("Handlebars", "a+b&#x3D;c&#x60;d&#x27;e/f&gt;g \u{e4}Kq2mZw"),
            ("ESAPI", "a&#x2b;b&#x3d;c&#x60;d&#x27;e&#x2f;f&#x3e;g &#xe4;Kq2mZw"),
        ],
    );
}

#[test]
fn html_with_names_for_letters_of_latin_1() {
    assert_written(
        "Gr\u{f6}\u{df}e \u{c4}ther & \u{e9}t\u{e9} \u{a0}\u{ff}\u{20ac}",
        &[(
            "PHP, Commons",
            "Gr&ouml;&szlig;e &Auml;ther &amp; &eacute;t&eacute; &nbsp;&yuml;\u{20ac}",
        )],
    );
}

#[test]
fn doubled_quotes_of_yaml_sql_and_csv() {
    assert_written(
        "it's 'Kq2mZw8Lr\"x",
        &[("YAML, SQL", "it''s ''Kq2mZw8Lr\"x"), ("CSV", "it's 'Kq2mZw8Lr\"\"x")],
    );
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what bash writes is compared with ours")]
fn a_shell_word_as_the_real_bash_writes_it() {
    let mut values: Vec<String> = (' '..='~')
        .flat_map(|it| ["", "a", "=", ":", "a="].map(|before| format!("{before}{it}b{it}")))
        .collect();
    values.push((' '..='~').collect());
    values.push("#\u{e4}\u{20ac}~ b".to_owned());
    values.push("a\tb\n\r\u{7}\u{8}\u{b}\u{c}\u{1b}\u{1}\u{7f} '\\\"?\u{e4}\u{20ac}".to_owned());
    for locale in ["C", "C.UTF-8"] {
        let bash = std::process::Command::new("bash")
            .args(["-c", "printf '%q\\n' \"$@\"", "bash"])
            .args(&values)
            .env("LC_ALL", locale)
            .output()
            .unwrap();
        assert!(bash.status.success());
        let lines: Vec<&[u8]> = bash.stdout.trim_ascii_end().split(|it| *it == b'\n').collect();
        assert_eq!(lines.len(), values.len());
        for (value, line) in values.iter().zip(lines) {
            let inside = line.strip_prefix(b"$'").and_then(|it| it.strip_suffix(b"'"));
            let line = inside.unwrap_or(line);
            let written = String::from_utf8_lossy(line);
            assert!(patterns(value.as_bytes()).iter().any(|it| it == line), "{value:?}: {written}");
        }
    }
}

#[test]
fn shell_words_of_zsh_and_ruby() {
    assert_written("~a=~b:~c#!Kq2mZw", &[("zsh", "\\~a=~b:~c\\#!Kq2mZw")]);
    assert_written("a=b%~c \u{e4},Kq2mZw", &[("Ruby", "a\\=b\\%\\~c\\ \\\u{e4},Kq2mZw")]);
}

/// Hexadecimal as `xxd -p` and `openssl -text` break it into lines.
fn hex_lines(bytes: &[u8], colons: bool, upper: bool) -> String {
    let digits = |it: &u8| if upper { format!("{it:02X}") } else { format!("{it:02x}") };
    let digits: Vec<String> = bytes.iter().map(digits).collect();
    if colons {
        let lines: Vec<String> = digits.chunks(15).map(|line| line.join(":")).collect();
        format!("    {}\n", lines.join(":\n    "))
    } else {
        let lines: Vec<String> = digits.chunks(30).map(<[String]>::concat).collect();
        format!("{}\n", lines.join("\n"))
    }
}

#[test]
fn hexadecimal_of_a_key_in_lines() {
    for key in ["ed25519.pkcs8.pem", "ec.pkcs8.pem", "rsa.pkcs8.pem", "openssh.rsa"] {
        let key = format!("{}/testdata/keys/{key}", env!("CARGO_MANIFEST_DIR"));
        let needles = needles(&[&std::fs::read_to_string(key).unwrap()]);
        let matcher = Matcher::new(&needles, false);
        let units = (0..).map_while(|unit| needles.forms.unit(unit));
        let parts: Vec<_> =
            units.filter(|it| std::str::from_utf8(needles.forms.value(it)).is_err()).collect();
        assert!(!parts.is_empty());
        for unit in parts {
            let value = needles.forms.value(unit);
            for before in 0..30 {
                for (colons, upper) in [(true, false), (true, true), (false, false), (false, true)]
                {
                    let all = [&vec![0xa5; before], value, &[0xa5; 9]].concat();
                    let text = hex_lines(&all, colons, upper);
                    let found = search(&matcher, text.as_bytes());
                    let form = if colons { Form::HexColon } else { Form::Hex };
                    let what = What::Needle(NeedleId(unit.needle));
                    assert!(found.iter().any(|it| it.what == what && it.form == form), "{text}");
                    // one other bit is another value
                    let mut other = all;
                    other[before] ^= 1;
                    let text = hex_lines(&other, colons, upper);
                    assert_eq!(search(&matcher, text.as_bytes()), [], "{text}");
                }
            }
        }
    }
}

#[test]
fn hexadecimal_of_a_long_text_in_lines_of_xxd() {
    let secret = "q7Rk2mVw9ZtB4nXc8LdP3sHy6JfA1gUe5oTiXw0Vb";
    for length in [24, 31, 41] {
        let matcher = Matcher::new(&needles(&[&secret[..length]]), false);
        for before in 0..30 {
            let text = format!("{}{}#", "#".repeat(before), &secret[..length]);
            let text = hex_lines(text.as_bytes(), false, false);
            assert_eq!(search(&matcher, text.as_bytes()).len(), 1, "{text}");
        }
    }
}

#[test]
fn letters_and_digits_cost_few_patterns_and_none_is_short() {
    for (length, most) in [(20, 13), (24, 14), (35, 14), (36, 17), (44, 17)] {
        let value = &b"q7Rk2mVw9ZtB4nXc8LdP3sHy6JfA1gUe5oTiXw0Vb2Nc"[..length];
        let patterns = patterns(value);
        assert!(patterns.len() <= most, "{length}: {}", patterns.len());
        assert!(patterns.iter().all(|pattern| pattern.len() >= 13), "{length}");
    }
    let key: Vec<u8> = (0..16).map(|it| it * 15 + 7).collect();
    assert!(patterns(&key).iter().all(|pattern| pattern.len() >= 10));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_secret_in_any_form_is_found(
        secret in "[!-~]{12,40}|[a-zA-Z0-9]{16,64}|[a-z\u{e4}\u{f6}\u{fc} ]{24,40}",
        before in "[ -~\n]{0,200}",
    ) {
        let needles = needles(&[&secret]);
        // what is a name, a comment or a word by chance is not looked for
        prop_assume!(!needles.is_empty());
        prop_assume!(needles.forms.value(needles.forms.unit(0).unwrap()) == secret.trim().as_bytes());
        let matcher = Matcher::new(&needles, false);
        for (form, written) in forms(secret.trim()) {
            let mut text = before.clone().into_bytes();
            text.push(b'\n');
            text.extend_from_slice(&written);
            text.push(b'\n');
            prop_assert!(!search(&matcher, &text).is_empty(), "{} of {}", form, secret);
        }
    }

    #[test]
    fn text_without_order_is_no_hit(text in prop::collection::vec(any::<u8>(), 0..20_000)) {
        let needles = needles(&["q7Rk2mVw9ZtB4nXc", "p&\"4s\\s<w>'0%r$ {d}", "k8Jq2z"]);
        prop_assert_eq!(hits(&needles, &text), []);
    }
}

/// What is easy to guess is told in texts only, of which every form stands in every file by chance.
#[test]
fn weak_values_are_looked_for_in_texts_only() {
    let needles = needles(&["k8Jq2z"]);
    let count = |text: &[u8]| hits(&needles, text).len();
    let long = [b"x ".repeat(300).as_slice(), b"k8Jq2z", &b" x".repeat(300)].concat();
    assert_eq!(count(&long), 1);
    for (before, behind) in [(63, 63), (0, 64), (64, 0)] {
        let inside = |stray: &[u8]| {
            [stray, &b" ".repeat(before), b"k8Jq2z", &b" ".repeat(behind), stray].concat()
        };
        let expected = |close: usize| usize::from(close < 2);
        let close = usize::from(before < 64) + usize::from(behind < 64);
        for stray in [b"\0".as_slice(), b"\x01", b"\x7f"] {
            assert_eq!(count(&inside(stray)), expected(close), "{before} {behind} {stray:?}");
        }
        assert_eq!(count(&inside(b"\x1b")), 1, "what a terminal prints is a text");
    }
    // an object of git: a head that ends with a zero
    assert_eq!(count(b"blob 7\0k8Jq2z\n"), 1);
    // a string of a program
    assert_eq!(count(b"\x7fELF\x02\x01\x01\0\0\0usage\0k8Jq2z\0no such file\0"), 0);
    for order in [u16::to_le_bytes, u16::to_be_bytes] {
        let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(order).collect() };
        assert_ne!(count(&wide("a text with k8Jq2z in it")), 0);
        assert_eq!(count(&wide("\0\0k8Jq2z\0\0\0")), 0);
        assert_eq!(count(&wide("\u{1}a\u{2} k8Jq2z b\u{e123}\u{3}")), 0);
    }
    for form in ["azhKcTJ6", "6b384a71327a"] {
        assert_eq!(count(format!("a {form} b").as_bytes()), 1, "{form}");
        assert_eq!(count(format!("\0\0{form}\0\0").as_bytes()), 0, "{form}");
    }
}
