//! `secretctl scan` over files: every container, every limit, and whatever files do to who reads
//! them. The containers are made by the programs that make them in the world.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_wrap,
    clippy::format_push_string,
    clippy::unused_self,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Fleet, PROGRAM, Run, finish, is_root, is_there};
use serde_json::Value;

/// Made up, as all secrets here.
const SECRET: &str = "ghx_7Qd2mVb9TzKf4LpXw8RnYc3HsJ";

/// A fleet with one secret, and a folder to be searched.
struct Ground {
    fleet: Fleet,
}

impl Ground {
    fn new() -> Self {
        let fleet = Fleet::new();
        fleet.put("secrets/token.age", SECRET.as_bytes());
        fs::create_dir(fleet.root().join("ground")).unwrap();
        Self { fleet }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.fleet.root().join("ground").join(name)
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Filler, the secret in the middle of a line, filler.
    fn text(&self) -> Vec<u8> {
        let mut text = String::new();
        for line in 0..4000 {
            text.push_str(&format!("line {line} of {}\n", line * 7919 % 1013));
            if line == 2000 {
                text.push_str(&format!("token={SECRET};\n"));
            }
        }
        text.into_bytes()
    }

    /// Runs a shell script in the ground, where `plain.txt` holds the secret.
    fn make(&self, script: &str) {
        self.write("plain.txt", &self.text());
        let mut shell = Command::new("sh");
        shell.args(["-ec", script]).current_dir(self.path(""));
        shell.env("HOME", self.fleet.root().join("home")).env("GIT_CONFIG_NOSYSTEM", "1");
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut all = vec!["scan"];
        all.extend(arguments);
        let mut command = self.fleet.command(&all);
        command.env("XDG_STATE_HOME", self.fleet.root().join("state"));
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let run = finish(self.command(arguments), b"");
        for text in [String::from_utf8_lossy(&run.stdout).as_ref(), &run.stderr] {
            assert!(!text.contains(SECRET), "the value is in: {text}");
        }
        run
    }

    /// Scans the ground.
    fn scan(&self) -> Report {
        Report::of(&self.run(&["--json", "../ground"]))
    }
}

/// What `--json` says.
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

    fn all(&self, kind: &str) -> Vec<&Value> {
        self.lines.iter().filter(|line| line["type"] == kind).collect()
    }

    fn summary(&self) -> &Value {
        self.lines.last().unwrap()
    }

    /// Places of findings, behind the folder of the ground.
    fn places(&self) -> Vec<String> {
        let place = |line: &&Value| {
            let place = line["place"].as_str().unwrap();
            place.split_once("/ground/").map_or(place, |(_, place)| place).to_owned()
        };
        let mut places: Vec<String> = self.all("finding").iter().map(place).collect();
        places.sort();
        places.dedup();
        places
    }

    fn gaps(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        self.all("gap").iter().map(|gap| (text(&gap["path"]), text(&gap["why"]))).collect()
    }
}

/// A name, the programs that it needs, how it is made, and where the secret is found in it.
type Case = (&'static str, &'static [&'static str], &'static str, &'static str);

const CONTAINERS: &[Case] = &[
    ("gzip", &["gzip"], "gzip -n plain.txt", "plain.txt.gz"),
    ("gzip, members", &["gzip"], "gzip -nc /dev/null > a.gz; gzip -nc plain.txt >> a.gz", "a.gz"),
    ("xz", &["xz"], "xz plain.txt", "plain.txt.xz"),
    ("xz, filters", &["xz"], "xz --x86 --lzma2=dict=64MiB plain.txt", "plain.txt.xz"),
    ("lzma", &["xz"], "xz --format=lzma plain.txt", "plain.txt.lzma"),
    (
        "lzma, a window of 1 GiB that it does not need",
        &["xz"],
        "xz --format=lzma -0 plain.txt
         printf '\\000\\000\\000\\100' | dd bs=1 seek=1 conv=notrunc of=plain.txt.lzma 2>/dev/null",
        "plain.txt.lzma",
    ),
    (
        "lzma, its size in the header",
        &["xz"],
        "n=$(stat -c %s plain.txt); xz --format=lzma -9e plain.txt
         printf \"$(printf '\\\\%03o' $((n & 255)) $((n >> 8 & 255)) $((n >> 16)) 0 0 0 0 0)\" |
         dd bs=1 seek=5 conv=notrunc of=plain.txt.lzma 2>/dev/null",
        "plain.txt.lzma",
    ),
    ("tar.lzma", &["tar", "xz"], "tar c plain.txt | xz --format=lzma > a", "a!plain.txt"),
    (
        "initrd, lzma",
        &["cpio", "xz", "gzip"],
        "echo > m; echo m | cpio --quiet -oH newc | xz --format=lzma > initrd
         echo plain.txt | cpio --quiet -oH newc | gzip >> initrd",
        "initrd!plain.txt",
    ),
    ("zstd", &["zstd"], "zstd -q plain.txt -o a.zst", "a.zst"),
    ("zstd, large window", &["zstd"], "zstd -q --long=26 plain.txt -o a.zst", "a.zst"),
    (
        "zstd, frames",
        &["zstd"],
        "printf '\\120\\052\\115\\030\\003\\000\\000\\000abc' > a.zst
         printf x | zstd -qc >> a.zst; zstd -qc plain.txt >> a.zst",
        "a.zst",
    ),
    ("bzip2", &["bzip2"], "bzip2 plain.txt", "plain.txt.bz2"),
    ("tar", &["tar"], "mkdir d; mv plain.txt d/x; tar cf a d", "a!d/x"),
    ("tar, old", &["tar"], "mkdir d; mv plain.txt d/x; tar --format=v7 -cf a d", "a!d/x"),
    (
        "tar, long names",
        &["tar"],
        "n=$(printf '%0150d' 0); mkdir $n; mv plain.txt $n/x; tar --format=gnu -cf a $n",
        "a!000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
         000000000000000000000000000000000000000000000000000000000000/x",
    ),
    (
        "tar, pax",
        &["tar"],
        "n=$(printf '%0150d' 0); mkdir $n; mv plain.txt $n/x; tar --format=pax -cf a $n",
        "a!000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000\
         000000000000000000000000000000000000000000000000000000000000/x",
    ),
    ("tar.gz", &["tar", "gzip"], "tar czf a.tgz plain.txt", "a.tgz!plain.txt"),
    ("zip", &["zip"], "zip -q a.jar plain.txt", "a.jar!plain.txt"),
    ("zip, stored", &["zip"], "zip -q0 a.zip plain.txt", "a.zip!plain.txt"),
    ("zip, stream", &["zip"], "zip -q - - < plain.txt | cat > a.zip", "a.zip!-"),
    ("zip, bzip2", &["zip"], "zip -q -Z bzip2 a.zip plain.txt", "a.zip!plain.txt"),
    ("cpio newc", &["cpio"], "echo plain.txt | cpio --quiet -oH newc > a", "a!plain.txt"),
    ("cpio crc", &["cpio"], "echo plain.txt | cpio --quiet -oH crc > a", "a!plain.txt"),
    ("cpio odc", &["cpio"], "echo plain.txt | cpio --quiet -oH odc > a", "a!plain.txt"),
    (
        "initrd",
        &["cpio", "zstd", "gzip"],
        "echo > m; echo m | cpio --quiet -oH newc > initrd; head -c 700 /dev/zero >> initrd
         echo m | cpio --quiet -oH newc | zstd -qc >> initrd
         echo plain.txt | cpio --quiet -oH newc | gzip >> initrd",
        "initrd!plain.txt",
    ),
    ("ar", &["ar"], "ar rc a.a plain.txt", "a.a!plain.txt"),
    (
        "ar, long name",
        &["ar"],
        "mv plain.txt a-name-that-is-too-long-for-a-header; ar rc a.a a-name*",
        "a.a!a-name-that-is-too-long-for-a-header",
    ),
    ("squashfs", &["mksquashfs"], "mksquashfs plain.txt a -quiet -no-progress", "a!plain.txt"),
    (
        "squashfs, xz",
        &["mksquashfs"],
        "mkdir -p d/e; mv plain.txt d/e/x; mksquashfs d a -comp xz -quiet -no-progress",
        "a!e/x",
    ),
    (
        "squashfs, lzma",
        &["mksquashfs"],
        "mkdir -p d/e; mv plain.txt d/e/x; mksquashfs d a -comp lzma -quiet -no-progress",
        "a!e/x",
    ),
    (
        "squashfs, zstd",
        &["mksquashfs"],
        "mkdir -p d/e; mv plain.txt d/e/x; mksquashfs d a -comp zstd -b 4096 -quiet -no-progress",
        "a!e/x",
    ),
    (
        "squashfs in gzip",
        &["mksquashfs", "gzip"],
        "mksquashfs plain.txt a -quiet -no-progress; gzip -n a",
        "a.gz!plain.txt",
    ),
    (
        "sqlite",
        &["sqlite3"],
        "v=$(tail -c 60000 plain.txt); w=$(head -c 60000 plain.txt)
         printf \"create table t(a, b); insert into t values(1, '%s');\" \"$w$v\" | sqlite3 a.db",
        "a.db!t",
    ),
    (
        "sqlite without rowid",
        &["sqlite3"],
        "printf \"create table t(a primary key, b) without rowid;
         insert into t values(1, '%s');\" \"$(cat plain.txt)\" | sqlite3 a.db",
        "a.db!t",
    ),
    ("nar", &["nix-store"], "mkdir -p d/e; mv plain.txt d/e/x; nix-store --dump d > a", "a!e/x"),
    ("nar of a file", &["nix-store"], "nix-store --dump plain.txt > a", "a!"),
    (
        "nar.xz",
        &["nix-store", "xz"],
        "mkdir -p d/empty; ln -s y d/z; mv plain.txt d/x; chmod +x d/x; nix-store --dump d | xz > a",
        "a!x",
    ),
    (
        "five deep",
        &["tar", "gzip", "zip", "cpio", "xz"],
        "gzip -n plain.txt; tar cf a.tar plain.txt.gz; zip -q a.zip a.tar
         echo a.zip | cpio --quiet -oH newc | xz > a",
        "a!a.zip!a.tar!plain.txt.gz",
    ),
];

#[test]
fn every_container_is_looked_into() {
    for (name, programs, script, place) in CONTAINERS {
        if !programs.iter().all(|program| is_there(program)) {
            continue;
        }
        let ground = Ground::new();
        // What the container was made of goes away, so that only the container is left.
        ground.make(&format!(
            "{script}\nfind . -mindepth 1 -maxdepth 1 ! -name '{}' -exec rm -r {{}} +",
            place.split('!').next().unwrap()
        ));
        let report = ground.scan();
        assert_eq!(report.places(), [*place], "{name}");
        assert_eq!((report.code, report.gaps()), (1, vec![]), "{name}");
    }
}

#[test]
fn every_container_without_the_secret_is_clean() {
    let ground = Ground::new();
    for (index, (_, programs, script, place)) in CONTAINERS.iter().enumerate() {
        if programs.iter().all(|program| is_there(program)) {
            ground.make(&format!(
                "mkdir {index}; sed 's/{SECRET}/nothing at all/' plain.txt > {index}/plain.txt
                 cd {index}\n{script}\n
                 find . -mindepth 1 -maxdepth 1 ! -name '{}' -exec rm -r {{}} +",
                place.split('!').next().unwrap()
            ));
        }
    }
    fs::remove_file(ground.path("plain.txt")).unwrap();
    let report = ground.scan();
    assert_eq!((report.code, report.places(), report.gaps()), (0, vec![], vec![]));
}

/// The corpus that `scripts/bench recall` compares programs with: its forms are written by other code.
#[test]
fn every_form_of_the_corpus_is_found_and_no_decoy() {
    if !is_there("python3") {
        return;
    }
    let ground = Ground::new();
    let corpus = ground.path("corpus");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/leak-corpus");
    let made = Command::new(script).arg(&corpus).output().unwrap();
    // which programs are missing
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success() && said.is_empty(), "{said}");
    let named = |path: &str| corpus.join(path).display().to_string();
    let known = |place: &str| {
        let run = ground.run(&["--json", "--secret-file", &named("secrets"), &named(place)]);
        Report::of(&run)
    };
    let report = known("leaks");
    let found: BTreeSet<PathBuf> = report
        .all("finding")
        .iter()
        .map(|finding| {
            let file = PathBuf::from(finding["files"][0].as_str().unwrap());
            // Of the secret that leaked there, not of another.
            let secret = Path::new(finding["secrets"][0]["file"].as_str().unwrap());
            let kind = file.strip_prefix(corpus.join("leaks")).unwrap().iter().next();
            assert_eq!(secret.file_name(), kind, "{finding}");
            file
        })
        .collect();
    let leaks = files_below(&corpus.join("leaks"));
    let missed: Vec<_> = leaks.difference(&found).collect();
    assert_eq!((missed, leaks.len(), report.gaps()), (vec![], 148, vec![]));
    // each once more in a path that no database knows
    let hash = "0123456789abcdfghijklmnpqrsvwxyz";
    let kinds = ["passphrase", "password", "pem", "seed", "token"];
    for kind in kinds {
        let path = ground.path(&format!("store/{hash}-{kind}/share"));
        fs::create_dir_all(&path).unwrap();
        fs::copy(named(&format!("leaks/{kind}/as-text.conf")), path.join("app.conf")).unwrap();
    }
    let store = ground.path("store");
    let store = ["--json", "--secret-file", &named("secrets"), "--store", store.to_str().unwrap()];
    let report = Report::of(&ground.run(&store));
    let expected = kinds.map(|kind| format!("store/{hash}-{kind}/share/app.conf"));
    assert_eq!(report.places(), expected);
    let findings = report.all("finding");
    assert!(findings.iter().all(|finding| finding["cause"] == "unregistered"), "{findings:?}");
    let decoys =
        [known("decoys"), Report::of(&ground.run(&["--json", "--heuristics", &named("decoys")]))];
    for report in decoys {
        assert_eq!((report.code, report.places(), report.gaps()), (0, vec![], vec![]));
    }
}

fn files_below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.insert(path);
        }
    }
    files
}

