//! Ways to a value of a document, as people write them: sops's `["db"]["hosts"][0]` and JSON
//! pointers, `/db/hosts/0` (RFC 6901). And values as they write them: JSON.
//!
//! The first character tells the two apart. Text between the quotes of sops's form is taken as it
//! is, without escapes, so that every key that sops can name is named the same here; a key may
//! hold `[`, which sops cannot. In a pointer `~1` stands for `/` and `~0` for `~`, and digits are
//! an index where they meet a list, else a key. Errors tell the position and never quote a value.

use std::fmt;

use crate::format::sops::store::Step;
use crate::format::sops::tree::{
    Entry, Leaf, List, ListItem, MAX_DEPTH, Map, MapItem, Node, Value,
};
use crate::plaintext::Plaintext;

/// A way, before it is known what it leads through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Key(String),
    Index(usize),
    /// From a pointer: a key, or an index of a list.
    Either(String),
}

impl Way {
    /// Reads either form. Nothing leads to the whole document.
    ///
    /// # Errors
    /// [`WayError`] with the place.
    pub fn parse(text: &str) -> Result<Self, WayError> {
        match text.chars().next() {
            Some('/') => pointer(text).map(Self),
            Some(_) => Self::parse_index(text),
            None => Ok(Self(Vec::new())),
        }
    }

    /// Reads sops's form alone.
    ///
    /// # Errors
    /// [`WayError`] with the place.
    pub fn parse_index(text: &str) -> Result<Self, WayError> {
        let mut parts = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let (part, end) = component(text, at)?;
            parts.push(part);
            at = end;
        }
        if parts.len() > MAX_DEPTH {
            return Err(WayError { at: 1, what: "it leads deeper than 256 levels" });
        }
        Ok(Self(parts))
    }

    /// Whether it leads to the whole document.
    pub fn is_whole(&self) -> bool {
        self.0.is_empty()
    }

    /// The steps in a document; where it has nothing on the way, digits of a pointer are a key.
    pub fn steps(&self, root: &Map) -> Vec<Step> {
        let mut here = Here::Map(root);
        let mut steps = Vec::with_capacity(self.0.len());
        for part in &self.0 {
            let step = match (part, &here) {
                (Part::Key(key), _) => Step::Key(key.clone()),
                (Part::Index(index), _) => Step::Index(*index),
                (Part::Either(text), Here::List(list)) => match index(text) {
                    Some(index) => Step::Index(index),
                    // RFC 6901: the item behind the last.
                    None if text == "-" => Step::Index(list.values().count()),
                    None => Step::Key(text.clone()),
                },
                (Part::Either(text), Here::Map(_) | Here::Nowhere) => Step::Key(text.clone()),
            };
            here = here.follow(&step);
            steps.push(step);
        }
        steps
    }
}

/// The value that steps lead to; the root itself cannot be had so.
pub fn find<'a>(root: &'a Map, steps: &[Step]) -> Option<&'a Node> {
    let (last, before) = steps.split_last()?;
    let here = before.iter().fold(Here::Map(root), Here::follow);
    here.value(last)
}

/// What a part of a way is looked up in.
#[derive(Clone, Copy)]
enum Here<'a> {
    Map(&'a Map),
    List(&'a List),
    Nowhere,
}

impl<'a> Here<'a> {
    fn value(self, step: &Step) -> Option<&'a Node> {
        match (self, step) {
            (Self::Map(map), Step::Key(key)) => map.find(key),
            (Self::List(list), Step::Index(index)) => list.values().nth(*index),
            (Self::Map(_), Step::Index(_)) | (Self::List(_), Step::Key(_)) | (Self::Nowhere, _) => {
                None
            }
        }
    }

    fn follow(self, step: &Step) -> Self {
        match self.value(step) {
            Some(Node::Map(map)) => Self::Map(map),
            Some(Node::List(list)) => Self::List(list),
            Some(Node::Leaf(_)) | None => Self::Nowhere,
        }
    }
}

