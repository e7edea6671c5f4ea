//! What a `secrets.nix` is made of, as JSON: for front ends that judge its form by themselves.
//!
//! Reads only what rules are made of. Functions beside the rules, and attributes that cannot be
//! evaluated, are left out: whoever needs such an attribute hears of it when its rule is loaded.

use std::ffi::OsStr;
use std::path::Path;

use crate::place::Place;

use super::{RulesError, nix};

/// Paths become text, since as JSON Nix would copy what they lead to into the store.
const EXPRESSION: &str = r"
{ file }:
let
  value = import (/. + file);
  plain = v:
    if builtins.isFunction v then null
    else if builtins.isPath v then toString v
    else if builtins.isList v then map plain v
    else if builtins.isAttrs v && (v ? outPath || v ? __toString) then toString v
    else if builtins.isAttrs v then builtins.mapAttrs (name: plain) v
    else v;
  rule = v:
    if !(builtins.isAttrs v) then plain v
    else if v ? publicKeys then { publicKeys = plain v.publicKeys; }
    else { };
  tried = name:
    let
      outline = rule value.${name};
      result = builtins.tryEval (builtins.deepSeq outline outline);
    in
      if result.success && !(builtins.isFunction value.${name})
      then [ { inherit name; value = result.value; } ]
      else [ ];
in
if builtins.isAttrs value
then builtins.listToAttrs (builtins.concatLists (map tried (builtins.attrNames value)))
else plain value
";

/// The outline of the rules in `file`, an absolute path: for each attribute that is a set, a set
/// of its `publicKeys`; other values as they are.
///
/// # Errors
/// [`RulesError`] where Nix cannot be run, or the file as a whole cannot be evaluated.
pub fn outline(file: &Path, nix_options: &[String]) -> Result<serde_json::Value, RulesError> {
    let arguments: [(&str, &OsStr); 1] = [("file", file.as_os_str())];
    nix::evaluate(EXPRESSION, &arguments, nix_options, &Place::file(file))
}
