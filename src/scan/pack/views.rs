//! What bytes may stand for: Base64, hexadecimal, UTF-16, and the escapes of texts within texts.
//! Decoding the data is what keeps a pack from holding more than one form of a secret.

use super::super::{base64, escape};
use zeroize::Zeroizing;

/// How often what was decoded is decoded again (JSON in a derivation, Base64 in JSON).
const DEPTH: usize = 2;
/// Shorter runs hold no window.
const SHORTEST: usize = 24;
/// The longest window, in escapes of escapes.
const AROUND: usize = 768;
/// A line of Base64 that is followed by another one is at least so long.
const LINE: usize = 16;

/// Tells `bytes` and everything that they may stand for. Decoded bytes come with where their text
/// begins.
pub(super) fn each(bytes: &[u8], found: &mut dyn FnMut(&[u8], Option<usize>)) {
    found(bytes, None);
    decoded(bytes, None, DEPTH, found);
}

fn decoded(
    bytes: &[u8],
    outer: Option<usize>,
    depth: usize,
    found: &mut dyn FnMut(&[u8], Option<usize>),
) {
    let Some(depth) = depth.checked_sub(1) else { return };
    let mut next = |view: &[u8], start: usize, deeper: bool| {
        if view.len() >= SHORTEST {
            let start = Some(outer.unwrap_or(start));
            found(view, start);
            if deeper {
                decoded(view, start, depth, found);
            }
        }
    };
    base64_runs(bytes, &mut |run, start| {
        for skip in 0..4 {
            let (view, _) = base64::decode(run, skip, run.len());
            next(&view, start, skip == 0);
        }
    });
    hex_runs(bytes, &mut next);
    wide_runs(bytes, &mut next);
    unescaped(bytes, b"\\", backslash, &mut |view, start| next(view, start, true));
    unescaped(bytes, b"%$", percent, &mut |view, start| next(view, start, false));
    if bytes.contains(&b'+') {
        unescaped(bytes, b"%+", form, &mut |view, start| next(view, start, false));
    }
    unescaped(bytes, b"&", entity, &mut |view, start| next(view, start, false));
    unescaped(bytes, b"'", indented, &mut |view, start| next(view, start, false));
    unescaped(bytes, b"'\"", doubled, &mut |view, start| next(view, start, false));
}

/// Runs of Base64, with line breaks between lines of some length.
fn base64_runs(bytes: &[u8], found: &mut dyn FnMut(&[u8], usize)) {
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let mut end = at;
        loop {
            let line = length(bytes, end, |byte| base64::value_of(byte).is_some());
            end = end.saturating_add(line);
            if line < LINE {
                break;
            }
            let next = base64::over_breaks(bytes, end);
            let more = bytes.get(next).is_some_and(|byte| base64::value_of(*byte).is_some());
            if next == end || !more {
                break;
            }
            end = next;
        }
        if end.saturating_sub(start) >= SHORTEST * 4 / 3 {
            found(bytes.get(start..end).unwrap_or_default(), start);
        }
        at = end.saturating_add(1);
    }
}

fn hex_runs(bytes: &[u8], next: &mut dyn FnMut(&[u8], usize, bool)) {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|it| u8::try_from(it).ok());
    let mut at = 0;
    while at < bytes.len() {
        let run = length(bytes, at, |byte| digit(byte).is_some() || byte == b':');
        if run >= SHORTEST * 2 {
            let text = bytes.get(at..at.saturating_add(run)).unwrap_or_default();
            let digits: Zeroizing<Vec<u8>> =
                Zeroizing::new(text.iter().filter_map(|byte| digit(*byte)).collect());
            for skip in 0..2 {
                let pairs = digits.get(skip..).unwrap_or_default().chunks_exact(2);
                let view: Zeroizing<Vec<u8>> = Zeroizing::new(
                    pairs
                        .map(|pair| pair.iter().fold(0, |sum, digit| (sum << 4) | digit))
                        .collect(),
                );
                next(&view, at, false);
            }
        }
        at = at.saturating_add(run).saturating_add(1);
    }
}

