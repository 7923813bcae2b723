//! From a list of keys that name their parents to a tree.

use std::collections::BTreeMap;

use super::error::{Error, Result, Warning, Warnings};
use super::key_table::Key;
use crate::tree::{Entry, MAX_DEPTH, Tree, Value};

/// Links every key to its parent and orders siblings by their insertion sequence.
///
/// A parent may lie in a later table than its child, hence two passes. Keys whose parent does
/// not exist or is no node are left out with a warning, with all below them.
pub(super) fn link(keys: Vec<Key>, warnings: &mut Warnings) -> Result<Tree> {
    let by_id: BTreeMap<_, _> = keys
        .iter()
        .enumerate()
        .map(|(at, key)| (key.id, at))
        .collect();
    let mut roots = Vec::new();
    let mut orphans = Vec::new();
    let mut children = vec![Vec::new(); keys.len()];
    for (at, key) in keys.iter().enumerate() {
        if key.parent.0 == 0 {
            roots.push(at);
            continue;
        }
        let parent = by_id.get(&key.parent).copied();
        let is_node = |at: &usize| {
            keys.get(*at)
                .is_some_and(|key| matches!(key.entry.value, Value::Node(_)))
        };
        match parent.filter(is_node).and_then(|at| children.get_mut(at)) {
            Some(siblings) => siblings.push(at),
            None => {
                warnings.push(Warning::Orphan(key.entry.name.clone()));
                orphans.push(at);
            }
        }
    }
    let sequence = |at: &usize| keys.get(*at).map(|key| key.sequence);
    roots.sort_by_key(sequence);
    children
        .iter_mut()
        .for_each(|siblings| siblings.sort_by_key(sequence));

    let mut keys: Vec<Option<Entry>> = keys.into_iter().map(|key| Some(key.entry)).collect();
    let entries = take(&mut keys, &children, &roots, 1)?;
    take(&mut keys, &children, &orphans, 1)?;
    // What neither a root nor an orphan leads to hangs on itself.
    match keys.iter().flatten().count() {
        0 => Ok(Tree { entries }),
        cycle => Err(Error::KeyCycle(cycle)),
    }
}

fn take(
    keys: &mut [Option<Entry>],
    children: &[Vec<usize>],
    list: &[usize],
    depth: usize,
) -> Result<Vec<Entry>> {
    if depth > MAX_DEPTH && !list.is_empty() {
        return Err(Error::TooDeep(MAX_DEPTH));
    }
    let mut entries = Vec::with_capacity(list.len());
    for &at in list {
        let Some(mut entry) = keys.get_mut(at).and_then(Option::take) else {
            continue;
        };
        if let Some(below) = entry.children_mut() {
            let list = children.get(at).map(Vec::as_slice).unwrap_or_default();
            *below = take(keys, children, list, depth + 1)?;
        }
        entries.push(entry);
    }
    Ok(entries)
}
