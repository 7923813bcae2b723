//! What a VM has just now.

use cim::wsman::Associations;
use cim::{CimError, CimSession, Instance, ObjectPath};
use jiff::Timestamp;
use uuid::Uuid;

use super::CheckpointError;
use crate::ids::{self, fold};
use crate::inventory::{Notes, Operation, PowerState, ReferencePoint};

/// A checkpoint as one look at the host tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenCheckpoint {
    /// The host's name for it.
    pub instance_id: String,
    /// The name that somebody gave it.
    pub name: String,
    /// Whether a backup made it.
    pub recovery: bool,
    /// Whether people made it.
    pub user: bool,
    /// When it was made, by the host's clock.
    pub created: Option<Timestamp>,
}

/// A VM as one look at the host tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeenMachine {
    pub(crate) name: Option<String>,
    pub(crate) state: PowerState,
    /// When it went into that state.
    pub(crate) since: Option<Timestamp>,
    /// What the host is doing with it.
    pub(crate) operation: Option<Operation>,
}

/// Looks at a VM.
pub(crate) fn machine(session: &dyn CimSession, vm: Uuid) -> Result<SeenMachine, CimError> {
    let row = session.get(&ids::machine_path(vm))?;
    let status: Vec<u16> = row.get_list("OperationalStatus").unwrap_or_default();
    let state: Option<u16> = row.get_opt("EnabledState").ok().flatten();
    Ok(SeenMachine {
        name: row.get_opt("ElementName").ok().flatten(),
        state: state.map(PowerState::from_number).unwrap_or_default(),
        since: time(&row, "TimeOfLastStateChange"),
        operation: status.get(1).copied().and_then(Operation::from_number),
    })
}

/// Looks whether the host has a VM, before it is concluded that something of the VM is gone. What
/// a host answers about the checkpoints of a VM that it does not have any more, which has gone to
/// another node with all of them, is documented nowhere: it may be that there are none.
pub(crate) fn still_here(session: &dyn CimSession, vm: Uuid) -> Result<(), CimError> {
    machine(session, vm).map(drop)
}

/// What time it is on the host; `None` when it does not tell.
pub(crate) fn clock(session: &dyn CimSession) -> Result<Option<Timestamp>, CimError> {
    match session.query("root/cimv2", "SELECT * FROM Win32_OperatingSystem") {
        Ok(rows) => Ok(rows.first().and_then(|row| time(row, "LocalDateTime"))),
        // The account need not have rights there.
        Err(error) if error.fault_kind().is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

fn time(row: &Instance, property: &str) -> Option<Timestamp> {
    let told = row.get_opt::<cim::Timestamp>(property).ok().flatten();
    told.filter(|at| !at.is_never())
        .map(cim::Timestamp::instant)
}

impl SeenCheckpoint {
    /// Reads settings; `None` for those without a name, and for those of a VM itself.
    pub(super) fn read(row: &Instance) -> Option<Self> {
        let text = |name| row.get_opt::<String>(name).ok().flatten();
        let kind = fold(&text("VirtualSystemType").unwrap_or_default());
        let instance_id = text("InstanceID").filter(|id| !id.is_empty())?;
        kind.starts_with("microsoft:hyper-v:snapshot:")
            .then(|| Self {
                instance_id,
                name: text("ElementName").unwrap_or_default(),
                recovery: kind == "microsoft:hyper-v:snapshot:recovery",
                user: kind == "microsoft:hyper-v:snapshot:realized",
                created: time(row, "CreationTime"),
            })
    }

    pub(crate) fn is(&self, instance_id: &str) -> bool {
        fold(&self.instance_id) == fold(instance_id)
    }
}

/// The checkpoints of a VM.
pub fn checkpoints(session: &dyn CimSession, vm: Uuid) -> Result<Vec<SeenCheckpoint>, CimError> {
    let which = Associations::of(&ids::machine_path(vm))
        .by("Msvm_SnapshotOfVirtualSystem")
        .to("Msvm_VirtualSystemSettingData");
    let rows = session.associators(&which)?;
    Ok(rows.iter().filter_map(SeenCheckpoint::read).collect())
}

/// The reference points of a VM, whoever made them.
pub fn reference_points(
    session: &dyn CimSession,
    vm: Uuid,
) -> Result<Vec<ReferencePoint>, CimError> {
    let which = Associations::of(&ids::machine_path(vm))
        .by("Msvm_ReferencePointOfVirtualSystem")
        .to("Msvm_VirtualSystemReferencePoint");
    let rows = session.associators(&which)?;
    let read = |row| ReferencePoint::read(row, &mut Notes::default());
    Ok(rows.iter().filter_map(read).collect())
}

/// The only object of a service's class.
pub(super) fn service(
    session: &dyn CimSession,
    class: &'static str,
) -> Result<ObjectPath, CheckpointError> {
    let wql = format!("SELECT * FROM {class}");
    let mut found = session.query_paths(cim::path::HYPER_V, &wql)?;
    match (found.pop(), found.len()) {
        (Some(path), 0) => Ok(path),
        (last, more) => {
            let found = more + usize::from(last.is_some());
            Err(CheckpointError::NoService { class, found })
        }
    }
}

/// Of what there is now, the only one that there was not before; `None` if there is none or
/// several.
pub(super) fn only_new<'n>(
    now: impl Iterator<Item = &'n str>,
    before: &[String],
) -> Option<String> {
    let old = |name: &str| before.iter().any(|known| fold(known) == fold(name));
    let mut new = now.filter(|name| !old(name));
    let one = new.next()?.to_owned();
    new.next().is_none().then_some(one)
}
