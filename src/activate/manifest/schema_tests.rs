//! The schema of those parts of a manifest that read themselves; that of the others is derived.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::types::{AbsolutePath, FileMode, IdentityPath, Key, Owner, TargetPath, Unit, Version};

impl JsonSchema for Version {
    fn schema_name() -> Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "The version of this form.", "const": 1 })
    }
}

impl JsonSchema for Key {
    fn schema_name() -> Cow<'static, str> {
        "Key".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The way to one value, at least one step.",
            "type": "array", "items": { "type": "string" }, "minItems": 1,
        })
    }
}

impl JsonSchema for FileMode {
    fn schema_name() -> Cow<'static, str> {
        "FileMode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Permissions: three octal digits, with a 0 before them or not.",
            "type": "string", "pattern": "^0?[0-7]{3}$",
        })
    }
}

impl JsonSchema for Owner {
    fn schema_name() -> Cow<'static, str> {
        "Owner".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A user or group, by its name or number.",
            "anyOf": [
                { "type": "integer", "minimum": 0, "maximum": u32::MAX - 1 },
                { "type": "string", "pattern": "^[^-:/,][^:/,]*$", "maxLength": 256 },
            ],
        })
    }
}

impl JsonSchema for AbsolutePath {
    fn schema_name() -> Cow<'static, str> {
        "AbsolutePath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An absolute path without `.` and `..`.",
            "type": "string", "pattern": "^/.",
        })
    }
}

impl JsonSchema for IdentityPath {
    fn schema_name() -> Cow<'static, str> {
        "IdentityPath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An absolute path outside of the Nix store.",
            "type": "string", "pattern": "^/.", "not": { "pattern": "^/nix/store/" },
        })
    }
}

impl JsonSchema for TargetPath {
    fn schema_name() -> Cow<'static, str> {
        "TargetPath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An absolute path outside of the Nix store; in mode `user` it may begin \
                            with `%r`.",
            "type": "string", "pattern": "^(/.|%r/)", "not": { "pattern": "^/nix/store/" },
        })
    }
}

impl JsonSchema for Unit {
    fn schema_name() -> Cow<'static, str> {
        "Unit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The name of a unit with its ending.",
            "type": "string", "pattern": "^[A-Za-z0-9:_.\\\\@][A-Za-z0-9:_.\\\\@-]*\\.[a-z]+$",
        })
    }
}
