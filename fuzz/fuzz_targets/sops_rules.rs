//! Any `.sops.yaml` gives rules or problems, in a time that aliases cannot stretch.
#![no_main]
use libfuzzer_sys::fuzz_target;
use secretctl::rules::sops_yaml;

fuzz_target!(|text: &str| {
    let Ok(sops) = sops_yaml::parse(text, std::path::Path::new("/.sops.yaml")) else { return };
    let Some(rules) = sops.rules else { return };
    for rule in &rules.rules {
        let readers = rules.wrapping(rule);
        assert!(!readers.groups.is_empty());
        assert!(rule.readers.iter().all(|index| *index < rules.readers.len()));
    }
});