#[test]
fn git_history_is_looked_through() {
    if !is_there("git") {
        return;
    }
    let ground = Ground::new();
    let commit = "git -c user.name=a -c user.email=a@b commit -qm";
    ground.make(&format!(
        "mkdir r; cd r; git init -q; mv ../plain.txt .env; git add .; {commit} one
         sed -i 's/{SECRET}/gone/' .env; {commit} two -a; cd ..; cp -r r packed
         cd packed; git repack -qad --depth=50 --window=50; git prune-packed"
    ));
    // In the pack, the older blob is kept as a change to the newer one.
    let output = Command::new("git")
        .args(["verify-pack", "-v"])
        .arg(
            fs::read_dir(ground.path("packed/.git/objects/pack"))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .find(|path| path.extension().is_some_and(|suffix| suffix == "idx"))
                .unwrap(),
        )
        .output()
        .unwrap();
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(listed.contains("chain length = 1"), "no delta: {listed}");
    let report = ground.scan();
    let places = report.places();
    assert_eq!(places.len(), 2, "{places:?}");
    assert!(places[0].starts_with("packed/.git/objects/pack/pack-"), "{places:?}");
    assert!(places[0].contains(".pack!blob "), "{places:?}");
    assert!(places[1].starts_with("r/.git/objects/"), "{places:?}");
    assert_eq!(report.gaps(), []);
}

#[test]
fn a_secret_is_found_at_every_edge_of_a_buffer() {
    let ground = Ground::new();
    // Buffers, and the blocks that they are searched in.
    for edge in [128 << 10, 64 << 10] {
        for at in edge - SECRET.len() - 1..=edge + 1 {
            let mut bytes = vec![b'.'; at];
            bytes.extend_from_slice(SECRET.as_bytes());
            bytes.extend_from_slice(&[b'.'; 100]);
            let path = ground.write(&format!("{edge}/{at}"), &bytes);
            if is_there("gzip") {
                let made = Command::new("gzip").arg("-nk").arg(path).status().unwrap();
                assert!(made.success());
            }
        }
    }
    let report = ground.scan();
    for found in report.all("finding") {
        let place = found["place"].as_str().unwrap().trim_end_matches(".gz");
        let at = place.rsplit_once('/').unwrap().1;
        assert_eq!(found["offset"].to_string(), at, "{place}");
    }
    let each = 2 * (SECRET.len() + 3);
    let kinds = if is_there("gzip") { 2 } else { 1 };
    assert_eq!(report.places().len(), each * kinds);
}

#[test]
fn limits_end_what_grows_and_make_the_run_incomplete() {
    if !["gzip", "bzip2", "zip", "xz"].into_iter().all(is_there) {
        return;
    }
    let ground = Ground::new();
    ground.make(
        "rm plain.txt; head -c 200000000 /dev/zero | bzip2 > ratio
         head -c 3000000 /dev/urandom | gzip > bytes
         head -c 3000000 /dev/zero | xz --format=lzma > lzma
         head -c 3000000 /dev/zero > zeros; zip -qm inner.zip zeros
         for i in 1 2 3 4 5; do cp inner.zip $i.zip; done; zip -qm bomb ?.zip inner.zip
         cp bytes deep; for i in 1 2 3 4 5 6; do gzip -n deep; mv deep.gz deep; done",
    );
    // one member more than a million, each empty and called `a`
    let mut member = b"PK\x03\x04".to_vec();
    member.resize(30, 0);
    member[26] = 1;
    member.push(b'a');
    ground.write("many.zip", &member.repeat((1 << 20) + 1));
    let run = ground.run(&["--json", "../ground", "--max-depth", "5", "--max-expanded", "2"]);
    let report = Report::of(&run);
    assert_eq!(report.code, 2);
    assert_eq!(report.gaps().iter().filter(|(_, why)| why == "limit-memory").count(), 1);
    fs::remove_file(ground.path("many.zip")).unwrap();
    let why = |name: &str| {
        let path = ground.path(name).display().to_string();
        let gaps = report.gaps();
        gaps.iter().find(|(place, _)| *place == path).map(|(_, why)| why.clone()).unwrap()
    };
    assert_eq!((why("bytes"), why("lzma")), ("limit-bytes".to_owned(), "limit-bytes".to_owned()));
    // What comes out of all members of all depths counts.
    assert_eq!(why("bomb.zip"), "limit-bytes");
    assert!(run.stderr.contains("the scan is not complete"), "{}", run.stderr);
    assert!(run.stderr.contains("ground/bytes"), "{}", run.stderr);
    let report = Report::of(&ground.run(&["--json", "../ground", "--max-depth", "5"]));
    let gaps = report.gaps();
    let mut whys: Vec<&str> = gaps.iter().map(|(_, why)| why.as_str()).collect();
    whys.sort_unstable();
    assert_eq!((report.code, whys), (2, vec!["limit-depth", "limit-ratio"]));
    // With a limit that suffices nothing is missing.
    fs::remove_file(ground.path("ratio")).unwrap();
    assert_eq!(ground.scan().code, 0);
}

