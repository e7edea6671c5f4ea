//! Holds `docs/architecture.md` against the code: which room uses which, who starts children, who
//! prints, how many ways lead out of plaintext, and the shape of files.
//!
//! Works on text: comments and strings are blanked, `#[cfg(test)]` items cut, and what is left is
//! searched for paths. It cannot see through macros or re-exports.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test stops at the first surprise"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

#[test]
fn the_code_is_as_the_document_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let rooms = Rooms::parse(&document);
    let files = source_files(root);
    let mut violations = rooms.check_declared(&files["src/lib.rs"]);
    for (name, text) in &files {
        violations.extend(check_shape(name, text));
        if is_code(name) {
            let code = Code::of(text);
            if name.starts_with("src/") {
                violations.extend(rooms.check_doors(name, &code));
            }
            violations.extend(check_children(name, &code));
            violations.extend(check_printing(name, &code));
            violations.extend(check_expectations(name, &code));
        }
    }
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn the_ways_out_of_plaintext_are_counted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let counted: BTreeMap<String, usize> = source_files(root)
        .iter()
        .filter(|(name, _)| is_code(name))
        .map(|(name, text)| (name.clone(), expose_uses(&Code::of(text)).len()))
        .filter(|(_, count)| *count > 0)
        .collect();
    let rows: Vec<String> =
        counted.iter().map(|(file, count)| format!("| `{file}` | {count} |")).collect();
    assert!(
        counted == expose_table(&document),
        "docs/architecture.md counts other ways out of plaintext than the code has.\nLook at each \
         new one; if it is right, this is the table:\n\n| file | doors |\n|---|---|\n{}\n",
        rows.join("\n")
    );
}

/// Source that ships; modules of tests in files of their own are called `…tests.rs`.
fn is_code(name: &str) -> bool {
    !name.starts_with("tests/") && !name.ends_with("tests.rs")
}

/// The table of rooms: name to the rooms it may use.
struct Rooms(BTreeMap<String, BTreeSet<String>>);

impl Rooms {
    fn parse(document: &str) -> Self {
        let rooms: BTreeMap<_, _> = table(document, "| room |")
            .into_iter()
            .map(|cells| (names(&cells[0]).remove(0), names(&cells[2]).into_iter().collect()))
            .collect();
        assert!(!rooms.is_empty(), "docs/architecture.md has no table of rooms");
        Self(rooms)
    }

    /// The modules of `lib.rs` are the rooms of the table.
    fn check_declared(&self, lib: &str) -> Vec<String> {
        let code = Code::of(lib);
        let declared: BTreeSet<String> = words(&code.text)
            .filter(|(at, word)| *word == "mod" && !code.in_tests(*at))
            .map(|(at, _)| first_word(&code.text[at + 3..]))
            .collect();
        let known: BTreeSet<String> = self.0.keys().cloned().collect();
        let missing = declared
            .difference(&known)
            .map(|room| format!("src/lib.rs: room `{room}` is not in docs/architecture.md"));
        let gone = known
            .difference(&declared)
            .map(|room| format!("docs/architecture.md: room `{room}` is not in src/lib.rs"));
        missing.chain(gone).collect()
    }

    /// Every room that a file names is one that its own room may use.
    fn check_doors(&self, name: &str, code: &Code) -> Vec<String> {
        let room = room_of(name);
        if room == "lib" {
            return Vec::new();
        }
        let own = BTreeSet::from([room.clone()]);
        let only_cli = BTreeSet::from(["cli".to_owned()]);
        let allowed = match self.0.get(&room) {
            Some(allowed) => allowed,
            None if room == "main" => &only_cli,
            None => return vec![format!("{name}: room `{room}` is not in docs/architecture.md")],
        };
        crate_paths(name, code)
            .into_iter()
            .filter(|(_, used)| !allowed.contains(used) && !own.contains(used))
            .map(|(at, used)| {
                format!(
                    "{name}:{}: room `{room}` uses `{used}`, which its row in docs/architecture.md \
                     does not allow",
                    code.line(at)
                )
            })
            .collect()
    }
}

/// The text of a source file with comments and the insides of strings blanked, byte for byte.
struct Code {
    text: String,
    /// Byte ranges of `#[cfg(test)]` items.
    tests: Vec<(usize, usize)>,
}

