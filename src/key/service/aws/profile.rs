//! What the configuration of AWS says of a profile: `~/.aws/config` and `~/.aws/credentials`, or the
//! files that `AWS_CONFIG_FILE` and `AWS_SHARED_CREDENTIALS_FILE` name. Of both, the second wins.

use std::collections::HashMap;
use std::path::PathBuf;

use ini::{Ini, ParseOption};

use crate::key::service::surroundings::Surroundings;

/// The properties of one profile.
#[derive(Default)]
pub(in crate::key::service) struct Profile {
    properties: HashMap<String, String>,
}

impl Profile {
    /// A profile by its name; where that is empty, the one of `AWS_PROFILE`, or `default`.
    pub(in crate::key::service) fn of(around: &Surroundings, name: &str) -> Self {
        let name = if name.is_empty() { named(around).unwrap_or("default") } else { name };
        let mut profile = Self::default();
        let in_config = if name == "default" { name.to_owned() } else { format!("profile {name}") };
        profile.add(around, CONFIG, &in_config);
        profile.add(around, CREDENTIALS, name);
        profile
    }

    /// A session of SSO, which profiles share.
    pub(in crate::key::service) fn of_session(around: &Surroundings, name: &str) -> Self {
        let mut session = Self::default();
        session.add(around, CONFIG, &format!("sso-session {name}"));
        session
    }

    fn add(&mut self, around: &Surroundings, (variable, usual): (&str, &str), section: &str) {
        let file = around.variable(variable).map(PathBuf::from).or_else(|| around.in_home(usual));
        let Some(text) = file.and_then(|file| around.read(&file).ok()) else { return };
        #[expect(
            clippy::disallowed_methods,
            reason = "credentials of AWS, which the crates that use them copy"
        )]
        let Ok(text) = std::str::from_utf8(text.expose()) else { return };
        // Quotes and backslashes are as they are there.
        let plain =
            ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
        let Ok(file) = Ini::load_from_str_opt(text, plain) else { return };
        let Some(section) = file.section(Some(section)) else { return };
        self.properties
            .extend(section.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    /// One property that is not empty.
    pub(in crate::key::service) fn get(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether nothing is said of it.
    pub(in crate::key::service) fn is_empty(&self) -> bool {
        self.properties.is_empty()
    }
}

const CONFIG: (&str, &str) = ("AWS_CONFIG_FILE", ".aws/config");
const CREDENTIALS: (&str, &str) = ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");

/// The profile that the environment names.
pub(in crate::key::service) fn named(around: &Surroundings) -> Option<&str> {
    around.first(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
}
