//! The inner loop of the scanner: text in memory, one thread. `cargo bench --bench scan`; with
//! `SECRETCTL_BENCH_TEXT=FILE` over the content of a file instead of what is made up here.
#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a measurement that meets an error has failed"
)]

use std::hint::black_box;
use std::sync::OnceLock;

use divan::Bencher;
use divan::counter::BytesCount;
use secretctl::plaintext::Plaintext;
use secretctl::scan::matcher::Matcher;
use secretctl::scan::needle::{Known, Needles};
use secretctl::scan::pack::{Pack, PackKey, PackSearch, make};

const BYTES: usize = 64 << 20;
/// What a scanner reads at once.
const CHUNK: usize = 256 << 10;

fn main() {
    divan::main();
}

/// What a store may hold: words, code, numbers and bytes without order.
fn text() -> &'static [u8] {
    static TEXT: OnceLock<Vec<u8>> = OnceLock::new();
    TEXT.get_or_init(|| {
        if let Some(file) = std::env::var_os("SECRETCTL_BENCH_TEXT") {
            return std::fs::read(file).unwrap();
        }
        let words = b"the quick { \"key\": \"value\" } 0x1f3a /nix/store/abc-hello-1.2 = null;\n\0\0\x7fELF";
        let mut state = 7;
        let mut text = Vec::with_capacity(BYTES);
        while text.len() < BYTES {
            let number = random(&mut state);
            let from = usize::try_from(number % 60).unwrap();
            text.extend_from_slice(&words[from..from + 12]);
            if number.trailing_zeros() >= 3 {
                text.extend(number.to_le_bytes());
            }
        }
        text
    })
}

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Made-up tokens of 24 to 48 characters.
fn known(count: usize) -> Vec<Known> {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut state = 99;
    (0..count)
        .map(|number| {
            let length = 24 + number % 25;
            let value = (0..length)
                .map(|_| letters[usize::try_from(random(&mut state) % 62).unwrap()])
                .collect();
            let key_path = number.to_string();
            Known { file: "bench".to_owned(), key_path, value: Plaintext::new(value) }
        })
        .collect()
}

fn run(bencher: Bencher<'_, '_>, matcher: &Matcher) {
    let mut search = matcher.searcher();
    bencher.counter(BytesCount::new(text().len())).bench_local(|| {
        let mut hits = 0_u64;
        for chunk in text().chunks(CHUNK) {
            search.feed(black_box(chunk), &mut |_| hits += 1);
        }
        search.end(&mut |_| hits += 1);
        hits
    });
}

#[divan::bench(args = [10, 100, 1_000, 10_000], sample_count = 10)]
fn secrets_in_all_forms(bencher: Bencher<'_, '_>, count: usize) {
    let (needles, left_out) = Needles::of(known(count));
    assert_eq!((needles.len(), left_out.len()), (count, 0));
    run(bencher, &Matcher::new(&needles, false));
}

#[divan::bench(sample_count = 10)]
fn shapes(bencher: Bencher<'_, '_>) {
    run(bencher, &Matcher::new(&Needles::default(), true));
}

#[divan::bench(args = [100, 10_000], sample_count = 3)]
fn making_needles(bencher: Bencher<'_, '_>, count: usize) {
    bencher.with_inputs(|| known(count)).bench_local_values(|known| {
        let (needles, _) = Needles::of(known);
        let matcher = Matcher::new(&needles, false);
        (needles, matcher)
    });
}

#[divan::bench(args = [1_000], sample_count = 3)]
fn fingerprints(bencher: Bencher<'_, '_>, count: usize) {
    let key = PackKey::new([3; 32]);
    let mut name = 0_u64;
    let mut random = || {
        name += 1;
        name.to_le_bytes()
    };
    let made = make(known(count), &key, 0, 1000, &mut random).unwrap();
    let pack = Pack::parse(&made.pack, &key, 1).unwrap();
    let mut search = PackSearch::new(&pack, &key);
    let text = &text()[..8 << 20];
    bencher.counter(BytesCount::new(text.len())).bench_local(|| {
        let mut hits = 0_u64;
        search.feed(black_box(text), &mut |_| hits += 1);
        search.end(&mut |_| hits += 1);
        hits
    });
}
