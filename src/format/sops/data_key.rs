//! The data key of a file: found with an identity or `gpg`, wrapped for every reader, and shared
//! among groups of them. The place where key services plug in. Knows no document.
