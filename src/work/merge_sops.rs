//! The merge of three versions of a sops file: decrypts them, has their values and readers merged,
//! puts what theirs changed into the text of ours, and seals the result so that what did not change
//! keeps its ciphertext. Knows no work tree and asks nobody.

use std::path::Path;

use super::merge::{self, Change, Spot, applied, same_tree};
use super::merge_readers::{Readers, SameKeys, WhichKey, field, which_key};
use super::sops::{self, Unlocked};
use super::{Problem, way};
use crate::format::keys::Keys;
use crate::format::sops::data_key::{self, DataKey};
use crate::format::sops::file::{
    MacCheck, Sealing, SopsError, SopsFile, VersionRule, Writer, seal_with,
};
use crate::format::sops::in_the_open::Found;
use crate::format::sops::metadata::Metadata;
use crate::format::sops::select::Rule;
use crate::format::sops::store::{Store, StoreError};
use crate::format::sops::tree::{Node, Tree};
use crate::key::wrapping::WrappingKey;
use crate::plaintext::Plaintext;

/// Three versions of one file, decrypted.
#[derive(Debug)]
pub struct Versions {
    store: Store,
    base: Base,
    ours: Side,
    theirs: Side,
}

/// One side of a merge.
#[derive(Debug)]
struct Side {
    sealed: SopsFile,
    unlocked: Unlocked,
    document: Plaintext,
    tree: Tree,
}

/// What both sides come from; nothing where both made the file.
#[derive(Debug, Default)]
struct Base {
    /// `None` where it was not encrypted yet.
    unlocked: Option<Unlocked>,
    there: bool,
    document: Plaintext,
    tree: Tree,
}

/// The version that cannot be used, and why.
#[derive(Debug)]
pub struct Unusable {
    /// For people.
    pub version: &'static str,
    /// Why.
    pub problem: Problem,
}

/// What a merge of values comes to.
#[derive(Debug)]
pub enum Merged {
    /// A document, and where theirs changed comments that are not in it.
    Document(Plaintext, Vec<Spot>),
    /// Both sides changed the same, each in its own way.
    Conflict(Conflict),
}

/// What is for people to settle.
#[derive(Debug)]
pub struct Conflict {
    /// Where; empty where it is all of it.
    pub places: Vec<Spot>,
    /// Base, ours and theirs as documents that differ, as far as that can be had, in nothing else.
    pub texts: [Plaintext; 3],
}

