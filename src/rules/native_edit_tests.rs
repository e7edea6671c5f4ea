//! Edits in place, on neat and on odd layouts.

use super::*;
use proptest::prelude::*;

const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIXwjlGHWRdpIbnXAC5rHGFGF1sCmlAskMUNFmOIyaRL";
const B: &str = "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t";

fn file() -> &'static Path {
    Path::new("secretctl.yaml")
}

fn added(text: &str) -> String {
    let key = format!("{A} root@new: # \"1\"");
    add_reader(text, file(), Section::Hosts, "new", &[&key], &[]).unwrap().text
}

fn removed(text: &str, name: &str) -> Result<Edited, EditError> {
    remove_reader(text, file(), Section::Hosts, name)
}

/// `A` and `B` stand for the keys.
fn keyed(text: &str) -> String {
    text.replace("<A>", A).replace("<B>", B)
}

#[test]
fn adds_a_host_to_every_layout() {
    let texts = [
        "",
        "# nothing\n",
        "# no line end",
        "---\n",
        "users:\n  a: <A> # a\n# end\n",
        "users:\n  a: <A>\n...\n",
        "hosts:\n",
        "hosts: ~ # none\nsecrets: []",
        "hosts: {} # none\n",
        "hosts:   {}\n",
        "hosts: { }\n",
        "{}",
        "{hosts: {}}",
        "{users: {a: <A>},}\n",
        "hosts: {a: <A>, 'b': [<B>,], }\n",
        "hosts: {\n  a: \"<A>\" # first\n}\n",
        "   hosts:\n         a: <A> # one\n         # two\n\n\n   secrets: []\n",
        "hosts:\n  a: |\n    <A>\n\n\nsecrets: []\n",
        "hosts:\n  a:\n  - <A>\n  -   <B> # second",
        "hosts:\r\n  a: <A> x\r\nusers: {}\r\n",
        "hosts:\r\n  a: <A> x",
        "\u{feff}hosts:\n  a: <A>\n",
        "\"hosts\" :\n  a: >-\n    <A>\n    folded\nsecrets: []",
    ];
    let shown = texts
        .map(|text| added(&keyed(text)).replace(A, "<A>").replace(B, "<B>").replace('\r', "␍"));
    insta::assert_snapshot!(shown.join("⏹\n"));
}

#[test]
fn layouts_that_cannot_be_edited_are_left_alone() {
    let text = keyed("? hosts\n: a: <A>\n");
    let key = [A];
    let error = add_reader(&text, file(), Section::Hosts, "new", &key, &[]).unwrap_err();
    assert!(matches!(error, EditError::Layout { .. }), "{error}");
}

#[test]
fn a_removed_host_leaves_every_list() {
    let text = keyed(
        "users: {me: <A>}\nhosts:\n  web1: <B> # the first\n  \"web2\":\n    - <A>\n\n  # last\n  \
         web3: <A>\ngroups:\n  web: [web1, '@web2', web3, web1]\n  more:\n  - web1 # here\n  - \
         me\ndefaultEncryptKeys: [me, web1]\nsecrets:\n- path: a\n  readers: [ web1, web3 ]\n- \
         readers:\n    - me\n    - \"@web1\"\n  path: b\n",
    );
    let edited = removed(&text, "web1").unwrap();
    let touched: Vec<String> = edited
        .touched
        .iter()
        .map(|(what, place)| format!("{what} ({})", place.as_ref().unwrap()))
        .collect();
    insta::assert_snapshot!(format!(
        "{}\n{}",
        edited.text.replace(A, "<A>").replace(B, "<B>"),
        touched.join("\n")
    ));
}

#[test]
fn a_list_is_never_left_empty() {
    let text = keyed(
        "hosts: {a: <A>, b: <B>}\ngroups: {g: [a]}\nsecrets:\n- {path: x, readers: a}\n- {path: \
         y, readers: [a, b]}\n- {path: z, readers: ['@a', a]}\n",
    );
    let error = removed(&text, "a").unwrap_err();
    insta::assert_snapshot!(error.to_string());
    assert!(removed(&text, "c").unwrap_err().to_string().contains("`c` is not in `hosts`"));
}

#[test]
fn the_last_host_leaves_an_empty_section() {
    let text = keyed("hosts: # machines\n  a: <A>\nusers: {}\n");
    assert_eq!(removed(&text, "a").unwrap().text, "hosts: {} # machines\nusers: {}\n");
    let text = keyed("hosts: { a: <A>, } # machines\n");
    assert_eq!(removed(&text, "a").unwrap().text, "hosts: {  } # machines\n");
}

