//! `secretctl scan` over stores that Nix itself has made, the oldest one and the newest: each way in
//! which a secret gets into a store, and each way of keeping it from being pushed.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::format_collect,
    clippy::items_after_statements,
    clippy::map_unwrap_or,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

mod common;
#[path = "docs/recipes.rs"]
mod recipes;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use common::{Fleet, PROGRAM, Run, finish, is_root, is_there};
use serde_json::Value;

const SECRET: &str = "ghx_5Wm8vKq2TzRb9LpNc4XdYf7HsJ";

/// A store of its own and the Nix that made it.
struct Stand {
    fleet: Fleet,
    nix: PathBuf,
}

/// One stand for each Nix that is here.
fn stands() -> Vec<Stand> {
    let named = ["SECRETCTL_TEST_NIX_OLD", "SECRETCTL_TEST_NIX_NEW"];
    let mut found: Vec<PathBuf> =
        named.iter().filter_map(std::env::var_os).map(PathBuf::from).collect();
    if found.len() < named.len() {
        let strict = std::env::var_os("SECRETCTL_TEST_STRICT").is_some();
        assert!(!strict, "the oldest and the newest Nix are missing");
    }
    if found.is_empty() && is_there("nix") {
        found.push("nix".into());
    }
    found.into_iter().map(Stand::new).collect()
}

impl Stand {
    fn new(nix: PathBuf) -> Self {
        let fleet = Fleet::new();
        fleet.put("secrets/token.age", SECRET.as_bytes());
        fs::create_dir_all(fleet.root().join("nix/etc")).unwrap();
        Self { fleet, nix }
    }

    fn root(&self, name: &str) -> PathBuf {
        self.fleet.root().join(name)
    }

