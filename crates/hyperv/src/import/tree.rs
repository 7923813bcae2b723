//! The tree of checkpoints of a VM that was restored, compared with that of the restore point: which
//! checkpoints there are, what each was made after, which one the VM goes on from, and which have
//! saved memory.
//!
//! Checkpoints are the same by their ids, where the host has kept any. One that gives a VM another id
//! may do so to its checkpoints as well: then they are the same by their names and the names of all
//! that they descend from, and of several of one name the trees must be alike in what hangs on each.
//!
//! What the restore point does not tell is not compared; what the host does not tell is a difference.
//! All work ends in time that is nearly linear, whatever the host tells.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::applied::Difference;
use super::{Plan, Point, PointCheckpoint};
use crate::inventory::{Checkpoint, Machine, Parent};

/// What differs.
pub(super) fn differs(point: &Point, plan: &Plan, machine: &Machine) -> Vec<Difference> {
    if plan.checkpoints == 0 {
        return Vec::new();
    }
    let found: HashMap<Uuid, &Checkpoint> = machine.checkpoints.iter().map(|c| (c.id, c)).collect();
    let mut all = Vec::new();
    match point.checkpoints.iter().any(|c| found.contains_key(&c.id)) {
        true => by_id(point, plan, (machine, &found), &mut all),
        false => by_name(point, plan, machine, &mut all),
    }
    all
}

fn add(
    all: &mut Vec<Difference>,
    what: String,
    planned: impl Into<String>,
    found: impl Into<String>,
) {
    all.push(Difference {
        what,
        planned: planned.into(),
        found: found.into(),
    });
}

/// Whether a checkpoint should have saved memory; nothing if nobody can tell.
fn memory(checkpoint: &PointCheckpoint, plan: &Plan) -> Option<bool> {
    match plan.checkpoint_memory {
        true => checkpoint.memory,
        false => Some(false),
    }
}

fn has_memory(checkpoint: &Checkpoint) -> bool {
    checkpoint.settings.config.saved_state.is_some()
}

fn memory_text(is: bool) -> &'static str {
    match is {
        true => "there",
        false => "not there",
    }
}

const AFTER: &str = "the checkpoint that it goes on from";

fn by_id(
    point: &Point,
    plan: &Plan,
    (machine, there): (&Machine, &HashMap<Uuid, &Checkpoint>),
    all: &mut Vec<Difference>,
) {
    let label = |parent: Parent| match parent {
        Parent::None => "none".to_owned(),
        Parent::Unknown => "not told".to_owned(),
        Parent::Of(id) => {
            let known = point.checkpoints.iter().find(|c| c.id == id);
            let known = known.map(|c| c.name.clone()).filter(|n| !n.is_empty());
            let found = || there.get(&id).map(|c| c.settings.config.name.clone());
            format!(
                "{:?}",
                known.or_else(found).unwrap_or_else(|| id.to_string())
            )
        }
    };
    for checkpoint in &point.checkpoints {
        let of = format!("the checkpoint {:?}", checkpoint.name);
        let Some(found) = there.get(&checkpoint.id) else {
            add(all, of, "there", "not there");
            continue;
        };
        let name = &found.settings.config.name;
        if !checkpoint.name.is_empty() && *name != checkpoint.name {
            add(all, format!("the name of {of}"), &checkpoint.name, name);
        }
        let parent = match checkpoint.parent {
            Some(id) => Some(Parent::Of(id)),
            None => checkpoint.first.then_some(Parent::None),
        };
        if let Some(parent) = parent.filter(|parent| *parent != found.parent) {
            let what = format!("what {of} was made after");
            add(all, what, label(parent), label(found.parent));
        }
        let planned = memory(checkpoint, plan);
        if let Some(planned) = planned.filter(|planned| *planned != has_memory(found)) {
            let what = format!("the saved memory of {of}");
            add(all, what, memory_text(planned), memory_text(!planned));
        }
    }
    let known: HashSet<Uuid> = point.checkpoints.iter().map(|c| c.id).collect();
    for found in machine
        .checkpoints
        .iter()
        .filter(|c| !known.contains(&c.id))
    {
        let of = format!("the checkpoint {:?}", found.settings.config.name);
        add(all, of, "not there", "there");
    }
    if let Some(now) = point.parent.map(Parent::Of)
        && machine.parent != now
    {
        add(all, AFTER.to_owned(), label(now), label(machine.parent));
    }
}

/// What a checkpoint was made after, among those of its side.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Above {
    None,
    Of(usize),
    Untold,
}