impl Code {
    fn of(source: &str) -> Self {
        let text = blank(source);
        let tests = text
            .match_indices("#[cfg(test)]")
            .map(|(start, _)| (start, item_end(&text, start)))
            .collect();
        Self { text, tests }
    }

    fn in_tests(&self, at: usize) -> bool {
        self.tests.iter().any(|(start, end)| (*start..*end).contains(&at))
    }

    fn line(&self, at: usize) -> usize {
        self.text[..at].matches('\n').count() + 1
    }

    /// Where `needle` stands outside tests, not as the end of a longer word.
    fn find(&self, needle: &str) -> Vec<usize> {
        self.text
            .match_indices(needle)
            .map(|(at, _)| at)
            .filter(|at| !self.in_tests(*at) && !self.text[..*at].ends_with(is_word))
            .collect()
    }
}

/// Blanks comments and what stands between quotes; newlines and everything else keep their place.
fn blank(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &source.as_bytes()[at..];
        let after_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
        let (inside, end) = if rest.starts_with(b"//") {
            (at, find_from(bytes, at, b"\n").unwrap_or(bytes.len()))
        } else if rest.starts_with(b"/*") {
            (at, block_comment_end(bytes, at))
        } else if rest[0] == b'"' {
            (at + 1, string_end(bytes, at))
        } else if let (false, Some(hashes)) = (after_word, raw_string_hashes(rest)) {
            let quote = find_from(bytes, at, b"\"").unwrap();
            let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
            let end = find_from(bytes, quote + 1, &close).unwrap_or(bytes.len());
            out[quote + 1..end].iter_mut().for_each(blank_byte);
            at = (end + close.len()).min(bytes.len());
            continue;
        } else if rest[0] == b'\'' {
            (at + 1, char_end(bytes, at))
        } else {
            at += 1;
            continue;
        };
        out[inside.min(end)..end].iter_mut().for_each(blank_byte);
        // past the closing quote, which stays
        at = end.max(at) + usize::from(inside > at);
    }
    String::from_utf8(out).expect("whole characters were blanked")
}

fn blank_byte(byte: &mut u8) {
    if *byte != b'\n' {
        *byte = b' ';
    }
}

fn find_from(bytes: &[u8], from: usize, needle: &[u8]) -> Option<usize> {
    (from..bytes.len()).find(|at| bytes[*at..].starts_with(needle))
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// Index of the closing quote of the string that opens at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at.min(bytes.len())
}

/// Index of the closing quote of a character, or `start` where the quote opens a lifetime.
fn char_end(bytes: &[u8], start: usize) -> usize {
    match bytes.get(start + 1) {
        Some(b'\\') => find_from(bytes, start + 3, b"'").unwrap_or(start),
        Some(_) => (start + 2..bytes.len().min(start + 6))
            .take_while(|at| *at == start + 2 || bytes[*at - 1] >= 0x80)
            .find(|at| bytes[*at] == b'\'')
            .unwrap_or(start),
        None => start,
    }
}

/// Number of `#` of the raw string that opens here.
fn raw_string_hashes(rest: &[u8]) -> Option<usize> {
    let after = rest.strip_prefix(b"br").or_else(|| rest.strip_prefix(b"r"))?;
    let hashes = after.iter().take_while(|byte| **byte == b'#').count();
    (after.get(hashes) == Some(&b'"')).then_some(hashes)
}

/// End of the item or statement that begins at `start` with an attribute: its block, its
/// semicolon, or the end of the block around it.
fn item_end(text: &str, start: usize) -> usize {
    let mut at = start;
    // attributes first
    while text[at..].starts_with("#[") {
        at += matching(&text[at + 1..]).unwrap_or(text.len() - at - 1) + 2;
        at += text[at..].len() - text[at..].trim_start().len();
    }
    let is_let = first_word(&text[at..]) == "let";
    let mut depth = 0_usize;
    for (offset, character) in text[at..].char_indices() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => return at + offset,
            ')' | ']' => depth -= 1,
            '}' => {
                depth -= 1;
                if depth == 0 && !is_let {
                    return at + offset + 1;
                }
            }
            ';' if depth == 0 => return at + offset + 1,
            _ => {}
        }
    }
    text.len()
}

/// Offset of the bracket that closes the one at the start of `text`.
fn matching(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    text.char_indices().find_map(|(offset, character)| {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(offset)
    })
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn first_word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| is_word(*c)).collect()
}

