//! What stands in the way of an activation, by accident or on purpose: foreign files and mounts,
//! links of other users, full and broken file systems. Nothing of anybody else is replaced or
//! hidden, no way leads astray, and what cannot be done is told with a remedy.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

mod machine;

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::Path;
use std::process::Command;

use machine::*;
use secretctl::activate::{Filesystem, Piece, PublishError, Target, Trouble, publish};

/// A user who is not root, where there are several.
const MALLORY: u32 = 4711;

fn has_users() -> bool {
    let several = read("/proc/self/uid_map").split_whitespace().eq(["0", "0", "4294967295"]);
    if !several {
        skip("only root has others to fear");
    }
    several
}

fn mallory(path: &str) {
    lchown(path, Some(MALLORY), Some(MALLORY)).unwrap();
}

fn folder(path: &str) {
    fs::create_dir_all(path).unwrap();
}

fn pipe(path: &str) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Installs `a` with a link or copy at a path where that must not be, and returns what is said.
#[track_caller]
fn refused(target: &Target, piece: Piece) -> String {
    let published = install(target, vec![piece, machine::piece("fine", "x")]);
    assert_eq!(read("/run/secrets/fine"), "x");
    assert_eq!(read("/run/secrets/a"), "1");
    let [problem] = &published.problems[..] else { panic!("{:?}", published.problems) };
    assert_eq!(problem.name.as_ref().unwrap().as_str(), "a");
    assert!(problem.trouble.remedy().is_some(), "{}", problem.trouble);
    problem.trouble.to_string()
}

// -- links and copies ------------------------------------------------------------------------

#[test]
fn links_come_and_go_with_their_secrets() {
    inside("links_come_and_go_with_their_secrets", || {
        let target = target();
        let owner = if has_users() { 1000 } else { 0 };
        let owned = |piece: Piece| Piece { uid: owner, gid: owner, ..piece };
        install_well(
            &target,
            vec![
                owned(linked("a", "1", "/run/x/y/a")),
                copied("b", "2", "/run/x/b"),
                piece("c", "3"),
            ],
        );
        assert_eq!(fs::read_link("/run/x/y/a").unwrap(), Path::new("/run/secrets/a"));
        assert_eq!(rights("/run/x/y/a").1, owner);
        assert_eq!((rights("/run/x").0, rights("/run/x/y").0), (0o755, 0o755));
        // The link and the copy change places.
        install_well(&target, vec![copied("a", "1", "/run/x/y/a"), linked("b", "2", "/run/x/b")]);
        assert_eq!(rights("/run/x/y/a").0, 0o400);
        assert_eq!(read("/run/x/y/a"), "1");
        assert_eq!(fs::read_link("/run/x/b").unwrap(), Path::new("/run/secrets/b"));
        // The last secret goes, and with it all that hung on it.
        let published = install_well(&target, vec![]);
        assert_eq!(strings(&published.removed), ["a", "b"]);
        assert_eq!(entries("/run/x"), ["y"]);
        assert_eq!(entries("/run/x/y"), Vec::<String>::new());
        assert_eq!(entries("/run/secrets/"), Vec::<String>::new());
    });
}

#[test]
fn what_somebody_made_of_our_links_and_copies_stays() {
    inside("what_somebody_made_of_our_links_and_copies_stays", || {
        let target = target();
        install_well(
            &target,
            vec![
                linked("a", "1", "/run/x/a"),
                linked("b", "1", "/run/x/b"),
                copied("c", "1", "/run/x/c"),
            ],
        );
        fs::remove_file("/run/x/a").unwrap();
        fs::write("/run/x/a", "mine").unwrap();
        fs::remove_file("/run/x/b").unwrap();
        symlink("/run/x/a", "/run/x/b").unwrap();
        fs::set_permissions("/run/x/c", fs::Permissions::from_mode(0o600)).unwrap();
        fs::write("/run/x/c", "changed by hand").unwrap();
        let before = picture("/run/x");
        let published = install(&target, vec![piece("d", "1")]);
        assert_eq!(picture("/run/x"), before);
        let [problem] = &published.problems[..] else { panic!("{:?}", published.problems) };
        assert!(matches!(&problem.trouble, Trouble::Altered { path } if path.ends_with("c")));
        assert!(problem.trouble.remedy().unwrap().contains("rm -- /run/x/c"));
        // That is said once.
        install_well(&target, vec![piece("d", "1")]);
        assert_eq!(picture("/run/x"), before);
    });
}

