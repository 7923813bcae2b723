//! Ending a recovery checkpoint.

use std::sync::Arc;

use cim::{Instance, job};

use super::look::{checkpoints, machine, only_new, reference_points, service, still_here};
use super::{CheckpointError, RecoveryCheckpoint};
use crate::control::{Change, ChangeError, Control, NotDone, Returned};
use crate::ids;
use crate::inventory::ReferencePoint;
use crate::journal::{Call, Outcome};

const SERVICE: &str = "Msvm_VirtualSystemSnapshotService";
/// How often a call is made of which nobody knows whether it was done.
const MOST_TRIES: usize = 3;

impl RecoveryCheckpoint {
    /// Makes a reference point of it, by which the next backup asks what has changed. The
    /// checkpoint ends with it. Files of the checkpoint must be closed.
    ///
    /// # Errors
    /// When there is no reference point that is surely ours; the checkpoint is removed then, and
    /// the next backup reads in full.
    pub fn convert(mut self) -> Result<ReferencePoint, CheckpointError> {
        let control = Arc::clone(&self.control);
        let session = control.session();
        let before = reference_points(session, self.vm)?;
        let before: Vec<String> = before.into_iter().map(|point| point.instance_id).collect();
        let service = service(session, SERVICE)?;
        let inputs = Instance::default()
            .with("AffectedSnapshot", ids::settings_path(&self.instance_id))
            .with("ReferencePointSettings", "");
        let change = Change {
            call: Call::ConvertCheckpoint {
                checkpoint: self.instance_id.clone(),
                before: before.clone(),
            },
            target: &service,
            method: "ConvertToReferencePoint",
            inputs: &inputs,
            cancellable: false,
        };
        let vm = self.vm;
        let id = self.instance_id.clone();
        let undone = |_: &NotDone| {
            let now = checkpoints(session, vm).map_err(|error| error.to_string())?;
            match now.iter().any(|c| c.is(&id)) {
                true => Ok(()),
                false => Err("the checkpoint is gone".to_owned()),
            }
        };
        let convert = || {
            let made = |returned: &Returned<'_>| {
                let output = returned
                    .outputs
                    .get_opt::<cim::ObjectPath>("ResultingReferencePoint");
                let output = output
                    .ok()
                    .flatten()
                    .and_then(|path| path.key("InstanceID"));
                if output.is_some() {
                    return Ok(output);
                }
                if let Some(job) = returned.job {
                    let rows = job::results(session, job, "Msvm_VirtualSystemReferencePoint");
                    let rows = rows.map_err(|error| error.to_string())?;
                    let ids: Vec<String> = rows
                        .iter()
                        .filter_map(|row| row.get("InstanceID").ok())
                        .collect();
                    if let Some(one) = only_new(ids.iter().map(String::as_str), &before) {
                        return Ok(Some(one));
                    }
                }
                let now = reference_points(session, vm).map_err(|error| error.to_string())?;
                let one = only_new(now.iter().map(|point| point.instance_id.as_str()), &before);
                one.map(Some)
                    .ok_or_else(|| "which reference point it made is not to be told".to_owned())
            };
            control.change_looking(vm, &change, &made, &undone)
        };
        // A call of which nobody knows may be made again while there is something to convert: what
        // it converts is converted once.
        let mut unknown = Vec::new();
        let made = loop {
            let error = match convert() {
                Ok(made) => break made,
                Err(error) => error,
            };
            let ChangeError::Unknown { number, .. } = &error else {
                return Err(error.into());
            };
            unknown.push(*number);
            if !self.is_there_at_rest()? {
                break self.became(error, &before)?;
            }
            // Removed as this is dropped.
            if unknown.len() >= MOST_TRIES {
                return Err(error.into());
            }
        };
        self.held = false;
        for number in unknown {
            let made = made.clone();
            control.settle(number, Outcome::Done { made });
        }
        self.see_ended();
        let points = reference_points(session, vm)?;
        let ours = |point: &ReferencePoint| Some(&point.instance_id) == made.as_ref();
        let lost = || CheckpointError::NoReferencePoint(self.instance_id.clone());
        points.into_iter().find(ours).ok_or_else(lost)
    }

    /// Looks whether it ended with the conversion, as the host says. Since the journal takes it for
    /// converted, one that is there still would stay for good.
    fn see_ended(&self) {
        let control = &self.control;
        let left = match self.is_there_at_rest() {
            Ok(false) => return,
            Ok(true) => self.remove(),
            Err(error) => Err(error),
        };
        if let Err(error) = left {
            control.note(error.to_string());
            let checkpoint = self.instance_id.clone();
            control.seen_undone(self.vm, Call::DestroyCheckpoint { checkpoint });
        }
    }

    /// What became of it in a conversion whose end was not seen. When the checkpoint, which nobody
    /// else would touch, is gone and there is one new reference point, that is it.
    fn became(
        &mut self,
        error: ChangeError,
        before: &[String],
    ) -> Result<Option<String>, CheckpointError> {
        // Whatever it became, there is nothing left to remove by its name.
        self.held = false;
        let now = reference_points(self.control.session(), self.vm)?;
        let now = now.iter().map(|point| point.instance_id.as_str());
        match only_new(now, before) {
            Some(made) => Ok(Some(made)),
            None => {
                self.control.note(error.to_string());
                Err(CheckpointError::NoReferencePoint(self.instance_id.clone()))
            }
        }
    }

    /// Whether it is there when the host is not at work on the VM: it may be just about to end it.
    fn is_there_at_rest(&self) -> Result<bool, CheckpointError> {
        let control = &self.control;
        let mut tries = control.tries();
        loop {
            // Asked first: what it is at may end before the rest is asked.
            let machine = machine(control.session(), self.vm)?;
            if !self.is_there()? {
                return Ok(false);
            }
            let wait = machine.operation.and_then(|_| tries.next(control.pace()));
            match wait {
                Some(wait) => control.pace().sleep(wait),
                None => return Ok(true),
            }
        }
    }

    /// Removes it; its disks are merged by the host in its own time.
    ///
    /// # Errors
    /// When it is still there, or that is not to be told: then it stays in the journal.
    pub fn destroy(mut self) -> Result<(), CheckpointError> {
        // Tried once here and told; not again when it is dropped.
        self.held = false;
        self.remove()
    }

    fn is_there(&self) -> Result<bool, CheckpointError> {
        let session = self.control.session();
        let seen = checkpoints(session, self.vm)?;
        let there = seen.iter().any(|c| c.is(&self.instance_id));
        if !there {
            still_here(session, self.vm)?;
        }
        Ok(there)
    }

    pub(super) fn remove(&self) -> Result<(), CheckpointError> {
        destroy_checkpoint(&self.control, self.vm, &self.instance_id)
    }
}

