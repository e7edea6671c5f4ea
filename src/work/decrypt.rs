//! Decrypting what comes as a stream: an age file piece by piece, a sops file as a whole. What it
//! is, its content tells. Knows no rules.

use std::io::{self, BufRead, Cursor, ErrorKind, Read, Write};
use std::path::Path;

use super::Problem;
use super::secret::decrypt_stream;
use super::sops::{self, MAX_FILE};
use crate::format::age::{AgeError, Encrypted};
use crate::format::keys::Keys;
use crate::format::sops::file::{MacCheck, SopsError, Writer};
use crate::format::sops::store::Store;
use crate::plaintext::Plaintext;

/// How a sops file is read and written.
#[derive(Debug, Clone, Copy)]
pub struct Kinds<'a> {
    /// What the user says it is.
    pub input: Option<Store>,
    /// The name, which tells it otherwise; where there is none, the content does.
    pub name: Option<&'a Path>,
    /// What its document is printed as; else as what it is.
    pub output: Option<Store>,
    /// How it is printed.
    pub writer: Writer,
}

/// Decrypts to a sink. Of an age file, what has been written is authentic even when this fails;
/// of a sops file, nothing has been written then.
///
/// # Errors
/// [`Problem`] for the file that `name` names.
pub fn decrypt(
    mut source: impl BufRead,
    name: &str,
    kinds: &Kinds<'_>,
    keys: &mut Keys<'_>,
    sink: &mut dyn Write,
) -> Result<(), Problem> {
    let begin = beginning(&mut source).map_err(AgeError::Read)?;
    let is_age = is_age(&begin);
    let mut source = Cursor::new(begin).chain(source);
    if is_age {
        if kinds.output.is_some() {
            return Err(Problem::NotSops);
        }
        return decrypt_stream(source, name, &mut keys.keyring, sink);
    }
    let text = Plaintext::read_from(&mut source, MAX_FILE).map_err(|error| {
        let large = error.kind() == ErrorKind::FileTooLarge;
        if large { Problem::NotEncrypted } else { AgeError::Read(error).into() }
    })?;
    not_age(&text)?;
    let by_name = || kinds.name.map(|name| sops::store_of(name, &text));
    let named = kinds.input.or_else(by_name).map(|store| (store, true));
    let (store, is_sops) = named.unwrap_or_else(|| guess(&text));
    let file = sops::parse(text, store).map_err(|problem| {
        let plain = !is_sops && matches!(problem, Problem::Sops(SopsError::Parse(_)));
        if plain { Problem::NotEncrypted } else { problem }
    })?;
    let unlocked = sops::unlock(file, keys, MacCheck::Verify)?;
    let output = kinds.output.unwrap_or(store);
    let document = unlocked.opened.document(&kinds.writer, output).map_err(Problem::Sops)?;
    sops::write(&document, sink).map_err(|error| AgeError::Write(error).into())
}

/// What a file begins with: enough to tell what it is.
fn beginning(source: &mut dyn BufRead) -> io::Result<Vec<u8>> {
    let mut begin = Vec::new();
    loop {
        let piece = match source.fill_buf() {
            Ok(piece) => piece,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let length = piece.len();
        begin.extend_from_slice(piece);
        source.consume(length);
        if length == 0 || begin.trim_ascii_start().len() >= ENOUGH || begin.len() > MOST {
            return Ok(begin);
        }
    }
}

fn is_age(begin: &[u8]) -> bool {
    let begin = begin.trim_ascii_start();
    // Armor, though perhaps a damaged one, unless it is the mark of a YAML document.
    let marked = begin.strip_prefix(b"---").map(|behind| behind.first());
    let yaml = marked.is_some_and(|next| next.is_none_or(u8::is_ascii_whitespace));
    begin.starts_with(b"age-encryption.org/") || (begin.starts_with(b"-") && !yaml)
}

/// Armor that does not begin the file is told of, as ever.
#[expect(clippy::disallowed_methods, reason = "looked at as an age file, which it is not")]
fn not_age(text: &Plaintext) -> Result<(), Problem> {
    match Encrypted::read(text.expose()) {
        Err(error @ AgeError::Armor(_)) if !text.expose().starts_with(b"-") => Err(error.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What a document without a name is, and whether it may be one of sops: JSON begins with a brace,
/// and YAML is most of the rest.
#[expect(clippy::disallowed_methods, reason = "the first character tells what a document is")]
fn guess(text: &Plaintext) -> (Store, bool) {
    let bytes = text.expose();
    let is_sops = bytes.windows(4).any(|word| word == b"sops");
    if bytes.trim_ascii_start().first() == Some(&b'{') {
        return (Store::Json, is_sops);
    }
    match sops::store_of(Path::new(""), text) {
        Store::Binary => (Store::Yaml, is_sops),
        known @ (Store::Yaml | Store::Json | Store::Dotenv | Store::Ini) => (known, true),
    }
}

/// Bytes that tell an age file.
const ENOUGH: usize = 64;
/// Blanks that are looked through.
const MOST: usize = 64 * 1024;
