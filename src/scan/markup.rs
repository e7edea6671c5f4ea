//! Texts and attributes of XML, property lists and what is like them. Reads what it can and checks
//! nothing.

use super::literal::{Pattern, Scalar, group};
use super::names;
use super::needle::Why;

/// Comments, sections, declarations, ends of elements and their beginnings, attributes, and what
/// follows a tag.
static PIECES: Pattern = Pattern::new(concat!(
    r#"(?s)(<!--.*?--)|<!\[CDATA\[(.*?)\]\]|<(?:\?xml|!DOCTYPE)[^>]*|(</[^\s>]+)|<([^\s/>!?]+)|"#,
    r#"([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))|(/)?>([^<]*)"#,
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
        closed |= group(3).or(group(9)).is_some();
        let (mut way, mut why) = (if key.is_empty() { element } else { key }, None);
        if group(1).is_some() {
            why = Some(Why::Comment);
        }
        let attribute = group(6).or(group(7)).or(group(8));
        if let (Some(name), Some(value)) = (group(5), attribute) {
            way = name;
            let is_name = match name {
                "class" | "type" | "version" | "encoding" => true,
                "name" | "id" => names::is_label(value),
                "key" => element == "add" && names::is_label(value),
                _ => name.starts_with("xmlns") || name.starts_with("xsi:"),
            };
            why = is_name.then_some(Why::Name);
        }
        let content = group(1).or(group(2)).or(attribute).or(group(10)).unwrap_or_default().trim();
        if has_keys && element == "key" && group(10).is_some() {
            key = content;
        } else if !content.is_empty() {
            let escapes = group(2).is_none().then_some(&ENTITIES);
            found.push((Scalar { way, written: content, escapes }, why));
        }
        if group(3).is_some() {
            element = "";
        }
    }
    closed.then_some(found)
}
