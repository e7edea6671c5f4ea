//! The identities of one run: loaded lazily, each file and each passphrase once.
//!
//! Order: keys that need nothing, then SSH keys behind a passphrase that a header names by tag,
//! then plugins, then encrypted identity files, last locked SSH keys by their X25519 form. So
//! nobody is asked for a passphrase that is not needed.
//!
//! Problems are collected, and shown only when nothing opens a file.

mod source;

use std::collections::BTreeSet;

use age_core::format::FileKey;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use rayon::prelude::*;

use super::identity::{self, Entry, Identity, IdentityError, LockedFile, Outcome};
use super::pgp::secret::SecretKey;
use super::plugin::{PluginFileError, Plugins};
use super::recipient::Recipient;
use super::ssh::LockedSsh;
use super::stanza::{StanzaRef, Stanzas};
use crate::plaintext::Plaintext;
use source::Commands;
pub use source::Source;

/// A secret file as the keyring sees it.
pub struct Sealed<'a> {
    /// For prompts.
    pub name: &'a str,
    /// All stanzas of its header.
    pub stanzas: &'a Stanzas,
}

/// Why no file key was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unopened {
    /// No identity fits.
    NoMatch,
    /// A stanza breaks the rules of its type.
    BrokenStanza,
    /// The passphrase stanza asks for more than 2^22 rounds.
    TooMuchWork,
}

/// What became of one source of identities, for the error message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The file, or what else was tried.
    pub source: String,
    /// Short names of the keys in it, or why it was of no use.
    pub what: Result<Vec<String>, String>,
    /// What would have made it of use, where there is something to do.
    pub remedy: Option<String>,
}

impl Tried {
    fn of(source: String, what: Result<Vec<String>, String>) -> Self {
        Self { source, what, remedy: None }
    }
}

/// All identities of a run.
pub struct Keyring<'a> {
    sources: Vec<Source>,
    next: usize,
    commands: Commands,
    /// The recipients that the files at hand are for, where they say so.
    wanted: Vec<String>,
    plugins: Plugins<'a>,
    ready: Vec<Identity>,
    locked_ssh: Vec<(String, Box<LockedSsh>)>,
    locked_files: Vec<(String, LockedFile)>,
    plugin_identities: Vec<(String, Plaintext)>,
    /// Keys of PGP, and how many of those that are ready were turned into such.
    pgp: Vec<SecretKey>,
    turned: usize,
    reads_pgp: bool,
    passphrases: Vec<Plaintext>,
    tried: Vec<Tried>,
    name: fn(&Recipient) -> String,
}

/// What became of a file; `None` while nothing did.
pub type Answer = Option<Result<FileKey, Unopened>>;

impl<'a> Keyring<'a> {
    /// A keyring over these sources, in this order.
    pub fn new(sources: Vec<Source>, plugins: Plugins<'a>) -> Self {
        Self {
            sources,
            next: 0,
            commands: Commands::default(),
            wanted: Vec::new(),
            plugins,
            ready: Vec::new(),
            locked_ssh: Vec::new(),
            locked_files: Vec::new(),
            plugin_identities: Vec::new(),
            pgp: Vec::new(),
            turned: 0,
            reads_pgp: false,
            passphrases: Vec::new(),
            tried: Vec::new(),
            name: Recipient::short,
        }
    }

    /// Names keys in full where it says what was tried, for people who compare them.
    #[must_use]
    pub fn in_full(self) -> Self {
        Self { name: Recipient::full, ..self }
    }

    /// One whose identities are also used as keys of PGP, where there is no `gpg` to hold such.
    #[must_use]
    pub fn with_pgp(self) -> Self {
        Self { reads_pgp: true, ..self }
    }

    /// What was tried so far.
    pub fn tried(&self) -> &[Tried] {
        &self.tried
    }

