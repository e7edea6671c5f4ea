//! Derivations of Nix (`.drv`), in the notation of `ATerm` (`derivations.cc`): their strings,
//! unescaped, each with what it is. Follows the shape of the text, not its meaning.

/// A string of a derivation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Text {
    /// What it is: `env PASSWORD`, `argument 1`, `builder`, `output`, `input`.
    pub(crate) role: Role,
    /// The text.
    pub(crate) bytes: Vec<u8>,
}

/// What a string of a derivation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// A value of the environment, with its name.
    Environment(Vec<u8>),
    /// An argument of the builder, from 0.
    Argument(usize),
    /// The builder, the system, an output or an input.
    Other,
}

/// The paths of the outputs of a derivation, where they are known; `None` where the text is none.
pub(crate) fn outputs(drv: &[u8]) -> Option<Vec<String>> {
    let mut parser = Parser { rest: drv, depth: 0 };
    parser.head()?;
    let mut texts = Vec::new();
    parser.term(&mut texts)?;
    // Name, path, kind of hash, hash.
    let paths = texts.into_iter().skip(1).step_by(4);
    let paths = paths.filter_map(|text| String::from_utf8(text.bytes).ok());
    Some(paths.filter(|path| !path.is_empty()).collect())
}

/// All strings of a derivation; `None` where the text is none, or something follows it.
pub(crate) fn texts(drv: &[u8]) -> Option<Vec<Text>> {
    let mut parser = Parser { rest: drv, depth: 0 };
    let mut texts = vec![Text { role: Role::Other, bytes: parser.head()? }];
    // Outputs, derivations, sources.
    for _ in 0..3 {
        parser.term(&mut texts)?;
        parser.eat(b",").then_some(())?;
    }
    for _ in 0..2 {
        texts.push(Text { role: Role::Other, bytes: parser.string()? });
        parser.eat(b",").then_some(())?;
    }
    let mut arguments = Vec::new();
    parser.term(&mut arguments)?;
    for (index, text) in arguments.into_iter().enumerate() {
        texts.push(Text { role: Role::Argument(index), ..text });
    }
    parser.eat(b",[").then_some(())?;
    while !parser.eat(b"]") {
        parser.eat(b",");
        parser.eat(b"(").then_some(())?;
        let name = parser.string()?;
        parser.eat(b",").then_some(())?;
        let bytes = parser.string()?;
        parser.eat(b")").then_some(())?;
        texts.push(Text { role: Role::Environment(name), bytes });
    }
    (parser.eat(b")") && parser.rest.is_empty()).then_some(texts)
}

struct Parser<'a> {
    rest: &'a [u8],
    depth: usize,
}

impl Parser<'_> {
    fn eat(&mut self, word: &[u8]) -> bool {
        let rest = self.rest.strip_prefix(word);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// What a derivation begins with; newer kinds name what they need of Nix, which is given.
    fn head(&mut self) -> Option<Vec<u8>> {
        if self.eat(b"Derive(") {
            return Some(Vec::new());
        }
        self.eat(b"DrvWithVersion(").then_some(())?;
        let version = self.string()?;
        self.eat(b",").then_some(version)
    }

    /// A string, a list or a tuple; the strings in it.
    fn term(&mut self, texts: &mut Vec<Text>) -> Option<()> {
        if self.rest.first() == Some(&b'"') {
            texts.push(Text { role: Role::Other, bytes: self.string()? });
            return Some(());
        }
        let end: &[u8] = if self.eat(b"[") { b"]" } else { self.eat(b"(").then_some(b")")? };
        self.depth = self.depth.saturating_add(1);
        if self.depth > DEPTH {
            return None;
        }
        while !self.eat(end) {
            self.term(texts)?;
            if !self.eat(b",") && !self.rest.starts_with(end) {
                return None;
            }
        }
        self.depth = self.depth.saturating_sub(1);
        Some(())
    }

    fn string(&mut self) -> Option<Vec<u8>> {
        self.eat(b"\"").then_some(())?;
        let mut text = Vec::new();
        loop {
            let stop = self.rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            let (plain, rest) = self.rest.split_at(stop);
            text.extend_from_slice(plain);
            let (mark, rest) = rest.split_first()?;
            if *mark == b'"' {
                self.rest = rest;
                return Some(text);
            }
            let (escaped, rest) = rest.split_first()?;
            text.push(match escaped {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                other => *other,
            });
            self.rest = rest;
        }
    }
}

const DEPTH: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_unescaped_and_named() {
        let drv = br#"Derive([("out","/nix/store/x","","")],[("/nix/store/a.drv",["out"])],["/nix/store/s"],"x86_64-linux","/bin/sh",["-c","echo \"a\" > $out"],[("name","x"),("pw","a\\b\n\"c\"")])"#;
        let texts = texts(drv).unwrap();
        let of = |role: &Role| -> Vec<Vec<u8>> {
            texts.iter().filter(|text| text.role == *role).map(|text| text.bytes.clone()).collect()
        };
        let password = &of(&Role::Environment(b"pw".to_vec()))[0];
        assert_eq!(password, b"a\\b\n\"c\"");
        assert_eq!(of(&Role::Argument(1))[0], b"echo \"a\" > $out");
        assert_eq!(of(&Role::Other).len(), 10);
        assert_eq!(outputs(drv).unwrap(), ["/nix/store/x"]);
    }

    #[test]
    fn the_version_is_a_string_as_the_others() {
        let texts = texts(br#"DrvWithVersion("v",[],[],[],"s","b",[],[])"#).unwrap();
        assert_eq!(texts[0], Text { role: Role::Other, bytes: b"v".to_vec() });
    }

    #[test]
    fn what_is_cut_is_no_derivation_nor_what_goes_on() {
        let drv = br#"Derive([],[],[],"s","b",[],[("a","b")])"#;
        assert!(texts(drv).is_some());
        assert_eq!(texts(&[drv, b"\nmore".as_slice()].concat()), None);
        for end in 0..drv.len() {
            assert_eq!(texts(&drv[..end]), None);
        }
    }
}
