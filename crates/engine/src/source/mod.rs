//! Where VMs come from: the contract between the engine and everything that can yield a VM.
//!
//! A [`Source`] knows VMs. Asked to [`freeze`](Source::freeze) one it makes that VM's state hold
//! still as well as it can and hands out a [`FrozenVm`]: files to copy, disk layers to read, what
//! changed since the last time, how consistent it is, and what is *not* in it. The engine reads,
//! commits a restore point, and ends the frozen state. Nothing else passes between the two, so a
//! folder of exported VMs, a live Hyper-V host and a VSS snapshot are the same to the engine.
//!
//! # What a source promises
//!
//! - **Nothing is better than it is said to be.** [`FrozenView::consistency`] is what was
//!   *achieved*, not what was asked for. What could not be had is in [`FrozenView::findings`] and
//!   [`FrozenView::not_covered`], or in [`Listing::findings`] where no VM has it; a source never
//!   leaves out in silence what is a VM's, or a disk.
//! - **[`Changed`](crate::Changed) errs towards reading.** Its `Ranges` and `Unchanged` are
//!   promises relative to the token passed in [`Request::token`], and to nothing else. Without a
//!   token, or with one that the source does not fully trust, the answer is `Unknown`.
//! - **Layers hold still.** Two reads of a byte of a layer give the same byte until the end of
//!   the frozen state, or [`FrozenVm::recheck`] reports it.
//! - **A bad disk is a finding, not an error.** [`Source::freeze`] fails only when there is nothing
//!   worth saving. A VM of which one disk is missing yields the others.
//!
//! # What the engine promises
//!
//! - [`FrozenVm::finish`] is called exactly once for each frozen VM on every path: success,
//!   failure, cancellation, a panic of the engine.
//! - [`End::Durable`] is said only after the restore point is durable in the vault. So a source may
//!   then advance its change tracking; told [`End::Abandoned`] it must leave the old state valid.
//! - The token that `finish` yields is kept with that point and comes back in
//!   [`Request::token`] for the VM's next backup into the same vault. If keeping it fails, or
//!   another point was made in between, no token comes back and the source reads in full.
//! - Layers are read from several threads at once, mostly ascending.
//! - Several VMs are frozen, read and ended side by side, from several threads, if somebody wants
//!   that; beginning, listing and ending a run stand alone.

mod early;
pub mod folder;
mod held;
pub mod hyperv;
mod view;

use ::hyperv::pacing::LatencyReport;
use serde::Serialize;

use crate::cancel::Cancel;
use crate::finding::{Code, Finding, Severity};
use crate::select::Disks;

pub use early::Early;
pub use held::{Held, Leavings};
pub use view::{
    Checkpoint, CheckpointParent, Consistency, DiskUse, FileRole, FrozenFile, FrozenLayer,
    FrozenView, MissingLayer, Owner, RelPath, RelPathError,
};

/// How long a host took to answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostLatency {
    /// The host.
    pub host: String,
    /// Before it was read from, and meanwhile.
    #[serde(flatten)]
    pub report: LatencyReport,
}

/// A VM as a source lists it, before anything is touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmRef {
    /// The source's own handle for it; opaque to everybody else, unique within one listing.
    pub key: String,
    /// The VM's identity: its Hyper-V id, or for something that has none an id that the source
    /// derives and that stays the same from run to run. Unique within one listing.
    pub id: uuid::Uuid,
    /// Its name, which need not be unique.
    pub name: String,
    /// What it is.
    pub kind: VmKind,
}

/// What a VM is to its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VmKind {
    /// A VM with a configuration.
    #[default]
    Vm,
    /// The copy that replication keeps of another host's VM.
    Replica,
    /// A disk without a VM, or several that share a base.
    Disk,
}

impl VmKind {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Vm, Self::Replica, Self::Disk];

    /// The word for it in patterns.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vm => "vm",
            Self::Replica => "replica",
            Self::Disk => "disk",
        }
    }
}

/// What is wanted of a frozen VM.
#[derive(Debug, Clone)]
pub struct Request {
    /// What [`FrozenVm::finish`] yielded for the VM's newest point in this vault, or `None`.
    pub token: Option<Vec<u8>>,
    /// Say [`Changed::Unknown`](crate::Changed::Unknown) of everything: a full backup was asked for.
    pub full: bool,
    /// Which of its disks are wanted. One that is not is never read, and told among
    /// [`FrozenView::missing`].
    pub disks: Disks,
    /// Somebody may ask to stop while the source waits for a host.
    pub cancel: Cancel,
    /// What [`Source::early`] gave.
    pub early: Early,
}

/// What a vault remembers of a VM.
pub trait Memory {
    /// The tokens that are kept with the VM's restore points, newest point first, of which the
    /// older ones may be left out. A point without one is `None`.
    ///
    /// # Errors
    /// When that is not to be told, with the reason.
    fn tokens(&self, vm: uuid::Uuid) -> Result<Vec<Option<Vec<u8>>>, String>;
}

/// Yields VMs. See the [module](self) for the promises.
pub trait Source: Send + Sync {
    /// What it is, as a person would write it: `folder:/srv/export`.
    fn describe(&self) -> String;

    /// Where one of its VMs is from, where it has several places.
    fn origin(&self, vm: &VmRef) -> String {
        let _ = vm;
        self.describe()
    }

    /// Begins a run: puts right what an earlier one left behind. Called once, before all else.
    ///
    /// # Errors
    /// When no run can begin, so that nothing was done.
    fn begin(&mut self, memory: &dyn Memory) -> Result<Vec<Finding>, SourceError> {
        let _ = memory;
        Ok(Vec::new())
    }

