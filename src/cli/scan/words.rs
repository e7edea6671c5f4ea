//! The words of the report: what was found, how it came there, what is to be done. No value is ever
//! among them.

use super::super::ui::clean;
use super::told::{Found, Leak};
use crate::scan::cause::Cause;
use crate::scan::finding::{Finding, Inside, Step};
use crate::scan::needle::NotSearched;
use crate::scan::shape::ShapeKind;

/// What was found, for people.
pub(super) fn found(leak: &Leak) -> String {
    match &leak.found {
        Found::Value(origins) => {
            let name = |origin: &crate::scan::needle::Origin| {
                let file = one_line(&origin.file);
                if origin.key_path.is_empty() {
                    format!("`{file}`")
                } else {
                    format!("`{file}` {}", one_line(&origin.key_path))
                }
            };
            let names: Vec<String> = origins.iter().take(3).map(name).collect();
            let more = origins.len().saturating_sub(names.len());
            let more = if more > 0 { format!(" and {more} others") } else { String::new() };
            format!("the secret {}{more}", names.join(", "))
        }
        Found::Shape(kind, _) => format!("what looks like {}", shape(*kind)),
        Found::Fingerprint(id) => format!("the secret of entry {id} of the pack"),
        Found::Sibling(file) => {
            format!("a file with the name of the encrypted `{}`", one_line(&file.to_string_lossy()))
        }
    }
}

/// A kind of shape for people.
fn shape(kind: ShapeKind) -> String {
    shape_word(kind).replace('-', " ")
}

/// A kind of shape for machines.
pub(super) fn shape_word(kind: ShapeKind) -> String {
    let mut word = String::new();
    for c in format!("{kind:?}").chars() {
        if c.is_ascii_uppercase() && !word.is_empty() {
            word.push('-');
        }
        word.push(c.to_ascii_lowercase());
    }
    word
}

/// Where it stands, for people: file and way into it.
pub(super) fn place(finding: &Finding) -> String {
    let file = finding.files.first().map(|file| file.to_string_lossy().into_owned());
    one_line(&format!("{}{}", file.unwrap_or_default(), Inside(&finding.chain)))
}

/// Where in it: line or offset, form, how often.
pub(super) fn spot(finding: &Finding) -> String {
    let mut words = Vec::new();
    if finding.in_name {
        words.push("in a name".to_owned());
    } else if let Some(line) = finding.line {
        words.push(format!("line {line}"));
    } else {
        words.push(format!("offset {}", finding.offset));
    }
    let packed: Vec<&str> = finding
        .chain
        .iter()
        .map(|step| match step {
            Step::Packed(kind) | Step::Member(kind, _) => kind.word(),
        })
        .collect();
    if !packed.is_empty() {
        words.push(format!("inside of {}", packed.join(" > ")));
    }
    words.push(finding.form.words().to_owned());
    if finding.count > 1 {
        words.push(format!("{} times", finding.count));
    }
    words.join(", ")
}

/// How it came there.
pub(super) fn cause(cause: &Cause) -> String {
    match cause {
        Cause::Environment(name) => {
            format!("the attribute `{}` of a derivation has it as its value", one_line(name))
        }
        Cause::StructuredAttributes => {
            "an attribute of a derivation with structured attributes has it as its value".to_owned()
        }
        Cause::Arguments => "the command line of a builder has it".to_owned(),
        Cause::Derivation => "a derivation has it".to_owned(),
        Cause::Source => {
            "a folder with the file was copied to the store as a source: all of it by \
                          a `path:` flake or `./.`, and by a git flake whatever git tracks"
                .to_owned()
        }
        Cause::SourceHistory => "a folder was copied to the store with its `.git`, which has the \
                                 secret in its history"
            .to_owned(),
        Cause::Etc => "`environment.etc` or a module has it in a file of /etc".to_owned(),
        Cause::Unit => "a unit of systemd has it in its environment or command".to_owned(),
        Cause::NixConf => {
            "`nix.settings` or `nix.extraOptions` has it (`access-tokens`)".to_owned()
        }
        Cause::Wireless => "the configuration of a wireless network has it".to_owned(),
        Cause::WireGuard => "a key of WireGuard was given as a value".to_owned(),
        Cause::Unregistered => "a build that failed or was not finished left it".to_owned(),
        Cause::Log => "a builder printed it, and Nix keeps what builders print".to_owned(),
        Cause::Evaluation => "an evaluation came to it, and Nix remembers evaluations".to_owned(),
        Cause::Initrd => {
            "it was packed into the initrd, or its boot loader has it in a file".to_owned()
        }
        Cause::Image => "it was copied into a layer of an image".to_owned(),
        Cause::Text => "a text with it was written to the store (`readFile`, `writeText`, a path \
                        in a string), or a program was built with it"
            .to_owned(),
        Cause::Open => "the file holds it".to_owned(),
    }
}