#[test]
fn decoders_in_decoders_have_a_limit_together() {
    if !is_there("xz") {
        return;
    }
    let ground = Ground::new();
    // each has a window of 64 MiB
    ground.make("xz -9 plain.txt; xz -9 <plain.txt.xz >two; xz -9 <two >three; rm plain.txt.xz");
    let report = ground.scan();
    let three = ground.path("three").display().to_string();
    let gaps = vec![(three, "limit-memory".to_owned())];
    assert_eq!((report.places(), report.gaps()), (vec!["two".to_owned()], gaps));
}

#[test]
fn damage_is_a_gap_and_what_merely_looks_alike_is_none() {
    if !is_there("gzip") || !is_there("xz") {
        return;
    }
    let ground = Ground::new();
    ground.make("gzip -nk plain.txt; xz -k plain.txt; xz --format=lzma plain.txt");
    for name in ["plain.txt.gz", "plain.txt.xz", "plain.txt.lzma"] {
        let bytes = fs::read(ground.path(name)).unwrap();
        fs::write(ground.path(name), &bytes[..bytes.len() / 4]).unwrap();
    }
    // A text that begins as zlib and as tar do, and the marks of others in mere text.
    ground.write("x", b"x^2 + y^2 = z^2\n");
    ground.write("zip", b"PK is a way to begin\n");
    ground.write("bz", b"BZh9 is a way to begin\n");
    ground.write("D", b"Derive(this from that)\n");
    let lzma = b"]\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0is no code that means anything";
    ground.write("lzma", &[lzma.as_slice(), &filler(5000)].concat());
    let report = ground.scan();
    let mut damaged = report.gaps();
    damaged.sort();
    assert_eq!(report.code, 2);
    let names = ["plain.txt.gz", "plain.txt.lzma", "plain.txt.xz"];
    let expected =
        names.map(|name| (ground.path(name).display().to_string(), "damaged".to_owned()));
    assert_eq!(damaged, expected);
}

/// What a decoder made before it failed is searched to its last byte, and the damage is told.
#[test]
fn what_came_out_before_damage_is_searched() {
    let ground = Ground::new();
    let mut expected = Vec::new();
    for size in [40, 500, 5_000, 70_000, 120_000, 200_000] {
        let mut text = filler(size);
        text.extend_from_slice(SECRET.as_bytes());
        let mut zlib = miniz_oxide::deflate::compress_to_vec_zlib(&text, 6);
        *zlib.last_mut().unwrap() ^= 1;
        let name = format!("zlib-{size}");
        ground.write(&name, &zlib);
        expected.push((name, size as u64));
    }
    let mut damaged = 4;
    if is_there("bzip2") {
        // the check of the block, which is the last but one
        let mut text = filler(100_000);
        text.extend_from_slice(SECRET.as_bytes());
        ground.write("text", &text);
        ground.make("rm plain.txt; bzip2 text");
        let mut bytes = fs::read(ground.path("text.bz2")).unwrap();
        bytes[10] ^= 1;
        fs::write(ground.path("text.bz2"), bytes).unwrap();
        expected.push(("text.bz2".to_owned(), 100_000));
        damaged += 1;
    }
    if is_there("xz") {
        // the last byte of the mark of its end
        let mut text = filler(30_000);
        text.extend_from_slice(SECRET.as_bytes());
        ground.write("text", &text);
        ground.make("rm plain.txt; xz --format=lzma text; truncate -s -1 text.lzma");
        expected.push(("text.lzma".to_owned(), 30_000));
        damaged += 1;
    }
    let report = ground.scan();
    for (name, offset) in &expected {
        let found = report.all("finding").into_iter().find(|found| {
            let place = found["place"].as_str().unwrap();
            place.ends_with(&format!("/ground/{name}")) && found["offset"] == *offset
        });
        assert!(found.is_some(), "{name}: {:?}", report.lines);
    }
    // of the shortest it cannot be told that they are zlib at all
    assert_eq!((report.code, report.gaps().len()), (2, damaged), "{:?}", report.gaps());
}

/// Text that hardly packs.
fn filler(size: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let letter = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZ .,-+*/"[(state >> 40) as usize % 33]
    };
    (0..size).map(letter).collect()
}

#[test]
fn a_script_in_front_of_a_zip_file_hides_nothing() {
    if !is_there("zip") {
        return;
    }
    for lines in [0, 500] {
        let ground = Ground::new();
        ground.make(&format!(
            "zip -q a.zip plain.txt
             (echo '#!/usr/bin/env python3'; seq -f '# of a self-running jar, %g' {lines}; cat a.zip) > app
             rm a.zip plain.txt"
        ));
        let report = ground.scan();
        assert_eq!((report.places(), report.gaps()), (vec!["app!plain.txt".to_owned()], vec![]));
    }
}

/// What unpacks goes by the directory at the end of a zip file, and finds a member in another one.
#[test]
fn a_member_that_another_one_hides_is_a_gap() {
    let little = |number: usize, bytes: usize| number.to_le_bytes()[..bytes].to_vec();
    let member = |method: usize, length: usize, name: &str| {
        let header = [b"PK\x03\x04\x14\0\0\0".to_vec(), little(method, 2), vec![0; 8]];
        let lengths = [little(length, 4), vec![0; 4], little(name.len(), 2), vec![0; 2]];
        [header.concat(), lengths.concat(), name.as_bytes().to_vec()].concat()
    };
    let entry = |method: usize, length: usize, at: usize, name: &str| {
        let header = [b"PK\x01\x02\x14\0\x14\0\0\0".to_vec(), little(method, 2), vec![0; 8]];
        let lengths = [little(length, 4), vec![0; 4], little(name.len(), 2), vec![0; 12]];
        [header.concat(), lengths.concat(), little(at, 4), name.as_bytes().to_vec()].concat()
    };
    let ground = Ground::new();
    let packed = |text: &[u8]| miniz_oxide::deflate::compress_to_vec(text, 6);
    let secret = packed(&SECRET.repeat(9).into_bytes());
    for (name, method, text) in
        [("stored", 0, b"nothing".to_vec()), ("packed", 8, packed(b"nothing"))]
    {
        let hidden = [member(8, secret.len(), "conf"), secret.clone()].concat();
        for hides in [true, false] {
            let length = if hides { text.len() + hidden.len() } else { text.len() };
            let first = [member(method, length, "readme"), text.clone()].concat();
            let entries = [
                entry(method, text.len(), 0, "readme"),
                entry(8, secret.len(), first.len(), "conf"),
            ];
            let end = [b"PK\x05\x06".as_slice(), &[0; 18]].concat();
            let zip = [first, hidden.clone(), entries.concat(), end].concat();
            ground.write(&format!("{name}-{hides}.zip"), &zip);
        }
    }
    let report = ground.scan();
    assert_eq!(report.places(), ["packed-false.zip!conf", "stored-false.zip!conf"]);
    let gaps: BTreeSet<_> = report.gaps().into_iter().collect();
    let gaps: Vec<&str> =
        gaps.iter().map(|(path, _)| path.split_once("/ground/").unwrap().1).collect();
    assert_eq!(gaps, ["packed-true.zip", "stored-true.zip"]);
    // of the one, what stands behind the content is not searched either
    assert_eq!((report.gaps().len(), report.code), (3, 2));
}

/// A secret in one of these would not be found, so a run that met one is not clean.
#[test]
fn what_is_not_taken_apart_is_named() {
    let ground = Ground::new();
    ground.write("a.7z", b"7z\xbc\xaf\x27\x1c\0\x04rest");
    ground.write("a.rar", b"Rar!\x1a\x07\x01\0rest");
    ground.write("disk.qcow2", b"QFI\xfb\0\0\0\x03rest");
    let mut erofs = vec![0; 4096];
    erofs[1024..1028].copy_from_slice(b"\xe2\xe1\xf5\xe0");
    ground.write("image.erofs", &erofs);
    let mut expected = vec!["a.7z", "a.rar", "disk.qcow2", "image.erofs"];
    // by the real programs, inside of other containers too
    for (program, script, name) in [
        ("lz4", "lz4 -q plain.txt a.lz4; gzip -n a.lz4", "a.lz4.gz"),
        (
            "git",
            "mkdir r; cd r; git init -q; mv ../plain.txt .; git add .
             git -c user.name=a -c user.email=a@b commit -qm one
             git bundle create -q ../all.bundle HEAD; cd ..; rm -r r",
            "all.bundle",
        ),
        (
            "objcopy",
            "echo 'PRETTY_NAME=a' > release; gzip -n plain.txt; printf '\\xc3' > stub
             objcopy -I binary -O pei-x86-64 --rename-section .data=.text,code \
               --add-section .osrel=release --set-section-flags .osrel=data,readonly \
               --add-section .linux=stub --set-section-flags .linux=data,readonly \
               --add-section .initrd=plain.txt.gz --set-section-flags .initrd=data,readonly \
               stub kernel.efi
             rm release plain.txt.gz stub",
            "kernel.efi",
        ),
        (
            "mkfs.ext4",
            "PATH=$PATH:/sbin:/usr/sbin; head -c 1M /dev/zero > ext4; mkfs.ext4 -qF ext4",
            "ext4",
        ),
    ] {
        if is_there(program) || Path::new("/usr/sbin").join(program).exists() {
            ground.make(script);
            expected.push(name);
        }
    }
    let _none = fs::remove_file(ground.path("plain.txt"));
    expected.sort_unstable();
    let report = ground.scan();
    let mut gaps = report.gaps();
    gaps.sort();
    let expected: Vec<_> = expected
        .iter()
        .map(|name| (ground.path(name).display().to_string(), "unknown-format".to_owned()))
        .collect();
    assert_eq!((report.code, gaps), (2, expected));
}

