//! Two trees of one file system, walked through together: folder by folder, in the order of names.
//!
//! What is in both under one name is compared. What is in one only is kept apart until all has been seen, as it
//! may have been moved ([`Loose`]). In memory are the names of the folders on the way down, and no more.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use guestfs::{Error, FileSystem, Kind, Name, Node, NodeId};

use super::change::Change;
use super::contents::Pair;
use super::loose::Loose;
use super::tally::Tally;
use crate::guest::path::GuestPath;

/// Folders in folders that are gone into, as when one tree is walked.
pub(super) const DEEPEST: usize = 1024;

/// Something by its path.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) path: GuestPath,
    pub(super) node: Node,
}

/// One of both moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Before,
    After,
}

impl Moment {
    /// What is told of something that is there at this moment only.
    pub(super) fn alone(self) -> &'static str {
        match self {
            Self::Before => "removed",
            Self::After => "added",
        }
    }
}

/// A name in two folders, or in one of them.
struct Both {
    name: Name,
    before: Option<NodeId>,
    after: Option<NodeId>,
}

/// Two folders that are being walked through.
struct Level {
    before: GuestPath,
    after: GuestPath,
    /// What is still to come, last first.
    left: Vec<Both>,
}

/// The walk through a volume.
pub(super) struct Walk<'a, 'b, 'c> {
    pub(super) pair: Pair<'a>,
    pub(super) tally: &'b mut Tally<'c>,
    /// Folders that were gone into, at either moment: none is in two places.
    entered: [HashSet<NodeId>; 2],
    levels: Vec<Level>,
    /// Folders with another name, still to be gone into.
    renamed: Vec<(Found, Found)>,
    loose: Loose,
}

impl<'a, 'b, 'c> Walk<'a, 'b, 'c> {
    pub(super) fn new(pair: Pair<'a>, tally: &'b mut Tally<'c>) -> Self {
        Self {
            pair,
            tally,
            entered: Default::default(),
            levels: Vec::new(),
            renamed: Vec::new(),
            loose: Loose::default(),
        }
    }

    /// Compares all from two nodes on down; where there is but one, all of that was added or removed.
    pub(super) fn run(mut self, before: Option<Found>, after: Option<Found>) {
        match (before, after) {
            (Some(before), Some(after)) => self.compare(before, after),
            (Some(before), None) => self.alone(Moment::Before, before),
            (None, Some(after)) => self.alone(Moment::After, after),
            (None, None) => {}
        }
        self.down();
        let loose = std::mem::take(&mut self.loose);
        loose.tell(&mut self);
    }

