//! Texts and attributes of XML, property lists and what is like them. Reads what it can and checks
//! nothing.

use super::literal::{Pattern, Scalar, group};
use super::names;
use super::needle::Why;

/// Comments, sections, declarations, ends of elements and their beginnings, attributes (those that are
/// none to look for, those that are names, others), and what follows a tag.
static PIECES: Pattern = Pattern::new(concat!(
    r#"(?s)(<!--.*?--)|<!\[CDATA\[(.*?)\]\]|<(?:\?xml|!DOCTYPE)[^>]*|(</[^\s>]+)|<([^\s/>!?]+)|"#,
    r#"(?:(class|type|version|encoding|xmlns[A-Za-z0-9_:]*|xsi:[A-Za-z]+)|(name|id)|([A-Za-z0-9_:.-]+))\s*=\s*"#,
    r#"(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))|(/)?>([^<]*)"#,
));
static ENTITIES: Pattern =
    Pattern::new(r"&(?:(lt|gt|amp|quot|apos)|#([0-9]{1,7})|#[xX]([0-9A-Fa-f]{1,6}));");

/// The texts and attributes of a document, and why one is not looked for; `None` where it is no document.
pub(super) fn pieces(text: &str) -> Option<Vec<(Scalar<'_>, Option<Why>)>> {
    // what entities of its own stand for is not known here
    if !text.starts_with('<') || text.contains("<!ENTITY") {
        return None;
    }
    let mut found = Vec::new();
    let has_keys = text.contains("<plist");
    let (mut element, mut key, mut closed) = ("", "", false);
    for piece in PIECES.get()?.captures_iter(text) {
        let group = |number| group(&piece, number);
        element = group(4).unwrap_or(element);
        closed |= group(3).or(group(11)).is_some();
        let value = group(8).or(group(9)).or(group(10));
        let written = group(1).or(group(2)).or(value).or(group(12)).unwrap_or_default().trim();
        let name = group(5).is_some() || (group(6).is_some() && names::is_label(written));
        let why = match group(1) {
            Some(_) => Some(Why::Comment),
            None => name.then_some(Why::Name),
        };
        let around = if key.is_empty() { element } else { key };
        let way = group(6).or(group(7)).unwrap_or(around);
        if has_keys && element == "key" && group(12).is_some() {
            key = written;
        } else if !written.is_empty() {
            let escapes = group(2).is_none().then_some(&ENTITIES);
            found.push((Scalar { way, written, escapes }, why));
        }
        if group(3).is_some() {
            element = "";
        }
    }
    closed.then_some(found)
}