    /// How plugins are started and whom to ask.
    pub fn plugins(&self) -> Plugins<'a> {
        self.plugins
    }

    /// Says which recipients the files of the next call are for, for commands that give the
    /// identity of one (`SOPS_AGE_RECIPIENT`).
    pub fn expect(&mut self, recipients: Vec<String>) {
        self.wanted = recipients;
    }

    /// As [`Keyring::unwrap_all`], but with identities alone that need nothing, so that nobody is
    /// asked; `None` where others may fit.
    pub fn unwrap_quietly(&mut self, files: &[Sealed<'_>]) -> Vec<Answer> {
        let mut answers: Vec<Answer> = files.iter().map(|_| None).collect();
        self.try_quietly(files, &mut answers);
        answers
    }

    /// Finds the file keys of many files at once; the answers are in the order of the files.
    pub fn unwrap_all(&mut self, files: &[Sealed<'_>]) -> Vec<Result<FileKey, Unopened>> {
        let mut answers: Vec<Answer> = files.iter().map(|_| None).collect();
        self.try_passphrases(files, &mut answers);
        self.try_quietly(files, &mut answers);
        self.try_locked_ssh(files, &mut answers, true);
        self.try_plugins(0, files, &mut answers);
        self.try_locked_files(files, &mut answers);
        self.try_locked_ssh(files, &mut answers, false);
        answers.into_iter().map(|a| a.unwrap_or(Err(Unopened::NoMatch))).collect()
    }

    /// Loads every source and gives all entries that need no passphrase.
    pub fn ready_identities(&mut self) -> &[Identity] {
        while self.load_next() {}
        &self.ready
    }

    /// Loads every source and gives the keys of PGP that are in them, or can be made of what is;
    /// none where that is the business of `gpg`.
    pub fn pgp_keys(&mut self) -> &[SecretKey] {
        if self.reads_pgp {
            while self.load_next() {}
            let fresh = self.ready.get(self.turned..).unwrap_or_default();
            self.pgp.extend(fresh.iter().filter_map(Identity::pgp));
            self.turned = self.ready.len();
        }
        &self.pgp
    }

    /// Tries what needs nothing, loading one source after the other until all files are open.
    fn try_quietly(&mut self, files: &[Sealed<'_>], answers: &mut [Answer]) {
        try_ready(&self.ready, files, answers);
        loop {
            let before = self.ready.len();
            if done(answers) || !self.load_next() {
                break;
            }
            try_ready(self.ready.get(before..).unwrap_or_default(), files, answers);
        }
    }

    /// Loads one more source; its ready keys are then the last of `ready`. False when there is
    /// none left.
    fn load_next(&mut self) -> bool {
        let (name, content) = if let Some(source) = self.sources.get(self.next).cloned() {
            self.next = self.next.saturating_add(1);
            let path = self.plugins.path;
            let Some(content) = source.content(&mut self.commands, path, &self.wanted) else {
                return true;
            };
            (source.name(), content)
        } else if let Some(again) = self.commands.again(self.plugins.path, &self.wanted) {
            let (name, Some(content)) = again else { return true };
            (name, content)
        } else {
            return false;
        };
        let tried = match content {
            Ok(entries) => Ok(self.keep(&name, entries)),
            Err(reason) => Err(reason),
        };
        let tried = Tried::of(name, tried);
        if !self.tried.contains(&tried) {
            self.tried.push(tried);
        }
        true
    }

    /// Sorts entries into what is ready and what is locked; gives short names.
    fn keep(&mut self, source: &str, entries: Vec<Entry>) -> Vec<String> {
        let mut names = Vec::new();
        for entry in entries {
            match entry {
                Entry::Ready(identity) => {
                    names.extend(identity.recipient().as_ref().map(self.name));
                    self.ready.push(identity);
                }
                Entry::Plugin { name, text } => {
                    names.push(format!("age-plugin-{name}"));
                    self.plugin_identities.push((name, text));
                }
                Entry::Pgp(keys) if self.reads_pgp => {
                    names.extend(keys.iter().map(|key| format!("PGP {}", key.fingerprint)));
                    self.pgp.extend(keys);
                }
                Entry::Pgp(_) => {
                    names.push("keys of PGP, which only gpg uses here: import them".to_owned());
                }
                Entry::LockedSsh(key) => {
                    let name = (self.name)(&key.recipient);
                    names.push(format!("{name}, behind a passphrase"));
                    self.locked_ssh.push((source.to_owned(), key));
                }
                Entry::LockedFile(file) => {
                    names.push("behind a passphrase".to_owned());
                    self.locked_files.push((source.to_owned(), file));
                }
            }
        }
        names
    }

    /// Files that were encrypted with a passphrase have that one stanza alone.
    fn try_passphrases(&mut self, files: &[Sealed<'_>], answers: &mut [Answer]) {
        for (file, answer) in files.iter().zip(answers) {
            let mut stanzas = file.stanzas.iter();
            let (Some(stanza), None) = (stanzas.next(), stanzas.next()) else { continue };
            if stanza.tag() != "scrypt" {
                continue;
            }
            let stanza = stanza.to_stanza();
            let prompt = format!("Passphrase for {}", file.name);
            let mut broken = None;
            let opened =
                self.unlock(&prompt, |passphrase| {
                    match identity::unwrap_with_passphrase(&stanza, passphrase) {
                        Outcome::Opened(key) => Ok(Some(key)),
                        Outcome::Other => Err(IdentityError::WrongPassphrase),
                        Outcome::Broken => {
                            broken = Some(Unopened::BrokenStanza);
                            Ok(None)
                        }
                        Outcome::TooMuchWork => {
                            broken = Some(Unopened::TooMuchWork);
                            Ok(None)
                        }
                    }
                });
            *answer = match (opened.flatten(), broken) {
                (Some(key), _) => Some(Ok(key)),
                (None, Some(error)) => Some(Err(error)),
                (None, None) => {
                    self.stays_locked(file.name, "encrypted with a passphrase");
                    Some(Err(Unopened::NoMatch))
                }
            };
        }
    }

    /// Locked SSH keys: first those that a header names by tag; else, for X25519 stanzas, all.
    fn try_locked_ssh(&mut self, files: &[Sealed<'_>], answers: &mut [Answer], by_tag: bool) {
        let mut index = 0;
        while let Some((source, key)) = self.locked_ssh.get(index) {
            let tag = key.recipient.ssh_tag();
            let wanted = pending(files, answers).any(|file| {
                file.stanzas.iter().any(|stanza| {
                    if by_tag { has_tag(stanza, tag) } else { stanza.tag() == "X25519" }
                })
            });
            let derives = key.recipient.canonical().starts_with("ssh-ed25519");
            if !wanted || !(by_tag || derives) {
                index = index.saturating_add(1);
                continue;
            }
            let prompt = format!("Passphrase for {source}");
            let (source, key) = self.locked_ssh.remove(index);
            match self.unlock(&prompt, |passphrase| key.open(passphrase)) {
                Some(opened) => {
                    self.ready.push(Identity::Ssh(Box::new(opened)));
                    let last = self.ready.last().map(std::slice::from_ref);
                    try_ready(last.unwrap_or_default(), files, answers);
                }
                None => self.stays_locked(&source, &key.recipient.short()),
            }
        }
    }

    fn try_locked_files(&mut self, files: &[Sealed<'_>], answers: &mut [Answer]) {
        while !done(answers) && !self.locked_files.is_empty() {
            let (source, file) = self.locked_files.remove(0);
            let prompt = format!("Passphrase for {source}");
            let Some(entries) = self.unlock(&prompt, |passphrase| file.unlock(passphrase)) else {
                self.stays_locked(&source, "identities");
                continue;
            };
            let (before, plugins_before) = (self.ready.len(), self.plugin_identities.len());
            let keys = self.keep(&source, entries);
            self.tried.push(Tried::of(source, Ok(keys)));
            try_ready(self.ready.get(before..).unwrap_or_default(), files, answers);
            self.try_plugins(plugins_before, files, answers);
        }
    }

    /// One process for each plugin, with all its identities from `first` on and all files that
    /// are left.
    fn try_plugins(&mut self, first: usize, files: &[Sealed<'_>], answers: &mut [Answer]) {
        let fresh = self.plugin_identities.get(first..).unwrap_or_default();
        let names: BTreeSet<String> = fresh.iter().map(|(name, _)| name.clone()).collect();
        for name in names {
            let open = unanswered(answers);
            if open.is_empty() {
                return;
            }
            let headers: Vec<&Stanzas> = pending(files, answers).map(|file| file.stanzas).collect();
            let fresh = self.plugin_identities.get(first..).unwrap_or_default();
            let of_this = fresh.iter().filter(|(owner, _)| *owner == name);
            let texts: Vec<&Plaintext> = of_this.map(|(_, text)| text).collect();
            match self.plugins.unwrap_batch(&name, &texts, &headers) {
                Ok(results) => {
                    for (index, result) in open.into_iter().zip(results) {
                        match (result, answers.get_mut(index)) {
                            (Ok(key), Some(answer)) => *answer = Some(Ok(key)),
                            (Ok(_), None) | (Err(PluginFileError::NoMatch), _) => {}
                            (Err(error), _) => self.note_plugin(&name, &error.to_string(), None),
                        }
                    }
                }
                Err(error) => self.note_plugin(&name, &error.to_string(), error.remedy()),
            }
        }
    }

    /// What a file holds was of no use, since it was not unlocked: it is named once, and not as
    /// something that did not fit.
    fn stays_locked(&mut self, source: &str, what: &str) {
        let source = source.to_owned();
        let remedy = "give the passphrase on a terminal, or set SECRETCTL_ASKPASS to a program that \
                      prints it";
        self.tried.retain(|tried| tried.source != source);
        let what = Err(format!("{what}, locked: no passphrase opened it"));
        self.tried.push(Tried { source, what, remedy: Some(remedy.to_owned()) });
    }

    fn note_plugin(&mut self, name: &str, what: &str, remedy: Option<String>) {
        let source = format!("age-plugin-{name}");
        let tried = Tried { source, what: Err(what.to_owned()), remedy };
        if !self.tried.contains(&tried) {
            self.tried.push(tried);
        }
    }

    /// Tries the passphrases of this run, then asks, at most three times.
    fn unlock<T>(
        &mut self,
        prompt: &str,
        mut open: impl FnMut(&Plaintext) -> Result<T, IdentityError>,
    ) -> Option<T> {
        for known in &self.passphrases {
            if let Ok(opened) = open(known) {
                return Some(opened);
            }
        }
        for _ in 0..3 {
            let passphrase = self.plugins.ask.secret(prompt).filter(|p| !p.is_empty())?;
            match open(&passphrase) {
                Ok(opened) => {
                    self.passphrases.push(passphrase);
                    return Some(opened);
                }
                Err(IdentityError::WrongPassphrase) => {
                    self.plugins.ask.message("that passphrase does not open it");
                }
                Err(error) => {
                    self.plugins.ask.message(&error.to_string());
                    return None;
                }
            }
        }
        None
    }
}

fn done(answers: &[Answer]) -> bool {
    answers.iter().all(Option::is_some)
}

fn unanswered(answers: &[Answer]) -> Vec<usize> {
    answers.iter().enumerate().filter(|(_, a)| a.is_none()).map(|(i, _)| i).collect()
}

fn pending<'f, 's>(
    files: &'f [Sealed<'s>],
    answers: &[Answer],
) -> impl Iterator<Item = &'f Sealed<'s>> {
    unanswered(answers).into_iter().filter_map(|index| files.get(index))
}

/// Tries identities that need nothing on every file without an answer.
fn try_ready(identities: &[Identity], files: &[Sealed<'_>], answers: &mut [Answer]) {
    if identities.is_empty() {
        return;
    }
    let attempt = |(file, answer): (&Sealed<'_>, &mut Answer)| {
        if answer.is_none() {
            *answer = try_one(identities, file.stanzas);
        }
    };
    if files.len() > 1 {
        files.par_iter().zip(answers.par_iter_mut()).for_each(attempt);
    } else {
        files.iter().zip(answers.iter_mut()).for_each(attempt);
    }
}

fn try_one(identities: &[Identity], stanzas: &Stanzas) -> Answer {
    for identity in identities {
        for stanza in stanzas.iter() {
            match identity.unwrap(stanza) {
                Outcome::Opened(key) => return Some(Ok(key)),
                Outcome::Other => {}
                Outcome::Broken => return Some(Err(Unopened::BrokenStanza)),
                Outcome::TooMuchWork => return Some(Err(Unopened::TooMuchWork)),
            }
        }
    }
    None
}

/// Whether an ssh stanza carries this tag.
fn has_tag(stanza: StanzaRef<'_>, tag: Option<[u8; 4]>) -> bool {
    let Some(tag) = tag else { return false };
    matches!(stanza.tag(), "ssh-ed25519" | "ssh-rsa")
        && stanza.args().next() == Some(&BASE64_STANDARD_NO_PAD.encode(tag))
}
