//! Templates: what is found in a text, and in which order.

use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn manifest() -> Manifest {
    let secret = |name: &str, store: &str| json!({ "name": name, "store": store, "file": "/x" });
    let text = json!({
        "version": 1,
        "stores": {
            "secrets": { "mountPoint": "/run/secrets.d", "link": "/run/secrets" },
            "other": { "mountPoint": "/run/other.d", "link": "/run/other" },
            "third": { "mountPoint": "/run/third.d", "link": "/run/third" },
        },
        "secrets": [
            secret("a", "secrets"), secret("a", "other"), secret("only", "other"),
            secret("two", "other"), secret("two", "third"),
        ],
        "placeholders": {
            "@x": { "store": "secrets", "secret": "a" },
            "@xy": { "store": "other", "secret": "only" },
        },
    });
    Manifest::parse(Path::new("m"), text.to_string().as_bytes(), None).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test looks at what it made")]
fn rendered(text: &str) -> Result<String, String> {
    let manifest = manifest();
    let values = [("secrets", "a", "A"), ("other", "a", "OTHER"), ("other", "only", "@x")];
    let values =
        values.map(|(store, name, value)| (store, name, Plaintext::copy_of(value.as_bytes())));
    let find = |store: &str, name: &Name| {
        let mut values = values.iter();
        values.find(|(of, one, _)| *of == store && *one == name.as_str()).map(|found| &found.2)
    };
    let parsed = Parsed::parse(text.as_bytes(), &manifest).map_err(|error| error.to_string())?;
    let rendered = parsed.render(find).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(rendered.expose().to_vec()).unwrap())
}

#[test]
fn placeholders_stand_for_secrets() {
    for (text, wanted) in [
        ("", ""),
        ("no placeholder <b> @", "no placeholder <b> @"),
        // The default store goes first, and the only one that has it otherwise.
        ("<secretctl:a>", "A"),
        ("<secretctl:only>", "@x"),
        // The longest that fits.
        ("@xy@x@", "@xA@"),
        ("<<secretctl:a|json>>\n", "<\"A\">\n"),
        ("<SOPS:not hexadecimal:PLACEHOLDER>", "<SOPS:not hexadecimal:PLACEHOLDER>"),
    ] {
        assert_eq!(rendered(text).as_deref(), Ok(wanted), "{text}");
    }
}

#[test]
fn what_stands_for_nothing_is_an_error() {
    let sops = format!("é <SOPS:{}:PLACEHOLDER>", "a0".repeat(32));
    for (text, wanted) in [
        ("<secretctl:none>", "there is no secret of this name"),
        ("<secretctl:two>", "several stores have a secret of this name"),
        ("<secretctl:a\n>", "does not end on its line"),
        ("<secretctl:a|>", "there is no filter ``"),
        (sops.as_str(), "line 1, column 3: the placeholder of `<SOPS:a0"),
    ] {
        let error = rendered(text).unwrap_err();
        assert!(error.contains(wanted), "{error}");
    }
}

proptest! {
    #[test]
    fn texts_without_placeholders_stay(text in "[a-z<>:@|\n]{0,40}") {
        if let Ok(out) = rendered(&text) {
            prop_assert!(text.contains("@x") || text.contains("<secretctl:") || out == text);
        }
    }
}
