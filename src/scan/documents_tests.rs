//! Documents of many kinds, written here with random values: each value is looked for by itself, and
//! nothing that was looked for as a whole is lost by a split.

use proptest::prelude::*;

use super::entropy::{self, Strength};
use super::needle::Why;
use super::split::parts;
use crate::plaintext::Plaintext;

fn split(text: &str) -> Vec<(String, Result<Vec<u8>, Why>)> {
    parts("", &Plaintext::copy_of(text.as_bytes()))
        .into_iter()
        .map(|part| (part.path, part.value.map(|value| value.expose().to_vec())))
        .collect()
}

fn values(text: &str) -> Vec<String> {
    let values = split(text).into_iter().filter_map(|(_, value)| value.ok());
    values.map(|value| String::from_utf8(value).unwrap()).collect()
}

fn assert_all(document: &str, wanted: &[String]) -> Result<(), TestCaseError> {
    let found = values(document);
    for value in wanted {
        prop_assert!(found.contains(value), "`{value}` of\n{document}\nin {found:?}");
    }
    Ok(())
}

/// A value as a generator of passwords makes it.
fn secret() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9][a-zA-Z0-9 !\"#$%&'()*+,.:;<=>?\\[\\\\\\]^_`{|}~\u{e9}-]{16,24}[a-zA-Z0-9]"
        .prop_filter("strong", |it| entropy::strength(it.as_bytes()) == Strength::Strong)
}

/// In quotes of TOML, as each of its habits has it.
fn quoted(value: &str, habit: usize) -> String {
    let mut out = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if habit == 1 && !c.is_ascii_alphanumeric() => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c if habit == 2 && !c.is_ascii() => out.push_str(&format!("\\U{:08X}", u32::from(c))),
            c => out.push(c),
        }
    }
    match habit {
        3 if !value.contains('\'') => format!("'{value}'"),
        4 if !value.contains("'''") => format!("'''\n{value}'''"),
        5 => format!("\"\"\"\n  {} \\\n  \"\"\"", out.get(1..).unwrap()),
        6 => format!("\"\"\"{}\"\"\"", out.get(1..).unwrap()),
        _ => out + "\"",
    }
}

/// Some values written as one entry of TOML.
fn toml_entry(number: usize, shape: usize, values: &[String], habit: usize) -> String {
    let one = |at: usize| quoted(values.get(at).unwrap(), habit);
    let short = |at: usize| quoted(values.get(at).unwrap(), habit % 4);
    match shape {
        0 => format!("key{number} = {}\nother{number} = {} # a comment\n", one(0), one(1)),
        1 => format!("list{number} = [{}, {}]\n", one(0), one(1)),
        2 => {
            format!("list{number} = [\n  # the first\n  {}, # \"it\"\n\n  {},\n]\n", one(0), one(1))
        }
        3 => format!("t{number} = {{ a.b = {}, \"c d\" = [1, {}], e = true }}\n", short(0), one(1)),
        4 => format!("a{number}.\"b.c\".d={}\n\"k = {number}\" = {}\n", one(0), one(1)),
        5 => format!("[table.{number}]\nx = 5\ny = {}\n[[list]] # more\nz = {}\n", one(0), one(1)),
        _ => format!(
            "n{number} = [ [{}], {{ k = [ {} ] }} ]\nat = 2026-01-02T03:04:05Z\n",
            one(0),
            one(1)
        ),
    }
}

/// In XML, with entities of each kind.
fn escaped(value: &str, habit: usize) -> String {
    let mut out = String::new();
    for c in value.chars() {
        match (habit % 4, c) {
            (0, '<') => out.push_str("&lt;"),
            (0, '>') => out.push_str("&gt;"),
            (0, '&') => out.push_str("&amp;"),
            (0, '"') => out.push_str("&quot;"),
            (0, '\'') => out.push_str("&apos;"),
            (1, c) if !c.is_ascii_alphanumeric() => out.push_str(&format!("&#{};", u32::from(c))),
            (2, c) if !c.is_ascii_alphanumeric() => {
                out.push_str(&format!("&#x{:X};", u32::from(c)));
            }
            (3, c) => out.push_str(&format!("&#{};", u32::from(c))),
            (_, c) => out.push(c),
        }
    }
    out
}

