//! Going through the guest of a restore point: where one is, what is there, what is marked and what that comes to.
//!
//! ```text
//! point ─► the VM as it was backed up, or a checkpoint ─► volumes ─► folders and files
//! ```
//!
//! Whoever shows it, a script or a screen, holds a [`Place`] and [`Marks`], and asks a [`Browser`] for the rest.
//!
//! Invariants:
//!
//! - There is no terminal here, and nothing is written but by [`Browser::restore`].
//! - Many threads may ask at once: what reads for long takes a [`Cancel`](crate::Cancel) or says how far it is.
//! - What is held does not grow with the guest: of a folder no more than [`MOST`] names, and few file systems.

mod details;
mod listing;
mod marks;
mod out;
mod place;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use guestfs::{Error, FileSystem};
use vault::Vault;

use super::path::GuestPath;
use super::walk::node;
use super::{Guest, Keys};
use crate::restore::Opened;
use crate::source::Owner;

pub use details::Details;
pub use listing::{Listing, MOST};
pub use marks::Marks;
pub use out::{Estimate, Progress};
pub use place::Place;

/// File systems that are kept open.
const OPEN: usize = 8;

/// One of them, of a volume of a state.
type Kept = ((Owner, String), Arc<dyn FileSystem>);

/// The VM as it was backed up, or one of its checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateLine {
    /// Which.
    pub owner: Owner,
    /// The checkpoint's name; nothing for the VM itself.
    pub name: Option<String>,
    /// When, in seconds since 1970, where something tells.
    pub time: Option<u64>,
}

/// A restore point that somebody goes through.
pub struct Browser<'a> {
    vault: &'a Vault,
    point: &'a Opened,
    keys: &'a Keys,
    guests: Mutex<HashMap<Owner, Arc<Guest>>>,
    open: Mutex<Vec<Kept>>,
}

impl<'a> Browser<'a> {
    /// Through a point of a vault, with keys for volumes that are encrypted.
    pub fn new(vault: &'a Vault, point: &'a Opened, keys: &'a Keys) -> Self {
        Self {
            vault,
            point,
            keys,
            guests: Mutex::default(),
            open: Mutex::default(),
        }
    }

    /// The VM's name.
    pub fn vm_name(&self) -> &str {
        &self.point.details.vm_name
    }

    /// The VM as it was backed up, and its checkpoints as the point has them.
    pub fn states(&self) -> Vec<StateLine> {
        let now = StateLine {
            owner: Owner::Vm,
            name: None,
            time: Some(self.point.taken),
        };
        let checkpoints = self.point.details.checkpoints.iter();
        let checkpoints = checkpoints.map(|one| StateLine {
            owner: Owner::Checkpoint(one.id),
            name: Some(one.name.clone()),
            time: one.time,
        });
        [now].into_iter().chain(checkpoints).collect()
    }

    /// The state that an owner is of.
    pub fn state(&self, owner: &Owner) -> Option<StateLine> {
        self.states().into_iter().find(|one| one.owner == *owner)
    }

    /// The guest in a state. Its disks are looked at when it is first asked for.
    pub fn guest(&self, owner: &Owner) -> Arc<Guest> {
        // Held while it is looked at: others would only look at it as well.
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        let guest = guests.entry(owner.clone()).or_insert_with(|| {
            Arc::new(Guest::open_with(self.vault, self.point, owner, self.keys))
        });
        Arc::clone(guest)
    }

    /// The file system of a volume.
    ///
    /// # Errors
    /// When there is no such volume, or it is not understood.
    pub fn file_system(&self, owner: &Owner, volume: &str) -> Result<Arc<dyn FileSystem>, Error> {
        let wanted = (owner.clone(), volume.to_owned());
        let known = || self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, fs)) = known().iter().find(|(of, _)| *of == wanted) {
            return Ok(Arc::clone(fs));
        }
        let fs: Arc<dyn FileSystem> = Arc::from(self.guest(owner).file_system(volume)?);
        let mut known = known();
        if known.len() >= OPEN {
            known.remove(0);
        }
        known.push((wanted, Arc::clone(&fs)));
        Ok(fs)
    }

    /// That something is at a path.
    ///
    /// # Errors
    /// When there is nothing, or it cannot be read.
    pub fn look(&self, owner: &Owner, path: &GuestPath) -> Result<guestfs::Node, Error> {
        let fs = self.file_system(owner, &path.volume)?;
        fs.node(node(fs.as_ref(), path)?)
    }

    /// Where a place may be gone into: the volumes, or a folder.
    ///
    /// # Errors
    /// When there is none.
    pub fn enter(&self, place: &Place) -> Result<(), Error> {
        let Some(path) = &place.path else {
            return Ok(());
        };
        match self.look(&place.owner, path)?.kind {
            guestfs::Kind::Folder => Ok(()),
            _ => Err(Error::WrongKind {
                what: format!("/{path}"),
                is: "no folder",
            }),
        }
    }
}