/// What mends the cause.
pub(super) fn fix(cause: &Cause) -> &'static str {
    match cause {
        Cause::Environment(_)
        | Cause::StructuredAttributes
        | Cause::Arguments
        | Cause::Derivation => {
            "give the service the path of the secret (`config.secretctl.secrets.NAME.path`) instead \
             of its value; what a build itself needs goes through `impureEnvVars`, a fixed-output \
             fetch with netrc, or a path that the sandbox shows"
        }
        Cause::Source => {
            "keep the plaintext out of the folder; narrow the source with `lib.fileset` or \
             `builtins.path` with a filter; in a git flake untrack the file (`git rm --cached`)"
        }
        Cause::SourceHistory => {
            "refer to the flake as `git+file:` or by `self`, not as `path:`, so that `.git` stays out"
        }
        Cause::Etc | Cause::Text => {
            "use the `…File` option of the module, or a template with a placeholder, and never \
             `builtins.readFile` of a secret or its path in a string without quotes"
        }
        Cause::Unit => {
            "use `EnvironmentFile=` with a path below /run/secrets, `LoadCredential=`, or \
             `secretctl.services.<unit>.secrets`"
        }
        Cause::NixConf => "put it into a file below /run/secrets and write `!include` of that file",
        Cause::Wireless => {
            "use `networking.wireless.secretsFile`, or the environment files of NetworkManager's \
             profiles"
        }
        Cause::WireGuard => "use `privateKeyFile` and `presharedKeyFile`",
        Cause::Unregistered => "mend what put it into the build; delete the path itself",
        Cause::Log => "let the builder not print it (`set -x`, `env`, verbose tests)",
        Cause::Evaluation => "do not read secrets in Nix code (`builtins.readFile`, `getEnv`)",
        Cause::Initrd => {
            "use `boot.initrd.secrets` with a boot loader that appends them outside of the store, \
             and paths that are strings; what stands in /boot is readable by who has the disk"
        }
        Cause::Image => {
            "give the secret to the container when it runs, not when its image is built"
        }
        Cause::Open => "encrypt it (`secretctl encrypt`), and delete this file",
    }
}

/// What is to be done about all of it, in this order.
pub(super) const REMEDIES: [&str; 5] = [
    "Rotate every secret that is named here. To delete what was found is not enough: whoever could \
     read it may have, and derivation and log outlive the output.",
    "Mend the cause, or the next build brings it back.",
    "Drop old generations and roots (`nix-collect-garbage -d`, `result` links), then delete the \
     path, its derivation and what refers to them (`nix store delete`), the build log below \
     /nix/var/log/nix/drvs and the evaluation cache (~/.cache/nix/eval-cache-*).",
    "Do the same where it was copied to: builders, machines it was deployed to, binary caches. A \
     public cache cannot be made to forget.",
    "Scan again, with `--logs` and `--eval-cache` too.",
];

/// A part of a secret that is not looked for.
pub(super) fn not_searched(one: &NotSearched) -> String {
    let way = if one.key_path.is_empty() { String::new() } else { format!(" {}", one.key_path) };
    one_line(&format!("`{}`{way} {}", one.file, one.why.words()))
}

/// Bytes for people.
pub(super) fn bytes(count: u64) -> String {
    for (unit, name) in [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if count >= unit {
            let tenths = count.saturating_mul(10).checked_div(unit).unwrap_or_default();
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
    }
    format!("{count} bytes")
}

/// Text from files, on one line and without what steers a terminal.
pub(super) fn one_line(text: &str) -> String {
    clean(text).replace('\n', "\\n")
}
