//! Disks and their parents, as plain data.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What is known of one disk file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// It has no parent.
    Base,
    /// Its parent is this file of the listing.
    ChildOf(String),
    /// Its parent is not in the folder.
    ParentMissing {
        /// What the disk says of its parent, for people.
        expected: String,
    },
}

/// The parents of all disk files, by their paths in the listing. The caller makes it by opening
/// the disks; a disk that is not in it counts as not examined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskGraph {
    /// What is known of each disk.
    pub layers: BTreeMap<String, Layer>,
}

/// A disk and its parents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Paths in the listing, youngest first.
    pub layers: Vec<String>,
    /// How the chain ends.
    pub end: ChainEnd,
}

/// How a chain of disks ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub enum ChainEnd {
    /// With a disk that has no parent: the chain is whole.
    Base,
    /// With a disk whose parent is missing.
    ParentMissing {
        /// What the disk says of its parent.
        expected: String,
    },
    /// With a disk that was not examined.
    NotExamined,
    /// Nowhere: a disk is its own ancestor.
    Cycle,
}

impl DiskGraph {
    /// The chain that begins with a disk.
    pub fn chain(&self, disk: &str) -> Chain {
        let mut seen = BTreeSet::from([disk]);
        let mut layers = vec![disk.to_owned()];
        let mut at = disk;
        let end = loop {
            match self.layers.get(at) {
                None => break ChainEnd::NotExamined,
                Some(Layer::Base) => break ChainEnd::Base,
                Some(Layer::ParentMissing { expected }) => {
                    break ChainEnd::ParentMissing {
                        expected: expected.clone(),
                    };
                }
                Some(Layer::ChildOf(parent)) if !seen.insert(parent) => break ChainEnd::Cycle,
                Some(Layer::ChildOf(parent)) => {
                    layers.push(parent.clone());
                    at = parent;
                }
            }
        };
        Chain { layers, end }
    }
}