    /// The environment of a private store, for whoever uses it.
    fn around(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = self.fleet.around(program, arguments);
        let root = self.root("nix");
        command
            .current_dir(self.fleet.root())
            .env("NIX_STORE_DIR", root.join("store"))
            .env("NIX_STATE_DIR", root.join("var/nix"))
            .env("NIX_LOCALSTATE_DIR", root.join("var"))
            .env("NIX_LOG_DIR", root.join("var/log/nix"))
            .env("NIX_CONF_DIR", root.join("etc"))
            .env("XDG_STATE_HOME", self.root("state"))
            .env("SECRETCTL_IDENTITY", self.fleet.key("alice"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env(
                "NIX_CONFIG",
                "build-users-group =\nsandbox = false\nsubstituters =\n\
                 experimental-features = nix-command flakes\n",
            );
        command
    }

    /// Runs a program of Nix: `nix`, or another beside it.
    fn try_nix(&self, program: &str, arguments: &[&str]) -> Output {
        let program = match self.nix.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.join(program),
            _ => program.into(),
        };
        self.around(&program, arguments).output().unwrap()
    }

    #[track_caller]
    fn nix(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.try_nix(program, arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Builds an expression; `SECRET` in it is the secret, `mk NAME SCRIPT ATTRIBUTES` a derivation.
    #[track_caller]
    fn build(&self, expression: &str) -> String {
        self.nix("nix-build", &["--no-out-link", "-E", &whole(expression)])
    }

    fn scan(&self, arguments: &[&str]) -> Report {
        Report::of(&self.run(arguments))
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let mut all = vec!["scan", "--json"];
        all.extend(arguments);
        let mut command = self.around(Path::new(PROGRAM), &all);
        command.current_dir(self.fleet.path("."));
        let run = finish(command, b"");
        for text in [String::from_utf8_lossy(&run.stdout).as_ref(), &run.stderr] {
            assert!(!text.contains(SECRET), "the value is in: {text}");
        }
        run
    }
}

fn whole(expression: &str) -> String {
    let path = std::env::var("PATH").unwrap();
    format!(
        "let mk = name: script: more: derivation ({{ inherit name; system = builtins.currentSystem; \
         builder = \"/bin/sh\"; args = [ \"-c\" script ]; PATH = \"{path}\"; }} // more); in {}",
        expression.replace("SECRET", SECRET)
    )
}

struct Report {
    code: i32,
    lines: Vec<Value>,
}

impl Report {
    fn of(run: &Run) -> Self {
        let text = String::from_utf8(run.stdout.clone()).unwrap();
        let parse = |line| serde_json::from_str(line).unwrap();
        let lines: Vec<Value> = text.lines().map(parse).collect();
        assert!(!lines.is_empty(), "nothing was told: {}", run.stderr);
        Self { code: run.code, lines }
    }

    fn findings(&self) -> Vec<&Value> {
        self.lines.iter().filter(|line| line["type"] == "finding").collect()
    }

    fn summary(&self) -> &Value {
        self.lines.last().unwrap()
    }

    /// Name of the store path without its hash, way into it, and cause.
    fn causes(&self) -> BTreeSet<(String, String)> {
        let of = |found: &&Value| {
            let place = found["place"].as_str().unwrap();
            let name = found["storePath"].as_str().and_then(|name| name.get(33..));
            let inside = place.split_once('!').map(|(_, inside)| format!("!{inside}"));
            let name = name
                .map(str::to_owned)
                .unwrap_or_else(|| place.rsplit('/').next().unwrap().to_owned());
            let name = name.split('!').next().unwrap().to_owned();
            (format!("{name}{}", inside.unwrap_or_default()), text(&found["cause"]))
        };
        self.findings().iter().map(of).collect()
    }

    #[track_caller]
    fn has(&self, place: &str, cause: &str) {
        let causes = self.causes();
        assert!(causes.contains(&(place.to_owned(), cause.to_owned())), "{place}: {causes:#?}");
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[test]
fn derivations_outputs_failed_builds_and_logs() {
    for stand in stands() {
        let out = stand.build(
            r#"mk "app" "echo says $token; mkdir $out; echo t=$token > $out/app.conf" { token = "SECRET"; }"#,
        );
        stand.build(
            r#"mk "attrs" ". ./.attrs.sh; echo > \${outputs[out]}" { builder = "/bin/bash"; __structuredAttrs = true; deep.list = [ "SECRET" ]; }"#,
        );
        stand.build(r#"mk "arg" "true SECRET; echo > $out" { }"#);
        let failed = whole(r#"mk "fails" "echo ${"SECRET"} > $out; false" { }"#);
        assert!(!stand.try_nix("nix-build", &["-E", &failed]).status.success());
        stand.nix("nix-store", &["--add-root", "root", "--indirect", "-r", &out]);

        let report = stand.scan(&["--store", "--logs"]);
        assert_eq!(report.code, 1, "{}", report.summary());
        report.has("app.drv!env token", "derivation-environment");
        report.has("app", "text");
        report.has("attrs.drv!env __json", "structured-attributes");
        report.has("arg.drv!argument 1", "derivation-arguments");
        report.has("fails.drv!argument 1", "derivation-arguments");
        report.has("fails", "unregistered");
        let logs = report.findings();
        let log = logs.iter().find(|found| found["cause"] == "log").unwrap();
        assert!(text(&log["deriver"]).ends_with("-app.drv"), "{log}");
        let app = logs.iter().find(|found| text(&found["storePath"]).ends_with("-app")).unwrap();
        assert!(text(&app["deriver"]).ends_with("-app.drv"), "{app}");
        assert_eq!(text(&app["root"]["root"]), stand.root("root").display().to_string());
        assert_eq!(
            app["readableByAll"],
            fs::metadata(stand.fleet.root()).unwrap().permissions().mode() & 1 == 1
        );
        assert_eq!(app["line"], 1);
        // Deleting the output leaves derivation and log.
        fs::remove_file(stand.root("root")).unwrap();
        stand.nix("nix-store", &["--delete", &out]);
        let report = stand.scan(&["--store", "--logs"]);
        report.has("app.drv!env token", "derivation-environment");
        assert!(report.findings().iter().any(|found| found["cause"] == "log"));
    }
}

#[test]
fn sources_of_flakes_and_what_nix_remembers_of_them() {
    if !is_there("git") {
        return;
    }
    for stand in stands() {
        let flake = stand.root("flake");
        fs::create_dir_all(&flake).unwrap();
        let expression = whole(r#"mk "from-flake" "echo > $out" { }"#)
            .replace("builtins.currentSystem", "\"x86_64-linux\"");
        fs::write(
            flake.join("flake.nix"),
            format!("{{ outputs = _: {{ value = \"v {SECRET}\"; packages.x86_64-linux.default = {expression}; }}; }}"),
        )
        .unwrap();
        let git = |arguments: &[&str]| {
            let mut all = vec!["-c", "user.name=a", "-c", "user.email=a@b"];
            all.extend(arguments);
            let mut git = stand.around(Path::new("git"), &all);
            let output = git.current_dir(&flake).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        git(&["init", "-q"]);
        fs::write(flake.join(".env"), format!("TOKEN={SECRET}\n")).unwrap();
        git(&["add", "."]);
        git(&["commit", "-qm", "one"]);
        let at =
            |scheme: &str, attribute: &str| format!("{scheme}:{}#{attribute}", flake.display());
        stand.nix("nix", &["eval", "--raw", &at("git+file", "value")]);
        let report = stand.scan(&["--store"]);
        report.has("source", "source");
        let files: Vec<String> =
            report.findings().iter().map(|found| text(&found["files"][0])).collect();
        assert!(files.iter().any(|file| file.ends_with("-source/.env")), "{files:?}");
        // What Nix remembers of the evaluation, outside of the store.
        let report = stand.scan(&["--eval-cache"]);
        assert!(
            report.findings().iter().any(|found| found["cause"] == "evaluation"),
            "{}",
            report.summary()
        );

        // Gone from the tree and not from the history, which a `path:` flake takes along.
        fs::write(flake.join(".env"), "").unwrap();
        let plain = fs::read_to_string(flake.join("flake.nix")).unwrap().replace(SECRET, "");
        fs::write(flake.join("flake.nix"), plain).unwrap();
        git(&["commit", "-qam", "two"]);
        let before: BTreeSet<_> = report_files(&stand.scan(&["--store"]));
        stand.nix("nix", &["eval", "--raw", &at("path", "value")]);
        let after = report_files(&stand.scan(&["--store"]));
        let new: Vec<_> = after.difference(&before).collect();
        assert!(
            !new.is_empty() && new.iter().all(|file| file.contains("-source/.git/objects/")),
            "{new:?}"
        );
    }
}

fn report_files(report: &Report) -> BTreeSet<String> {
    report.findings().iter().map(|found| text(&found["files"][0])).collect()
}

#[test]
fn an_optimised_store_names_every_path_of_a_file() {
    for stand in stands() {
        for name in ["one", "two"] {
            stand.build(&format!(
                r#"mk "{name}" "mkdir $out; printf %s SECRET > $out/{name}" {{ }}"#
            ));
        }
        stand.nix("nix-store", &["--optimise"]);
        // neither folder changes any more, and they may be remembered
        std::thread::sleep(Duration::from_millis(2_100));
        let report = stand.scan(&["--store"]);
        let outputs: Vec<&Value> =
            report.findings().into_iter().filter(|found| found["cause"] == "text").collect();
        assert_eq!(outputs.len(), 1, "{:?}", report.causes());
        let files = outputs[0]["files"].as_array().unwrap();
        assert_eq!(files.len(), 2, "{files:?}");
        // as a collection of garbage that was stopped leaves it
        for file in files {
            let file = PathBuf::from(text(file));
            fs::set_permissions(file.parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
            fs::remove_file(file).unwrap();
        }
        let report = stand.scan(&["--store"]);
        let left: Vec<String> =
            report.findings().iter().map(|found| text(&found["files"][0])).collect();
        assert_eq!(left.iter().filter(|file| file.contains("/.links/")).count(), 1, "{left:?}");
    }
}

#[test]
fn links_are_listed_again_when_the_store_has_changed() {
    for stand in stands() {
        let outputs = ["one", "two"].map(|name| {
            stand.build(&format!(
                r#"mk "{name}" "mkdir $out; echo a text in two paths > $out/{name}" {{ }}"#
            ))
        });
        stand.nix("nix-store", &["--optimise"]);
        let files = |report: &Report| (report.code, report.summary()["files"].as_u64().unwrap());
        // what has just changed may change again at the same time
        std::thread::sleep(Duration::from_millis(2_100));
        // of two threads that meet both names at once, one holds its path for unclean
        assert!(files(&stand.scan(&["--store", "--threads", "1"])).1 > 0);
        for (output, name) in outputs.iter().zip(["one", "two"]) {
            fs::set_permissions(output, Permissions::from_mode(0o755)).unwrap();
            fs::remove_file(Path::new(output).join(name)).unwrap();
        }
        // both folders are as they were
        assert_eq!(files(&stand.scan(&["--store"])), (0, 0));
        let new = stand.root("nix/store/new");
        for _ in 0..2 {
            fs::create_dir(&new).unwrap();
            fs::remove_dir(&new).unwrap();
            assert_eq!(files(&stand.scan(&["--store"])), (0, 1));
        }
    }
}

#[test]
fn only_what_is_new_is_read_again() {
    for stand in stands() {
        stand.build(r#"mk "harmless" "echo nothing > $out" { }"#);
        let first = stand.scan(&["--store"]);
        assert_eq!((first.code, &first.summary()["rememberedPaths"]), (0, &Value::from(0)));
        let second = stand.scan(&["--store"]);
        assert_eq!(
            (second.code, &second.summary()["files"]),
            (0, &Value::from(0)),
            "{}",
            second.summary()
        );
        assert_eq!(second.summary()["rememberedPaths"], 2);
        // by another engine or version, of which the name of the file is made
        let memory = stand.root("state/secretctl/scan");
        let clean = fs::read_dir(&memory).unwrap().map(|entry| entry.unwrap().path());
        let clean: Vec<PathBuf> =
            clean.filter(|path| path.to_string_lossy().contains("/clean-")).collect();
        assert_eq!(clean.len(), 1, "{clean:?}");
        fs::rename(&clean[0], memory.join(format!("clean-{:032}", 0))).unwrap();
        let anew = stand.scan(&["--store"]);
        assert_eq!(
            (&anew.summary()["rememberedPaths"], &anew.summary()["files"]),
            (&Value::from(0), &first.summary()["files"])
        );
        assert!(clean[0].exists());
        let leak = stand.build(r#"mk "leak" "echo SECRET > $out" { }"#);
        // What has a finding is never remembered as clean.
        for _ in 0..2 {
            let third = stand.scan(&["--store"]);
            assert_eq!((third.code, &third.summary()["rememberedPaths"]), (1, &Value::from(2)));
        }
        stand.nix("nix-store", &["--delete", &leak]);
        // Another needle: everything is read again.
        stand.fleet.put("secrets/other.age", b"ghx_another-8Kd73mZq0vWx");
        let fourth = stand.scan(&["--store"]);
        assert_eq!(fourth.summary()["rememberedPaths"], 0);
        memory_is_closed(&stand.root("state/secretctl/scan"));
    }
}

fn memory_is_closed(folder: &Path) {
    assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    let plain = hex(SECRET.as_bytes());
    let hashes = [sha256(SECRET.as_bytes()), sha256(format!("{SECRET}\n").as_bytes())];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", path.display());
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        assert!(!has(SECRET.as_bytes()) && !has(plain.as_bytes()));
        for hash in &hashes {
            assert!(
                !has(hash) && !name.contains(&hex(&hash[..16])),
                "an unkeyed hash is in {name}"
            );
        }
    }
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_a_trusted_cache_has_signed_is_left_out() {
    for stand in stands() {
        let out = stand.build(r#"mk "signed" "echo SECRET > $out" { }"#);
        stand.nix(
            "nix-store",
            &["--generate-binary-cache-key", "test-1", "cache.secret", "cache.public"],
        );
        let key = fs::read_to_string(stand.root("cache.public")).unwrap().trim().to_owned();
        let trusted = format!("--trusted-key={key}");
        let is_found = |report: &Report| {
            report.findings().iter().any(|found| text(&found["storePath"]).ends_with("-signed"))
        };
        assert!(is_found(&stand.scan(&["--store", &trusted])), "it is not signed yet");
        let sign = ["store", "sign", "--key-file", "cache.secret", &out];
        if !stand.try_nix("nix", &sign).status.success() {
            stand.nix("nix", &["store", "sign-paths", "--key-file", "cache.secret", &out]);
        }
        let report = stand.scan(&["--store", &trusted]);
        assert!(!is_found(&report), "{:?}", report.causes());
        assert_eq!(report.summary()["signedPaths"], 1);
        assert!(report.summary()["signedBytes"].as_u64().unwrap() > 100);
        // Without the key, and with `--all`, it is looked at; so it is with another key of the name.
        assert!(is_found(&stand.scan(&["--store"])));
        assert!(is_found(&stand.scan(&["--store", &trusted, "--all"])));
        stand.nix("nix-store", &["--generate-binary-cache-key", "test-1", "x.secret", "x.public"]);
        let other = fs::read_to_string(stand.root("x.public")).unwrap().trim().to_owned();
        assert!(is_found(&stand.scan(&["--store", &format!("--trusted-key={other}")])));
        // A secret key is refused and not repeated.
        let secret = fs::read_to_string(stand.root("cache.secret")).unwrap().trim().to_owned();
        let run = stand.run(&["--store", &format!("--trusted-key={secret}")]).ended(2);
        assert!(!run.stderr.contains(&secret[10..30]), "{}", run.stderr);
    }
}

#[test]
fn binary_caches_are_looked_through_and_signed_ones_left_out() {
    for stand in stands() {
        let out = stand.build(r#"mk "pushed" "mkdir $out; echo SECRET > $out/conf" { }"#);
        stand.nix(
            "nix-store",
            &["--generate-binary-cache-key", "test-1", "cache.secret", "cache.public"],
        );
        for name in ["xz", "lzma", "zstd", "bzip2", "gzip", "none"] {
            let cache = stand.root(name);
            let to = format!("file://{}?compression={name}", cache.display());
            stand.nix("nix", &["copy", "--to", &to, &out]);
            let info = fs::read_to_string(the_only(&cache, "narinfo")).unwrap();
            assert!(info.contains(&format!("Compression: {name}\n")), "{info}");
            let report = stand.scan(&["--cache", cache.to_str().unwrap()]);
            assert_eq!(report.code, 1, "{name}");
            let found = report.findings();
            assert_eq!(text(&found[0]["storePath"]), out.rsplit('/').next().unwrap(), "{name}");
            assert!(text(&found[0]["place"]).ends_with("!conf"), "{}", found[0]);
        }
        let cache = stand.root("signed");
        let secret = stand.root("cache.secret");
        let to = format!("file://{}?secret-key={}", cache.display(), secret.display());
        stand.nix("nix", &["copy", "--to", &to, &out]);
        let key = fs::read_to_string(stand.root("cache.public")).unwrap().trim().to_owned();
        let trusted = format!("--trusted-key={key}");
        let report = stand.scan(&["--cache", cache.to_str().unwrap(), &trusted]);
        assert_eq!((report.code, &report.summary()["signedPaths"]), (0, &Value::from(1)));
    }
}

/// The file of this kind in a folder.
#[track_caller]
fn the_only(folder: &Path, kind: &str) -> PathBuf {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|end| end == kind)).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

/// Nobody signs which file a `.narinfo` means.
#[test]
fn a_signature_leaves_out_no_nar_that_something_else_names_too() {
    let with_url = |info: &str, url: &str| {
        let line = |line: &str| match line.split_once(' ') {
            Some(("URL:", _)) => format!("URL: {url}\n"),
            _ => format!("{line}\n"),
        };
        info.lines().map(line).collect::<String>()
    };
    for stand in stands() {
        let leak = stand.build(r#"mk "leak" "mkdir $out; echo SECRET > $out/conf" { }"#);
        let fine = stand.build(r#"mk "fine" "echo fine > $out" { }"#);
        let key = ["--generate-binary-cache-key", "test-1", "cache.secret", "cache.public"];
        stand.nix("nix-store", &key);
        let key = fs::read_to_string(stand.root("cache.public")).unwrap().trim().to_owned();
        let trusted = format!("--trusted-key={key}");
        for compression in ["xz", "none"] {
            let push = |path: &str, name: &str| {
                let cache = stand.root(&format!("{name}-{compression}"));
                let secret = stand.root("cache.secret");
                let (folder, secret) = (cache.display(), secret.display());
                let to = format!("file://{folder}?compression={compression}&secret-key={secret}");
                stand.nix("nix", &["copy", "--to", &to, path]);
                let info = the_only(&cache, "narinfo");
                let text = fs::read_to_string(&info).unwrap();
                (cache, info, text)
            };
            let (cache, own, info) = push(&leak, "leak");
            let (_, _, other) = push(&fine, "fine");
            let url = info.lines().find_map(|line| line.strip_prefix("URL: ")).unwrap();
            let scan = || {
                let report = stand.scan(&["--cache", cache.to_str().unwrap(), &trusted]);
                let signed = report.summary()["signedPaths"].as_u64().unwrap();
                assert_eq!(report.findings().len(), usize::try_from(report.code).unwrap());
                (report.code, signed)
            };
            assert_eq!(scan(), (0, 1), "{compression}");
            // the same once more, by another name
            let more = cache.join("more.narinfo");
            fs::write(&more, &info).unwrap();
            assert_eq!(scan(), (0, 1), "{compression}");
            // not signed, and not even a text
            let unsigned: String = info
                .lines()
                .filter(|line| !line.starts_with("Sig:"))
                .map(|l| format!("{l}\n"))
                .collect();
            let bytes = [unsigned.as_bytes(), b"Deriver: \xff\n"].concat();
            for text in [unsigned.as_bytes(), &bytes] {
                fs::write(&more, text).unwrap();
                assert_eq!(scan(), (1, 0), "{compression}");
            }
            // signed for other content
            fs::write(&more, with_url(&other, url)).unwrap();
            assert_eq!(scan(), (1, 0), "{compression}");
            // and nothing else names it: what is compressed may have the size that is signed
            fs::remove_file(&own).unwrap();
            let trusted_still = if compression == "none" { (1, 0) } else { (0, 1) };
            assert_eq!(scan(), trusted_still, "{compression}");
            fs::remove_file(&more).unwrap();
            assert_eq!(scan(), (1, 0), "{compression}");
            // a whole folder is no NAR
            fs::write(&own, with_url(&info, "folder")).unwrap();
            fs::create_dir(cache.join("folder")).unwrap();
            fs::rename(cache.join(url), cache.join("folder/x.nar")).unwrap();
            assert_eq!(scan(), (1, 0), "{compression}");
        }
    }
}

#[test]
fn a_closure_is_looked_through_and_nothing_else() {
    for stand in stands() {
        stand.build(r#"mk "elsewhere" "echo SECRET > $out" { }"#);
        let clean =
            stand.build(r#"mk "clean" "echo ${mk "dep" "echo fine > $out" { }} > $out" { }"#);
        let leaky =
            stand.build(r#"mk "leaky" "echo ${mk "inner" "echo SECRET > $out" { }} > $out" { }"#);
        let report = stand.scan(&["--closure", &clean]);
        assert_eq!((report.code, &report.summary()["files"]), (0, &Value::from(2)));
        let report = stand.scan(&["--closure", &clean, &leaky]);
        assert_eq!(report.code, 1);
        assert_eq!(report.causes(), BTreeSet::from([("inner".to_owned(), "text".to_owned())]));
        // A link such as `result` is what it leads to.
        std::os::unix::fs::symlink(&leaky, stand.root("result")).unwrap();
        let link = stand.root("result");
        assert_eq!(stand.scan(&["--closure", link.to_str().unwrap()]).code, 1);
        let run = stand.run(&["--closure", "/etc"]).ended(2);
        assert!(run.stderr.contains("`/etc` is not in the store"), "{}", run.stderr);
    }
}

/// The hook of docs/how-to/scan.md.
#[test]
fn a_post_build_hook_refuses_to_go_on() {
    for stand in stands() {
        let hook = stand.fleet.script(
            "hook",
            &format!(
                "set -eu; cd {}; export HOME={} SECRETCTL_IDENTITY={} XDG_STATE_HOME={}\n\
                 exec {PROGRAM} scan --post-build-hook",
                stand.fleet.path(".").display(),
                stand.root("home").display(),
                stand.fleet.key("alice").display(),
                stand.root("state").display(),
            ),
        );
        let hook = hook.to_str().unwrap();
        let build = |expression: &str| {
            let expression = whole(expression);
            let arguments =
                ["--no-out-link", "--option", "post-build-hook", hook, "-E", &expression];
            stand.try_nix("nix-build", &arguments)
        };
        let fine = build(r#"mk "fine" "echo fine > $out" { }"#);
        assert!(fine.status.success(), "{}", String::from_utf8_lossy(&fine.stderr));
        let refused = build(r#"mk "leak" "echo SECRET > $out" { }"#);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success(), "{said}");
        assert!(said.contains("secrets/token.age") && !said.contains(SECRET), "{said}");
        // What depends on it is not built.
        let refused =
            build(r#"mk "next" "echo ${mk "leak2" "echo SECRET > $out" { }} > $out" { }"#);
        assert!(!refused.status.success());
        let built = fs::read_dir(stand.root("nix/store")).unwrap();
        let built: Vec<String> =
            built.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert!(!built.iter().any(|name| name.ends_with("-next")), "{built:?}");
    }
}

/// The gate of docs/how-to/scan.md.
#[test]
fn nothing_is_pushed_that_holds_a_secret() {
    for stand in stands() {
        let cache = stand.root("cache");
        let to = format!("file://{}", cache.display());
        let push = |path: &str| {
            let nix = stand.nix.display();
            let script =
                format!("{PROGRAM} scan --closure {path} >&2 && {nix} copy --to {to} {path}");
            let mut shell = stand.around(Path::new("sh"), &["-c", &script]);
            shell.current_dir(stand.fleet.path(".")).output().unwrap()
        };
        let clean = stand.build(r#"mk "clean" "echo fine > $out" { }"#);
        let leaky = stand.build(r#"mk "leaky" "echo SECRET > $out" { }"#);
        let output = push(&leaky);
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!cache.exists());
        let output = push(&clean);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(fs::read_dir(cache.join("nar")).unwrap().count(), 1);
    }
}

/// The jobs of docs/how-to/scan.md, with the program on the `PATH` in place of the one that Nix would fetch:
/// they hold no secret but a pack of fingerprints and its key.
#[test]
fn the_recipes_for_continuous_integration_find_a_leak() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/how-to/scan.md");
    let page = fs::read_to_string(page).unwrap();
    for stand in stands() {
        let fleet = &stand.fleet;
        let public = fleet.public("web1");
        let make = ["scan", "--make-pack", "scan.pack", "--pack-recipient", &public];
        let made =
            stand.around(Path::new(PROGRAM), &make).current_dir(fleet.path(".")).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        // Like `nix`, but for what it would run of us.
        let tools = stand.root("tools");
        fs::create_dir_all(&tools).unwrap();
        let (nix, before) = (stand.nix.display(), std::env::var("PATH").unwrap());
        let script = format!(
            "#!/bin/sh\nfor word; do [ \"$word\" != run ] || ours=1; done\n\
             [ -n \"$ours\" ] || {{ PATH='{before}'; exec {nix} \"$@\"; }}\n\
             while [ \"$1\" != -- ]; do shift; done; shift\nexec {PROGRAM} \"$@\"\n"
        );
        fs::write(tools.join("nix"), script).unwrap();
        fs::set_permissions(tools.join("nix"), Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{before}", tools.display());
        for (title, shell, report) in
            [("**On GitHub**", "bash", "leaks.sarif"), ("**On GitLab**", "sh", "leaks.ndjson")]
        {
            let commands = recipes::commands(recipes::section(&page, title));
            assert_eq!(commands.len(), 2, "{commands:?}");
            for (content, code) in [("echo fine", 0), ("echo SECRET", 1)] {
                let expression = whole(&format!("mk \"app\" \"{content} > $out\" {{ }}"))
                    .replace("builtins.currentSystem", "\"x86_64-linux\"");
                let job = tempfile::tempdir().unwrap();
                let flake = format!(
                    "{{ outputs = _: {{ packages.x86_64-linux.default = {expression}; }}; }}"
                );
                fs::write(job.path().join("flake.nix"), flake).unwrap();
                for name in ["scan.pack", "scan.pack.key.age"] {
                    fs::copy(fleet.path(name), job.path().join(name)).unwrap();
                }
                let mut command = stand.around(Path::new(shell), &["-ec", &commands.join("\n")]);
                let key = fs::read_to_string(fleet.key("web1")).unwrap();
                let output = command
                    .current_dir(job.path())
                    .env("PATH", &path)
                    .env("RUNNER_TEMP", job.path())
                    .env("CI_KEY", key)
                    .env("CI_AGE_KEY", fleet.key("web1"))
                    .env_remove("SECRETCTL_IDENTITY")
                    .output()
                    .unwrap();
                let said = String::from_utf8_lossy(&output.stderr);
                assert_eq!(output.status.code(), Some(code), "{title}, {content}: {said}");
                let report = fs::read_to_string(job.path().join(report)).unwrap();
                assert_eq!(report.contains("-app"), code == 1, "{title}: {report}");
                assert!(!report.contains(SECRET));
            }
        }
    }
}

#[test]
fn somebody_without_rights_reads_a_database_that_is_in_use() {
    for stand in stands() {
        stand.build(r#"mk "fine" "echo fine > $out" { }"#);
        // A log that was not written back yet.
        let database = stand.root("nix/var/nix/db/db.sqlite");
        if is_there("sqlite3") {
            let mut holder = Command::new("sqlite3");
            holder
                .arg(&database)
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped());
            let mut holder = holder.spawn().unwrap();
            use std::io::{BufRead as _, Write as _};
            let sql = "pragma journal_mode = wal; pragma wal_autocheckpoint = 0;\n\
                       insert into ValidPaths (path, hash, registrationTime, narSize) values \
                       ('/only/in/the-log', 'sha256:00', 1, 1);\nselect 'ready';\n";
            holder.stdin.as_mut().unwrap().write_all(sql.as_bytes()).unwrap();
            let out = std::io::BufReader::new(holder.stdout.take().unwrap());
            assert!(out.lines().any(|line| line.unwrap() == "ready"));
            check_as_nobody(&stand, &database);
            drop(holder.stdin.take());
            holder.wait().unwrap();
        } else {
            check_as_nobody(&stand, &database);
        }
    }
}

fn check_as_nobody(stand: &Stand, database: &Path) {
    // nobody may write, which is enough where we are not root
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let folders = database.ancestors().skip(1).filter(|path| path.starts_with(stand.fleet.root()));
    let folders: Vec<&Path> = folders.collect();
    set(database, 0o444);
    for folder in &folders {
        set(folder, 0o555);
    }
    let here =
        tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
    let program = here.path().join("secretctl");
    common::copy_program(&program);
    let needle = here.path().join("needle");
    fs::write(&needle, SECRET).unwrap();
    fs::set_permissions(&needle, Permissions::from_mode(0o644)).unwrap();
    let mut command =
        stand.around(&program, &["scan", "--json", "--memory", "none", "--store", "--secret-file"]);
    command.arg(&needle).current_dir(here.path()).env_remove("SECRETCTL_IDENTITY");
    if is_root() {
        command.uid(65534).gid(65534);
    }
    let run = finish(command, b"");
    set(database, 0o644);
    for folder in &folders {
        set(folder, 0o755);
    }
    let report = Report::of(&run);
    let notes: Vec<String> = report
        .lines
        .iter()
        .filter(|line| line["type"] == "note")
        .map(|line| text(&line["message"]))
        .collect();
    assert!(!notes.iter().any(|note| note.contains("cannot be read")), "{notes:?}");
    if is_there("sqlite3") {
        assert!(
            notes.iter().any(|note| note.starts_with("1 paths are in the database")),
            "{notes:?}"
        );
    }
}

/// As root on a host: what its manifest installs, opened with its own key.
#[test]
fn a_host_looks_for_what_its_manifest_installs() {
    for stand in stands() {
        stand.build(r#"mk "leak" "echo SECRET > $out" { }"#);
        let secret = |name: &str| {
            serde_json::json!({
                "name": name, "store": "secrets", "format": "auto", "key": null, "owner": 0,
                "file": stand.fleet.path(format!("secrets/{name}.age")), "group": 0, "mode": "0400",
            })
        };
        stand.fleet.put("secrets/other.age", b"q7Rk2mVw9ZtB4nXc8LdP");
        let manifest = serde_json::json!({
            "version": 1,
            "stores": { "secrets": {
                "phase": "normal", "mountPoint": "/run/secrets.d", "link": "/run/secrets",
                "filesystem": "ramfs", "keepGenerations": 1, "mode": "0751", "group": "keys",
            } },
            "identities": [{ "file": stand.fleet.key("web1"), "kind": "any" }],
            "secrets": [secret("token"), secret("other")],
        });
        let file = stand.root("manifest.json");
        fs::write(&file, manifest.to_string()).unwrap();
        let scan = || {
            let manifest = file.to_str().unwrap();
            let arguments = ["scan", "--json", "--store", "--manifest", manifest];
            let mut command = stand.around(Path::new(PROGRAM), &arguments);
            command.env_remove("SECRETCTL_IDENTITY");
            let report = Report::of(&finish(command, b""));
            let found = report.findings()[0];
            assert!(text(&found["secrets"][0]["file"]).ends_with("secrets/token.age"), "{found}");
            report
        };
        let report = scan();
        assert_eq!(report.code, 1, "{}", report.summary());
        let other = stand.fleet.path("secrets/other.age");
        let mut damaged = fs::read(&other).unwrap();
        damaged.pop();
        fs::write(other, damaged).unwrap();
        let report = scan();
        assert_eq!(report.code, 2, "{}", report.summary());
    }
}

/// The part of a test script that the flake offers, with a machine that is this one.
#[test]
fn a_test_script_fails_where_a_canary_leaked() {
    if !is_there("python3") {
        return;
    }
    for stand in stands() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("nixos-module/leak-test.nix");
        let script = stand.nix(
            "nix-instantiate",
            &["--eval", "--json", "-E", &format!("import {}", file.display())],
        );
        let script: String = serde_json::from_str(&script).unwrap();
        let machine = "import subprocess\n\
            class Machine:\n    \
                def execute(self, command):\n        \
                    done = subprocess.run(['sh', '-c', command], capture_output=True, text=True)\n        \
                    return done.returncode, done.stdout\n    \
                def succeed(self, command):\n        \
                    status, out = self.execute(command)\n        \
                    assert status == 0, command\n        \
                    return out\n";
        let system = stand.root("system");
        let of = |canaries: &str| {
            let script = script
                .replace("/run/canaries", stand.root("canaries").to_str().unwrap())
                .replace("/run/current-system", system.to_str().unwrap());
            let whole = format!("{machine}\n{script}\nassert_no_leak(Machine(), {canaries})\n");
            let mut python = stand.around(Path::new("python3"), &["-c", &whole]);
            let folder = Path::new(PROGRAM).parent().unwrap();
            let path = std::env::var("PATH").unwrap();
            python.env("PATH", format!("{}:{path}", folder.display()));
            python.env_remove("SECRETCTL_IDENTITY");
            let output = python.output().unwrap();
            (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let run = |canaries: &str| of(&format!("{canaries}, places=\"--store\""));
        let fine = stand.build(r#"mk "fine" "echo fine > $out" { }"#);
        let (passed, said) = run(&format!("\"{SECRET}\""));
        assert!(passed, "{said}");
        let leak = stand.build(r#"mk "leak" "printf SECRET | gzip > $out" { }"#);
        // the store is that of who runs the test, the system is that of the machine
        for (path, clean) in [(fine, true), (leak, false)] {
            let built = stand.build(&format!(
                "mk \"system\" \"echo ${{builtins.storePath {path}}} > $out\" {{ }}"
            ));
            let _none = fs::remove_file(&system);
            std::os::unix::fs::symlink(built, &system).unwrap();
            let (passed, said) = of(&format!("\"{SECRET}\""));
            assert_eq!(passed, clean, "{said}");
            assert!(clean || said.contains("a canary leaked"), "{said}");
        }
        let (passed, said) = run(&format!("\"another-canary-83hdQ2kx\", \"{SECRET}\""));
        assert!(!passed && said.contains("a canary leaked"), "{said}");
        let (passed, said) = run("\"true\"");
        assert!(!passed, "{said}");
    }
}
