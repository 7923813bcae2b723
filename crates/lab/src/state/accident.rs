//! What may happen to a host at any moment, without anybody asking for it.

use uuid::Uuid;

use super::checkpoint::CheckpointWish;
use super::effect::gone;
use super::files::FileError;
use super::host::Host;
use super::refusal::{Failure, Refusal};
use super::vm::{Busy, CheckpointKind, Consistency, Power};

/// Something that happens to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Accident {
    /// The service behind everything restarts: all jobs are gone.
    RestartService {
        /// Whether what the jobs should do is done all the same. No source tells; a caller cannot
        /// know either way.
        finishes: bool,
    },
    /// The host itself restarts, and its VMs go on when it is there again.
    Restart {
        /// Whether it was shut down before, and did not lose its power.
        in_order: bool,
    },
    /// The next job that is begun by a caller ends so, and does nothing.
    JobFails(Failure),
    /// The same when it has done what it should.
    JobFailsWhenDone(Failure),
    /// A delta arrives at a replica, whatever its interval.
    ReceivesDelta(Uuid),
    /// The next merge fails so, and leaves the chain as it is.
    MergeFails(Failure),
    /// So many bytes are free on a volume from now on.
    Space(String, u64),
    /// A VM moves to the node of this name, as soon as it has time.
    Migrates(Uuid, String),
    /// A guest writes to one of its drives.
    Writes {
        /// Its VM.
        vm: Uuid,
        /// The drive.
        drive: usize,
        /// Where.
        offset: u64,
        /// What.
        data: Vec<u8>,
    },
    /// Somebody else takes a checkpoint.
    TakesCheckpoint {
        /// Of this VM.
        vm: Uuid,
        /// What for.
        kind: CheckpointKind,
        /// With this name.
        name: String,
    },
    /// Somebody else removes a checkpoint, by its name.
    DropsCheckpoint(Uuid, String),
    /// A guest settles from now on when it is asked to, or does not.
    Settles(Uuid, bool),
    /// A VM is started, turned off, saved or paused.
    Turns(Uuid, Power),
    /// A VM is busy with something that does not end until it is told so.
    Stuck(Uuid, bool),
    /// The tracking of the disk in a file is lost, with all its ids.
    LosesTracking(String),
    /// So many seconds pass by this host's clock.
    TimePasses(u32),
}

/// Something cannot happen to this host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Impossible(String);

impl From<FileError> for Impossible {
    fn from(error: FileError) -> Self {
        Self(error.to_string())
    }
}

impl From<Failure> for Impossible {
    fn from(failure: Failure) -> Self {
        Self(failure.text)
    }
}

impl From<Refusal> for Impossible {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.to_string())
    }
}

impl Host {
    /// Lets it happen, now.
    pub fn suffer(&mut self, accident: &Accident) -> Result<(), Impossible> {
        self.advance();
        let now = self.now();
        match accident {
            Accident::RestartService { finishes } => {
                if *finishes {
                    self.finish_jobs();
                }
                self.restart_service();
            }
            Accident::Restart { in_order } => {
                self.restart_service();
                self.booted = now;
                self.log_start(now, *in_order);
                if !in_order && self.rules.power_cut_omits {
                    self.forget_running();
                }
            }
            Accident::JobFails(failure) => self.failing = Some((failure.clone(), false)),
            Accident::JobFailsWhenDone(failure) => self.failing = Some((failure.clone(), true)),
            Accident::ReceivesDelta(vm) => {
                let known = self.vm(*vm).and_then(|vm| vm.replication);
                known.ok_or_else(gone)?;
                self.receive_delta(*vm, now);
            }
            Accident::MergeFails(failure) => self.failing_merge = Some(failure.clone()),
            Accident::Space(volume, free) => self.set_free(volume, *free)?,
            Accident::Migrates(vm, to) => {
                self.migrate(*vm, to)?;
                self.depart(now);
            }
            Accident::Writes {
                vm,
                drive,
                offset,
                data,
            } => self.guest_writes(*vm, *drive, *offset, data)?,
            Accident::TakesCheckpoint { vm, kind, name } => {
                let wish = CheckpointWish {
                    kind: *kind,
                    consistency: Consistency::Crash,
                    memory: false,
                    ignore_unfreezable: true,
                };
                let made = self.freeze(*vm, wish, now)?;
                self.modify(made, Some(name), None)?;
            }
            Accident::DropsCheckpoint(vm, name) => {
                let known = self.vm(*vm).ok_or_else(gone)?;
                let mut checkpoints = known.checkpoints.iter();
                let found = checkpoints.find(|c| c.settings.name == *name);
                let id = found.ok_or_else(gone)?.settings.id;
                self.drop_checkpoint(*vm, id)?;
                self.write_configurations(*vm)?;
                self.merge_if_needed(*vm, now);
            }
            Accident::Settles(vm, settles) => {
                self.vm_mut(*vm).ok_or_else(gone)?.guest.settles = *settles;
            }
            Accident::Turns(vm, to) => {
                self.set_power(*vm, *to, now);
                self.write_configurations(*vm)?;
            }
            Accident::Stuck(vm, stuck) => {
                let known = self.vm_mut(*vm).ok_or_else(gone)?;
                known.busy = stuck.then_some((Busy::Other, None));
                self.merge_if_needed(*vm, now);
            }
            Accident::LosesTracking(path) => self.lose_tracking(path)?,
            Accident::TimePasses(seconds) => {
                let ahead = self.rules.clock_ahead.saturating_add((*seconds).into());
                self.rules.clock_ahead = ahead;
                self.advance();
            }
        }
        Ok(())
    }
}
