//! Templates filled in.
