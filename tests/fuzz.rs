//! The fuzz targets compile, and hold on all that is in `testdata`, on damaged pieces of it, and on the
//! inputs in `fuzz/seeds`, among which is each that once made one fail. The fuzzer itself is not
//! needed: its macro is stood in for.

#![allow(
    unused_attributes,
    unused_imports,
    clippy::allow_attributes_without_reason,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise, and the targets are no part of this crate"
)]

extern crate self as libfuzzer_sys;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

/// What `libfuzzer_sys` makes of a target: here a function of any bytes.
macro_rules! fuzz_target {
    (|$data:ident: &[u8]| $body:block) => {
        pub(crate) fn fuzz($data: &[u8]) $body
    };
    (|$two:ident: (Vec<u8>, Vec<u8>)| $body:block) => {
        pub(crate) fn fuzz(data: &[u8]) {
            let (first, second) = data.split_at(data.len() / 2);
            let $two = (first.to_vec(), second.to_vec());
            $body
        }
    };
    (|$two:ident: (u16, Vec<u8>)| $body:block) => {
        pub(crate) fn fuzz(data: &[u8]) {
            let [a, b, rest @ ..] = data else { return };
            let $two = (u16::from_le_bytes([*a, *b]), rest.to_vec());
            $body
        }
    };
    (|$text:ident: &str| $body:block) => {
        pub(crate) fn fuzz(data: &[u8]) {
            if let Ok($text) = std::str::from_utf8(data) $body
        }
    };
}
pub(crate) use fuzz_target;

#[path = "../fuzz/fuzz_targets/armor.rs"]
mod armor;
#[path = "../fuzz/fuzz_targets/go_regex.rs"]
mod go_regex;
#[path = "../fuzz/fuzz_targets/header.rs"]
mod header;
#[path = "../fuzz/fuzz_targets/identity.rs"]
mod identity;
#[path = "../fuzz/fuzz_targets/manifest.rs"]
mod manifest;
#[path = "../fuzz/fuzz_targets/numbers.rs"]
mod numbers;
#[path = "../fuzz/fuzz_targets/pgp.rs"]
mod pgp;
#[path = "../fuzz/fuzz_targets/pkcs12.rs"]
mod pkcs12;
#[path = "../fuzz/fuzz_targets/recipient.rs"]
mod recipient;
#[path = "../fuzz/fuzz_targets/rules.rs"]
mod rules;
#[path = "../fuzz/fuzz_targets/rules_edit.rs"]
mod rules_edit;
#[path = "../fuzz/fuzz_targets/scan_ar.rs"]
mod scan_ar;
#[path = "../fuzz/fuzz_targets/scan_aterm.rs"]
mod scan_aterm;
#[path = "../fuzz/fuzz_targets/scan_base64.rs"]
mod scan_base64;
#[path = "../fuzz/fuzz_targets/scan_cpio.rs"]
mod scan_cpio;
#[path = "../fuzz/fuzz_targets/scan_git_pack.rs"]
mod scan_git_pack;
#[path = "../fuzz/fuzz_targets/scan_known.rs"]
mod scan_known;
#[path = "../fuzz/fuzz_targets/scan_nar.rs"]
mod scan_nar;
#[path = "../fuzz/fuzz_targets/scan_narinfo.rs"]
mod scan_narinfo;
#[path = "../fuzz/fuzz_targets/scan_pack.rs"]
mod scan_pack;
#[path = "../fuzz/fuzz_targets/scan_packed.rs"]
mod scan_packed;
#[path = "../fuzz/fuzz_targets/scan_shapes.rs"]
mod scan_shapes;
#[path = "../fuzz/fuzz_targets/scan_sqlite.rs"]
mod scan_sqlite;
#[path = "../fuzz/fuzz_targets/scan_squashfs.rs"]
mod scan_squashfs;
#[path = "../fuzz/fuzz_targets/scan_tar.rs"]
mod scan_tar;
#[path = "../fuzz/fuzz_targets/scan_zip.rs"]
mod scan_zip;
#[path = "../fuzz/fuzz_targets/service_answer.rs"]
mod service_answer;
#[path = "../fuzz/fuzz_targets/sops_binary.rs"]
mod sops_binary;
#[path = "../fuzz/fuzz_targets/sops_documents.rs"]
mod sops_documents;
#[path = "../fuzz/fuzz_targets/sops_file.rs"]
mod sops_file;
#[path = "../fuzz/fuzz_targets/sops_metadata.rs"]
mod sops_metadata;
#[path = "../fuzz/fuzz_targets/sops_rules.rs"]
mod sops_rules;
#[path = "../fuzz/fuzz_targets/sops_set.rs"]
mod sops_set;
#[path = "../fuzz/fuzz_targets/sops_value.rs"]
mod sops_value;
#[path = "../fuzz/fuzz_targets/sops_yaml.rs"]
mod sops_yaml;
#[path = "../fuzz/fuzz_targets/ssh_key.rs"]
mod ssh_key;
#[path = "../fuzz/fuzz_targets/stanza.rs"]
mod stanza;