/// What is wrong with the metadata or the result of a merge.
#[derive(Debug)]
pub enum Refused {
    /// Both sides changed who reads it in ways that do not go together; a clause says what.
    Metadata(&'static str),
    /// One side names readers whom the rule does not name, and who would be given the key: their entry
    /// can be from anybody, who needs no key to add it.
    Strangers(Vec<WrappingKey>),
    /// A value was encrypted on one side and would be plain.
    OpensUp(Found),
    /// As elsewhere.
    Problem(Problem),
}

/// Merges texts line by line; `None` where that does not work out.
pub type Lines<'a> = dyn Fn([&Plaintext; 3]) -> Option<Plaintext> + 'a;

impl Versions {
    /// Opens base, ours and theirs, of which base may be empty or not encrypted.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn open(name: &Path, texts: [&[u8]; 3], keys: &mut Keys<'_>) -> Result<Self, Unusable> {
        let [base, ours, theirs] = texts.map(Plaintext::copy_of);
        let store = sops::store_of(name, &ours);
        let parse = |text: &Plaintext, version| {
            let text = Plaintext::copy_of(bytes(text));
            sops::parse(text, store).map_err(|problem| Unusable { version, problem })
        };
        let [sealed_ours, sealed_theirs] = [parse(&ours, OURS)?, parse(&theirs, THEIRS)?];
        let sealed_base = match parse(&base, BASE) {
            Ok(sealed) => Some(sealed),
            Err(Unusable { problem: Problem::NotEncrypted, .. }) => None,
            Err(_) if base.is_empty() => None,
            Err(unusable) => return Err(unusable),
        };
        let mut metadata = vec![sealed_ours.metadata(), sealed_theirs.metadata()];
        metadata.extend(sealed_base.as_ref().map(SopsFile::metadata));
        let found = data_key::unwrap(&metadata, keys);
        let mut found = found.into_iter();
        let mut unlock = |text: &Plaintext, version| {
            let unusable = |problem| Unusable { version, problem };
            let key = found.next().ok_or_else(|| unusable(Problem::NotEncrypted))?;
            let key = key.map_err(|locked| unusable(Problem::Locked(locked)))?;
            let opened = parse(text, version)?.open(&key, MacCheck::Verify);
            let opened = opened.map_err(|error| unusable(Problem::Sops(error)))?;
            let document = opened.document(&Writer::Lossless, store);
            let document = document.map_err(|error| unusable(Problem::Sops(error)))?;
            let tree = read(store, &document).map_err(unusable)?;
            Ok((Unlocked { opened, key }, document, tree))
        };
        let (unlocked, document, tree) = unlock(&ours, OURS)?;
        let ours = Side { sealed: sealed_ours, unlocked, document, tree };
        let (unlocked, document, tree) = unlock(&theirs, THEIRS)?;
        let theirs = Side { sealed: sealed_theirs, unlocked, document, tree };
        let base = if sealed_base.is_some() {
            let (unlocked, document, tree) = unlock(&base, BASE)?;
            Base { unlocked: Some(unlocked), there: true, document, tree }
        } else if base.is_empty() {
            Base::default()
        } else {
            let unusable = |problem| Unusable { version: BASE, problem };
            let tree = read(store, &base).map_err(unusable)?;
            Base { unlocked: None, there: true, document: base, tree }
        };
        Ok(Self { store, base, ours, theirs })
    }

    /// The plaintext documents: base, ours, theirs.
    fn documents(&self) -> [&Plaintext; 3] {
        [&self.base.document, &self.ours.document, &self.theirs.document]
    }

    /// What is wrong with a text as a document of this kind.
    pub fn check(&self, document: &Plaintext) -> Option<String> {
        self.store.read_plain(document).err().map(|error| error.to_string())
    }

    /// Merges the values.
    pub fn merge(&self, lines: &Lines<'_>) -> Merged {
        let whole = |document: &Plaintext| {
            Merged::Document(Plaintext::copy_of(bytes(document)), Vec::new())
        };
        let [base, ours, theirs] = self.documents();
        if ours.same_as(theirs) || (self.base.there && base.same_as(theirs)) {
            return whole(ours);
        }
        if self.base.there && base.same_as(ours) {
            return whole(theirs);
        }
        if self.store == Store::Binary {
            return match lines([base, ours, theirs]) {
                Some(document) => Merged::Document(document, Vec::new()),
                None => self.conflict(Vec::new(), &[]),
            };
        }
        let trees = [&self.base.tree, &self.ours.tree, &self.theirs.tree];
        let merge = merge::merge(trees[0], trees[1], trees[2]);
        if !merge.conflicts.is_empty() {
            return self.conflict(merge.conflicts, &merge.changes);
        }
        if merge.changes.is_empty() && merge.comments.is_empty() {
            return whole(ours);
        }
        let Some(expected) = applied(trees[1], trees[2], &merge.changes) else {
            return self.conflict(Vec::new(), &[]);
        };
        let is_it = |document: &Plaintext| {
            self.store.read_plain(document).is_ok_and(|tree| same_tree(&tree, &expected))
        };
        // A value that is set anew looks as the writer has it. Lines bring comments, what stands
        // before and behind something new, and the looks of lists; setting many takes long, too.
        let has_parts = |change: &Change| !self.is_one_value(change);
        let by_lines = !merge.comments.is_empty()
            || merge.changes.len() > MANY
            || merge.changes.iter().any(has_parts);
        if by_lines && let Some(document) = lines([base, ours, theirs]).filter(is_it) {
            return Merged::Document(document, Vec::new());
        }
        if let Some(document) = self.set(&merge.changes).ok().filter(is_it) {
            return Merged::Document(document, merge.comments);
        }
        match lines([base, ours, theirs]).filter(is_it) {
            Some(document) => Merged::Document(document, Vec::new()),
            None => self.conflict(merge.changes.into_iter().map(spot).collect(), &[]),
        }
    }

