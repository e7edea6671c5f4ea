//! The commands and options of sops, as data. What they mean is in [`super::invocation`], how they
//! are read in [`super::grammar`].
//!
//! Follows `cmd/sops/main.go` of 3.13.3. Wider than that: the options in [`GLOBAL`] may stand
//! behind the command as well as before it; comment selectors, `--ignore-mac` and
//! `--shamir-secret-sharing-threshold` are known wherever sops looks for them.

/// An option.
#[derive(Debug)]
pub(super) struct Flag {
    /// Its names without dashes, the first one long.
    pub(super) names: &'static [&'static str],
    pub(super) takes: Takes,
    /// The variable of the environment that stands in for it.
    pub(super) variable: Option<&'static str>,
    /// A few words for the help.
    pub(super) about: &'static str,
}

/// What follows an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing, or `=true` and `=false`.
    Nothing,
    /// Text; the last one counts.
    Text,
    /// A number; the last one counts.
    Number,
    /// Text, as often as wanted.
    Each,
}

/// A command.
#[derive(Debug)]
pub(super) struct Command {
    /// Its words: one, or a group and one.
    pub(super) words: &'static [&'static str],
    /// What follows its options.
    pub(super) arguments: &'static str,
    pub(super) about: &'static str,
    /// Its options.
    pub(super) flags: &'static [&'static [Flag]],
}

impl Command {
    /// An option by any of its names.
    pub(super) fn flag(&self, name: &str) -> Option<&'static Flag> {
        self.flags.iter().copied().flatten().find(|flag| flag.names.contains(&name))
    }
}

/// A command by its words.
pub(super) fn command(words: &[&str]) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.words == words)
}

/// Whether a word is the first of commands of two words.
pub(super) fn is_group(word: &str) -> bool {
    COMMANDS.iter().any(|command| command.words.len() > 1 && command.words.first() == Some(&word))
}

const fn flag(
    names: &'static [&'static str],
    takes: Takes,
    variable: Option<&'static str>,
    about: &'static str,
) -> Flag {
    Flag { names, takes, variable, about }
}

const fn switch(names: &'static [&'static str], about: &'static str) -> Flag {
    flag(names, Takes::Nothing, None, about)
}

const fn text(names: &'static [&'static str], about: &'static str) -> Flag {
    flag(names, Takes::Text, None, about)
}

const fn variable(
    names: &'static [&'static str],
    variable: &'static str,
    about: &'static str,
) -> Flag {
    flag(names, Takes::Text, Some(variable), about)
}

const fn each(names: &'static [&'static str], about: &'static str) -> Flag {
    flag(names, Takes::Each, None, about)
}

/// Where sops takes them only before the command.
pub(super) const GLOBAL: &[Flag] = &[
    variable(&["config"], "SOPS_CONFIG", "the rules file, instead of looking for .sops.yaml"),
    flag(&["indent"], Takes::Number, None, "spaces a level of YAML and JSON"),
    switch(&["verbose"], "say more"),
];

const SERVICES: &[Flag] = &[
    flag(
        &["enable-local-keyservice"],
        Takes::Nothing,
        Some("SOPS_ENABLE_LOCAL_KEYSERVICE"),
        "use the keys of this machine (default: true)",
    ),
    flag(
        &["keyservice"],
        Takes::Each,
        Some("SOPS_KEYSERVICE"),
        "not offered: an address of a key service",
    ),
];

const ORDER: &[Flag] = &[variable(
    &["decryption-order"],
    "SOPS_DECRYPTION_ORDER",
    "kinds of keys in the order to try them, separated by commas",
)];

