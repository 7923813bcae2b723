//! A VM that holds still: the modes `standard` and `cbt`, from the checkpoint to the token.
//!
//! ```text
//! take: checkpoint ─► its disks and files, opened ─► what changed since the token, or why all is read
//! close: files closed ─► reference point, which tells how consistent the disks are
//!   keep: new token, the old reference point removed
//!   abandon: the new reference point removed; the old token stays good
//! abandon, or dropped: files closed ─► checkpoint removed; the old token stays good
//! ```
//!
//! Invariants:
//!
//! - Disks are those of the *checkpoint*: the VM's own are written to.
//! - The state of change tracking is advanced by [`Closed::keep`] alone, which is for after the
//!   restore point is durable. The old reference point goes last, when it is of no use any more.
//! - A disk that cannot be had is told with its reason and does not keep the others from being
//!   saved. No disks at all to be told is an error.
//! - How consistent the disks are is what was achieved, not what was asked for.
//! - Every file is closed before the checkpoint ends: an open one keeps the host from merging.

mod config;
mod disk;
mod end;
mod merge;
mod merge_log;
mod present;
mod protector;
mod state;
mod take;
mod tree;

use std::sync::Arc;
use std::time::Duration;

use cim::CimError;
use cim::job::Pace;
use uuid::Uuid;

pub(crate) use config::open as open_configuration;
pub use config::{ConfigFile, FileRole, LostFile};
pub(crate) use disk::open as open_disk;
pub use disk::{FrozenDisk, LostDisk, Reading};
pub use end::{Closed, Kept};
pub use merge::{Merge, Resting};
pub(crate) use protector::{NotTold, key_protector};
pub(crate) use take::applied;
pub use tree::{LayerReading, Owner, Tree, TreeCheckpoint, TreeLayer, TreeUse};

use crate::checkpoint::{CheckpointError, Mark, Options, RecoveryCheckpoint};
use crate::control::Control;
use crate::files::{FileError, FileProblem, FrozenFile, HostFiles, HostPath};
use crate::inventory::{self, Family, Medium, ReplicationMode, Settings};
use crate::preflight::{Level, Mode};
use crate::space::{self, Floor, Room};
use crate::tracking::{Applied, Now, NowDisk, Power, Token, Uptime};

/// What is wanted of a VM.
pub struct Request<'r> {
    /// The VM.
    pub vm: Uuid,
    /// Whether changes are tracked.
    pub mode: Mode,
    /// How its checkpoint is taken.
    pub options: Options,
    /// Whether a crash-consistent checkpoint will do when the guest does not settle.
    pub fall_back: bool,
    /// How consistent it was to be when the VM was looked at: less is told.
    pub expected: Level,
    /// How consistent it has to be at least: less is no backup.
    pub least: Level,
    /// Which kind of system the guest is.
    pub guest: Family,
    /// Whether it is a replica, whose disks are at rest and crash-consistent all the same.
    pub replica: bool,
    /// The side of its replication that is suspended while the checkpoint is taken, if it is. One
    /// that cannot be suspended keeps nobody from trying: that is in the notes.
    pub suspend: Option<ReplicationMode>,
    /// Whose checkpoint it is.
    pub mark: Mark,
    /// What the last backup kept; without it everything is read.
    pub token: Option<&'r Token>,
    /// Everything is read, whatever changed.
    pub full: bool,
    /// Whether the whole tree of checkpoints is wanted.
    pub tree: bool,
    /// Which disks are wanted; all if nobody says.
    pub choose: Option<&'r Choose<'r>>,
}

/// Whether a disk is wanted, by its place and the paths of its files. When those are not all that it
/// has, `None` if the others could decide otherwise.
pub type Choose<'r> = dyn Fn(&Asked<'_>) -> Option<bool> + 'r;

/// A disk that may be wanted.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Where it is attached.
    pub medium: &'a Medium,
    /// All of its files; `None` when only that which the host names is known.
    pub files: Option<&'a [String]>,
}

impl Request<'_> {
    /// Whether a disk is wanted; `None` if that cannot be told yet.
    fn takes(&self, medium: &Medium, files: Option<&[String]>) -> Option<bool> {
        let asked = Asked { medium, files };
        self.choose.map_or(Some(true), |choose| choose(&asked))
    }

    /// Opens a disk if it is wanted. Of one that is not, at most what its files say of themselves is
    /// read.
    fn open(
        &self,
        pace: &dyn Pace,
        files: &dyn HostFiles,
        medium: Medium,
        begun: Duration,
    ) -> Opened {
        if self.takes(&medium, None) == Some(false) {
            return Opened::LeftOut(medium);
        }
        match open_disk(pace, files, medium, begun) {
            Ok((disk, _)) if self.takes(&disk.medium, Some(&disk.files)) == Some(false) => {
                Opened::LeftOut(disk.medium)
            }
            Ok((disk, opened)) => Opened::Disk(Box::new(disk), opened),
            // What it might be called besides nobody can tell.
            Err(lost) if self.takes(&lost.medium, Some(&[])) == Some(false) => {
                Opened::LeftOut(lost.medium)
            }
            Err(lost) => Opened::Lost(lost),
        }
    }
}

