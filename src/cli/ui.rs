//! Talking to people: cleaned text on stderr, data on stdout, questions on the terminal.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use super::explain::Failure;
use crate::key::Ask;
use crate::place::Place;
use crate::plaintext::Plaintext;
use crate::process::{Held, Interrupts, askpass, obey};

/// Text with everything that could steer a terminal made visible, and without private keys:
/// names come from files, and people put a key where the name of its file belongs.
pub(crate) fn clean(text: &str) -> String {
    let text = without_keys(text);
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) && c != '\n' {
            let _infallible = write!(cleaned, "{}", c.escape_default());
        } else {
            cleaned.push(c);
        }
    }
    cleaned
}

/// Whether a character does something to a terminal, or to the order in which the others are read.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn without_keys(text: &str) -> Cow<'_, str> {
    let capitals = text.to_ascii_uppercase();
    if !capitals.contains(KEY) {
        return text.into();
    }
    let mut kept = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in capitals.match_indices(KEY) {
        let end = at.saturating_add(KEY.len());
        kept.push_str(text.get(from..end).unwrap_or_default());
        let rest = text.get(end..).unwrap_or_default();
        let key = rest.len().saturating_sub(
            rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '-').len(),
        );
        kept.push_str("[hidden]");
        from = end.saturating_add(key);
    }
    kept.push_str(text.get(from..).unwrap_or_default());
    kept.into()
}

/// How the identities of age begin, those of post-quantum kinds too.
const KEY: &str = "AGE-SECRET-KEY-";

/// A path as the user would name it: relative to the working directory where it is below it,
/// one line, nothing that steers a terminal.
pub(crate) fn shown(path: &Path) -> String {
    shown_from(&std::env::current_dir().unwrap_or_default(), path)
}

/// As [`shown`], for many paths and one working directory.
pub(crate) fn shown_from(here: &Path, path: &Path) -> String {
    // Everything is below the root, where services run: nobody would name it relative to that.
    let short = path.strip_prefix(here).ok().filter(|_| here.parent().is_some()).unwrap_or(path);
    clean(&short.to_string_lossy()).replace('\n', "\\n")
}

/// A place, its file as [`shown`] has it.
pub(crate) fn shown_place(place: &Place) -> String {
    clean(&Place { file: shown(&place.file).into(), ..place.clone() }.to_string())
}

/// Writes data to stdout. A reader that has gone is no error.
///
/// # Errors
/// Any other error of stdout.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let written =
        io::stdout().lock().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Says something on stderr, `error:` and the like coloured where a terminal shows it.
pub(crate) fn say(text: &str) {
    let mut text = clean(text);
    for (word, colour) in [("error:", "31"), ("warning:", "33"), ("hint:", "36")] {
        if text.starts_with(word) {
            text = text.replacen(word, &format!("\u{1b}[1;{colour}m{word}\u{1b}[0m"), 1);
        }
    }
    // One write, and not one for each piece.
    text.push('\n');
    let _nobody_listens = anstream::stderr().write_all(text.as_bytes());
}

/// Asks on the terminal, or through the program that `SECRETCTL_ASKPASS` names.
pub(crate) struct Terminal {
    /// The program, a path or a name on the `PATH`.
    pub(crate) askpass: Option<OsString>,
    /// The signal handlers of the process.
    pub(crate) interrupts: Interrupts,
}

impl Terminal {
    /// Gives the terminal its echo back where a signal ends the process at a prompt.
    fn keep_echo(&self) -> Option<Held> {
        let tty = OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
        let state = tcgetattr(&tty).ok()?;
        let restore = move || {
            let _gone = tcsetattr(&tty, OptionalActions::Now, &state);
            let _new_line = (&tty).write_all(b"\n");
        };
        self.interrupts.before_end(restore).ok()
    }
}

impl Ask for Terminal {
    fn secret(&self, prompt: &str) -> Option<Plaintext> {
        let prompt = format!("{}: ", clean(prompt));
        if let Some(program) = &self.askpass {
            return match askpass(program, &prompt, &std::env::var_os("PATH").unwrap_or_default()) {
                Ok(answer) => Some(answer),
                Err(error) => {
                    say(&format!("warning: {error}"));
                    None
                }
            };
        }
        let _until_answered = self.keep_echo();
        match rpassword::prompt_password(prompt) {
            Ok(text) => Some(Plaintext::new(text.into_bytes())),
            Err(error) => {
                // Ctrl-C comes as an error, and is meant for the whole run.
                if error.kind() == io::ErrorKind::Interrupted {
                    obey(rustix::process::Signal::INT.as_raw());
                }
                None
            }
        }
    }

    fn line(&self, prompt: &str) -> Option<String> {
        if !io::stdin().is_terminal() {
            return None;
        }
        let _nobody_listens = write!(anstream::stderr(), "{}: ", clean(prompt));
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).ok().filter(|read| *read > 0)?;
        Some(answer.trim().to_owned())
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        let no = no.unwrap_or("no");
        loop {
            let answer = self.line(&format!("{message} [{yes}/{no}]"))?.to_lowercase();
            let means =
                |word: &str| !answer.is_empty() && word.to_lowercase().starts_with(answer.as_str());
            match (means(yes), means(no)) {
                (true, _) => return Some(true),
                (_, true) => return Some(false),
                (false, false) if answer.is_empty() => return Some(false),
                (false, false) => {}
            }
        }
    }

    fn message(&self, text: &str) -> bool {
        say(text);
        true
    }
}

/// Shows an error.
pub(crate) fn fail(failure: &Failure, json: bool) {
    if json {
        let object = serde_json::json!({
            "class": failure.class.word(),
            "message": clean(&failure.headline),
            "details": failure.details.iter().map(|detail| clean(detail)).collect::<Vec<_>>(),
            "hint": failure.hint.as_deref().map(clean),
        });
        let _nobody_listens = writeln!(io::stderr(), "{object}");
    } else {
        say(&failure.text());
    }
}

/// JSON in which nothing steers a terminal: neither DEL, nor controls of the second
/// set, nor what turns the direction of the text.
pub(crate) fn plain_json(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        let marks = ['\u{200e}', '\u{200f}'];
        // The line ends are those between values.
        if (steers(c) && c != '\n') || marks.contains(&c) {
            let _infallible = write!(plain, "\\u{:04x}", u32::from(c));
        } else {
            plain.push(c);
        }
    }
    plain
}

/// The error of writing to stdout.
pub(crate) fn stdout_failure(error: &io::Error) -> Failure {
    Failure::new(format!("cannot write to standard output: {error}"))
}

/// Whether whoever read our output has gone.
pub(crate) fn gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}