/// Reads a JSON value of any kind; numbers keep their text.
///
/// # Errors
/// [`JsonError`] with the place and nothing of the value.
#[expect(clippy::disallowed_methods, reason = "it is parsed; errors keep the position only")]
pub fn value(json: &Plaintext) -> Result<Node, JsonError> {
    let whole = || JsonError { line: 0, column: 0 };
    let text = std::str::from_utf8(json.expose()).map_err(|_| whole())?;
    // Also holds the depth; what follows need not look again whether it is JSON.
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map_err(|error| JsonError { line: error.line(), column: error.column() })?;
    let mut reader = Reader { rest: text };
    reader.value().ok_or_else(whole)
}

/// A reader of text that is JSON.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Option<Node> {
        match self.peek()? {
            '{' => self.map().map(Node::Map),
            '[' => self.list().map(Node::List),
            '"' => {
                let text = self.string()?;
                Some(leaf(Value::Str(Plaintext::new(text.into_bytes()))))
            }
            _ => {
                let end = self.rest.find(|c: char| !is_word(c)).unwrap_or(self.rest.len());
                Some(leaf(scalar(self.take(end)?)))
            }
        }
    }

    fn map(&mut self) -> Option<Map> {
        let mut map = Map::default();
        self.take(1)?;
        while self.peek()? != '}' {
            let key = self.string()?;
            self.eat(':')?;
            let value = self.value()?;
            map.items.push(MapItem::Entry(Entry { key, key_span: 0..0, value }));
            if self.peek()? == ',' {
                self.take(1)?;
            }
        }
        self.take(1)?;
        Some(map)
    }

    fn list(&mut self) -> Option<List> {
        let mut list = List::default();
        self.take(1)?;
        while self.peek()? != ']' {
            list.items.push(ListItem::Value(self.value()?));
            if self.peek()? == ',' {
                self.take(1)?;
            }
        }
        self.take(1)?;
        Some(list)
    }

    /// A string, unescaped; half a surrogate pair is none.
    fn string(&mut self) -> Option<String> {
        (self.peek()? == '"').then_some(())?;
        let mut escaped = false;
        let (end, _) = self.rest.char_indices().skip(1).find(|(_, c)| {
            let ends = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        })?;
        serde_json::from_str(self.take(end.saturating_add(1))?).ok()
    }

    fn eat(&mut self, c: char) -> Option<()> {
        (self.peek()? == c).then_some(())?;
        self.take(c.len_utf8()).map(|_| ())
    }

    /// The next character that is no blank.
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.rest.chars().next()
    }

    fn take(&mut self, length: usize) -> Option<&'a str> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.')
}

fn scalar(word: &str) -> Value {
    let text = || Plaintext::copy_of(word.as_bytes());
    match word {
        "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        // `-0` has a sign that an integer does not keep.
        _ if word != "-0" && word.parse::<i64>().is_ok() => Value::Int(text()),
        _ => Value::Float(text()),
    }
}

fn leaf(value: Value) -> Node {
    Node::Leaf(Leaf::new(value))
}

/// One `[…]`, and where it ends.
fn component(text: &str, at: usize) -> Result<(Part, usize), WayError> {
    let error = |at: usize, what| Err(WayError { at: characters(text, at), what });
    let rest = text.get(at..).unwrap_or_default();
    let Some(inner) = rest.strip_prefix('[') else {
        return error(at, "here `[` is missing");
    };
    let inside = at.saturating_add(1);
    if let Some(quote) = inner.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let content = inner.get(1..).unwrap_or_default();
        // Keys may hold quotes and brackets: the end is where the way ends or goes on.
        let ends = [format!("{quote}]["), format!("{quote}]")];
        let [goes_on, stops] = ends.each_ref().map(|end| content.find(end.as_str()));
        let stops = stops.filter(|_| content.ends_with(ends[1].as_str()));
        let length = match (goes_on, stops) {
            (Some(length), _) => length,
            (None, Some(_)) => content.len().saturating_sub(2),
            (None, None) => return error(inside, "this quote is not closed by the same and `]`"),
        };
        let key = content.get(..length).unwrap_or_default().to_owned();
        let end = inside.saturating_add(1).saturating_add(length).saturating_add(2);
        return Ok((Part::Key(key), end));
    }
    let Some(length) = inner.find(']') else {
        return error(at, "this `[` is not closed");
    };
    match inner.get(..length).unwrap_or_default() {
        "" => error(inside, "there is nothing between the brackets"),
        digits => match index(digits) {
            Some(index) => {
                Ok((Part::Index(index), inside.saturating_add(length).saturating_add(1)))
            }
            None if digits.starts_with('-') => error(inside, "an index is counted from 0"),
            None => error(inside, "a key stands in quotes, and an index is a number"),
        },
    }
}

