//! What a VM of generation 2 that is made anew boots from.
//!
//! Each drive and each adapter has a boot source (`Msvm_LogicalIdentity`), and the settings name them in
//! their order. What of the order is boot loaders in the firmware's variables is not carried over: these
//! are in no plain data. A piece of which the host tells no source yet is left to the host; that it is
//! missing in the order is seen when the VM is compared with its plan.

use cim::ObjectPath;
use cim::path::HYPER_V;
use cim::wsman::Associations;
use vmconfig::model::{BootSource, DriveKind, Generation, Location, VmConfig};

use super::Plan;
use super::define::Made;
use super::error::ImportError;
use super::hardware::{self, RESOURCE, SYNTHETIC_PORT};
use super::planned::PlannedVm;
use crate::ids::{self, fold};

const SOURCE: &str = "Msvm_BootSourceSettingData";

/// What of the order a VM that is made anew has.
pub(super) fn carried(config: &VmConfig) -> Vec<BootSource> {
    if config.generation == Generation::One {
        return Vec::new();
    }
    let kinds = [DriveKind::VirtualDisk, DriveKind::Iso, DriveKind::Empty];
    let has_drive = |at: Location| {
        let mut drives = config.drives();
        drives.any(|(own, drive)| own == at && kinds.contains(&drive.kind))
    };
    let has_adapter = |id| {
        let mut adapters = config.network_adapters.iter();
        adapters.any(|adapter| adapter.instance == Some(id))
    };
    let all = config.firmware.boot_sources.iter().copied();
    let is_carried = |source: &BootSource| match source {
        BootSource::Drive { location } => has_drive(*location),
        BootSource::Adapter { instance } => has_adapter(*instance),
        BootSource::Other => false,
    };
    all.filter(is_carried).collect()
}

/// The same, for people.
pub(super) fn told(config: &VmConfig) -> Vec<String> {
    let all = carried(config).into_iter();
    let all = all.map(|source| match source {
        BootSource::Drive { location } => location.to_string(),
        BootSource::Adapter { instance } => {
            let mut own = config.network_adapters.iter();
            let own = own.find(|adapter| adapter.instance == Some(instance));
            format!("adapter {:?}", own.map_or("", |own| own.name.as_str()))
        }
        BootSource::Other => String::new(),
    });
    all.collect()
}

impl PlannedVm {
    /// Has it boot from what the VM did that was backed up, and then from the rest.
    ///
    /// # Errors
    /// When the host does not do it.
    pub(super) fn boot_from(&self, config: &VmConfig, made: &Made) -> Result<(), ImportError> {
        let mut settings = self.settings()?;
        let there: Vec<String> = settings.get_list("BootSourceOrder").unwrap_or_default();
        let name = |path: &String| ids::path_key(path).map(|name| fold(&name));
        let mut order: Vec<String> = Vec::new();
        for source in carried(config) {
            let piece = match source {
                BootSource::Drive { location } => {
                    made.drives.get(&location).map(|id| (RESOURCE, id))
                }
                BootSource::Adapter { instance } => {
                    let mut own = config.network_adapters.iter();
                    let at = own.position(|adapter| adapter.instance == Some(instance));
                    let id = at.and_then(|at| made.adapters.get(at));
                    id.map(|id| (SYNTHETIC_PORT, id))
                }
                BootSource::Other => None,
            };
            let Some((class, id)) = piece else { continue };
            let piece = ObjectPath::new(HYPER_V, class).with_key("InstanceID", id.as_str());
            let which = Associations::of(&piece)
                .by("Msvm_LogicalIdentity")
                .to(SOURCE);
            let found = self.control().session().associators(&which)?;
            let Some(id) = found.first().map(hardware::id) else {
                continue;
            };
            let own = there.iter().find(|path| name(path) == Some(fold(&id)));
            let path = || ObjectPath::new(HYPER_V, SOURCE).with_key("InstanceID", id.as_str());
            order.push(own.cloned().unwrap_or_else(|| path().to_string()));
        }
        let rest = there.into_iter().filter(|path| {
            let mut taken = order.iter();
            !taken.any(|own| name(own) == name(path))
        });
        let rest: Vec<String> = rest.collect();
        order.extend(rest);
        settings.set("BootSourceOrder", order);
        self.modify_settings(settings)
    }
}

/// A thing to boot from, as it is the same in the VM that was backed up and in one that is made anew: a
/// disk by its file, an empty drive by its place, an adapter by its name.
fn token(
    source: BootSource,
    config: &VmConfig,
    file: impl Fn(Location) -> Option<String>,
) -> String {
    match source {
        BootSource::Drive { location } => match file(location) {
            Some(path) => fold(&path),
            None => format!("{} {}", location.controller, location.position),
        },
        BootSource::Adapter { instance } => {
            let mut own = config.network_adapters.iter();
            let own = own.find(|adapter| adapter.instance == Some(instance));
            format!("{:?}", own.map_or("", |own| own.name.as_str()))
        }
        BootSource::Other => String::new(),
    }
}

/// What should come first, and what comes first, where they differ.
pub(super) fn differs(
    wanted: &VmConfig,
    found: &VmConfig,
    plan: &Plan,
) -> Option<(String, String)> {
    let planned = |at: Location| {
        let mut disks = plan.disks.iter();
        let disk = disks.find(|disk| disk.leaf && disk.location == at);
        disk.map(|disk| disk.to.clone())
    };
    let attached = |at: Location| {
        let mut disks = found.virtual_disks();
        disks
            .find(|(own, _)| *own == at)
            .map(|(_, path)| path.to_owned())
    };
    let wants = carried(wanted).into_iter();
    let wants: Vec<String> = wants.map(|s| token(s, wanted, planned)).collect();
    let has = found.firmware.boot_sources.iter();
    let has = has.take(wants.len());
    let has: Vec<String> = has.map(|s| token(*s, found, attached)).collect();
    (wants != has).then(|| (wants.join(", "), has.join(", ")))
}
