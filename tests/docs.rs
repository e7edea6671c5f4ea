//! Holds the documentation to the program: the commands in it are run, the page of the command
//! line is the one that the definitions give, and every link leads somewhere.
//!
//! After a change of the command line: `cargo test --test docs -- --ignored bless`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a test stops at the first surprise and says what it skips"
)]

#[path = "docs/cli_page.rs"]
mod cli_page;
#[path = "docs/console.rs"]
mod console;
#[path = "docs/links.rs"]
mod links;
#[path = "docs/proofs.rs"]
mod proofs;
#[path = "docs/recipes.rs"]
mod recipes;

use std::fs;
use std::path::{Path, PathBuf};

const CLI_PAGE: &str = "docs/reference/cli.md";

#[test]
fn the_page_of_the_command_line_is_up_to_date() {
    let page = fs::read_to_string(root().join(CLI_PAGE)).unwrap_or_default();
    assert!(
        page == cli_page::page(),
        "{CLI_PAGE} is stale: run `cargo test --test docs -- --ignored bless` and look at it"
    );
}

/// Not a check: writes the page of the command line.
#[test]
#[ignore = "it writes into the repository"]
fn bless() {
    fs::write(root().join(CLI_PAGE), cli_page::page()).unwrap();
}

#[test]
fn every_link_leads_somewhere() {
    let problems = links::broken(&pages());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_page_can_be_reached() {
    let strays = links::unreachable(&root().join("README.md"), &pages());
    assert!(strays.is_empty(), "no link from README.md leads to {strays:?}");
}

/// A feature that no test holds would be a promise.
#[test]
fn every_feature_names_a_test_that_exists() {
    names_tests("docs/reference/compatibility.md");
}

/// So would a promise.
#[test]
fn every_promise_of_the_threat_model_names_a_test_that_exists() {
    names_tests("docs/threat-model.md");
}

#[track_caller]
fn names_tests(page: &str) {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let problems = proofs::missing(&text, root());
    assert!(problems.is_empty(), "{page}:\n{}", problems.join("\n"));
    assert!(text.matches(".rs::").count() > 50, "the tests are not found");
}

#[test]
fn every_variable_is_documented() {
    let page = fs::read_to_string(root().join("docs/reference/environment.md")).unwrap();
    let mut sources = Vec::new();
    walk(&root().join("src"), "rs", &mut sources);
    for source in sources {
        for word in fs::read_to_string(source).unwrap().split(|c: char| !is_name(c)) {
            let name = word.strip_prefix("SECRETCTL_").unwrap_or_default();
            let is_ours = !name.is_empty() && !name.starts_with("TEST_");
            assert!(!is_ours || page.contains(&format!("`{word}`")), "{word} is not documented");
        }
    }
}

#[test]
fn the_commands_of_the_readme_work() {
    assert_eq!(run_page("README.md"), None);
}

#[test]
fn the_commands_of_the_how_tos_work() {
    let mut how_tos = Vec::new();
    walk(&root().join("docs/how-to"), "md", &mut how_tos);
    assert!(!how_tos.is_empty());
    let pages = how_tos.iter().map(|page| page.strip_prefix(root()).unwrap().to_str().unwrap());
    let problems: Vec<String> = pages.filter_map(run_page).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

/// The jobs of the page, with the program on the `PATH` in place of an installation: they pass where all is
/// encrypted for its readers, and fail where it is not.
#[test]
fn the_recipes_for_continuous_integration_work() {
    let page = fs::read_to_string(root().join("docs/how-to/ci.md")).unwrap();
    for (title, shell) in [("## GitHub", "bash"), ("## GitLab", "sh")] {
        let commands = recipes::commands(recipes::section(&page, title));
        assert_eq!(commands.len(), 2, "{commands:?}");
        for (change, code) in [
            ("true", 0),
            ("echo hunter2 >mail.age", 1),
            ("secretctl host add web1 --key ~/web1.pub --to defaultEncryptKeys --no-rekey", 1),
        ] {
            let script =
                format!("cargo() {{ true; }}\n{REPOSITORY}\n{change} >&2\n{}", commands.join("\n"));
            let folder = tempfile::tempdir().unwrap();
            let output = assert_cmd::Command::new(shell)
                .args(["-ec", &script])
                .current_dir(&folder)
                .env_clear()
                .env("PATH", console::path())
                .env("HOME", folder.path())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{title}, {change}: {said}");
        }
    }
}

const REPOSITORY: &str = "
for name in alice web1; do ssh-keygen -q -t ed25519 -N '' -C $name@here -f ~/$name; done
mkdir repository; cd repository
{ git init -q .; secretctl init; secretctl user add alice --key ~/alice.pub --to defaultEncryptKeys; } >&2
sed -i '/^secrets: /d' secretctl.yaml
printf 'secrets:\\n  - path: \"*.age\"\\n' >>secretctl.yaml
echo sesame | secretctl edit db.age >&2";

/// Runs a page and says what differs.
fn run_page(page: &str) -> Option<String> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    match console::run(&text, page) {
        console::Outcome::Passed(0) => Some(format!("{page} has no block that a test runs")),
        console::Outcome::Passed(_) => None,
        console::Outcome::Skipped(missing) => {
            assert!(std::env::var_os("SECRETCTL_TEST_STRICT").is_none(), "{missing} is missing");
            println!("skipped: {page}: {missing} is missing");
            None
        }
        console::Outcome::Failed(why) => Some(why),
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All pages of the repository.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    walk(root(), "md", &mut pages);
    pages
}

fn walk(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            walk(&path, extension, found);
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
