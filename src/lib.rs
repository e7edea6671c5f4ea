//! `secretctl`: the secrets of a `NixOS` fleet, encrypted in git.
//!
//! Each module is a room with one job. Which rooms it may use is the table in
//! `docs/architecture.md`, held by `tests/architecture.rs`.

pub mod activate;
pub mod cli;
pub mod format;
pub mod fsx;
pub mod go_regex;
pub mod key;
pub mod place;
pub mod plaintext;
pub mod process;
pub mod rules;
pub mod scan;
pub mod work;
