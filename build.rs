//! Links the unwinder of GCC into the program where the C compiler has it as a library of its own:
//! each start of the program then waits for one file less to be loaded.
//!
//! The program stays dynamically linked to glibc. Where there is no such library, the shared one
//! is used, as without this file.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let target = |name: &str| env::var(name).unwrap_or_default();
    let is_glibc =
        target("CARGO_CFG_TARGET_OS") == "linux" && target("CARGO_CFG_TARGET_ENV") == "gnu";
    let is_static = target("CARGO_CFG_TARGET_FEATURE").split(',').any(|name| name == "crt-static");
    if is_glibc && !is_static && has_unwinder() {
        // It comes before the libraries of `std`, and so before the shared one.
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}

/// Whether the compiler that links finds the library; it answers with the bare name if not.
#[expect(clippy::disallowed_methods, reason = "no part of the program")]
fn has_unwinder() -> bool {
    let linker = env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
    let Ok(output) = Command::new(linker).arg(format!("-print-file-name={UNWINDER}")).output()
    else {
        return false;
    };
    Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_absolute()
}

const UNWINDER: &str = "libgcc_eh.a";
