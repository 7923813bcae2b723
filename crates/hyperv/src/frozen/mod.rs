//! A VM that holds still: the modes `standard` and `cbt`, from the checkpoint to the token.
//!
//! ```text
//! take: checkpoint ─► its disks, opened ─► what changed since the token, or why all is read
//! keep: files closed ─► reference point ─► new token, the old reference point removed
//! abandon, or dropped: files closed ─► checkpoint removed; the old token stays good
//! ```
//!
//! Invariants:
//!
//! - Disks are those of the *checkpoint*: the VM's own are written to.
//! - The state of change tracking is advanced by [`Frozen::keep`] alone, which is for after the
//!   restore point is durable. The old reference point goes last, when it is of no use any more.
//! - A disk that cannot be had is told with its reason and does not keep the others from being
//!   saved. No disks at all to be told is an error.
//! - Every file is closed before the checkpoint ends: an open one keeps the host from merging.

mod disk;

use std::sync::Arc;

use cim::wsman::Associations;
use cim::{CimError, CimSession};
use uuid::Uuid;

pub use self::disk::{FrozenDisk, LostDisk, Reading};

use crate::checkpoint::{
    CheckpointError, Mark, Options, RecoveryCheckpoint, destroy_reference_point, reference_points,
};
use crate::control::Control;
use crate::files::{FileError, FrozenFile, HostFiles};
use crate::ids;
use crate::inventory::{self, ReferencePoint, Settings};
use crate::preflight::Mode;
use crate::tracking::{Applied, Decision, Now, NowDisk, Token, TokenDisk, decide};

/// What is wanted of a VM.
pub struct Request<'r> {
    /// The VM.
    pub vm: Uuid,
    /// Whether changes are tracked.
    pub mode: Mode,
    /// How its checkpoint is taken.
    pub options: Options,
    /// Whose checkpoint it is.
    pub mark: Mark,
    /// What the last backup kept; without it everything is read.
    pub token: Option<&'r Token>,
}

/// A VM that holds still.
pub struct Frozen<'c, 'a> {
    // Files are closed before the checkpoint ends, also when this is dropped: in this order.
    /// Its disks.
    pub disks: Vec<FrozenDisk>,
    files: Vec<Arc<FrozenFile>>,
    checkpoint: RecoveryCheckpoint<'c, 'a>,
    control: &'c Control<'a>,
    mode: Mode,
    mark: Mark,
    old: Option<Token>,
    last_applied: [Applied; 2],
    checkpoints: Option<Vec<String>>,
    /// Its configuration.
    pub settings: Settings,
    /// Disks that cannot be had.
    pub lost: Vec<LostDisk>,
    /// What was odd about the host's answers.
    pub findings: Vec<inventory::Finding>,
}

/// What is left after a VM was saved.
#[derive(Debug, Default)]
pub struct Kept {
    /// To be kept with the restore point; without it the next backup reads in full.
    pub token: Option<Token>,
    /// What went wrong at the end; nothing of it makes the restore point worse.
    pub problems: Vec<String>,
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
    /// The host does not tell the disks of the checkpoint.
    #[error("the host does not tell the disks of the checkpoint {0}: ask again")]
    DisksUnknown(String),
}

