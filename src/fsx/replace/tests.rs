//! Tests of [`super`].

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

fn names(folder: &Path) -> Vec<OsString> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

fn replace(target: &Path, content: &[u8]) -> Result<(), ReplaceError> {
    let mut staged = Staged::new(target)?;
    staged.put(content)?;
    staged.commit()
}

#[test]
fn mode_and_link_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (real, link) = (folder.path().join("deep/real"), folder.path().join("link"));
    fs::create_dir(folder.path().join("deep")).unwrap();
    fs::write(&real, "old").unwrap();
    fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
    symlink("middle", &link).unwrap();
    symlink("deep/real", folder.path().join("middle")).unwrap();
    replace(&link, b"new").unwrap();
    assert_eq!(fs::read(&real).unwrap(), b"new");
    assert_eq!(fs::metadata(&real).unwrap().mode() & 0o7777, 0o640);
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("middle"));
    assert_eq!(names(&folder.path().join("deep")), ["real"]);
}

#[test]
fn a_link_to_nothing_gets_its_file() {
    let folder = tempfile::tempdir().unwrap();
    symlink("not-yet", folder.path().join("link")).unwrap();
    replace(&folder.path().join("link"), b"new").unwrap();
    assert_eq!(fs::read(folder.path().join("not-yet")).unwrap(), b"new");
    assert!(fs::symlink_metadata(folder.path().join("link")).unwrap().is_symlink());
}

#[test]
fn links_in_a_circle_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    symlink("b", folder.path().join("a")).unwrap();
    symlink("a", folder.path().join("b")).unwrap();
    let error = replace(&folder.path().join("a"), b"new").unwrap_err();
    assert!(matches!(error, ReplaceError::LinkLoop { .. }), "{error}");
}

#[test]
fn the_temporary_is_private_and_a_new_file_obeys_the_umask() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("new");
    let mut staged = Staged::new(&target).unwrap();
    assert!(staged.is_new());
    staged.put(b"x").unwrap();
    staged.give_name().unwrap();
    let temporary = folder.path().join(&names(folder.path())[0]);
    assert_eq!(fs::metadata(&temporary).unwrap().mode() & 0o7777, 0o600);
    staged.commit().unwrap();
    assert_eq!(fs::metadata(&target).unwrap().mode() & 0o7777, 0o644 & !umask());
}

#[test]
fn dropped_without_commit_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("file");
    fs::write(&target, "old").unwrap();
    let mut staged = Staged::new(&target).unwrap();
    staged.put(b"new").unwrap();
    staged.finish().unwrap();
    drop(staged);
    assert_eq!(names(folder.path()), ["file"]);
    assert_eq!(fs::read(&target).unwrap(), b"old");
}

#[test]
fn a_file_that_nobody_may_write_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("it's");
    fs::write(&target, "old").unwrap();
    fs::set_permissions(&target, Permissions::from_mode(0o444)).unwrap();
    let error = replace(&target, b"new").unwrap_err();
    assert!(matches!(error, ReplaceError::ReadOnly { .. }), "{error}");
    assert!(error.remedy().unwrap().contains("chmod u+w"));
    assert_eq!(fs::read(&target).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["it's"]);
}

#[test]
fn odd_names_work() {
    let folder = tempfile::tempdir().unwrap();
    for name in [b"-rf".to_vec(), b"a b".to_vec(), b"a\nb".to_vec(), b"\xff\xfe.age".to_vec()] {
        let target = folder.path().join(OsString::from_vec(name));
        replace(&target, b"1").unwrap();
        replace(&target, b"2").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"2");
    }
    assert_eq!(names(folder.path()).len(), 4);
}

#[test]
fn missing_folders_are_named_or_made() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("a/b/file");
    let error = replace(&target, b"x").unwrap_err();
    assert!(matches!(&error, ReplaceError::MissingFolder { folder } if folder.ends_with("a/b")));
    assert!(!folder.path().join("a").exists());
    let mut staged =
        Staged::with(&target, Staging { create_parents: true, new_mode: 0o600, private: false })
            .unwrap();
    staged.put(b"x").unwrap();
    staged.commit().unwrap();
    assert_eq!(fs::metadata(&target).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn folders_and_devices_are_no_targets() {
    let folder = tempfile::tempdir().unwrap();
    let slash = folder.path().join("new/");
    for path in [folder.path(), Path::new("/dev/null"), Path::new("/"), Path::new(".."), &slash] {
        let error = Staged::new(path).unwrap_err();
        assert!(matches!(error, ReplaceError::NotAFile { .. }), "{error}");
    }
}

#[test]
fn a_full_disk_is_named() {
    for code in [Errno::NOSPC, Errno::DQUOT] {
        let error = io_error(Path::new("f"), Path::new("d"), "write", code.into());
        assert!(matches!(error, ReplaceError::DiskFull { .. }), "{error}");
    }
}

#[test]
fn sweeping_takes_what_the_dead_left_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".secretctl-dead.tmp"), "").unwrap();
    fs::write(folder.path().join(".secretctl-other"), "").unwrap();
    symlink(".secretctl-other", folder.path().join(".secretctl-link.tmp")).unwrap();
    let mut staged = Staged::new(&folder.path().join("file")).unwrap();
    staged.put(b"x").unwrap();
    staged.lock();
    staged.give_name().unwrap();
    assert_eq!(sweep(folder.path()), 1);
    staged.commit().unwrap();
    let mut left = names(folder.path());
    left.sort();
    assert_eq!(left, [".secretctl-link.tmp", ".secretctl-other", "file"]);
}

