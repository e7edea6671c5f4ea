//! A whole sops file: read, open, put the plaintext document out, seal a changed one. Knows no path.
