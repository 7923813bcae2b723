//! Pieces of hardware that are added to a planned VM.
//!
//! A new piece begins as the host says that a new one of its kind is: the default of its resource
//! pool's capabilities.

use cim::path::HYPER_V;
use cim::wsman::Associations;
use cim::{Instance, ObjectPath, Scalar, Value, job};
use vmconfig::model::{ControllerKind, Location, Qos, VmConfig};

use super::adapters::AdapterPlan;
use super::define::Made;
use super::error::ImportError;
use super::hardware::{self, CONNECTION, RESOURCE};
use super::planned::{PlannedVm, SETTINGS, service};
use crate::control::{Change, Returned};
use crate::journal::Call;

const DISK_DRIVE: &str = "Microsoft:Hyper-V:Synthetic Disk Drive";
const DISK: &str = "Microsoft:Hyper-V:Virtual Hard Disk";
const PORT: &str = "Microsoft:Hyper-V:Synthetic Ethernet Port";
const OLD_PORT: &str = "Microsoft:Hyper-V:Emulated Ethernet Port";
const WIRE: &str = "Microsoft:Hyper-V:Ethernet Connection";

/// A property of a new piece.
pub(super) enum With<'w> {
    Text(&'w str, String),
    List(&'w str, String),
    Flag(&'w str, bool),
    Number(&'w str, u16),
    Large(&'w str, u64),
}

/// Where pieces are added to.
pub(super) struct Pieces<'p> {
    planned: &'p PlannedVm,
    configuration: ObjectPath,
}

impl<'p> Pieces<'p> {
    /// Those of a planned VM.
    pub(super) fn of(planned: &'p PlannedVm) -> Result<Self, ImportError> {
        let id = hardware::id(&planned.settings()?);
        let configuration = ObjectPath::new(HYPER_V, SETTINGS).with_key("InstanceID", id);
        Ok(Self {
            planned,
            configuration,
        })
    }

    /// What a new piece is unless somebody says otherwise.
    fn default(&self, subtype: &str) -> Result<Instance, ImportError> {
        let session = self.planned.control().session();
        let lacks = || ImportError::Lacks(format!("default of {subtype:?}"));
        let wql = format!(
            "SELECT * FROM Msvm_ResourcePool WHERE ResourceSubType = '{subtype}' AND Primordial = True"
        );
        let pools = session.query_paths(HYPER_V, &wql)?;
        for pool in pools {
            let which = Associations::of(&pool)
                .by("Msvm_ElementCapabilities")
                .to("Msvm_AllocationCapabilities");
            for capabilities in session.associators(&which)? {
                let class = "Msvm_AllocationCapabilities";
                let id = hardware::id(&capabilities);
                let path = ObjectPath::new(HYPER_V, class).with_key("InstanceID", id);
                let which = Associations::of(&path).to("Msvm_SettingsDefineCapabilities");
                for role in session.references(&which)? {
                    // 0: the default.
                    let is_default = role.get_opt::<u16>("ValueRole").ok().flatten() == Some(0);
                    let part: Option<ObjectPath> = role.get_opt("PartComponent").ok().flatten();
                    if let (true, Some(part)) = (is_default, part) {
                        return Ok(session.get(&part)?);
                    }
                }
            }
        }
        Err(lacks())
    }

    /// Adds a piece, and gives the host's name for it.
    pub(super) fn add(&self, subtype: &str, with: &[With<'_>]) -> Result<String, ImportError> {
        let mut piece = self.default(subtype)?;
        for one in with {
            match one {
                With::Text(name, value) => piece.set(name, value.as_str()),
                With::List(name, value) => piece.set(name, vec![value.clone()]),
                With::Flag(name, value) => piece.set(name, *value),
                With::Number(name, value) => piece.set(name, *value),
                // Its class knows how long it is.
                With::Large(name, value) => {
                    let value = Value::Scalar(Scalar::Untyped(value.to_string()));
                    piece.put(name, None, value);
                }
            }
        }
        let class = piece.class.clone();
        let inputs = self.planned.embedded("ResourceSettings", &piece)?;
        let inputs = inputs.with("AffectedConfiguration", self.configuration.clone());
        let control = self.planned.control();
        let session = control.session();
        let made = |returned: &Returned<'_>| {
            let paths: Vec<ObjectPath> = returned
                .outputs
                .get_list("ResultingResourceSettings")
                .unwrap_or_default();
            let told = paths.into_iter().find_map(|path| path.key("InstanceID"));
            let rows = returned.job.map(|job| job::results(session, job, &class));
            let rows = rows.and_then(Result::ok).unwrap_or_default();
            let by_job = rows.first().map(hardware::id).filter(|id| !id.is_empty());
            let none = || "nothing tells what it made".to_owned();
            told.or(by_job).map(Some).ok_or_else(none)
        };
        let change = Change {
            call: Call::ChangePlanned {
                planned: self.planned.host_id().to_owned(),
            },
            target: &service(session)?,
            method: "AddResourceSettings",
            inputs: &inputs,
            cancellable: true,
        };
        let id = control.change(self.planned.of(), &change, &made)?;
        id.ok_or_else(|| ImportError::Lacks(format!("{subtype:?} that it made")))
    }

    /// Adds a drive at a place of a controller.
    pub(super) fn add_drive(
        &self,
        subtype: &str,
        controller: &str,
        position: u32,
    ) -> Result<String, ImportError> {
        let parent = ObjectPath::new(HYPER_V, RESOURCE).with_key("InstanceID", controller);
        let with = [
            With::Text("Parent", parent.to_string()),
            With::Text("AddressOnParent", position.to_string()),
        ];
        self.add(subtype, &with)
    }
}

impl PlannedVm {
    /// Adds a disk with its drive.
    ///
    /// # Errors
    /// When there is no such controller, or the host does not do it.
    pub(super) fn add_disk(
        &self,
        (at, file): (Location, &str),
        config: &VmConfig,
        made: &mut Made,
    ) -> Result<(), ImportError> {
        let pieces = Pieces::of(self)?;
        let controller = match at.controller {
            ControllerKind::Scsi => made.controllers.get(&at.number).cloned(),
            _ => self.hardware()?.controller(at, config).map(hardware::id),
        };
        let lacks = || ImportError::Lacks(format!("controller for {at}"));
        let controller = controller.ok_or_else(lacks)?;
        let drive = pieces.add_drive(DISK_DRIVE, &controller, at.position)?;
        let parent = ObjectPath::new(HYPER_V, RESOURCE).with_key("InstanceID", drive.as_str());
        made.drives.insert(at, drive);
        let mut with = vec![
            With::Text("Parent", parent.to_string()),
            With::List("HostResource", file.to_owned()),
        ];
        let own = config.drives().find(|(own, _)| *own == at);
        let speed = own.map(|(_, drive)| drive.qos).unwrap_or_default();
        let Qos {
            iops_limit,
            iops_reservation,
            weight,
        } = speed;
        let speed = [
            ("IOPSLimit", iops_limit),
            ("IOPSReservation", iops_reservation),
            ("Weight", weight),
        ];
        let speed = speed.into_iter();
        with.extend(speed.filter_map(|(name, value)| Some(With::Large(name, value?))));
        pieces.add(DISK, &with).map(drop)
    }

    /// Adds an adapter as it was planned, with its connection if it has one.
    ///
    /// # Errors
    /// When the host does not, or does not have the switch.
    pub(super) fn add_adapter(
        &self,
        plan: &AdapterPlan,
        made: &mut Made,
    ) -> Result<(), ImportError> {
        let pieces = Pieces::of(self)?;
        let (subtype, class) = match plan.legacy {
            true => (OLD_PORT, hardware::LEGACY_PORT),
            false => (PORT, hardware::SYNTHETIC_PORT),
        };
        let mut with = vec![With::Text("ElementName", plan.name.clone())];
        if let Some(mac) = &plan.mac {
            with.push(With::Flag("StaticMacAddress", true));
            with.push(With::Text("Address", mac.clone()));
        }
        let port = pieces.add(subtype, &with)?;
        made.adapters.push(port.clone());
        let Some((key, name)) = &plan.switch else {
            return Ok(());
        };
        let switch = self.switch(key, name)?;
        let port = ObjectPath::new(HYPER_V, class).with_key("InstanceID", port);
        let with = [
            With::Text("Parent", port.to_string()),
            With::List("HostResource", switch.to_string()),
            With::Number("EnabledState", 2),
            With::Text("LastKnownSwitchName", name.clone()),
        ];
        let wire = pieces.add(WIRE, &with)?;
        let path = ObjectPath::new(HYPER_V, CONNECTION).with_key("InstanceID", wire);
        let wire = self.control().session().get(&path)?;
        self.tag(plan, &wire)
    }
}
