//! The JSON schema that ragenix holds rules to, and the check by it.
//!
//! Follows JSON Schema as far as this one schema needs it.

use serde_json::{Map, Value};

/// What `ragenix --schema` prints, byte for byte.
pub(super) const TEXT: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "description": "Agenix secrets rules schema",
  "type": "object",
  "properties": {},
  "additionalProperties": {
    "type": "object",
    "description": "An age-encrypted file",
    "required": [
      "publicKeys"
    ],
    "properties": {
      "publicKeys": {
        "type": "array",
        "minItems": 1,
        "items": {
          "type": "string",
          "description": "An age-compatible recipient, e.g., an ed25519 SSH public key"
        },
        "uniqueItems": true
      }
    }
  }
}
"#;

/// Everything in which rules differ from the schema, a line each as ragenix prints them.
pub(super) fn violations(rules: &Value) -> Vec<String> {
    let Value::Object(rules) = rules else { return vec![line("", &wrong(rules, "object"))] };
    let mut lines = Vec::new();
    for (name, rule) in rules {
        let path = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        match rule.as_object() {
            Some(rule) => check_rule(&path, rule, &mut lines),
            None => lines.push(line(&path, &wrong(rule, "object"))),
        }
    }
    lines
}

fn check_rule(path: &str, rule: &Map<String, Value>, lines: &mut Vec<String>) {
    let Some(keys) = rule.get("publicKeys") else {
        return lines.push(line(path, "\"publicKeys\" is a required property"));
    };
    let path = format!("{path}/publicKeys");
    let Value::Array(items) = keys else {
        return lines.push(line(&path, &wrong(keys, "array")));
    };
    for (index, item) in items.iter().enumerate().filter(|(_, item)| !item.is_string()) {
        lines.push(line(&format!("{path}/{index}"), &wrong(item, "string")));
    }
    if items.is_empty() {
        lines.push(line(&path, &format!("{keys} has less than 1 item")));
    }
    let twice = |(index, item)| items.iter().take(index).any(|earlier| earlier == item);
    if items.iter().enumerate().any(twice) {
        lines.push(line(&path, &format!("{keys} has non-unique elements")));
    }
}

fn wrong(value: &Value, kind: &str) -> String {
    format!("{value} is not of type \"{kind}\"")
}

fn line(path: &str, what: &str) -> String {
    format!(" - {path}: {what}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_difference_is_named() {
        let rules = json!({
            "a.age": { "publicKeys": ["x"], "armor": true },
            "b.age": { "publicKeys": [] },
            "c.age": 1,
            "d.age": { "publicKeys": ["a", "a"] },
            "e.age": {},
            "f.age": { "publicKeys": [1, { "x": 1 }] },
            "g/h~.age": { "publicKeys": null },
        });
        assert_eq!(
            violations(&rules),
            [
                " - /b.age/publicKeys: [] has less than 1 item",
                " - /c.age: 1 is not of type \"object\"",
                " - /d.age/publicKeys: [\"a\",\"a\"] has non-unique elements",
                " - /e.age: \"publicKeys\" is a required property",
                " - /f.age/publicKeys/0: 1 is not of type \"string\"",
                " - /f.age/publicKeys/1: {\"x\":1} is not of type \"string\"",
                " - /g~1h~0.age/publicKeys: null is not of type \"array\"",
            ]
        );
        assert_eq!(violations(&json!([])), [" - : [] is not of type \"object\""]);
    }

    #[test]
    fn the_schema_says_what_is_checked() {
        let schema: Value = serde_json::from_str(TEXT).unwrap();
        let rule = schema.get("additionalProperties").unwrap();
        assert_eq!(rule.get("required").unwrap(), &json!(["publicKeys"]));
        let keys = rule.pointer("/properties/publicKeys").unwrap();
        assert_eq!(keys.get("minItems").unwrap(), &json!(1));
        assert_eq!(keys.get("uniqueItems").unwrap(), &json!(true));
    }
}
