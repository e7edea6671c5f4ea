//! How programs write a text into other texts: each function is one habit of one family of
//! writers. A value is written by all of them, and what comes out alike is kept once (`forms`).
//!
//! What they give is as secret as what they are given.

use zeroize::Zeroizing;

use super::form::Form;

/// What comes out of a writer.
pub(super) type Written = Zeroizing<Vec<u8>>;

/// Every way of writing `text` into another one of the same encoding, but for those that leave it
/// as it is.
pub(super) fn all(text: &str) -> Vec<(Form, Written)> {
    // letters and digits are escaped by nobody
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Vec::new();
    }
    let mut forms = vec![(Form::Aterm, aterm(text))];
    for habit in JsonHabit::ALL {
        let json = json(text, habit);
        forms.push((Form::JsonInAterm, aterm_bytes(&json)));
        forms.push((Form::Systemd, doubled(&json, b'%')));
        forms.push((Form::Json, json));
    }
    forms.push((Form::Nix, nix(text, true)));
    forms.push((Form::Nix, nix(text, false)));
    forms.push((Form::NixIndented, nix_indented(text)));
    shell(text, &mut forms);
    for quote in [b'\'', b'"'] {
        forms.push((Form::Doubled, doubled(text.as_bytes(), quote)));
    }
    systemd(text, &mut forms);
    for quotes in XML_QUOTES {
        for beyond in Xml::ALL {
            forms.push((Form::Xml, xml(text, quotes, ("", Xml::Keep), beyond)));
        }
    }
    for (quotes, numbered, beyond) in XML_NUMBERED {
        forms.push((Form::Xml, xml(text, quotes, numbered, beyond)));
    }
    for safe in URL_SAFE {
        for upper in [true, false] {
            forms.push((Form::Percent, percent(text.as_bytes(), safe, upper, false)));
            // who keeps `+` cannot write a space as one
            if !safe.contains('+') {
                forms.push((Form::Percent, percent(text.as_bytes(), safe, upper, true)));
            }
        }
    }
    ini(text, &mut forms);
    forms
}

/// Room for the longest thing a writer makes of a character, so that nothing is moved and left
/// behind.
fn room_for_escapes(length: usize) -> Written {
    room(length.saturating_mul(12))
}

/// Room for so many bytes. All of it is wiped, which takes its time for the forms that every value has.
fn room(length: usize) -> Written {
    Zeroizing::new(Vec::with_capacity(length))
}

/// Writes character by character; `None` keeps it.
fn each(text: &str, write: impl Fn(char, &mut Written) -> bool) -> Written {
    let mut out = room_for_escapes(text.len());
    for character in text.chars() {
        if !write(character, &mut out) {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    out
}

/// The strings of derivation files: five escapes, the rest as it is.
fn aterm(text: &str) -> Written {
    aterm_bytes(text.as_bytes())
}

/// See [`aterm`].
pub(super) fn aterm_bytes(bytes: &[u8]) -> Written {
    let mut out = room_for_escapes(bytes.len());
    for byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => out.push(*byte),
        }
    }
    out
}

/// What writers of JSON do beyond what they must.
#[derive(Debug, Clone, Copy)]
struct JsonHabit {
    /// `\/`
    slash: bool,
    /// Everything beyond ASCII as `\uXXXX`.
    ascii: bool,
    /// Characters that are written as `\uXXXX` though they need not be.
    numbered: &'static str,
    /// Digits above 9 in upper case.
    upper: bool,
    /// `\n`, `\t` and the like; else `\u000a`.
    short: bool,
}

