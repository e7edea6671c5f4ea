//! What happens on the target: a manifest becomes the files under `/run/secrets`. Root, no rules,
//! no network.
//!
//! Carrying out: [`publish()`] takes opened pieces and makes a new generation of a store out of
//! them; [`units`] tells systemd what changed.

mod compare;
mod generation;
pub mod hold;
mod links;
pub mod name;
mod outside;
mod place;
pub mod publish;
mod state;
pub mod target;
pub mod trouble;
pub mod units;

pub use hold::{Hold, hold};
pub use name::{Name, NameError};
pub use publish::{Published, publish};
pub use target::{Content, Filesystem, Piece, StoreSpec, Target};
pub use trouble::{Problem, PublishError, Trouble};