const KEYS: &[Flag] = &[
    variable(&["kms", "k"], "SOPS_KMS_ARN", "ARNs of AWS KMS keys"),
    text(&["aws-profile"], "profile of the AWS credentials"),
    variable(&["gcp-kms"], "SOPS_GCP_KMS_IDS", "resource ids of GCP KMS keys"),
    variable(&["hckms"], "SOPS_HUAWEICLOUD_KMS_IDS", "Huawei Cloud KMS keys, REGION:ID"),
    variable(&["azure-kv"], "SOPS_AZURE_KEYVAULT_URLS", "URLs of Azure Key Vault keys"),
    variable(&["hc-vault-transit"], "SOPS_VAULT_URIS", "URIs of Vault transit keys"),
    variable(&["pgp", "p"], "SOPS_PGP_FP", "fingerprints of PGP keys"),
    variable(&["age", "a"], "SOPS_AGE_RECIPIENTS", "age recipients"),
];

const CONTEXT: &[Flag] = &[text(&["encryption-context"], "for AWS KMS: KEY:VALUE,…")];

const THRESHOLD: &[Flag] = &[flag(
    &["shamir-secret-sharing-threshold"],
    Takes::Number,
    None,
    "how many groups of keys are needed to decrypt",
)];

const SELECTORS: &[Flag] = &[
    text(&["unencrypted-suffix"], "encrypt all but values below a key that ends so"),
    text(&["encrypted-suffix"], "encrypt values below a key that ends so"),
    text(&["unencrypted-regex"], "encrypt all but values below a key that matches"),
    text(&["encrypted-regex"], "encrypt values below a key that matches"),
    text(&["unencrypted-comment-regex"], "encrypt all but values with a comment that matches"),
    text(&["encrypted-comment-regex"], "encrypt values with a comment that matches"),
    switch(&["mac-only-encrypted"], "the MAC is over encrypted values alone"),
];

const INPUT_TYPE: &[Flag] =
    &[text(&["input-type"], "yaml, json, dotenv, ini or binary, whatever the name of the file")];
const OUTPUT_TYPE: &[Flag] = &[text(&["output-type"], "the same for what is written")];
const IN_PLACE: &[Flag] = &[switch(&["in-place", "i"], "write back to the file")];
const OUTPUT: &[Flag] = &[text(&["output"], "write to this file instead of standard output")];
const OVERRIDE: &[Flag] =
    &[text(&["filename-override"], "take this name for the rules and the types")];
const IGNORE_MAC: &[Flag] = &[switch(&["ignore-mac"], "decrypt even where the MAC is wrong")];
const EXTRACT: &[Flag] = &[text(&["extract"], "only this value, as '[\"key\"][0]'")];
const SHOW_KEYS: &[Flag] = &[switch(&["show-master-keys", "s"], "show the metadata in the editor")];
const YES: &[Flag] = &[switch(&["yes", "y"], "do not ask")];
const IDEMPOTENT: &[Flag] = &[switch(&["idempotent"], "do nothing where nothing changes")];
const FILE: &[Flag] = &[text(&["file", "f"], "the file")];
const CHILD: &[Flag] = &[
    switch(&["background"], "not offered: do not wait for the command"),
    text(&["user"], "run the command as this user"),
];

const CHANGES: &[Flag] = &[
    text(&["add-gcp-kms"], "add GCP KMS keys"),
    text(&["rm-gcp-kms"], "remove GCP KMS keys"),
    text(&["add-hckms"], "add Huawei Cloud KMS keys"),
    text(&["rm-hckms"], "remove Huawei Cloud KMS keys"),
    text(&["add-azure-kv"], "add Azure Key Vault keys"),
    text(&["rm-azure-kv"], "remove Azure Key Vault keys"),
    text(&["add-kms"], "add AWS KMS keys"),
    text(&["rm-kms"], "remove AWS KMS keys"),
    text(&["add-hc-vault-transit"], "add Vault transit keys"),
    text(&["rm-hc-vault-transit"], "remove Vault transit keys"),
    text(&["add-age"], "add age recipients"),
    text(&["rm-age"], "remove age recipients"),
    text(&["add-pgp"], "add PGP keys"),
    text(&["rm-pgp"], "remove PGP keys"),
];