impl JsonHabit {
    const PLAIN: Self =
        Self { slash: false, ascii: false, numbered: "", upper: false, short: true };
    const ALL: [Self; 10] = [
        // Nix, jq, serde, JavaScript
        Self::PLAIN,
        // Python
        Self { ascii: true, ..Self::PLAIN },
        Self { ascii: true, upper: true, ..Self::PLAIN },
        // PHP
        Self { ascii: true, slash: true, ..Self::PLAIN },
        Self { slash: true, ..Self::PLAIN },
        // Go
        Self { numbered: "<>&\u{2028}\u{2029}", ..Self::PLAIN },
        // Ruby on Rails, Gson
        Self { numbered: "<>&='\u{2028}\u{2029}", ..Self::PLAIN },
        // .NET
        Self { ascii: true, upper: true, numbered: "\"'&<>+`", ..Self::PLAIN },
        // PHP with its JSON_HEX options
        Self { ascii: true, slash: true, upper: true, numbered: "\"'&<>", ..Self::PLAIN },
        Self { short: false, numbered: "\"\\", ..Self::PLAIN },
    ];
}

fn json(text: &str, habit: JsonHabit) -> Written {
    each(text, |character, out| {
        let short = match character {
            '"' => Some(b'"'),
            '\\' => Some(b'\\'),
            '/' if habit.slash => Some(b'/'),
            '\n' if habit.short => Some(b'n'),
            '\r' if habit.short => Some(b'r'),
            '\t' if habit.short => Some(b't'),
            '\u{8}' if habit.short => Some(b'b'),
            '\u{c}' if habit.short => Some(b'f'),
            _ => None,
        };
        if habit.numbered.contains(character)
            || (habit.ascii && !character.is_ascii())
            || (short.is_none() && character < ' ')
        {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(b"\\u");
                out.extend(digits(&unit.to_be_bytes(), habit.upper));
            }
            true
        } else if let Some(short) = short {
            out.extend_from_slice(&[b'\\', short]);
            true
        } else {
            false
        }
    })
}

