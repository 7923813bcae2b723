//! Who has a file that several drives were led to.
//!
//! Takes back what was found by name only where another VM has a better claim, or an equal one,
//! and a file that drives with different paths were led to from all but the one whose path fits
//! it best: a missing disk must not be replaced by another disk of the same name.
//!
//! What all wishes for a file say is gathered once, so that the work is in proportion to the
//! drives, however many of them want one file.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::classify::parent;
use super::disks::{DISKS, Found, ambiguous, plain, shared_end};
use super::index::fold;
use super::{AttachedDisk, DiskGraph, Resolution};

/// One configuration's disks, with what tells its VM from another.
pub(super) struct Claim<'a> {
    /// The VM: its checkpoints have the same number.
    pub(super) owner: usize,
    pub(super) disks: &'a mut Vec<AttachedDisk>,
}

/// How much speaks for a drive's right to a file: found by its place, at its absolute path, and
/// how many parts of the configured path, from the end, the file's path has.
type Weight = (bool, bool, usize);

/// What one drive says of the file that was found for it.
#[derive(Clone, Debug)]
struct Wish {
    config: usize,
    owner: usize,
    by: Found,
    /// The configured path, spelled alike for all who mean the same.
    configured: String,
    weight: Weight,
}

impl Wish {
    fn of(config: usize, owner: usize, disk: &AttachedDisk) -> Option<Self> {
        let Resolution::Found { path, by } = &disk.file else {
            return None;
        };
        let parts = shared_end(path, &disk.configured);
        Some(Wish {
            config,
            owner,
            by: *by,
            configured: fold(&plain(&disk.configured).replace('/', "\\")),
            weight: (by.is_strong(), *by == Found::Mapped, parts),
        })
    }

    /// Whether both cannot be right: two drives of one configuration, or of two VMs, that name
    /// different files and were led to one by its place. What was found by name gives way anyhow.
    fn contradicts(&self, other: &Self) -> bool {
        let by_place = self.by.is_strong() && other.by.is_strong();
        self.configured != other.configured
            && (self.config == other.config || self.owner != other.owner && by_place)
    }
}

/// What all wishes for one file say together.
#[derive(Default)]
struct Wishes {
    /// The strongest way that led each VM here.
    ways: BTreeMap<usize, Found>,
    /// The two strongest ways of different VMs.
    best_ways: Vec<(Found, usize)>,
    /// Of each configuration the weightiest two wishes for different paths.
    within: BTreeMap<usize, Vec<Wish>>,
    /// Of the wishes by place, those one of which is the weightiest rival of any wish.
    by_place: Vec<Wish>,
}

impl Wishes {
    fn of(mut all: Vec<Wish>) -> Self {
        // The weightiest first.
        all.sort_by_key(|wish| Reverse(wish.weight));
        let mut wishes = Wishes::default();
        for wish in &all {
            let way = wishes.ways.entry(wish.owner).or_insert(wish.by);
            *way = (*way).min(wish.by);
            let within = wishes.within.entry(wish.config).or_default();
            if within.len() < 2 && within.iter().all(|w| w.configured != wish.configured) {
                within.push(wish.clone());
            }
        }
        let mut ways: Vec<_> = wishes
            .ways
            .iter()
            .map(|(owner, by)| (*by, *owner))
            .collect();
        ways.sort_unstable();
        ways.truncate(2);
        wishes.best_ways = ways;
        wishes.by_place = rivals(&all);
        wishes
    }

    /// The weight of the weightiest wish that contradicts this one.
    fn rival(&self, own: &Wish) -> Option<Weight> {
        let within = self.within.get(&own.config).into_iter().flatten();
        let all = within.chain(&self.by_place);
        let rivals = all.filter(|other| own.contradicts(other));
        rivals.map(|other| other.weight).max()
    }

    /// The strongest way that led another VM here.
    fn way_of_others(&self, owner: usize) -> Option<Found> {
        let other = self.best_ways.iter().find(|(_, of)| *of != owner);
        other.map(|(by, _)| *by)
    }
}

/// The few of many wishes, the weightiest first, among which is the weightiest by place that has
/// another owner *and* another path than any given one: the first of all; for who shares its owner
/// or its path, or both, the first without these; and again for who shares the other one with that.
fn rivals(all: &[Wish]) -> Vec<Wish> {
    let first = |fits: &dyn Fn(&Wish) -> bool| {
        let mut by_place = all.iter().filter(|wish| wish.by.is_strong());
        by_place.find(|wish| fits(wish)).cloned()
    };
    let mut found = Vec::new();
    let Some(top) = first(&|_| true) else {
        return found;
    };
    if let Some(other) = first(&|w| w.owner != top.owner) {
        let path = &other.configured;
        found.extend(first(&|w| w.owner != top.owner && w.configured != *path));
        found.push(other);
    }
    if let Some(other) = first(&|w| w.configured != top.configured) {
        let owner = other.owner;
        found.extend(first(&|w| {
            w.configured != top.configured && w.owner != owner
        }));
        found.push(other);
    }
    found.extend(first(&|w| {
        w.owner != top.owner && w.configured != top.configured
    }));
    found.push(top);
    found
}