/// A checkpoint of either side.
struct Node<'n> {
    name: &'n str,
    above: Above,
    memory: Option<bool>,
}

/// The checkpoints of either side, and the one that the VM goes on from.
struct Side<'n> {
    nodes: Vec<Node<'n>>,
    now: Above,
}

impl<'n> Side<'n> {
    fn of_point(point: &'n Point, plan: &Plan) -> Self {
        let all = &point.checkpoints;
        let at: HashMap<Uuid, usize> = all.iter().enumerate().map(|(at, c)| (c.id, at)).collect();
        let node = |c: &'n PointCheckpoint| Node {
            name: &c.name,
            above: match c.parent {
                Some(id) => at.get(&id).map_or(Above::Untold, |at| Above::Of(*at)),
                None if c.first => Above::None,
                None => Above::Untold,
            },
            memory: memory(c, plan),
        };
        Self {
            nodes: all.iter().map(node).collect(),
            now: match point.parent.and_then(|id| at.get(&id)) {
                Some(at) => Above::Of(*at),
                None => Above::Untold,
            },
        }
    }

    fn of_machine(machine: &'n Machine) -> Self {
        let all = &machine.checkpoints;
        let at: HashMap<Uuid, usize> = all.iter().enumerate().map(|(at, c)| (c.id, at)).collect();
        let above = |parent: Parent| match parent {
            Parent::None => Above::None,
            Parent::Of(id) => at.get(&id).map_or(Above::Untold, |at| Above::Of(*at)),
            Parent::Unknown => Above::Untold,
        };
        let node = |c: &'n Checkpoint| Node {
            name: &c.settings.config.name,
            above: above(c.parent),
            memory: Some(has_memory(c)),
        };
        Self {
            nodes: all.iter().map(node).collect(),
            now: above(machine.parent),
        }
    }

    /// What a checkpoint was made after, for people.
    fn name(&self, at: Above) -> String {
        match at {
            Above::None => "none".to_owned(),
            Above::Untold => "not told".to_owned(),
            Above::Of(at) => match self.nodes.get(at) {
                Some(node) => format!("{:?}", node.name),
                None => "not told".to_owned(),
            },
        }
    }

    /// A checkpoint, for people.
    fn label(&self, at: usize) -> String {
        let above = self.nodes.get(at).map(|node| node.above);
        let own = self.name(Above::Of(at));
        match above {
            Some(above @ (Above::Of(_) | Above::None)) => {
                format!("{own} after {}", self.name(above))
            }
            Some(Above::Untold) | None => own,
        }
    }

    /// All that descend from none, parents before children; what is in a cycle is not among them.
    fn order(&self) -> Vec<usize> {
        let mut below: Vec<Vec<usize>> = self.nodes.iter().map(|_| Vec::new()).collect();
        let mut waiting = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            match node.above {
                Above::Of(above) => {
                    if let Some(below) = below.get_mut(above) {
                        below.push(at);
                    }
                }
                Above::None => waiting.push(at),
                Above::Untold => {}
            }
        }
        let mut order = Vec::with_capacity(self.nodes.len());
        while let Some(at) = waiting.pop() {
            order.push(at);
            // Each has one parent, so nothing is met twice.
            if let Some(below) = below.get(at) {
                waiting.extend(below);
            }
        }
        order
    }
}

/// The same number for the same value, on both sides.
struct Numbers<K>(HashMap<K, usize>);

impl<K: std::hash::Hash + Eq> Numbers<K> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    fn of(&mut self, key: K) -> usize {
        let next = self.0.len();
        *self.0.entry(key).or_insert(next)
    }
}

/// A number for the names from the first checkpoint of a branch to each.
type Ways<'n> = Numbers<(Option<usize>, &'n str)>;
/// A number for a checkpoint with all below it: its name, whether the VM goes on from it, and those of
/// what hangs on it.
type Shapes<'n> = Numbers<(&'n str, bool, Vec<usize>)>;