fn nix(text: &str, only_before_brace: bool) -> Written {
    let mut out = room_for_escapes(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '$' if !only_before_brace || rest.peek() == Some(&'{') => {
                out.extend_from_slice(b"\\$");
            }
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

fn nix_indented(text: &str) -> Written {
    let mut out = room_for_escapes(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let (written, taken): (&[u8], usize) = if rest.starts_with("''") {
            (b"'''", 2)
        } else if rest.starts_with("${") {
            (b"''${", 2)
        } else {
            (&[], character.len_utf8())
        };
        let (head, tail) = rest.split_at(taken);
        out.extend_from_slice(if written.is_empty() { head.as_bytes() } else { written });
        rest = tail;
    }
    out
}

fn shell(text: &str, forms: &mut Vec<(Form, Written)>) {
    let quotes: [&[u8]; 2] = [b"'\\''", b"'\"'\"'"];
    for quote in quotes {
        let written = each(text, |character, out| {
            character == '\'' && {
                out.extend_from_slice(quote);
                true
            }
        });
        forms.push((Form::Shell, written));
    }
    // "…", with and without what only an interactive shell reads
    for special in ["\\\"$`", "\\\"$`!"] {
        forms.push((Form::Shell, backslashed(text, special)));
    }
    for start in [true, false] {
        let first = |special| if start { special } else { "" };
        // `printf %q` of bash
        forms.push((Form::Shell, word(text, " !\"$&'()*,;<>?[\\]^`{|}", first("~#"), ":=")));
        // `${(q)…}` of zsh, in scripts and where somebody types
        for special in [" \"#$&'()*;<>?[\\]^`{|}", " !\"#$&'()*;<>?[\\]^`{|}"] {
            forms.push((Form::Shell, word(text, special, first("~="), "")));
        }
    }
    // Shellwords of Ruby
    let written = each(text, |character, out| {
        if !character.is_ascii_alphanumeric() && !"_-.,:+/@\n".contains(character) {
            out.push(b'\\');
        }
        false
    });
    forms.push((Form::Shell, written));
    for control in [Control::Letter, Control::Octal, Control::Hex] {
        for ascii in [true, false] {
            forms.push((Form::Shell, dollar_quoted(text, control, ascii)));
        }
    }
}

/// A word without quotes: what is special anywhere, where it starts, and before a tilde.
fn word(text: &str, special: &str, first: &str, before_tilde: &str) -> Written {
    let mut before = None;
    let mut out = room_for_escapes(text.len());
    for character in text.chars() {
        let is_special = match before {
            None => first.contains(character),
            Some(before) => character == '~' && before_tilde.contains(before),
        };
        if is_special || special.contains(character) {
            out.push(b'\\');
        }
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        before = Some(character);
    }
    out
}

/// How `$'…'` has what cannot be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    /// As bash does: a letter where there is one, else octal.
    Letter,
    Octal,
    Hex,
}

fn dollar_quoted(text: &str, control: Control, ascii: bool) -> Written {
    let mut out = room_for_escapes(text.len());
    for byte in text.bytes() {
        let letter = match byte {
            b'\'' | b'\\' => Some(byte),
            b'\n' => Some(b'n'),
            b'\r' => Some(b'r'),
            b'\t' => Some(b't'),
            0x07 if control == Control::Letter => Some(b'a'),
            0x08 if control == Control::Letter => Some(b'b'),
            0x0b if control == Control::Letter => Some(b'v'),
            0x0c if control == Control::Letter => Some(b'f'),
            0x1b if control == Control::Letter => Some(b'E'),
            _ => None,
        };
        if let Some(letter) = letter {
            out.extend_from_slice(&[b'\\', letter]);
        } else if matches!(byte, 0x20..=0x7e) || !(ascii || byte.is_ascii()) {
            out.push(byte);
        } else if control == Control::Hex {
            out.extend_from_slice(b"\\x");
            out.extend(digits(&[byte], false));
        } else {
            out.push(b'\\');
            out.extend([byte >> 6, (byte >> 3) & 7, byte & 7].map(|digit| b'0' | digit));
        }
    }
    out
}

fn systemd(text: &str, forms: &mut Vec<(Form, Written)>) {
    let quoted = backslashed(text, "\\\"");
    forms.push((Form::Systemd, doubled(text.as_bytes(), b'%')));
    forms.push((Form::Systemd, doubled(&quoted, b'%')));
    // what is run has its dollars doubled too
    let percent = doubled(text.as_bytes(), b'%');
    forms.push((Form::Systemd, doubled(&percent, b'$')));
    let percent = doubled(&quoted, b'%');
    forms.push((Form::Systemd, doubled(&percent, b'$')));
    // systemd-escape, with and without its dash for a slash
    for dash in [true, false] {
        let mut out = room_for_escapes(text.len());
        for byte in text.bytes() {
            match byte {
                b'/' if dash => out.push(b'-'),
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' | b'.' => out.push(byte),
                _ => {
                    out.extend_from_slice(b"\\x");
                    out.extend(digits(&[byte], false));
                }
            }
        }
        forms.push((Form::Systemd, out));
    }
}

/// A backslash before each of the characters.
fn backslashed(text: &str, special: &str) -> Written {
    each(text, |character, out| {
        if special.contains(character) {
            out.push(b'\\');
        }
        false
    })
}

fn doubled(bytes: &[u8], special: u8) -> Written {
    let mut out = room_for_escapes(bytes.len());
    for byte in bytes {
        if *byte == special {
            out.push(special);
        }
        out.push(*byte);
    }
    out
}

/// How writers of XML and HTML write `"`, `'` and `>`; empty where they keep it.
const XML_QUOTES: [[&str; 3]; 9] = [
    ["", "", "&gt;"],
    ["", "", ""],
    ["&quot;", "", "&gt;"],
    ["&quot;", "", ""],
    ["&quot;", "&apos;", "&gt;"],
    ["&quot;", "&#39;", "&gt;"],
    ["&quot;", "&#x27;", "&gt;"],
    ["&quot;", "&#039;", "&gt;"],
    ["&#34;", "&#39;", "&gt;"],
];

/// What they make of characters that have no name in XML.
#[derive(Debug, Clone, Copy)]
enum Xml {
    Keep,
    Decimal,
    Hex,
    UpperHex,
    /// The names of HTML 4, where there is one.
    Named,
}

impl Xml {
    const ALL: [Self; 5] = [Self::Keep, Self::Decimal, Self::Hex, Self::UpperHex, Self::Named];
}

/// Writers that have numbers for some characters of ASCII: `"`, `'` and `>`, which others are
/// numbers and how, and what is not ASCII.
#[rustfmt::skip]
const XML_NUMBERED: [([&str; 3], (&str, Xml), Xml); 12] = [
    // html/template of Go, in quotes and without (its source)
    (["&#34;", "&#39;", "&gt;"], ("+", Xml::Decimal), Xml::Keep),
    (["&#34;", "&#39;", "&gt;"], ("+=` \t\u{b}\u{c}\r\n", Xml::Decimal), Xml::Keep),
    // askama (its documentation)
    (["", "", ""], ("\"'&<>", Xml::Decimal), Xml::Keep),
    // `he` of JavaScript (its manual has upper-case numbers; the others and a plain lower-case writer
    // are assumed)
    (["", "", ""], ("\"'&<>`", Xml::Decimal), Xml::Decimal),
    (["", "", ""], ("\"'&<>`", Xml::UpperHex), Xml::UpperHex),
    (["", "", ""], ("\"'&<>", Xml::Hex), Xml::Hex),
    // HtmlEncoder of .NET (as issues about it quote it)
    (["&quot;", "", "&gt;"], ("'+", Xml::UpperHex), Xml::UpperHex),
    // Mustache of JavaScript and Java (their sources)
    (["&quot;", "&#39;", "&gt;"], ("/`=", Xml::UpperHex), Xml::Keep),
    (["&quot;", "&#39;", "&gt;"], ("`=", Xml::UpperHex), Xml::Keep),
    // Handlebars (its source); with `=` too is assumed
    (["&quot;", "&#x27;", "&gt;"], ("`", Xml::UpperHex), Xml::Keep),
    (["&quot;", "&#x27;", "&gt;"], ("`=", Xml::UpperHex), Xml::Keep),
    // the XML codec of ESAPI (a port of it to Perl; what it leaves alone is assumed)
    (["", "", ""], ("\"'&<>!#$%()*+/:;=?@[\\]^`{|}~", Xml::Hex), Xml::Hex),
];

/// The names of U+00A0 to U+00FF in HTML 4.
pub(super) const LATIN_1: &str = "\
    nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo \
    not shy reg macr deg plusmn sup2 sup3 acute micro para middot \
    cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde \
    Auml Aring AElig Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml \
    ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash Ugrave Uacute Ucirc \
    Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil \
    egrave eacute ecirc euml igrave iacute icirc iuml eth ntilde ograve oacute \
    ocirc otilde ouml divide oslash ugrave uacute ucirc uuml yacute thorn yuml";

fn xml(text: &str, quotes: [&str; 3], (numbered, how): (&str, Xml), beyond: Xml) -> Written {
    let [double, single, greater] = quotes;
    each(text, |character, out| {
        let code = u32::from(character);
        let how = match character {
            _ if numbered.contains(character) => how,
            _ if !character.is_ascii() || character < ' ' => beyond,
            _ => Xml::Keep,
        };
        let named = match (how, character) {
            (Xml::Keep, '&') => "&amp;",
            (Xml::Keep, '<') => "&lt;",
            (Xml::Keep, '>') => greater,
            (Xml::Keep, '"') => double,
            (Xml::Keep, '\'') => single,
            (Xml::Named, '\u{a0}'..='\u{ff}') => {
                let place = usize::try_from(code).unwrap_or(0).saturating_sub(0xa0);
                out.push(b'&');
                out.extend_from_slice(LATIN_1.split(' ').nth(place).unwrap_or_default().as_bytes());
                ";"
            }
            (Xml::Keep | Xml::Named, _) => return false,
            (Xml::Decimal, _) => &Zeroizing::new(format!("&#{code};")),
            (Xml::Hex, _) => &Zeroizing::new(format!("&#x{code:x};")),
            (Xml::UpperHex, _) => &Zeroizing::new(format!("&#x{code:X};")),
        };
        out.extend_from_slice(named.as_bytes());
        !named.is_empty()
    })
}

/// What writers of URLs keep beside letters and digits.
const URL_SAFE: [&str; 6] = [
    // RFC 3986
    "-_.~",
    // Python keeps slashes
    "-_.~/",
    // encodeURIComponent of JavaScript
    "-_.!~*'()",
    // encodeURI
    "-_.!~*'();/?:@&=+$,#",
    // user information of RFC 3986; Go
    "-_.~!$&'()*+,;=",
    "-_.~$&+,;=",
];

/// `%` and two digits for what is not kept.
pub(super) fn percent(bytes: &[u8], safe: &str, upper: bool, plus: bool) -> Written {
    let mut out = room_for_escapes(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || safe.as_bytes().contains(byte) {
            out.push(*byte);
        } else if plus && *byte == b' ' {
            out.push(b'+');
        } else {
            out.push(b'%');
            out.extend(digits(&[*byte], upper));
        }
    }
    out
}

fn ini(text: &str, forms: &mut Vec<(Form, Written)>) {
    // git and systemd; Python's configparser doubles percent signs, which `systemd` has
    for special in ["\\\"", "\\", ";#", "\\;#", "\\\";#", "\\=:#!", "\\=:#! "] {
        let written = each(text, |character, out| {
            if special.contains(character) {
                out.push(b'\\');
            }
            match character {
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                _ => return false,
            }
            true
        });
        forms.push((Form::Ini, written));
    }
    // Java's properties
    for upper in [true, false] {
        let written = each(text, |character, out| {
            match character {
                '\\' | '=' | ':' | '#' | '!' => out.push(b'\\'),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                _ if !character.is_ascii() => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        out.extend_from_slice(b"\\u");
                        out.extend(digits(&unit.to_be_bytes(), upper));
                    }
                }
                _ => {}
            }
            !character.is_ascii() || matches!(character, '\n' | '\r' | '\t')
        });
        forms.push((Form::Ini, written));
    }
}