/// Lets all drives settle who has which file.
pub(super) fn settle(claims: &mut [Claim<'_>], graph: &DiskGraph) {
    // Who claims a file, and on whose other disks it is a parent.
    let mut wishes = BTreeMap::<String, Vec<Wish>>::new();
    let mut below = BTreeMap::<String, BTreeSet<usize>>::new();
    for (config, claim) in claims.iter().enumerate() {
        for disk in claim.disks.iter() {
            if let (Some(path), Some(wish)) =
                (disk.file.path(), Wish::of(config, claim.owner, disk))
            {
                wishes.entry(path.to_owned()).or_default().push(wish);
            }
        }
    }
    for (path, all) in &wishes {
        let owners: BTreeSet<usize> = all.iter().map(|wish| wish.owner).collect();
        for layer in graph.chain(path).layers.into_iter().skip(1) {
            below.entry(layer).or_default().extend(&owners);
        }
    }
    let wishes: BTreeMap<String, Wishes> = wishes
        .into_iter()
        .map(|(path, all)| (path, Wishes::of(all)))
        .collect();
    for (config, claim) in claims.iter_mut().enumerate() {
        for disk in claim.disks.iter_mut() {
            let Some(own) = Wish::of(config, claim.owner, disk) else {
                continue;
            };
            let Resolution::Found { path, .. } = &disk.file else {
                continue;
            };
            let Some(all) = wishes.get(path) else {
                continue;
            };
            let owners = below.get(path);
            let is_parent = owners.is_some_and(|owners| !owners.contains(&claim.owner));
            if let Some(verdict) = verdict(&own, path, all, is_parent) {
                disk.file = verdict;
            }
        }
    }
}

/// What becomes of a wish; `None` where it is granted. `is_parent`: the file is a parent on other
/// VMs' disks only.
fn verdict(own: &Wish, path: &str, all: &Wishes, is_parent: bool) -> Option<Resolution> {
    match all.rival(own) {
        Some(theirs) if own.weight < theirs => return Some(Resolution::Missing),
        Some(theirs) if own.weight == theirs => return Some(ambiguous(&[path])),
        _ => {}
    }
    // The name of the usual disk folder ties a file to nobody.
    let usual = fold(parent(path)).ends_with(&fold(DISKS));
    let by_name = !own.by.is_strong() && own.weight.2 < 2 + usize::from(usual);
    if by_name && is_parent {
        return Some(Resolution::Missing);
    }
    let theirs = all.way_of_others(own.owner)?;
    if own.by.is_strong() {
        return None;
    }
    // A sibling configuration of this VM may hold the file by its place.
    match all.ways.get(&own.owner) {
        Some(ours) if *ours < theirs => None,
        Some(ours) if *ours == theirs => Some(ambiguous(&[path])),
        _ => Some(Resolution::Missing),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wish() -> impl Strategy<Value = Wish> {
        let ways = [Found::BesideConfiguration, Found::Mapped, Found::UniqueName];
        let fields = (
            0..6usize,
            0..4usize,
            prop::sample::select(ways.to_vec()),
            0..5u8,
            0..4usize,
        );
        fields.prop_map(|(config, owner, by, path, parts)| Wish {
            // A configuration has one owner.
            config: config * 4 + owner,
            owner,
            by,
            configured: path.to_string(),
            weight: (by.is_strong(), by == Found::Mapped, parts),
        })
    }

    proptest! {
        #![proptest_config(testkit::vary::config(2000))]

        /// What was gathered says the same as all wishes, and is looked at in a few steps.
        #[test]
        fn what_is_gathered_stands_for_all(all in prop::collection::vec(wish(), 1..30)) {
            let wishes = Wishes::of(all.clone());
            prop_assert!(wishes.by_place.len() <= 6);
            prop_assert!(wishes.within.values().all(|few| few.len() <= 2));
            for own in &all {
                let rivals = all.iter().filter(|other| own.contradicts(other));
                prop_assert_eq!(wishes.rival(own), rivals.map(|other| other.weight).max());
                let others = all.iter().filter(|other| other.owner != own.owner);
                let way = others.map(|other| other.by).min();
                prop_assert_eq!(wishes.way_of_others(own.owner), way);
                let ours = all.iter().filter(|other| other.owner == own.owner);
                let way = ours.map(|wish| wish.by).min();
                prop_assert_eq!(wishes.ways.get(&own.owner).copied(), way);
            }
        }
    }
}
