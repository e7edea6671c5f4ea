//! Evaluates a `secrets.nix` so that all it reads is known, and remembers the result for as long
//! as all of that is the same.
//!
//! The file is evaluated with `builtins` of our own: what is pure is Nix's; what reads files tells
//! the hash of what it read (see [`Reads`]); everything else (the environment, the time, `<…>`,
//! fetches, the store) ends the evaluation, which then is made anew as ever and not remembered.
//! This is about what is known, not about safety: rules are code of whoever writes them, and they
//! get no answer here that they would not get there.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::fsx::read_limited;
use crate::place::Place;

use super::cache::{Slot, State};
use super::nix;
use super::reads::Reads;

/// What takes longer is left to the evaluation that remembers nothing: here a file that is
/// imported twice is evaluated twice.
const TIME_LIMIT: Duration = Duration::from_secs(20);
const TEXT_LIMIT: usize = 16 << 20;

/// Words of a `secrets.nix` for which there is no need to try. What is missing here costs time.
const HOPELESS: [&str; 7] = [
    "<nixpkgs",
    "builtins.currentSystem",
    "builtins.currentTime",
    "builtins.fetch",
    "builtins.getEnv",
    "builtins.getFlake",
    "fetchTarball",
];

/// `import` in the place of Nix's. Only what is listed as pure is let through, so that what a later
/// Nix brings is refused until it is known.
const IMPORT: &str = r#"
let
  pure = [
    "abort" "add" "addErrorContext" "all" "any" "appendContext" "attrNames" "attrValues"
    "baseNameOf" "bitAnd" "bitOr" "bitXor" "catAttrs" "ceil" "compareVersions" "concatLists"
    "concatMap" "concatStringsSep" "convertHash" "deepSeq" "dirOf" "div" "elem" "elemAt" "false"
    "filter" "floor" "foldl'" "fromJSON" "fromTOML" "functionArgs" "genList" "genericClosure"
    "getAttr" "getContext" "groupBy" "hasAttr" "hasContext" "hashString" "head" "intersectAttrs"
    "isAttrs" "isBool" "isFloat" "isFunction" "isInt" "isList" "isNull" "isPath" "isString"
    "langVersion" "length" "lessThan" "listToAttrs" "map" "mapAttrs" "match" "mul" "nixVersion"
    "null" "parseDrvName" "partition" "removeAttrs" "replaceStrings" "seq" "sort" "split"
    "splitVersion" "stringLength" "sub" "substring" "tail" "throw" "toJSON" "toString" "trace"
    "true" "tryEval" "typeOf" "unsafeDiscardStringContext" "unsafeGetAttrPos" "warn"
    "zipAttrsWith"
  ];
  end = n: s: builtins.substring (builtins.stringLength s - n) n s;
  # Strings as Nix takes them for paths, where there are no two opinions on that.
  exact = p:
    if builtins.isPath p then p
    else if builtins.isString p && !(builtins.hasContext p) && builtins.substring 0 1 p == "/"
      && end 1 p != "/" && end 1 p != "."
    then /. + p
    else abort "secretctl: a path that is not known";
  note = what: path: seen: value:
    builtins.trace "secretctl-read ${builtins.toJSON [ what (toString path) seen ]}" value;
  hash = builtins.hashString "sha256";
  entries = d:
    builtins.concatStringsSep "/" (builtins.concatMap (n: [ n d.${n} ]) (builtins.attrNames d));
  reading = {
    import = p:
      let
        path = exact p;
        name = toString path;
        isFile = builtins.stringLength name > 4 && end 4 name == ".nix";
        file = if isFile then path else path + "/default.nix";
      in note "file" file (builtins.hashFile "sha256" file) (builtins.scopedImport scope path);
    readFile = p:
      let path = exact p; text = builtins.readFile path;
      in note "file" path (hash text) text;
    readDir = p:
      let path = exact p; found = builtins.readDir path;
      in note "folder" path (hash (entries found)) found;
    pathExists = p:
      let path = exact p; exists = builtins.pathExists path;
      in note "exists" path (if exists then "yes" else "no") exists;
  };
  refused = builtins.mapAttrs (name: _: abort "secretctl: ${name} is not remembered") builtins;
  named = names: f: builtins.listToAttrs (map (name: { inherit name; value = f name; }) names);
  let-through = builtins.intersectAttrs (named pure (_: null)) builtins;
  known = refused // let-through // reading // { builtins = known; };
  hidden = builtins.listToAttrs (
    map (name: { name = "__${name}"; value = known.${name}; }) (builtins.attrNames known)
  );
  bare = builtins.intersectAttrs (named [
    "builtins" "derivation" "derivationStrict" "fetchGit" "fetchMercurial" "fetchTarball"
    "fetchTree" "fetchurl" "import" "scopedImport"
  ] (_: null)) known;
  scope = hidden // bare;
in reading.import
"#;

/// The place for what one file evaluates to.
#[derive(Debug)]
pub(super) struct Memory {
    file: PathBuf,
    slot: Slot,
    state: String,
}

/// What is kept.
#[derive(Serialize, Deserialize)]
struct Entry<T> {
    state: String,
    reads: Reads,
    answer: T,
}

impl Memory {
    /// For a rules file, evaluated with `expression`; `None` where nothing may be remembered.
    pub(super) fn of(
        file: &Path,
        expression: &str,
        options: &[String],
        cache: Option<&Path>,
    ) -> Option<Self> {
        if !options.is_empty() {
            return None;
        }
        let slot = Slot::new(cache?, "agenix", file)?;
        let mut state = State::new();
        state.part(b"file", file.as_os_str().as_encoded_bytes());
        state.part(b"expression", expression.as_bytes());
        state.part(b"import", IMPORT.as_bytes());
        state.nix(OsStr::new("nix-instantiate"))?;
        state.environment();
        Some(Self { file: file.to_owned(), slot, state: state.end() })
    }

    /// What was kept, if all that it was made from is the same.
    pub(super) fn recall<T: DeserializeOwned>(&self) -> Option<T> {
        let entry: Entry<T> = self.slot.read()?;
        (entry.state == self.state && entry.reads.still_hold()).then_some(entry.answer)
    }

    /// Evaluates the file, with what it has read where that is certain.
    pub(super) fn evaluate<T: DeserializeOwned>(
        &self,
        expression: &str,
        arguments: &[(&str, &OsStr)],
    ) -> Option<(T, Option<Reads>)> {
        let text = read_limited(&self.file, TEXT_LIMIT).ok()?;
        let text = String::from_utf8_lossy(&text);
        if HOPELESS.iter().any(|word| text.contains(word)) {
            return None;
        }
        let place = Place::file(&self.file);
        let expression = format!("let import = {IMPORT}; in {expression}");
        let mut before = Reads::of_file(&self.file)?;
        // Nix tells the content that it saw, but not which links led there: these must be the same
        // before and after.
        for _ in 0..2 {
            let (answer, said) = nix::trace(&expression, arguments, TIME_LIMIT, &place)?;
            let Some(reads) = Reads::of_trace(&said) else { return Some((answer, None)) };
            if !reads.names(&self.file) || !reads.still_hold() {
                return Some((answer, None));
            }
            if reads.has_links_of(&before) {
                return Some((answer, Some(reads)));
            }
            before = reads;
        }
        None
    }

    /// Keeps an answer. That it cannot be kept is no error.
    pub(super) fn keep<T: Serialize>(&self, answer: T, reads: Reads) {
        let _ = self.slot.write(&Entry { state: self.state.clone(), reads, answer });
    }
}