#[test]
fn what_stands_around_a_secret_does_not_hide_it() {
    let ground = Ground::new();
    let drv = |text: &str| text.replace("SECRET", SECRET).into_bytes();
    ground.write("more.drv", &drv("Derive([],[],[],\"x\",\"y\",[],[])\npassword=SECRET"));
    ground.write("version.drv", &drv("DrvWithVersion(\"SECRET\",[],[],[],\"x\",\"y\",[],[])"));
    let report = ground.scan();
    assert_eq!((report.code, report.places().len()), (1, 2), "{:?}", report.places());
    // What was not looked at in an archive stays a gap when the archive ends in something else.
    ground
        .make("gzip -c plain.txt | head -c 200 >m.gz; tar -cf t.tar m.gz; rm plain.txt m.gz *.drv");
    let mut tar = fs::read(ground.path("t.tar")).unwrap();
    tar.truncate(1024);
    tar.extend([b'x'; 512]);
    fs::write(ground.path("t.tar"), tar).unwrap();
    let report = ground.scan();
    assert_eq!((report.code, report.gaps().len()), (2, 2), "{:?}", report.gaps());
}

#[test]
fn logs_are_a_folder_that_is_there_or_a_part_of_one() {
    let ground = Ground::new();
    ground.write("log/drvs/ab/cd-x.drv", SECRET.as_bytes());
    for part in ["log", "log/drvs", "log/drvs/ab"] {
        let folder = format!("../ground/{part}");
        assert_eq!(ground.run(&["--logs", &folder]).code, 1, "{part}");
    }
    let run = ground.run(&["--logs", "../ground/none"]);
    assert!(run.code == 2 && run.stderr.contains("ground/none"), "{}", run.stderr);
}

#[test]
fn no_name_steers_a_terminal_or_makes_a_link() {
    let ground = Ground::new();
    ground.write("a\u{9b}2J\u{202e}\u{7f}[click](x)", SECRET.as_bytes());
    for kind in ["--json", "--sarif"] {
        let run = ground.run(&[kind, "../ground"]);
        let text = String::from_utf8(run.stdout).unwrap();
        assert!(!text.contains(['\u{9b}', '\u{202e}', '\u{7f}']), "{text}");
        let value: Value = serde_json::from_str(text.lines().next().unwrap())
            .or_else(|_| serde_json::from_str(&text))
            .unwrap();
        if kind == "--json" {
            assert!(value["place"].as_str().unwrap().contains('\u{9b}'), "{value}");
        }
    }
    let zip = "mkdir in; echo SECRET >'in/[click](x)'; tar -cf t.tar in; rm -r in plain.txt";
    ground.make(&zip.replace("SECRET", SECRET));
    let run = ground.run(&["--sarif", "../ground/t.tar"]);
    let value: Value = serde_json::from_slice(&run.stdout).unwrap();
    let message = value["runs"][0]["results"][0]["message"]["text"].as_str().unwrap();
    assert!(message.contains("\\[click\\]"), "{message}");
}

#[test]
fn a_list_can_let_gaps_be() {
    let ground = Ground::new();
    ground.write("cut.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03");
    assert_eq!(ground.scan().code, 2);
    let entry = |expires: &str| {
        let text = format!(
            r#"{{"allow": [{{"path": "**/cut.gz", "gap": "damaged", "reason": "test data", "expires": "{expires}"}}]}}"#
        );
        let file = ground.fleet.path("allow.json");
        fs::write(&file, text).unwrap();
        ground.run(&["--allow", "allow.json", "../ground"]).code
    };
    assert_eq!(entry("9999-12-31"), 0);
    assert_eq!(entry("2000-01-31"), 2);
}

#[test]
fn links_lead_nowhere_and_a_file_with_two_names_is_read_once() {
    let ground = Ground::new();
    ground.write("a/plain", SECRET.as_bytes());
    fs::create_dir(ground.path("b")).unwrap();
    fs::hard_link(ground.path("a/plain"), ground.path("b/same")).unwrap();
    symlink("..", ground.path("a/up")).unwrap();
    symlink("self", ground.path("a/self")).unwrap();
    symlink("/", ground.path("a/root")).unwrap();
    symlink("b/same", ground.path("third")).unwrap();
    let report = ground.scan();
    assert_eq!(report.code, 1);
    assert_eq!(report.summary()["files"], 1);
    let findings = report.all("finding");
    assert_eq!(findings.len(), 1);
    let files: Vec<&str> =
        findings[0]["files"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    assert!(files.len() == 2 && files[0].ends_with("a/plain") && files[1].ends_with("b/same"));
}

#[test]
fn names_and_targets_of_links_are_searched() {
    let ground = Ground::new();
    ground.write(&format!("a/{SECRET}.txt"), b"");
    symlink(format!("/nowhere/{SECRET}"), ground.path("link")).unwrap();
    let run = finish(ground.command(&["--json", "../ground"]), b"");
    let report = Report::of(&run);
    assert_eq!(report.code, 1);
    let findings = report.all("finding");
    assert_eq!(findings.len(), 2);
    assert!(findings.iter().all(|found| found["inName"] == true));
    // The place of a name is the folder that it stands in.
    assert_eq!(report.places(), ["a", "link"]);
}

#[test]
fn a_file_that_changes_while_it_is_read_makes_the_run_incomplete() {
    let ground = Ground::new();
    let path = ground.write("log", &vec![b'x'; 48 << 20]);
    while_it_grows(
        &path,
        |_| {},
        || {
            let report = ground.scan();
            assert_eq!(report.code, 2);
            assert_eq!(report.gaps(), [(path.display().to_string(), "changed".to_owned())]);
        },
    );
    assert_eq!(ground.scan().code, 0);
}

/// Looks while somebody adds byte by byte to a file, and after each some thousands does `rest` to it.
fn while_it_grows(path: &Path, rest: impl Fn(&File) + Sync, look: impl FnOnce()) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // also where what is looked for is not so, or the writer is waited for
        let _ending = Ending(&over);
        scope.spawn(|| {
            let mut file = File::options().append(true).open(path).unwrap();
            while !over.load(Ordering::Relaxed) {
                for _ in 0..40_000 {
                    file.write_all(b"y").unwrap();
                }
                rest(&file);
            }
        });
        look();
    });
}

struct Ending<'o>(&'o AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_hundred_thousand_tiny_files() {
    let ground = Ground::new();
    for folder in 0..100 {
        fs::create_dir(ground.path(&folder.to_string())).unwrap();
        for file in 0..1000 {
            fs::write(ground.path(&format!("{folder}/{file}")), format!("{folder} {file}"))
                .unwrap();
        }
    }
    ground.write("77/501", SECRET.as_bytes());
    let report = ground.scan();
    assert_eq!(report.places(), ["77/501"]);
    assert_eq!(report.summary()["files"], 100_000);
}

#[test]
fn holes_of_a_large_file_are_passed_over() {
    let ground = Ground::new();
    let mut file = File::create(ground.path("sparse")).unwrap();
    file.set_len(10 << 30).unwrap();
    let at = (7 << 30) + 12345;
    file.write_all_at(SECRET.as_bytes(), at).unwrap();
    // At the very end, too, and in front of a hole.
    file.write_all_at(SECRET.as_bytes(), (3 << 30) - SECRET.len() as u64).unwrap();
    file.seek(SeekFrom::End(-(SECRET.len() as i64))).unwrap();
    file.write_all(SECRET.as_bytes()).unwrap();
    let report = ground.scan();
    let findings = report.all("finding");
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0]["count"], 3);
    assert_eq!(findings[0]["offset"], (3_u64 << 30) - SECRET.len() as u64);
    assert_eq!((report.code, report.gaps()), (1, vec![]));
}

/// Somebody who may read the ground and nothing that is closed in it: another user where this one is root.
struct Outsider<'g> {
    ground: &'g Ground,
    here: tempfile::TempDir,
    closed: Vec<PathBuf>,
}

impl<'g> Outsider<'g> {
    fn new(ground: &'g Ground) -> Self {
        let mode = Permissions::from_mode(0o755);
        let here = tempfile::Builder::new().permissions(mode.clone()).tempdir().unwrap();
        common::copy_program(&here.path().join("secretctl"));
        let needle = here.path().join("needle");
        fs::write(&needle, SECRET).unwrap();
        fs::set_permissions(&needle, Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(ground.fleet.root(), mode).unwrap();
        Self { ground, here, closed: Vec::new() }
    }

    /// Nobody may read what is there.
    fn close(&mut self, name: &str, mode: u32) -> String {
        let path = self.ground.path(name);
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        self.closed.push(path.clone());
        path.display().to_string()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.here.path().join("secretctl"));
        command.args(["scan", "--json", "--memory", "none", "--secret-file"]);
        command.arg(self.here.path().join("needle")).args(arguments);
        command.current_dir(self.here.path()).env_clear().stdin(Stdio::null());
        if is_root() {
            command.uid(65534).gid(65534);
        }
        command
    }
}

