//! The command line: parse, call, print. The only user of stdout, stderr and exit codes.

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program with its whole argument vector, program name first.
pub fn main(_arguments: Vec<OsString>) -> ExitCode {
    ExitCode::SUCCESS
}
