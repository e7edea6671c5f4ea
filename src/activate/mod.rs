//! What happens on the target: a manifest becomes the files under `/run/secrets`. Root, no rules,
//! no network.
//!
//! Carrying out: [`publish()`] takes opened pieces and makes a new generation of a store out of
//! them; [`units`] tells systemd what changed.

pub mod manifest;
pub mod name;
pub mod open;
pub mod publish;
pub mod target;
pub mod trouble;
pub mod units;
mod value;

pub use manifest::{Manifest, ManifestError};
pub use name::{Name, NameError};
pub use open::{OpenProblem, Opened, open_one};
pub use publish::{Published, publish};
pub use target::{Content, Filesystem, Piece, StoreSpec, Target};
pub use trouble::{Problem, PublishError, Trouble};
