//! A VM that comes back to a host, with every call in the run's journal.

use cim::CimError;
use hyperv::checkpoint::destroy_reference_point;
use hyperv::files::HostPath;
use hyperv::import::{
    self, Applied, ApplyError, Consent, ImportError, Keep, MayUndo, Plan, Point, Rollback, Step,
    Target, Undo, Undone, Written,
};
use hyperv::inventory;
use uuid::Uuid;

use super::{HostSource, errors};
use crate::source::SourceError;

/// A plan that was not carried out.
#[derive(Debug)]
pub struct NotRestored {
    /// Why.
    pub error: ApplyError,
    /// Why what was written for it may be in use on the host; nothing when surely nothing of it is.
    pub in_use: Option<String>,
}

/// A restore that was not taken back.
#[derive(Debug)]
pub struct NotTakenBack {
    /// Why.
    pub error: SourceError,
    /// The folder in which the VM that was restored is now, if that is another one by that.
    pub folder: Option<String>,
}

impl HostSource {
    /// Carries out a plan for this host whose files have been written. `tell` and `keep` are those of
    /// [`import::apply`].
    ///
    /// # Errors
    /// When there is no VM of the plan, as far as is known.
    pub fn restore(
        &self,
        point: &Point,
        plan: &Plan,
        written: &Written,
        tell: &mut dyn FnMut(&Step),
        keep: &mut Keep<'_>,
    ) -> Result<Applied, NotRestored> {
        let control = self.controls.own();
        import::apply(control, point, plan, written, tell, keep).map_err(|error| NotRestored {
            in_use: self.in_use(plan),
            error,
        })
    }

    /// Looks whether the VM that a plan replaces can be put aside where the plan says.
    ///
    /// # Errors
    /// When something is there already, or the host does not tell.
    pub fn has_room_aside(&self, plan: &Plan) -> Result<(), SourceError> {
        let control = self.controls.own();
        let tried = import::has_room_aside(control, plan);
        tried.map_err(|error| {
            let hint = "name another folder (--folder), or remove what is there if nobody needs it";
            SourceError::new(plan.name.clone(), error.to_string(), hint)
        })
    }

    /// Removes the replication of a VM that is held off, for good. How many relationships there were.
    ///
    /// # Errors
    /// When the VM is replicated still, or has other disks by that.
    pub fn remove_replication(&self, vm: Uuid, held: &Rollback) -> Result<usize, SourceError> {
        let control = self.controls.own();
        let tried = import::remove_replication(control, vm);
        let tried = tried.and_then(|count| held.has_its_disks().map(|()| count));
        tried.map_err(|error| not_done(vm, &error, &control.take_notes()))
    }

    /// Turns a VM off for its disks to be written, if it may be.
    ///
    /// # Errors
    /// When it may not be. Then it is as it was.
    pub fn begin_rollback(
        &self,
        vm: Uuid,
        turn_off: bool,
        replicated: bool,
    ) -> Result<Rollback, SourceError> {
        let control = self.controls.own();
        let may = Consent {
            turn_off,
            checkpoints: true,
            replicated,
        };
        let begun = Rollback::begin(control, vm, may);
        begun.map_err(|error| not_done(vm, &error, &control.take_notes()))
    }

    /// Removes every reference point of a VM whose disks are about to be written: change tracking may know
    /// nothing of what is written then, and who asked by one of them would miss it.
    ///
    /// # Errors
    /// When one of them is there still.
    pub fn forget_changes(&self, vm: Uuid, rollback: &Rollback) -> Result<(), SourceError> {
        let control = self.controls.own();
        for point in &rollback.reference_points {
            destroy_reference_point(control, vm, point).map_err(|error| {
                let mut told = errors::hinted(&format!("VM {vm}"), &error);
                told.message = format!("{point} could not be removed: {}", told.message);
                told
            })?;
        }
        Ok(())
    }

