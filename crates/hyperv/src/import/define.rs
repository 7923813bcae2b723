//! A VM that is made anew from what is known of it, where its configuration cannot be imported.
//!
//! It is a planned VM from its first moment, so it is validated, realized and compared like one that
//! is imported, and destroyed on every path before. What a host gives to each new VM is there
//! already; controllers, drives, disks and adapters are added, each from what the host says that a
//! new one is.
//!
//! What the restore point does not tell stays as the host does it.

use std::collections::BTreeMap;
use std::sync::Arc;

use cim::{Instance, Interval, Scalar, Value};
use uuid::Uuid;
use vmconfig::model::{Controller, ControllerKind, DriveKind, Generation, Location, VmConfig};

use super::error::ImportError;
use super::hardware::{Hardware, text};
use super::pieces::Pieces;
use super::planned::{PlannedVm, SETTINGS};
use super::{Plan, Point};
use crate::control::Control;
use crate::ids;
use crate::inventory::{boot_device, service_class};

/// What was made, by the host's names for it.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// SCSI controllers, by their numbers in the restore point.
    pub(super) controllers: BTreeMap<u32, String>,
    /// Drives, by their places in it.
    pub(super) drives: BTreeMap<Location, String>,
    /// Adapters, in the order of the plan.
    pub(super) adapters: Vec<String>,
}

/// Makes a planned VM, with all that is no disk and no adapter.
///
/// # Errors
/// When the host does not; then it is gone, or in the journal.
pub(super) fn define(
    control: &Arc<Control>,
    point: &Point,
    plan: &Plan,
) -> Result<(PlannedVm, Made), ImportError> {
    let config = &point.config;
    let number = match config.generation {
        Generation::One => 1,
        Generation::Two => 2,
    };
    let settings = Instance::new(SETTINGS)
        .with("ConfigurationDataRoot", plan.folder.as_str())
        .with("ElementName", plan.name.as_str())
        .with(
            "VirtualSystemSubType",
            format!("Microsoft:Hyper-V:SubType:{number}"),
        );
    let planned = PlannedVm::define(control, point.vm, (&settings, &plan.folder))?;
    planned.fit_settings(config)?;
    planned.fit_resources(config)?;
    let made = planned.add_controllers(config)?;
    Ok((planned, made))
}

/// What a piece shall have, where the restore point tells it.
struct Wanted {
    row: Instance,
    changed: bool,
}

impl Wanted {
    fn of(row: &Instance) -> Self {
        Self {
            row: row.clone(),
            changed: false,
        }
    }

    /// Its class knows how long it is.
    fn number(&mut self, name: &str, value: Option<u64>) {
        if let Some(value) = value {
            let value = Value::Scalar(Scalar::Untyped(value.to_string()));
            self.row.put(name, None, value);
            self.changed = true;
        }
    }

    fn flag(&mut self, name: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.row.set(name, value);
            self.changed = true;
        }
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.row.set(name, value);
            self.changed = true;
        }
    }
}

impl Wanted {
    /// What happens when the host starts and stops. Hosts differ in what of it they have.
    fn actions(&mut self, config: &VmConfig) {
        let told = config.automatic.host.unwrap_or_default();
        self.number("AutomaticStartupAction", told.startup.map(u64::from));
        self.number("AutomaticShutdownAction", told.shutdown.map(u64::from));
        self.number("AutomaticRecoveryAction", told.recovery.map(u64::from));
        if let Some(seconds) = told.startup_delay_s {
            let delay = Interval::from_micros(seconds.saturating_mul(1_000_000));
            self.row.set("AutomaticStartupActionDelay", delay);
            self.changed = true;
        }
        if self.row.has("AutomaticSnapshotsEnabled") {
            self.flag("AutomaticSnapshotsEnabled", told.checkpoints);
        }
    }
}

