//! Which VM a checkpoint is of.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::classify::parent;
use super::{Checkpoint, DiskGraph, Machine};

/// VMs, to be looked up by what a checkpoint says of its own.
pub(super) struct Owners<'a> {
    machines: &'a [Machine],
    /// By id and by logical id.
    by_id: BTreeMap<Uuid, BTreeSet<usize>>,
    /// By every file of their disks' chains.
    by_layer: BTreeMap<String, BTreeSet<usize>>,
}

impl<'a> Owners<'a> {
    pub(super) fn of(machines: &'a [Machine], graph: &DiskGraph) -> Self {
        let mut owners = Owners {
            machines,
            by_id: BTreeMap::new(),
            by_layer: BTreeMap::new(),
        };
        for (at, machine) in machines.iter().enumerate() {
            let ids = [machine.config.id, machine.config.logical_id];
            for id in ids.into_iter().flatten() {
                owners.by_id.entry(id).or_default().insert(at);
            }
            let files: BTreeSet<&str> = machine
                .disks
                .iter()
                .filter_map(|disk| disk.file.path())
                .collect();
            for layer in files.into_iter().flat_map(|file| graph.chain(file).layers) {
                owners.by_layer.entry(layer).or_default().insert(at);
            }
        }
        owners
    }

    /// The VM of a checkpoint: the one with its logical id, and of several, as with a copy beside
    /// its original, the nearest; failing that, the one VM that stands on the checkpoint's disks.
    pub(super) fn of_one(&self, checkpoint: &Checkpoint) -> Option<usize> {
        let id = checkpoint.config.logical_id;
        if let Some(by_id) = id.and_then(|id| self.by_id.get(&id)) {
            let shared = |at: usize| {
                let machine = self.machines.get(at);
                machine.map(|m| common(&m.path, &checkpoint.path))
            };
            let nearest = by_id.iter().map(|&at| shared(at)).max()?;
            return one(by_id.iter().copied().filter(|&at| shared(at) == nearest));
        }
        let frozen = checkpoint.disks.iter().filter_map(|disk| disk.file.path());
        let standing: BTreeSet<usize> = frozen
            .filter_map(|path| self.by_layer.get(path))
            // Two are as many as all.
            .flat_map(|machines| machines.iter().copied().take(2))
            .collect();
        one(standing.into_iter())
    }
}

fn one(mut found: impl Iterator<Item = usize>) -> Option<usize> {
    match (found.next(), found.next()) {
        (Some(at), None) => Some(at),
        _ => None,
    }
}

/// Number of folders that two paths share from the top.
fn common(a: &str, b: &str) -> usize {
    parent(a)
        .split('/')
        .zip(parent(b).split('/'))
        .take_while(|(a, b)| a == b)
        .count()
}
