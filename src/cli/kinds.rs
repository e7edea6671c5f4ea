//! The kinds of documents, as the command line names them. Knows nothing of what they hold.

use std::path::Path;

use clap::{Args, ValueEnum};

use crate::format::sops::store::Store;
use crate::work::edit;

/// A kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DocumentType {
    /// `.yaml`, `.yml`
    Yaml,
    /// `.json`
    Json,
    /// `.env`
    Dotenv,
    /// `.ini`
    Ini,
    /// Anything else
    Binary,
}

impl DocumentType {
    /// As the formats call it.
    pub(crate) fn store(self) -> Store {
        match self {
            Self::Yaml => Store::Yaml,
            Self::Json => Store::Json,
            Self::Dotenv => Store::Dotenv,
            Self::Ini => Store::Ini,
            Self::Binary => Store::Binary,
        }
    }
}

/// What a file is whose name does not tell.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct InputType {
    /// What the content is, where the name of the file does not tell
    #[arg(long, value_name = "TYPE")]
    pub(crate) input_type: Option<DocumentType>,
}

impl InputType {
    /// As the formats call it.
    pub(crate) fn store(self) -> Option<Store> {
        self.input_type.map(DocumentType::store)
    }
}

/// What the content of a file is by its name, `.age` left out.
pub(crate) fn inner_store(path: &Path) -> Store {
    Store::of_path(Path::new(&edit::inner_name(path)))
}
