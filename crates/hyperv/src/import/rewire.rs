//! What a planned VM is connected to: its disks, its media, its adapters.
//!
//! Its checkpoints have configurations of their own, with media and connections that would be there
//! again when somebody goes back to one: they are treated like the VM itself.

use cim::path::HYPER_V;
use cim::{Instance, ObjectPath};
use vmconfig::model::{Location, VmConfig};

use super::Plan;
use super::adapters::AdapterPlan;
use super::error::ImportError;
use super::hardware::{
    self, Hardware, LEGACY_PORT, RESOURCE, STORAGE, SYNTHETIC_PORT, VLAN, id, resource, text,
};
use super::planned::PlannedVm;
use crate::ids::fold;

/// `EnabledState` of a connection.
const CONNECTED: u16 = 2;
const DISCONNECTED: u16 = 3;
/// `OperationMode` of a port that is in one VLAN.
const ACCESS: u32 = 1;

fn subtype(row: &Instance) -> String {
    fold(&text(row, "ResourceSubType").unwrap_or_default())
}

fn is_passed_through(drive: &Instance) -> bool {
    subtype(drive) == "microsoft:hyper-v:physical disk drive"
}

fn is_disk(medium: &Instance) -> bool {
    subtype(medium) == "microsoft:hyper-v:virtual hard disk"
}

impl PlannedVm {
    /// Its pieces as they are now.
    pub(super) fn hardware(&self) -> Result<Hardware, ImportError> {
        Hardware::read(self.control().session(), &self.settings()?)
    }

    /// Attaches a file to the drive of a place, unless it is attached there.
    ///
    /// # Errors
    /// When there is no disk to be another, or the host does not do it.
    pub(super) fn attach(
        &self,
        at: Location,
        file: &str,
        config: &VmConfig,
    ) -> Result<(), ImportError> {
        let all = self.hardware()?;
        let lacks = || ImportError::Lacks(format!("disk at {at} in what was made"));
        let slot = all.slot(at, config).ok_or_else(lacks)?;
        let medium = slot.medium.ok_or_else(lacks)?;
        if resource(medium).is_some_and(|present| fold(&present) == fold(file)) {
            return Ok(());
        }
        let mut wanted = medium.clone();
        wanted.set("HostResource", vec![file.to_owned()]);
        self.modify(wanted)
    }

    /// Takes out what is at a place: an image, or a disk of the host with its drive.
    ///
    /// # Errors
    /// When the host does not.
    pub(super) fn take_out(&self, at: Location, config: &VmConfig) -> Result<(), ImportError> {
        let all = self.hardware()?;
        let Some(slot) = all.slot(at, config) else {
            return Ok(());
        };
        match (is_passed_through(slot.drive), slot.medium) {
            (true, _) => self.remove(slot.drive),
            (false, Some(medium)) => self.remove(medium),
            (false, None) => Ok(()),
        }
    }

    /// Does to its checkpoints what is done to itself: no images, no disks of a host, and adapters
    /// as they were planned. Those that the VM has no more are connected to nothing.
    ///
    /// # Errors
    /// When the host does not.
    pub(super) fn rewire_checkpoints(
        &self,
        plans: &[AdapterPlan],
        in_place: bool,
    ) -> Result<(), ImportError> {
        for settings in self.checkpoints()? {
            let all = Hardware::read(self.control().session(), &settings)?;
            for medium in all.of(STORAGE).filter(|row| !is_disk(row)) {
                self.remove(medium)?;
            }
            for drive in all.of(RESOURCE).filter(|row| is_passed_through(row)) {
                self.remove(drive)?;
            }
            for class in [SYNTHETIC_PORT, LEGACY_PORT] {
                for adapter in all.of(class) {
                    let named = text(adapter, "ElementName").unwrap_or_default();
                    let own = AdapterPlan {
                        instance: hardware::device(adapter),
                        legacy: class == LEGACY_PORT,
                        name: named.clone(),
                        switch: None,
                        mac: None,
                        vlan: None,
                    };
                    let by_id = |plan: &&AdapterPlan| plan.instance == own.instance;
                    let mut same = plans.iter().filter(|plan| plan.name == named);
                    let by_name = match (same.next(), same.next()) {
                        (one, None) => one,
                        _ => None,
                    };
                    let plan = plans.iter().find(by_id).or(by_name).unwrap_or(&own);
                    self.wire(plan, (&all, adapter), in_place)?;
                }
            }
        }
        Ok(())
    }

    /// Looks whether it and its checkpoints have no disks but those of the plan.
    ///
    /// # Errors
    /// When they have: written to as they would be, they would be somebody else's loss.
    pub(super) fn has_only_its_own(&self, plan: &Plan) -> Result<(), ImportError> {
        let checkpoints = self.checkpoints()?;
        for settings in std::iter::once(self.settings()?).chain(checkpoints) {
            let all = Hardware::read(self.control().session(), &settings)?;
            for medium in all.of(STORAGE).filter(|row| is_disk(row)) {
                let file = resource(medium).filter(|file| !plan.has_file(file));
                if let Some(file) = file {
                    let name = text(&settings, "ElementName").unwrap_or_default();
                    return Err(ImportError::NotItsOwn { name, file });
                }
            }
        }
        Ok(())
    }

    /// Connects an adapter as it was planned, and gives it its address.
    ///
    /// # Errors
    /// When the host does not, or does not have the adapter or the switch.
    pub(super) fn connect(&self, plan: &AdapterPlan, in_place: bool) -> Result<(), ImportError> {
        let all = self.hardware()?;
        let adapter = all.adapter(plan)?;
        self.wire(plan, (&all, adapter), in_place)
    }

