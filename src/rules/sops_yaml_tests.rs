//! Tests of `.sops.yaml`: what each part means, then each mistake once. The behaviours are those
//! of `config_test.go` of sops, in our own files. All keys are test-only.

use std::fmt::Write as _;

use super::*;
use crate::key::wrapping::WrappingKey;
use crate::rules::{NamedKey, SopsReaders};

const ALICE: &str = "age1yeegckjfl59gza84q5ev943nch3uyxan8xc6cmac8ftx3j27wpns5ygmrg";
const BOB: &str = "age13tr6mwvzzwtqg846f6grv6l56fq8xkpggxeyyvve75yrv3svvcqqnjg46c";
const WEB: &str = "age19wc3lrrlsf02gd3elcmcnefczgr4pj4p9lq0wvskftenmpkydqush8pu3l";
const SSH: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIXwjlGHWRdpIbnXAC5rHGFGF1sCmlAskMUNFmOIyaRL";
const ARN: &str = "arn:aws:kms:eu-west-1:107501996527:key/612d5f0a";
const GCP: &str = "projects/p/locations/global/keyRings/r/cryptoKeys/k";
const AZURE: &str = "https://a.vault.azure.net/keys/k/v2";
const VAULT: &str = "https://v.example:8200/v1/transit/keys/k";

/// With the keys in place of their names.
fn filled(text: &str) -> String {
    let keys = [
        ("<ALICE>", ALICE),
        ("<BOB>", BOB),
        ("<WEB>", WEB),
        ("<SSH>", SSH),
        ("<ARN>", ARN),
        ("<GCP>", GCP),
        ("<AZURE>", AZURE),
        ("<VAULT>", VAULT),
    ];
    keys.iter().fold(text.to_owned(), |text, (name, key)| text.replace(name, key))
}

fn parsed(text: &str) -> SopsYaml {
    parse(&filled(text), Path::new("/repo/.sops.yaml")).unwrap_or_else(|error| panic!("{error}"))
}

fn rules(text: &str) -> Rules {
    parsed(text).rules.unwrap()
}

fn readers(text: &str, path: &str) -> SopsReaders {
    let rules = rules(text);
    let rule = rules.find(&Path::new("/repo").join(path)).unwrap_or_else(|| panic!("no rule"));
    assert_eq!(rule.problems, []);
    rules.wrapping(rule)
}

/// Names and kinds of the keys, groups apart.
fn told(readers: &SopsReaders) -> String {
    let key = |named: &NamedKey| {
        let kind = named.key.kind().name();
        let WrappingKey::Kms { role, context, aws_profile, .. } = &named.key else {
            return format!("{} {kind}", named.reader);
        };
        let role = role.as_deref().unwrap_or_default();
        format!("{} {kind}({role} {context:?} {aws_profile})", named.reader)
    };
    let group = |keys: &Vec<NamedKey>| keys.iter().map(key).collect::<Vec<_>>().join(", ");
    readers.groups.iter().map(group).collect::<Vec<_>>().join("\n")
}

/// What is wrong with the file, or with its rules.
fn problems(text: &str) -> String {
    let all = match parse(&filled(text), Path::new(".sops.yaml")) {
        Err(RulesError::Problems { problems, .. }) => problems,
        Err(error) => panic!("{error}"),
        Ok(sops) => {
            let rules = sops.rules.unwrap_or_else(|| panic!("nothing is wrong"));
            rules.rules.into_iter().flat_map(|rule| rule.problems).collect()
        }
    };
    let lines: Vec<String> = all.iter().map(ToString::to_string).collect();
    lines.join("\n") + "\n"
}

#[test]
fn anchors_name_the_keys() {
    let text = "keys:\n  - &admin_alice <ALICE>\n  - &host-web <WEB>\n  - &pgp_bob FBC7 B9E2\n\
                creation_rules:\n  - path_regex: secrets/[^/]+\\.yaml$\n    key_groups:\n    - age:\n      \
                - *admin_alice\n      - *host-web\n      pgp: [*pgp_bob]\n";
    let readers = readers(text, "secrets/a.yaml");
    assert_eq!(told(&readers), "admin_alice age, host-web age, pgp_bob pgp");
    assert_eq!(readers.groups[0][0].place.to_string(), "/repo/.sops.yaml:2:18");
    assert_eq!(readers.groups[0][2].key, WrappingKey::Pgp("FBC7B9E2".to_owned()));
    let sops = parsed(text);
    assert_eq!(sops.notes, [] as [&str; 0], "a place for anchors is no slip");
    let rules = sops.rules.unwrap();
    let rule = rules.find(Path::new("/repo/secrets/a.yaml")).unwrap();
    assert_eq!(rule.place.to_string(), "/repo/.sops.yaml:6:5");
    assert!(rules.find(Path::new("/repo/secrets/a/b.yaml")).is_none());
}

