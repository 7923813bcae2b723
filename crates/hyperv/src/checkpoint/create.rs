//! Taking a recovery checkpoint.

use std::sync::Arc;

use cim::wsman::FaultKind;
use cim::{CimError, CimSession, Instance, job, path::HYPER_V};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::look::{self, SeenCheckpoint, checkpoints, only_new, service};
use super::{CheckpointError, Mark, RecoveryCheckpoint};
use crate::control::{Change, ChangeError, Control, NotDone, Returned, Tries};
use crate::ids;
use crate::journal::Call;

/// `SnapshotType` of a checkpoint for a backup; not on the page of the method, but what
/// Microsoft's own sample and every other program uses.
const RECOVERY: u16 = 32768;

/// How consistent the checkpoint shall be (`ConsistencyLevel`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// The guest settles; it fails when the guest does not.
    Application,
    /// As after a power cut; the guest is not asked.
    Crash,
}

/// What the guest's applications take the backup for (`GuestBackupType`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuestBackup {
    /// A copy beside other backups: they change nothing.
    #[default]
    Copy,
    /// A full backup: databases cut their logs.
    Full,
}

/// How a checkpoint is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// How consistent.
    pub consistency: Consistency,
    /// What the guest takes it for.
    pub guest_backup: GuestBackup,
    /// Go on without the disks that no checkpoint holds. Only with findings that name them.
    pub ignore_other_disks: bool,
}

impl RecoveryCheckpoint {
    /// Takes a checkpoint of a VM and gives it our name.
    ///
    /// # Errors
    /// [`CheckpointError::Occupied`] when there is a recovery checkpoint, and whatever the host
    /// fails with: with [`Consistency::Application`] that the guest does not settle. Then there is
    /// no checkpoint of ours, or after [`ChangeError::Unknown`] the journal tells that there may be.
    pub fn create(
        control: &Arc<Control>,
        vm: Uuid,
        options: Options,
        mark: &Mark,
    ) -> Result<Self, CheckpointError> {
        let name = mark.name();
        let mut wish = settings(control, options, &name)?;
        let mut tries = control.tries_to_begin();
        loop {
            let error = match Self::attempt(control, vm, (options, &name), &mut wish, &mut tries) {
                Ok(checkpoint) => return Ok(checkpoint),
                Err(error) => error,
            };
            let again = matches!(&error, CheckpointError::Change(e) if e.is_worth_waiting());
            let again = again && !control.pace().cancelled();
            match again.then(|| tries.next(control.pace())).flatten() {
                Some(wait) => control.pace().sleep(wait),
                None => return Err(error),
            }
        }
    }

    /// Looks at the VM and makes one call. Whoever waited looks again: meanwhile the VM may be in
    /// another state, another backup may have begun, and checkpoints may have come and gone.
    fn attempt(
        control: &Arc<Control>,
        vm: Uuid,
        (options, name): (Options, &str),
        wish: &mut Wish,
        tries: &mut Tries,
    ) -> Result<Self, CheckpointError> {
        let session = control.session();
        let machine = idle(control, vm, tries)?;
        let seen = checkpoints(session, vm)?;
        if let Some(other) = seen.iter().find(|c| c.recovery) {
            return Err(CheckpointError::Occupied(Box::new(other.clone())));
        }
        let before: Vec<String> = seen.into_iter().map(|c| c.instance_id).collect();
        let take = |settings: &Instance| {
            // The last thing before the call, since it tells when that was made.
            let clock = look::clock(session)?;
            let ahead = clock.map(|host| host.as_millisecond() - control.time().as_millisecond());
            let call = Call::CreateCheckpoint {
                name: name.to_owned(),
                before: before.clone(),
                vm_name: machine.name.clone(),
                clock_ahead: ahead,
            };
            take(control, vm, settings, call, &before)
        };
        let made = match wish.named.as_ref().map(&take) {
            Some(Err(error)) if refuses_settings(&error) => {
                wish.named = None;
                take(&wish.plain)?
            }
            Some(made) => made?,
            None => take(&wish.plain)?,
        };
        let instance_id = made.unwrap_or_default();
        let checkpoint = Self {
            control: Arc::clone(control),
            vm,
            instance_id,
            before,
            machine,
            asked: options.consistency,
            kind_untold: wish.kind_untold,
            held: true,
        };
        if let Err(error) = checkpoint.rename(name) {
            // The journal knows it by its id all the same.
            control.note(format!(
                "the checkpoint {} could not be given our name: {error}",
                checkpoint.instance_id
            ));
        }
        Ok(checkpoint)
    }

