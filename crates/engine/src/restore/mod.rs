//! Out of a vault again.
//!
//! [`Opened`] is a restore point ready to be read; [`disks`] makes disk files of it,
//! [`folder`] a folder that Hyper-V can import, [`vm`] a VM on a host, and [`layer`] makes its disks
//! readable without restoring them; [`rollback`] changes disk files that are there. Everything else
//! is written through [`target`]: a file appears whole or not at all, and over another one only where
//! that was asked for ([`existing`]). One disk that cannot be restored does not keep the others from
//! it.

mod alone;
mod as_folder;
mod contents;
pub mod damage;
pub mod disks;
pub mod existing;
pub mod folder;
mod journal;
pub mod layer;
pub mod plan;
pub mod rollback;
mod room;
mod simulate;
mod small;
mod spots;
pub mod target;
mod to;
mod turn;
pub mod vm;
mod write;

use vault::{NodeId, Point, Vault};

use crate::cancel::Cancel;
use crate::clock::Clock;
use crate::pipeline::Limits;
use crate::point::Details;
use crate::point::format::{Misunderstood, from_format};
use crate::progress::{Meter, Sink};
use crate::restore::write::Run;

pub use damage::Damage;
pub use disks::{RestoreReport, RestoredFile, restore_disks};
pub use existing::{Became, Existing};
pub use folder::restore_folder;
pub use journal::JOURNAL_SUFFIX;
pub use room::Room;
pub use simulate::SimulatedFile;
pub use to::DisksTo;
pub use vm::{VmError, VmPlan, plan_vm};
pub use vmconfig::{NotAFolder, WindowsFolder};

/// What a restore works with.
pub struct Task<'a> {
    /// Where it comes from.
    pub vault: &'a Vault,
    /// What time it is.
    pub clock: &'a dyn Clock,
    /// Who wants to know.
    pub sink: &'a dyn Sink,
    /// Whether somebody asked to stop.
    pub cancel: &'a Cancel,
    /// How much memory and how many threads.
    pub limits: Limits,
}

impl<'a> Task<'a> {
    fn run<'m>(&self, meter: &'m Meter<'m>) -> Run<'m>
    where
        'a: 'm,
    {
        Run {
            limits: self.limits,
            cancel: self.cancel,
            meter,
        }
    }
}

/// A restore point ready to be restored from.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Its id.
    pub id: String,
    /// When its state was caught, seconds since 1970.
    pub taken: u64,
    /// What it says.
    pub details: Details,
    /// The map of each layer, in the order of the details.
    pub layer_roots: Vec<NodeId>,
    /// The map of each file, in the order of the details.
    pub file_roots: Vec<NodeId>,
}

/// Why a point could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// It says something unknown.
    #[error(transparent)]
    Misunderstood(#[from] Misunderstood),
}

impl Opened {
    /// Opens a point that was read.
    ///
    /// # Errors
    /// Without the key to its details, and when they cannot be understood.
    pub fn open(point: &Point) -> Result<Self, OpenError> {
        let details = from_format(&point.details()?)?;
        let outline = &point.outline;
        let root = |id: u32, list: &[(u32, NodeId)]| {
            let found = list.iter().find(|(other, _)| *other == id);
            // The vault has checked that outline and details list the same ids.
            found.map(|(_, root)| *root)
        };
        let layers: Vec<_> = outline.layers.iter().map(|l| (l.id, l.root)).collect();
        let files: Vec<_> = outline.files.iter().map(|f| (f.id, f.root)).collect();
        let roots = |count: usize, list: &[(u32, NodeId)]| -> Vec<NodeId> {
            (0..count as u32).filter_map(|id| root(id, list)).collect()
        };
        Ok(Self {
            id: outline.point.to_string(),
            taken: outline.taken / 1000,
            layer_roots: roots(details.layers.len(), &layers),
            file_roots: roots(details.files.len(), &files),
            details,
        })
    }
}