    /// Whether the host has a file of this name.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn has_file(&self, path: &str) -> Result<bool, SourceError> {
        let control = self.controls.own();
        import::has_file(control, path).map_err(|error| {
            let hint = "see to what the host says, and give the same command again";
            SourceError::new(path.to_owned(), error.to_string(), hint)
        })
    }

    /// Takes a VM that was restored off the host, and brings back what it had replaced. It must be off.
    /// With `gone` that is done also when it is not on the host. Tells too what else there is to say.
    ///
    /// # Errors
    /// When it is not the VM that was restored, or the host does not.
    pub fn undo(&self, undo: &Undo, gone: bool) -> Result<(Undone, Vec<String>), NotTakenBack> {
        let control = self.controls.own();
        let may = MayUndo {
            turn_off: false,
            gone,
        };
        let tried = import::undo(control, undo, may);
        let notes = control.take_notes();
        match tried {
            Ok(undone) => Ok((undone, notes)),
            Err(not) => Err(NotTakenBack {
                error: not_done(undo.vm, &not.problem, &notes),
                folder: not.folder,
            }),
        }
    }

    /// What earlier runs have left half done of a VM's disks was agreed to.
    pub fn settle_rollbacks(&self, vm: Uuid) -> Vec<String> {
        let control = self.controls.own();
        import::settle_rollbacks(control, vm);
        control.take_notes()
    }

    /// Removes what was put aside of the VM that was replaced.
    ///
    /// # Errors
    /// When it is not the VM that was restored, or the host does not.
    pub fn confirm(&self, undo: &Undo) -> Result<(), SourceError> {
        let control = self.controls.own();
        let tried = import::confirm(control, undo);
        tried.map_err(|error| not_done(undo.vm, &error, &control.take_notes()))
    }

    /// Why something on the host may have what was written for a plan that was not carried out.
    fn in_use(&self, plan: &Plan) -> Option<String> {
        let control = self.controls.own();
        match control.journal().reading() {
            Ok(reading) if reading.is_settled() => {}
            Ok(_) => return Some("what became of a call to the host is not known".to_owned()),
            Err(error) => return Some(error.to_string()),
        }
        let taken: Result<_, CimError> = inventory::take(control.session());
        let target = match taken {
            Ok(inventory) => Target { inventory },
            Err(error) => return Some(format!("the host does not tell what it has: {error}")),
        };
        let folders = [Some(&plan.folder), plan.checkpoint_folder.as_ref()];
        let inhabited = folders.into_iter().flatten().any(|folder| {
            let folder = HostPath::parse(folder);
            folder.is_ok_and(|folder| target.is_inhabited(&folder))
        });
        let user = plan.disks.iter().find_map(|disk| target.user_of(&disk.to));
        match (inhabited, user) {
            (_, Some(user)) => Some(format!("the VM {:?} has disks of it", user.name())),
            (true, None) => Some(format!("a VM, or an import, is in {}", plan.folder)),
            (false, None) => None,
        }
    }
}

/// What was not done with a VM.
fn not_done(vm: Uuid, error: &ImportError, notes: &[String]) -> SourceError {
    let (message, hint) = match error {
        ImportError::IsBack(_) => (
            error.to_string(),
            "there is nothing to confirm: `restore undo --vm` ends it",
        ),
        ImportError::AnotherVm { .. } => (
            error.to_string(),
            "somebody has restored or moved the VM since: what was put aside stays, for you to \
             import it by hand",
        ),
        ImportError::Elsewhere(_) => (
            error.to_string(),
            "look for it on the other hosts; when no host has it, say --gone, and what it had replaced is \
             brought back",
        ),
        ImportError::OtherState(state) => (
            format!("its state is {state:?}, and it must be off"),
            "shut the VM down, and give the same command again",
        ),
        _ => (
            error.to_string(),
            "see to what the host says, and give the same command again",
        ),
    };
    let told = SourceError::new(format!("VM {vm}"), message, hint);
    errors::with_notes(told, notes)
}
