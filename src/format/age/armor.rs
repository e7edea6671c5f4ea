//! The ASCII armor of age files (C2SP `age.md`, "ASCII armor"): strict PEM, LF or CRLF, with
//! white space allowed only around the whole.

use std::io::{self, BufRead, Read, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// First line.
pub(crate) const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";
/// Bytes in a full line of 64 columns.
const LINE: usize = 48;
/// White space that may stand before the first line.
pub(crate) const LEADING: usize = 1024;

/// Why an armored file is not well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArmorError {
    /// Line number, from 1, counted from the first line of the armor.
    pub line: usize,
    /// What is wrong, a clause.
    pub what: &'static str,
}

impl std::fmt::Display for ArmorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "armor line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for ArmorError {}

/// Decodes armor while reading. Errors of the armor are [`ArmorError`] inside `InvalidData`.
pub(crate) struct ArmorReader<R> {
    inner: R,
    line: usize,
    decoded: Vec<u8>,
    position: usize,
    state: State,
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum State {
    Begin,
    Body,
    /// A short line was read: only the end may follow.
    Short,
    Done,
}

impl<R: BufRead> ArmorReader<R> {
    /// `inner` begins with [`BEGIN`], leading white space skipped.
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, line: 0, decoded: Vec::new(), position: 0, state: State::Begin }
    }

    fn next_line(&mut self) -> io::Result<()> {
        let mut raw = Vec::with_capacity(80);
        // A line has at most 64 columns and a line end; one byte more shows that it is too long.
        (&mut self.inner).take(80).read_until(b'\n', &mut raw)?;
        self.line = self.line.saturating_add(1);
        let ended = raw.ends_with(b"\n");
        let line = raw.strip_suffix(b"\n").unwrap_or(&raw);
        let line = if ended { line.strip_suffix(b"\r").unwrap_or(line) } else { line };
        match self.state {
            State::Begin if line == BEGIN.as_bytes() && ended => self.state = State::Body,
            State::Begin => return self.error("the first line is not the one of an age file"),
            State::Body | State::Short if line == END.as_bytes() => {
                self.state = State::Done;
                return self.only_white_space_follows();
            }
            State::Short => return self.error("text follows a line that is not full"),
            State::Body if raw.is_empty() => return self.error("the end line is missing"),
            State::Body if line.is_empty() => return self.error("the line is empty"),
            State::Body if line.len() > 64 => {
                return self.error("the line has more than 64 columns");
            }
            State::Body if !ended => return self.error("the end line is missing"),
            State::Body => {
                self.position = 0;
                self.decoded.clear();
                if BASE64_STANDARD.decode_vec(line, &mut self.decoded).is_err() {
                    return self.error("the text is not canonical Base64");
                }
                if self.decoded.len() < LINE {
                    self.state = State::Short;
                }
            }
            State::Done => {}
        }
        Ok(())
    }

    fn only_white_space_follows(&mut self) -> io::Result<()> {
        loop {
            let rest = self.inner.fill_buf()?;
            let length = rest.len();
            if length == 0 {
                return Ok(());
            }
            if !rest.iter().all(u8::is_ascii_whitespace) {
                return self.error("text follows the end line");
            }
            self.inner.consume(length);
        }
    }

    fn error(&self, what: &'static str) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::InvalidData, ArmorError { line: self.line, what }))
    }
}

impl<R: BufRead> Read for ArmorReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position >= self.decoded.len() {
            if self.state == State::Done {
                return Ok(0);
            }
            self.decoded.clear();
            self.position = 0;
            self.next_line()?;
        }
        let ready = self.decoded.get(self.position..).unwrap_or_default();
        let n = ready.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..n), ready.get(..n)) {
            to.copy_from_slice(from);
        }
        self.position = self.position.saturating_add(n);
        Ok(n)
    }
}

/// Encodes while writing; [`ArmorWriter::finish`] writes the end line.
pub(crate) struct ArmorWriter<'a> {
    inner: &'a mut dyn Write,
    pending: Vec<u8>,
}

impl<'a> ArmorWriter<'a> {
    /// Writes the first line.
    pub(crate) fn new(inner: &'a mut dyn Write) -> io::Result<Self> {
        writeln!(inner, "{BEGIN}")?;
        Ok(Self { inner, pending: Vec::with_capacity(LINE) })
    }

    /// Writes what is left and the last line.
    pub(crate) fn finish(self) -> io::Result<()> {
        if !self.pending.is_empty() {
            writeln!(self.inner, "{}", BASE64_STANDARD.encode(&self.pending))?;
        }
        writeln!(self.inner, "{END}")
    }
}

impl Write for ArmorWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        let mut text = String::with_capacity(bytes.len().saturating_mul(3) / 2);
        if !self.pending.is_empty() {
            let room = LINE.saturating_sub(self.pending.len()).min(rest.len());
            let (head, tail) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            self.pending.extend_from_slice(head);
            rest = tail;
            if self.pending.len() == LINE {
                BASE64_STANDARD.encode_string(&self.pending, &mut text);
                text.push('\n');
                self.pending.clear();
            }
        }
        let lines = rest.chunks_exact(LINE);
        self.pending.extend_from_slice(lines.remainder());
        for line in lines {
            BASE64_STANDARD.encode_string(line, &mut text);
            text.push('\n');
        }
        self.inner.write_all(text.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_round_trips_in_any_pieces() {
        for length in 0..200_u8 {
            let bytes: Vec<u8> = (0..length).collect();
            for piece in [1, 7, 48, 200] {
                let mut text = Vec::new();
                let mut writer = ArmorWriter::new(&mut text).unwrap();
                for part in bytes.chunks(piece) {
                    writer.write_all(part).unwrap();
                }
                writer.finish().unwrap();
                let mut back = Vec::new();
                ArmorReader::new(text.as_slice()).read_to_end(&mut back).unwrap();
                assert_eq!(back, bytes);
            }
        }
    }
}
