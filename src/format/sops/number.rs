//! Numbers as Go prints them, so that we and sops compute the same MAC. Knows no document.