    fn rename(&self, name: &str) -> Result<(), CheckpointError> {
        let control = &self.control;
        let service = service(control.session(), "Msvm_VirtualSystemManagementService")?;
        // What is absent stays as it is.
        let settings = Instance::new("Msvm_VirtualSystemSettingData")
            .with("InstanceID", self.instance_id.as_str())
            .with("ElementName", name);
        let mut inputs = Instance::default();
        inputs
            .set_embedded("SystemSettings", &settings)
            .map_err(|error| CheckpointError::Unwritable(error.to_string()))?;
        let change = Change {
            call: Call::RenameCheckpoint {
                checkpoint: self.instance_id.clone(),
                name: name.to_owned(),
            },
            target: &service,
            method: "ModifySystemSettings",
            inputs: &inputs,
            cancellable: false,
        };
        control.change(self.vm, &change, &|_| Ok(None))?;
        Ok(())
    }
}

/// Waits until the host is not at work on the VM: a merge after the last backup, above all.
fn idle(
    control: &Control,
    vm: Uuid,
    tries: &mut Tries,
) -> Result<look::SeenMachine, CheckpointError> {
    loop {
        let machine = look::machine(control.session(), vm)?;
        let Some(operation) = machine.operation else {
            return Ok(machine);
        };
        let wait = tries.next(control.pace());
        match wait.filter(|_| !control.pace().cancelled()) {
            Some(wait) => control.pace().sleep(wait),
            None => return Err(CheckpointError::Busy(operation)),
        }
    }
}

fn take(
    control: &Control,
    vm: Uuid,
    settings: &Instance,
    call: Call,
    before: &[String],
) -> Result<Option<String>, CheckpointError> {
    let session = control.session();
    let service = service(session, "Msvm_VirtualSystemSnapshotService")?;
    let mut inputs = Instance::default().with("AffectedSystem", ids::machine_path(vm));
    inputs
        .set_embedded("SnapshotSettings", settings)
        .map_err(|error| CheckpointError::Unwritable(error.to_string()))?;
    inputs.set("SnapshotType", RECOVERY);
    let change = Change {
        call,
        target: &service,
        method: "CreateSnapshot",
        inputs: &inputs,
        cancellable: true,
    };
    let made = |returned: &Returned<'_>| made(session, vm, before, returned).map(Some);
    let made = control.once(vm, &change, &made, &|why| match why {
        // It never began, and what is there is somebody else's.
        NotDone::Refused(_) | NotDone::NotCalled(_) => Ok(()),
        NotDone::Failed(_) | NotDone::Cancelled(_) => none_new(session, vm, before),
    })?;
    Ok(made)
}

/// Whether there is no recovery checkpoint that was not there before: jobs are known to say that
/// they failed and to have done it.
fn none_new(session: &dyn CimSession, vm: Uuid, before: &[String]) -> Result<(), String> {
    let now = checkpoints(session, vm).map_err(|error| error.to_string())?;
    let mut new = now.iter().filter(|c| !before.iter().any(|id| c.is(id)));
    match new.find(|c| c.recovery) {
        Some(new) => Err(format!("there is a new checkpoint, {}", new.instance_id)),
        None => look::still_here(session, vm).map_err(|error| error.to_string()),
    }
}

/// Whether the host did not understand what it was asked for. Some find that out in the job.
fn refuses_settings(error: &CheckpointError) -> bool {
    let CheckpointError::Change(ChangeError::NotDone { why, .. }) = error else {
        return false;
    };
    match why {
        NotDone::Refused(code) => matches!(code, 4 | 6 | 32773 | 32776),
        NotDone::Failed(failure) => matches!(failure.job.error_code, 32773 | 32776),
        NotDone::Cancelled(_) | NotDone::NotCalled(_) => false,
    }
}