impl<'c, 'a> Frozen<'c, 'a> {
    /// Takes a checkpoint and opens its disks.
    ///
    /// # Errors
    /// When there is no checkpoint, or its disks are not told; then nothing of ours is left.
    pub fn take(
        control: &'c Control<'a>,
        files: &dyn HostFiles,
        request: &Request<'_>,
    ) -> Result<Self, FreezeError> {
        let (session, vm) = (control.session(), request.vm);
        let token = request.token.filter(|_| request.mode == Mode::Cbt);
        let points = match request.mode {
            Mode::Cbt => reference_points(session, vm)?,
            Mode::Standard => Vec::new(),
        };
        let before = applied(session, vm, request.mode)?;
        let checkpoint = RecoveryCheckpoint::create(control, vm, request.options, &request.mark)?;
        let (settings, findings) = inventory::configuration(session, checkpoint.instance_id())?;
        let unknown = |finding: &inventory::Finding| {
            use inventory::Finding::{NoDevices, NoSettings, TooManyDrives};
            matches!(finding, NoDevices { .. } | NoSettings | TooManyDrives)
        };
        if findings.iter().any(unknown) {
            let id = checkpoint.instance_id().to_owned();
            return Err(FreezeError::DisksUnknown(id));
        }
        let mut frozen = Self {
            control,
            checkpoint,
            mode: request.mode,
            mark: request.mark,
            old: token.cloned(),
            last_applied: [before, Applied::Untold],
            checkpoints: None,
            settings,
            disks: Vec::new(),
            lost: Vec::new(),
            findings,
            files: Vec::new(),
        };
        for medium in frozen.settings.media.clone() {
            match disk::open(control.pace(), files, medium) {
                Ok((disk, opened)) => {
                    frozen.disks.push(disk);
                    frozen.files.extend(opened);
                }
                Err(lost) => frozen.lost.push(lost),
            }
        }
        if request.mode == Mode::Cbt {
            // Whatever happened between the looks happened before or after the disks were frozen,
            // and nobody knows which.
            let [_, after] = &mut frozen.last_applied;
            *after = applied(session, vm, request.mode)?;
            frozen.checkpoints = frozen.checkpoint.others_unchanged()?;
            let decisions = decide(token, &points, &frozen.now());
            for (disk, decision) in frozen.disks.iter_mut().zip(decisions) {
                disk.reading = match decision {
                    Decision::Full(doubt) => Reading::Full(doubt.to_string()),
                    Decision::Ask { since } => disk.ask(session, control.pace(), &since),
                };
            }
        }
        Ok(frozen)
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
            disks: self.disks.iter().map(disk).collect(),
        }
    }

    /// The host's name for the checkpoint.
    pub fn checkpoint(&self) -> &str {
        self.checkpoint.instance_id()
    }

    /// Looks, when all was read, whether each file is as long as when it was opened.
    ///
    /// # Errors
    /// For the first one that is not: nothing that was read from its disk counts.
    pub fn verify(&self) -> Result<(), FileError> {
        self.files.iter().try_for_each(|file| file.verify())
    }

    /// Ends the frozen state after the restore point is durable.
    pub fn keep(self) -> Kept {
        let now = self.now();
        let Self {
            control,
            checkpoint,
            mode,
            old,
            disks,
            files,
            ..
        } = self;
        // Closed before the checkpoint ends, or the host could not merge.
        drop((disks, files));
        let mut kept = Kept::default();
        match mode {
            Mode::Standard => {
                if let Err(error) = checkpoint.destroy() {
                    kept.problems.push(error.to_string());
                }
            }
            Mode::Cbt => {
                let point = match checkpoint.convert() {
                    Ok(point) => Some(point),
                    Err(error) => {
                        kept.problems.push(error.to_string());
                        None
                    }
                };
                // Last of all: until here it might have been needed. Without a new one the newest
                // restore point has no token, and nobody would ask by the old one again.
                let new = point
                    .as_ref()
                    .map_or("", |point| point.instance_id.as_str());
                if let Some(old) = old.filter(|old| is_own(old, &now, new)) {
                    let gone = destroy_old(control, &old);
                    kept.problems
                        .extend(gone.err().map(|error| error.to_string()));
                }
                kept.token = point.map(|point| token(now, &point));
            }
        }
        kept.problems.extend(control.take_notes());
        kept
    }

    /// Ends the frozen state when there is no restore point: the old token stays good.
    ///
    /// # Errors
    /// When the checkpoint could not be removed.
    pub fn abandon(self) -> Result<(), CheckpointError> {
        let Self {
            checkpoint,
            disks,
            files,
            ..
        } = self;
        drop((disks, files));
        checkpoint.destroy()
    }
}

fn token(now: Now, point: &ReferencePoint) -> Token {
    let tracked = |disk: NowDisk| TokenDisk {
        tracking_id: point.tracking_of(&disk.place).map(str::to_owned),
        place: disk.place,
        disk_id: disk.disk_id,
        len: disk.len,
        files: disk.files,
    };
    let [last_applied, _] = now.last_applied;
    Token {
        installation: now.installation,
        vm: now.vm,
        reference_point: point.instance_id.clone(),
        last_applied,
        checkpoints: now.checkpoints,
        disks: now.disks.into_iter().map(tracked).collect(),
    }
}

fn is_own(old: &Token, now: &Now, new: &str) -> bool {
    let machine = old.installation == now.installation && old.vm == now.vm;
    machine && ids::fold(&old.reference_point) != ids::fold(new)
}

fn destroy_old(control: &Control<'_>, old: &Token) -> Result<(), CheckpointError> {
    let points = reference_points(control.session(), old.vm)?;
    let same = |id: &str| ids::fold(id) == ids::fold(&old.reference_point);
    if points.iter().any(|point| same(&point.instance_id)) {
        destroy_reference_point(control, old.vm, &old.reference_point)?;
    }
    Ok(())
}

/// The checkpoint that was applied last. Without change tracking nobody wants to know.
fn applied(session: &dyn CimSession, vm: Uuid, mode: Mode) -> Result<Applied, CimError> {
    if mode == Mode::Standard {
        return Ok(Applied::Untold);
    }
    let which = Associations::of(&ids::machine_path(vm))
        .by("Msvm_LastAppliedSnapshot")
        .to("Msvm_VirtualSystemSettingData");
    let rows = match session.associators(&which) {
        Ok(rows) => rows,
        Err(error) if error.fault_kind().is_some() => return Ok(Applied::Untold),
        Err(error) => return Err(error),
    };
    Ok(match rows.as_slice() {
        [] => Applied::None,
        [one] => one.get("InstanceID").map_or(Applied::Untold, Applied::Of),
        _ => Applied::Untold,
    })
}
