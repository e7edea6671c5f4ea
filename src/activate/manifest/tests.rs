//! Manifests good and bad.