impl Drop for Outsider<'_> {
    fn drop(&mut self) {
        for path in &self.closed {
            let _gone = fs::set_permissions(path, Permissions::from_mode(0o700));
        }
    }
}

#[test]
fn folders_that_cannot_be_read_make_the_run_incomplete() {
    let ground = Ground::new();
    ground.write("open/a", b"nothing");
    ground.write("closed/a", SECRET.as_bytes());
    ground.write("open/b", b"nothing");
    let mut outsider = Outsider::new(&ground);
    let expected = [outsider.close("closed", 0), outsider.close("open/b", 0)];
    let run = finish(outsider.command(&[ground.path("").to_str().unwrap()]), b"");
    let report = Report::of(&run);
    assert_eq!(report.code, 2);
    let mut gaps: Vec<String> = report.gaps().into_iter().map(|(path, _)| path).collect();
    gaps.sort();
    assert_eq!(gaps, expected);
    assert!(run.stderr.contains("ground/closed: it cannot be read"), "{}", run.stderr);
}

#[test]
fn caches_that_cannot_be_listed_make_the_run_incomplete() {
    let ground = Ground::new();
    ground.write("home/nix/eval-cache-v6/x.sqlite", SECRET.as_bytes());
    ground.write("cache/nar/x.nar", SECRET.as_bytes());
    let mut outsider = Outsider::new(&ground);
    let home = ground.path("home");
    let cache = ground.path("cache");
    let look = |outsider: &Outsider<'_>, arguments: &[&str]| {
        let mut command = outsider.command(arguments);
        command.env("XDG_CACHE_HOME", &home);
        let run = finish(command, b"");
        let report = Report::of(&run);
        for (path, _) in report.gaps() {
            assert!(run.stderr.contains(&format!("  {path}: ")), "{path}: {}", run.stderr);
        }
        let gaps: Vec<String> = report.gaps().into_iter().map(|(path, _)| path).collect();
        (report.code, gaps)
    };
    let evaluation = ["--eval-cache"];
    let binary = ["--cache", cache.to_str().unwrap()];
    for places in [&evaluation[..], &binary] {
        assert_eq!(look(&outsider, places), (1, vec![]));
    }
    // the inner one first: what is around it is open still; then one that can be entered and not listed
    for (name, mode, places) in [
        ("home/nix/eval-cache-v6", 0, &evaluation[..]),
        ("home/nix", 0o111, &evaluation),
        ("cache/nar", 0, &binary),
        ("cache", 0o111, &binary),
    ] {
        let closed = outsider.close(name, mode);
        let (code, gaps) = look(&outsider, places);
        assert!(code == 2 && gaps.contains(&closed), "{name}: {gaps:?}");
    }
}

/// Of a medium file one read gives all, which is still no moment.
#[test]
fn a_file_of_one_read_that_changes_is_named() {
    let ground = Ground::new();
    let path = ground.write("log", &vec![b'x'; 20 << 10]);
    while_it_grows(
        &path,
        |file| file.set_len(20 << 10).unwrap(),
        || {
            // The writer is not always running when it is read.
            let expected = [(path.display().to_string(), "changed".to_owned())];
            let named = (0..30).any(|_| {
                let report = ground.scan();
                assert_eq!(report.code, if report.gaps().is_empty() { 0 } else { 2 });
                report.gaps() == expected
            });
            assert!(named);
        },
    );
    let report = ground.scan();
    assert_eq!((report.code, report.gaps()), (0, vec![]));
}

#[test]
fn names_of_several_lines_are_searched_and_shown_in_one() {
    let ground = Ground::new();
    let steering = "a\nleak: \u{1b}]0;title\u{7}\u{1b}[2J\r";
    ground.write(&format!("{steering}b"), SECRET.as_bytes());
    ground.write(&format!("{steering}/{SECRET}\nc"), b"nothing");
    ground.write(&format!("{steering}.gz"), b"\x1f\x8b\x08\0\0\0\0\0\0\x03");
    symlink(format!("{steering}{SECRET}"), ground.path("link")).unwrap();
    let report = ground.scan();
    assert_eq!((report.code, report.gaps().len()), (2, 1));
    let mut expected = [format!("{steering}b"), steering.to_owned(), "link".to_owned()];
    expected.sort();
    assert_eq!(report.places(), expected);
    let run = ground.run(&["../ground"]).ended(2);
    let shown = String::from_utf8(run.stdout).unwrap();
    for text in [&shown, &run.stderr] {
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }
    let escaped = "ground/a\\nleak: \\u{1b}]0;title\\u{7}\\u{1b}[2J\\r";
    let count = |text: &str, part: &str| text.matches(part).count();
    assert_eq!(count(&shown, &format!("{escaped}b\n")), 1, "{shown}");
    assert_eq!(count(&run.stderr, &format!("{escaped}.gz: ")), 1, "{}", run.stderr);
    assert_eq!(shown.lines().filter(|line| line.starts_with("leak: ")).count(), 3, "{shown}");
}

#[test]
fn how_far_a_scan_is_stands_in_one_line_of_the_terminal() {
    let ground = Ground::new();
    let text = vec![b'.'; 16 << 20];
    for file in 0..12 {
        ground.write(&format!("a\u{1b}[2J\u{7}/{file}"), &text);
    }
    for paths in [&["../ground"][..], &["../ground/a\u{1b}[2J\u{7}", "../ground"]] {
        let arguments = [&["--threads", "1"], paths].concat();
        let mut command = ground.command(&arguments);
        command.stdin(Stdio::inherit());
        let mut session = rexpect::session::spawn_command(command, Some(60_000)).unwrap();
        let all = session.exp_eof().unwrap();
        let lines: Vec<&str> = all.split("\r\u{1b}[K").collect();
        assert!(lines.len() > 3, "{all:?}");
        assert!(!lines.concat().contains(['\u{1b}', '\u{7}']), "{all:?}");
        // taken away in the end
        let (last, told) = lines.split_last().unwrap();
        assert!(last.starts_with("1 secret looked for in") && lines[0].is_empty(), "{all:?}");
        let counts = told[1..].iter().map(|line| {
            let files = line.split_once(" files, ").unwrap_or_else(|| panic!("{line:?}")).0;
            files.rsplit(' ').next().unwrap().parse().unwrap()
        });
        let counts: Vec<u64> = counts.collect();
        let most = 12 * paths.len() as u64;
        assert!(counts.is_sorted() && counts[0] < most && counts[counts.len() - 1] > 0, "{all:?}");
        assert_eq!(told[1].contains(" of 2 paths, "), paths.len() == 2, "{all:?}");
    }
}

/// What is held while it waits for more to search: the needles.
#[test]
fn a_scan_that_is_ended_by_a_signal_leaves_no_core() {
    let ground = Ground::new();
    let outsider = Outsider::new(&ground);
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    let scan = outsider.command(&["--nar", "-"]);
    // as wide a limit as there is
    let begin = |program: &std::ffi::OsStr, arguments: Vec<&std::ffi::OsStr>| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -c $(ulimit -H -c); exec \"$0\" \"$@\""]).arg(program);
        shell.args(arguments).current_dir(folder.path()).stdin(Stdio::piped());
        shell.stdout(Stdio::null()).stderr(Stdio::null());
        if is_root() {
            shell.uid(65534).gid(65534);
        }
        shell.spawn().unwrap()
    };
    let end = |mut child: std::process::Child, signal: &str| {
        let id = child.id().to_string();
        // the first of SIGSEGV only ends the handler that looks whether a stack was too small
        common::wait_until("it ends", || {
            Command::new("kill").args([signal, &id]).status().unwrap();
            child.try_wait().unwrap().is_some()
        });
        let status = child.wait().unwrap();
        (std::os::unix::process::ExitStatusExt::core_dumped(&status), status)
    };
    let limit = Command::new("sh").args(["-c", "ulimit -H -c"]).output().unwrap();
    let pattern = fs::read("/proc/sys/kernel/core_pattern").unwrap();
    let can_dump = limit.stdout.trim_ascii() != b"0" && !pattern.starts_with(b"|");
    for (signal, number) in [("-ABRT", 6), ("-SEGV", 11)] {
        // another program leaves one here
        let other = begin("sleep".as_ref(), vec!["60".as_ref()]);
        let name = format!("/proc/{}/comm", other.id());
        common::wait_until("it runs", || fs::read(&name).is_ok_and(|name| name == b"sleep\n"));
        let (dumped, status) = end(other, signal);
        assert!(dumped || !can_dump, "{status}");
        let mut child = begin(scan.get_program(), scan.get_args().collect());
        // more than a pipe holds: it is taken when the needles are there
        child.stdin.as_mut().unwrap().write_all(&vec![b'.'; 1 << 20]).unwrap();
        let process = PathBuf::from(format!("/proc/{}", child.id()));
        let limits = fs::read_to_string(process.join("limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
        // what is not dumpable belongs to root, and not to who runs it
        let memory = fs::metadata(process.join("mem")).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&memory), 0);
        for entry in fs::read_dir(folder.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        let (dumped, status) = end(child, signal);
        assert!(!dumped, "{status}");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(number));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{signal}");
    }
}

