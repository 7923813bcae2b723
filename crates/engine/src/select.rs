//! Which VMs, and which of their disks, a job is about: ordered patterns.
//!
//! ```text
//! [KIND/]VM[/DISK]      web*      web*/SCSI 0:1      replica/web      */*/page file.vhdx
//! ```
//!
//! - A pattern without a slash is about VMs, with all of their disks.
//! - What is before the first slash is a [`VmKind`] if it is the word for one, or if it is `*` and
//!   another slash follows; otherwise it is the VM, and the rest is about its disks.
//! - A disk is known by the place where it is attached (`SCSI 0:1`), by the names of its files and by
//!   their whole paths.
//!
//! Parts are shell globs (`*`, `?`, `[…]`, `{a,b}`), compared without regard to case, as Hyper-V
//! compares names. A slash in brackets or braces separates nothing, and a pattern that is a VM's
//! exact name or id is about that VM whatever characters it has.
//!
//! The **last** rule that matches decides, of a disk as of a VM: a rule about a VM is one about each of
//! its disks. What no rule matches is in when there is no [`Rule::Include`] at all, and out otherwise. A
//! VM of which only a disk is named is in, without its other disks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use globset::{GlobBuilder, GlobMatcher};

use crate::source::{VmKind, VmRef};

/// A pattern that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("pattern “{pattern}”: {why}")]
pub struct PatternError {
    /// The pattern as it was given.
    pub pattern: String,
    /// What is wrong with it.
    pub why: String,
}

/// Whether a rule brings VMs and disks in or keeps them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// `--vm`
    Include,
    /// `--exclude`
    Exclude,
}

/// Ordered rules. See the [module](self).
#[derive(Debug, Clone, Default)]
pub struct Selection(Arc<[Entry]>);

#[derive(Debug)]
struct Entry {
    rule: Rule,
    /// As it was given.
    given: String,
    kind: Option<Part>,
    vm: Part,
    disk: Option<Part>,
    /// Whether a disk was seen that it matches.
    hit: AtomicBool,
}

#[derive(Debug)]
struct Part {
    /// In lower case.
    text: String,
    glob: GlobMatcher,
}

impl Part {
    fn new(text: &str) -> Result<Self, String> {
        let glob = GlobBuilder::new(text)
            .case_insensitive(true)
            // A host's paths are full of them.
            .backslash_escape(false)
            .build()
            .map_err(|error| error.kind().to_string())?;
        Ok(Self {
            text: text.to_lowercase(),
            glob: glob.compile_matcher(),
        })
    }

    fn matches(&self, word: &str) -> bool {
        word.to_lowercase() == self.text || self.glob.is_match(word)
    }
}

impl Entry {
    fn new(rule: Rule, given: String) -> Result<Self, PatternError> {
        let parse = || {
            let (kind, vm, disk) = parts(&given);
            let part = |text: Option<&str>| text.map(Part::new).transpose();
            Ok((part(kind)?, Part::new(vm)?, part(disk)?))
        };
        match parse() {
            Ok((kind, vm, disk)) => Ok(Self {
                rule,
                kind,
                vm,
                disk,
                hit: AtomicBool::new(false),
                given,
            }),
            Err(why) => Err(PatternError {
                pattern: given,
                why,
            }),
        }
    }

    /// Whether the pattern is the VM's name or id as it stands, slashes and all.
    fn is_exactly(&self, vm: &VmRef) -> bool {
        let given = self.given.to_lowercase();
        given == vm.name.to_lowercase() || given == vm.id.to_string()
    }

    /// Whether it is about the VM, or about disks of it.
    fn concerns(&self, vm: &VmRef) -> bool {
        let kind = |kind: &Part| kind.matches(vm.kind.as_str());
        let is = || self.vm.matches(&vm.name) || self.vm.matches(&vm.id.to_string());
        self.is_exactly(vm) || (self.kind.as_ref().is_none_or(kind) && is())
    }

    /// What it says of the VM's disks; `None` if it is about the VM as a whole.
    fn disk_of(&self, vm: &VmRef) -> Option<&Part> {
        self.disk.as_ref().filter(|_| !self.is_exactly(vm))
    }

    fn is_literal(&self) -> bool {
        !self.given.contains(['*', '?', '[', '{'])
    }
}

/// Kind, VM and disk of a pattern.
fn parts(given: &str) -> (Option<&str>, &str, Option<&str>) {
    let Some((first, rest)) = split(given) else {
        return (None, given, None);
    };
    let further = split(rest);
    let is_kind = VmKind::ALL
        .iter()
        .any(|kind| kind.as_str().eq_ignore_ascii_case(first));
    match further {
        Some((vm, disk)) if is_kind || first == "*" => (Some(first), vm, Some(disk)),
        None if is_kind => (Some(first), rest, None),
        _ => (None, first, Some(rest)),
    }
}

