//! The header of an age file (C2SP `age.md`, "Header"): version, stanzas, MAC. One pass over
//! the bytes, capped at 2 MiB and 1,024 stanzas as Go age 1.3.2 caps them.

use std::io::{BufRead, Read};

use age_core::format::{FileKey, Stanza};
use age_core::primitives::hkdf;
use age_core::secrecy::ExposeSecret;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::AgeError;
use crate::key::stanza::{Stanzas, write_stanza};

/// Most bytes that a header may have.
pub const MAX_HEADER: usize = 2 * 1024 * 1024;
/// Most stanzas that a header may have.
pub const MAX_STANZAS: usize = 1024;
/// Most arguments of a stanza, as Go age 1.3.2 has it.
const MAX_ARGUMENTS: usize = 128;

/// A header whose MAC has not been checked yet.
#[derive(Debug)]
pub struct Header {
    /// In the order of the file.
    pub stanzas: Stanzas,
    mac: [u8; 32],
}

impl Header {
    /// Reads a header and stops behind it.
    ///
    /// # Errors
    /// [`AgeError::NotAge`] when the first line is another, [`AgeError::Header`] with the reason,
    /// or the error of `source`.
    pub fn read(source: &mut dyn BufRead) -> Result<Self, AgeError> {
        let piece = source.fill_buf().map_err(AgeError::from_read)?;
        let split = |text: &[u8], start| {
            let stanzas = text.get(START.len()..start).unwrap_or_default().to_vec();
            parse_mac(text.get(start..).unwrap_or_default()).map(|mac| (stanzas, mac))
        };
        let (stanzas, mac) = if let Some((start, end)) = in_one_piece(piece) {
            let parts = split(piece.get(..end).unwrap_or_default(), start)?;
            source.consume(end);
            parts
        } else {
            let (text, start) = read_lines(source)?;
            split(&text, start)?
        };
        Ok(Self { stanzas: parse_stanzas(stanzas)?, mac })
    }

    /// Whether this file key made the header.
    pub fn verify(&self, file_key: &FileKey) -> bool {
        authenticator(file_key).is_some_and(|mac| self.fits(mac, self.stanzas.text()))
    }

    /// Whether what has been authenticated so far, and the `rest` of the text, have this MAC.
    fn fits(&self, mac: Hmac<Sha256>, rest: &str) -> bool {
        mac.chain_update(rest).chain_update(END).verify_slice(&self.mac).is_ok()
    }

    /// The text of a header.
    pub(crate) fn print<'s>(
        stanzas: impl IntoIterator<Item = &'s Stanza>,
        file_key: &FileKey,
    ) -> Result<Vec<u8>, AgeError> {
        let mac = authenticator(file_key).ok_or(NO_MAC)?;
        Ok(finish(START.to_vec(), START.len(), stanzas, mac))
    }

    /// The text of this header with more stanzas at its end, and none of the type `without`, if this
    /// file key made it. The others stay as they are, byte by byte.
    pub(crate) fn extend<'s>(
        &self,
        without: &str,
        added: impl IntoIterator<Item = &'s Stanza>,
        file_key: &FileKey,
    ) -> Result<Vec<u8>, AgeError> {
        let all = self.stanzas.text();
        let (same, others) = self.stanzas.without(without);
        // Both MACs begin with what stays.
        let mac = authenticator(file_key).ok_or(NO_MAC)?.chain_update(same);
        if !self.fits(mac.clone(), all.get(same.len()..).unwrap_or_default()) {
            return Err(AgeError::Mac);
        }
        let mut text = Vec::with_capacity(all.len().saturating_add(512));
        text.extend_from_slice(START);
        text.extend_from_slice(same.as_bytes());
        let seen = text.len();
        for other in others {
            text.extend_from_slice(other.as_bytes());
        }
        Ok(finish(text, seen, added, mac))
    }
}