#[test]
fn a_key_without_an_anchor_is_named_by_its_comment_or_itself() {
    let text = "creation_rules:\n- age:\n  - <ALICE> # alice, laptop\n  - \"<SSH> bob@desk\"\n  - \
                <WEB>\n  pgp: FBC7 # carol\n";
    assert_eq!(
        told(&readers(text, "x")),
        "alice, laptop age, bob@desk age, age19wc3lrrl..h8pu3l age, carol pgp"
    );
    let later = "creation_rules:\n- {path_regex: a, age: <ALICE>}\n- age: &alice <ALICE>\n";
    assert_eq!(told(&readers(later, "a")), "alice age", "the best name anywhere");
}

#[test]
fn flat_rules_take_texts_with_commas_and_lists() {
    let text = "creation_rules:\n- path_regex: list\n  age: [<ALICE>, '<BOB>,<WEB>']\n  pgp: [AA, BB]\n  \
                kms: ['<ARN>']\n  gcp_kms: ['<GCP>']\n  hckms: ['tr-west-1:k']\n  azure_keyvault: \
                ['<AZURE>']\n  hc_vault_transit_uri: ['<VAULT>']\n  aws_profile: prod\n- age: >-\n    \
                <ALICE>,\n    <BOB>,\n\n    <WEB>,\n  hc_vault_transit_uri: <VAULT>\n  \
                azure_keyvault: <AZURE>\n  hckms: tr-west-1:k\n  gcp_kms: <GCP>\n  pgp: AA, BB\n  kms: \
                '<ARN>,<ARN>+arn:aws:iam::1:role/x'\n";
    let list = told(&readers(text, "list"));
    assert_eq!(list.matches("..").count(), 3, "age keys, named by themselves");
    assert!(
        list.ends_with(&format!(
            "AA pgp, BB pgp, {ARN}||prod kms( {{}} prod), {GCP} gcp_kms, tr-west-1:k hckms, {AZURE} \
             azure_kv, {VAULT} hc_vault"
        )),
        "{list}"
    );
    let flat = told(&readers(text, "other"));
    assert_eq!(flat.matches("..").count(), 3);
    assert!(
        flat.ends_with(&format!(
            "AA pgp, BB pgp, {ARN} kms( {{}} ), {ARN}+arn:aws:iam::1:role/x kms(arn:aws:iam::1:role/x {{}} ), {GCP} \
             gcp_kms, tr-west-1:k hckms, {AZURE} azure_kv, {VAULT} hc_vault"
        )),
        "{flat}"
    );
}

#[test]
fn the_first_match_wins() {
    let text = "creation_rules:\n- path_regex: stage/dev/feature-.*\n  age: &feature <ALICE>\n- \
                path_regex: stage/dev/.*\n  age: &dev <BOB>\n- path_regex: stage/.*/.*\n  age: &rest \
                <WEB>\n";
    for (path, reader) in [
        ("stage/dev/feature-x.yml", "feature age"),
        ("stage/dev/api.yml", "dev age"),
        ("stage/prod/api.yml", "rest age"),
        ("a/stage/prod/api.yml", "rest age"),
    ] {
        assert_eq!(told(&readers(text, path)), reader, "{path}");
    }
    assert!(rules(text).find(Path::new("/repo/stage.yml")).is_none());
    let empty = "creation_rules:\n-\n- age: &one <ALICE>\n";
    assert_eq!(told(&readers(empty, "x")), "one age", "an empty item is no rule");
    let all = "creation_rules:\n- {path_regex: '', age: &all <ALICE>}\n- age: &never <BOB>\n";
    assert_eq!(told(&readers(all, "x")), "all age");
    assert_eq!(told(&readers(all, "/elsewhere/x")), "all age");
}

#[test]
fn a_path_is_relative_below_the_folder_and_absolute_outside() {
    let rules = rules(
        "creation_rules:\n- {path_regex: ^secrets/, age: <ALICE>}\n- {path_regex: \
                       ^/else/, age: <BOB>}\n- {path_regex: repo, age: <WEB>}\n",
    );
    let found = |path: &str| rules.find(Path::new(path)).map(|rule| rule.place.line);
    assert_eq!(found("/repo/secrets/a"), Some(2));
    assert_eq!(found("/repo/x/../secrets/a"), Some(2));
    assert_eq!(found("/else/a"), Some(3));
    assert_eq!(found("/repo/a"), None, "the folder itself is no part of the path");
    assert_eq!(found("/repository/a"), Some(4));
}