    fn conflict(&self, places: Vec<Spot>, changes: &[Change]) -> Merged {
        let whole = || self.documents().map(|document| Plaintext::copy_of(bytes(document)));
        let texts = self.with_conflicts_alone(&places, changes).unwrap_or_else(whole);
        Merged::Conflict(Conflict { places, texts })
    }

    /// Ours with what goes together in it, and the same with what contradicts as the others have
    /// it.
    fn with_conflicts_alone(&self, places: &[Spot], changes: &[Change]) -> Option<[Plaintext; 3]> {
        let ours = self.set(changes).ok()?;
        let as_in = |tree: &Tree| {
            let mut text = Plaintext::copy_of(bytes(&ours));
            for Spot { document, way } in places {
                let root = &tree.documents.get(*document).filter(|_| *document == 0)?.root;
                text = match way::find(root, way) {
                    Some(node) => self.store.set(&text, way, node).ok()?,
                    None => self.store.unset(&text, way).ok()?.unwrap_or(text),
                };
            }
            (!places.is_empty()).then_some(text)
        };
        let (base, theirs) = (as_in(&self.base.tree)?, as_in(&self.theirs.tree)?);
        Some([base, ours, theirs])
    }

    /// Whether a change is about a value without parts that ours has.
    fn is_one_value(&self, change: &Change) -> bool {
        let (Change::Take(spot) | Change::Remove(spot)) = change;
        let is_leaf = |tree: &Tree| {
            let root = tree.documents.get(spot.document).map(|document| &document.root);
            matches!(root.and_then(|root| way::find(root, &spot.way)), Some(Node::Leaf(_)))
        };
        is_leaf(&self.ours.tree)
            && (matches!(change, Change::Remove(_)) || is_leaf(&self.theirs.tree))
    }

    /// Puts changes into the text of ours.
    fn set(&self, changes: &[Change]) -> Result<Plaintext, StoreError> {
        let mut text = Plaintext::copy_of(bytes(&self.ours.document));
        for change in changes {
            let (Change::Take(spot) | Change::Remove(spot)) = change;
            if spot.document > 0 {
                return Err(StoreError::new("only the first document can be changed"));
            }
            let root = self.theirs.tree.documents.first().map(|document| &document.root);
            match (change, root.and_then(|root| way::find(root, &spot.way))) {
                (Change::Take(_), Some(node)) => text = self.store.set(&text, &spot.way, node)?,
                (Change::Take(_), None) => return Err(StoreError::new("it is not there")),
                (Change::Remove(_), _) => {
                    text = self.store.unset(&text, &spot.way)?.unwrap_or(text);
                }
            }
        }
        Ok(text)
    }

    /// Whom one side alone names and who would be given the key that the other has, or a new one.
    pub fn newcomers(&self) -> Vec<WrappingKey> {
        self.wanted(true, None).map(|wanted| wanted.newcomers).unwrap_or_default()
    }