#[test]
fn folders_as_deep_as_they_come() {
    let ground = Ground::new();
    // Deeper than one path can name.
    let mut folder =
        rustix::fs::open(ground.path(""), rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty())
            .unwrap();
    for _ in 0..2500 {
        rustix::fs::mkdirat(&folder, "d", rustix::fs::Mode::RWXU).unwrap();
        folder = rustix::fs::openat(
            &folder,
            "d",
            rustix::fs::OFlags::DIRECTORY,
            rustix::fs::Mode::empty(),
        )
        .unwrap();
    }
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
    let file = rustix::fs::openat(&folder, "f", flags, rustix::fs::Mode::RWXU).unwrap();
    File::from(file).write_all(SECRET.as_bytes()).unwrap();
    let report = ground.scan();
    assert_eq!((report.code, report.places().len(), report.gaps()), (1, 1, vec![]));
    // The folder is too deep for who removes it by its path.
    let removed = Command::new("rm").arg("-rf").arg(ground.path("d")).status().unwrap();
    assert!(removed.success());
}

#[test]
fn a_report_has_the_line_and_says_what_to_do() {
    let ground = Ground::new();
    ground.write("etc/app.conf", format!("a\nb\npassword = {SECRET}\n").as_bytes());
    let run = ground.run(&["../ground"]);
    let text = String::from_utf8(run.stdout.clone()).unwrap();
    assert_eq!(run.code, 1);
    assert!(text.contains("leak: the secret `secrets/token.age`"), "{text}");
    assert!(text.contains("ground/etc/app.conf\n  at     line 3, as it is\n"), "{text}");
    assert!(text.contains("1. Rotate every secret"), "{text}");
    assert!(run.stderr.contains("1 finding"), "{}", run.stderr);
}

#[test]
fn sarif_names_rule_place_and_line() {
    let ground = Ground::new();
    ground.write("a b", format!("\n{SECRET}\n").as_bytes());
    let run = ground.run(&["--sarif", "../ground"]);
    let sarif: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!((run.code, &sarif["version"]), (1, &Value::from("2.1.0")));
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], sarif["runs"][0]["tool"]["driver"]["rules"][0]["id"]);
    let place = &result["locations"][0]["physicalLocation"];
    assert!(place["artifactLocation"]["uri"].as_str().unwrap().ends_with("/ground/a%20b"));
    assert_eq!(place["region"]["startLine"], 2);
    assert!(!result["partialFingerprints"]["secretctl/v1"].as_str().unwrap().is_empty());
    // what was not looked for is told here as everywhere
    fs::write(ground.fleet.path("short"), "a=ab\n").unwrap();
    let run = ground.run(&["--sarif", "--heuristics", "--secret-file", "short", "../ground"]);
    let sarif: Value = serde_json::from_slice(&run.stdout).unwrap();
    let invocation = &sarif["runs"][0]["invocations"][0];
    let note = &invocation["toolExecutionNotifications"][0];
    assert_eq!(
        (&invocation["executionSuccessful"], &note["level"]),
        (&Value::from(true), &Value::from("note"))
    );
    assert!(note["message"]["text"].as_str().unwrap().contains("too short"), "{note}");
}

#[test]
fn links_in_a_folder_of_secrets_are_followed_or_told() {
    let ground = Ground::new();
    ground.write("leak", SECRET.as_bytes());
    let folder = ground.fleet.path("kept");
    fs::create_dir(&folder).unwrap();
    fs::write(ground.fleet.path("elsewhere"), SECRET).unwrap();
    symlink("../elsewhere", folder.join("link")).unwrap();
    ground.run(&["--secret-file", "kept", "../ground"]).ended(1);
    symlink("../nowhere", folder.join("lost")).unwrap();
    let run = ground.run(&["--secret-file", "kept", "../ground"]).ended(2);
    assert!(run.stderr.contains("kept/lost"), "{}", run.stderr);
}

#[test]
fn a_cache_in_a_compression_that_is_not_known_is_not_clean() {
    let ground = Ground::new();
    let cache = |compression: &str| {
        ground.write("cache/nar/x.nar", b"whatever it is\n");
        let info = format!(
            "StorePath: /nix/store/{}-x\nURL: nar/x.nar\nCompression: {compression}\nNarHash: sha256:x\nNarSize: 1\n",
            "0".repeat(32)
        );
        ground.write("cache/x.narinfo", info.as_bytes());
        Report::of(&ground.run(&["--json", "--cache", ground.path("cache").to_str().unwrap()])).code
    };
    assert_eq!(["xz", "lzma", "br", "lzip"].map(cache), [0, 0, 2, 2]);
    // a file that says too much to be read
    assert_eq!(cache(&format!("br\nNote: {}", "x".repeat(1 << 20))), 2);
}

#[test]
fn evaluation_caches_are_where_nix_keeps_them() {
    let ground = Ground::new();
    ground.write("nix/eval-cache-v6/x.sqlite", SECRET.as_bytes());
    for (variable, folder) in [("NIX_CACHE_HOME", "nix"), ("XDG_CACHE_HOME", "")] {
        let mut command = ground.command(&["--json", "--eval-cache"]);
        command.env(variable, ground.path(folder));
        let report = Report::of(&finish(command, b""));
        assert_eq!(report.places(), ["nix/eval-cache-v6/x.sqlite"], "{variable}");
    }
}

