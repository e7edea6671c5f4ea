//! A machine for one run: name spaces in which `/run`, `/srv`, `/etc/ssh` and the users are those of the
//! configurations of these tests, and everything else is as it is here.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::nix::project;

/// What the run printed, and what it said.
pub(crate) struct Ran {
    pub(crate) out: String,
    pub(crate) errors: String,
}

/// Whether such a machine can be made; says so where not.
pub(crate) fn is_possible() -> bool {
    let possible = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "mount", "-t", "tmpfs", "none", "/srv"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !possible {
        assert!(std::env::var_os("SECRETCTL_TEST_STRICT").is_none(), "root is needed");
        println!("skipped: only root can make a machine with users of its own");
    }
    possible
}

/// Runs a script in a machine of its own. `secretctl` is the program of this build there, and `show FILE…`
/// prints mode, owner and content.
pub(crate) fn run(folder: &Path, script: &str) -> Ran {
    let users = "root:x:0:0::/root:/bin/sh\nweb:x:901:902::/:/bin/sh\nother:x:903:904::/:/bin/sh\n";
    fs::write(folder.join("passwd"), users).unwrap();
    let groups = "root:x:0:\nkeys:x:96:\nweb:x:902:\nother:x:904:\n";
    fs::write(folder.join("group"), groups).unwrap();
    let key = project("testdata/age/ssh_ed25519");
    let setup = format!(
        "set -eu
         for place in /run /srv /etc/ssh; do mount -t tmpfs none $place; done
         install -m 600 {key} /etc/ssh/ssh_host_ed25519_key
         mount --bind passwd /etc/passwd
         mount --bind group /etc/group
         secretctl() {{ {program} \"$@\"; }}
         show() {{ for file; do
           printf '%s %s: ' \"$file\" \"$(stat -Lc '%a %u:%g' -- \"$file\")\"; cat -- \"$file\"; echo '|'
         done; }}
         {script}",
        program = env!("CARGO_BIN_EXE_secretctl"),
    );
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &setup])
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let ran = Ran { out: text(output.stdout), errors: text(output.stderr) };
    assert!(output.status.success(), "{}{}", ran.out, ran.errors);
    ran
}