#[test]
fn a_copy_of_a_secret_that_cannot_be_opened_stays() {
    inside("a_copy_of_a_secret_that_cannot_be_opened_stays", || {
        let target = target();
        install_well(&target, vec![copied("a", "1", "/run/x/a")]);
        umount("/run/secrets.d");
        fs::remove_file("/run/secrets").unwrap();
        let failing = || vec![Piece { copies: vec!["/run/x/a".into()], ..kept("a") }];
        let published = install_well(&target, failing());
        assert_eq!(strings(&published.missing), ["a"]);
        assert_eq!(read("/run/x/a"), "1");
    });
}

#[test]
fn what_hung_on_secrets_that_went_between_two_boots_goes_too() {
    inside("what_hung_on_secrets_that_went_between_two_boots_goes_too", || {
        let folder = disk().join("state/secretctl");
        let target = Target { lasting: Some(folder.clone()), ..machine::target() };
        let reboot = || {
            umount("/run/secrets.d");
            fs::remove_dir("/run/secrets.d").unwrap();
            fs::remove_file("/run/secrets").unwrap();
        };
        let out = |name: &str| disk().join("etc").join(name).to_str().unwrap().to_owned();
        let all = || {
            vec![
                linked("a", "1", &out("a")),
                copied("b", "1", &out("b")),
                copied("c", "1", &out("c")),
                linked("d", "1", "/run/d"),
            ]
        };
        install_well(&target, all());
        let notes = folder.join("%2Frun%2Fsecrets.d.json");
        assert_eq!(rights(&notes).0, 0o600);
        assert!(!read(&notes).contains("/run/d"));
        let before = fs::metadata(&notes).unwrap().modified().unwrap();
        reboot();
        // The disk is left alone where nothing changed.
        install_well(&target, all());
        assert_eq!(fs::metadata(&notes).unwrap().modified().unwrap(), before);
        reboot();
        let dry = publish(&target, vec![copied("c", "2", &out("c"))], None).unwrap();
        assert!(dry.problems.is_empty());
        assert_eq!(entries(disk().join("etc")), ["a", "b", "c"]);
        install_well(&target, vec![copied("c", "2", &out("c"))]);
        assert_eq!(entries(disk().join("etc")), ["c"]);
        // The last one too, before anything is mounted.
        reboot();
        install_well(&target, vec![]);
        assert_eq!(entries(disk().join("etc")), Vec::<String>::new());
        // A folder that cannot be written to does no harm.
        fs::remove_dir_all(disk().join("state")).unwrap();
        fs::write(disk().join("state"), "").unwrap();
        install_well(&target, all());
    });
}