#[test]
fn readers_join_lists() {
    let base = keyed("hosts: {a: <A>, b: <B>, 'no': <B>}\n");
    let join = |text: &str, list, name| {
        let mut edit = Edit::begin(&format!("{base}{text}"), file())?;
        edit.join(list, name)?;
        edit.finish()
    };
    let shown = [
        ("secrets:\n- path: x\n  readers: [a]\n", List::Rule("x"), "no"),
        ("secrets:\n- path: x\n  readers: a # one\n", List::Rule("x"), "b"),
        ("secrets:\n  - path: x\n    readers:\n    - a # one\n", List::Rule("x"), "b"),
        ("defaultEncryptKeys: a\nsecrets:\n  - path: x # one\n", List::Rule("x"), "b"),
        ("defaultEncryptKeys: a\nsecrets: [{path: x}]\n", List::Rule("x"), "b"),
        ("groups: {}\n", List::Group("g"), "b"),
        ("groups:\n  g: []", List::Group("g"), "b"),
        ("", List::Masters, "b"),
        ("defaultEncryptKeys:\n- a\n", List::Masters, "b"),
        ("defaultEncryptKeys: # nobody\n", List::Masters, "b"),
    ]
    .map(|(text, list, name)| join(text, list, name).unwrap().text.replace(&base, ""));
    insta::assert_snapshot!(shown.join("⏹\n"));

    let error = |text: &str, list, name| join(text, list, name).unwrap_err().to_string();
    let rule = "secrets: [{path: x, readers: [a]}]\n";
    insta::assert_snapshot!(
        [
            error(rule, List::Rule("y"), "a"),
            error(rule, List::Rule("x"), "a"),
            error(rule, List::Rule("x"), "c"),
        ]
        .join("\n")
    );
}

#[test]
fn an_edit_may_bring_the_reader_that_a_secret_lacks() {
    let add = |text: &str, lists: &[List<'_>]| {
        add_reader(text, file(), Section::Users, "me", &[A], lists)
            .map(|edited| edited.text.replace(A, "<A>"))
            .map_err(|error| error.to_string())
    };
    let text = "defaultEncryptKeys: []\nsecrets:\n  - path: x\n  - path: y\n    readers: []\n";
    let cured = "defaultEncryptKeys: [me]\nsecrets:\n  - path: x\n  - path: y\n    readers: []\n\
                 users:\n  me: \"<A>\"\n";
    assert_eq!(add(text, &[List::Masters]).unwrap(), cured);
    // One rule of two is not enough, nor is a group that nobody names, and other faults stay.
    assert!(add(text, &[List::Rule("x")]).unwrap_err().contains("nobody could read `y`"));
    assert!(add(text, &[List::Rule("x"), List::Rule("y")]).is_ok());
    assert!(add(text, &[List::Group("g")]).unwrap_err().contains("nobody could read `x`"));
    assert!(add(text, &[]).unwrap_err().contains("nobody could read `x`"));
    let wrong = format!("{text}groups: {{g: [nemo]}}\n");
    assert!(add(&wrong, &[List::Masters]).unwrap_err().contains("nobody is called `nemo`"));
}

#[test]
fn a_taken_name_and_a_bad_key_are_refused() {
    let text = keyed("users:\n  a: <A>\n");
    let error = |name, key| {
        add_reader(&text, file(), Section::Hosts, name, &[key], &[]).unwrap_err().to_string()
    };
    assert_eq!(error("a", B), "`a` is declared already at secretctl.yaml:2:3");
    assert!(error("b", "ssh-ed25519 AAAA").contains("the key of `b`"));
    assert!(error("@b", B).contains("cannot be a name"));
}

/// Sections as people write them, with `{}` where there is nothing.
fn layout() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b-1", "'c'", "\"d\"", "e.f"]);
    let comment = prop::sample::select(vec!["", " # c", "   # : \"", "  "]);
    let end = prop::sample::select(vec!["\n", "\r\n"]);
    let names = prop::collection::hash_set(name, 0..4);
    let tail =
        prop::sample::select(vec!["", "# tail", "users: {}", "groups: {}\n\n", "  # tail\n\n"]);
    (names, comment, end, 1..6_usize, any::<bool>(), tail).prop_map(
        |(names, comment, end, indent, flow, tail)| {
            let entries: Vec<String> = names.iter().map(|name| format!("{name}: {A} x")).collect();
            let body = if entries.is_empty() {
                format!(" {{}}{comment}\n")
            } else if flow {
                format!(" {{ {} }}{comment}\n", entries.join(" , "))
            } else {
                let lines = entries.iter().map(|e| format!("{:indent$}{e}{comment}\n", ""));
                format!("{comment}\n{}", lines.collect::<String>())
            };
            format!("# top\nhosts:{body}{tail}").replace('\n', end)
        },
    )
}

proptest! {
    #[test]
    fn adding_then_removing_a_host_gives_the_text_back(text in layout(), comment in ".{0,20}") {
        let key = format!("{A} {comment}");
        match add_reader(&text, file(), Section::Hosts, "new", &[key.as_str()], &[]) {
            Ok(edited) => {
                prop_assert_eq!(removed(&edited.text, "new").unwrap().text, text);
            }
            // A comment may hold what no key line may.
            Err(error) => prop_assert!(matches!(error, EditError::Rules(_)), "{}", error),
        }
    }
}
