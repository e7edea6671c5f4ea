//! What a header and a rule make of each other, and what is then done: the whole table, case by
//! case, on stanzas made by hand.

use super::*;
use crate::place::Place;
use crate::work::compare::{LeftOver, compare};
use crate::work::{Expected, Job};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;

/// Readers with names of one letter. All but `s` are known to the rules.
const KEYS: &[(char, &str)] = &[
    ('a', "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIXwjlGHWRdpIbnXAC5rHGFGF1sCmlAskMUNFmOIyaRL"),
    ('b', "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN"),
    ('s', "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHNZTEay7wrgvTEsxFU2kgJl0rjpaCN3Xe8FCX+BC13F"),
    ('x', "age13kftwqkx9wek5s9qpszml7myv52s8f3cqla84r8quvwgzwzrfpkq58rnw7"),
    ('y', "age1uej8637zyg7v80pq36k85w2hdwxjhn63t50hvs7z7htkz4nckpjsurj24v"),
    ('z', "age1lawt0tu9w87gd9x5z75l9z3zkvty5cajtfgfk4laptvhmx4p2eyqlsphys"),
    ('p', "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t"),
];
const STRANGER: char = 's';

fn reader(letter: char) -> Expected {
    let (_, key) = KEYS.iter().find(|(name, _)| *name == letter).unwrap();
    let recipient = Recipient::parse(key).unwrap();
    Expected { reader: letter.to_string(), recipient, place: Place::file(Path::new("rules")) }
}

fn readers(letters: &str) -> Vec<Expected> {
    letters.chars().map(reader).collect()
}

/// A header in short: `a` is the stanza of that reader, `[ab]` the list of readers, any other
/// word a stanza of that type.
fn header(words: &str) -> Stanzas {
    let plain = |tag: &str| Stanza { tag: tag.to_owned(), args: vec![], body: vec![0; 32] };
    let stanza = |word: &str| {
        if let Some(list) = word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let listed: Vec<_> = readers(list).into_iter().map(|who| who.recipient).collect();
            return readers::stanza(&listed);
        }
        let [letter] = *word.chars().collect::<Vec<_>>() else { return plain(word) };
        let recipient = reader(letter).recipient;
        let mut stanza = plain(recipient.stanza_type().unwrap_or("piv-p256"));
        let tag = recipient.ssh_tag().map(|tag| BASE64_STANDARD_NO_PAD.encode(tag));
        stanza.args = tag.into_iter().chain(["share".to_owned()]).collect();
        stanza
    };
    let stanzas: Vec<Stanza> = words.split_whitespace().map(stanza).collect();
    stanzas.iter().collect()
}

fn compared(words: &str, expected: &str, anonymous: bool) -> Comparison {
    let known: String = KEYS.iter().map(|(name, _)| *name).filter(|n| *n != STRANGER).collect();
    compare(&header(words), &readers(expected), &readers(&known), anonymous)
}

fn inspected(state: State, expected: &str, anonymous: bool) -> Inspected {
    let job = Job {
        path: "x.age".into(),
        expected: readers(expected).into(),
        armor: None,
        anonymous,
        sops: None,
        source: crate::rules::Source::Native,
        place: Place::file(Path::new("rules")),
        base: ".".into(),
    };
    Inspected {
        job,
        state,
        store: None,
        selection: None,
        armored: false,
        stamp: None,
        link: false,
        whole: None,
    }
}

/// A comparison in words.
fn told(comparison: &Comparison) -> String {
    let names = |who: &[Expected]| who.iter().map(|w| w.reader.as_str()).collect::<String>();
    let left = |left: &LeftOver| match left {
        LeftOver::Known(who) => format!("left {}", who.reader),
        LeftOver::Tag { kind, tag } => {
            assert_eq!(Some(*tag), reader(STRANGER).recipient.ssh_tag());
            format!("left tag of {kind}")
        }
        LeftOver::Fingerprint(print) => {
            assert_eq!(*print, reader(STRANGER).recipient.fingerprint());
            "left fingerprint".to_owned()
        }
        LeftOver::Anonymous { kind, count } => format!("left {count} {kind}"),
        LeftOver::Key(name) => format!("left {name}"),
    };
    let mut parts = Vec::new();
    if !comparison.missing.is_empty() {
        parts.push(format!("missing {}", names(&comparison.missing)));
    }
    parts.extend(comparison.left_over.iter().map(left));
    if !comparison.unknown.is_empty() {
        parts.push(format!("unknown {}", names(&comparison.unknown)));
    }
    parts.extend(comparison.some_missing.iter().map(|(kind, count)| format!("{count} {kind} few")));
    if comparison.listed {
        parts.push("listed".to_owned());
    }
    if parts.is_empty() { "same".to_owned() } else { parts.join(", ") }
}

/// An action in words.
fn done(action: &Action) -> String {
    match action {
        Action::Keep => "keep".to_owned(),
        Action::Reseal => "reseal".to_owned(),
        Action::Header(added) => {
            let name = |key: &Recipient| KEYS.iter().find(|(n, _)| reader(*n).recipient == *key);
            let names: String = added.iter().map(|key| name(key).unwrap().0).collect();
            format!("header {names}")
        }
    }
}

/// Header, readers of the rule, comparison, action.
type Row = (&'static str, &'static str, &'static str, &'static str);

