//! One encrypted value: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`. Knows no document.
