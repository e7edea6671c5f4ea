//! One part of a secret: found, set or removed in its content, which is a document of some kind.
//! The same for sops files and for age files, whose name tells what is inside. Opens and writes
//! nothing.

use super::Problem;
use super::merge;
use super::way::{self, Way};
use crate::format::sops::extract;
use crate::format::sops::file::SopsError;
use crate::format::sops::store::{Layout, Store, StoreError};
use crate::format::sops::tree::{Leaf, Map, Node, Tree, Value};
use crate::format::sops::values;
use crate::plaintext::Plaintext;

/// One value: a text or number as it is, a map or list as a document of the `output`.
///
/// # Errors
/// [`Problem::NoParts`], [`Problem::Content`], [`Problem::Sops`].
pub fn get(
    content: Plaintext,
    store: Store,
    way: &Way,
    output: Store,
) -> Result<Plaintext, Problem> {
    if way.is_whole() && output == store {
        return Ok(content);
    }
    let root = root(parsed(&content, store, way)?);
    let steps = way.steps(&root);
    let missing = || Problem::Sops(SopsError::Missing { way: steps.clone() });
    let node = extract::take(Node::Map(root), &steps).ok_or_else(missing)?;
    match node {
        Node::Leaf(Leaf { value: Value::Null, .. }) => Ok(Plaintext::copy_of(b"null")),
        Node::Leaf(_) => values::of_node(&node, &steps).map_err(|_| missing()),
        Node::Map(_) | Node::List(_) => {
            let printed = extract::print(node, store, output, &Layout::default());
            printed.map_err(|error| {
                Problem::Sops(SopsError::Store(StoreError { way: steps, ..error }))
            })
        }
    }
}

/// The content with another value; `None` where it has that value already.
///
/// # Errors
/// [`Problem::NoParts`], [`Problem::Content`], [`Problem::Sops`].
pub fn set(
    content: &Plaintext,
    store: Store,
    way: &Way,
    value: &Node,
) -> Result<Option<Plaintext>, Problem> {
    let root = root(parsed(content, store, way)?);
    let steps = way.steps(&root);
    if way::find(&root, &steps).is_some_and(|old| merge::same(old, value)) {
        return Ok(None);
    }
    let new = store.set(content, &steps, value);
    let new = new.map_err(|error| Problem::Sops(SopsError::Store(error)))?;
    Ok(Some(new).filter(|new| !new.same_as(content)))
}

/// The content without a value; `None` where it is not there.
///
/// # Errors
/// [`Problem::NoParts`], [`Problem::Content`], [`Problem::Sops`].
pub fn unset(content: &Plaintext, store: Store, way: &Way) -> Result<Option<Plaintext>, Problem> {
    let root = root(parsed(content, store, way)?);
    let steps = way.steps(&root);
    store.unset(content, &steps).map_err(|error| Problem::Sops(SopsError::Store(error)))
}

fn parsed(content: &Plaintext, store: Store, way: &Way) -> Result<Tree, Problem> {
    if store == Store::Binary && !way.is_whole() {
        return Err(Problem::NoParts);
    }
    store.read_plain(content).map_err(|error| Problem::Content { store, error })
}

/// The values of the first document.
fn root(tree: Tree) -> Map {
    tree.documents.into_iter().next().map(|document| document.root).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Plaintext {
        Plaintext::copy_of(text.as_bytes())
    }

    #[expect(clippy::disallowed_methods, reason = "tests look at values")]
    fn shown(text: &Plaintext) -> String {
        String::from_utf8(text.expose().to_vec()).unwrap()
    }

    fn got(text: &str, store: Store, way: &str) -> String {
        let way = Way::parse(way).unwrap();
        shown(&get(plain(text), store, &way, store).unwrap())
    }

    const YAML: &str =
        "# all\na: 'x y'\nn: 9007199254740993\nf: 1.50\nz:\nl:\n  - b: 1\n  - 0x10\n";

    #[test]
    fn values_come_as_they_are_written() {
        for (way, wanted) in [
            ("/a", "x y"),
            ("/n", "9007199254740993"),
            ("/z", "null"),
            ("/l/0/b", "1"),
            ("/l/0", "b: 1\n"),
            ("", YAML),
        ] {
            assert_eq!(got(YAML, Store::Yaml, way), wanted, "{way}");
        }
        let json = "{\"n\": 12345678901234567890123, \"m\": {\"x\": 1e2}}";
        assert_eq!(got(json, Store::Json, "/n"), "12345678901234567890123");
        assert_eq!(got(json, Store::Json, "/m"), "{\n\t\"x\": 1e2\n}\n");
        assert_eq!(got("A=b c\n", Store::Dotenv, "/A"), "b c");
    }

    #[test]
    fn what_is_so_already_is_not_written() {
        let way = Way::parse("/a").unwrap();
        let text = |text: &str| way::value(&plain(text)).unwrap();
        assert!(set(&plain(YAML), Store::Yaml, &way, &text("\"x y\"")).unwrap().is_none());
        let new = set(&plain(YAML), Store::Yaml, &way, &text("[1.50, {\"k\": null}]"));
        let new = shown(&new.unwrap().unwrap());
        assert!(new.contains("1.50") && new.starts_with("# all\n"), "{new}");
        let gone = Way::parse("/nowhere").unwrap();
        assert!(unset(&plain(YAML), Store::Yaml, &gone).unwrap().is_none());
    }

    #[test]
    fn what_has_no_parts_says_so() {
        let way = Way::parse("/a").unwrap();
        let error = get(plain("a: b"), Store::Binary, &way, Store::Binary).unwrap_err();
        assert!(matches!(error, Problem::NoParts));
    }
}
