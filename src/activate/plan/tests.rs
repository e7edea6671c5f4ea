//! Plans: what becomes of secrets whose owner or value is not to be had.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::fsx::Folders;
use crate::key::service::Services;

/// A machine that knows one user and one group.
struct Few;

impl Accounts for Few {
    fn user(&self, name: &str) -> Option<u32> {
        (name == "web").then_some(7)
    }

    fn group(&self, name: &str) -> Option<u32> {
        (name == "web").then_some(8)
    }
}

fn manifest(mode: &str) -> Manifest {
    let secret = |name: &str, owner: Value, value: Value| {
        json!({ "name": name, "store": "s", "file": "/nowhere", "owner": owner, "group": "web",
                "mode": "0640", "testValue": value })
    };
    let text = json!({
        "version": 1,
        "mode": mode,
        "testValues": true,
        "stores": { "s": { "mountPoint": "/run/s.d", "link": "/run/s", "phase": "both", "group": "keys" } },
        "secrets": [
            secret("named", json!("web"), json!("a")),
            secret("numbered", json!(1234), json!("b")),
            secret("unknown", json!("nobody-here"), json!("c")),
            secret("unread", json!("web"), json!(null)),
        ],
        "templates": [
            { "name": "t", "store": "s", "content": "<secretctl:named>-<secretctl:unknown>" },
            { "name": "bad", "store": "s", "content": "<secretctl:unread>" },
        ],
    });
    Manifest::parse(Path::new("m"), text.to_string().as_bytes(), None).unwrap()
}

/// Names, owners and whether there are new bytes.
fn pieces(
    mode: &str,
    when: When,
    accounts: Option<&dyn Accounts>,
) -> (Vec<String>, Vec<String>, usize) {
    let manifest = manifest(mode);
    let work = Work::of(&manifest, when);
    let folders = Folders::from_environment(&|_| None);
    let values = Values::of(&manifest, &work, &folders, Services::off());
    let request = Request { manifest: &manifest, work: &work, values: &values, when, accounts };
    let plan = plan(&request);
    let piece = |piece: &Piece| {
        let kept = match piece.content {
            Content::Bytes(_) => "",
            Content::Keep => " kept",
            Content::KeepAsIs => " kept as it is",
        };
        format!("{} {}:{}{kept}", piece.name, piece.uid, piece.gid)
    };
    let store = plan.stores.first().unwrap();
    let pieces = store.pieces.iter().map(piece).collect();
    let problem =
        |problem: &PlanProblem<'_, '_>| format!("{} {:?}", problem.what.name(), problem.why);
    (pieces, plan.problems.iter().map(problem).collect(), plan.deferred.len())
}

#[test]
fn an_owner_that_is_not_known_concerns_its_secret_alone() {
    let (pieces, problems, deferred) = pieces("system", When::Normal, Some(&Few));
    assert_eq!(
        pieces,
        [
            "named 7:8",
            "numbered 1234:8",
            "unknown 0:0 kept as it is",
            "unread 7:8 kept",
            "t 0:0",
            "bad 0:0 kept",
        ]
    );
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].contains("NoUser(\"nobody-here\")") && problems[1].contains("Source"));
    assert!(problems[2].contains("Unreadable"));
    // The group of the folders.
    assert_eq!(deferred, 1);
}

#[test]
fn before_users_exist_secrets_are_left_to_root() {
    let (pieces, problems, deferred) = pieces("system", When::Early, Some(&Few));
    assert_eq!(pieces[2], "unknown 0:8");
    assert_eq!((problems.len(), deferred), (2, 1));
}

#[test]
fn nobody_is_looked_up_for_a_user_or_where_all_is_of_root() {
    for (mode, accounts) in [("user", Some(&Few as &dyn Accounts)), ("system", None)] {
        let (pieces, problems, deferred) = pieces(mode, When::Normal, accounts);
        assert!(pieces.iter().all(|piece| piece.contains(" 0:0")), "{pieces:?}");
        assert_eq!((problems.len(), deferred), (2, 0));
    }
}