/// UTF-16, the lower byte of a unit first and last.
pub(super) fn utf16(text: &str) -> [Written; 2] {
    [u16::to_le_bytes, u16::to_be_bytes].map(|bytes| {
        let mut out = room(text.len().saturating_mul(2));
        for unit in text.encode_utf16() {
            out.extend_from_slice(&bytes(unit));
        }
        out
    })
}

/// Hexadecimal digits, two a byte.
pub(super) fn digits(bytes: &[u8], upper: bool) -> impl Iterator<Item = u8> + '_ {
    let letter = if upper { b'A' } else { b'a' };
    let digit = move |value: u8| match value {
        0..=9 => value.wrapping_add(b'0'),
        _ => value.wrapping_sub(10).wrapping_add(letter),
    };
    bytes.iter().flat_map(move |byte| [digit(byte >> 4), digit(byte & 15)])
}

/// Hexadecimal, with something between the bytes or nothing.
pub(super) fn hex(bytes: &[u8], upper: bool, between: Option<u8>) -> Written {
    let mut out = room(bytes.len().saturating_mul(if between.is_some() { 3 } else { 2 }));
    for (number, byte) in bytes.iter().enumerate() {
        if number > 0 {
            out.extend(between);
        }
        out.extend(digits(&[*byte], upper));
    }
    out
}