/// Without a command: the flags say what to do.
pub(super) const ROOT: Command = Command {
    words: &[],
    arguments: "FILE",
    about: "edit a file, or what --decrypt, --encrypt, --rotate or --set say",
    flags: &[
        &[
            switch(&["decrypt", "d"], "print the file decrypted"),
            switch(&["encrypt", "e"], "print the file encrypted"),
            switch(&["rotate", "r"], "encrypt every value anew with a new data key"),
            text(&["set"], "set one value: '[\"key\"][0] JSON'"),
            flag(
                &["disable-version-check"],
                Takes::Nothing,
                Some("SOPS_DISABLE_VERSION_CHECK"),
                "for compatibility: there is no such check",
            ),
            switch(&["check-for-updates"], "for compatibility: nothing is looked up"),
            switch(&["version", "v"], "print the version"),
        ],
        KEYS,
        CONTEXT,
        THRESHOLD,
        SELECTORS,
        CHANGES,
        IN_PLACE,
        OUTPUT,
        EXTRACT,
        INPUT_TYPE,
        OUTPUT_TYPE,
        OVERRIDE,
        SHOW_KEYS,
        IGNORE_MAC,
        ORDER,
        GLOBAL,
        SERVICES,
        HELP,
    ],
};

const HELP: &[Flag] = &[switch(&["help", "h"], "show this text")];