#[test]
fn allowed_findings_count_again_when_their_time_is_over() {
    let ground = Ground::new();
    ground.write("known", SECRET.as_bytes());
    let report = ground.scan();
    let id = report.all("finding")[0]["id"].as_str().unwrap().to_owned();
    let allow = |entry: &str| {
        fs::write(ground.fleet.path("allow.json"), format!("{{\"allow\": [{entry}]}}")).unwrap();
        ground.run(&["--allow", "allow.json", "../ground"])
    };
    let by_id = |day: &str| format!(r#"{{"id": "{id}", "reason": "moving", "expires": "{day}"}}"#);
    assert_eq!(allow(&by_id("9999-12-31")).code, 0);
    let over = allow(&by_id("2001-12-31"));
    assert_eq!(over.code, 1);
    assert!(String::from_utf8_lossy(&over.stdout).contains("allowed until 2001-12-31"));
    let by_place = r#"{"path": "**/ground/known", "secret": "secrets/token.age", "reason": "x", "expires": "9999-12-31"}"#;
    assert_eq!(allow(by_place).code, 0);
    for wrong in [
        r#"{"path": "**", "expires": "9999-12-31"}"#,
        r#"{"path": "**", "reason": " ", "expires": "9999-12-31"}"#,
        r#"{"path": "**", "reason": "x"}"#,
        r#"{"path": "**", "reason": "x", "expires": "2030-02-31"}"#,
        r#"{"reason": "x", "expires": "9999-12-31"}"#,
    ] {
        let run = allow(wrong).ended(2);
        assert!(run.stderr.contains("allow.json"), "{wrong}: {}", run.stderr);
    }
}

#[test]
fn a_baseline_leaves_out_what_it_lists_and_says_nothing_else() {
    let ground = Ground::new();
    ground.write("old", SECRET.as_bytes());
    ground.run(&["--write-baseline", "base.json", "../ground"]).ended(1);
    let text = fs::read_to_string(ground.fleet.path("base.json")).unwrap();
    for word in [SECRET, "token.age", "old"] {
        assert!(!text.contains(word), "{word} is in {text}");
    }
    // the key of what is remembered here is for nobody else
    let base: Value = serde_json::from_str(&text).unwrap();
    let own = fs::read(ground.fleet.root().join("state/secretctl/scan/key")).unwrap();
    let own = hex::encode(own);
    assert!(own.len() == 64 && base["key"] != own.as_str(), "{text}");
    ground.run(&["--baseline", "base.json", "../ground"]).ended(0);
    ground.write("new", SECRET.as_bytes());
    let run = ground.run(&["--baseline", "base.json", "../ground"]).ended(1);
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(text.contains("ground/new") && !text.contains("ground/old"), "{text}");
}

#[test]
fn what_is_about_to_be_committed_is_searched() {
    if !is_there("git") {
        return;
    }
    let ground = Ground::new();
    let git = |arguments: &[&str]| {
        let mut git = ground.fleet.around(Path::new("git"), arguments);
        assert!(git.output().unwrap().status.success(), "{arguments:?}");
    };
    fs::remove_dir_all(ground.fleet.path(".git")).unwrap();
    git(&["init", "-q"]);
    fs::write(ground.fleet.path("app.nix"), format!("{{\n  token = \"{SECRET}\";\n}}\n")).unwrap();
    git(&["add", "secrets", "secretctl.yaml"]);
    ground.run(&["--staged"]).ended(0);
    git(&["add", "app.nix"]);
    // What counts is what is staged.
    fs::write(ground.fleet.path("app.nix"), "{ }\n").unwrap();
    let run = ground.run(&["--staged"]).ended(1);
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(text.contains("app.nix\n  at     line 2"), "{text}");
    // Names are committed, too.
    git(&["mv", "app.nix", "other.nix"]);
    fs::write(ground.fleet.path("other.nix"), "{ }\n").unwrap();
    fs::rename(ground.fleet.path("other.nix"), ground.fleet.path(SECRET)).unwrap();
    git(&["add", "-A", "."]);
    let run = ground.run(&["--staged"]).ended(1);
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(text.contains("[hidden]\n  at     in a name"), "{text}");
    git(&["rm", "-qf", SECRET]);
    fs::write(ground.fleet.path("app.nix"), format!("{{\n  token = \"{SECRET}\";\n}}\n")).unwrap();
    git(&["add", "app.nix"]);
    fs::write(ground.fleet.path("app.nix"), "{ }\n").unwrap();
    // As the hook of docs/how-to/scan.md, which git itself runs.
    let hook = ground.fleet.path(".git/hooks/pre-commit");
    fs::write(&hook, format!("#!/bin/sh\nexec {PROGRAM} scan --staged --memory none\n")).unwrap();
    fs::set_permissions(&hook, Permissions::from_mode(0o755)).unwrap();
    let commit = || {
        let arguments = ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one"];
        let mut git = ground.fleet.around(Path::new("git"), &arguments);
        git.env("SECRETCTL_IDENTITY", ground.fleet.key("alice"));
        git.output().unwrap()
    };
    let refused = commit();
    let said = [refused.stdout, refused.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(!refused.status.success() && said.contains("app.nix"), "{said}");
    assert!(!said.contains(SECRET));
    git(&["add", "app.nix"]);
    let done = commit();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    ground.sops(&ground.fleet.path("secrets/db.yaml"), "password: another-value-93hd7\n");
    let copy = ground.fleet.path("copy/secrets/db.yaml");
    fs::create_dir_all(copy.parent().unwrap()).unwrap();
    fs::write(&copy, "password: not the same\n").unwrap();
    assert_eq!(ground.siblings(&["--staged"]), []);
    git(&["add", "."]);
    let expected = pairs(&[("repo/copy/secrets/db.yaml", "repo/secrets/db.yaml")]);
    assert_eq!(ground.siblings(&["--staged"]), expected);
}

/// A repository with a commit, and a leak that is about to be committed.
fn with_a_staged_leak() -> Ground {
    let ground = Ground::new();
    fs::remove_dir_all(ground.fleet.path(".git")).unwrap();
    let script = "git init -q; git add secrets secretctl.yaml
        git -c user.name=a -c user.email=a@b commit -qm one
        echo \"token = $SECRET\" >app.conf; git add app.conf";
    let mut shell = ground.fleet.around(Path::new("sh"), &["-ec", script]);
    let made = shell.env("SECRET", SECRET).env("GIT_CONFIG_NOSYSTEM", "1").output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    symlink(PROGRAM, ground.fleet.root().join("bin/secretctl")).unwrap();
    ground
}

const HOOKS: &str = include_str!("../.pre-commit-hooks.yaml");

#[test]
fn the_entry_of_the_hook_for_pre_commit_finds_what_is_staged() {
    if !is_there("git") {
        return;
    }
    let ground = with_a_staged_leak();
    let field = |name: &str| {
        let lines: Vec<&str> =
            HOOKS.lines().filter_map(|line| line.trim().strip_prefix(name)).collect();
        assert_eq!(lines.len(), 1, "{name}");
        lines[0].trim()
    };
    assert_eq!((field("- id:"), field("pass_filenames:")), ("secretctl-scan", "false"));
    let run = || {
        let mut shell = ground.fleet.around(Path::new("sh"), &["-c", field("entry:")]);
        shell.env("SECRETCTL_IDENTITY", ground.fleet.key("alice"));
        finish(shell, b"")
    };
    let run_of_leak = run().ended(1);
    let text = String::from_utf8(run_of_leak.stdout).unwrap();
    assert!(text.contains("app.conf\n  at     line 1, as it is"), "{text}");
    let git = ["rm", "-q", "--cached", "app.conf"];
    assert!(ground.fleet.around(Path::new("git"), &git).status().unwrap().success());
    run().ended(0);
}

/// As docs/how-to/scan.md has it.
#[test]
fn pre_commit_runs_the_hook_of_this_repository() {
    let named = std::env::var_os("SECRETCTL_TEST_PRE_COMMIT").map(PathBuf::from);
    let Some(pre_commit) = named.or_else(|| is_there("pre-commit").then(|| "pre-commit".into()))
    else {
        return;
    };
    let ground = with_a_staged_leak();
    let fleet = &ground.fleet;
    let run = |program: &Path, arguments: &[&str], folder: &Path| {
        let mut command = fleet.around(program, arguments);
        command
            .current_dir(folder)
            .env("SECRETCTL_IDENTITY", fleet.key("alice"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("PRE_COMMIT_HOME", fleet.root().join("pre-commit"));
        let run = finish(command, b"");
        let all = format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
        assert!(!all.contains(SECRET), "{all}");
        (run.code, all)
    };
    let git = |arguments: &[&str], folder: &Path| {
        let mut all = vec!["-c", "user.name=a", "-c", "user.email=a@b"];
        all.extend(arguments);
        run(Path::new("git"), &all, folder)
    };
    // this repository, as much of it as is asked for
    let ours = fleet.root().join("ours");
    fs::create_dir(&ours).unwrap();
    fs::write(ours.join(".pre-commit-hooks.yaml"), HOOKS).unwrap();
    for arguments in [&["init", "-q"][..], &["add", "."], &["commit", "-qm", "one"], &["tag", "v1"]]
    {
        assert_eq!(git(arguments, &ours).0, 0);
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/how-to/scan.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, told) = page.split_once("`.pre-commit-config.yaml`:\n\n").unwrap();
    let config: Vec<&str> = told.lines().map_while(|line| line.strip_prefix("    ")).collect();
    let config = config.join("\n");
    let config = config.replace("URL", ours.to_str().unwrap()).replace("REVISION", "v1");
    fs::write(fleet.path(".pre-commit-config.yaml"), config).unwrap();
    let here = fleet.path(".");
    assert_eq!(git(&["add", ".pre-commit-config.yaml"], &here).0, 0);
    let installed = run(&pre_commit, &["install"], &here);
    assert_eq!(installed.0, 0, "{}", installed.1);
    let (code, said) = git(&["commit", "-qm", "two"], &here);
    assert!(code != 0 && said.contains("app.conf") && said.contains("secretctl-scan"), "{said}");
    assert_eq!(git(&["rm", "-q", "--cached", "app.conf"], &here).0, 0);
    let (code, said) = git(&["commit", "-qm", "two"], &here);
    assert!(code == 0 && said.contains("Passed"), "{said}");
}

#[test]
fn a_stream_is_searched_as_a_nar() {
    if !is_there("nix-store") {
        return;
    }
    let ground = Ground::new();
    ground.make("mkdir d; mv plain.txt d/x; nix-store --dump d > ../nar");
    let nar = fs::read(ground.fleet.root().join("nar")).unwrap();
    let run = finish(ground.command(&["--json", "--nar", "-"]), &nar);
    let report = Report::of(&run);
    assert_eq!((report.code, report.places()), (1, vec!["standard input!x".to_owned()]));
    let run = finish(ground.command(&["--json", "--nar", "-"]), &nar[..nar.len() / 2]);
    assert_eq!(Report::of(&run).code, 2);
    let packed = finish(around_gzip(&ground), &nar);
    let run = finish(ground.command(&["--json", "--nar", "-"]), &packed.stdout);
    assert_eq!((Report::of(&run).code, Report::of(&run).gaps()), (1, vec![]));
    // whatever should have made one has failed, or made something else
    for other in [&b""[..], b"error: path is not valid\n", &nar[8..]] {
        let run = finish(ground.command(&["--json", "--nar", "-"]), other);
        assert_eq!(Report::of(&run).code, 2, "{other:.20?}");
    }
}

fn around_gzip(ground: &Ground) -> Command {
    ground.fleet.around(Path::new("gzip"), &["-c"])
}

impl Ground {
    /// Encrypts as a sops file for alice.
    fn sops(&self, name: &Path, content: &str) {
        let (name, key) = (name.to_str().unwrap(), self.fleet.public("alice"));
        let arguments = ["encrypt", "-r", &key, "--type", "sops", "-o", name];
        self.fleet.feed(&arguments, content.as_bytes()).done();
    }

    /// The files that are told as plaintext of others, each with the other.
    fn siblings(&self, arguments: &[&str]) -> Vec<(String, String)> {
        let report = Report::of(&self.run(&[&["--json", "--heuristics"], arguments].concat()));
        let root = fs::canonicalize(self.fleet.root()).unwrap();
        let short = |path: &Value| {
            let path = path.as_str().unwrap();
            Path::new(path)
                .strip_prefix(&root)
                .map_or(path.into(), |path| path.display().to_string())
        };
        let findings = report.all("finding").into_iter();
        let siblings: Vec<_> = findings
            .filter(|finding| finding["kind"] == "decrypted-sibling")
            .map(|finding| (short(&finding["files"][0]), short(&finding["secrets"][0]["file"])))
            .collect();
        assert!(siblings.is_empty() || report.code == 1);
        siblings
    }
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(file, other)| ((*file).to_owned(), (*other).to_owned())).collect()
}

#[test]
fn what_lies_decrypted_beside_an_encrypted_file_is_found_by_its_name() {
    let ground = Ground::new();
    ground.fleet.put("secrets/db.yaml.age", b"password: another-value-93hd7\n");
    fs::copy(ground.fleet.path("secrets/db.yaml.age"), ground.path("db.yaml.age")).unwrap();
    ground.write("db.yaml", b"password: not the same\n");
    ground.sops(&ground.path("a/secrets.enc.yaml"), "password: another-value-93hd7\n");
    ground.write("a/secrets.yaml", b"password: not the same\n");
    ground.sops(&ground.path("b/token.json"), r#"{"token": "another-value-93hd7", "port": 1}"#);
    ground.write("b/token.dec.json", br#"{"token": "not the same", "port": 1}"#);
    // by the name: what is encrypted, an example, what stands beside something that is not encrypted
    for name in ["c.yaml", "d.yaml", "e.yaml", "f"] {
        let age = format!("decoys/{name}.age");
        ground.write(&age, &fs::read(ground.path("db.yaml.age")).unwrap());
    }
    ground.write("decoys/c.yaml", &fs::read(ground.path("a/secrets.enc.yaml")).unwrap());
    ground.write("decoys/d.yaml", b"password: <your password>\nuser: ''\nport: 80\nhost:\n");
    ground.write("decoys/e.yaml", b"# password: not the same\n");
    ground.write("decoys/f", b"# here\nPASSWORD=changeme\n");
    ground.write("decoys/g.enc.yaml", b"password: not the same\n");
    ground.write("decoys/g.yaml", b"password: not the same\n");
    ground.write("decoys/h.plain.html", b"<p>a</p>");
    ground.write("decoys/h.html", b"<p>b</p>");
    let expected = pairs(&[
        ("ground/a/secrets.yaml", "ground/a/secrets.enc.yaml"),
        ("ground/b/token.dec.json", "ground/b/token.json"),
        ("ground/db.yaml", "ground/db.yaml.age"),
    ]);
    assert_eq!(ground.siblings(&["../ground"]), expected);
    let run = ground.run(&["--json", "../ground"]);
    assert!(!String::from_utf8_lossy(&run.stdout).contains("decrypted-sibling"));
}

#[test]
fn the_work_tree_is_looked_at_only_where_it_is_scanned() {
    let ground = Ground::new();
    ground.fleet.put("secrets/db.yaml.age", b"password: another-value-93hd7\n");
    fs::write(ground.fleet.path("secrets/db.dec.yaml"), "password: not the same\n").unwrap();
    fs::write(ground.fleet.path("secrets/db.yaml"), "password: not the same\n").unwrap();
    ground.write("readme", b"nothing\n");
    assert_eq!(ground.siblings(&["../ground"]), []);
    let expected = pairs(&[("repo/secrets/db.yaml", "repo/secrets/db.yaml.age")]);
    assert_eq!(ground.siblings(&["."]), expected);
}

#[test]
fn a_copy_of_the_repository_with_a_file_in_the_open_is_found_by_place_and_keys() {
    let ground = Ground::new();
    let hash = "0123456789abcdfghijklmnpqrsvwxyz";
    ground.fleet.put("secrets/app.yaml.age", b"user: app\npassword: another-value-93hd7\n");
    ground.sops(&ground.fleet.path("secrets/db.yaml"), "password: another-value-93hd7\nport: 80\n");
    let source = |name: &str| format!("{hash}-source/{name}");
    ground.write(&source("secrets/app.yaml"), b"password: not the same\nuser: app\n");
    ground.write(&source("secrets/db.yaml"), b"port: 81\npassword: not the same\n");
    ground.write(&format!("{hash}-db.yaml"), b"port: 81\npassword: not the same\n");
    let decoys = [
        // elsewhere, other keys, encrypted still, no value
        ("a/config/db.yaml", "port: 81\npassword: not the same\n".to_owned()),
        ("b/secrets/db.yaml", "password: not the same\n".to_owned()),
        ("c/secrets/db.yaml", fs::read_to_string(ground.fleet.path("secrets/db.yaml")).unwrap()),
        ("d/secrets/db.yaml", "password: changeme\nport: 80\n".to_owned()),
        ("e/secrets/db.yaml", "not: [a, document".to_owned()),
    ];
    for (name, content) in &decoys {
        ground.write(name, content.as_bytes());
    }
    let (app, db) = (source("secrets/app.yaml"), source("secrets/db.yaml"));
    let (app, db) = (format!("ground/{app}"), format!("ground/{db}"));
    let expected = [(&*app, "secrets/app.yaml.age"), (&*db, "secrets/db.yaml")];
    let expected = expected.map(|(file, other)| (file.to_owned(), format!("repo/{other}")));
    assert_eq!(ground.siblings(&["../ground"]), expected);
    let file = format!("../ground/{hash}-db.yaml");
    assert_eq!(ground.siblings(&[&file]).len(), 1);
    assert_eq!(ground.siblings(&["."]), []);
}

/// What it holds may lie anywhere: only the owner of a file for others is somebody else.
#[test]
fn a_secret_file_that_is_damaged_makes_the_run_incomplete() {
    let ground = Ground::new();
    ground.write("clean", b"nothing\n");
    let stranger = Ground::new();
    let theirs = fs::read(stranger.fleet.path("secrets/token.age")).unwrap();
    fs::write(ground.fleet.path("secrets/theirs.age"), theirs).unwrap();
    let report = ground.scan();
    assert_eq!((report.code, report.all("notOpened").len(), report.gaps().len()), (0, 1, 0));

    let file = ground.fleet.path("secrets/other.age");
    ground.fleet.put("secrets/other.age", b"q7Rk2mVw9ZtB4nXc");
    let sound = fs::read(&file).unwrap();
    let payload = sound.windows(5).position(|five| five == b"\n--- ").unwrap();
    let flipped = |at: usize| {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        bytes
    };
    let damages = [
        ("its payload", flipped(sound.len() - 1)),
        ("its MAC", flipped(payload + 8)),
        ("its first line", flipped(0)),
        ("its end", sound[..sound.len() - 9].to_vec()),
        ("its header", sound[..payload].to_vec()),
    ];
    for (what, bytes) in damages {
        fs::write(&file, bytes).unwrap();
        let run = ground.run(&["../ground"]).ended(2);
        assert!(run.stderr.contains("secrets/other.age"), "{what}: {}", run.stderr);
        assert!(run.stderr.contains("not complete: 1 thing"), "{what}: {}", run.stderr);
        // nobody gave that option
        assert!(!run.stderr.contains("--secret-file"), "{what}: {}", run.stderr);
        let report = ground.scan();
        let summary = report.all("summary");
        assert_eq!((report.code, &summary[0]["complete"]), (2, &Value::from(false)), "{what}");
        assert_eq!(report.gaps().len(), 1, "{what}");
        let named = ground.run(&["--secret-file", "secrets/other.age", "../ground"]).ended(2);
        assert!(named.stderr.contains("secrets/other.age"), "{what}: {}", named.stderr);
    }
    let recipient =
        ["--pack-recipient", "age1pracjgvjm7sd400hdc49fmymlgwxlj7807g30xzsuhwz3m3cyyys2jz3u2"];
    let run = ground.run(&["--make-pack", "p.pack", recipient[0], recipient[1]]).ended(2);
    assert!(run.stderr.contains("secrets/other.age"), "{}", run.stderr);
}

#[test]
fn a_sops_file_that_is_damaged_makes_the_run_incomplete() {
    let ground = Ground::new();
    ground.fleet.put("secrets/app.yaml", b"token: q7Rk2mVw9ZtB4nXc\n");
    ground.write("clean", b"nothing\n");
    assert_eq!(ground.scan().code, 0);
    let file = ground.fleet.path("secrets/app.yaml");
    let sound = fs::read_to_string(&file).unwrap();
    let value = sound.find("data:").unwrap() + 5;
    let other = if sound.as_bytes()[value] == b'A' { "B" } else { "A" };
    let mut wrong = sound.clone();
    wrong.replace_range(value..=value, other);
    let bare = sound[..sound.find("sops:").unwrap()].to_owned();
    for text in [wrong, bare, sound[..sound.len() / 2].to_owned()] {
        fs::write(&file, &text).unwrap();
        let run = ground.run(&["../ground"]).ended(2);
        assert!(run.stderr.contains("secrets/app.yaml"), "{text} {}", run.stderr);
    }
}

/// A value of a few bits is told where it stands in a text, also in one that a container holds.
#[test]
fn what_is_easy_to_guess_is_found_in_texts_only() {
    let ground = Ground::new();
    ground.fleet.put("secrets/weak.age", b"hunter2-xq9");
    let padding = "\0\u{1}\u{2}\u{3}".repeat(20);
    ground.write("program", format!("\u{7f}ELF{padding}hunter2-xq9{padding}").as_bytes());
    assert_eq!(ground.scan().places(), [] as [&str; 0]);
    ground.write("text", b"pin=hunter2-xq9\n");
    ground.write("hunter2-xq9/x", b"");
    let mut expected = vec![String::new(), "text".to_owned()];
    let mut make = |programs: &[&str], script: &str, place: &str| {
        if programs.iter().all(|name| is_there(name)) {
            ground.make(&format!("printf 'a hunter2-xq9' > weak; {script}; rm -f weak"));
            expected.push(place.to_owned());
        }
    };
    make(&["tar"], "tar cf a.tar weak", "a.tar!weak");
    make(
        &["sqlite3"],
        "printf \"create table t(a, b, c); insert into t values('key', 'hunter2-xq9', 5);\" | sqlite3 a.db",
        "a.db!t",
    );
    make(
        &["git"],
        "git init -q r; git -C r hash-object -qw ../weak 2>/dev/null || git -C r hash-object -w ../weak",
        "r/.git",
    );
    let places = ground.scan().places();
    for place in &expected {
        assert!(places.iter().any(|it| it.starts_with(place.as_str())), "{place} in {places:?}");
    }
    assert!(!places.contains(&"program".to_owned()), "{places:?}");
}

#[test]
fn without_anything_to_look_for_a_scan_is_an_error() {
    let ground = Ground::new();
    let mut command = ground.fleet.bare(&["scan", "../ground"]);
    command.env("SECRETCTL_IDENTITY", ground.fleet.key("stranger"));
    let run = finish(command, b"").ended(2);
    assert!(run.stderr.contains("nothing to look for"), "{}", run.stderr);
    assert!(run.stderr.contains("secrets/token.age"), "{}", run.stderr);
}
