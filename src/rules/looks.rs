//! Whether a file looks like a secret file: by its name or by its content, looked at as shortly
//! as will do. Opens nothing that is encrypted.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use regex::bytes::Regex;

/// How much of a larger file is looked at, at its begin and again at its end.
const SIGHT: u64 = 512 * 1024;

/// What the metadata of sops is called in the five kinds of documents.
const SOPS: &str = r#"(?m)^sops_lastmodified[ \t]*=|^\[sops\]|^['"]?sops['"]?[ \t]*:|"sops"\s*:"#;

/// Knows secret files when it sees them.
pub(super) struct Looks {
    /// `None` never comes true.
    sops: Option<Regex>,
}

impl Looks {
    pub(super) fn new() -> Self {
        Self { sops: Regex::new(SOPS).ok() }
    }

    /// Whether a file is for age by its name, or encrypted.
    pub(super) fn like_secret(&self, file: &Path) -> bool {
        if is_age_name(file) {
            return true;
        }
        let mut begin = Vec::new();
        let read = File::open(file).and_then(|file| file.take(64).read_to_end(&mut begin));
        let is_age = begin.starts_with(b"age-encryption.org/v1\n")
            || begin.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----");
        read.is_ok() && (is_age || self.like_sops(file))
    }

    /// Whether sops has encrypted a file.
    pub(super) fn like_sops(&self, file: &Path) -> bool {
        // A binary document is JSON.
        let is_text = file.extension().is_some_and(|extension| {
            ["yaml", "yml", "json", "env", "ini"].iter().any(|known| extension == *known)
        });
        let Ok(bytes) = sight(file, !is_text) else { return false };
        let has_sops = self.sops.as_ref().is_some_and(|sops| sops.is_match(&bytes));
        has_sops && (contains(&bytes, b"lastmodified") || contains(&bytes, b"ENC[AES256_GCM,"))
    }
}

/// Whether a name ends with `.age`.
pub(super) fn is_age_name(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "age")
}

/// The file, or both ends of a large one; nothing if it should be JSON and does not begin so.
fn sight(file: &Path, only_json: bool) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(file)?;
    let mut bytes = Vec::new();
    file.by_ref().take(64).read_to_end(&mut bytes)?;
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if only_json && first != Some(&b'{') {
        return Ok(Vec::new());
    }
    file.by_ref().take(SIGHT).read_to_end(&mut bytes)?;
    let (seen, size) = (bytes.len() as u64, file.metadata()?.len());
    if seen < size {
        file.seek(SeekFrom::Start(seen.max(size.saturating_sub(SIGHT))))?;
        bytes.push(b'\n');
        file.take(SIGHT).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sops_files_are_known_by_their_metadata() {
        let folder = tempfile::tempdir().unwrap();
        let looks = Looks::new();
        let look = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            (looks.like_sops(&file), looks.like_secret(&file))
        };
        let far = format!("{}\nsops:\n    lastmodified: x\n", "a: b\n".repeat(400_000));
        for (name, text) in [
            ("a.yaml", "a: ENC[AES256_GCM,data:x]\nsops:\n    mac: x\n"),
            ("far.yaml", far.as_str()),
            ("b.yml", "\"sops\":\n    lastmodified: x\n"),
            ("c.json", "{\n\t\"a\": 1,\n\t\"sops\": {\"lastmodified\": \"x\"}}"),
            ("d.env", "A=ENC[AES256_GCM,data:x]\nsops_lastmodified=x\n"),
            ("e.ini", "[sops]\nlastmodified = x\n"),
            ("f.bin", "{\n\t\"data\": \"ENC[AES256_GCM,x]\",\n\t\"sops\": {}\n}"),
            ("secret", " {\"data\": \"ENC[AES256_GCM,x]\", \"sops\": {}}"),
        ] {
            assert_eq!(look(name, text), (true, true), "{name}");
        }
        for (name, text) in [
            ("plain.yaml", "a: b\n"),
            ("talks.md", "sops:\n    lastmodified: x\n"),
            (".sops.yaml", "creation_rules:\n  - age: age1\n"),
            ("flux.yaml", "spec:\n  decryption:\n    sops: lastmodified\n"),
            ("half.json", "{\"sops\": 1}"),
            ("empty.ini", ""),
        ] {
            assert_eq!(look(name, text), (false, false), "{name}");
        }
        assert_eq!(look("x.age", ""), (false, true));
        assert_eq!(look("x", "age-encryption.org/v1\n"), (false, true));
        assert!(!looks.like_secret(&folder.path().join("none")));
    }
}
