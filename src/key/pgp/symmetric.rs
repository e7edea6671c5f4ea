//! The symmetric half of PGP: bodies of encrypted packets to what is in them, with every byte
//! checked before any is looked at. CFB with its checksum (RFC 9580, section 5.13.1), and OCB in the
//! packet of `gpg` (draft-koch-librepgp, section 5.16).

use aes_gcm::aes::cipher::{Block, BlockDecrypt, BlockEncrypt, BlockSizeUser, KeyInit};
use aes_gcm::aes::{Aes128, Aes192, Aes256};
use aes_kw::{KekAes128, KekAes192, KekAes256};
use des::TdesEde3;
use ocb3::Ocb3;
use ocb3::aead::AeadInPlace;
use ocb3::aead::consts::{U15, U16};
use sha1::{Digest, Sha1};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A cipher by its number in PGP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cipher {
    TripleDes,
    Aes128,
    Aes192,
    Aes256,
}

type Clear = Zeroizing<Vec<u8>>;

impl Cipher {
    pub(super) fn of(number: u8) -> Option<Self> {
        match number {
            2 => Some(Self::TripleDes),
            7 => Some(Self::Aes128),
            8 => Some(Self::Aes192),
            9 => Some(Self::Aes256),
            _ => None,
        }
    }

    pub(super) fn number(self) -> u8 {
        match self {
            Self::TripleDes => 2,
            Self::Aes128 => 7,
            Self::Aes192 => 8,
            Self::Aes256 => 9,
        }
    }

    pub(super) fn key_length(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::TripleDes | Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }

    /// What is in a packet of tag 18 behind its version.
    pub(super) fn checked(self, key: &[u8], body: &[u8]) -> Option<Clear> {
        let (clear, block) = match self {
            Self::TripleDes => (cfb::<TdesEde3>(key, body)?, 8),
            Self::Aes128 => (cfb::<Aes128>(key, body)?, 16),
            Self::Aes192 => (cfb::<Aes192>(key, body)?, 16),
            Self::Aes256 => (cfb::<Aes256>(key, body)?, 16),
        };
        let (hashed, sum) = clear.split_last_chunk::<20>()?;
        let actual: [u8; 20] = Sha1::digest(hashed).into();
        let (content, mark) = hashed.split_last_chunk::<2>()?;
        let is_whole = actual.ct_eq(sum) & mark.ct_eq(&[0xD3, 0x14]);
        // A block of random bytes goes before, and two of them again.
        let content = content.get(block..)?.get(2..)?;
        bool::from(is_whole).then(|| Zeroizing::new(content.to_vec()))
    }

    /// What is in a packet of tag 20 behind its version, cipher, mode and size of pieces.
    pub(super) fn ocb(self, key: &[u8], size: u8, body: &[u8]) -> Option<Clear> {
        let head = [0xD4, 1, self.number(), 2, size];
        match self {
            Self::TripleDes => None,
            Self::Aes128 => ocb::<Aes128>(key, head, body),
            Self::Aes192 => ocb::<Aes192>(key, head, body),
            Self::Aes256 => ocb::<Aes256>(key, head, body),
        }
    }
}

fn cfb<C: BlockEncrypt + KeyInit>(key: &[u8], body: &[u8]) -> Option<Clear> {
    let cipher = C::new_from_slice(key).ok()?;
    let mut clear = Zeroizing::new(body.to_vec());
    let mut mask = Block::<C>::default();
    let pieces = body.chunks(C::block_size());
    for (clear, given) in clear.chunks_mut(C::block_size()).zip(pieces) {
        cipher.encrypt_block(&mut mask);
        clear.iter_mut().zip(&mask).for_each(|(byte, mask)| *byte ^= mask);
        mask.iter_mut().zip(given).for_each(|(mask, byte)| *mask = *byte);
    }
    Some(clear)
}

fn ocb<C>(key: &[u8], head: [u8; 5], body: &[u8]) -> Option<Clear>
where
    C: BlockEncrypt + BlockDecrypt + BlockSizeUser<BlockSize = U16> + KeyInit,
{
    let cipher = Ocb3::<C, U15, U16>::from(C::new_from_slice(key).ok()?);
    let (start, pieces) = body.split_first_chunk::<15>()?;
    let (pieces, last_tag) = pieces.split_last_chunk::<16>()?;
    let open = |index: u64, length: &[u8], clear: &mut [u8], tag: &[u8; 16]| {
        let mut nonce = *start;
        nonce.iter_mut().skip(7).zip(index.to_be_bytes()).for_each(|(byte, index)| *byte ^= index);
        // The head of the packet, where the piece is, and at the end the length of all.
        let told = [&head[..], &index.to_be_bytes(), length].concat();
        let tag = tag.into();
        cipher.decrypt_in_place_detached(&nonce.into(), &told, clear, tag).ok()
    };
    let [.., size @ ..=16] = head else { return None };
    let mut clear = Zeroizing::new(Vec::with_capacity(pieces.len()));
    let mut count = 0_u64;
    for piece in pieces.chunks((64_usize << size).saturating_add(16)) {
        let (given, tag) = piece.split_last_chunk::<16>()?;
        let at = clear.len();
        clear.extend_from_slice(given);
        open(count, &[], clear.get_mut(at..)?, tag)?;
        count = count.checked_add(1)?;
    }
    let length = u64::try_from(clear.len()).ok()?;
    open(count, &length.to_be_bytes(), &mut [], last_tag)?;
    Some(clear)
}

/// Opens a key that is wrapped in another (RFC 3394).
pub(super) fn unwrap_key(cipher: Cipher, kek: &[u8], wrapped: &[u8]) -> Option<Clear> {
    // Three halves of a block at least, and an even number of them.
    if wrapped.len() < 24 || !wrapped.len().is_multiple_of(8) {
        return None;
    }
    let mut key = Zeroizing::new(vec![0; wrapped.len().checked_sub(8)?]);
    match cipher {
        Cipher::TripleDes => return None,
        Cipher::Aes128 => KekAes128::try_from(kek).ok()?.unwrap(wrapped, &mut key).ok()?,
        Cipher::Aes192 => KekAes192::try_from(kek).ok()?.unwrap(wrapped, &mut key).ok()?,
        Cipher::Aes256 => KekAes256::try_from(kek).ok()?.unwrap(wrapped, &mut key).ok()?,
    }
    Some(key)
}
