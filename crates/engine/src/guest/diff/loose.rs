//! What is there at one moment only, until it is known whether it was moved.
//!
//! A file is the same one at both moments when it has the same number and was made at the same time. So much
//! is kept at most; what comes behind that is told at once as added or removed, and that is told too.

use std::collections::{HashMap, HashSet};

use guestfs::{Kind, Name, NodeId};

use super::change::Change;
use super::walk::{Found, Moment, Walk, is_same};
use crate::guest::path::GuestPath;

/// Files and folders that are kept, of both moments together: some 20 MiB.
const MOST: usize = 1 << 16;

/// Something that is there at one moment only.
struct One {
    found: Found,
    /// The folder that it is in, if that is here too.
    parent: Option<usize>,
}

/// A folder that is there at one moment only, and what is still to come of it, last first.
struct Level {
    path: GuestPath,
    place: Option<usize>,
    left: Vec<(Name, NodeId)>,
}

/// All of it, folders before what is in them.
#[derive(Default)]
pub(super) struct Loose {
    gone: Vec<One>,
    come: Vec<One>,
}

impl Loose {
    /// Takes in something, with all that is in it.
    pub(super) fn take(&mut self, walk: &mut Walk<'_, '_, '_>, moment: Moment, found: Found) {
        let mut levels = Vec::from_iter(self.meet(walk, moment, found, None));
        while let Some(level) = levels.last_mut() {
            if walk.tally.stops() {
                return;
            }
            let Some((name, id)) = level.left.pop() else {
                levels.pop();
                continue;
            };
            let (path, parent) = (level.path.join(name), level.place);
            if let Some(found) = walk.found(moment, path, id) {
                levels.extend(self.meet(walk, moment, found, parent));
            }
        }
    }

    /// Keeps something, or tells it where there is no room; of a folder, what is in it.
    fn meet(
        &mut self,
        walk: &mut Walk<'_, '_, '_>,
        moment: Moment,
        found: Found,
        parent: Option<usize>,
    ) -> Option<Level> {
        let is_folder = found.node.kind == Kind::Folder && walk.may_enter(moment, &found);
        let mut level = is_folder.then(|| {
            let mut left = walk.names(moment, &found).0;
            left.reverse();
            Level {
                path: found.path.clone(),
                place: None,
                left,
            }
        });
        let keeps_ids = walk.tally.keeps_ids;
        if keeps_ids && self.gone.len() + self.come.len() < MOST {
            let place = self.keep(moment, One { found, parent });
            if let Some(level) = &mut level {
                level.place = Some(place);
            }
        } else {
            walk.tally.too_many |= keeps_ids;
            let change = Change::alone(moment.alone(), &found.path, &found.node);
            walk.tally.tell(change);
        }
        level
    }

    fn keep(&mut self, moment: Moment, one: One) -> usize {
        let all = match moment {
            Moment::Before => &mut self.gone,
            Moment::After => &mut self.come,
        };
        all.push(one);
        all.len() - 1
    }

    /// Tells what was moved, removed and added.
    pub(super) fn tell(self, walk: &mut Walk<'_, '_, '_>) {
        let moved = self.moved();
        let used: HashSet<usize> = moved.values().copied().collect();
        for (at, one) in self.gone.iter().enumerate() {
            if !used.contains(&at) {
                let found = &one.found;
                walk.tally
                    .tell(Change::alone("removed", &found.path, &found.node));
            }
        }
        for (at, one) in self.come.iter().enumerate() {
            if walk.tally.stops() {
                return;
            }
            let before = moved.get(&at).and_then(|from| self.gone.get(*from));
            let Some(before) = before else {
                let found = &one.found;
                walk.tally
                    .tell(Change::alone("added", &found.path, &found.node));
                continue;
            };
            let along = one.parent.and_then(|parent| moved.get(&parent));
            let along = along.is_some() && along == before.parent.as_ref();
            let same_name = one.found.path.names.last() == before.found.path.names.last();
            // What went with its folder is told by that.
            let change = match along && same_name {
                true => "changed",
                false => "renamed",
            };
            walk.compare_as(change, &before.found, &one.found);
        }
    }

    /// Which of what came is which of what is gone. Of several names of one file, one that is in a folder that
    /// was moved along goes first.
    fn moved(&self) -> HashMap<usize, usize> {
        let mut by_id: HashMap<NodeId, Vec<usize>> = HashMap::new();
        for (at, one) in self.gone.iter().enumerate() {
            by_id.entry(one.found.node.id).or_default().push(at);
        }
        let mut moved = HashMap::new();
        for (at, one) in self.come.iter().enumerate() {
            let Some(left) = by_id.get_mut(&one.found.node.id) else {
                continue;
            };
            let parent = one.parent.and_then(|parent| moved.get(&parent));
            let along = |from: &usize| {
                let from = self.gone.get(*from);
                from.is_some_and(|from| parent.is_some() && from.parent.as_ref() == parent)
            };
            let place = left.iter().position(along).unwrap_or(0);
            let Some(from) = left.get(place).copied() else {
                continue;
            };
            let same = self
                .gone
                .get(from)
                .is_some_and(|from| is_same(&from.found.node, &one.found.node));
            if same {
                left.remove(place);
                moved.insert(at, from);
            }
        }
        moved
    }
}