fn by_name(point: &Point, plan: &Plan, machine: &Machine, all: &mut Vec<Difference>) {
    let (planned, found) = (Side::of_point(point, plan), Side::of_machine(machine));
    let untold = |side: &Side<'_>| side.nodes.iter().any(|node| node.above == Above::Untold);
    let mut ways = Ways::new();
    let (was, is) = match untold(&planned) {
        // Then by their names alone.
        true => (alone(&planned, &mut ways), alone(&found, &mut ways)),
        false => (through(&planned, &mut ways), through(&found, &mut ways)),
    };
    let before = all.len();
    lacking(&planned, &was, &is, ("there", "not there"), all);
    lacking(&found, &is, &was, ("not there", "there"), all);
    if all.len() > before {
        return;
    }
    memories((&planned, &was), (&found, &is), all);
    let way = |ways: &[Option<usize>], at: Above| match at {
        Above::Of(at) => ways.get(at).copied().flatten(),
        Above::None | Above::Untold => None,
    };
    let marks = planned.now != Above::Untold;
    if marks && way(&was, planned.now) != way(&is, found.now) {
        let (now, own) = (planned.name(planned.now), found.name(found.now));
        add(all, AFTER.to_owned(), now, own);
    } else if !untold(&planned) {
        let mut shapes = Shapes::new();
        if shape(&planned, marks, &mut shapes) != shape(&found, marks, &mut shapes) {
            let what = "what hangs on which of its checkpoints of one name".to_owned();
            add(all, what, "as it was", "otherwise");
        }
    }
}

fn alone<'n>(side: &Side<'n>, ways: &mut Ways<'n>) -> Vec<Option<usize>> {
    let names = side.nodes.iter().map(|node| node.name);
    names.map(|name| Some(ways.of((None, name)))).collect()
}

fn through<'n>(side: &Side<'n>, ways: &mut Ways<'n>) -> Vec<Option<usize>> {
    let mut told: Vec<Option<usize>> = vec![None; side.nodes.len()];
    for at in side.order() {
        let Some(node) = side.nodes.get(at) else {
            continue;
        };
        let above = match node.above {
            Above::Of(above) => told.get(above).copied().flatten(),
            Above::None | Above::Untold => None,
        };
        if let Some(told) = told.get_mut(at) {
            *told = Some(ways.of((above, node.name)));
        }
    }
    told
}

/// Those that are on one side alone.
fn lacking(
    side: &Side<'_>,
    own: &[Option<usize>],
    other: &[Option<usize>],
    (planned, found): (&str, &str),
    all: &mut Vec<Difference>,
) {
    let mut left: HashMap<usize, usize> = HashMap::new();
    for way in other.iter().flatten() {
        *left.entry(*way).or_default() += 1;
    }
    for (at, way) in own.iter().enumerate() {
        let same = way.and_then(|way| left.get_mut(&way).filter(|left| **left > 0));
        match same {
            Some(left) => *left -= 1,
            None => add(
                all,
                format!("the checkpoint {}", side.label(at)),
                planned,
                found,
            ),
        }
    }
}

/// How many of each way have memory.
fn memories(
    (planned, was): (&Side<'_>, &[Option<usize>]),
    (found, is): (&Side<'_>, &[Option<usize>]),
    all: &mut Vec<Difference>,
) {
    let mut having: HashMap<usize, (usize, usize, bool)> = HashMap::new();
    for (node, way) in planned.nodes.iter().zip(was) {
        let known = having.entry(way.unwrap_or_default()).or_default();
        known.0 += usize::from(node.memory == Some(true));
        known.2 |= node.memory.is_none();
    }
    for (node, way) in found.nodes.iter().zip(is) {
        let known = having.entry(way.unwrap_or_default()).or_default();
        known.1 += usize::from(node.memory == Some(true));
    }
    for (at, way) in was.iter().enumerate() {
        let known = having.remove(&way.unwrap_or_default());
        if let Some((should, has, false)) = known
            && should != has
        {
            let what = format!("the saved memory of the checkpoint {}", planned.label(at));
            add(
                all,
                what,
                memory_text(should > has),
                memory_text(has > should),
            );
        }
    }
}

/// The shapes of all branches.
fn shape<'n>(side: &Side<'n>, marks: bool, shapes: &mut Shapes<'n>) -> Vec<usize> {
    let mut below: Vec<Vec<usize>> = side.nodes.iter().map(|_| Vec::new()).collect();
    let mut branches = Vec::new();
    for at in side.order().into_iter().rev() {
        let (Some(node), Some(own)) = (side.nodes.get(at), below.get_mut(at)) else {
            continue;
        };
        let mut own = std::mem::take(own);
        own.sort_unstable();
        let is_now = marks && side.now == Above::Of(at);
        let number = shapes.of((node.name, is_now, own));
        match node.above {
            Above::Of(above) => {
                if let Some(below) = below.get_mut(above) {
                    below.push(number);
                }
            }
            Above::None | Above::Untold => branches.push(number),
        }
    }
    branches.sort_unstable();
    branches
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