fn pointer(text: &str) -> Result<Vec<Part>, WayError> {
    let mut parts = Vec::new();
    let mut at: usize = 1;
    for token in text.get(1..).unwrap_or_default().split('/') {
        let wrong = token.match_indices('~').find(|(tilde, _)| {
            !token.get(tilde.saturating_add(1)..).unwrap_or_default().starts_with(['0', '1'])
        });
        if let Some((tilde, _)) = wrong {
            let at = characters(text, at.saturating_add(tilde));
            return Err(WayError { at, what: "`~` is written `~0` and `/` in a key `~1`" });
        }
        parts.push(Part::Either(token.replace("~1", "/").replace("~0", "~")));
        at = at.saturating_add(token.len()).saturating_add(1);
    }
    if parts.len() > MAX_DEPTH {
        return Err(WayError { at: 1, what: "it leads deeper than 256 levels" });
    }
    Ok(parts)
}

/// Decimal digits without a sign or leading zeros.
fn index(digits: &str) -> Option<usize> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    let leading = digits.len() > 1 && digits.starts_with('0');
    (plain && !leading).then(|| digits.parse().ok()).flatten()
}

fn characters(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().chars().count().saturating_add(1)
}

/// A text that is no way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WayError {
    /// Character, from 1.
    pub at: usize,
    /// A clause that says what is wrong.
    pub what: &'static str,
}

impl fmt::Display for WayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "character {}: {}", self.at, self.what)
    }
}

impl std::error::Error for WayError {}

/// A text that is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// Line, from 1; 0 where it is about the whole.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is not JSON")?;
        if self.line > 0 {
            write!(f, " at line {}, column {}", self.line, self.column)?;
        }
        Ok(())
    }
}