impl PlannedVm {
    fn fit_settings(&self, config: &VmConfig) -> Result<(), ImportError> {
        let mut wanted = Wanted::of(&self.settings()?);
        let firmware = &config.firmware;
        let braced = |id: Uuid| format!("{{{}}}", id.hyphenated().to_string().to_uppercase());
        wanted.text("BIOSGUID", firmware.bios_guid.map(braced).as_deref());
        wanted.text("BIOSSerialNumber", firmware.bios_serial.as_deref());
        let board = firmware.base_board_serial.as_deref();
        wanted.text("BaseBoardSerialNumber", board);
        wanted.text("ChassisSerialNumber", firmware.chassis_serial.as_deref());
        wanted.text("ChassisAssetTag", firmware.asset_tag.as_deref());
        if config.generation == Generation::Two {
            wanted.flag("SecureBootEnabled", firmware.secure_boot);
            let template = firmware.secure_boot_template.map(ids::upper);
            wanted.text("SecureBootTemplateId", template.as_deref());
        }
        wanted.actions(config);
        let user = config.checkpoints.user_type.map(u64::from);
        wanted.number("UserSnapshotType", user);
        if !config.notes.is_empty() {
            let lines: Vec<String> = config.notes.lines().map(str::to_owned).collect();
            wanted.row.set("Notes", lines);
            wanted.changed = true;
        }
        let order = firmware.boot_order.iter();
        let order: Option<Vec<u16>> = order.map(|name| boot_device(name)).collect();
        // One of which a part is not known is none.
        if let Some(order) = order.filter(|order| !order.is_empty())
            && config.generation == Generation::One
        {
            wanted.row.set("BootOrder", order);
            wanted.changed = true;
        }
        match wanted.changed {
            true => self.modify_settings(wanted.row),
            false => Ok(()),
        }
    }

    fn fit_resources(&self, config: &VmConfig) -> Result<(), ImportError> {
        let all = self.hardware()?;
        self.fit(&all, "Msvm_MemorySettingData", &|wanted| {
            let memory = &config.memory;
            wanted.number("VirtualQuantity", memory.startup_mib);
            wanted.flag("DynamicMemoryEnabled", memory.dynamic);
            wanted.number("Weight", memory.weight);
            if memory.dynamic == Some(true) {
                wanted.number("Reservation", memory.minimum_mib);
                wanted.number("Limit", memory.maximum_mib);
                wanted.number("TargetMemoryBuffer", memory.buffer_percent);
            }
        })?;
        self.fit(&all, "Msvm_ProcessorSettingData", &|wanted| {
            let processors = &config.processors;
            wanted.number("VirtualQuantity", processors.count);
            wanted.number("Limit", processors.limit);
            wanted.number("Reservation", processors.reservation);
            wanted.number("Weight", processors.weight);
            let nested = processors.nested_virtualization;
            wanted.flag("ExposeVirtualizationExtensions", nested);
        })?;
        for service in &config.integration_services {
            let class = service_class(service.device_type);
            let (Some(class), Some(on)) = (class, service.enabled) else {
                continue;
            };
            self.fit(&all, class, &|wanted| {
                let state = if on { 2 } else { 3 };
                let present: Option<u16> = wanted.row.get_opt("EnabledState").ok().flatten();
                if present.map(u64::from) != Some(state) {
                    wanted.number("EnabledState", Some(state));
                }
            })?;
        }
        Ok(())
    }

    /// Changes the only piece of a class.
    fn fit(
        &self,
        all: &Hardware,
        class: &str,
        want: &dyn Fn(&mut Wanted),
    ) -> Result<(), ImportError> {
        let lacks = || ImportError::Lacks(format!("{class} in what was made"));
        let mut wanted = Wanted::of(all.of(class).next().ok_or_else(lacks)?);
        want(&mut wanted);
        match wanted.changed {
            true => self.modify(wanted.row),
            false => Ok(()),
        }
    }

    /// SCSI controllers and empty drives for images. Generation 1 has its two IDE controllers.
    fn add_controllers(&self, config: &VmConfig) -> Result<Made, ImportError> {
        let pieces = Pieces::of(self)?;
        let mut made = Made::default();
        let of_kind = |kind| config.controllers.iter().filter(move |c| c.kind == kind);
        let mut scsi: Vec<&Controller> = of_kind(ControllerKind::Scsi).collect();
        scsi.sort_by_key(|controller| controller.number);
        for controller in scsi {
            let id = pieces.add("Microsoft:Hyper-V:Synthetic SCSI Controller", &[])?;
            made.controllers.insert(controller.number, id);
        }
        let all = self.hardware()?;
        let both = of_kind(ControllerKind::Ide).chain(of_kind(ControllerKind::Scsi));
        for controller in both {
            let empty = [DriveKind::Iso, DriveKind::Empty];
            let drives = controller.drives.iter();
            for drive in drives.filter(|drive| empty.contains(&drive.kind)) {
                let at = controller.location(drive);
                let parent = made.controllers.get(&at.number).cloned();
                let parent = parent.filter(|_| at.controller == ControllerKind::Scsi);
                let known = || {
                    all.controller(at, config)
                        .and_then(|row| text(row, "InstanceID"))
                };
                let lacks = || ImportError::Lacks(format!("controller for {at}"));
                let parent = parent.or_else(known).ok_or_else(lacks)?;
                let subtype = "Microsoft:Hyper-V:Synthetic DVD Drive";
                let drive = pieces.add_drive(subtype, &parent, at.position)?;
                made.drives.insert(at, drive);
            }
        }
        Ok(made)
    }
}
