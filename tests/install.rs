//! What an activation puts in place, on a machine of its own for each test: generations, owners,
//! permissions, links, copies, and what is left alone.

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
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;

use machine::*;
use secretctl::activate::units::{How, request};
use secretctl::activate::{Content, Filesystem, Piece, Target, publish};

fn is_root_of_all() -> bool {
    read("/proc/self/uid_map").split_whitespace().eq(["0", "0", "4294967295"])
}

#[test]
fn the_first_generation_has_exact_rights_in_memory_that_is_not_swapped() {
    inside("the_first_generation_has_exact_rights_in_memory_that_is_not_swapped", || {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        let (uid, gid) = if is_root_of_all() { (1000, 1001) } else { (0, 0) };
        let mut target = target();
        target.store.gid = gid;
        let published = install_well(
            &target,
            vec![
                Piece { uid, gid, mode: 0o664, ..piece("db/main/password", "hunter2") },
                Piece { restart: vec!["a.service".into()], ..piece("empty", "") },
            ],
        );
        assert_eq!(strings(&published.added), ["db/main/password", "empty"]);
        // After a boot there is nobody to restart.
        assert!(published.restart.is_empty());
        assert_eq!(read("/run/secrets/db/main/password"), "hunter2");
        assert_eq!(read("/run/secrets/empty"), "");
        assert_eq!(rights("/run/secrets/db/main/password"), (0o664, uid, gid));
        assert_eq!(rights("/run/secrets/empty"), (0o400, 0, 0));
        for folder in
            ["/run/secrets.d", "/run/secrets.d/1", "/run/secrets/db", "/run/secrets/db/main"]
        {
            assert_eq!(rights(folder), (0o751, 0, gid), "{folder}");
        }
        assert_eq!(fs::read_link("/run/secrets").unwrap(), Path::new("/run/secrets.d/1"));
        let [line] = &mounts("/run/secrets.d")[..] else { panic!("mounted once") };
        assert!(line.contains(" - ramfs "), "{line}");
        for option in ["nodev", "nosuid", "noexec"] {
            assert!(line.contains(option), "{line}");
        }
        assert_eq!(rights("/run/secrets.d/.secretctl-state.json").0, 0o600);
    });
}

#[test]
fn what_changed_is_told_and_what_did_not_restarts_nobody() {
    inside("what_changed_is_told_and_what_did_not_restarts_nobody", || {
        let target = target();
        let unit = |piece: Piece| {
            let name = piece.name.as_str().to_owned();
            let (restart, reload) =
                (vec![format!("{name}.service")], vec![format!("{name}.socket")]);
            Piece { restart, reload, ..piece }
        };
        install_well(
            &target,
            vec![unit(piece("a", "1")), unit(piece("b", "1")), unit(piece("c", "1"))],
        );
        let published = install_well(
            &target,
            vec![
                unit(piece("a", "2")),
                unit(piece("b", "1")),
                unit(Piece { mode: 0o440, ..piece("c", "1") }),
                unit(piece("d", "1")),
            ],
        );
        assert_eq!(strings(&published.added), ["d"]);
        assert_eq!(strings(&published.changed), ["a", "c"]);
        assert_eq!(strings(&published.unchanged), ["b"]);
        // Other permissions are no news for a program that runs.
        assert_eq!(published.restart.iter().collect::<Vec<_>>(), ["a.service", "d.service"]);
        assert_eq!(published.reload.iter().collect::<Vec<_>>(), ["a.socket", "d.socket"]);
        assert_eq!(rights("/run/secrets/c").0, 0o440);
        assert_eq!(generations(), ["2"]);
        request(&How::Nobody, &[(&target, &published)]);
        let published = install_well(&target, vec![unit(piece("a", "2"))]);
        assert_eq!(strings(&published.removed), ["b", "c", "d"]);
        assert!(published.restart.is_empty() && published.reload.is_empty());
        assert_eq!(entries("/run/secrets/"), ["a"]);
        assert_eq!(mounts("/run/secrets.d").len(), 1);
    });
}

#[test]
fn a_file_becomes_a_folder_and_back() {
    inside("a_file_becomes_a_folder_and_back", || {
        let target = target();
        install_well(&target, vec![piece("a", "1")]);
        let published = install_well(&target, vec![piece("a/b", "2")]);
        assert_eq!(
            (strings(&published.added), strings(&published.removed)),
            (vec!["a/b"], vec!["a"])
        );
        assert_eq!(read("/run/secrets/a/b"), "2");
        let published = install_well(&target, vec![piece("a", "3")]);
        assert_eq!(
            (strings(&published.added), strings(&published.removed)),
            (vec!["a"], vec!["a/b"])
        );
    });
}

