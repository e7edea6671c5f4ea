//! Packs: what is covered is found in every form, what is below the floor is not in them.

use proptest::prelude::*;

use super::escape;
use super::matcher::{Hit, What};
use super::needle::{Known, Why};
use super::pack::{FLOOR_BITS, LONGEST_LIFE, Made, Pack, PackError, PackKey, PackSearch, make};
use super::rolling::Rolling;
use crate::plaintext::Plaintext;

const TOKEN: &str = "q7Rk2mVw9ZtB4nXc8LdP3sHy6JfA1gUe5oTi";
const HEX: &str = "4f9a1c7be2d083561b6e90c2a7d85f3390aa41d7c25e08b4";
const SPECIAL: &str = "p&\"4s\\s<w>'0%r$ {d}+/=~`!kX9#vQ2!mZ\u{e9}&&7";

fn known(values: &[&str]) -> Vec<Known> {
    let known = |(number, value): (usize, &&str)| Known {
        file: "a.yaml".to_owned(),
        key_path: format!("key{number}"),
        value: Plaintext::copy_of(value.as_bytes()),
    };
    values.iter().enumerate().map(known).collect()
}

fn made(values: &[&str]) -> Made {
    let mut next = 0_u64;
    let mut random = || {
        next += 1;
        next.to_be_bytes()
    };
    make(known(values), &key(), 1000, 2000, &mut random).unwrap()
}

fn key() -> PackKey {
    PackKey::new([9; 32])
}