    /// How long each host took to answer before it was read from and meanwhile, as far as that was
    /// measured. Asked when each VM has ended.
    fn latency(&self) -> Vec<HostLatency> {
        Vec::new()
    }

    /// Ends a run. Called once after a [`Source::begin`] that succeeded, when each VM has ended.
    fn end(&mut self, memory: &dyn Memory) -> Vec<Finding> {
        let _ = memory;
        Vec::new()
    }

    /// The VMs that are there now, with what was noticed while looking. Touches nothing.
    ///
    /// # Errors
    /// When there is no telling which VMs there are: then a backup of the source has failed.
    fn list(&mut self) -> Result<Listing, SourceError>;

    /// Waits until the first layer of a VM may be read, so that the VM need not hold still until
    /// then, and nothing of it that a person stops for its backup is stopped; `None` as soon as
    /// `stopped` says so. Asked before anything is done with the VM. What is in the way of its
    /// backup is told by [`Source::freeze`], not here. `stopped` has to answer at once.
    fn early(&self, vm: &VmRef, disks: &Disks, stopped: &dyn Fn() -> bool) -> Option<Early> {
        let _ = (vm, disks);
        (!stopped()).then(Early::default)
    }

    /// Makes a VM hold still.
    ///
    /// # Errors
    /// When nothing of the VM can be saved, or on cancellation. What the call began by then it
    /// has undone itself.
    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError>;
}

/// What a source found.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// The VMs.
    pub vms: Vec<VmRef>,
    /// What was noticed that concerns no one VM.
    pub findings: Vec<Finding>,
}

/// Leave to read a layer, until it is dropped.
pub type Leave = Box<dyn Send>;

/// A VM that holds still. See the [module](self) for the promises.
pub trait FrozenVm: Send + Sync {
    /// What there is to read.
    fn view(&self) -> &FrozenView;

    /// How many of its layers may be read at once.
    fn at_once(&self) -> usize {
        1
    }

    /// The layer that is begun before all others: there is leave for it already, if for any. It is
    /// asked for as soon as anything is read.
    fn first(&self) -> usize {
        0
    }

    /// Waits until a layer may be read beside others, of this VM or another one; `None` as soon as
    /// `stopped` says so, or the VM is to be given up. Asked once for each layer, before it is read.
    /// `stopped` has to answer at once.
    fn leave(&self, layer: usize, stopped: &dyn Fn() -> bool) -> Option<Leave> {
        let _ = layer;
        (!stopped()).then(|| Box::new(()) as Leave)
    }

    /// Why it must be let go before everything was read, if it must be: holding it does harm.
    /// Asked between layers, and when there was no leave to read one.
    fn give_up(&self) -> Option<Finding> {
        None
    }

    /// Looks, after everything was read, whether something moved meanwhile.
    fn recheck(&mut self) -> Vec<Moved>;

    /// Lets go of the frozen state, when everything was read and looked at again and before there
    /// is a restore point: what shows only then is told in time. Nothing is read after it. Change
    /// tracking stays as it was until [`FrozenVm::finish`], which comes in any case.
    ///
    /// # Errors
    /// When what was read is not what was asked for: then there will be no restore point.
    fn let_go(&mut self) -> Result<LetGo, Finding> {
        Ok(LetGo::default())
    }

    /// Ends the frozen state and removes whatever was made for it.
    fn finish(self: Box<Self>, end: End) -> Finished;
}

/// Something that did not hold still while it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The layer, by its index in [`FrozenView::layers`]; `None` for a file.
    pub layer: Option<usize>,
    /// What was seen.
    pub finding: Finding,
}

/// What showed when a VM was let go.
#[derive(Debug, Clone, Default)]
pub struct LetGo {
    /// How consistent the data is after all, if that is worse than the view told.
    pub consistency: Option<Consistency>,
    /// What was noticed.
    pub findings: Vec<Finding>,
}

/// How the engine's work on a frozen VM ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A restore point holds it and is durable.
    Durable,
    /// There is no restore point, or nobody knows; change-tracking state must stay as it was.
    Abandoned,
}

/// What is left after a frozen VM.
#[derive(Debug, Clone, Default)]
pub struct Finished {
    /// Change-tracking state to be kept with the point; only after [`End::Durable`].
    pub token: Option<Vec<u8>>,
    /// What went wrong while cleaning up. Never lost: it becomes part of the VM's outcome.
    pub findings: Vec<Finding>,
}

/// Why a source could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[error("{object}: {message}")]
pub struct SourceError {
    /// Which kind of thing.
    pub code: Code,
    /// The object: a path, a VM, a host.
    pub object: String,
    /// What happened.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// It stopped because somebody asked it to.
    pub cancelled: bool,
    /// Waiting may help, without anybody doing anything.
    pub not_now: bool,
}

impl SourceError {
    /// An error about `object`, and what to do about it.
    pub fn new(
        object: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            code: Code::Failed,
            object: object.into(),
            message: message.into(),
            hint: hint.into(),
            cancelled: false,
            not_now: false,
        }
    }

    /// None of a VM's disks is wanted: it is the VM that should be left out.
    pub(crate) fn all_left_out(vm: &VmRef) -> Self {
        Self {
            code: Code::Excluded,
            ..Self::new(
                vm.name.clone(),
                "all of its disks are excluded by choice",
                "leave the VM itself out: --exclude NAME",
            )
        }
    }
}

impl From<SourceError> for Finding {
    fn from(error: SourceError) -> Self {
        Self::new(error.code, Severity::Error, error.object, error.message).hint(error.hint)
    }
}

#[cfg(test)]
mod tests;
