//! What happens on the target: a manifest becomes the files under `/run/secrets`. Root, no rules,
//! no network.
//!
//! Deciding: [`manifest`] is read, [`values`] are opened ([`open`]) and put into templates
//! ([`template`]), and [`plan`] makes pieces of them; [`check`] looks at all that without keys.
//! Carrying out: [`publish()`] takes opened pieces and makes a new generation of a store out of
//! them; [`units`] tells systemd what changed.

pub mod accounts;
mod book;
pub mod check;
mod compare;
#[cfg(target_os = "linux")]
pub mod credentials;
mod generation;
pub mod hold;
mod links;
pub mod manifest;
pub mod name;
pub mod open;
mod outside;
mod place;
pub mod plan;
pub mod publish;
mod state;
pub mod target;
pub mod template;
pub mod trouble;
pub mod units;
mod value;
pub mod values;

pub use hold::{Hold, hold};
pub use manifest::{Manifest, ManifestError};
pub use name::{Name, NameError};
pub use open::{OpenProblem, Opened, open_one};
pub use publish::{Published, publish};
pub use target::{Content, Filesystem, Piece, StoreSpec, Target};
pub use trouble::{Problem, PublishError, Trouble};
