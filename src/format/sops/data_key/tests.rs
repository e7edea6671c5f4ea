//! Tests of data keys.