fn check(rows: &[Row], anonymous: bool) {
    for (words, expected, comparison, action) in rows {
        let found = compared(words, expected, anonymous);
        assert_eq!(told(&found), *comparison, "`{words}` for `{expected}`");
        let found = inspected(State::of(found), expected, anonymous);
        assert_eq!(done(&decide(&found, false)), *action, "`{words}` for `{expected}`");
        assert_eq!(decide(&found, true), Action::Reseal, "`{words}` for `{expected}`, by force");
    }
}

#[test]
fn a_list_that_agrees_with_the_header_tells_all() {
    check(
        &[
            ("a x [ax]", "ax", "same", "keep"),
            ("x a [xa]", "ax", "same", "keep"),
            ("x y [xy]", "yx", "same", "keep"),
            ("a [a]", "ax", "missing x", "header x"),
            ("x [x]", "xaby", "missing aby", "header aby"),
            ("a x [ax]", "a", "left x", "reseal"),
            ("x [x]", "by", "missing by, left x", "reseal"),
            ("a s [as]", "a", "left fingerprint", "reseal"),
        ],
        false,
    );
}

#[test]
fn without_a_list_ssh_stanzas_tell_whose_they_are() {
    check(
        &[
            ("a b", "ab", "same", "keep"),
            ("b a", "ab", "same", "keep"),
            ("a", "ab", "missing b", "header b"),
            ("a", "ax", "missing x", "header x"),
            ("a b", "a", "left b", "reseal"),
            ("a s", "a", "left tag of ssh-ed25519", "reseal"),
            ("a x", "a", "left 1 X25519", "reseal"),
            ("b", "a", "missing a, left b", "reseal"),
        ],
        false,
    );
}

#[test]
fn of_x25519_stanzas_only_the_number_is_known() {
    check(
        &[
            ("x y", "xy", "unknown xy", "reseal"),
            ("x z", "xy", "unknown xy", "reseal"),
            ("x", "xy", "unknown xy, 1 X25519 few", "reseal"),
            ("x y z", "x", "left 2 X25519, unknown x", "reseal"),
            ("a x", "abx", "missing b, unknown x", "reseal"),
        ],
        false,
    );
}

#[test]
fn a_list_that_other_stanzas_contradict_is_not_believed() {
    check(
        &[
            // somebody is listed who has no stanza
            ("a [ab]", "ab", "missing b", "header b"),
            ("x [xy]", "xy", "unknown xy, 1 X25519 few", "reseal"),
            // somebody has a stanza who is not listed
            ("a b [a]", "a", "left b", "reseal"),
            ("a s [a]", "a", "left tag of ssh-ed25519", "reseal"),
            ("a x [a]", "a", "left 1 X25519", "reseal"),
            // the number fits, but not who it is
            ("a b [ax]", "ax", "missing x, left b", "reseal"),
            // two lists are none
            ("a [a] [a]", "a", "same", "keep"),
            ("a [ab] [a]", "a", "same", "keep"),
            ("x [x] [x]", "x", "unknown x", "reseal"),
        ],
        false,
    );
}

#[test]
fn plugins_choose_their_own_stanzas() {
    check(
        &[
            ("p [p]", "p", "same", "keep"),
            ("p p [p]", "p", "same", "keep"),
            ("a p p [ap]", "ap", "same", "keep"),
            ("p", "p", "unknown p", "reseal"),
            ("a p", "ap", "unknown p", "reseal"),
            ("a", "ap", "missing p", "header p"),
            // whether others may stand beside it, only the plugin could say
            ("p [p]", "pa", "missing a", "reseal"),
            ("a p [ap]", "apx", "missing x", "header x"),
            ("a p", "a", "left 1 piv-p256", "reseal"),
        ],
        false,
    );
}

#[test]
fn one_key_with_two_stanzas_is_one_too_many() {
    check(
        &[
            ("a a", "a", "left a", "reseal"),
            ("a a [a]", "a", "left a", "reseal"),
            ("x x [x]", "x", "left 1 X25519, unknown x", "reseal"),
        ],
        false,
    );
}

#[test]
fn grease_does_not_count_and_a_passphrase_does() {
    check(
        &[
            ("a vmFB-grease", "a", "same", "keep"),
            ("vmFB-grease x [x]", "x", "same", "keep"),
            ("-grease a", "ab", "missing b", "header b"),
            ("grease a", "a", "left 1 grease", "reseal"),
            ("scrypt", "a", "missing a, left 1 scrypt", "reseal"),
            ("scrypt", "x", "missing x, left 1 scrypt", "reseal"),
        ],
        false,
    );
}

#[test]
fn an_anonymous_file_loses_its_list_and_is_not_written_again_and_again() {
    check(
        &[
            ("a b [ab]", "ab", "listed", "header "),
            ("x [x]", "x", "listed", "header "),
            ("a [a]", "ab", "missing b, listed", "header b"),
            ("a b [ab]", "a", "left b, listed", "reseal"),
            ("a b", "ab", "same", "keep"),
            ("a", "ab", "missing b", "header b"),
            ("x y", "xy", "unknown xy", "keep"),
            ("p", "p", "unknown p", "keep"),
            ("x", "xy", "unknown xy, 1 X25519 few", "reseal"),
        ],
        true,
    );
}

#[test]
fn what_is_no_age_file_is_never_written_not_even_by_force() {
    for force in [false, true] {
        for state in [State::Absent, State::NotEncrypted, State::Broken(AgeError::NotAge)] {
            assert_eq!(decide(&inspected(state, "a", false), force), Action::Keep);
        }
    }
}
