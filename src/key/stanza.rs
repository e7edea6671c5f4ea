//! One stanza as text: `-> type arguments`, then Base64 in lines of 64 columns, the last of
//! them shorter and perhaps empty. Follows C2SP `age.md`, "Recipient stanza"; the plugin
//! protocol frames its commands in the same way.
//!
//! Strict: what is read here and printed again gives the same bytes. Knows nothing of what a
//! stanza means, and sets no limit on its size: the caller has read it already.

use std::fmt;

use age_core::format::Stanza;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use zeroize::Zeroizing;

/// Appends the text of a stanza.
///
/// The type and the arguments must be [`is_argument`]s, as they are in a parsed stanza.
pub fn write_stanza(out: &mut Vec<u8>, stanza: &Stanza) {
    let arguments: Vec<&str> = stanza.args.iter().map(String::as_str).collect();
    write_parts(out, &stanza.tag, &arguments, &stanza.body);
}

/// Appends the text of a stanza that need not exist as one, for bodies that are not to be
/// copied.
pub fn write_parts(out: &mut Vec<u8>, tag: &str, arguments: &[&str], body: &[u8]) {
    debug_assert!(is_argument(tag.as_bytes()), "the type of a stanza is a word");
    out.extend_from_slice(b"->");
    for word in std::iter::once(tag).chain(arguments.iter().copied()) {
        debug_assert!(is_argument(word.as_bytes()), "an argument of a stanza is a word");
        out.push(b' ');
        out.extend_from_slice(word.as_bytes());
    }
    out.push(b'\n');
    let text = Zeroizing::new(BASE64_STANDARD_NO_PAD.encode(body));
    let full_lines = text.as_bytes().chunks_exact(COLUMNS);
    let last = full_lines.remainder();
    for line in full_lines {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.extend_from_slice(last);
    out.push(b'\n');
}

/// Parses the stanza that `input` begins with, and returns it with the bytes after it;
/// `Ok(None)` where `input` ends before the stanza does.
///
/// # Errors
/// [`StanzaError`], as soon as it is certain whatever follows.
pub fn parse_stanza(input: &[u8]) -> Result<Option<(Stanza, &[u8])>, StanzaError> {
    let prefix_seen = PREFIX.len().min(input.len());
    if input.get(..prefix_seen) != PREFIX.get(..prefix_seen) {
        return Err(StanzaError::NoArrow);
    }
    let Some((first, mut rest)) = split_line(input) else { return Ok(None) };
    let words = first.get(PREFIX.len()..).unwrap_or_default();
    let mut words = words.split(|byte| *byte == b' ').map(argument);
    let tag = words.next().unwrap_or(Err(StanzaError::Argument))?;
    let mut args = Vec::with_capacity(2);
    for word in words {
        args.push(word?);
    }
    // Gathered first, so that the body is decoded into one buffer that never moves.
    let mut text = Zeroizing::new(Vec::new());
    let columns = body_columns(rest);
    loop {
        let (line, after) = match split_line(rest) {
            Some(split) => split,
            None if rest.len() > COLUMNS => return Err(StanzaError::LongLine),
            None => return Ok(None),
        };
        rest = after;
        if line.len() > COLUMNS {
            return Err(StanzaError::LongLine);
        }
        if line.len() < COLUMNS && text.is_empty() {
            return Ok(Some((Stanza { tag, args, body: decode(line)? }, rest)));
        }
        if text.is_empty() {
            text.reserve_exact(columns);
        }
        text.extend_from_slice(line);
        if line.len() < COLUMNS {
            return Ok(Some((Stanza { tag, args, body: decode(&text)? }, rest)));
        }
    }
}

fn argument(word: &[u8]) -> Result<String, StanzaError> {
    let text = str::from_utf8(word).ok().filter(|_| is_argument(word));
    text.map(str::to_owned).ok_or(StanzaError::Argument)
}

fn decode(text: &[u8]) -> Result<Vec<u8>, StanzaError> {
    BASE64_STANDARD_NO_PAD.decode(text).map_err(|_| StanzaError::Base64)
}

/// Whether bytes can stand as type or argument: one or more visible ASCII characters.
pub fn is_argument(word: &[u8]) -> bool {
    !word.is_empty() && word.iter().all(u8::is_ascii_graphic)
}

/// What is wrong with the text of a stanza.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StanzaError {
    /// It does not begin with `-> `.
    NoArrow,
    /// The type is missing, an argument is empty, or one holds something but visible ASCII.
    Argument,
    /// A line of the body has more than 64 columns.
    LongLine,
    /// The body is not canonical Base64 without padding.
    Base64,
}

