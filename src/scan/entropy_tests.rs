//! The estimate leans to the low side, and not too far.

use super::entropy::{Strength, bits, strength};
use super::needle::Why;

#[test]
fn what_is_random_is_strong() {
    for value in [
        "q7Rk2mVw9ZtB",
        "hunter2-Xk9#vQ2!",
        "4f9a1c7be2d08356",
        "gravel mitten ocelot parsnip",
        "tr0ub4dor&3xyzzy",
        "kX9#vQ2!mZ",
        "größer als die Möwe",
        "Zm9vYmFyYmF6cXV4",
    ] {
        assert_eq!(
            strength(value.as_bytes()),
            Strength::Strong,
            "{value}: {}",
            bits(value.as_bytes())
        );
    }
    assert_eq!(
        strength(&[7, 200, 9, 13, 255, 0, 77, 34, 99, 148, 12, 3, 5, 250]),
        Strength::Strong
    );
}

#[test]
fn what_is_half_random_is_weak() {
    for value in ["hunter2-xq9", "k8Jq2z", "8392017465", "gitea-db-7391"] {
        assert_eq!(
            strength(value.as_bytes()),
            Strength::Weak,
            "{value}: {}",
            bits(value.as_bytes())
        );
    }
}

#[test]
fn what_is_a_word_is_not_searched() {
    for (value, why) in [
        ("", Why::Empty),
        ("x", Why::Short),
        ("true", Why::Short),
        ("postgres", Why::Guessable),
        ("changeme", Why::Guessable),
        ("deadbeef", Why::Guessable),
        ("password123", Why::Guessable),
        ("P4ssw0rd", Why::Guessable),
        ("aaaaaaaaaaaaaaaa", Why::Guessable),
        ("12345678", Why::Guessable),
        ("abcabcabcabc", Why::Guessable),
        ("admin", Why::Guessable),
        ("00000000000000000000", Why::Guessable),
        ("production", Why::Guessable),
    ] {
        assert_eq!(
            strength(value.as_bytes()),
            Strength::None(why),
            "{value}: {}",
            bits(value.as_bytes())
        );
    }
    assert_eq!(strength(&[0; 32]), Strength::None(Why::Guessable));
}
