//! Links the unwinder of GCC into the program where the C compiler has it as a library of its own:
//! each start of the program then waits for one file less to be loaded. And has the linker write
//! relative relocations in their packed form where the C library can read it (glibc 2.36): a
//! third of a megabyte.
//!
//! The program stays dynamically linked to glibc. Where there is no such library, the shared one
//! is used, as without this file.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let target = |name: &str| env::var(name).unwrap_or_default();
    let is_glibc =
        target("CARGO_CFG_TARGET_OS") == "linux" && target("CARGO_CFG_TARGET_ENV") == "gnu";
    let is_static = target("CARGO_CFG_TARGET_FEATURE").split(',').any(|name| name == "crt-static");
    if !is_glibc || is_static {
        return;
    }
    if reads_packed_relocations() {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    if has_unwinder() {
        // It comes before the libraries of `std`, and so before the shared one.
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}

/// Whether the compiler that links has the unwinder as a library of its own.
fn has_unwinder() -> bool {
    file_of_compiler(UNWINDER).is_some()
}

/// Whether the C library that is linked says of itself that it reads them.
fn reads_packed_relocations() -> bool {
    let library = file_of_compiler("libc.so.6").and_then(|file| std::fs::read(file).ok());
    library.is_some_and(|it| it.windows(PACKED.len()).any(|part| part == PACKED))
}

/// Where the compiler that links finds a file; it answers with the bare name if it does not.
#[expect(clippy::disallowed_methods, reason = "no part of the program")]
fn file_of_compiler(name: &str) -> Option<PathBuf> {
    let linker = env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
    let output = Command::new(linker).arg(format!("-print-file-name={name}")).output().ok()?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    path.is_absolute().then_some(path)
}

const UNWINDER: &str = "libgcc_eh.a";
/// What it says.
const PACKED: &[u8] = b"GLIBC_ABI_DT_RELR";
