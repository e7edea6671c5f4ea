//! placeholder until merged
use super::{Ask, recipient::Wrapped};
use age_core::format::{FileKey, Stanza};
use std::collections::BTreeSet;
#[derive(Debug, Clone, Default)]
pub struct Allowed(pub BTreeSet<String>);
impl Allowed {
    pub fn new(s: BTreeSet<String>) -> Self {
        Self(s)
    }
}
impl PluginError {
    pub fn remedy(&self) -> Option<String> {
        None
    }
}
#[derive(Debug, Clone)]
pub enum PluginFileError {
    NoMatch,
    Other,
}
#[derive(Debug, Clone)]
pub struct PluginError;
impl std::fmt::Display for PluginError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("x")
    }
}
impl std::fmt::Display for PluginFileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("x")
    }
}
pub fn unwrap_batch(
    _: &str,
    _: &[&str],
    _: &[&[Stanza]],
    _: &Allowed,
    _: &dyn Ask,
) -> Result<Vec<Result<FileKey, PluginFileError>>, PluginError> {
    Err(PluginError)
}
pub fn wrap_batch(
    _: &str,
    _: &[&str],
    _: &[&str],
    _: &[&FileKey],
    _: &Allowed,
    _: &dyn Ask,
) -> Result<Vec<Wrapped>, PluginError> {
    Err(PluginError)
}