/// The text of a header with its last stanzas and its MAC, which has seen the first bytes already.
fn finish<'s>(
    mut text: Vec<u8>,
    seen: usize,
    stanzas: impl IntoIterator<Item = &'s Stanza>,
    mac: Hmac<Sha256>,
) -> Vec<u8> {
    for stanza in stanzas {
        write_stanza(&mut text, stanza);
    }
    text.extend_from_slice(END);
    let mac = mac.chain_update(text.get(seen..).unwrap_or_default()).finalize().into_bytes();
    text.push(b' ');
    text.extend_from_slice(BASE64_STANDARD_NO_PAD.encode(mac).as_bytes());
    text.push(b'\n');
    text
}

/// Where the line of the MAC begins and ends, in a piece that has the whole header, as most do.
fn in_one_piece(piece: &[u8]) -> Option<(usize, usize)> {
    piece.strip_prefix(START)?;
    let start = memchr::memmem::find(piece, b"\n---")?.checked_add(1)?;
    let end = memchr::memchr(b'\n', piece.get(start..)?)?.checked_add(start)?.checked_add(1)?;
    (end <= MAX_HEADER).then_some((start, end))
}

/// The text of a header, line by line, and where the line of its MAC begins.
fn read_lines(source: &mut dyn BufRead) -> Result<(Vec<u8>, usize), AgeError> {
    let mut text = Vec::new();
    let mut start = 0;
    loop {
        let room = MAX_HEADER.saturating_add(1).saturating_sub(text.len());
        let read = source.take(room as u64).read_until(b'\n', &mut text);
        let read = read.map_err(AgeError::from_read)?;
        let line = text.get(start..).unwrap_or_default();
        if start == 0 {
            check_version(line)?;
        }
        if text.len() > MAX_HEADER {
            return Err(AgeError::Header("it is larger than 2 MiB"));
        }
        if read == 0 || !line.ends_with(b"\n") {
            return Err(AgeError::Header("it ends before its MAC: the file is cut short"));
        }
        if start > 0 && line.starts_with(b"---") {
            return Ok((text, start));
        }
        start = text.len();
    }
}

fn check_version(line: &[u8]) -> Result<(), AgeError> {
    let (text, version) = (line.strip_suffix(b"\n").unwrap_or(line), START.trim_ascii_end());
    if text == version {
        Ok(())
    } else if text.strip_suffix(b"\r") == Some(version) {
        Err(AgeError::Header(
            "its lines end in CRLF: a tool changed the line ends of a binary file",
        ))
    } else if text.starts_with(b"age-encryption.org/") {
        Err(AgeError::Header("its version is not v1"))
    } else {
        Err(AgeError::NotAge)
    }
}

fn parse_mac(line: &[u8]) -> Result<[u8; 32], AgeError> {
    line.strip_prefix(b"--- ")
        .and_then(|line| line.strip_suffix(b"\n"))
        .filter(|text| text.len() == 43)
        .and_then(|text| BASE64_STANDARD_NO_PAD.decode(text).ok())
        .and_then(|mac| mac.try_into().ok())
        .ok_or(AgeError::Header("its MAC line is not 32 bytes of canonical Base64"))
}

fn parse_stanzas(text: Vec<u8>) -> Result<Stanzas, AgeError> {
    let stanzas = Stanzas::parse(text).map_err(|error| AgeError::Header(error.text()))?;
    if stanzas.iter().any(|stanza| stanza.args().count() > MAX_ARGUMENTS) {
        return Err(AgeError::Header("a stanza has more than 128 arguments"));
    }
    if stanzas.len() > MAX_STANZAS {
        return Err(AgeError::Header("it has more than 1,024 stanzas"));
    }
    if stanzas.is_empty() {
        return Err(AgeError::Header("it names no recipient"));
    }
    if stanzas.len() > 1 && stanzas.iter().any(|stanza| stanza.tag() == "scrypt") {
        return Err(AgeError::Header("a passphrase stanza does not stand alone"));
    }
    Ok(stanzas)
}

/// The MAC of a header of this file key, as far as its first line.
fn authenticator(file_key: &FileKey) -> Option<Hmac<Sha256>> {
    let key = Zeroizing::new(hkdf(b"", b"header", file_key.expose_secret()));
    Some(Hmac::<Sha256>::new_from_slice(key.as_slice()).ok()?.chain_update(START))
}

