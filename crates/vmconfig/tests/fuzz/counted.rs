//! How many files an inventory speaks of.

use hyperkeep_vmconfig::layout::{AttachedDisk, Inventory, OwnedFile};

/// Number of distinct files that an inventory speaks of.
pub(crate) fn counted(found: &Inventory) -> usize {
    let mut paths = Vec::new();
    for machine in &found.machines {
        let mut add = |files: &[OwnedFile], disks: &[AttachedDisk]| {
            paths.extend(files.iter().map(|file| file.path.clone()));
            let chains = disks.iter().filter_map(|disk| disk.chain.as_ref());
            paths.extend(chains.flat_map(|chain| chain.layers.clone()));
        };
        add(&machine.files, &machine.disks);
        machine
            .checkpoints
            .iter()
            .for_each(|c| add(&c.files, &c.disks));
    }
    paths.extend(
        found
            .loose
            .iter()
            .flat_map(|disk| disk.chain.layers.clone()),
    );
    paths.extend(found.orphans.iter().map(|orphan| orphan.path.clone()));
    paths.extend(
        found
            .unreadable
            .iter()
            .flat_map(|u| u.files.iter().map(|f| f.path.clone())),
    );
    paths.extend(found.other.clone());
    paths.sort();
    paths.dedup();
    paths.len()
}