impl fmt::Display for StanzaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoArrow => "a stanza does not begin with `-> `",
            Self::Argument => "an argument of a stanza is empty or not visible ASCII",
            Self::LongLine => "a line in the body of a stanza has more than 64 columns",
            Self::Base64 => "the body of a stanza is not canonical Base64",
        })
    }
}

impl std::error::Error for StanzaError {}

/// The columns that the lines at the beginning of `rest` fill, up to the first short one.
fn body_columns(rest: &[u8]) -> usize {
    let line = COLUMNS.saturating_add(1);
    let full = rest.chunks_exact(line).take_while(|line| line.last() == Some(&b'\n')).count();
    full.saturating_add(1).saturating_mul(COLUMNS)
}

fn split_line(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', input)?;
    Some((input.get(..end)?, input.get(end.saturating_add(1)..)?))
}

const PREFIX: &[u8] = b"-> ";
const COLUMNS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stanza(tag: &str, args: &[&str], body: &[u8]) -> Stanza {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        Stanza { tag: tag.to_owned(), args, body: body.to_vec() }
    }

    #[test]
    fn bodies_end_in_a_short_line_even_when_empty() {
        let mut out = Vec::new();
        write_stanza(&mut out, &stanza("X25519", &["share"], &[0; 48]));
        let full = "A".repeat(64);
        assert_eq!(out, format!("-> X25519 share\n{full}\n\n").as_bytes());
        let mut out = Vec::new();
        write_stanza(&mut out, &stanza("done", &[], b""));
        assert_eq!(out, b"-> done\n\n");
    }

    #[test]
    fn input_that_stops_short_is_incomplete() {
        let mut whole = Vec::new();
        write_stanza(&mut whole, &stanza("kind", &["a", "b"], &[7; 100]));
        for length in 0..whole.len() {
            assert_eq!(parse_stanza(&whole[..length]).unwrap(), None, "{length} bytes");
        }
        assert_eq!(parse_stanza(&whole).unwrap().unwrap().1, b"");
    }

    #[test]
    fn what_the_specification_forbids_is_refused() {
        let long = format!("-> x\n{}\n\n", "A".repeat(65));
        for (text, error) in [
            ("--> x\n\n", StanzaError::NoArrow),
            ("->x\n\n", StanzaError::NoArrow),
            ("-> \n\n", StanzaError::Argument),
            ("-> x \n\n", StanzaError::Argument),
            ("-> x  y\n\n", StanzaError::Argument),
            ("-> x\ty\n\n", StanzaError::Argument),
            ("-> x\r\n\r\n", StanzaError::Argument),
            ("-> é\n\n", StanzaError::Argument),
            (long.as_str(), StanzaError::LongLine),
            ("-> x\nAA==\n", StanzaError::Base64),
            ("-> x\nAB\n", StanzaError::Base64),
            ("-> x\nA\n", StanzaError::Base64),
            ("-> x\nA A\n", StanzaError::Base64),
        ] {
            assert_eq!(parse_stanza(text.as_bytes()).unwrap_err(), error, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn parsing_reads_what_was_printed(
            tag in "[!-~]{1,12}",
            args in prop::collection::vec("[!-~]{1,80}", 0..4),
            body in prop::collection::vec(any::<u8>(), 0..300),
            after in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let stanza = Stanza { tag, args, body };
            let mut text = Vec::new();
            write_stanza(&mut text, &stanza);
            text.extend_from_slice(&after);
            let (parsed, rest) = parse_stanza(&text).unwrap().unwrap();
            prop_assert_eq!(parsed, stanza);
            prop_assert_eq!(rest, after.as_slice());
        }

        #[test]
        fn printing_gives_what_was_parsed(
            text in "-> [ -~]{0,20}\n([A-Za-z0-9+/=]{64}\n){0,2}[A-Za-z0-9+/=]{0,8}\n",
        ) {
            if let Ok(Some((stanza, rest))) = parse_stanza(text.as_bytes()) {
                let mut out = Vec::new();
                write_stanza(&mut out, &stanza);
                out.extend_from_slice(rest);
                prop_assert_eq!(out, text.into_bytes());
            }
        }
    }
}