/// What never happens with a key of HMAC's kind.
const NO_MAC: AgeError = AgeError::Header("its MAC cannot be computed");
/// The first line.
const START: &[u8] = b"age-encryption.org/v1\n";
/// What the MAC covers of the last line.
const END: &[u8] = b"---";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::stanza::StanzaRef;
    use proptest::prelude::*;

    fn key() -> FileKey {
        FileKey::new(Box::new([5; 16]))
    }

    proptest! {
        #[test]
        fn parsing_what_was_printed_gives_it_back(
            parts in prop::collection::vec(("[!-~]{1,9}", prop::collection::vec(0_u8.., 0..200)), 1..5)
        ) {
            let stanzas: Vec<Stanza> = parts
                .into_iter()
                .filter(|(word, _)| word != "scrypt")
                .map(|(word, body)| Stanza { tag: word.clone(), args: vec![word], body })
                .collect();
            prop_assume!(!stanzas.is_empty());
            let text = Header::print(&stanzas, &key()).unwrap();
            let mut source = [text.as_slice(), b"payload"].concat();
            source.push(b'\n');
            let mut reader = source.as_slice();
            let header = Header::read(&mut reader).unwrap();
            let read: Vec<Stanza> = header.stanzas.iter().map(StanzaRef::to_stanza).collect();
            prop_assert_eq!(read, stanzas);
            prop_assert!(header.verify(&key()));
            prop_assert!(!header.verify(&FileKey::new(Box::new([6; 16]))));
            prop_assert_eq!(reader, b"payload\n");
            // the same in pieces
            let mut reader = std::io::BufReader::with_capacity(7, source.as_slice());
            let again = Header::read(&mut reader).unwrap();
            prop_assert_eq!((again.stanzas, again.mac), (header.stanzas, header.mac));
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).unwrap();
            prop_assert_eq!(rest, b"payload\n");
        }

        #[test]
        fn extending_is_printing_what_stays_and_what_is_new(
            words in prop::collection::vec(("(gone|[!-~]{1,9})", prop::collection::vec(0_u8.., 0..100)), 2..8)
        ) {
            let stanza = |(word, body): &(String, Vec<u8>)| {
                Stanza { tag: word.clone(), args: vec!["gone".to_owned()], body: body.clone() }
            };
            let stanzas: Vec<Stanza> =
                words.iter().filter(|(word, _)| word != "scrypt").map(stanza).collect();
            prop_assume!(stanzas.len() > 1);
            let (old, new) = stanzas.split_at(stanzas.len() / 2);
            let text = Header::print(old, &key()).unwrap();
            let header = Header::read(&mut text.as_slice()).unwrap();
            let stay = old.iter().filter(|stanza| stanza.tag != "gone");
            prop_assert_eq!(
                header.extend("gone", new, &key()).unwrap(),
                Header::print(stay.chain(new), &key()).unwrap()
            );
            let other = FileKey::new(Box::new([6; 16]));
            prop_assert!(matches!(header.extend("gone", new, &other), Err(AgeError::Mac)));
        }

        #[test]
        fn any_bytes_give_an_answer(bytes in prop::collection::vec(0_u8.., 0..400)) {
            let text = [START, &bytes].concat();
            let _ = Header::read(&mut text.as_slice());
        }
    }

    #[test]
    fn limits_are_errors() {
        let one = Stanza { tag: "x".into(), args: vec![], body: vec![] };
        let many: Vec<Stanza> = (0..=MAX_STANZAS)
            .map(|_| Stanza { tag: one.tag.clone(), args: vec![], body: vec![] })
            .collect();
        let text = Header::print(&many, &key()).unwrap();
        assert!(
            matches!(Header::read(&mut text.as_slice()), Err(AgeError::Header(what)) if what.contains("1,024"))
        );
        let huge = Stanza { tag: "x".into(), args: vec![], body: vec![0; MAX_HEADER] };
        let text = Header::print(&[huge], &key()).unwrap();
        assert!(
            matches!(Header::read(&mut text.as_slice()), Err(AgeError::Header(what)) if what.contains("2 MiB"))
        );
        let text = Header::print(&[], &key()).unwrap();
        assert!(
            matches!(Header::read(&mut text.as_slice()), Err(AgeError::Header(what)) if what.contains("no recipient"))
        );
    }
}