    /// Encrypts what a merge came to, for the readers that both sides come to. With `lenient`, what
    /// contradicts in the metadata is as ours has it, or as theirs has it where `rule`, which is who is
    /// to read it by the rules, names nobody else there.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn seal(
        &self,
        document: &Plaintext,
        keys: &Keys<'_>,
        lenient: bool,
        rule: Option<&Readers>,
    ) -> Result<Vec<u8>, Refused> {
        let wanted = self.wanted(lenient, rule)?;
        if rule.is_some() && !wanted.newcomers.is_empty() {
            return Err(Refused::Strangers(wanted.newcomers));
        }
        let Wanted { which, takes_theirs, same, readers, rule, mac_only_encrypted, .. } = wanted;
        let mut metadata = self.ours.again()?;
        let mut other = self.theirs.again()?;
        let before = self.base.unlocked.as_ref().map(|unlocked| &unlocked.opened);
        let unknown_before = before.map(|opened| &opened.metadata().unknown);
        for (name, node) in std::mem::take(&mut other.unknown) {
            let has = |fields: &[(String, _)]| fields.iter().any(|(known, _)| *known == name);
            if !has(&metadata.unknown) && !unknown_before.is_some_and(|fields| has(fields)) {
                metadata.unknown.push((name, node));
            }
        }
        // The entries that hold the key of the result already stay bit for bit.
        if takes_theirs {
            metadata.groups = other.groups;
            metadata.shamir_threshold = other.shamir_threshold;
            metadata.unknown_of_groups = other.unknown_of_groups;
        } else if same && let ([mine], [theirs]) = (&mut *metadata.groups, &mut *other.groups) {
            for entry in std::mem::take(theirs) {
                if !mine.iter().any(|known| known.key.same(&entry.key)) {
                    mine.push(entry);
                }
            }
        }
        metadata.rule = rule;
        metadata.mac_only_encrypted = mac_only_encrypted;
        let new = match which {
            WhichKey::New => Some(
                DataKey::random()
                    .map_err(|error| Refused::Problem(Problem::Sops(SopsError::Random(error))))?,
            ),
            WhichKey::Ours | WhichKey::Theirs => None,
        };
        let old = if takes_theirs { &self.theirs.unlocked.key } else { &self.ours.unlocked.key };
        let key = new.as_ref().unwrap_or(old);
        if new.is_some() || !Readers::of(&metadata).same(&readers) {
            let Readers { groups, threshold } = readers;
            sops::wrap(&mut metadata, key, new.is_some(), groups, threshold, keys)
                .map_err(Refused::Problem)?;
        }
        let sealing = Sealing {
            input: self.store,
            output: self.store,
            metadata: &metadata,
            key,
            before: Some(&self.ours.unlocked.opened),
            wanted: None,
            writer: &Writer::Lossless,
            now: &sops::now(),
            version: VersionRule::Raise,
        };
        let sealed = seal_with(document, &sealing, &[&self.theirs.unlocked.opened])
            .map_err(|error| Refused::Problem(Problem::Sops(error)))?;
        self.nothing_opens_up(&sealed)?;
        Ok(sealed)
    }

    /// A comment that was not merged may have been what had a value encrypted. A rule that one
    /// side changed may leave plain what the other has encrypted, and what was added there: it may
    /// only where it is plain on the side of the rule.
    fn nothing_opens_up(&self, sealed: &[u8]) -> Result<(), Refused> {
        let sealed =
            sops::parse(Plaintext::copy_of(sealed), self.store).map_err(Refused::Problem)?;
        let rule = sealed.metadata().rule.clone().unwrap_or_default();
        for [side, other] in [[&self.ours, &self.theirs], [&self.theirs, &self.ours]] {
            let same_rule = side.metadata().rule.clone().unwrap_or_default() == rule;
            let elsewhere = Some(&other.sealed).filter(|_| !same_rule);
            if let Some(found) = sealed.opens_up(&side.sealed, elsewhere) {
                return Err(Refused::OpensUp(found));
            }
        }
        Ok(())
    }

    fn wanted(&self, lenient: bool, by_rule: Option<&Readers>) -> Result<Wanted, Refused> {
        let (ours, theirs) = (self.ours.metadata(), self.theirs.metadata());
        let base = self.base.unlocked.as_ref();
        let before = base.map(|unlocked| unlocked.opened.metadata());
        let rules = |metadata: &Metadata| metadata.rule.clone().unwrap_or_default();
        let rule_before = before.map(rules);
        let rule = field(rule_before.as_ref(), &rules(ours), &rules(theirs));
        let rule = rule.or_else(|| lenient.then(|| rules(ours)));
        let rule = rule.ok_or(Refused::Metadata("which values are encrypted"))?;
        // A file that says nothing of it goes on saying nothing.
        let said = [ours, theirs].into_iter().find(|side| rules(side) == rule);
        let rule = said.map_or(Some(rule), |side| side.rule.clone());
        let only_before = before.map(|metadata| metadata.mac_only_encrypted);
        let (a, b) = (ours.mac_only_encrypted, theirs.mac_only_encrypted);
        // Without anything before, the MAC over more is the one that tells more.
        let mac_only_encrypted = field(only_before.as_ref(), &a, &b).unwrap_or(false);
        let [mine, other] = [ours, theirs].map(Readers::of);
        let readers_before = before.map(Readers::of);
        let merged = Readers::merge(readers_before.as_ref(), &mine, &other);
        let merged = merged.or_else(|| lenient.then(|| mine.clone()));
        let merged = merged.ok_or(Refused::Metadata("the groups of keys"))?;
        let same = SameKeys {
            sides: same_key(&self.ours.unlocked, &self.theirs.unlocked),
            ours: base.map(|base| same_key(base, &self.ours.unlocked)),
            theirs: base.map(|base| same_key(base, &self.theirs.unlocked)),
        };
        let of = |readers: &Readers| {
            let which = which_key(same, [&mine, &other, readers]);
            let takes_theirs = which == WhichKey::Theirs
                || (same.sides && other.same(readers) && !mine.same(readers));
            // Whose entries stay, so that nothing is wrapped for them.
            let holders: &[&Readers] = if which == WhichKey::New {
                &[]
            } else if takes_theirs {
                &[&other]
            } else if same.sides && readers.groups.len() == 1 {
                &[&mine, &other]
            } else {
                &[&mine]
            };
            let known = holders.iter().copied().chain(&readers_before).chain(by_rule);
            Wanted {
                which,
                takes_theirs,
                same: same.sides,
                newcomers: readers.beyond(&known.collect::<Vec<_>>()),
                readers: readers.clone(),
                rule: rule.clone(),
                mac_only_encrypted,
            }
        };
        let wanted = of(&merged);
        if !(lenient && by_rule.is_some()) || wanted.newcomers.is_empty() {
            return Ok(wanted);
        }
        // One of the sides knows nothing of the strangers.
        let one_side = [&mine, &other].map(of).into_iter().find(|side| side.newcomers.is_empty());
        Ok(one_side.unwrap_or(wanted))
    }
}

