//! The age v1 container (C2SP `age.md`): header, payload, armor. Opening needs a file key, which
//! `key` finds; sealing takes the stanzas that `key` made.

pub mod armor;
pub mod header;
pub mod readers;
pub mod stream;

use std::io::{self, BufRead, BufReader, Read, Write};

use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};

pub use armor::ArmorError;
use armor::{ArmorReader, ArmorWriter};
pub use header::Header;
pub use stream::StreamError;

use crate::key;
use crate::plaintext::Plaintext;

/// An age file of which the header has been read.
pub struct Encrypted<'a> {
    /// The header, its MAC not yet checked.
    pub header: Header,
    /// Whether the file is armored.
    pub armored: bool,
    payload: Box<dyn BufRead + 'a>,
}

impl<'a> Encrypted<'a> {
    /// Reads the header of a binary or armored age file.
    ///
    /// # Errors
    /// [`AgeError`] of the kinds `NotAge`, `Header`, `Armor` and `Read`.
    pub fn read(mut source: impl BufRead + 'a) -> Result<Self, AgeError> {
        let armored = begins_armored(&mut source).map_err(AgeError::from_read)?;
        let mut payload: Box<dyn BufRead + 'a> = if armored {
            Box::new(BufReader::with_capacity(64 * 1024, ArmorReader::new(source)))
        } else {
            Box::new(source)
        };
        let header = Header::read(&mut payload).map_err(|error| {
            let inside = armored && matches!(error, AgeError::NotAge);
            if inside { AgeError::Header("the armor holds something else") } else { error }
        })?;
        Ok(Self { header, armored, payload })
    }

    /// Decrypts the payload to `sink`. What is written is authentic; all of it is there only
    /// when the result is `Ok`.
    ///
    /// # Errors
    /// [`AgeError`] of the kinds `Mac`, `Header`, `Payload`, `Armor`, `Read` and `Write`.
    pub fn decrypt_to(&mut self, file_key: &FileKey, sink: &mut dyn Write) -> Result<(), AgeError> {
        if !self.header.verify(file_key) {
            return Err(AgeError::Mac);
        }
        stream::open(file_key, &mut self.payload, sink).map_err(AgeError::from)
    }

    /// The bytes behind the header, still encrypted.
    pub fn payload(&mut self) -> &mut dyn Read {
        &mut self.payload
    }

    /// Reads the rest of a small file. `None` where there are more than `limit` bytes.
    ///
    /// # Errors
    /// [`AgeError`] of the kinds `Armor` and `Read`.
    pub fn into_whole(self, limit: u64) -> Result<Option<Whole>, AgeError> {
        let mut payload = Vec::new();
        let read = self.payload.take(limit.saturating_add(1)).read_to_end(&mut payload);
        let read = read.map_err(AgeError::from_read)?;
        Ok((read as u64 <= limit).then_some(Whole { header: self.header, payload }))
    }

    /// Decrypts the whole payload into memory.
    ///
    /// # Errors
    /// As [`Encrypted::decrypt_to`].
    pub fn decrypt(&mut self, file_key: &FileKey) -> Result<Plaintext, AgeError> {
        let mut all = PlaintextSink(Plaintext::default());
        self.decrypt_to(file_key, &mut all)?;
        Ok(all.0)
    }
}

/// An age file that is small enough to be held in memory, still encrypted.
#[derive(Debug)]
pub struct Whole {
    /// The header, its MAC not yet checked.
    pub header: Header,
    payload: Vec<u8>,
}

impl Whole {
    /// The bytes of the file with more stanzas, after the header and every chunk of the payload have
    /// been authenticated; see [`rewrap`].
    ///
    /// # Errors
    /// [`AgeError`] of the kinds `Mac`, `Header` and `Payload`.
    pub fn rewrap<'s>(
        &self,
        file_key: &FileKey,
        added: impl IntoIterator<Item = &'s Stanza>,
        armored: bool,
    ) -> Result<Vec<u8>, AgeError> {
        let header = self.header.extend(readers::STANZA, added, file_key)?;
        stream::open(file_key, &mut self.payload.as_slice(), &mut io::sink())?;
        let mut bytes = Vec::with_capacity(header.len().saturating_add(self.payload.len()));
        write_file(&header, armored, &mut bytes, |sink| {
            sink.write_all(&self.payload).map_err(AgeError::Write)
        })?;
        Ok(bytes)
    }

    /// Decrypts the payload.
    ///
    /// # Errors
    /// [`AgeError`] of the kinds `Mac`, `Header` and `Payload`.
    pub fn decrypt(&self, file_key: &FileKey) -> Result<Plaintext, AgeError> {
        if !self.header.verify(file_key) {
            return Err(AgeError::Mac);
        }
        let mut all = PlaintextSink(Plaintext::with_capacity(self.payload.len()));
        stream::open(file_key, &mut self.payload.as_slice(), &mut all)?;
        Ok(all.0)
    }
}

/// Encrypts `source` under a new file key's stanzas.
///
/// # Errors
/// [`AgeError::Read`] and [`AgeError::Write`].
pub fn seal(
    file_key: &FileKey,
    stanzas: &[Stanza],
    armored: bool,
    source: &mut dyn Read,
    sink: &mut dyn Write,
) -> Result<(), AgeError> {
    let mut nonce = [0; stream::NONCE];
    key::fill_random(&mut nonce).map_err(AgeError::Read)?;
    let header = Header::print(stanzas, file_key)?;
    write_file(&header, armored, sink, |mut sink| {
        stream::seal(file_key, &nonce, source, &mut sink).map_err(AgeError::from)
    })
}