/// All commands, in the order of the help.
pub(super) const COMMANDS: &[Command] = &[
    Command {
        words: &["completion", "bash"],
        arguments: "",
        about: "print completions for bash",
        flags: &[HELP],
    },
    Command {
        words: &["completion", "zsh"],
        arguments: "",
        about: "print completions for zsh",
        flags: &[HELP],
    },
    Command {
        words: &["exec-env"],
        arguments: "FILE COMMAND",
        about: "run a shell command with the values of a file in its environment",
        flags: &[
            CHILD,
            &[
                switch(&["pristine"], "nothing else in the environment"),
                switch(&["same-process"], "become the command instead of waiting for it"),
            ],
            INPUT_TYPE,
            IGNORE_MAC,
            ORDER,
            GLOBAL,
            SERVICES,
            HELP,
        ],
    },
    Command {
        words: &["exec-file"],
        arguments: "FILE COMMAND",
        about: "run a shell command in which {} is the path of the decrypted file",
        flags: &[
            CHILD,
            &[
                switch(&["no-fifo"], "a file in memory instead of a named pipe"),
                text(&["filename"], "the name of that file"),
            ],
            INPUT_TYPE,
            OUTPUT_TYPE,
            IGNORE_MAC,
            ORDER,
            GLOBAL,
            SERVICES,
            HELP,
        ],
    },
    Command {
        words: &["publish"],
        arguments: "FILE",
        about: "not offered: upload a file",
        flags: &[
            YES,
            &[
                switch(&["omit-extensions"], "leave the extension out of the name there"),
                switch(&["recursive"], "publish a whole folder"),
            ],
            ORDER,
            GLOBAL,
            SERVICES,
            HELP,
        ],
    },
    Command {
        words: &["keyservice"],
        arguments: "",
        about: "not offered: serve the keys of this machine to others",
        flags: &[
            &[
                text(&["network", "net"], "tcp or unix"),
                text(&["address", "addr"], "where to listen"),
                switch(&["prompt"], "ask before each answer"),
            ],
            GLOBAL,
            HELP,
        ],
    },
    Command {
        words: &["filestatus"],
        arguments: "FILE",
        about: "tell whether a file is encrypted, as JSON",
        flags: &[INPUT_TYPE, GLOBAL, HELP],
    },
    Command {
        words: &["groups", "add"],
        arguments: "",
        about: "add a group of keys to a file",
        flags: &[
            FILE,
            &[
                each(&["pgp"], "fingerprint of a PGP key of the group"),
                each(&["kms"], "ARN of an AWS KMS key"),
                text(&["aws-profile"], "profile of the AWS credentials"),
                each(&["gcp-kms"], "resource id of a GCP KMS key"),
                each(&["hckms"], "Huawei Cloud KMS key, REGION:ID"),
                each(&["azure-kv"], "URL of an Azure Key Vault key"),
                each(&["hc-vault-transit"], "URI of a Vault transit key"),
                each(&["age"], "age recipient"),
            ],
            IN_PLACE,
            THRESHOLD,
            CONTEXT,
            INPUT_TYPE,
            OUTPUT_TYPE,
            GLOBAL,
            SERVICES,
            HELP,
        ],
    },
    Command {
        words: &["groups", "delete"],
        arguments: "INDEX",
        about: "remove a group of keys from a file",
        flags: &[FILE, IN_PLACE, THRESHOLD, INPUT_TYPE, OUTPUT_TYPE, GLOBAL, SERVICES, HELP],
    },
    Command {
        words: &["updatekeys"],
        arguments: "FILE…",
        about: "give files the keys that the rules name",
        flags: &[YES, INPUT_TYPE, THRESHOLD, GLOBAL, SERVICES, HELP],
    },
    Command {
        words: &["decrypt"],
        arguments: "[FILE]",
        about: "print a file decrypted; without a file, standard input",
        flags: &[
            IN_PLACE,
            EXTRACT,
            OUTPUT,
            INPUT_TYPE,
            OUTPUT_TYPE,
            IGNORE_MAC,
            OVERRIDE,
            ORDER,
            GLOBAL,
            SERVICES,
            HELP,
        ],
    },
    Command {
        words: &["encrypt"],
        arguments: "[FILE]",
        about: "print a file encrypted; without a file, standard input",
        flags: &[
            IN_PLACE,
            OUTPUT,
            KEYS,
            INPUT_TYPE,
            OUTPUT_TYPE,
            SELECTORS,
            CONTEXT,
            THRESHOLD,
            OVERRIDE,
            GLOBAL,
            SERVICES,
            HELP,
        ],
    },
    Command {
        words: &["rotate"],
        arguments: "FILE",
        about: "encrypt every value anew with a new data key",
        flags: &[
            IN_PLACE,
            OUTPUT,
            INPUT_TYPE,
            OUTPUT_TYPE,
            CONTEXT,
            CHANGES,
            &[text(&["aws-profile"], "profile of the AWS credentials")],
            IGNORE_MAC,
            OVERRIDE,
            ORDER,
            GLOBAL,
            SERVICES,
            HELP,
        ],
    },
    Command {
        words: &["edit"],
        arguments: "FILE",
        about: "edit a file, or make a new one",
        flags: &[
            KEYS,
            INPUT_TYPE,
            OUTPUT_TYPE,
            SELECTORS,
            CONTEXT,
            THRESHOLD,
            SHOW_KEYS,
            IGNORE_MAC,
            ORDER,
            GLOBAL,
            SERVICES,
            HELP,
        ],
    },
    Command {
        words: &["set"],
        arguments: "FILE INDEX [VALUE]",
        about: "set one value, which is JSON",
        flags: &[
            INPUT_TYPE,
            OUTPUT_TYPE,
            &[
                switch(&["value-file"], "VALUE is a file with the value in it"),
                switch(&["value-stdin"], "the value is on standard input"),
            ],
            THRESHOLD,
            IGNORE_MAC,
            ORDER,
            IDEMPOTENT,
            GLOBAL,
            SERVICES,
            HELP,
        ],
    },
    Command {
        words: &["unset"],
        arguments: "FILE INDEX",
        about: "remove one value",
        flags: &[
            INPUT_TYPE,
            OUTPUT_TYPE,
            THRESHOLD,
            IGNORE_MAC,
            ORDER,
            IDEMPOTENT,
            GLOBAL,
            SERVICES,
            HELP,
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_knows_a_name_twice() {
        for command in COMMANDS.iter().chain([&ROOT]) {
            let names: Vec<&str> = command
                .flags
                .iter()
                .copied()
                .flatten()
                .flat_map(|flag| flag.names)
                .copied()
                .collect();
            let mut once = names.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), names.len(), "{:?}", command.words);
        }
    }

    #[test]
    fn commands_are_found_by_their_words() {
        assert!(command(&["decrypt"]).is_some() && command(&["groups", "add"]).is_some());
        assert!(command(&["groups"]).is_none() && is_group("groups") && !is_group("decrypt"));
    }
}