/// A disk that was to be opened.
enum Opened {
    Disk(Box<FrozenDisk>, Vec<Arc<FrozenFile>>),
    LeftOut(Medium),
    Lost(LostDisk),
}

/// A VM that holds still.
pub struct Frozen {
    // Files are closed before the checkpoint ends, also when this is dropped: in this order.
    /// Its disks.
    pub disks: Vec<FrozenDisk>,
    /// The files of its configuration.
    pub files: Vec<ConfigFile>,
    /// Its checkpoints with all layers, if they were wanted.
    pub tree: Option<Tree>,
    opened: Vec<Arc<FrozenFile>>,
    /// Those of them that a saved VM goes on from.
    state: Vec<HostPath>,
    checkpoint: RecoveryCheckpoint,
    /// When the checkpoint was there.
    begun: Duration,
    control: Arc<Control>,
    mode: Mode,
    mark: Mark,
    old: Option<Token>,
    last_applied: [Applied; 2],
    checkpoints: Option<Vec<String>>,
    uptime: Option<Uptime>,
    power: Power,
    /// How consistent its disks are.
    pub level: Level,
    /// Why the disks are less consistent than was asked for.
    pub downgrade: Option<String>,
    /// Its configuration.
    pub settings: Settings,
    /// What a virtual TPM's state is encrypted for; it belongs to the guest state file.
    pub key_protector: Option<Vec<u8>>,
    /// The files that its disks will be in when all is merged.
    resting: Vec<Resting>,
    /// Those of its disks that the VM goes on with in the same file, as the host says.
    written: Vec<String>,
    /// Disks that cannot be had.
    pub lost: Vec<LostDisk>,
    /// Disks that are not wanted.
    pub left_out: Vec<Medium>,
    /// Files that cannot be had.
    pub lost_files: Vec<LostFile>,
    /// What was odd about the host's answers.
    pub findings: Vec<inventory::Finding>,
}

/// A VM that could not be made to hold still.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FreezeError {
    /// No checkpoint, or nothing to be had of it.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The host could not be asked.
    #[error(transparent)]
    Host(#[from] CimError),
    /// It is less consistent than it has to be.
    #[error("it is not as consistent as it has to be: {0}")]
    NotConsistent(String),
    /// The host does not tell the disks of the checkpoint.
    #[error("the host does not tell the disks of the checkpoint {0}")]
    DisksUnknown(String),
}

impl Frozen {
    /// The host's name for the checkpoint.
    pub fn checkpoint(&self) -> &str {
        self.checkpoint.instance_id()
    }

    /// Looks, when all was read, whether each file is what it was when it was opened.
    ///
    /// # Errors
    /// For the first one that is not: nothing that was read from its disk counts.
    pub fn verify(&self) -> Result<(), FileError> {
        self.moved().into_iter().next().map_or(Ok(()), Err)
    }

    /// Looks, when all was read, which files are not what they were when they were opened: shorter,
    /// longer, or written to, since somebody may remove a checkpoint meanwhile, which the host then
    /// merges. Files that do not say so themselves count as written to when a checkpoint is gone.
    pub fn moved(&self) -> Vec<FileError> {
        let files = self.opened.iter();
        let mut moved: Vec<_> = files.filter_map(|file| file.verify().err()).collect();
        for error in self.moved_state() {
            if moved.iter().all(|known| known.path != error.path) {
                moved.push(error);
            }
        }
        let silent = || self.opened.iter().filter(|file| file.is_silent());
        if silent().next().is_none() {
            return moved;
        }
        let problem = match self.checkpoint.others_are_there() {
            Ok(true) => return moved,
            Ok(false) => FileProblem::MayBeMerged,
            Err(error) => FileProblem::Unwatched(error.to_string()),
        };
        moved.extend(silent().map(|file| FileError {
            path: file.path().to_string(),
            problem: problem.clone(),
        }));
        moved
    }

    /// The disks that were opened and do not hold still: the checkpoint names them, and the VM writes
    /// to the same files. Hosts may do so with what they cannot freeze. Nothing that is read from
    /// them is of one moment, whatever the files say of themselves.
    pub fn not_frozen(&self) -> Vec<FileError> {
        let written = self.written.iter();
        written
            .map(|path| FileError {
                path: path.clone(),
                problem: FileProblem::NotFrozen,
            })
            .collect()
    }

    /// Asks the host for room where its disks are. Below the floor the VM should be let go:
    /// [`Frozen::abandon`].
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub fn room(&self, floor: Floor) -> Result<Room, CimError> {
        let media = self.settings.media.iter();
        let files = media.map(|medium| medium.path.as_str());
        space::ask(self.control.session(), files, floor)
    }

    fn now(&self) -> Now {
        let disk = |disk: &FrozenDisk| NowDisk {
            place: disk.medium.instance_id.clone(),
            disk_id: disk.disk_id,
            len: disk.len(),
            files: disk.files.clone(),
        };
        Now {
            installation: self.mark.installation,
            vm: self.checkpoint.vm(),
            last_applied: self.last_applied.clone(),
            checkpoints: self.checkpoints.clone(),
            uptime: self.uptime.clone(),
            power: self.power,
            disks: self.disks.iter().map(disk).collect(),
        }
    }
}