/// Writes a header with more stanzas, and the payload bytes as they are. A list of readers must be
/// among those added where there is to be one: the old one goes. Only for a file whose payload has been
/// checked under the same file key.
///
/// # Errors
/// [`AgeError`] of the kinds `Mac`, `Read` and `Write`.
pub fn rewrap<'s>(
    file_key: &FileKey,
    header: &Header,
    added: impl IntoIterator<Item = &'s Stanza>,
    armored: bool,
    payload: &mut dyn Read,
    sink: &mut dyn Write,
) -> Result<(), AgeError> {
    let header = header.extend(readers::STANZA, added, file_key)?;
    write_file(&header, armored, sink, |sink| {
        io::copy(payload, sink).map(drop).map_err(AgeError::Write)
    })
}

/// A random file key.
///
/// # Errors
/// When the system has no random bytes to give.
pub fn new_file_key() -> io::Result<FileKey> {
    let mut bytes = Box::new([0; FILE_KEY_BYTES]);
    key::fill_random(bytes.as_mut_slice())?;
    Ok(FileKey::new(bytes))
}

fn write_file(
    header: &[u8],
    armored: bool,
    sink: &mut dyn Write,
    payload: impl FnOnce(&mut dyn Write) -> Result<(), AgeError>,
) -> Result<(), AgeError> {
    if armored {
        let mut armor = ArmorWriter::new(sink).map_err(AgeError::Write)?;
        armor.write_all(header).map_err(AgeError::Write)?;
        payload(&mut armor)?;
        armor.finish().map_err(AgeError::Write)
    } else {
        sink.write_all(header).map_err(AgeError::Write)?;
        payload(sink)
    }
}

/// Skips white space before armor; leaves a binary file untouched.
fn begins_armored(source: &mut dyn BufRead) -> io::Result<bool> {
    let start = source.fill_buf()?;
    if start.first() == Some(&b'a') {
        return Ok(false);
    }
    let mut skipped = 0_usize;
    loop {
        let start = source.fill_buf()?;
        let blank = start.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if blank == 0 {
            let marker = armor::BEGIN.as_bytes();
            // In the metadata of sops, armor stands inside of a line.
            let mut lines = start.split(|byte| *byte == b'\n');
            if start.first() != Some(&b'-') && lines.any(|line| line.starts_with(marker)) {
                let what = "text stands before the first line of the armor";
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    ArmorError { line: 0, what },
                ));
            }
            return Ok(start.first() == Some(&b'-') && !begins_yaml(start) && !begins_key(start));
        }
        skipped = skipped.saturating_add(blank);
        if skipped > armor::LEADING {
            return Ok(false);
        }
        source.consume(blank);
    }
}

/// The mark before a document of YAML, which a sops file may begin with.
fn begins_yaml(start: &[u8]) -> bool {
    let behind = start.strip_prefix(b"---");
    behind.is_some_and(|behind| behind.first().is_none_or(u8::is_ascii_whitespace))
}

/// Armor of something else: a private key in PEM, or a certificate.
fn begins_key(start: &[u8]) -> bool {
    let label = start.strip_prefix(b"-----BEGIN ").unwrap_or_default();
    let words = label.iter().take_while(|byte| byte.is_ascii_uppercase() || **byte == b' ').count();
    words > 0
        && !label.starts_with(b"AGE ")
        && label.get(words..).unwrap_or_default().starts_with(b"-----")
}

struct PlaintextSink(Plaintext);

impl Write for PlaintextSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is wrong with an age file, apart from not having a key for it.
#[derive(Debug)]
pub enum AgeError {
    /// It does not begin as an age file.
    NotAge,
    /// The header breaks a rule; a clause whose subject is the header.
    Header(&'static str),
    /// The armor breaks a rule.
    Armor(ArmorError),
    /// The MAC of the header does not fit the file key: the header was changed.
    Mac,
    /// A chunk of the payload is damaged or missing.
    Payload {
        /// Its number, from 0; it begins at that many times 64 KiB of plaintext.
        chunk: u64,
    },
    /// The source could not be read.
    Read(io::Error),
    /// The destination could not be written.
    Write(io::Error),
}

impl AgeError {
    fn from_read(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<ArmorError>()) {
            Some(armor) => Self::Armor(armor.clone()),
            None => Self::Read(error),
        }
    }
}

impl From<StreamError> for AgeError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::NoNonce => Self::Header("nothing follows it: the file is cut short"),
            StreamError::Chunk { number } => Self::Payload { chunk: number },
            StreamError::Read(error) => Self::from_read(error),
            StreamError::Write(error) => Self::Write(error),
        }
    }
}

impl std::fmt::Display for AgeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotAge => f.write_str("it is not an age file"),
            Self::Header(what) => write!(f, "its age header is broken: {what}"),
            Self::Armor(error) => write!(f, "its armor is broken: {error}"),
            Self::Mac => f.write_str("its header was changed after it was written (bad MAC)"),
            Self::Payload { chunk } => {
                write!(f, "its content is damaged or cut short at chunk {chunk} (64 KiB each)")
            }
            Self::Read(error) => write!(f, "it cannot be read: {error}"),
            Self::Write(error) => write!(f, "the output cannot be written: {error}"),
        }
    }
}

impl std::error::Error for AgeError {}