#[test]
fn groups_hold_keys_of_every_kind() {
    let text = "creation_rules:\n- shamir_threshold: 2\n  key_groups:\n  - age: ['<ALICE>, <BOB>', <ALICE>]\n    \
                pgp: [AA]\n    kms:\n    - &one {arn: '<ARN>', aws_profile: prod}\n    - arn: <ARN>\n      \
                role: arn:aws:iam::1:role/x\n      context: {app: web}\n    - {arn: '<ARN>', \
                aws_profile: prod}\n    gcp_kms: [{resource_id: '<GCP>'}]\n    hckms: [{key_id: \
                'tr-west-1:k'}]\n    azure_keyvault:\n    - {vaultUrl: 'https://a.vault.azure.net', \
                key: k, version: v2}\n    hc_vault: ['<VAULT>']\n  - pgp: [BB]\n";
    let readers = readers(text, "x");
    assert_eq!(readers.threshold, Some(2));
    let told = told(&readers);
    let (first, second) = told.split_once('\n').unwrap();
    assert_eq!(second, "BB pgp");
    assert_eq!(first.matches("..").count(), 2);
    assert!(
        first.ends_with(&format!(
            "AA pgp, one kms( {{}} prod), {ARN}+arn:aws:iam::1:role/x|app:web kms(arn:aws:iam::1:role/x {{\"app\": \"web\"}} ), \
             {GCP} gcp_kms, tr-west-1:k hckms, {AZURE} azure_kv, {VAULT} hc_vault"
        )),
        "{first}"
    );
}

#[test]
fn merged_groups_come_first_and_each_key_once() {
    let text = "creation_rules:\n- key_groups:\n  - hc_vault: [&v0 <VAULT>]\n  - merge:\n    - merge:\n      \
                - {pgp: [&p1 A1], age: [&alice <ALICE>]}\n      - {pgp: [&p2 A2, A1]}\n      pgp: [&p3 \
                A3]\n      hc_vault: [<VAULT>]\n    - {pgp: [&p4 A4, A2]}\n    age: [&bob <BOB>, \
                <ALICE>]\n    pgp: [A3, &p5 A5]\n";
    assert_eq!(
        told(&readers(text, "x")),
        "v0 hc_vault\nalice age, p1 pgp, p2 pgp, p3 pgp, v0 hc_vault, p4 pgp, bob age, p5 pgp"
    );
}

#[test]
fn one_group_or_an_empty_list_of_groups_is_no_sharing() {
    let one = rules("creation_rules:\n- key_groups:\n  - age: [<ALICE>]\n");
    assert_eq!(one.rules[0].sops.groups, [] as [Vec<usize>; 0]);
    assert_eq!(told(&readers("creation_rules:\n- {key_groups: [], pgp: AA}\n", "x")), "AA pgp");
    let none = readers("creation_rules:\n- encrypted_regex: ^a$\n", "x");
    assert_eq!(none.groups, [vec![]], "keys may come from the command line");
}

#[test]
fn keys_that_stand_twice_in_a_flat_rule_are_written_once() {
    let text =
        "creation_rules:\n- age: '<ALICE>,<ALICE>'\n  pgp: [AA, A A]\n  kms: '<ARN>,<ARN>'\n";
    assert_eq!(readers(text, "x").groups[0].len(), 3);
}

#[test]
fn each_selector_is_read() {
    for kind in SelectorKind::ALL {
        let text = format!("creation_rules:\n- pgp: AA\n  {}: ^a\n", kind.name());
        let readers = readers(&text, "x");
        assert_eq!(readers.selector, Some(Selector { kind, text: "^a".to_owned() }));
        assert!(!readers.mac_only_encrypted);
    }
    let empty = "creation_rules:\n- {pgp: AA, encrypted_regex: '', encrypted_suffix: ~, \
                 unencrypted_suffix: _u, mac_only_encrypted: yes}\n";
    let readers = readers(empty, "x");
    assert_eq!(readers.selector.unwrap().kind, SelectorKind::UnencryptedSuffix);
    assert!(readers.mac_only_encrypted);
}