/// Runs of UTF-16 of European letters, of either order.
fn wide_runs(bytes: &[u8], next: &mut dyn FnMut(&[u8], usize, bool)) {
    if bytes.iter().filter(|byte| **byte < 8).count() < SHORTEST {
        return;
    }
    let orders: [fn([u8; 2]) -> u16; 2] = [u16::from_le_bytes, u16::from_be_bytes];
    for (first, order) in [0, 1].into_iter().flat_map(|first| orders.map(|order| (first, order))) {
        let pairs = bytes.get(first..).unwrap_or_default().chunks_exact(2);
        let mut view = Zeroizing::new(Vec::with_capacity(bytes.len()));
        let mut start = first;
        for (number, pair) in pairs.enumerate() {
            let unit = pair.first_chunk().map_or(0, |pair| order(*pair));
            match char::from_u32(u32::from(unit)) {
                None | Some('\0' | '\u{800}'..) => {
                    next(&view, start, false);
                    view.clear();
                    start = first.saturating_add(number.saturating_add(1).saturating_mul(2));
                }
                Some(character) => {
                    view.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
        next(&view, start, false);
    }
}

/// How many bytes from `at` on fit.
fn length(bytes: &[u8], at: usize, fits: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().position(|byte| !fits(*byte)).unwrap_or(rest.len())
}

/// With each escape that begins with one of the `marks` replaced: the stretches in which there are
/// some, and as much around them as a window is long.
fn unescaped(
    bytes: &[u8],
    marks: &[u8],
    replace: fn(&[u8], &mut Vec<u8>) -> usize,
    found: &mut dyn FnMut(&[u8], usize),
) {
    let mut out = Zeroizing::new(Vec::new());
    let mut at = 0;
    // where the stretch began, and how many bytes are left of it
    let (mut start, mut left) = (0_usize, 0_usize);
    while let Some(first) = bytes.get(at) {
        let kept = out.len();
        let rest = bytes.get(at..).unwrap_or_default();
        let taken = if marks.contains(first) { replace(rest, &mut out) } else { 0 };
        if taken > 0 {
            if left == 0 {
                let replaced = Zeroizing::new(out.split_off(kept));
                start = at.saturating_sub(AROUND);
                out = Zeroizing::new(Vec::with_capacity(bytes.len().saturating_sub(start)));
                out.extend_from_slice(bytes.get(start..at).unwrap_or_default());
                out.extend_from_slice(&replaced);
            }
            left = AROUND;
            at = at.saturating_add(taken);
            continue;
        }
        if left > 0 {
            out.push(*first);
            left = left.saturating_sub(1);
            if left == 0 {
                found(&out, start);
                out.clear();
            }
        }
        at = at.saturating_add(1);
    }
    if left > 0 {
        found(&out, start);
    }
}

/// `\n`, `\"`, `\x41`, `\u0041` and the like. Gives how many bytes it took.
fn backslash(rest: &[u8], out: &mut Vec<u8>) -> usize {
    let numbered = |digits: usize, out: &mut Vec<u8>| {
        let text = rest.get(2..2_usize.saturating_add(digits)).unwrap_or_default();
        let Some(number) = number(text, 16).filter(|_| text.len() == digits) else { return 0 };
        push(number, digits == 2, out);
        digits.saturating_add(2)
    };
    match rest.get(1) {
        Some(b'n') => out.push(b'\n'),
        Some(b'r') => out.push(b'\r'),
        Some(b't') => out.push(b'\t'),
        Some(b'x') => return numbered(2, out),
        Some(b'u') => return numbered(4, out),
        Some(b'0'..=b'3') => {
            let text = rest.get(1..4).unwrap_or_default();
            let Some(number) = number(text, 8).filter(|_| text.len() == 3) else { return 0 };
            push(number, true, out);
            return 4;
        }
        Some(byte) => out.push(*byte),
        None => return 0,
    }
    2
}

/// `%41`, and `%%` and `$$` of systemd.
fn percent(rest: &[u8], out: &mut Vec<u8>) -> usize {
    if let Some([first, second]) = rest.first_chunk()
        && first == second
    {
        out.push(*first);
        return 2;
    }
    if rest.first() != Some(&b'%') {
        return 0;
    }
    let text = rest.get(1..3).unwrap_or_default();
    let Some(number) = number(text, 16).filter(|_| text.len() == 2) else { return 0 };
    push(number, true, out);
    3
}

/// [`percent`], and `+` for a space.
fn form(rest: &[u8], out: &mut Vec<u8>) -> usize {
    if rest.first() == Some(&b'+') {
        out.push(b' ');
        return 1;
    }
    percent(rest, out)
}

/// `&amp;`, `&ouml;`, `&#65;`, `&#x41;` and the like.
fn entity(rest: &[u8], out: &mut Vec<u8>) -> usize {
    let Some(end) = rest.iter().take(10).position(|byte| *byte == b';') else { return 0 };
    let named = match rest.get(1..end) {
        Some(b"amp") => u32::from(b'&'),
        Some(b"lt") => u32::from(b'<'),
        Some(b"gt") => u32::from(b'>'),
        Some(b"quot") => u32::from(b'"'),
        Some(b"apos") => u32::from(b'\''),
        Some([b'#', b'x' | b'X', digits @ ..]) => match number(digits, 16) {
            Some(number) => number,
            None => return 0,
        },
        Some([b'#', digits @ ..]) => match number(digits, 10) {
            Some(number) => number,
            None => return 0,
        },
        Some(name) => {
            let place = escape::LATIN_1.split(' ').position(|it| it.as_bytes() == name);
            let Some(place) = place.and_then(|it| u32::try_from(it).ok()) else { return 0 };
            place.saturating_add(0xa0)
        }
        None => return 0,
    };
    push(named, false, out);
    end.saturating_add(1)
}

/// The quotes of a shell and of indented Nix strings: `'\''`, `'''`, `''${`.
fn indented(rest: &[u8], out: &mut Vec<u8>) -> usize {
    let escapes: [(&[u8], &[u8]); 4] =
        [(b"'\\''", b"'"), (b"'\"'\"'", b"'"), (b"'''", b"''"), (b"''${", b"${")];
    for (written, meant) in escapes {
        if rest.starts_with(written) {
            out.extend_from_slice(meant);
            return written.len();
        }
    }
    0
}

/// Quotes of YAML, SQL and CSV: `''` and `""`.
fn doubled(rest: &[u8], out: &mut Vec<u8>) -> usize {
    match rest.first_chunk() {
        Some([first, second]) if first == second => {
            out.push(*first);
            2
        }
        _ => 0,
    }
}

fn number(digits: &[u8], base: u32) -> Option<u32> {
    (!digits.is_empty()).then_some(())?;
    digits.iter().try_fold(0_u32, |sum, byte| {
        let digit = char::from(*byte).to_digit(base)?;
        sum.checked_mul(base)?.checked_add(digit)
    })
}

/// A byte, or a character in UTF-8.
fn push(number: u32, byte: bool, out: &mut Vec<u8>) {
    if byte {
        out.push(number.to_le_bytes()[0]);
    } else if let Some(character) = char::from_u32(number) {
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}