impl std::error::Error for JsonError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::sops::store;

    fn key(text: &str) -> Step {
        Step::Key(text.to_owned())
    }

    fn json(text: &str) -> Node {
        value(&Plaintext::copy_of(text.as_bytes())).unwrap()
    }

    fn root(text: &str) -> Map {
        let Node::Map(map) = json(text) else { panic!("no map") };
        map
    }

    fn steps(way: &str) -> Vec<Step> {
        Way::parse(way).unwrap().steps(&Map::default())
    }

    /// What a value is, in words.
    #[expect(clippy::disallowed_methods, reason = "tests look at values")]
    fn shape(node: &Node) -> String {
        let text = |text: &Plaintext| String::from_utf8(text.expose().to_vec()).unwrap();
        match node {
            Node::Map(map) => {
                let entries = map.entries().map(|e| format!("{}={}", e.key, shape(&e.value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(" "))
            }
            Node::List(list) => {
                format!("[{}]", list.values().map(shape).collect::<Vec<_>>().join(" "))
            }
            Node::Leaf(leaf) => match &leaf.value {
                Value::Null => "null".to_owned(),
                Value::Bool(bool) => bool.to_string(),
                Value::Int(digits) => format!("int:{}", text(digits)),
                Value::Float(digits) => format!("float:{}", text(digits)),
                Value::Time(time) => format!("time:{}", text(time)),
                Value::Str(string) => format!("str:{}", text(string)),
            },
        }
    }

    #[test]
    fn the_form_of_sops_is_read() {
        assert_eq!(steps(""), []);
        assert_eq!(steps(r#"["a"]['b'][0]"#), [key("a"), key("b"), Step::Index(0)]);
        assert_eq!(steps(r#"["a b.c"][12]"#), [key("a b.c"), Step::Index(12)]);
        assert_eq!(steps(r#"["0"][""]"#), [key("0"), key("")]);
        assert_eq!(steps(r#"["a[b"]["c]d"]"#), [key("a[b"), key("c]d")]);
        assert_eq!(steps(r#"["a"b"]"#), [key("a\"b")]);
        assert_eq!(steps(r#"['x"]["y']"#), [key("x\"][\"y")]);
        assert_eq!(steps(r#"["a\nb"]"#), [key("a\\nb")]);
        assert_eq!(steps(r#"["a"]"]"#), [key("a\"]")]);
    }

    #[test]
    fn what_sops_takes_or_stumbles_over_is_an_error_with_its_place() {
        let place = |way: &str| Way::parse_index(way).unwrap_err().at;
        for (way, at) in [
            ("[]", 2),
            ("a", 1),
            (r#""a"]["b"]"#, 1),
            (r#"["a"#, 2),
            (r#"["a']"#, 2),
            (r#"["a"]x"#, 2),
            (r#"["ä"][x]"#, 7),
            ("[-1]", 2),
            ("[+1]", 2),
            ("[01]", 2),
            ("[1", 1),
            ("[99999999999999999999999]", 2),
            (r#"["a"] ["b"] "#, 2),
            ("/a", 1),
        ] {
            assert_eq!(place(way), at, "{way}");
        }
    }

    #[test]
    fn a_pointer_finds_out_what_its_digits_mean() {
        let root = root(r#"{"a": [{"0": "x"}, 7], "b/c": 1, "~": 2, "": 3}"#);
        let way = |text: &str| Way::parse(text).unwrap().steps(&root);
        assert_eq!(way("/a/0/0"), [key("a"), Step::Index(0), key("0")]);
        assert_eq!(way("/a/-"), [key("a"), Step::Index(2)]);
        assert_eq!(way("/b~1c"), [key("b/c")]);
        assert_eq!(way("/~0"), [key("~")]);
        assert_eq!(way("/"), [key("")]);
        assert_eq!(way("/new/0"), [key("new"), key("0")]);
        assert_eq!(Way::parse("/a/~2").unwrap_err().at, 4);
        assert!(Way::parse("db").is_err() && Way::parse("").unwrap().is_whole());
        let found = |text: &str| find(&root, &way(text)).map(shape);
        assert_eq!(found("/a/1"), Some("int:7".to_owned()));
        assert_eq!(found("/a/2"), None);
        assert_eq!(found("/b~1c/d"), None);
        assert_eq!(found("/a/0/0"), Some("str:x".to_owned()));
    }

    #[test]
    fn a_way_as_it_is_shown_is_read_back() {
        for way in [vec![key("a"), Step::Index(3)], vec![key("a[b]"), key("c.d")]] {
            assert_eq!(steps(&store::Way(&way).to_string()), way);
        }
    }

    #[test]
    fn values_keep_the_text_of_numbers() {
        for (text, is) in [
            ("9007199254740993", "int:9007199254740993"),
            ("-5", "int:-5"),
            ("12345678901234567890", "float:12345678901234567890"),
            ("1.0", "float:1.0"),
            ("1E+400", "float:1E+400"),
            ("-0", "float:-0"),
            (" null ", "null"),
            ("\t[1,\n [], {\"a\" : true , \"a\":false}]", "[int:1 [] {a=true a=false}]"),
            (r#""a\"\\\u00e9\ud83d\ude00""#, "str:a\"\\é😀"),
            (r#"{"a\"b": "\\", "c": "}"}"#, "{a\"b=str:\\ c=str:}}"),
            ("{}", "{}"),
        ] {
            assert_eq!(shape(&json(text)), is, "{text}");
        }
    }

    #[test]
    fn an_error_tells_the_place_and_nothing_of_the_value() {
        let error = |text: &str| value(&Plaintext::copy_of(text.as_bytes())).unwrap_err();
        assert_eq!(error("{\"a\": canary}"), JsonError { line: 1, column: 7 });
        assert_eq!(error("1 canary"), JsonError { line: 1, column: 3 });
        assert_eq!(error("").line, 1);
        assert!(!error("\"canary").to_string().contains("canary"));
        error(r#""\ud800""#);
        error(&"[".repeat(100_000));
        assert!(value(&Plaintext::copy_of(b"\"\xff\"")).is_err());
    }
}