#[test]
fn stores_say_how_to_indent() {
    let layout = |text: &str| parsed(text).layout;
    assert_eq!(layout("creation_rules: []\n"), Layout::default());
    let all = "stores:\n  json: {indent: 2}\n  json_binary: {indent: 0}\n  yaml:\n    indent: 8\n  \
               dotenv: {}\n  ini:\n";
    let wide = Layout { yaml_indent: 8, json_indent: Some(2), binary_indent: Some(0) };
    assert_eq!(layout(all), wide);
    assert_eq!(layout("stores: {json: {indent: -1}, yaml: {indent: 0}}\n"), Layout::default());
    let wrong = parsed(
        "stores:\n  yaml: {indent: -1}\n  json: {indent: -2}\n  json_binary: {indent: 1000}\n",
    );
    assert_eq!(wrong.layout, Layout::default());
    assert_eq!(
        wrong.notes,
        [
            "/repo/.sops.yaml:2:18: `stores.yaml.indent` must be from 0 to 64, and is passed over",
            "/repo/.sops.yaml:3:18: `stores.json.indent` must be from -1 to 64, and is passed over",
            "/repo/.sops.yaml:4:25: `stores.json_binary.indent` must be from -1 to 64, and is passed \
             over",
        ]
    );
}

#[test]
fn merge_keys_bring_fields_that_own_ones_override() {
    let text = "x-base: &base\n  age: &alice <ALICE>\n  encrypted_regex: ^a$\nx-more: &more {pgp: &p AA, age: \
                &bob <BOB>}\ncreation_rules:\n- path_regex: one\n  <<: *base\n  encrypted_regex: ^b$\n- \
                path_regex: two\n  <<: [*base, *more]\n- *more\n";
    let one = readers(text, "one");
    assert_eq!((told(&one).as_str(), one.selector.unwrap().text.as_str()), ("alice age", "^b$"));
    let two = readers(text, "two");
    assert_eq!(
        (told(&two).as_str(), two.selector.unwrap().text.as_str()),
        ("alice age, p pgp", "^a$")
    );
    assert_eq!(told(&readers(text, "three")), "bob age, p pgp");
}

#[test]
fn an_anchored_list_is_a_group() {
    let text = "x: [&alice <ALICE>, &bob <BOB>]\nadmins: &admins [<ALICE>, <BOB>]\ncreation_rules:\n- \
                {path_regex: a, age: *admins}\n- age: *admins\n";
    let rules = rules(text);
    let [group] = &rules.groups[..] else { panic!("{:?}", rules.groups) };
    assert_eq!((group.name.as_str(), group.members.as_slice()), ("admins", &[0, 1][..]));
}

#[test]
fn without_creation_rules_there_are_no_rules() {
    for text in [
        "",
        "# nothing\n",
        "creation_rules:\n",
        "creation_rules: ~\n",
        "destination_rules:\n- {s3_bucket: b, path_regex: '', recreation_rule: {pgp: AA}}\n",
        "stores: {yaml: {indent: 2}}\n",
    ] {
        assert!(parsed(text).rules.is_none(), "{text}");
    }
    assert!(rules("creation_rules: []\n").rules.is_empty());
    let publishes = parsed("destination_rules: []\ncreation_rules: []\n");
    assert_eq!(publishes.destinations.unwrap().to_string(), "/repo/.sops.yaml:1:20");
}

#[test]
fn what_sops_does_not_know_is_told_of() {
    let text = "creation_rule: []\nx-keys: [<ALICE>]\ncreation_rules:\n- path_regx: a\n  age: <ALICE>\n  \
                description: ours\n- key_groups:\n  - ages: [<BOB>]\n    kms: [{arn: '<ARN>', profile: \
                x}]\n  pgp: AA\n- \n  age: <WEB>\nstores: {yml: {indent: 2}, ini: {indent: \
                2}}\ndestination_rules:\n- {s3_buckets: x}\n";
    insta::assert_snapshot!(parsed(text).notes.join("\n"));
}