#[test]
fn foreign_things_where_links_are_to_be_stay() {
    inside("foreign_things_where_links_are_to_be_stay", || {
        let target = target();
        folder("/run/f/folder");
        fs::write("/run/f/file", "mine").unwrap();
        pipe("/run/f/pipe");
        let real = disk().join("real");
        fs::write(&real, "real").unwrap();
        symlink(&real, "/run/f/link").unwrap();
        fs::hard_link("/run/f/file", "/run/f/hard").unwrap();
        let before = picture("/run/f");
        for (name, what) in [
            ("folder", "a folder"),
            ("file", "a file"),
            ("hard", "a file"),
            ("pipe", "a pipe"),
            ("link", "a link to something else"),
        ] {
            let path = format!("/run/f/{name}");
            let said = refused(&target, linked("a", "1", &path));
            assert_eq!(said, format!("`{path}` is {what} that is not ours, and was left alone"));
            if !["file", "hard"].contains(&name) {
                let said = refused(&target, copied("a", "1", &path));
                assert_eq!(
                    said,
                    format!("`{path}` is {what} that is not ours, and was left alone")
                );
            }
        }
        assert_eq!(picture("/run/f"), before);
        // Where the rule says that a real file is to be, one that stands there is replaced, by
        // a new one: other names of the old one keep what they had.
        install_well(&target, vec![copied("a", "1", "/run/f/hard")]);
        assert_eq!((read("/run/f/hard"), read("/run/f/file")), ("1".into(), "mine".into()));
        assert_eq!(rights("/run/f/hard"), (0o400, 0, 0));
        // Links to what is not there, or of other ways of keeping secrets, give way.
        folder("/run/agenix.d/1");
        fs::write("/run/agenix.d/1/a", "old").unwrap();
        symlink("/run/agenix.d/1/a", "/run/f/agenix").unwrap();
        symlink("/nowhere/at/all", "/run/f/dangling").unwrap();
        for name in ["/run/f/agenix", "/run/f/dangling"] {
            install_well(&target, vec![linked("a", "1", name)]);
            assert_eq!(read(name), "1");
        }
        assert_eq!(read("/run/agenix.d/1/a"), "old");
    });
}

#[test]
fn paths_that_are_none_or_lie_in_the_store_are_refused() {
    inside("paths_that_are_none_or_lie_in_the_store_are_refused", || {
        let target = target();
        install_well(&target, vec![piece("a", "1")]);
        symlink("/run/secrets.d", "/run/alias").unwrap();
        for path in [
            "/run/secrets/b",
            "/run/secrets.d/9",
            "/run/secrets.d",
            "/run",
            "/run/alias/1/x",
            "/run/alias/x",
        ] {
            for piece in [linked("a", "1", path), copied("a", "1", path)] {
                assert_eq!(refused(&target, piece), format!("`{path}` is inside of the store"));
            }
        }
        for path in ["run/x", "/run/../run/x", "/", "", "/run/x/.."] {
            let said = refused(&target, linked("a", "1", path));
            assert_eq!(said, format!("`{path}` cannot be the place of a link or a copy"));
        }
        // Its own place is no further link.
        install_well(&target, vec![linked("a", "1", "/run/secrets/a"), piece("fine", "x")]);
        let twice = vec![linked("b", "2", "/run/x"), linked("a", "1", "/run/x")];
        let published = install(&target, twice);
        assert_eq!(said(&published.problems), ["a: `/run/x` is the place of secret `b` already"]);
        assert_eq!(read("/run/x"), "2");
    });
}

#[test]
fn links_of_other_users_lead_root_nowhere() {
    inside("links_of_other_users_lead_root_nowhere", || {
        if !has_users() {
            return;
        }
        let target = target();
        folder("/run/trap");
        folder("/run/home/real");
        for path in ["/run/home", "/run/home/real"] {
            mallory(path);
        }
        for (name, to) in [("out", "/run/trap"), ("in", "real"), ("new", "/run/trap/new")] {
            let link = format!("/run/home/{name}");
            symlink(to, &link).unwrap();
            mallory(&link);
        }
        for path in
            ["/run/home/out/x", "/run/home/out/deep/x", "/run/home/new/x", "/run/home/in/../out/x"]
        {
            for piece in [linked("a", "1", path), copied("a", "1", path)] {
                refused(&target, piece);
            }
        }
        assert_eq!(entries("/run/trap"), Vec::<String>::new());
        let own = Piece { uid: MALLORY, gid: MALLORY, ..copied("a", "1", "/run/home/in/x") };
        install_well(&target, vec![own]);
        assert_eq!(rights("/run/home/real/x"), (0o400, MALLORY, MALLORY));
        // What was planted since does not lead the removal astray either.
        fs::create_dir("/run/trap/real").unwrap();
        fs::rename("/run/home/real", "/run/home/moved").unwrap();
        fs::hard_link("/run/home/moved/x", "/run/trap/real/x").unwrap();
        symlink("/run/trap/real", "/run/home/real").unwrap();
        mallory("/run/home/real");
        let published = install(&target, vec![piece("b", "1")]);
        assert!(matches!(&published.problems[0].trouble, Trouble::Way(_)), "{published:?}");
        assert_eq!(entries("/run/trap/real"), ["x"]);
    });
}

