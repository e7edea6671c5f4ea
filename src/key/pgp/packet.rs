//! Packets of PGP and what they are made of (RFC 9580, sections 3 and 4), and their armor
//! (section 6). Knows no meaning of any packet. All lengths are checked against what is there.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

/// What is wrong with the form; a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

/// A packet, its parts put together.
pub(super) struct Packet {
    pub(super) tag: u8,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// Bytes that are read from the front.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CUT)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(CUT)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    /// A number of any size: its length in bits, then its bytes.
    pub(super) fn number(&mut self) -> Result<&'a [u8], Malformed> {
        let bits = u16::from_be_bytes(self.array()?);
        self.take(usize::from(bits).div_ceil(8))
    }

    /// The next packet; `None` at the end.
    pub(super) fn packet(&mut self) -> Result<Option<Packet>, Malformed> {
        let Ok(head) = self.byte() else { return Ok(None) };
        if head & 0x80 == 0 {
            return Err(Malformed("it holds something that is no packet"));
        }
        if head & 0x40 == 0 {
            let length = match head & 3 {
                0 => usize::from(self.byte()?),
                1 => usize::from(u16::from_be_bytes(self.array()?)),
                2 => self.long()?,
                _ => self.0.len(),
            };
            let body = Zeroizing::new(self.take(length)?.to_vec());
            return Ok(Some(Packet { tag: head >> 2 & 0x0f, body }));
        }
        let mut parts = Vec::new();
        loop {
            let (length, is_last) = match self.byte()? {
                short @ ..192 => (usize::from(short), true),
                high @ 192..224 => {
                    let high = usize::from(high).saturating_sub(192) << 8;
                    let length = high.saturating_add(usize::from(self.byte()?)).saturating_add(192);
                    (length, true)
                }
                255 => (self.long()?, true),
                part => (1 << (part & 0x1f), false),
            };
            parts.push(self.take(length)?);
            if is_last {
                let body = Zeroizing::new(parts.concat());
                return Ok(Some(Packet { tag: head & 0x3f, body }));
            }
        }
    }

    fn long(&mut self) -> Result<usize, Malformed> {
        usize::try_from(u32::from_be_bytes(self.array()?)).map_err(|_| CUT)
    }
}

/// The binary form of all armored blocks of this kind. Checksums do not count, as the standard has it:
/// what is in there is protected better, or not at all.
pub(super) fn dearmor(text: &str, kind: &str) -> Result<Zeroizing<Vec<u8>>, Malformed> {
    let mut binary = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    let begin = format!("-----BEGIN PGP {kind}-----");
    let end = format!("-----END PGP {kind}-----");
    while let Some((_, block)) = rest.split_once(begin.as_str()) {
        let (block, behind) = block.split_once(end.as_str()).ok_or(CUT)?;
        rest = behind;
        let lines = block.lines().map(str::trim).skip(1).skip_while(|line| !line.is_empty());
        let mut digits = Zeroizing::new(String::with_capacity(block.len()));
        for line in lines.take_while(|line| !line.starts_with('=')) {
            digits.push_str(line);
        }
        let mut bytes = Zeroizing::new(vec![0; digits.len()]);
        let length = BASE64_STANDARD
            .decode_slice(digits.as_bytes(), &mut bytes)
            .map_err(|_| Malformed("its armor is damaged"))?;
        binary.extend_from_slice(bytes.get(..length).unwrap_or_default());
    }
    if binary.is_empty() { Err(Malformed("it holds nothing")) } else { Ok(binary) }
}

const CUT: Malformed = Malformed("it is cut short");

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<(u8, Vec<u8>)>, Malformed> {
        let mut reader = Reader::new(bytes);
        let mut packets = Vec::new();
        while let Some(packet) = reader.packet()? {
            packets.push((packet.tag, packet.body.to_vec()));
        }
        Ok(packets)
    }

    #[test]
    fn lengths_in_every_form() {
        assert_eq!(all(&[0xCB, 1, 7, 0xAC, 2, 8, 9]), Ok(vec![(11, vec![7]), (11, vec![8, 9])]));
        assert_eq!(
            all(&[0xAD, 0, 1, 7, 0xAE, 0, 0, 0, 1, 8]),
            Ok(vec![(11, vec![7]), (11, vec![8])])
        );
        assert_eq!(all(&[0xA3, 1, 2, 3]), Ok(vec![(8, vec![1, 2, 3])]), "without a length");
        assert_eq!(all(&[0xD2, 0xE1, 1, 2, 0xE0, 3, 0]), Ok(vec![(18, vec![1, 2, 3])]), "in parts");
        let mut long = vec![0xCB, 192, 8];
        long.extend([5; 200]);
        assert_eq!(all(&long), Ok(vec![(11, vec![5; 200])]));
        for cut in
            [&[0xCB][..], &[0xCB, 2, 1], &[0xD2, 0xE1, 1, 2], &[0xCB, 255, 255, 255, 255, 255]]
        {
            assert_eq!(all(cut), Err(CUT));
        }
        assert!(all(&[0x12]).is_err());
    }

    #[test]
    fn armor_with_and_without_a_checksum() {
        for tail in ["", "=AAAA\n", "=wrong\n"] {
            let text = format!(
                "-----BEGIN PGP MESSAGE-----\r\nComment: x\r\n\r\nAQID\nBA==\n{tail}-----END PGP MESSAGE-----"
            );
            assert_eq!(dearmor(&text, "MESSAGE").unwrap().to_vec(), [1, 2, 3, 4]);
            assert!(dearmor(&text[..text.len() - 5], "MESSAGE").is_err());
            let twice = format!("{text}\n{text}\n");
            assert_eq!(dearmor(&twice, "MESSAGE").unwrap().len(), 8);
        }
        assert!(dearmor("", "MESSAGE").is_err());
        let damaged = "-----BEGIN PGP MESSAGE-----\n\nA-ID\n-----END PGP MESSAGE-----";
        assert!(dearmor(damaged, "MESSAGE").is_err());
    }
}