/// What is run on the bytes of an input.
type Target = fn(&[u8]);

const TARGETS: &[(&str, Target)] = &[
    ("armor", armor::fuzz),
    ("go_regex", go_regex::fuzz),
    ("header", header::fuzz),
    ("identity", identity::fuzz),
    ("manifest", manifest::fuzz),
    ("numbers", numbers::fuzz),
    ("pgp", pgp::fuzz),
    ("pkcs12", pkcs12::fuzz),
    ("recipient", recipient::fuzz),
    ("rules", rules::fuzz),
    ("rules_edit", rules_edit::fuzz),
    ("scan_ar", scan_ar::fuzz),
    ("scan_aterm", scan_aterm::fuzz),
    ("scan_base64", scan_base64::fuzz),
    ("scan_cpio", scan_cpio::fuzz),
    ("scan_git_pack", scan_git_pack::fuzz),
    ("scan_known", scan_known::fuzz),
    ("scan_nar", scan_nar::fuzz),
    ("scan_narinfo", scan_narinfo::fuzz),
    ("scan_pack", scan_pack::fuzz),
    ("scan_packed", scan_packed::fuzz),
    ("scan_shapes", scan_shapes::fuzz),
    ("scan_sqlite", scan_sqlite::fuzz),
    ("scan_squashfs", scan_squashfs::fuzz),
    ("scan_tar", scan_tar::fuzz),
    ("scan_zip", scan_zip::fuzz),
    ("service_answer", service_answer::fuzz),
    ("sops_binary", sops_binary::fuzz),
    ("sops_documents", sops_documents::fuzz),
    ("sops_file", sops_file::fuzz),
    ("sops_metadata", sops_metadata::fuzz),
    ("sops_rules", sops_rules::fuzz),
    ("sops_set", sops_set::fuzz),
    ("sops_value", sops_value::fuzz),
    ("sops_yaml", sops_yaml::fuzz),
    ("ssh_key", ssh_key::fuzz),
    ("stanza", stanza::fuzz),
];

#[test]
fn every_target_is_listed_and_run_here() {
    let folder = fuzz_folder().join("fuzz_targets");
    let files: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let here: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files, here);
    let manifest = fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap();
    for name in &files {
        let path = format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n");
        assert!(manifest.contains(&path), "fuzz/Cargo.toml does not list `{name}`");
    }
    for entry in fs::read_dir(fuzz_folder().join("seeds")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(files.contains(&name), "fuzz/seeds/{name} is for no target");
    }
}

#[test]
fn targets_hold_on_known_inputs() {
    let testdata = files_below(&fuzz_folder().with_file_name("testdata"));
    assert!(testdata.len() > 20);
    let inputs = TARGETS.iter().flat_map(|(name, target)| {
        let seeds = files_below(&fuzz_folder().join("seeds").join(name));
        testdata.clone().into_iter().chain(seeds).map(move |file| (name, target, file))
    });
    let inputs: Vec<(&&str, &Target, PathBuf)> = inputs.collect();
    let failed: Vec<String> = inputs
        .par_iter()
        .filter(|(_, target, file)| {
            let bytes = fs::read(file).unwrap();
            let run = || {
                target(&bytes);
                for damaged in damaged(&bytes) {
                    target(&damaged);
                }
            };
            bytes.len() <= 20_000 && std::panic::catch_unwind(run).is_err()
        })
        .map(|(name, _, file)| format!("{name} {}", file.display()))
        .collect();
    assert_eq!(failed, [""; 0]);
}

/// Cut off, with a piece missing, and with a bit changed, at places that are the same each time.
fn damaged(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut made = Vec::new();
    for step in [1, 3, 5, 7] {
        let at = bytes.len() * step / 8;
        let (before, behind) = bytes.split_at(at);
        made.push(before.to_vec());
        made.push([before, behind.get(7..).unwrap_or_default()].concat());
        let mut flipped = bytes.to_vec();
        if let Some(byte) = flipped.get_mut(at) {
            *byte ^= 1 << step;
        }
        made.push(flipped);
    }
    made
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}