#[test]
fn what_is_planted_under_our_temporary_names_is_not_written_to() {
    inside("what_is_planted_under_our_temporary_names_is_not_written_to", || {
        let target = target();
        folder("/run/x");
        install_well(&target, vec![copied("a", "1", "/run/x/a")]);
        let name = secretctl::fsx::directory::unfinished("a".as_ref());
        let planted = Path::new("/run/x").join(name);
        fs::write("/run/precious", "mine").unwrap();
        for piece in [copied("a", "2", "/run/x/a"), linked("a", "3", "/run/x/a")] {
            let content = if piece.links.is_empty() { "2" } else { "3" };
            symlink("/run/precious", &planted).unwrap();
            install_well(&target, vec![piece]);
            assert_eq!(read("/run/x/a"), content);
            assert_eq!(entries("/run/x"), ["a"]);
        }
        fs::create_dir(&planted).unwrap();
        let published = install(&target, vec![copied("a", "4", "/run/x/a")]);
        assert!(said(&published.problems)[0].starts_with("a: cannot make `/run/x/a`"));
        assert_eq!(read("/run/precious"), "mine");
    });
}

// -- the place of the store ------------------------------------------------------------------

#[track_caller]
fn place_refused(target: &Target) -> String {
    let before = picture("/run");
    let error = try_install(target, vec![piece("a", "1")]).unwrap_err();
    assert!(error.remedy().is_some(), "{error}");
    let dry = publish(target, vec![piece("a", "1")], None).unwrap_err();
    assert_eq!(dry.to_string(), error.to_string());
    let mut after = picture("/run");
    after.retain(|line| !line.contains(".lock"));
    let mut before = before;
    before.retain(|line| !line.contains(".lock"));
    assert_eq!(after, before);
    error.to_string()
}

#[test]
fn a_foreign_thing_where_the_link_is_to_be_stays() {
    inside("a_foreign_thing_where_the_link_is_to_be_stays", || {
        let target = target();
        folder("/run/secrets");
        fs::write("/run/secrets/precious", "mine").unwrap();
        let said = place_refused(&target);
        assert_eq!(said, "`/run/secrets` is a folder that is not empty and no link of ours");
        fs::rename("/run/secrets", "/run/moved").unwrap();
        symlink("/run/moved", "/run/secrets").unwrap();
        assert_eq!(
            place_refused(&target),
            "`/run/secrets` is a link to something else and no link of ours"
        );
        fs::remove_file("/run/secrets").unwrap();
        fs::write("/run/secrets", "").unwrap();
        assert_eq!(place_refused(&target), "`/run/secrets` is a file and no link of ours");
        for make in [
            || folder("/run/secrets"),
            || symlink("/run/nowhere", "/run/secrets").unwrap(),
            || {
                folder("/run/other.d/7");
                symlink("/run/other.d/7", "/run/secrets").unwrap();
            },
            || symlink("secrets.d/5", "/run/secrets").unwrap(),
        ] {
            if fs::remove_file("/run/secrets").is_err() {
                fs::remove_dir("/run/secrets").unwrap();
            }
            make();
            install_well(&target, vec![piece("a", "1")]);
            assert_eq!(read("/run/secrets/a"), "1");
        }
        // Numbers go on from where the link was.
        assert_eq!(generations(), ["6"]);
    });
}

