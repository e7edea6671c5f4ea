//! A baseline: the findings of an earlier run by their keyed names, and the key. From the names alone
//! nothing follows, and from both together only what the report says: no name is made of a value.

use std::collections::HashSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::context::write as put;
use super::super::explain::Failure;
use super::option_file;
use super::told::Told;
use crate::fsx::read_limited;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    key: String,
    findings: Vec<String>,
}

/// A baseline that was read.
pub(super) struct Baseline {
    key: [u8; 32],
    names: HashSet<String>,
}

impl Baseline {
    /// Reads a file.
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let unusable = |why: &str| {
            option_file("--baseline", file, why)
                .hint("write one with `secretctl scan --write-baseline FILE`")
        };
        let bytes = read_limited(file, LONGEST).map_err(|error| unusable(&error.to_string()))?;
        let read: File =
            serde_json::from_slice(&bytes).map_err(|error| unusable(&error.to_string()))?;
        let mut key = [0; 32];
        hex::decode_to_slice(&read.key, &mut key).map_err(|_| unusable("its key is none"))?;
        if read.version != 1 {
            return Err(unusable("it is of another version"));
        }
        Ok(Self { key, names: read.findings.into_iter().collect() })
    }

    /// The key of its names.
    pub(super) fn key(&self) -> [u8; 32] {
        self.key
    }

    /// Whether it has a finding.
    pub(super) fn has(&self, id: &str) -> bool {
        self.names.contains(id)
    }
}

/// Writes all findings down.
pub(super) fn write(file: &Path, told: &Told) -> Result<(), Failure> {
    let key = hex::encode(told.key);
    let mut findings: Vec<String> = told.leaks.iter().map(|leak| leak.id.clone()).collect();
    findings.sort_unstable();
    findings.dedup();
    let text = serde_json::to_string_pretty(&File { version: 1, key, findings });
    let text = text.map_err(|error| Failure::new(error.to_string()))?;
    put(file, None, format!("{text}\n").as_bytes())
}

const LONGEST: usize = 64 << 20;
