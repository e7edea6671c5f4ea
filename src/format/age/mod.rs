//! The age v1 container (C2SP `age.md`).