fn xml_entry(shape: usize, values: &[String], habit: usize) -> String {
    let one = |at: usize| escaped(values.get(at).unwrap(), habit);
    match shape {
        0 => format!(
            "  <user>gitea</user>\n  <password>{}</password>\n  <p>\n{}\n</p>\n",
            one(0),
            one(1)
        ),
        1 => format!("  <db password=\"{}\" n='1'/><db token = '{}' ></db>\n", one(0), one(1)),
        2 => format!(
            "<!-- a > comment --><a><![CDATA[{}]]></a><b c=\"{}\">1</b>",
            values.first().unwrap(),
            one(1)
        ),
        _ => format!(
            "<add key=\"Token\" value=\"{}\"/><property name=\"p\">{}</property>\n",
            one(0),
            one(1)
        ),
    }
}

fn plist_entry(values: &[String], habit: usize) -> String {
    let one = |at: usize| escaped(values.get(at).unwrap(), habit);
    format!(
        "<key>Password</key>\n<string>{}</string><key>l</key><array><string>{}</string></array>",
        one(0),
        one(1)
    )
}

fn entries(shapes: usize) -> impl Strategy<Value = Vec<(usize, usize, Vec<String>)>> {
    let entry = (0..shapes, 0_usize..7, prop::collection::vec(secret(), 2));
    prop::collection::vec(entry, 1..5)
}

fn user() -> impl Strategy<Value = String> {
    "[a-z_][a-z0-9._-]{0,12}(@example\\.org)?"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_value_of_toml_is_looked_for(entries in entries(7), strange in any::<bool>()) {
        let mut text = String::from("# settings\ntitle = \"x\"\n");
        let mut wanted = Vec::new();
        for (number, (shape, habit, values)) in entries.into_iter().enumerate() {
            text.push_str(&toml_entry(number, shape, &values, habit));
            wanted.extend(values);
        }
        if strange {
            text.push_str("a line that TOML has none of\n");
        }
        assert_all(&text, &wanted)?;
    }

    #[test]
    fn each_value_of_xml_is_looked_for(entries in entries(4), plist in any::<bool>()) {
        let mut text = String::from(if plist {
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n<dict>\n"
        } else {
            "<config xmlns=\"http://example.org/ns\">\n"
        });
        let mut wanted = Vec::new();
        for (shape, habit, values) in entries {
            let entry = if plist { plist_entry(&values, habit) } else { xml_entry(shape, &values, habit) };
            text.push_str(&entry);
            wanted.extend(values);
        }
        text.push_str(if plist { "</dict>\n</plist>\n" } else { "</config>\n" });
        assert_all(&text, &wanted)?;
    }

    #[test]
    fn each_password_behind_a_colon_is_looked_for(
        lines in prop::collection::vec((user(), secret().prop_filter("one", |it| it.matches(':').count() < 3)), 1..6),
        comment in any::<bool>(),
    ) {
        let mut text = String::from(if comment && lines.len() > 1 { "# users\n" } else { "" });
        for (user, password) in &lines {
            text.push_str(&format!("{user}:{password}\n"));
        }
        let wanted: Vec<String> = lines.into_iter().map(|(_, password)| password).collect();
        assert_all(&text, &wanted)?;
    }

    #[test]
    fn each_password_of_pgpass_is_looked_for(
        lines in prop::collection::vec((prop_oneof![Just("*"), Just("db.example.org"), Just("::1")], secret()), 1..6),
    ) {
        let escape = |text: &str| text.replace('\\', "\\\\").replace(':', "\\:");
        let mut text = String::new();
        for (host, password) in &lines {
            text.push_str(&format!("{}:5432:*:alice:{}\n", escape(host), escape(password)));
        }
        let wanted: Vec<String> = lines.into_iter().map(|(_, password)| password).collect();
        assert_all(&text, &wanted)?;
    }

    /// Each strong line is looked for, or a strong part of it.
    #[test]
    fn no_line_is_lost(
        lines in prop::collection::vec("[a-zA-Z0-9][a-zA-Z0-9:=<>\"'#,;\\[\\]{} .$-]{0,30}", 1..6),
        alone in any::<bool>(),
    ) {
        let mut text = lines.join("\n");
        if !alone {
            // no document of any kind
            text = format!("some words\n{text}\n");
        } else if lines.len() > 1 {
            return Ok(());
        }
        let found = values(&text);
        let strong = |text: &str| entropy::strength(text.as_bytes()) == Strength::Strong;
        for line in lines {
            let line = line.trim();
            if strong(line) && !super::names::is_name("", line) {
                let covered = |part: &String| strong(part) && line.contains(part.as_str());
                prop_assert!(found.iter().any(covered), "{line} in {found:?}");
            }
        }
    }
}

fn named(text: &str) -> Vec<(String, String)> {
    let value = |value: Vec<u8>| String::from_utf8(value).unwrap();
    split(text).into_iter().filter_map(|(path, it)| Some((path, value(it.ok()?)))).collect()
}

