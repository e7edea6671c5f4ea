//! Messages of PGP that hold the data key of a sops file, opened without `gpg` (RFC 9580,
//! section 10.3). Only what is protected against changes is opened, and nothing of it is looked at before
//! that is checked. What comes from outside is bounded: how often a private key is used, how far a
//! content unpacks, and how deep it is packed.

use std::fmt;
use std::io::Read;

use zeroize::Zeroizing;

use super::packet::{Malformed, Reader, dearmor};
use super::secret::{Fingerprint, SecretKey, Session};
use crate::plaintext::Plaintext;

/// How often private keys may still be used for what one file holds.
#[derive(Debug)]
pub struct Work(u8);

impl Default for Work {
    fn default() -> Self {
        Self(MOST_WORK)
    }
}

/// Opens an armored message with one of these keys.
///
/// # Errors
/// [`OpenError`]. Where a key gives nothing, and where what it gives does not open the message, it is
/// the same one.
pub fn open(message: &str, keys: &[SecretKey], work: &mut Work) -> Result<Plaintext, OpenError> {
    if message.len() > MOST_CONTENT {
        return Err(Malformed("it is longer than a data key takes").into());
    }
    let binary = dearmor(message, "MESSAGE")?;
    let mut packets = Reader::new(&binary);
    let mut sessions = Vec::new();
    let (mut wanted, mut fits) = (Vec::new(), false);
    while let Some(packet) = packets.packet()? {
        let body = packet.body.as_slice();
        match packet.tag {
            1 => {
                let mut reader = Reader::new(body);
                // Another version is for a key of another version.
                if reader.byte()? != 3 {
                    continue;
                }
                let id: [u8; 8] = reader.array()?;
                let algorithm = reader.byte()?;
                if wanted.len() < 8 && !wanted.contains(&id) {
                    wanted.push(id);
                }
                // Nobody's number means that it is not said.
                let ours = |key: &&SecretKey| id == [0; 8] || key.fingerprint.key_id() == id;
                for key in keys.iter().filter(ours) {
                    fits = true;
                    work.0 = work.0.checked_sub(1).ok_or(OpenError::TooMuchWork)?;
                    sessions.extend(key.session(algorithm, reader));
                }
            }
            9 => return Err(OpenError::Unprotected),
            18 | 20 if wanted.is_empty() => {
                return Err(Malformed("it is for no key of a kind that is known").into());
            }
            18 | 20 if !fits => {
                let here = keys.iter().map(|key| key.fingerprint).collect();
                return Err(OpenError::NoKey { wanted, here });
            }
            tag @ (18 | 20) => {
                let opened = |session| decrypt(tag, body, session);
                let content = sessions.iter().find_map(opened).ok_or(OpenError::Damaged)?;
                return self::content(&content);
            }
            // A message for a passphrase too, a marker, or filling.
            3 | 10 | 21 => {}
            _ => return Err(Malformed("it is no encrypted message").into()),
        }
    }
    Err(Malformed("it is cut short").into())
}

fn decrypt(tag: u8, body: &[u8], session: &Session) -> Option<Zeroizing<Vec<u8>>> {
    match (tag, body) {
        (18, [1, body @ ..]) => session.cipher.checked(&session.key, body),
        // The cipher is told twice, and OCB is 2.
        (20, [1, cipher, 2, size, body @ ..]) if *cipher == session.cipher.number() => {
            session.cipher.ocb(&session.key, *size, body)
        }
        _ => None,
    }
}

/// What the packets in a message hold, of which one is literal, or packed and literal in that.
///
/// # Errors
/// [`OpenError::Malformed`].
pub fn content(packets: &[u8]) -> Result<Plaintext, OpenError> {
    literal(packets, true)
}

fn literal(packets: &[u8], may_unpack: bool) -> Result<Plaintext, OpenError> {
    let mut packets = Reader::new(packets);
    while let Some(packet) = packets.packet()? {
        match packet.tag {
            8 if may_unpack => return literal(&unpack(&packet.body)?, false),
            11 => {
                let mut reader = Reader::new(&packet.body);
                let [_, name] = reader.array()?;
                reader.take(usize::from(name).saturating_add(4))?;
                return Ok(Plaintext::copy_of(reader.rest()));
            }
            // Signatures, which sops does not make, a marker, or filling.
            2 | 4 | 10 | 21 => {}
            _ => break,
        }
    }
    Err(Malformed("what is in it is no content").into())
}

fn unpack(packed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (way, packed) = packed.split_first().ok_or(Malformed("it is cut short"))?;
    let mut content = Zeroizing::new(Vec::with_capacity(MOST_CONTENT.saturating_add(1)));
    let mut read = |packed: &mut dyn Read| packed.take(MOST_UNPACKED).read_to_end(&mut content);
    let read = match way {
        0 => read(&mut &*packed),
        1 => read(&mut flate2::read::DeflateDecoder::new(packed)),
        2 => read(&mut flate2::read::ZlibDecoder::new(packed)),
        3 => read(&mut bzip2::read::BzDecoder::new(packed)),
        _ => return Err(Malformed("what is in it is packed in a way that is not known").into()),
    };
    read.map_err(|_| Malformed("what is in it does not unpack"))?;
    if content.len() > MOST_CONTENT {
        return Err(Malformed("what is in it unpacks to more than a data key takes").into());
    }
    Ok(content)
}

/// Why a message stays closed.
#[derive(Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Its form is wrong.
    Malformed(Malformed),
    /// It can be changed without anybody noticing.
    Unprotected,
    /// It is for other keys.
    NoKey {
        /// The last bytes of their fingerprints.
        wanted: Vec<[u8; 8]>,
        /// The keys that are here.
        here: Vec<Fingerprint>,
    },
    /// The key does not open it, or not all of it is as it was.
    Damaged,
    /// It takes more than a file may.
    TooMuchWork,
}

impl From<Malformed> for OpenError {
    fn from(what: Malformed) -> Self {
        Self::Malformed(what)
    }
}

impl OpenError {
    /// What to do about it.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::NoKey { .. } => None,
            Self::Unprotected => Some(
                "make its data key anew where it can be opened: `secretctl rotate`, with gpg 2.2.8 or newer",
            ),
            Self::Malformed(_) | Self::Damaged | Self::TooMuchWork => Some("restore it from git"),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let broken = "what the file holds for this key is broken";
        match self {
            Self::Malformed(Malformed(what)) => write!(f, "{broken}: {what}"),
            Self::Damaged => write!(
                f,
                "{broken}: it was changed, cut, made for another key or in a way that is not known"
            ),
            Self::TooMuchWork => write!(f, "{broken}: it takes more work than a file may"),
            Self::Unprotected => f.write_str(
                "what the file holds for this key has no protection against changes (no MDC) and is not \
                 opened",
            ),
            Self::NoKey { wanted, here } => {
                let wanted: Vec<String> = wanted.iter().map(hex::encode_upper).collect();
                write!(f, "no identity fits: it is for the PGP key {}", wanted.join(", "))?;
                if here.is_empty() {
                    return f.write_str(", and there is none here");
                }
                let here: Vec<String> = here.iter().map(Fingerprint::to_string).collect();
                write!(f, ", and here is {}", here.join(", "))
            }
        }
    }
}

/// Bytes of a message or of what is in it: a data key or a share of one takes 33, wrapped some hundred.
const MOST_CONTENT: usize = 64 * 1024;
/// One more, where it is found out.
const MOST_UNPACKED: u64 = 64 * 1024 + 1;
/// Each takes milliseconds; a file of people who all have PGP keys takes some ten.
const MOST_WORK: u8 = 64;