#[test]
fn old_generations_go_and_others_things_stay() {
    inside("old_generations_go_and_others_things_stay", || {
        let mut target = target();
        target.store.keep = 0;
        install_well(&target, vec![piece("a", "1")]);
        for name in ["90", "91", "99", "01", "x9"] {
            fs::create_dir_all(format!("/run/secrets.d/{name}/deep")).unwrap();
            fs::write(format!("/run/secrets.d/{name}/deep/x"), "x").unwrap();
        }
        fs::remove_file("/run/secrets").unwrap();
        symlink("/run/secrets.d/99", "/run/secrets").unwrap();
        install_well(&target, vec![piece("a", "1")]);
        assert_eq!(fs::read_link("/run/secrets").unwrap(), Path::new("/run/secrets.d/100"));
        assert_eq!(generations(), ["01", "1", "100", "90", "91", "99", "x9"]);
        target.store.keep = 10;
        install_well(&target, vec![piece("a", "1")]);
        assert_eq!(generations(), ["01", "100", "101", "99", "x9"]);
        target.store.keep = 1;
        install_well(&target, vec![piece("a", "1")]);
        assert_eq!(generations(), ["01", "102", "x9"]);
    });
}

#[test]
fn what_was_never_published_goes() {
    inside("what_was_never_published_goes", || {
        let target = target();
        install_well(&target, vec![piece("a", "1")]);
        fs::create_dir_all("/run/secrets.d/2/a").unwrap();
        fs::create_dir_all("/run/secrets.d/.secretctl-new/a/b").unwrap();
        fs::write("/run/secrets.d/.secretctl-new/a/b/c", "half").unwrap();
        fs::create_dir("/run/precious").unwrap();
        fs::write("/run/precious/x", "x").unwrap();
        symlink("/run/precious", "/run/secrets.d/7").unwrap();
        symlink("/run/precious", "/run/secrets.d/2/out").unwrap();
        install_well(&target, vec![piece("a", "2")]);
        assert_eq!(generations(), ["2"]);
        assert_eq!(read("/run/secrets/a"), "2");
        assert_eq!(entries("/run/precious"), ["x"]);
    });
}

#[test]
fn a_secret_without_new_content_keeps_the_last() {
    inside("a_secret_without_new_content_keeps_the_last", || {
        let target = target();
        let units = |piece: Piece| Piece { restart: vec!["a.service".into()], ..piece };
        install_well(&target, vec![piece("a/b", "good"), piece("c", "good")]);
        let kept_pieces = vec![
            units(Piece { mode: 0o444, links: vec!["/run/link".into()], ..kept("a/b") }),
            units(linked("c", "new", "/run/c")),
            units(Piece { links: vec!["/run/never".into()], ..kept("never") }),
        ];
        let published = install_well(&target, kept_pieces);
        assert_eq!(strings(&published.kept), ["a/b"]);
        assert_eq!(strings(&published.missing), ["never"]);
        assert_eq!(strings(&published.changed), ["c"]);
        assert!(published.removed.is_empty());
        assert_eq!(read("/run/link"), "good");
        assert_eq!(rights("/run/secrets/a/b").0, 0o444);
        assert!(fs::symlink_metadata("/run/never").is_err());
        // Owner and permissions may be unknown as well.
        let as_is = || Piece {
            content: Content::KeepAsIs,
            uid: 4711,
            copies: vec!["/run/copy".into()],
            ..piece("a/b", "")
        };
        let published = install_well(&target, vec![as_is(), piece("c", "new")]);
        assert_eq!(strings(&published.kept), ["a/b"]);
        assert_eq!(rights("/run/secrets/a/b"), (0o444, 0, 0));
        assert_eq!(rights("/run/copy"), (0o444, 0, 0));
        // What is no regular file is not taken for a secret.
        fs::remove_file("/run/secrets.d/3/c").unwrap();
        fs::write("/run/elsewhere", "other").unwrap();
        symlink("/run/elsewhere", "/run/secrets.d/3/c").unwrap();
        let published = install(&target, vec![kept("c")]);
        assert_eq!(strings(&published.missing), ["c"]);
        assert!(said(&published.problems)[0].starts_with("c: cannot read the last content"));
    });
}

