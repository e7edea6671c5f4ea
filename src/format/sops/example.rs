//! What `sops edit` shows where there is no file yet: the example of sops, for its users know it.
//! Knows no key.

use super::store::{Layout, Store};
use crate::plaintext::Plaintext;

/// The document of a kind, printed as sops prints it.
pub fn example(store: Store, layout: &Layout) -> Plaintext {
    let text = match store {
        Store::Yaml => YAML,
        Store::Json => JSON,
        Store::Dotenv => DOTENV,
        Store::Ini => INI,
        Store::Binary => BINARY,
    };
    let text = Plaintext::copy_of(text.as_bytes());
    let tree = store.read_plain(&text);
    let printed = tree.ok().and_then(|tree| store.print(&tree, None, layout).ok());
    printed.unwrap_or(text)
}

const BINARY: &str = "Welcome to SOPS! Edit this file as you please!";

const YAML: &str = "\
hello: Welcome to SOPS! Edit this file as you please!
example_key: example_value
# Example comment
example_array:
    - example_value1
    - example_value2
example_number: 1234.56789
example_booleans:
    - true
    - false
";

const JSON: &str = r#"{
	"hello": "Welcome to SOPS! Edit this file as you please!",
	"example_key": "example_value",
	"example_array": [
		"example_value1",
		"example_value2"
	],
	"example_number": 1234.56789,
	"example_booleans": [
		true,
		false
	]
}
"#;

const DOTENV: &str = "\
# This is an example file.
hello=Welcome to SOPS! Edit this file as you please!
example_key=example_value
example_multiline=foo\\nbar\\nbaz
";

const INI: &str = "\
; This is an example file.
[Welcome!]
hello       = Welcome to SOPS! Edit this file as you please!
example_key = example_value
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_as_their_kind_prints_them() {
        for (store, text) in
            [(Store::Yaml, YAML), (Store::Json, JSON), (Store::Dotenv, DOTENV), (Store::Ini, INI)]
        {
            let printed = example(store, &Layout::default());
            assert!(printed.same_as(&Plaintext::copy_of(text.as_bytes())), "{store}");
        }
        let narrow = Layout { yaml_indent: 2, ..Layout::default() };
        let wide = example(Store::Yaml, &Layout::default());
        assert!(example(Store::Yaml, &narrow).len() < wide.len());
    }
}
