//! Every form at every offset around the edges of chunks, and nothing where nothing is.

use proptest::prelude::*;

use super::matcher::{Hit, Matcher, What};
use super::needle::{Known, NeedleId, Needles};
use crate::plaintext::Plaintext;

fn known(values: &[&[u8]]) -> Needles {
    let known = values
        .iter()
        .enumerate()
        .map(|(number, value)| Known {
            file: "secrets.yaml".to_owned(),
            key_path: format!("key{number}"),
            value: Plaintext::copy_of(value),
        })
        .collect();
    let (needles, left_out) = Needles::of(known);
    assert_eq!(left_out, []);
    needles
}

fn search(matcher: &Matcher, text: &[u8], chunk: usize) -> Vec<Hit> {
    let mut hits = Vec::new();
    let mut search = matcher.searcher();
    for chunk in text.chunks(chunk) {
        search.feed(chunk, &mut |hit| hits.push(hit));
    }
    search.end(&mut |hit| hits.push(hit));
    hits.sort_by_key(|hit| (hit.offset, hit.length, hit.what, hit.form));
    hits
}

const TOKEN: &[u8] = b"ghx_q7Rk2mVw9ZtB4nXc8LdP3sHy6JfA1gUe5oTi";
const PASSWORD: &[u8] = b"p&\"4s\\s<w>'0%r$ {d}+/=~`!\xc3\xa9";

#[test]
fn each_pattern_is_found_wherever_chunks_end() {
    let needles = known(&[TOKEN, PASSWORD]);
    let matcher = Matcher::new(&needles, false);
    let filler: Vec<u8> = (0..40_000_u32).map(|n| b"lorem ipsum dolor "[n as usize % 18]).collect();
    for pattern in needles.forms.patterns() {
        // a piece alone is no hit
        let value = needles.forms.value(needles.forms.unit(pattern.unit).unwrap());
        let text = match pattern.check {
            super::forms::Check::Around(piece) => {
                let mut long = vec![b'.'; usize::from(piece.before)];
                long.extend_from_slice(value);
                let url = needles.forms.bytes(pattern).iter().any(|it| b"-_".contains(it));
                super::base64::whole(&long, url, true).to_vec()
            }
            super::forms::Check::AroundHex(_) => {
                let upper = needles.forms.bytes(pattern).iter().any(u8::is_ascii_uppercase);
                let colon = (pattern.form == super::form::Form::HexColon).then_some(b':');
                super::escape::hex(value, upper, colon).to_vec()
            }
            super::forms::Check::Exact | super::forms::Check::Word => {
                needles.forms.bytes(pattern).to_vec()
            }
        };
        for at in [0, 1, 7, 16_380, 16_384, 16_390] {
            let mut all = filler[..at].to_vec();
            all.push(b'|');
            all.extend_from_slice(&text);
            all.push(b'|');
            all.extend_from_slice(&filler[..5000]);
            for chunk in [1000, 16_384, 16_391, 1 << 20] {
                let hits = search(&matcher, &all, chunk);
                assert!(
                    hits.iter().any(|hit| {
                        let start = usize::try_from(hit.offset).unwrap();
                        let end = start + hit.length as usize;
                        hit.what
                            == What::Needle(NeedleId(
                                needles.forms.unit(pattern.unit).unwrap().needle,
                            ))
                            && start > at
                            && end <= at + 1 + text.len()
                    }),
                    "{:?} {:?} at {at} by {chunk}: {hits:?}",
                    pattern.form,
                    String::from_utf8_lossy(&text),
                );
            }
        }
    }
}

#[test]
fn one_of_each_form_at_every_place_around_an_edge() {
    let needles = known(&[PASSWORD]);
    let matcher = Matcher::new(&needles, false);
    let mut seen = Vec::new();
    for pattern in needles.forms.patterns() {
        if seen.contains(&pattern.form) || !matches!(pattern.check, super::forms::Check::Exact) {
            continue;
        }
        seen.push(pattern.form);
        let bytes = needles.forms.bytes(pattern);
        for edge in [16_384, 2 * 16_384] {
            for at in edge - bytes.len() - 1..=edge + 1 {
                let mut text = vec![b'.'; edge + 9000];
                text[at..at + bytes.len()].copy_from_slice(bytes);
                let hits = search(&matcher, &text, 16_384);
                assert!(
                    hits.iter().any(|hit| hit.offset == at as u64),
                    "{:?} at {at}",
                    pattern.form
                );
            }
        }
    }
    assert!(seen.len() >= 13, "{seen:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cutting_changes_nothing(
        seed in prop::collection::vec(any::<u8>(), 0..300),
        places in prop::collection::vec((0_usize..60_000, any::<prop::sample::Index>()), 0..20),
        chunk in prop_oneof![1_usize..40, 40_usize..5000, 5000_usize..50_000],
    ) {
        let needles = known(&[TOKEN, PASSWORD, b"k8Jq2z", &[7, 200, 9, 13, 255, 0, 77, 34, 99, 148, 12, 3, 5, 250]]);
        let matcher = Matcher::new(&needles, false);
        let mut text: Vec<u8> = seed.iter().cycle().take(if seed.is_empty() { 0 } else { 60_000 }).copied().collect();
        for (at, which) in &places {
            let patterns = needles.forms.patterns();
            let bytes = needles.forms.bytes(&patterns[which.index(patterns.len())]);
            if let Some(place) = text.get_mut(*at..*at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        }
        let mut whole = Vec::new();
        matcher.searcher().whole(&text, &mut |hit| whole.push(hit));
        whole.sort_by_key(|hit| (hit.offset, hit.length, hit.what, hit.form));
        prop_assert_eq!(search(&matcher, &text, chunk), whole);
    }
}

/// Whether a place is in a text is told alike wherever a chunk ends.
#[test]
fn weak_values_are_told_alike_however_the_text_is_cut() {
    let needles = known(&[b"k8Jq2z", PASSWORD]);
    let matcher = Matcher::new(&needles, false);
    for stray in [60, 64, 66] {
        for at in (16_200..16_500).step_by(7) {
            let mut text = b"a text ".repeat(5000);
            text[at..at + 10].copy_from_slice(b"; k8Jq2z; ");
            text[at + 2 - stray] = 0;
            text[at + 7 + stray] = 0;
            let mut whole = Vec::new();
            matcher.searcher().whole(&text, &mut |hit| whole.push(hit));
            assert_eq!(whole.len(), usize::from(stray > 64), "{stray}");
            for chunk in [1, 100, 16_384, 16_391] {
                assert_eq!(search(&matcher, &text, chunk), whole, "{stray} {at} {chunk}");
            }
        }
    }
}
