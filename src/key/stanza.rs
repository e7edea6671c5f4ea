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
    let found = split_stanza(input, &mut Zeroizing::new([0; LINE]))?;
    Ok(found.map(|(stanza, rest)| (stanza.to_stanza(), rest)))
}

/// As [`parse_stanza`], without a copy. Each line of the body is decoded into `scratch`.
fn split_stanza<'a>(
    input: &'a [u8],
    scratch: &mut [u8; LINE],
) -> Result<Option<(StanzaRef<'a>, &'a [u8])>, StanzaError> {
    let prefix_seen = PREFIX.len().min(input.len());
    if input.get(..prefix_seen) != PREFIX.get(..prefix_seen) {
        return Err(StanzaError::NoArrow);
    }
    let Some((first, body)) = split_line(input) else { return Ok(None) };
    let words = first.get(PREFIX.len()..).unwrap_or_default();
    if !words.split(|byte| *byte == b' ').all(is_argument) {
        return Err(StanzaError::Argument);
    }
    let words = str::from_utf8(words).map_err(|_| StanzaError::Argument)?;
    let mut rest = body;
    loop {
        let (line, after) = match split_line(rest) {
            Some(split) => split,
            None if rest.len() > COLUMNS => return Err(StanzaError::LongLine),
            None => return Ok(None),
        };
        if line.len() > COLUMNS {
            return Err(StanzaError::LongLine);
        }
        // Full lines hold whole groups, so that each is canonical by itself.
        let decoded = BASE64_STANDARD_NO_PAD.decode_slice(line, scratch);
        decoded.map_err(|_| StanzaError::Base64)?;
        rest = after;
        if line.len() < COLUMNS {
            let body = body.get(..body.len().saturating_sub(rest.len())).unwrap_or_default();
            return Ok(Some((StanzaRef { words, body }, rest)));
        }
    }
}

/// A stanza where it stands; its text has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StanzaRef<'a> {
    words: &'a str,
    /// The lines of Base64, each with its end.
    body: &'a [u8],
}

impl<'a> StanzaRef<'a> {
    /// The type.
    pub fn tag(self) -> &'a str {
        self.words.split(' ').next().unwrap_or_default()
    }

    /// The arguments.
    pub fn args(self) -> impl Iterator<Item = &'a str> {
        self.words.split(' ').skip(1)
    }

    /// The body, decoded into one buffer that never moves.
    pub fn body(self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.body.len());
        for line in self.body.split(|byte| *byte == b'\n') {
            // Nothing is wrong with it: it has been decoded before.
            let _checked = BASE64_STANDARD_NO_PAD.decode_vec(line, &mut body);
        }
        body
    }

    /// The same with memory of its own.
    pub fn to_stanza(self) -> Stanza {
        let args = self.args().map(str::to_owned).collect();
        Stanza { tag: self.tag().to_owned(), args, body: self.body() }
    }
}

/// The stanzas of a header, as their text: parsed headers of many files may be kept at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stanzas {
    text: String,
    marks: Vec<Mark>,
}

/// Where a stanza and its body begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    start: usize,
    body: usize,
}

impl Stanzas {
    /// No stanzas.
    pub const NONE: Self = Self { text: String::new(), marks: Vec::new() };

    /// Reads a text that consists of stanzas.
    ///
    /// # Errors
    /// [`StanzaError`].
    pub fn parse(text: Vec<u8>) -> Result<Self, StanzaError> {
        let mut marks = Vec::with_capacity(text.len() / TYPICAL);
        let mut scratch = [0; LINE];
        let mut rest = text.as_slice();
        while !rest.is_empty() {
            let start = text.len().saturating_sub(rest.len());
            let (stanza, after) = split_stanza(rest, &mut scratch)?.ok_or(StanzaError::Cut)?;
            let behind = after.len().saturating_add(stanza.body.len());
            marks.push(Mark { start, body: text.len().saturating_sub(behind) });
            rest = after;
        }
        let text = String::from_utf8(text).map_err(|_| StanzaError::Argument)?;
        Ok(Self { text, marks })
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = StanzaRef<'_>> + ExactSizeIterator {
        self.texts().map(|(mark, text)| {
            let (words, body) =
                text.split_at_checked(mark.body.saturating_sub(mark.start)).unwrap_or_default();
            let words = words.get(PREFIX.len()..).unwrap_or_default();
            StanzaRef { words: words.trim_end_matches('\n'), body: body.as_bytes() }
        })
    }

    fn texts(&self) -> impl DoubleEndedIterator<Item = (Mark, &str)> + ExactSizeIterator {
        (0..self.marks.len()).map(|index| {
            let mark = self.marks.get(index).copied().unwrap_or(Mark { start: 0, body: 0 });
            let next = self.marks.get(index.saturating_add(1));
            let end = next.map_or(self.text.len(), |next| next.start);
            (mark, self.text.get(mark.start..end).unwrap_or_default())
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// The text, as it was read.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text up to the first stanza of a type, and those of the others behind it.
    pub fn without(&self, tag: &str) -> (&str, impl Iterator<Item = &str>) {
        let is_kept = move |stanza: &StanzaRef<'_>| stanza.tag() != tag;
        let same = self.iter().take_while(is_kept).count();
        let end = self.marks.get(same).map_or(self.text.len(), |mark| mark.start);
        let rest = self.texts().zip(self.iter()).skip(same);
        let rest = rest.filter(move |(_, stanza)| is_kept(stanza)).map(|((_, text), _)| text);
        (self.text.get(..end).unwrap_or_default(), rest)
    }

    /// Adds those of another header.
    pub fn append(&mut self, other: &Self) {
        let before = self.text.len();
        let moved = |mark: &Mark| Mark {
            start: mark.start.saturating_add(before),
            body: mark.body.saturating_add(before),
        };
        self.text.push_str(&other.text);
        self.marks.extend(other.marks.iter().map(moved));
    }
}

/// For tests and measurements: of a stanza with a word that is none, nothing is left.
impl<'s> FromIterator<&'s Stanza> for Stanzas {
    fn from_iter<I: IntoIterator<Item = &'s Stanza>>(stanzas: I) -> Self {
        let mut text = Vec::new();
        for stanza in stanzas {
            write_stanza(&mut text, stanza);
        }
        Self::parse(text).unwrap_or_default()
    }
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
    /// It ends before its short last line.
    Cut,
}

impl StanzaError {
    /// As a clause.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::NoArrow => "a stanza does not begin with `-> `",
            Self::Argument => "an argument of a stanza is empty or not visible ASCII",
            Self::LongLine => "a line in the body of a stanza has more than 64 columns",
            Self::Base64 => "the body of a stanza is not canonical Base64",
            Self::Cut => "a stanza has no short last line",
        }
    }
}

impl fmt::Display for StanzaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for StanzaError {}

fn split_line(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', input)?;
    Some((input.get(..end)?, input.get(end.saturating_add(1)..)?))
}

const PREFIX: &[u8] = b"-> ";
const COLUMNS: usize = 64;
/// Bytes of a full line.
const LINE: usize = 48;
/// Most stanzas have more bytes than this, for which room is made.
const TYPICAL: usize = 96;

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