/// Removes a checkpoint that is surely ours, and looks whether it is gone.
///
/// # Errors
/// When it is still there, or that is not to be told.
pub fn destroy_checkpoint(
    control: &Control,
    vm: uuid::Uuid,
    instance_id: &str,
) -> Result<(), CheckpointError> {
    let session = control.session();
    let service = service(session, SERVICE)?;
    let inputs = Instance::default().with("AffectedSnapshot", ids::settings_path(instance_id));
    let change = Change {
        call: Call::DestroyCheckpoint {
            checkpoint: instance_id.to_owned(),
        },
        target: &service,
        method: "DestroySnapshot",
        inputs: &inputs,
        cancellable: false,
    };
    // A call of which nobody knows may be made again: what it removes is removed once.
    let mut unknown = Vec::new();
    for _ in 0..MOST_TRIES {
        let tried = control.change(vm, &change, &|_| Ok(None));
        let there = checkpoints(session, vm)?.iter().any(|c| c.is(instance_id));
        if !there {
            still_here(session, vm)?;
            if let Err(ChangeError::Unknown { number, .. }) = &tried {
                unknown.push(*number);
            }
            for number in unknown {
                control.settle(number, Outcome::Done { made: None });
            }
            if matches!(tried, Err(ChangeError::NotDone { .. })) {
                control.seen_done(vm, change.call);
            }
            return Ok(());
        }
        match tried {
            Ok(_) => {
                // The host's word that it is gone is in the journal.
                control.seen_undone(vm, change.call);
                break;
            }
            Err(ChangeError::Unknown { number, .. }) => unknown.push(number),
            Err(error) => return Err(error.into()),
        }
    }
    Err(CheckpointError::StillThere(instance_id.to_owned()))
}