/// What the metadata of the result are to say.
struct Wanted {
    which: WhichKey,
    /// Whether the entries of theirs are those of the result.
    takes_theirs: bool,
    /// Whether both sides have the same key.
    same: bool,
    /// Who would be given the key, and is neither in what both sides come from nor in the rule.
    newcomers: Vec<WrappingKey>,
    readers: Readers,
    rule: Option<Rule>,
    mac_only_encrypted: bool,
}

impl Side {
    fn metadata(&self) -> &Metadata {
        self.sealed.metadata()
    }

    fn again(&self) -> Result<Metadata, Refused> {
        self.sealed.metadata_again().map_err(|error| Refused::Problem(Problem::Sops(error)))
    }
}

fn read(store: Store, document: &Plaintext) -> Result<Tree, Problem> {
    store.read_plain(document).map_err(|error| Problem::Sops(SopsError::Parse(error)))
}

fn same_key(a: &Unlocked, b: &Unlocked) -> bool {
    a.key.plaintext().same_as(b.key.plaintext())
}

fn spot(change: Change) -> Spot {
    let (Change::Take(spot) | Change::Remove(spot)) = change;
    spot
}

#[expect(clippy::disallowed_methods, reason = "copied from one plaintext to another")]
fn bytes(text: &Plaintext) -> &[u8] {
    text.expose()
}

const BASE: &str = "the version that both sides come from";
const OURS: &str = "ours";
const THEIRS: &str = "theirs";
/// Most values that are set one by one.
const MANY: usize = 64;
