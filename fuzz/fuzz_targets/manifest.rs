//! Any manifest, ours or that of sops-nix, is read or refused; what is read stays in its stores.
#![no_main]
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use secretctl::activate::manifest::Manifest;
use secretctl::activate::manifest::sops_nix::{self, Surroundings};
use secretctl::activate::template::Parsed;

fuzz_target!(|text: &[u8]| {
    let runtime = Some(Path::new("/run/user/1"));
    let around = Surroundings { runtime, gpg: None };
    let ours = Manifest::parse(Path::new("m"), text, runtime).ok();
    let theirs = sops_nix::parse(Path::new("m"), text, &around).ok();
    for manifest in ours.into_iter().chain(theirs.map(|converted| converted.manifest)) {
        for secret in &manifest.secrets {
            assert!(!secret.name.as_str().split('/').any(|part| matches!(part, "" | "." | "..")));
            for path in secret.links.iter().chain(&secret.copies) {
                assert!(path.as_path().is_absolute() && !path.as_path().starts_with("/nix/store"));
                assert!(manifest.stores.values().all(|store| {
                    !path.as_path().starts_with(store.link.as_path())
                        && !path.as_path().starts_with(store.mount_point.as_path())
                }));
            }
        }
        for template in manifest.templates.iter().filter_map(|one| one.content.as_ref()) {
            let _refused = Parsed::parse(template.as_bytes(), &manifest);
        }
    }
});