/// All words of a text with their places.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split(|c| !is_word(c))
        .filter(|word| !word.is_empty())
        .map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word))
}

/// `src/key/ssh.rs` is in room `key`, `src/place.rs` is room `place`.
fn room_of(name: &str) -> String {
    let path = name.trim_start_matches("src/").trim_end_matches(".rs");
    path.split('/').next().unwrap_or_default().to_owned()
}

/// How deep the module of a file is below the root of the crate.
fn module_depth(name: &str) -> usize {
    let path = name.trim_start_matches("src/").trim_end_matches(".rs");
    path.trim_end_matches("/mod").split('/').count()
}

/// Every first name after `crate::` (or after as many `super::` as lead to the root, or after the
/// name of the crate in `main.rs`), groups in braces included.
fn crate_paths(name: &str, code: &Code) -> Vec<(usize, String)> {
    let mut starts: Vec<usize> = Vec::new();
    starts.extend(code.find("crate::").iter().map(|at| at + "crate::".len()));
    let to_root = "super::".repeat(module_depth(name));
    starts.extend(code.find(&to_root).iter().map(|at| at + to_root.len()));
    if room_of(name) == "main" {
        starts.extend(code.find("secretctl::").iter().map(|at| at + "secretctl::".len()));
    }
    let mut found = Vec::new();
    for at in starts {
        let rest = code.text[at..].trim_start();
        if rest.starts_with('{') {
            let group = &rest[1..matching(rest).unwrap_or(rest.len())];
            found.extend(top_level(group).map(|part| (at, first_word(part))));
        } else if rest.starts_with('*') {
            found.push((at, "*".to_owned()));
        } else {
            found.push((at, first_word(rest)));
        }
    }
    found.retain(|(_, used)| !used.is_empty() && used != "self" && used != "super");
    found
}

/// The parts of a group in braces, split at the commas that stand in no inner group.
fn top_level(group: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    group.split(move |character| {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        character == ',' && depth == 0
    })
}

fn check_children(name: &str, code: &Code) -> Vec<String> {
    if room_of(name) == "process" {
        return Vec::new();
    }
    // `std::process::Command` by path or from a group; clap has a `Command` too
    let mut found = code.find("process::Command");
    for at in code.find("process::{") {
        let group = &code.text[at + "process::".len()..];
        let group = &group[..matching(group).unwrap_or(group.len())];
        found.extend(words(group).any(|(_, word)| word == "Command").then_some(at));
    }
    at_lines(name, code, &found, "only `process` starts children")
}

fn check_printing(name: &str, code: &Code) -> Vec<String> {
    if room_of(name) == "cli" {
        return Vec::new();
    }
    let found: Vec<usize> = [
        "print!",
        "println!",
        "eprint!",
        "eprintln!",
        "dbg!",
        "stdout()",
        "stderr()",
        "anstream::",
    ]
    .iter()
    .flat_map(|needle| code.find(needle))
    .collect();
    at_lines(name, code, &found, "only `cli` prints")
}

/// Each way out of plaintext stands under an expectation of its own, with a reason.
fn check_expectations(name: &str, code: &Code) -> Vec<String> {
    let expectation = |(start, _): &(usize, &str)| {
        let attribute = &code.text[*start..];
        let attribute = &attribute[..attribute.find(']').unwrap_or(0)];
        attribute.contains("clippy::disallowed_methods") && attribute.contains("reason")
    };
    let covered: Vec<(usize, usize)> = code
        .text
        .match_indices("#[expect(")
        .filter(expectation)
        .map(|(start, _)| (start, item_end(&code.text, start)))
        .collect();
    let bare: Vec<usize> = expose_uses(code)
        .into_iter()
        .filter(|at| !covered.iter().any(|(start, end)| (*start..*end).contains(at)))
        .collect();
    at_lines(
        name,
        code,
        &bare,
        "`expose` without `#[expect(clippy::disallowed_methods, reason = \"…\")]` on its \
         statement or function",
    )
}

/// Where a file calls or names `Plaintext::expose`, tests left out.
fn expose_uses(code: &Code) -> Vec<usize> {
    words(&code.text)
        .filter(|(at, word)| {
            let before = code.text[..*at].trim_end();
            *word == "expose"
                && !code.in_tests(*at)
                && (before.ends_with('.') || before.ends_with("Plaintext::"))
        })
        .map(|(at, _)| at)
        .collect()
}