#[test]
fn each_mistake_has_its_place() {
    let rule = |text: &str| problems(&format!("creation_rules:\n- pgp: AA\n  {text}\n"));
    insta::assert_snapshot!(
        [
            problems("- a\n"),
            problems("creation_rules: {a: b}\n"),
            problems("creation_rules:\n- word\n- [a]\n"),
            problems("creation_rules:\n- pgp: AA\n  pgp: BB\n"),
            problems("creation_rules: []\ncreation_rules: []\n"),
            problems("creation_rules: [\n"),
            problems("creation_rules: *none\n"),
            problems("creation_rules: &a [*a]\n"),
            problems("creation_rules:\n- <<: word\n"),
            rule("path_regex: '[ ]\\K(?<!\\d )(?='"),
            rule("path_regex: [a]"),
            rule("age: &alice <ALICE>x"),
            rule("age: ['<BOB>', AGE-SECRET-KEY-1QQ]"),
            rule("age: [[<ALICE>]]"),
            rule("age: {a: b}"),
            rule("kms: '1'"),
            rule("gcp_kms: 3"),
            rule("hckms: [k]"),
            rule("azure_keyvault: https://v/keys"),
            rule("hc_vault_transit_uri: https://v/proxy/v1/transit/keys/k"),
            rule("key_groups: {age: []}"),
            rule("key_groups: [{kms: [word]}]"),
            rule("key_groups: [{kms: [{role: a}]}]"),
            rule("key_groups: [{kms: [{arn: '<ARN>', context: {a: ~}}]}]"),
            rule("key_groups: [{azure_keyvault: [{key: a}]}]"),
            rule("key_groups: [{pgp: [AA]}, {age: []}]"),
            rule("shamir_threshold: many"),
            rule("shamir_threshold: -1"),
            rule("shamir_threshold: 1\n  key_groups: [{pgp: [AA]}, {pgp: [BB]}]"),
            rule("shamir_threshold: 3\n  key_groups: [{pgp: [AA]}, {pgp: [BB]}]"),
            rule("unencrypted_suffix: _u\n  encrypted_suffix: _e"),
            rule("encrypted_regex: (a"),
            rule("mac_only_encrypted: maybe"),
            problems("stores: {yaml: {indent: wide}}\n"),
        ]
        .concat()
    );
}

#[test]
fn a_broken_rule_keeps_its_files_and_leaves_others_alone() {
    let rules = rules(
        "creation_rules:\n- {path_regex: a, age: nonsense}\n- {path_regex: b, age: <ALICE>}\n- \
                       {path_regex: '(', pgp: AA}\n- age: <BOB>\n",
    );
    let broken = |path: &str| {
        let rule = rules.find(&Path::new("/repo").join(path)).unwrap();
        (rule.place.line, rule.problems.len())
    };
    assert_eq!(broken("a"), (2, 1));
    assert_eq!(broken("b"), (3, 0));
    assert_eq!(broken("c"), (4, 1), "whose rule this is cannot be known");
}

#[test]
fn aliases_of_aliases_end() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..8 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        writeln!(text, "a{level}: &a{level} [{}]", before.trim_end_matches(", ")).unwrap();
    }
    assert_eq!(problems(&text), ".sops.yaml:6:10: aliases make this text too large\n");
    let mut deep = "a0: &a0 [x]\n".to_owned();
    for level in 1..100 {
        writeln!(deep, "a{level}: &a{level} [*a{}]", level - 1).unwrap();
    }
    assert!(problems(&deep).contains("nested too deeply"));
}

/// Takes each character away, and all behind it: whatever is left is read or refused, at a place
/// inside the text.
#[test]
fn mutilated_texts_are_read_or_refused() {
    let text = filled(
        "keys: [&a <ALICE>, &b '<BOB>'] # both\nx: &x {pgp: AA}\ncreation_rules:\n- <<: *x\n  \
         path_regex: ^[a-z]{2}\\.\\w$\n  key_groups:\n  - age: [*a]\n    kms: [{arn: <ARN>, context: {a: \
         b}}]\n  - merge: [{hc_vault: [<VAULT>]}]\n- age: |\n    <WEB>\n  shamir_threshold: 2\nstores: \
         {yaml: {indent: 2}}\n",
    );
    let lines = text.lines().count();
    let mut ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    ends.push(text.len());
    for pair in ends.windows(2) {
        let (before, after) = (&text[..pair[0]], &text[pair[1]..]);
        for text in [before.to_owned(), format!("{before}{after}"), format!("{before}*{after}")] {
            let places: Vec<Place> = match parse(&text, Path::new("/.sops.yaml")) {
                Ok(sops) => {
                    let rules = sops.rules.into_iter().flat_map(|rules| rules.rules);
                    rules.flat_map(|rule| rule.problems).map(|problem| problem.place).collect()
                }
                Err(RulesError::Problems { problems, .. }) => {
                    problems.into_iter().map(|problem| problem.place).collect()
                }
                Err(error) => panic!("{error}"),
            };
            assert!(places.iter().all(|place| (1..=lines + 1).contains(&place.line)), "{text}");
        }
    }
}