    fn wire(
        &self,
        plan: &AdapterPlan,
        (all, adapter): (&Hardware, &Instance),
        in_place: bool,
    ) -> Result<(), ImportError> {
        self.address(plan, adapter, in_place)?;
        let connection = all.connection(adapter);
        let state = connection.and_then(|row| row.get_opt::<u16>("EnabledState").ok().flatten());
        let Some((key, name)) = &plan.switch else {
            return match connection {
                Some(row) if state != Some(DISCONNECTED) => {
                    let mut wanted = row.clone();
                    wanted.set("EnabledState", DISCONNECTED);
                    self.modify(wanted)
                }
                _ => Ok(()),
            };
        };
        let lacks = || ImportError::Lacks(format!("connection of the adapter {:?}", plan.name));
        let connection = connection.ok_or_else(lacks)?;
        let switch = self.switch(key, name)?;
        let mut wanted = connection.clone();
        wanted.set("HostResource", vec![switch.to_string()]);
        wanted.set("EnabledState", CONNECTED);
        wanted.set("LastKnownSwitchName", name.as_str());
        self.modify(wanted)?;
        self.tag(plan, connection)
    }

    fn address(
        &self,
        plan: &AdapterPlan,
        adapter: &Instance,
        in_place: bool,
    ) -> Result<(), ImportError> {
        let chosen: Option<bool> = adapter.get_opt("StaticMacAddress").ok().flatten();
        let own = text(adapter, "Address").unwrap_or_default();
        let digits = |text: &str| -> String {
            let digits = text.chars().filter(char::is_ascii_hexdigit);
            digits.collect::<String>().to_ascii_uppercase()
        };
        let mut wanted = adapter.clone();
        match &plan.mac {
            None => {
                wanted.set("StaticMacAddress", false);
                wanted.set("Address", "");
                // One that the host has still to choose is none that it had.
                if chosen == Some(false) && digits(&own).trim_matches('0').is_empty() {
                    return Ok(());
                }
            }
            Some(mac) => {
                let same = digits(&own) == digits(mac);
                // Another host would choose another one, unless it is told that somebody chose it.
                if same && (in_place || chosen == Some(true)) {
                    return Ok(());
                }
                wanted.set("StaticMacAddress", true);
                wanted.set("Address", mac.as_str());
            }
        }
        self.modify(wanted)
    }

    /// The switch of a host, by the host's own name for it.
    pub(super) fn switch(&self, key: &str, name: &str) -> Result<ObjectPath, ImportError> {
        let wql = "SELECT * FROM Msvm_VirtualEthernetSwitch";
        let all = self.control().session().query_paths(HYPER_V, wql)?;
        let mut all = all.into_iter();
        let own = |path: &ObjectPath| path.key("Name").is_some_and(|own| fold(&own) == fold(key));
        let found = all.find(own);
        found.ok_or_else(|| ImportError::Lacks(format!("switch {name:?} any more")))
    }

    /// Puts a connection into a VLAN. Where the configuration told it, it is there already.
    pub(super) fn tag(&self, plan: &AdapterPlan, connection: &Instance) -> Result<(), ImportError> {
        let Some(vlan) = plan.vlan else {
            return Ok(());
        };
        let wql = format!("SELECT * FROM {VLAN}");
        let all = self.control().session().query(HYPER_V, &wql)?;
        let prefix = format!("{}\\", fold(&id(connection)));
        let present = all.iter().find(|row| fold(&id(row)).starts_with(&prefix));
        if let Some(present) = present {
            let told: Option<u16> = present.get_opt("AccessVlanId").ok().flatten();
            let mode: Option<u32> = present.get_opt("OperationMode").ok().flatten();
            if (told, mode) == (Some(vlan), Some(ACCESS)) {
                return Ok(());
            }
            let mut wanted = present.clone();
            wanted.set("AccessVlanId", vlan);
            wanted.set("OperationMode", ACCESS);
            let inputs = self.embedded("FeatureSettings", &wanted)?;
            return self.manage("ModifyFeatureSettings", &inputs);
        }
        let wanted = Instance::new(VLAN)
            .with("AccessVlanId", vlan)
            .with("OperationMode", ACCESS);
        let inputs = self.embedded("FeatureSettings", &wanted)?;
        let inputs = inputs.with("AffectedConfiguration", hardware::path(connection));
        self.manage("AddFeatureSettings", &inputs)
    }

    /// Changes a piece: what is sent is the whole of it.
    pub(super) fn modify(&self, piece: Instance) -> Result<(), ImportError> {
        let inputs = self.embedded("ResourceSettings", &piece)?;
        self.manage("ModifyResourceSettings", &inputs)
    }

    fn remove(&self, piece: &Instance) -> Result<(), ImportError> {
        let pieces = vec![hardware::path(piece)];
        let inputs = Instance::default().with("ResourceSettings", pieces);
        self.manage("RemoveResourceSettings", &inputs)
    }

    /// Inputs with one piece in a list, of the types that its class has.
    pub(super) fn embedded(&self, name: &str, piece: &Instance) -> Result<Instance, ImportError> {
        let class = self.control().session().class(HYPER_V, &piece.class)?;
        let unwritable = |error: &dyn ToString| ImportError::Unwritable(error.to_string());
        let piece = class.conform(piece.clone());
        let piece = piece.map_err(|error| unwritable(&error))?;
        let mut inputs = Instance::default();
        inputs
            .set_embedded_list(name, &[piece])
            .map_err(|error| unwritable(&error))?;
        Ok(inputs)
    }
}