fn at_lines(name: &str, code: &Code, found: &[usize], what: &str) -> Vec<String> {
    found.iter().map(|at| format!("{name}:{}: {what}", code.line(*at))).collect()
}

/// What holds for every file, tests included: a first line, a length, nothing left for later.
fn check_shape(name: &str, text: &str) -> Vec<String> {
    let mut violations = Vec::new();
    if !text.starts_with("//!") {
        violations.push(format!("{name}:1: a file opens with `//!`: what it is for"));
    }
    let code = Code::of(text);
    let tested: usize =
        code.tests.iter().map(|(start, end)| text[*start..*end].matches('\n').count()).sum();
    let lines = text.lines().count() - tested;
    let limit = if name == "src/main.rs" { 15 } else { 600 };
    if !name.starts_with("tests/") && lines > limit {
        violations.push(format!("{name}: {lines} lines without tests; at most {limit}"));
    }
    for mark in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")] {
        for (at, _) in words(text).filter(|(_, word)| *word == mark) {
            let line = text[..at].matches('\n').count() + 1;
            violations.push(format!("{name}:{line}: `{mark}` is left"));
        }
    }
    violations
}

/// The rows of the table whose head begins with `head`, as trimmed cells.
fn table(document: &str, head: &str) -> Vec<Vec<String>> {
    document
        .lines()
        .skip_while(|line| !line.starts_with(head))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// What stands in backticks.
fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn expose_table(document: &str) -> BTreeMap<String, usize> {
    table(document, "| file | doors |")
        .into_iter()
        .map(|cells| (names(&cells[0]).remove(0), cells[1].parse().unwrap()))
        .collect()
}

/// All Rust files of both packages and of `tests`, by path relative to the root.
fn source_files(root: &Path) -> BTreeMap<String, String> {
    let mut folders = vec![root.join("src"), root.join("needle-filter/src"), root.join("tests")];
    let mut files = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    files
}

mod planted {
    use super::*;

    const DOCUMENT: &str = "\
text

| room | job | may use |
|---|---|---|
| `place` | where | – |
| `key` | keys | `place` |
| `cli` | talk | `place` `key` |

| file | doors |
|---|---|
| `src/key/ssh.rs` | 2 |
";

    fn doors(name: &str, source: &str) -> Vec<String> {
        Rooms::parse(DOCUMENT).check_doors(name, &Code::of(source))
    }

    #[test]
    fn a_forbidden_door_is_found_however_it_is_written() {
        for source in [
            "use crate::cli::Ui;",
            "use crate::{place::Place, cli};",
            "use crate::{\n    place::{Place, key},\n    cli::{self, Ui},\n};",
            "fn f() { let c = 'x'; crate::cli::main() }",
            "fn f<'a>(x: &'a str) { crate::cli::main() }",
            "pub use crate::*;",
            "use super::super::cli;",
            "fn f() { \"a \\\" b\"; crate::cli::main(r#\"x\"#) }",
            "fn f() { '\\''; crate::cli::main() }",
            "#[cfg(test)]\nuse crate::place;\nuse crate::cli;",
        ] {
            assert_eq!(doors("src/key/ssh.rs", source).len(), 1, "{source}");
        }
        assert_eq!(doors("src/key/mod.rs", "use super::cli;").len(), 1);
        assert_eq!(doors("src/main.rs", "fn main() { secretctl::key::load() }").len(), 1);
        assert_eq!(doors("src/other.rs", "").len(), 1);
    }

    #[test]
    fn an_allowed_door_is_not() {
        for source in [
            "use crate::place::Place;",
            "use crate::key::ssh::Key;",
            "use crate::{key::{cli, Key}, place};",
            "use super::cli;",
            "// use crate::cli;\n/* crate::cli /* crate::cli */ */",
            "const A: &str = \"crate::cli\";",
            "const A: &str = r##\"\"# crate::cli\"##;",
            "#[cfg(test)]\nmod tests {\n    use crate::cli;\n}",
            "#[cfg(test)]\nuse crate::cli;",
            "use other_crate::cli;",
        ] {
            assert_eq!(doors("src/key/ssh.rs", source), [""; 0], "{source}");
        }
        assert_eq!(doors("src/main.rs", "fn main() { secretctl::cli::main() }"), [""; 0]);
    }

    #[test]
    fn rooms_and_modules_are_the_same() {
        let rooms = Rooms::parse(DOCUMENT);
        assert_eq!(rooms.check_declared("pub mod cli; pub mod key; mod place;"), [""; 0]);
        assert_eq!(rooms.check_declared("pub mod cli; pub mod key; mod place; mod x;").len(), 1);
        assert_eq!(rooms.check_declared("pub mod cli; pub mod key;").len(), 1);
    }

    #[test]
    fn children_are_found() {
        let find = |name, source| check_children(name, &Code::of(source)).len();
        assert_eq!(find("src/key/ssh.rs", "use std::process::Command;"), 1);
        assert_eq!(find("src/key/ssh.rs", "use std::process::{Stdio, Command};"), 1);
        assert_eq!(find("src/key/ssh.rs", "std::process::Command::new(a)"), 1);
        assert_eq!(find("src/process.rs", "use std::process::Command;"), 0);
        assert_eq!(find("src/cli/mod.rs", "use clap::Command;"), 0);
        assert_eq!(find("src/main.rs", "use std::process::ExitCode;"), 0);
    }

    #[test]
    fn printing_is_found() {
        let find = |name, source| check_printing(name, &Code::of(source)).len();
        assert_eq!(find("src/key/ssh.rs", "eprintln!(\"x\")"), 1);
        assert_eq!(find("src/key/ssh.rs", "std::io::stdout().write_all(b)"), 1);
        assert_eq!(find("src/key/ssh.rs", "fingerprint!(x)"), 0);
        assert_eq!(find("src/cli/ui.rs", "std::io::stderr()"), 0);
    }

    #[test]
    fn ways_out_are_counted_and_need_a_reason() {
        let bare = "fn f(t: &Plaintext) { g(t.expose()); }";
        let on_function = "#[expect(clippy::disallowed_methods, reason = \"r\")]\nfn f(t: &Plaintext) { g(t.expose()); h(t.expose()) }";
        let on_statement = "fn f() {\n#[expect(clippy::disallowed_methods, reason = \"r\")]\nlet a = match x { y => t.expose() };\n a }";
        let beside = "#[expect(clippy::disallowed_methods, reason = \"r\")]\nfn f() {}\nfn g(t: &Plaintext) { t\n  .expose() }";
        let without_reason =
            "#[expect(clippy::disallowed_methods)]\nfn f(t: &Plaintext) { g(t.expose()); }";
        let in_tests = "#[cfg(test)]\nmod tests { fn f() { t.expose() } }";
        let by_path = "fn f() { x.map(Plaintext::expose) }";
        for (source, uses, violations) in [
            (bare, 1, 1),
            (on_function, 2, 0),
            (on_statement, 1, 0),
            (beside, 1, 1),
            (without_reason, 1, 1),
            (in_tests, 0, 0),
            (by_path, 1, 1),
            ("fn f() { x.expose_secret() }", 0, 0),
        ] {
            let code = Code::of(source);
            assert_eq!(expose_uses(&code).len(), uses, "{source}");
            let found = check_expectations("src/key/ssh.rs", &code);
            assert_eq!(found.len(), violations, "{source}");
        }
        assert_eq!(expose_table(DOCUMENT), BTreeMap::from([("src/key/ssh.rs".to_owned(), 2)]));
    }

    #[test]
    fn shape_is_checked() {
        let shape = |name, text: &str| check_shape(name, text).len();
        assert_eq!(shape("src/a.rs", "//! a\nfn f() {}\n"), 0);
        assert_eq!(shape("src/a.rs", "fn f() {}\n"), 1);
        assert_eq!(shape("src/a.rs", concat!("//! a\n// TO", "DO later\n")), 1);
        assert_eq!(shape("src/a.rs", &format!("//! a\n{}", "\n".repeat(600))), 1);
        let tests = format!("//! a\n#[cfg(test)]\nmod tests {{{}}}\n", "\n".repeat(900));
        assert_eq!(shape("src/a.rs", &tests), 0);
        assert_eq!(shape("src/main.rs", &format!("//! a\n{}", "\n".repeat(15))), 1);
        assert_eq!(shape("tests/a.rs", &format!("//! a\n{}", "\n".repeat(900))), 0);
    }
}
