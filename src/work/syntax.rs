//! Whether edited content is well formed, by the suffix of its name: JSON and YAML. Tells the
//! position only; what the parsers say may quote the content.

use std::ffi::OsStr;
use std::path::Path;

use granit_parser::Parser;

use crate::plaintext::Plaintext;

/// Line and column of the first error, `line 3, column 7`; `None` where there is none, or where
/// the name does not tell the syntax.
#[expect(clippy::disallowed_methods, reason = "the content is parsed, and only positions kept")]
pub fn error(name: &OsStr, content: &Plaintext) -> Option<String> {
    let suffix = Path::new(name).extension()?.to_str()?;
    let bytes = content.expose();
    match suffix {
        "json" => {
            let error = serde_json::from_slice::<serde::de::IgnoredAny>(bytes).err()?;
            Some(format!("line {}, column {}", error.line(), error.column()))
        }
        "yaml" | "yml" => {
            let text = std::str::from_utf8(bytes).ok()?;
            let error = Parser::new_from_str(text).find_map(Result::err)?;
            let (line, column) = (error.marker().line(), error.marker().col());
            Some(format!("line {line}, column {}", column.saturating_add(1)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_an_error_is_told_and_nothing_else() {
        let place =
            |name: &str, text: &str| error(OsStr::new(name), &Plaintext::copy_of(text.as_bytes()));
        assert_eq!(place("a.json", "{\"a\": canary}"), Some("line 1, column 7".to_owned()));
        assert_eq!(place("a.json", "{\"a\": 1}"), None);
        assert!(place("a.yaml", "a: [canary\nb: 1\n").is_some_and(|p| p.starts_with("line ")));
        assert_eq!(place("a.yaml", "a: [1]\n"), None);
        assert_eq!(place("a.txt", "{"), None);
    }
}