#[test]
fn a_secret_that_cannot_be_put_in_place_does_not_hold_up_the_others() {
    inside("a_secret_that_cannot_be_put_in_place_does_not_hold_up_the_others", || {
        let target = target();
        install_well(&target, vec![piece("nobody", "last")]);
        let published = install(
            &target,
            vec![
                Piece { uid: u32::MAX, mode: 0o440, ..piece("nobody", "new") },
                Piece { gid: u32::MAX, ..piece("other", "new") },
                piece("a", "1"),
                piece("a/b", "2"),
                piece("c/d", "3"),
                piece("c", "4"),
                piece("a", "5"),
                piece("fine", "6"),
            ],
        );
        assert_eq!(strings(&published.kept), ["nobody"]);
        assert_eq!(strings(&published.missing), ["other", "a/b", "c", "a"]);
        assert_eq!(strings(&published.added), ["a", "c/d", "fine"]);
        assert_eq!(said(&published.problems).len(), 5);
        assert_eq!(read("/run/secrets/nobody"), "last");
        assert_eq!(rights("/run/secrets/nobody").0, 0o400);
        assert_eq!((read("/run/secrets/a"), read("/run/secrets/c/d")), ("1".into(), "3".into()));
        assert_eq!(read("/run/secrets/fine"), "6");
    });
}

#[test]
fn nothing_is_written_in_a_dry_run_and_all_of_it_is_told() {
    inside("nothing_is_written_in_a_dry_run_and_all_of_it_is_told", || {
        let target = target();
        let before = picture("/run");
        let pieces = || vec![linked("a", "1", "/run/x/link"), copied("b", "2", "/run/y/copy")];
        let dry = publish(&target, pieces(), None).unwrap();
        assert_eq!(strings(&dry.added), ["a", "b"]);
        assert!(dry.dry && dry.problems.is_empty());
        assert_eq!(picture("/run"), before);
        assert!(mounts("/run/secrets.d").is_empty());
        install_well(&target, pieces());
        let before = picture("/run");
        fs::write("/run/foreign", "x").unwrap();
        let other = || {
            let changed = Piece { restart: vec!["a.service".into()], ..piece("a", "other") };
            vec![changed, linked("c", "3", "/run/foreign")]
        };
        let dry = publish(&target, other(), None).unwrap();
        fs::remove_file("/run/foreign").unwrap();
        assert_eq!(picture("/run"), before);
        assert_eq!(strings(&dry.changed), ["a"]);
        assert_eq!(strings(&dry.added), ["c"]);
        assert_eq!(strings(&dry.removed), ["b"]);
        assert_eq!(
            said(&dry.problems),
            ["c: `/run/foreign` is a file that is not ours, and was left alone"]
        );
        assert!(dry.restart.contains("a.service"));
        assert!(request(&How::Systemctl { user: false }, &[(&target, &dry)]).is_empty());
        assert_eq!(picture("/run"), before);
    });
}

#[test]
fn units_are_told_once_even_by_the_run_after_a_killed_one() {
    inside("units_are_told_once_even_by_the_run_after_a_killed_one", || {
        let target = target();
        let with = |content: &str| {
            vec![
                Piece {
                    restart: vec!["a.service".into(), "b.service".into()],
                    ..piece("a", content)
                },
                Piece {
                    restart: vec!["no-such.service".into()],
                    reload: vec!["a.service".into(), "c.service".into()],
                    ..piece("b", content)
                },
            ]
        };
        install_well(&target, with("1"));
        // This one ends before it tells anybody.
        install_well(&target, with("2"));
        let how = How::Systemctl { user: false };
        let published = install_well(&target, with("2"));
        let problems = request(&how, &[(&target, &published)]);
        let expected = "systemd did not restart all units: Failed to try-restart no-such.service: \
                        Unit no-such.service not found.";
        assert_eq!(said(&problems), [expected]);
        let asked = "--no-block --no-ask-password try-restart -- a.service b.service no-such.service\n\
                     --no-block --no-ask-password try-reload-or-restart -- c.service\n";
        assert_eq!(read("/run/asked"), asked);
        let published = install_well(&target, with("2"));
        assert!(request(&how, &[(&target, &published)]).is_empty());
        assert_eq!(read("/run/asked"), asked);
    });
}

#[test]
fn one_run_waits_for_the_other() {
    inside("one_run_waits_for_the_other", || {
        let target = target();
        let first = take(&target);
        publish(&target, vec![piece("a", "1")], Some(&first)).unwrap();
        let (say, heard) = std::sync::mpsc::channel();
        let second = std::thread::spawn({
            let target = target.clone();
            move || {
                let mut waiting = |who: &str| say.send(who.to_owned()).unwrap();
                let hold = secretctl::activate::hold(&[&target], "second", &mut waiting).unwrap();
                publish(&target, vec![piece("a", "2")], Some(&hold)).unwrap()
            }
        });
        let who = heard.recv().unwrap();
        assert_eq!(who, format!("process {} (`a test`)", std::process::id()));
        assert_eq!(read("/run/secrets/a"), "1");
        drop(first);
        assert_eq!(strings(&second.join().unwrap().changed), ["a"]);
        assert_eq!(read("/run/secrets/a"), "2");
        assert_eq!(mounts("/run/secrets.d").len(), 1);
    });
}

