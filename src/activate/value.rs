//! One value of a document: a text as it is, a number as it is written, a map or list as a document
//! of its own.

use super::manifest::Key;
use super::open::OpenProblem;
use crate::format::sops::extract;
use crate::format::sops::store::Store;
use crate::format::sops::tree::{Leaf, Map, Node, Value};
use crate::format::sops::values;
use crate::plaintext::Plaintext;

/// The value at a way.
///
/// # Errors
/// [`OpenProblem::Missing`], [`OpenProblem::Null`], [`OpenProblem::Print`].
pub(super) fn at(root: &Map, store: Store, key: &Key) -> Result<Plaintext, OpenProblem> {
    let node = find(root, key.steps())
        .map_err(|found| OpenProblem::Missing { key: key.clone(), found })?;
    match node {
        Node::Leaf(Leaf { value: Value::Null, .. }) => Err(OpenProblem::Null { key: key.clone() }),
        Node::Leaf(_) => {
            values::of_node(node, &[]).map_err(|_| OpenProblem::Null { key: key.clone() })
        }
        Node::Map(_) | Node::List(_) => {
            extract::print_copy(node, store).map_err(OpenProblem::Print)
        }
    }
}

/// Whether there is a value; how many steps of the way there are where not.
pub(super) fn find<'d>(root: &'d Map, steps: &[String]) -> Result<&'d Node, usize> {
    let (first, rest) = steps.split_first().ok_or(0_usize)?;
    let mut here = root.find(first).ok_or(0_usize)?;
    for (index, step) in rest.iter().enumerate() {
        let next = match here {
            Node::Map(map) => map.find(step),
            Node::List(list) => item(step).and_then(|index| list.values().nth(index)),
            Node::Leaf(_) => None,
        };
        here = next.ok_or(index.saturating_add(1))?;
    }
    Ok(here)
}

/// The number of an item, written as numbers are.
fn item(step: &str) -> Option<usize> {
    let canonical = step == "0" || !step.starts_with('0');
    (canonical && step.bytes().all(|byte| byte.is_ascii_digit())).then(|| step.parse().ok())?
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test looks at what it made")]
mod tests {
    use super::*;

    const YAML: &str = "# all\na: 'x y'\nn: 9007199254740993\nf: 1.50\nb: true\nz:\nl:\n  - b: 1\n  - two\n\
                        m:\n  k:\n    - 1\n    - x: yy\ndate: 2001-02-03T04:05:06Z\n3x: num\n";

    fn got(way: &[&str]) -> Result<String, String> {
        let tree = Store::Yaml.read_plain(&Plaintext::copy_of(YAML.as_bytes())).unwrap();
        let root = &tree.documents.first().unwrap().root;
        let key = Key::new(way.iter().map(|step| (*step).to_owned()).collect()).unwrap();
        let value = at(root, Store::Yaml, &key).map_err(|problem| problem.to_string())?;
        Ok(String::from_utf8(value.expose().to_vec()).unwrap())
    }

    #[test]
    fn values_are_as_they_are_written() {
        for (way, wanted) in [
            (&["a"][..], "x y"),
            (&["n"], "9007199254740993"),
            (&["f"], "1.50"),
            (&["b"], "true"),
            (&["l", "1"], "two"),
            (&["l", "0", "b"], "1"),
            (&["m", "k", "1", "x"], "yy"),
            (&["date"], "2001-02-03T04:05:06Z"),
            (&["3x"], "num"),
        ] {
            assert_eq!(got(way).unwrap(), wanted, "{way:?}");
        }
        assert_eq!(got(&["l", "0"]).unwrap(), "b: 1\n");
        assert_eq!(got(&["m"]).unwrap(), "k:\n    - 1\n    - x: yy\n");
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (way, wanted) in [
            (&["x"][..], "it has no value `x`"),
            (&["m", "k", "2"], "it has no value `m/k/2`: `m/k` has no `2`"),
            (&["l", "01"], "it has no value `l/01`: `l` has no `01`"),
            (&["a", "b"], "it has no value `a/b`: `a` has no `b`"),
            (&["z"], "its value `z` is null, which is no secret"),
        ] {
            assert_eq!(got(way).unwrap_err(), wanted);
        }
    }
}