fn expect(text: &str, expected: &[(&str, &str)]) {
    let pair = |(path, value): &(&str, &str)| ((*path).to_owned(), (*value).to_owned());
    assert_eq!(named(text), expected.iter().map(pair).collect::<Vec<_>>(), "{text}");
}

#[test]
fn ways_lead_to_the_values() {
    expect(
        "[db]\nusers = [\n  { name = \"a\", password = 'q7Rk2mVw9Zt' },\n]\nx.y = \"Pw\\u0021q7Rk2m\"\n",
        &[
            ("users/name", "a"),
            ("users/password", "q7Rk2mVw9Zt"),
            ("x.y", "Pw!q7Rk2m"),
            ("x.y", "Pw\\u0021q7Rk2m"),
        ],
    );
    expect(
        "<c><user>me</user><db><password>q7Rk2mVw9&amp;Zt</password></db></c>",
        &[("password", "q7Rk2mVw9&Zt")],
    );
    expect(
        "<plist><dict><key>Pass</key><string>q7Rk2mVw9Zt</string></dict></plist>",
        &[("Pass", "q7Rk2mVw9Zt")],
    );
    expect(
        "[\"q7Rk2mVw9Zt\", 'a:q7Rk2mVw9Zt']",
        &[("", "q7Rk2mVw9Zt"), ("", "a:q7Rk2mVw9Zt"), ("password", "q7Rk2mVw9Zt")],
    );
    // a dotenv file with a text over lines and an empty value
    let env = "A=\nB=\"first line\nq7Rk2mVw9Zt\"\nC=\"q7Rk2mVw9Zu\" # c\n";
    let found = values(env);
    assert!(found.contains(&"q7Rk2mVw9Zt".to_owned()), "{found:?}");
    assert!(found.contains(&"q7Rk2mVw9Zu".to_owned()), "{found:?}");
}

#[test]
fn lines_of_users_and_passwords() {
    let hash = "$6$Ab3kQ9xT$q7Rk2mVw9ZtB4nXc8LdP3sHy6JfA1gUe5oTiq7Rk2mVw9ZtB4nXc8LdP3s";
    // the name may be a part of a secret, and stands in no report
    expect("alice:q7Rk2mVw9Zt\n", &[("", "alice:q7Rk2mVw9Zt"), ("password", "q7Rk2mVw9Zt")]);
    expect(
        "# users\nalice:q7Rk2mVw9Zt\nbob:hunter2-xq\n",
        &[
            ("line 2/password", "q7Rk2mVw9Zt"),
            ("line 3/password", "hunter2-xq"),
            ("line 3", "bob:hunter2-xq"),
        ],
    );
    expect(
        &format!("root:{hash}:19000:0:99999:7:::\nbob:{hash}\n"),
        &[("line 1/password", hash), ("line 2/password", hash)],
    );
    expect(
        "h:5432:db:me:q7Rk2m\\:Vw9Zt\n*:*:*:me:q7Rk2mVw9Zu\n",
        &[("line 1/password", "q7Rk2m:Vw9Zt"), ("line 2/password", "q7Rk2mVw9Zu")],
    );
    let named = parts("a/auth", &Plaintext::copy_of(b"admin:q7Rk2mVw9Zt"));
    let paths: Vec<&str> = named.iter().map(|part| part.path.as_str()).collect();
    assert_eq!(paths, ["a/auth", "a/auth/password"]);
}

#[test]
fn colons_that_are_of_something_else_split_nothing() {
    for text in [
        "C:\\Users\\q7Rk2mVw9Zt",
        "root:x:0:0:System administrator:/root:/bin/zsh",
        "sK7:: q7Rk2mVw9Zt",
        "12:30:00 q7Rk2mVw9Zt",
        "fe80::q7:Rk2m:Vw9Zt",
        "q7Rk2m Vw9Zt:q7Rk2mVw9Zt",
    ] {
        expect(text, &[("", text)]);
    }
    for text in ["2001:db8::8a2e:370:7334", "db.example.org:5432", "https://example.org:80/a"] {
        assert_eq!(split(text), [(String::new(), Err(Why::Name))], "{text}");
    }
}

/// What takes long to read is read in part only, and told as such or looked for in another way.
#[test]
fn no_document_takes_long() {
    let lists = format!("{}last = \"q7Rk2mVw9Zt\"\n", "a = [\n".repeat(15_000));
    assert!(values(&lists).contains(&"q7Rk2mVw9Zt".to_owned()));
    let mut nested = "q7Rk2mVw9Zt\n".to_owned();
    for _ in 0..40 {
        nested = format!("<a>\n{}</a>\n", escaped(&nested, 0));
    }
    assert!(!values(&nested).is_empty());
}
