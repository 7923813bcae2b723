//! Which images of a folder's VM are wanted.
//!
//! What is chosen is disks, and a disk is a chain: an image goes with each disk that stands on it, and
//! is left out only with all of them.

use std::collections::BTreeSet;
use std::iter;

use vmconfig::layout::AttachedDisk;

use crate::select::Disks;
use crate::source::folder::catalog::Catalog;
use crate::source::folder::machines::{Machines, all_disks};
use crate::source::{FrozenView, Owner};

/// The wanted images of one VM.
pub(crate) struct Chosen<'a> {
    /// Those that are wanted.
    pub(crate) images: Vec<usize>,
    /// Topmost images that are not and that no configuration names, with what they are called.
    left_out: Vec<(String, String)>,
    catalog: &'a Catalog,
    disks: &'a Disks,
}

impl<'a> Chosen<'a> {
    /// Of a VM with a configuration.
    pub(crate) fn of_machine(
        machines: &Machines,
        index: usize,
        catalog: &'a Catalog,
        disks: &'a Disks,
    ) -> Self {
        let images = &machines.images[index];
        let mut chosen = Self::all(catalog, disks, images);
        if !disks.choose() {
            return chosen;
        }
        let mut wanted: BTreeSet<usize> = BTreeSet::new();
        let mut seen: BTreeSet<usize> = BTreeSet::new();
        for disk in all_disks(&machines.inventory.machines[index]) {
            let chain: Vec<usize> = chosen.chain(image_of(machines, disk)).collect();
            seen.extend(&chain);
            if chosen.takes(machines, disk) {
                wanted.extend(chain);
            }
        }
        let others = images.iter().copied().filter(|image| !seen.contains(image));
        chosen.choose(others.collect(), wanted, |_| None);
        chosen
    }

    /// Of loose images that share a base; their places are numbers.
    pub(crate) fn of_family(catalog: &'a Catalog, family: &[usize], disks: &'a Disks) -> Self {
        let mut chosen = Self::all(catalog, disks, family);
        if disks.choose() {
            chosen.choose(family.to_vec(), BTreeSet::new(), |number| {
                Some(format!("disk {number}"))
            });
        }
        chosen
    }

    fn all(catalog: &'a Catalog, disks: &'a Disks, images: &[usize]) -> Self {
        Self {
            images: images.to_vec(),
            left_out: Vec::new(),
            catalog,
            disks,
        }
    }

    /// Adds what is wanted of `images`, by their topmost ones, and keeps what is wanted.
    fn choose(
        &mut self,
        images: Vec<usize>,
        mut wanted: BTreeSet<usize>,
        slot: impl Fn(usize) -> Option<String>,
    ) {
        let stood_on: BTreeSet<usize> = images
            .iter()
            .filter_map(|image| self.catalog.images[*image].parent)
            .collect();
        let tops = images.iter().filter(|image| !stood_on.contains(image));
        for (number, top) in tops.enumerate() {
            let chain: Vec<usize> = self.chain(Some(*top)).collect();
            let slot = slot(number);
            let names = self.names(&chain);
            let words = names.iter().chain(&slot).map(String::as_str);
            if self.disks.takes(words, false) != Some(false) {
                wanted.extend(chain);
                continue;
            }
            let name = self.catalog.images[*top].file.rel.to_string();
            let slot = slot.unwrap_or_else(|| "no place".to_owned());
            self.left_out.push((slot, name));
        }
        self.images.retain(|image| wanted.contains(image));
    }

    /// Whether an attached disk is wanted.
    pub(crate) fn takes(&self, machines: &Machines, disk: &AttachedDisk) -> bool {
        let chain: Vec<usize> = self.chain(image_of(machines, disk)).collect();
        let names = self.names(&chain);
        let slot = disk.location.to_string();
        let own = [slot.as_str(), &disk.configured];
        let found = disk.file.path();
        let words = own.into_iter().chain(found);
        let words = words.chain(names.iter().map(String::as_str));
        self.disks.takes(words, false) != Some(false)
    }

    /// Tells of what is left out and named by no configuration.
    pub(crate) fn tell(&self, view: &mut FrozenView) {
        for (slot, name) in &self.left_out {
            view.leave_out(Owner::Vm, slot, name);
        }
    }

    /// An image with all that it stands on.
    fn chain(&self, image: Option<usize>) -> impl Iterator<Item = usize> + use<'a> {
        let catalog = self.catalog;
        // Ends because the catalog has no cycles.
        iter::successors(image, |image| catalog.images[*image].parent)
    }

    fn names(&self, chain: &[usize]) -> Vec<String> {
        let files = chain.iter().map(|image| &self.catalog.images[*image].file);
        let names = files.flat_map(|file| [file.rel.to_string(), file.path.display().to_string()]);
        names.collect()
    }
}

fn image_of(machines: &Machines, disk: &AttachedDisk) -> Option<usize> {
    let path = disk.file.path()?;
    machines.by_rel.get(path).copied()
}