/// What the host is asked for.
struct Wish {
    plain: Instance,
    /// The same with our name, if the host may know what to do with one.
    named: Option<Instance>,
    /// Whether the guest is asked without being told what the backup is for.
    kind_untold: bool,
}

/// # Errors
/// When the guest is asked for a copy and whether it can be told so is not known: it may take it
/// for a full backup, and cut the logs that another backup needs.
fn settings(control: &Control, options: Options, name: &str) -> Result<Wish, CimError> {
    let asks = options.consistency == Consistency::Application;
    let level: u8 = match options.consistency {
        Consistency::Application => 1,
        Consistency::Crash => 2,
    };
    const CLASS: &str = "Msvm_VirtualSystemSnapshotSettingData";
    let settings = Instance::new(CLASS)
        .with("ConsistencyLevel", level)
        .with("IgnoreNonSnapshottableDisks", options.ignore_other_disks);
    let class = match control.session().class(HYPER_V, CLASS) {
        Ok(class) => class,
        Err(error) => {
            if error.fault_kind() != Some(FaultKind::NoClass) {
                if asks && options.guest_backup == GuestBackup::Copy {
                    return Err(error);
                }
                control.note(format!(
                    "what the guest takes the backup for was not told: {error}"
                ));
            }
            return Ok(Wish {
                plain: settings,
                named: None,
                kind_untold: asks,
            });
        }
    };
    let mut settings = settings;
    // Hosts before 1703 do not have the property, and refuse settings with it.
    let has_kind = class.property("GuestBackupType").is_some();
    if has_kind {
        let kind: u8 = match options.guest_backup {
            GuestBackup::Full => 1,
            GuestBackup::Copy => 2,
        };
        settings.set("GuestBackupType", kind);
    }
    // A host that takes it gives the checkpoint our name from its first moment; whether any does
    // is documented nowhere. Others are told the name afterwards.
    let named = class
        .property("ElementName")
        .map(|_| settings.clone().with("ElementName", name));
    Ok(Wish {
        plain: settings,
        named,
        kind_untold: asks && !has_kind,
    })
}

/// The checkpoint that a call made: told by its output or its job, or else the only new one, since
/// the host says that it is there.
fn made(
    session: &dyn CimSession,
    vm: Uuid,
    before: &[String],
    returned: &Returned<'_>,
) -> Result<String, String> {
    let output = returned
        .outputs
        .get_opt::<cim::ObjectPath>("ResultingSnapshot");
    if let Some(id) = output
        .ok()
        .flatten()
        .and_then(|path| path.key("InstanceID"))
    {
        return Ok(id);
    }
    if let Some(job) = returned.job {
        let rows = job::results(session, job, "Msvm_VirtualSystemSettingData");
        let rows = rows.map_err(|error| error.to_string())?;
        let seen: Vec<_> = rows.iter().filter_map(SeenCheckpoint::read).collect();
        let recovery = seen
            .iter()
            .filter(|c| c.recovery)
            .map(|c| c.instance_id.as_str());
        if let Some(id) = only_new(recovery, before) {
            return Ok(id);
        }
    }
    let now = checkpoints(session, vm).map_err(|error| error.to_string())?;
    let recovery = now
        .iter()
        .filter(|c| c.recovery)
        .map(|c| c.instance_id.as_str());
    only_new(recovery, before)
        .ok_or_else(|| "which checkpoint it made is not to be told".to_owned())
}

impl CheckpointError {
    /// Whether the host began to take the checkpoint and failed for good: asked for
    /// [`Consistency::Application`], that the guest does not settle is the likeliest reason, and
    /// [`Consistency::Crash`] may do. A replication that was at work fails in the same way; whether
    /// it was tells [`conflict`](crate::replication::conflict()).
    pub fn may_be_the_guest(&self) -> bool {
        let Self::Change(error @ ChangeError::NotDone { why, .. }) = self else {
            return false;
        };
        let failed = matches!(why, NotDone::Failed(_));
        failed && !error.is_worth_waiting() && !refuses_settings(self)
    }
}
