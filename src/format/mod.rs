//! Secret file formats: bytes to secret file and back. Knows no path and no terminal.

pub mod age;
pub mod keys;
pub mod sops;