    pub(super) fn fs(&self, moment: Moment) -> &'a dyn FileSystem {
        match moment {
            Moment::Before => self.pair.before,
            Moment::After => self.pair.after,
        }
    }

    /// Whether a folder is met for the first time, and not too deep.
    pub(super) fn may_enter(&mut self, moment: Moment, folder: &Found) -> bool {
        let entered = match moment {
            Moment::Before => &mut self.entered[0],
            Moment::After => &mut self.entered[1],
        };
        let may = entered.insert(folder.node.id) && folder.path.names.len() <= DEEPEST;
        if !may {
            let why = Error::Damaged {
                structure: "folder".to_owned(),
                why: "it is in several places, or too deep".to_owned(),
            };
            self.tally.failed(moment, &folder.path, &why);
        }
        may
    }

    /// The names in a folder in their order, and whether these are all.
    pub(super) fn names(&mut self, moment: Moment, folder: &Found) -> (Vec<(Name, NodeId)>, bool) {
        let mut names = Vec::new();
        let listed = self.fs(moment).list(folder.node.id, &mut |entry| {
            names.push((entry.name, entry.node));
            ControlFlow::Continue(())
        });
        names.sort();
        let count = names.len();
        names.dedup_by(|one, other| one.0 == other.0);
        let mut whole = true;
        if names.len() < count {
            let why = Error::Damaged {
                structure: "folder".to_owned(),
                why: "it has a name twice".to_owned(),
            };
            self.tally.failed(moment, &folder.path, &why);
        }
        if let Err(error) = listed {
            self.tally.failed(moment, &folder.path, &error);
            whole = false;
        }
        (names, whole)
    }

    /// Goes through all folders that are open.
    fn down(&mut self) {
        loop {
            if self.tally.stops() {
                self.levels.clear();
                self.renamed.clear();
                return;
            }
            if let Some((before, after)) = self.renamed.pop() {
                self.open(before, after);
                continue;
            }
            let Some(level) = self.levels.last_mut() else {
                return;
            };
            let Some(both) = level.left.pop() else {
                self.levels.pop();
                continue;
            };
            let before = both
                .before
                .map(|id| (level.before.join(both.name.clone()), id));
            let after = both.after.map(|id| (level.after.join(both.name), id));
            let before = before.map(|(path, id)| self.found(Moment::Before, path, id));
            let after = after.map(|(path, id)| self.found(Moment::After, path, id));
            match (before, after) {
                (Some(Some(before)), Some(Some(after))) => self.compare(before, after),
                (Some(Some(before)), None) => self.alone(Moment::Before, before),
                (None, Some(Some(after))) => self.alone(Moment::After, after),
                // What cannot be read is told, and nothing is said of what became of it.
                _ => {}
            }
        }
    }

    /// A node; that it cannot be read is told.
    pub(super) fn found(&mut self, moment: Moment, path: GuestPath, id: NodeId) -> Option<Found> {
        match self.fs(moment).node(id) {
            Ok(node) => Some(Found { path, node }),
            Err(error) => {
                self.tally.failed(moment, &path, &error);
                None
            }
        }
    }

    /// Something that is there at one moment only, with all that is in it.
    fn alone(&mut self, moment: Moment, found: Found) {
        let mut loose = std::mem::take(&mut self.loose);
        loose.take(self, moment, found);
        self.loose = loose;
    }

    /// Compares two of one name, or one that was renamed, and opens them if they are folders.
    pub(super) fn compare(&mut self, before: Found, after: Found) {
        self.compare_as("changed", &before, &after);
        match (before.node.kind, after.node.kind) {
            (Kind::Folder, Kind::Folder) => self.open(before, after),
            (Kind::Folder, _) => self.lone_entries(Moment::Before, before),
            (_, Kind::Folder) => self.lone_entries(Moment::After, after),
            _ => {}
        }
    }

    /// Tells in what two nodes differ: of what is renamed always, and otherwise if they do.
    pub(super) fn compare_as(&mut self, change: &'static str, before: &Found, after: &Found) {
        let differs = match self.pair.differs(&before.node, &after.node) {
            Ok(differs) => differs,
            Err(error) => {
                self.tally.failed(Moment::After, &after.path, &error);
                return;
            }
        };
        if self.tally.stops() {
            return;
        }
        self.tally.compared(&differs);
        if change == "changed" && differs.what.is_empty() {
            return;
        }
        let told = Change::of(
            (&before.path, &before.node),
            (&after.path, &after.node),
            differs,
        );
        self.tally.tell(Change { change, ..told });
    }

    /// What is in a folder that is a folder at one moment only.
    fn lone_entries(&mut self, moment: Moment, folder: Found) {
        if !self.may_enter(moment, &folder) {
            return;
        }
        let (names, _) = self.names(moment, &folder);
        for (name, id) in names {
            let path = folder.path.join(name);
            if let Some(found) = self.found(moment, path, id) {
                self.alone(moment, found);
            }
        }
    }

    fn open(&mut self, before: Found, after: Found) {
        let may = self.may_enter(Moment::Before, &before);
        if !self.may_enter(Moment::After, &after) || !may {
            return;
        }
        let (old, all_old) = self.names(Moment::Before, &before);
        let (new, all_new) = self.names(Moment::After, &after);
        let mut left = merged(old, new);
        if !(all_old && all_new) {
            // What was not listed may be there all the same.
            left.retain(|both| both.before.is_some() && both.after.is_some());
        }
        self.renamed_here((&before.path, &after.path), &mut left);
        left.reverse();
        self.levels.push(Level {
            before: before.path,
            after: after.path,
            left,
        });
    }

    /// What has another name in the same folder is told at once, so that nothing of it need be kept.
    fn renamed_here(&mut self, (was, is): (&GuestPath, &GuestPath), left: &mut Vec<Both>) {
        let gone = left.iter().filter(|both| both.after.is_none());
        let gone: HashMap<NodeId, Name> = gone
            .filter_map(|both| Some((both.before?, both.name.clone())))
            .collect();
        if gone.is_empty() || !self.tally.keeps_ids {
            return;
        }
        let (mut from, mut to) = (HashSet::new(), HashSet::new());
        for both in left.iter().filter(|both| both.before.is_none()) {
            let Some(id) = both.after else { continue };
            let Some(old) = gone.get(&id).filter(|old| !from.contains(*old)) else {
                continue;
            };
            let (Ok(before), Ok(after)) = (self.pair.before.node(id), self.pair.after.node(id))
            else {
                continue;
            };
            if !is_same(&before, &after) {
                continue;
            }
            from.insert(old.clone());
            to.insert(both.name.clone());
            let before = Found {
                path: was.join(old.clone()),
                node: before,
            };
            let after = Found {
                path: is.join(both.name.clone()),
                node: after,
            };
            self.compare_as("renamed", &before, &after);
            if after.node.kind == Kind::Folder {
                // A guest may have renamed as many, each in the other, as it liked.
                self.renamed.push((before, after));
            }
        }
        left.retain(|both| match (both.before, both.after) {
            (Some(_), None) => !from.contains(&both.name),
            (None, Some(_)) => !to.contains(&both.name),
            _ => true,
        });
    }
}

/// Whether a node is the same one at both moments, and not another one with its number: it was made at the same
/// time.
pub(super) fn is_same(before: &Node, after: &Node) -> bool {
    before.id == after.id
        && before.kind == after.kind
        && before.times.created.is_some()
        && before.times.created == after.times.created
}

/// Names in the order of names.
fn merged(old: Vec<(Name, NodeId)>, new: Vec<(Name, NodeId)>) -> Vec<Both> {
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    let mut all = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return all,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(was), Some(is)) => was.0.cmp(&is.0),
        };
        let was = order.is_le().then(|| old.next()).flatten();
        let is = order.is_ge().then(|| new.next()).flatten();
        let (before, after) = (was.as_ref().map(|one| one.1), is.as_ref().map(|one| one.1));
        let name = was.or(is).map(|one| one.0).unwrap_or_default();
        all.push(Both {
            name,
            before,
            after,
        });
    }
}
