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
use crate::key::stanza::{StanzaError, parse_stanza, write_stanza};

/// First line, without its end.
pub(crate) const VERSION: &str = "age-encryption.org/v1";
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
    pub stanzas: Vec<Stanza>,
    mac: [u8; 32],
    /// What the MAC covers: everything up to and including `---`.
    text: Vec<u8>,
}

impl Header {
    /// Reads a header and stops behind it.
    ///
    /// # Errors
    /// [`AgeError::NotAge`] when the first line is another, [`AgeError::Header`] with the reason,
    /// or the error of `source`.
    pub fn read(source: &mut dyn BufRead) -> Result<Self, AgeError> {
        let piece = source.fill_buf().map_err(AgeError::from_read)?;
        let (mut text, start) = if let Some((start, end)) = in_one_piece(piece) {
            let text = piece.get(..end).unwrap_or_default().to_vec();
            source.consume(end);
            (text, start)
        } else {
            read_lines(source)?
        };
        let mac = parse_mac(text.get(start..).unwrap_or_default())?;
        let body = text.get(VERSION.len().saturating_add(1)..start).unwrap_or_default();
        let stanzas = parse_stanzas(body)?;
        text.truncate(start.saturating_add(3));
        Ok(Self { stanzas, mac, text })
    }

    /// Bytes of its text, without the MAC.
    pub fn size(&self) -> usize {
        self.text.len()
    }

    /// Whether this file key made the header.
    pub fn verify(&self, file_key: &FileKey) -> bool {
        authenticator(file_key, &self.text).is_some_and(|m| m.verify_slice(&self.mac).is_ok())
    }

    /// The header with these stanzas. `None` never happens with a key of HMAC's kind.
    pub(crate) fn print<'s>(
        stanzas: impl IntoIterator<Item = &'s Stanza>,
        file_key: &FileKey,
    ) -> Option<Vec<u8>> {
        let text = format!("{VERSION}\n").into_bytes();
        finish(text, stanzas, file_key)
    }

    /// This header with more stanzas at its end, and none of the type `without`. The others stay as
    /// they are, byte by byte.
    pub(crate) fn extend<'s>(
        &self,
        without: &str,
        added: impl IntoIterator<Item = &'s Stanza>,
        file_key: &FileKey,
    ) -> Option<Vec<u8>> {
        let mut text = Vec::with_capacity(self.text.len().saturating_add(512));
        let mut kept = true;
        // no line of a body begins as the first of a stanza does
        for line in self.text.strip_suffix(b"---")?.split_inclusive(|byte| *byte == b'\n') {
            if let Some(words) = line.strip_prefix(b"-> ") {
                let tag = words.split(u8::is_ascii_whitespace).next();
                kept = tag != Some(without.as_bytes());
            }
            if kept {
                text.extend_from_slice(line);
            }
        }
        finish(text, added, file_key)
    }
}

/// The text of a header with its last stanzas and its MAC.
fn finish<'s>(
    mut text: Vec<u8>,
    stanzas: impl IntoIterator<Item = &'s Stanza>,
    file_key: &FileKey,
) -> Option<Vec<u8>> {
    for stanza in stanzas {
        write_stanza(&mut text, stanza);
    }
    text.extend_from_slice(b"---");
    let mac = authenticator(file_key, &text)?.finalize().into_bytes();
    text.push(b' ');
    text.extend_from_slice(BASE64_STANDARD_NO_PAD.encode(mac).as_bytes());
    text.push(b'\n');
    Some(text)
}

/// Where the line of the MAC begins and ends, in a piece that has the whole header, as most do.
fn in_one_piece(piece: &[u8]) -> Option<(usize, usize)> {
    piece.strip_prefix(VERSION.as_bytes())?.strip_prefix(b"\n")?;
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
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    if text == VERSION.as_bytes() {
        Ok(())
    } else if text.strip_suffix(b"\r") == Some(VERSION.as_bytes()) {
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

fn parse_stanzas(body: &[u8]) -> Result<Vec<Stanza>, AgeError> {
    // Many headers may be kept at once: no room that nobody needs.
    let arrows = memchr::memmem::find_iter(body, b"\n-> ").count();
    let mut stanzas = Vec::with_capacity(arrows.saturating_add(1).min(MAX_STANZAS));
    let mut rest = body;
    while !rest.is_empty() {
        let parsed = parse_stanza(rest).map_err(|error| {
            AgeError::Header(match error {
                StanzaError::NoArrow => "a stanza does not begin with `-> `",
                StanzaError::Argument => "an argument of a stanza is empty or not visible ASCII",
                StanzaError::LongLine => "a line of a stanza has more than 64 columns",
                StanzaError::Base64 => "the body of a stanza is not canonical Base64",
            })
        })?;
        let (stanza, after) = parsed.ok_or(AgeError::Header("a stanza has no short last line"))?;
        if stanza.args.len() > MAX_ARGUMENTS {
            return Err(AgeError::Header("a stanza has more than 128 arguments"));
        }
        stanzas.push(stanza);
        rest = after;
        if stanzas.len() > MAX_STANZAS {
            return Err(AgeError::Header("it has more than 1,024 stanzas"));
        }
    }
    if stanzas.is_empty() {
        return Err(AgeError::Header("it names no recipient"));
    }
    if stanzas.len() > 1 && stanzas.iter().any(|s| s.tag == "scrypt") {
        return Err(AgeError::Header("a passphrase stanza does not stand alone"));
    }
    Ok(stanzas)
}

fn authenticator(file_key: &FileKey, text: &[u8]) -> Option<Hmac<Sha256>> {
    let key = Zeroizing::new(hkdf(b"", b"header", file_key.expose_secret()));
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_slice()).ok()?;
    mac.update(text);
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;
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
            prop_assert_eq!(&header.stanzas, &stanzas);
            prop_assert!(header.verify(&key()));
            prop_assert!(!header.verify(&FileKey::new(Box::new([6; 16]))));
            prop_assert_eq!(reader, b"payload\n");
            // the same in pieces
            let mut reader = std::io::BufReader::with_capacity(7, source.as_slice());
            let again = Header::read(&mut reader).unwrap();
            prop_assert_eq!((again.stanzas, again.mac, again.text), (header.stanzas, header.mac, header.text));
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
        }

        #[test]
        fn any_bytes_give_an_answer(bytes in prop::collection::vec(0_u8.., 0..400)) {
            let text = [VERSION.as_bytes(), b"\n", &bytes].concat();
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
