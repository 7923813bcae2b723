//! The pieces of a planned VM, and which of them is meant by a plan.
//!
//! A plan names drives by their places and adapters by their ids, as the restore point knows them.
//! Hosts keep the ids of devices when they import; where one did not, SCSI controllers are told
//! apart by their order and adapters by their names, and what is not unique is an error.

use cim::path::HYPER_V;
use cim::wsman::Associations;
use cim::{CimSession, Instance, ObjectPath};
use uuid::Uuid;
use vmconfig::model::{ControllerKind, Location, VmConfig};

use super::adapters::AdapterPlan;
use super::error::ImportError;
use super::planned::SETTINGS;
use crate::ids::{self, fold};
use crate::inventory::controller_kind;

pub(super) const RESOURCE: &str = "Msvm_ResourceAllocationSettingData";
pub(super) const STORAGE: &str = "Msvm_StorageAllocationSettingData";
pub(super) const SYNTHETIC_PORT: &str = "Msvm_SyntheticEthernetPortSettingData";
pub(super) const LEGACY_PORT: &str = "Msvm_EmulatedEthernetPortSettingData";
pub(super) const CONNECTION: &str = "Msvm_EthernetPortAllocationSettingData";
pub(super) const VLAN: &str = "Msvm_EthernetSwitchPortVlanSettingData";

/// The pieces of one configuration.
pub(super) struct Hardware {
    rows: Vec<Instance>,
}

/// A place of a controller that has a drive.
pub(super) struct Slot<'h> {
    /// The drive.
    pub(super) drive: &'h Instance,
    /// What is in it.
    pub(super) medium: Option<&'h Instance>,
}

/// A property that is a text.
pub(super) fn text(row: &Instance, name: &str) -> Option<String> {
    row.get_opt::<String>(name).ok().flatten()
}

/// The name that the host has for a piece.
pub(super) fn id(row: &Instance) -> String {
    text(row, "InstanceID").unwrap_or_default()
}

/// The path of a piece.
pub(super) fn path(row: &Instance) -> ObjectPath {
    ObjectPath::new(HYPER_V, &row.class).with_key("InstanceID", id(row))
}

/// The file or object of the host that a piece has.
pub(super) fn resource(row: &Instance) -> Option<String> {
    let all: Vec<String> = row.get_list("HostResource").unwrap_or_default();
    all.into_iter().find(|path| !path.trim().is_empty())
}

/// Whether a piece hangs on another.
fn hangs_on(row: &Instance, parent: &str) -> bool {
    let told = text(row, "Parent").and_then(|path| ids::path_key(&path));
    told.is_some_and(|told| fold(&told) == fold(parent))
}

impl Hardware {
    /// Reads the pieces of a configuration.
    pub(super) fn read(session: &dyn CimSession, settings: &Instance) -> Result<Self, ImportError> {
        let settings = ObjectPath::new(HYPER_V, SETTINGS).with_key("InstanceID", id(settings));
        let which = Associations::of(&settings).by("Msvm_VirtualSystemSettingDataComponent");
        let rows = session.associators(&which)?;
        Ok(Self { rows })
    }

    /// The pieces of a class.
    pub(super) fn of<'h>(&'h self, class: &str) -> impl Iterator<Item = &'h Instance> + use<'h> {
        let class = fold(class);
        let rows = self.rows.iter();
        rows.filter(move |row| fold(&row.class) == class)
    }

    /// The controller of a place. `config` tells which device of the point is meant by it.
    pub(super) fn controller(&self, at: Location, config: &VmConfig) -> Option<&Instance> {
        let of_kind = self.of(RESOURCE).filter(|row| {
            let subtype = text(row, "ResourceSubType").unwrap_or_default();
            controller_kind(&subtype) == Some(at.controller)
        });
        let mut all: Vec<&Instance> = of_kind.collect();
        if at.controller == ControllerKind::Ide {
            let number = |row: &&Instance| {
                let told = text(row, "Address")?;
                told.trim().parse::<u32>().ok()
            };
            if let Some(told) = all.iter().find(|row| number(row) == Some(at.number)) {
                return Some(told);
            }
        } else {
            let known = |id: Uuid| all.iter().copied().find(|row| device(row) == Some(id));
            let wanted = config
                .controllers
                .iter()
                .filter(|c| c.kind == at.controller);
            let meant = wanted.clone().find(|c| c.number == at.number);
            if let Some(found) = meant.and_then(|meant| known(meant.instance)) {
                return Some(found);
            }
            // Where some have kept their ids, one that has not is none of them.
            if wanted.clone().any(|c| known(c.instance).is_some()) {
                return None;
            }
        }
        let number = usize::try_from(at.number).ok()?;
        (number < all.len()).then(|| all.swap_remove(number))
    }

    /// The drive of a place, if there is one.
    pub(super) fn slot(&self, at: Location, config: &VmConfig) -> Option<Slot<'_>> {
        let controller = id(self.controller(at, config)?);
        let drive = self.of(RESOURCE).find(|row| {
            let place = text(row, "AddressOnParent").and_then(|text| text.trim().parse().ok());
            place == Some(at.position) && hangs_on(row, &controller)
        })?;
        let own = id(drive);
        let medium = self.of(STORAGE).find(|row| hangs_on(row, &own));
        Some(Slot { drive, medium })
    }

    /// The adapter that is meant by a plan.
    ///
    /// # Errors
    /// When there is none, or it is not unique.
    pub(super) fn adapter(&self, plan: &AdapterPlan) -> Result<&Instance, ImportError> {
        let class = match plan.legacy {
            true => LEGACY_PORT,
            false => SYNTHETIC_PORT,
        };
        let by_id = |row: &&Instance| plan.instance.is_some() && device(row) == plan.instance;
        if let Some(found) = self.of(class).find(by_id) {
            return Ok(found);
        }
        let named = |row: &&Instance| text(row, "ElementName").as_deref() == Some(&plan.name);
        let mut named = self.of(class).filter(named);
        match (named.next(), named.next()) {
            (Some(one), None) => Ok(one),
            _ => Err(ImportError::Lacks(format!(
                "adapter {:?} of its own in what was made",
                plan.name
            ))),
        }
    }

    /// The connection of an adapter.
    pub(super) fn connection(&self, adapter: &Instance) -> Option<&Instance> {
        let own = id(adapter);
        self.of(CONNECTION).find(|row| hangs_on(row, &own))
    }
}

/// The id of the device that a piece describes.
pub(super) fn device(row: &Instance) -> Option<Uuid> {
    let own: Vec<String> = row.get_list("VirtualSystemIdentifiers").unwrap_or_default();
    let own = own.iter().find_map(|text| ids::guid(text));
    own.or_else(|| ids::device(&id(row)))
}