#[test]
fn a_foreign_mount_or_folder_is_neither_hidden_nor_used() {
    inside("a_foreign_mount_or_folder_is_neither_hidden_nor_used", || {
        let mut target = target();
        folder("/run/secrets.d");
        fs::write("/run/secrets.d/precious", "mine").unwrap();
        let said = place_refused(&target);
        assert!(said.contains("is not empty, and a mount would hide"), "{said}");
        fs::remove_file("/run/secrets.d/precious").unwrap();
        mount(&["-t", "tmpfs", "-o", "mode=0755", "none", "/run/secrets.d"]);
        let said = place_refused(&target);
        assert_eq!(said, "the tmpfs on `/run/secrets.d` may be swapped to a disk");
        assert_eq!(mounts("/run/secrets.d").len(), 1);
        target.store.filesystem = Filesystem::Tmpfs;
        place_refused(&target);
        // Where that is allowed it is used as it is.
        target.store.allow_swap = true;
        install_well(&target, vec![piece("a", "1")]);
        assert_eq!(mounts("/run/secrets.d").len(), 1);
        target.store.allow_swap = false;
        umount("/run/secrets.d");
        fs::remove_file("/run/secrets").unwrap();
        folder("/run/disk");
        mount(&["-t", "devpts", "none", "/run/disk"]);
        target.store.mount_point = "/run/disk".into();
        for filesystem in [Filesystem::Ramfs, Filesystem::Tmpfs] {
            target.store.filesystem = filesystem;
            let error = try_install(&target, vec![piece("a", "1")]).unwrap_err().to_string();
            assert_eq!(error, "what is mounted on `/run/disk` is something that is no memory");
        }
        umount("/run/disk");
    });
}

#[test]
fn memory_that_is_there_is_kept_when_the_other_kind_is_wanted() {
    inside("memory_that_is_there_is_kept_when_the_other_kind_is_wanted", || {
        let mut target = target();
        install_well(&target, vec![piece("a", "1")]);
        target.store.filesystem = Filesystem::Tmpfs;
        let published = install_well(&target, vec![piece("a", "1")]);
        assert_eq!(strings(&published.unchanged), ["a"]);
        let [line] = &mounts("/run/secrets.d")[..] else { panic!("mounted once") };
        assert!(line.contains(" - ramfs "), "{line}");
    });
}

#[test]
fn a_tmpfs_is_not_swapped() {
    inside("a_tmpfs_is_not_swapped", || {
        let mut target = target();
        target.store.filesystem = Filesystem::Tmpfs;
        match try_install(&target, vec![piece("a", "1")]) {
            Ok(_) => {
                let [line] = &mounts("/run/secrets.d")[..] else { panic!("mounted once") };
                assert!(line.contains(" - tmpfs ") && line.contains("noswap"), "{line}");
                install_well(&target, vec![piece("a", "1")]);
                assert_eq!(mounts("/run/secrets.d").len(), 1);
            }
            // An old kernel, or a namespace of a user: refused unless it is allowed.
            Err(error) => {
                assert!(error.to_string().contains("from being swapped"), "{error}");
                assert!(mounts("/run/secrets.d").is_empty());
                target.store.allow_swap = true;
                install_well(&target, vec![piece("a", "1")]);
                assert!(mounts("/run/secrets.d")[0].contains(" - tmpfs "));
            }
        }
    });
}