/// At the first slash outside of brackets and braces.
fn split(text: &str) -> Option<(&str, &str)> {
    let (mut class, mut braces) = (None::<usize>, 0_usize);
    for (at, char) in text.char_indices() {
        match (char, class) {
            // A bracket that comes first in brackets is one of the characters.
            (']', Some(begun)) if !matches!(&text[begun + 1..at], "" | "!" | "^") => class = None,
            (_, Some(_)) => {}
            ('[', None) => class = Some(at),
            ('{', None) => braces += 1,
            ('}', None) => braces = braces.saturating_sub(1),
            ('/', None) if braces == 0 => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

/// A pattern that matched nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmatched<'a> {
    /// The pattern as it was given.
    pub pattern: &'a str,
    /// What it should have done.
    pub rule: Rule,
    /// It names one thing, and so should have been there.
    pub literal: bool,
    /// Its VM is there, and it is the disk that is not.
    pub disk: bool,
}

impl Selection {
    /// Every VM.
    pub fn all() -> Self {
        Self::default()
    }

    /// The given rules, in the order given.
    ///
    /// # Errors
    /// When a pattern is not a glob.
    pub fn new(rules: impl IntoIterator<Item = (Rule, String)>) -> Result<Self, PatternError> {
        let entries = rules
            .into_iter()
            .map(|(rule, given)| Entry::new(rule, given));
        entries.collect::<Result<_, _>>().map(Self)
    }

    fn includes(&self) -> bool {
        self.0.iter().any(|entry| entry.rule == Rule::Include)
    }

    /// Whether a VM is selected, if only with some of its disks.
    pub fn matches(&self, vm: &VmRef) -> bool {
        for entry in self.0.iter().rev().filter(|entry| entry.concerns(vm)) {
            match (entry.rule, entry.disk_of(vm)) {
                (rule, None) => return rule == Rule::Include,
                (Rule::Include, Some(_)) => return true,
                (Rule::Exclude, Some(_)) => {}
            }
        }
        !self.includes()
    }

    /// Which disks of a selected VM are taken.
    pub fn disks(&self, vm: &VmRef) -> Disks {
        let concerned = self.0.iter().enumerate();
        let concerned = concerned.filter(|(_, entry)| entry.concerns(vm));
        Disks {
            rules: concerned
                .map(|(at, entry)| (at, entry.disk_of(vm).is_some()))
                .collect(),
            otherwise: !self.includes(),
            all: Arc::clone(&self.0),
        }
    }

    /// The patterns that match none of these VMs; or no disk of those that they match, if each of
    /// those was looked at for its disks. A VM that another rule keeps out counts as matched:
    /// somebody decided that.
    pub fn unmatched(
        &self,
        vms: &[VmRef],
        looked_at: impl Fn(&VmRef) -> bool,
    ) -> Vec<Unmatched<'_>> {
        let idle = |entry: &&Entry| {
            let concerned: Vec<&VmRef> = vms.iter().filter(|vm| entry.concerns(vm)).collect();
            let of_disks = concerned.iter().all(|vm| entry.disk_of(vm).is_some());
            let seen = || concerned.iter().all(|vm| looked_at(vm));
            match concerned.is_empty() {
                true => Some(false),
                false => (of_disks && !entry.hit.load(Ordering::Relaxed) && seen()).then_some(true),
            }
        };
        let entries = self.0.iter();
        let found = entries.filter_map(|entry| {
            Some(Unmatched {
                disk: idle(&entry)?,
                pattern: &entry.given,
                rule: entry.rule,
                literal: entry.is_literal(),
            })
        });
        found.collect()
    }
}

/// Which disks of one VM are taken. By default all.
#[derive(Debug, Clone)]
pub struct Disks {
    all: Arc<[Entry]>,
    /// The rules that concern the VM, by their places, and whether each is about its disks.
    rules: Vec<(usize, bool)>,
    otherwise: bool,
}

impl Default for Disks {
    fn default() -> Self {
        Self {
            all: Arc::default(),
            rules: Vec::new(),
            otherwise: true,
        }
    }
}

impl Disks {
    /// Whether some of them may be left out.
    pub fn choose(&self) -> bool {
        self.rules.iter().any(|(_, of_disks)| *of_disks)
    }

    /// Whether a disk is taken that is known by these words: places and paths. When there may be
    /// `more` words, `None` if those could decide otherwise.
    pub fn takes<'w>(&self, words: impl IntoIterator<Item = &'w str>, more: bool) -> Option<bool> {
        let words: Vec<&str> = words
            .into_iter()
            .flat_map(|word| [word, file_name(word)])
            .collect();
        let (mut open, mut decided) = (Vec::new(), None);
        for (at, of_disks) in self.rules.iter().rev() {
            let Some(entry) = self.all.get(*at) else {
                continue;
            };
            let part = entry.disk.as_ref().filter(|_| *of_disks);
            let hit = part.is_none_or(|part| words.iter().any(|word| part.matches(word)));
            if hit && part.is_some() {
                entry.hit.store(true, Ordering::Relaxed);
            }
            let takes = entry.rule == Rule::Include;
            match (hit, decided) {
                (true, None) => decided = Some(takes),
                (false, None) => open.push(takes),
                // Only that it matched is of interest now.
                (_, Some(_)) => {}
            }
        }
        let decided = decided.unwrap_or(self.otherwise);
        let sure = !more || open.iter().all(|takes| *takes == decided);
        sure.then_some(decided)
    }
}

/// The last name of a path of Windows or of Unix.
fn file_name(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or(path)
}

#[cfg(test)]
#[path = "select/tests.rs"]
mod tests;