#[test]
fn many_files_are_committed_together() {
    let folder = tempfile::tempdir().unwrap();
    let targets: Vec<_> = (0..5).map(|i| folder.path().join(i.to_string())).collect();
    let staged = targets
        .iter()
        .map(|target| {
            let mut staged = Staged::new(target).unwrap();
            staged.put(b"x").unwrap();
            staged
        })
        .collect();
    assert_eq!(commit_all(staged).unwrap(), targets);
    assert_eq!(names(folder.path()).len(), 5);
}

/// As where two rules name one file, one of them by a link beside it.
#[test]
fn of_two_contents_for_one_file_the_later_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    fs::write(&file, "old").unwrap();
    symlink("file", &link).unwrap();
    for _ in 0..50 {
        let mut staged = Vec::new();
        for (target, content) in [(&file, "first"), (&link, "second"), (&file, "third")] {
            let mut one = Staged::new(target).unwrap();
            one.put(content.as_bytes()).unwrap();
            one.park().unwrap();
            staged.push(one);
        }
        assert_eq!(commit_all(staged).unwrap().len(), 3);
        assert_eq!(fs::read_to_string(&file).unwrap(), "third");
    }
}

#[test]
fn what_is_being_written_has_no_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut staged = Staged::new(&folder.path().join("file")).unwrap();
    staged.put(b"x").unwrap();
    staged.finish().unwrap();
    assert!(staged.temporary.is_some() || names(folder.path()).is_empty());
}

/// The folder is opened once, and a link in it is followed all the same.
#[test]
fn many_files_share_an_open_folder() {
    let root = tempfile::tempdir().unwrap();
    for name in ["a", "b", "else"] {
        fs::create_dir(root.path().join(name)).unwrap();
    }
    fs::write(root.path().join("else/there"), "old").unwrap();
    symlink("../else/there", root.path().join("a/link")).unwrap();
    let last = LastFolder::default();
    for name in ["a/1", "a/2", "b/1", "a/3", "a/link", "a/4"] {
        let target = root.path().join(name);
        let mut staged = Staged::after(&last, &target, Staging::default()).unwrap();
        staged.put(name.as_bytes()).unwrap();
        staged.commit().unwrap();
        assert_eq!(fs::read(target).unwrap(), name.as_bytes());
    }
    assert!(root.path().join("a/link").is_symlink());
    assert_eq!(fs::read(root.path().join("else/there")).unwrap(), b"a/link");
    let missing = root.path().join("c/1");
    let error = Staged::after(&last, &missing, Staging::default()).unwrap_err();
    assert!(matches!(error, ReplaceError::MissingFolder { .. }));
}

#[test]
fn a_parked_file_needs_no_descriptor_and_keeps_to_its_folder() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let park = |name: &str| {
        let mut staged = Staged::new(&folder.join(name)).unwrap();
        staged.put(b"x").unwrap();
        staged.park().unwrap();
        assert!(staged.open.is_none());
        staged
    };
    let (committed, dropped, moved) = (park("committed"), park("dropped"), park("moved"));
    committed.commit().unwrap();
    drop(dropped);
    assert_eq!(names(&folder).len(), 2);
    fs::rename(&folder, root.path().join("elsewhere")).unwrap();
    fs::create_dir(&folder).unwrap();
    assert!(matches!(moved.commit(), Err(ReplaceError::Io { .. })));
    assert!(names(&folder).is_empty());
}

#[test]
fn where_every_temporary_has_a_name_it_works_as_well() {
    let folder = tempfile::tempdir().unwrap();
    for parked in [false, true] {
        let mut staged = Staged::new(&folder.path().join("file")).unwrap();
        let (file, name) = create_temporary(&staged.folder().unwrap(), folder.path()).unwrap();
        let (_, place) = staged.open.take().unwrap();
        (staged.open, staged.temporary) = (Some((file, place)), Some(name));
        staged.put(b"x").unwrap();
        if parked {
            staged.park().unwrap();
        }
        staged.commit().unwrap();
        assert_eq!(names(folder.path()), ["file"]);
    }
}