#[test]
fn folders_that_others_can_change_hold_no_store() {
    inside("folders_that_others_can_change_hold_no_store", || {
        if !has_users() {
            return;
        }
        let mut target = target();
        folder("/run/secrets.d");
        mallory("/run/secrets.d");
        let said = place_refused(&target);
        assert!(said.contains("belongs to user 4711"), "{said}");
        fs::remove_dir("/run/secrets.d").unwrap();
        folder("/run/theirs/in");
        mallory("/run/theirs");
        for path in ["/run/theirs/secrets.d", "/run/theirs/in/secrets.d"] {
            target.store.mount_point = path.into();
            let error = try_install(&target, vec![piece("a", "1")]).unwrap_err().to_string();
            assert_eq!(error, "other users can write to the folder `/run/theirs`");
        }
        target = machine::target();
        target.store.link = "/run/theirs/secrets".into();
        let error = try_install(&target, vec![piece("a", "1")]).unwrap_err().to_string();
        assert_eq!(error, "other users can write to the folder `/run/theirs`");
        // A lock that somebody else could hold is not waited for.
        target = machine::target();
        fs::write("/run/.secrets.d.lock", "").unwrap();
        mallory("/run/.secrets.d.lock");
        let error = try_install(&target, vec![piece("a", "1")]).unwrap_err();
        assert!(matches!(error, PublishError::Lock(_)), "{error}");
    });
}

#[test]
fn missing_folders_are_made_and_a_read_only_root_is_told() {
    inside("missing_folders_are_made_and_a_read_only_root_is_told", || {
        let mut target = target();
        folder("/run/root");
        mount(&["-t", "tmpfs", "-o", "mode=0755", "none", "/run/root"]);
        target.store.mount_point = "/run/root/run/deep/secrets.d".into();
        target.store.link = "/run/root/run/secrets".into();
        install_well(&target, vec![piece("a", "1")]);
        assert_eq!((rights("/run/root/run").0, rights("/run/root/run/deep").0), (0o755, 0o755));
        folder("/run/root/image/secrets.d");
        mount(&["-o", "remount,ro", "none", "/run/root"]);
        // The link cannot change, so that what is there stays.
        let error = try_install(&target, vec![piece("a", "2")]).unwrap_err().to_string();
        assert!(error.contains("`/run/root/run/secrets`"), "{error}");
        assert_eq!(read("/run/root/run/secrets/a"), "1");
        assert_eq!(entries("/run/root/run/deep/secrets.d"), [".secretctl-state.json", "1"]);
        target.store.link = "/run/link".into();
        target.store.mount_point = "/run/root/image/secrets.d".into();
        install_well(&target, vec![piece("a", "1")]);
        assert_eq!(read("/run/link/a"), "1");
        for mount_point in ["/run/root/image/other.d", "/run/root/more/other.d"] {
            target.store.mount_point = mount_point.into();
            let error = try_install(&target, vec![piece("a", "1")]).unwrap_err();
            assert!(error.to_string().ends_with("the file system is read-only"), "{error}");
            assert!(error.remedy().is_some());
        }
    });
}

// -- broken file systems ---------------------------------------------------------------------

#[test]
fn where_no_space_is_left_the_old_generation_stays() {
    inside("where_no_space_is_left_the_old_generation_stays", || {
        let mut target = target();
        folder("/run/secrets.d");
        mount(&["-t", "tmpfs", "-o", "mode=0755,size=200k", "none", "/run/secrets.d"]);
        target.store.filesystem = Filesystem::Directory;
        install_well(&target, vec![piece("a", "1")]);
        let large = "x".repeat(300_000);
        for _ in 0..3 {
            let error =
                try_install(&target, vec![piece("a", "2"), piece("b", &large)]).unwrap_err();
            assert_eq!(error.to_string(), "no space is left in `/run/secrets.d`");
            assert!(error.remedy().is_some());
            assert_eq!(read("/run/secrets/a"), "1");
            assert_eq!(generations(), ["1"]);
        }
        install_well(&target, vec![piece("a", "2")]);
        // A copy elsewhere that finds no space is the problem of its secret alone.
        folder("/run/small");
        mount(&["-t", "tmpfs", "-o", "mode=0755,size=8k", "none", "/run/small"]);
        let published = install(&target, vec![copied("a", &"y".repeat(20_000), "/run/small/a")]);
        assert!(said(&published.problems)[0].starts_with("a: cannot write `/run/small/a`"));
        assert_eq!(entries("/run/small"), Vec::<String>::new());
        assert_eq!(read("/run/secrets/a").len(), 20_000);
    });
}