#[test]
fn without_privilege_it_works_in_a_namespace_of_the_users() {
    let name = "without_privilege_it_works_in_a_namespace_of_the_users";
    inside_without_privilege(name, || {
        let target = target();
        install_well(&target, vec![linked("a", "1", "/run/l/a"), copied("b", "2", "/run/c/b")]);
        let published = install(&target, vec![Piece { uid: 12, ..piece("a", "2") }]);
        // Nobody but this user exists in there.
        assert!(said(&published.problems)[0].starts_with("a: cannot give it to user 12"));
        assert_eq!(read("/run/secrets/a"), "1");
        assert!(fs::symlink_metadata("/run/c/b").is_err());
        let published = install_well(&target, vec![piece("a", "2")]);
        assert_eq!(strings(&published.changed), ["a"]);
        assert!(mounts("/run/secrets.d")[0].contains(" - ramfs "));
    });
}

#[test]
fn a_user_needs_no_mount_and_no_owner() {
    let name = "a_user_needs_no_mount_and_no_owner";
    inside(name, || {
        let mut user = Target { system: false, ..target() };
        let pieces = || vec![Piece { uid: 4711, gid: 4711, mode: 0o440, ..piece("a", "1") }];
        install_well(&user, pieces());
        assert_eq!(rights("/run/secrets/a"), (0o440, 0, 0));
        assert!(mounts("/run/secrets.d").is_empty());
        // A disk is refused unless it is wanted.
        user.store.mount_point = disk().join("secrets.d");
        user.store.link = disk().join("secrets");
        user.store.filesystem = Filesystem::Directory;
        if rustix::fs::statfs(disk()).unwrap().f_type != 0x0102_1994 {
            let error = try_install(&user, pieces()).unwrap_err();
            assert!(error.to_string().ends_with("is on a disk"), "{error}");
            assert!(error.remedy().unwrap().contains("allowDisk"));
        }
        user.store.allow_disk = true;
        for generation in ["1", "2"] {
            install_well(&user, pieces());
            assert_eq!(read(user.store.link.join("a")), "1");
            let leads = fs::read_link(&user.store.link).unwrap();
            assert_eq!(leads, user.store.mount_point.join(generation));
        }
    });
}

#[test]
fn a_home_that_a_group_may_write_to_is_a_home_all_the_same() {
    as_user("a_home_that_a_group_may_write_to_is_a_home_all_the_same", || {
        let home = disk().join("home");
        fs::create_dir_all(home.join("dot/config")).unwrap();
        for folder in [&home, &home.join("dot/config")] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o775)).unwrap();
        }
        symlink("dot/config", home.join(".config")).unwrap();
        let mut target = Target { system: false, ..target() };
        target.store.mount_point = home.join(".config/store.d");
        target.store.link = home.join(".config/store");
        target.store.allow_disk = true;
        let copy = home.join(".config/x/copy");
        let published = install_well(&target, vec![copied("a", "1", copy.to_str().unwrap())]);
        assert_eq!(strings(&published.added), ["a"]);
        assert_eq!((read(home.join(".config/store/a")), read(&copy)), ("1".into(), "1".into()));
        install_well(&target, vec![]);
        assert!(!copy.exists());
        assert_eq!(entries(home.join("dot/config")), [".store.d.lock", "store", "store.d", "x"]);
    });
}

#[test]
fn inodes_of_copies_that_did_not_change_stay() {
    inside("inodes_of_copies_that_did_not_change_stay", || {
        let target = target();
        let copies = |content: &str| vec![copied("a", content, "/run/deep/er/copy")];
        install_well(&target, copies("1"));
        let before = picture("/run/deep");
        assert_eq!(rights("/run/deep/er").0, 0o755);
        assert_eq!(rights("/run/deep/er/copy"), (0o400, 0, 0));
        install_well(&target, copies("1"));
        assert_eq!(picture("/run/deep"), before);
        install_well(&target, copies("2"));
        assert_eq!(read("/run/deep/er/copy"), "2");
        // Whoever has it by another name as well could see the next content.
        fs::hard_link("/run/deep/er/copy", "/run/deep/other").unwrap();
        install_well(&target, copies("2"));
        assert_eq!(fs::metadata("/run/deep/er/copy").unwrap().nlink(), 1);
        fs::set_permissions("/run/deep/er/copy", fs::Permissions::from_mode(0o644)).unwrap();
        install_well(&target, copies("2"));
        assert_eq!(rights("/run/deep/er/copy").0, 0o400);
        let _ = lchown("/run/deep/other", None, None);
        assert_eq!(entries("/run/deep/er"), ["copy"]);
    });
}
