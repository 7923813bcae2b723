//! What a VM has just now.

use cim::wsman::Associations;
use cim::{CimError, CimSession, Instance, ObjectPath};
use uuid::Uuid;

use super::CheckpointError;
use crate::ids::{self, fold};
use crate::inventory::{Notes, ReferencePoint};

/// A checkpoint as one look at the host tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenCheckpoint {
    /// The host's name for it.
    pub instance_id: String,
    /// The name that somebody gave it.
    pub name: String,
    /// Whether a backup made it.
    pub recovery: bool,
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
            })
    }

    pub(super) fn is(&self, instance_id: &str) -> bool {
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