/// Indices of the values that are found in `text`, fed in chunks.
fn found(made: &Made, text: &[u8], chunk: usize) -> Vec<String> {
    let pack = Pack::parse(&made.pack, &key(), 1500).unwrap();
    let mut search = PackSearch::new(&pack, &key());
    let mut hits: Vec<Hit> = Vec::new();
    for chunk in text.chunks(chunk) {
        search.feed(chunk, &mut |hit| hits.push(hit));
    }
    search.end(&mut |hit| hits.push(hit));
    let mut names: Vec<String> = hits
        .iter()
        .map(|hit| {
            let What::Fingerprint(id) = hit.what else { unreachable!("only fingerprints") };
            let (_, origins) = made.legend.iter().find(|(own, _)| *own == id).unwrap();
            origins[0].key_path.clone()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn every_form_is_found_by_decoding_the_data() {
    let made = made(&[TOKEN, HEX, SPECIAL]);
    assert_eq!((made.legend.len(), made.uncovered.len()), (3, 0));
    for (number, value) in [TOKEN, HEX, SPECIAL].into_iter().enumerate() {
        let expected = [format!("key{number}")];
        let check = |what: &str, bytes: &[u8]| {
            let mut text = b"lorem ipsum ".repeat(20);
            text.extend_from_slice(bytes);
            text.extend_from_slice(b" lorem ipsum \n");
            assert_eq!(found(&made, &text, 1000), expected, "{what} of {value}");
        };
        check("itself", value.as_bytes());
        for (form, written) in escape::all(value) {
            let text = String::from_utf8_lossy(&written).into_owned();
            // systemd-escape writes a slash as a dash, which nothing can take back
            if text.contains('-') && value.contains('/') && text.contains("\\x") {
                continue;
            }
            check(&format!("{form}: {text}"), &written);
        }
        for upper in [true, false] {
            check("hex", &escape::hex(value.as_bytes(), upper, None));
            check("hex with colons", &escape::hex(value.as_bytes(), upper, Some(b':')));
        }
        for before in ["", "a", "ab"] {
            let text = format!("{before}{value} and more");
            for engine in [
                &base64::engine::general_purpose::STANDARD,
                &base64::engine::general_purpose::URL_SAFE,
            ] {
                let line = base64::Engine::encode(engine, &text);
                check("Base64", line.as_bytes());
                let lines: Vec<&str> =
                    line.as_bytes().chunks(20).map(|it| std::str::from_utf8(it).unwrap()).collect();
                check("Base64 in lines", lines.join("\n").as_bytes());
                check("Base64 in lines in JSON", lines.join("\\n").as_bytes());
            }
        }
    }
}

#[test]
fn the_edges_of_blocks_hide_nothing() {
    let made = made(&[TOKEN]);
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, TOKEN);
    let filler = vec![b'.'; 64 << 10];
    for at in [(64 << 10) - 100, (64 << 10) - 20, (64 << 10) - 1, 63 << 10] {
        let mut text = filler[..at].to_vec();
        text.extend_from_slice(encoded.as_bytes());
        text.extend_from_slice(&filler[..3000]);
        for chunk in [1 << 20, 10_000] {
            assert_eq!(found(&made, &text, chunk), ["key0"], "at {at} by {chunk}");
        }
    }
}

#[test]
fn what_can_be_guessed_is_not_in_a_pack() {
    let weak = ["hunter2-xq9", "q7Rk2mVw9ZtB", "correct horse battery staple orange house", "true"];
    let made = made(&weak);
    assert_eq!(made.legend.len(), 0);
    let why: Vec<Why> = made.uncovered.iter().map(|left| left.why).collect();
    assert_eq!(why, [Why::TooFewBits; 4]);
    let empty = self::made(&[]);
    assert_eq!(made.pack.len(), empty.pack.len(), "nothing of them is in the file");
}

#[test]
fn one_window_a_secret_and_none_below_the_floor() {
    let made =
        made(&[TOKEN, TOKEN, HEX, "https://hooks.example.org/services/q7Rk2mVw9ZtB4nXc8LdP3sHy6J"]);
    assert_eq!(made.legend.len(), 3, "the same value is one entry");
    assert_eq!(made.legend.iter().map(|(_, origins)| origins.len()).sum::<usize>(), 4);
    assert_eq!(made.pack.len(), 17 + 20 + 3 * 28 + 32);
    // Base64 needs 24 characters, hexadecimal 32
    let lengths: Vec<u8> = (0..3).map(|entry| made.pack[17 + 20 + entry * 28]).collect();
    let mut sorted = lengths.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [24, 24, 32]);
    assert_eq!(FLOOR_BITS, 96);
}

#[test]
fn a_pack_is_used_with_its_key_and_in_its_time_only() {
    let made = made(&[TOKEN]);
    let parse =
        |bytes: &[u8], key: &PackKey, now| Pack::parse(bytes, key, now).map(|pack| pack.len());
    assert_eq!(parse(&made.pack, &key(), 1999), Ok(1));
    assert_eq!(parse(&made.pack, &key(), 2000), Err(PackError::Expired { at: 2000 }));
    assert_eq!(parse(&made.pack, &PackKey::new([8; 32]), 1500), Err(PackError::Key));
    assert_eq!(parse(b"", &key(), 1500), Err(PackError::NoPack));
    assert_eq!(parse(b"secretctl-pack 2\n", &key(), 1500), Err(PackError::Version));
    for at in 0..made.pack.len() {
        let mut bytes = made.pack.clone();
        bytes[at] ^= 1;
        assert!(parse(&bytes, &key(), 1500).is_err(), "byte {at}");
        assert!(parse(&made.pack[..at], &key(), 1500).is_err(), "{at} bytes");
    }
    let life =
        |created, expires| make(known(&[TOKEN]), &key(), created, expires, &mut || [0; 8]).err();
    assert_eq!(life(10, 10), Some(PackError::Life));
    assert_eq!(life(0, LONGEST_LIFE + 1), Some(PackError::Life));
}

#[test]
fn keys_are_text_and_differ() {
    let text = key().to_text();
    let again = PackKey::from_text(&text).unwrap();
    let one = make(known(&[TOKEN]), &again, 1, 2, &mut || [0; 8]).unwrap().pack;
    assert_eq!(one, make(known(&[TOKEN]), &key(), 1, 2, &mut || [0; 8]).unwrap().pack);
    let other = make(known(&[TOKEN]), &PackKey::new([8; 32]), 1, 2, &mut || [0; 8]).unwrap().pack;
    assert_ne!(one[38..65], other[38..65], "no fingerprint is the same under two keys");
    assert!(PackKey::from_text(&Plaintext::copy_of(b"SECRETCTL-PACK-KEY-1-00")).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_rolling_hash_is_that_of_its_window(
        key in any::<[u8; 16]>(),
        length in 1_usize..70,
        text in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let rolling = Rolling::new(key, length);
        let mut all = Vec::new();
        rolling.each(&text, 24, &mut |at, hash| all.push((at, hash)));
        let expected: Vec<(usize, u32)> = text
            .windows(length)
            .enumerate()
            .map(|(at, window)| (at, rolling.of(window, 24)))
            .collect();
        prop_assert_eq!(all, expected);
    }

    #[test]
    fn random_text_is_no_hit(text in prop::collection::vec(any::<u8>(), 0..1000)) {
        let made = made(&[TOKEN, HEX, SPECIAL]);
        prop_assert_eq!(found(&made, &text, 700), Vec::<String>::new());
    }
}
