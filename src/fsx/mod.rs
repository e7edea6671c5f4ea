//! The file system: limited reads, atomic replacement, private memory-backed folders, locks.
