//! The program. All of it is in the library; this file only hands over.

use std::process::ExitCode;

fn main() -> ExitCode {
    secretctl::cli::main(std::env::args_os().collect())
}
