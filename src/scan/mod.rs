//! Looks for secrets in the open: the values themselves in every form that a leak takes, shapes of
//! secrets that need no key, and fingerprints for machines that must not hold plaintext.
//!
//! Plaintext stays in `Plaintext` or in memory that is wiped; what is handed out names the secret and
//! the place, never the value. Prints nothing.

pub mod form;
pub mod matcher;
pub mod needle;
pub mod pack;
pub mod shape;

mod armor;
mod base64;
mod der;
mod entropy;
mod escape;
mod forms;
mod hex;
mod literal;
mod markup;
mod names;
mod pairs;
mod pgp;
mod rolling;
mod shapes;
mod split;
mod urls;
mod verify;
mod words;

// Where it looks, and what it says of it.
pub mod cause;
pub mod container;
pub(crate) mod dig;
pub(crate) mod eyes;
mod file;
pub mod finding;
pub mod gap;
mod level;
mod links;
pub mod memory;
pub mod narinfo;
pub mod plan;
pub mod probe;
pub mod roots;
pub(crate) mod sibling;
pub mod signature;
pub mod store;
pub mod walk;

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    clippy::format_push_string,
    reason = "what was split is compared, with documents that are written here"
)]
mod documents_tests;
#[cfg(test)]
mod entropy_tests;
#[cfg(test)]
mod forms_tests;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test stops at the first surprise")]
mod matcher_tests;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a test stops at the first surprise")]
mod pack_tests;
#[cfg(test)]
mod shapes_tests;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "what was split is compared")]
mod split_tests;
