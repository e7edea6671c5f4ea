//! Goes through a tree and decrypts or encrypts its values, with the MAC over all of them and the
//! memory of which ciphertext belonged to which value. Knows no text and no metadata.
