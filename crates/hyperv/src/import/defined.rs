//! A VM that is made anew, and one that was backed up: what it does not have of that, told before; and
//! what of the rest differs, found when it is there.

use vmconfig::model::{
    BootSource, ConfigVersion, ControllerKind, Drive, DriveKind, Generation, Location, VmConfig,
};

use super::Plan;
use super::Point;
use super::boot;
use super::finding::Finding;
use crate::inventory::boot_device;

/// What it does not have. `version` is what the host gives to new VMs, if that is known.
pub(super) fn lost(config: &VmConfig, version: Option<ConfigVersion>) -> Vec<String> {
    let mut lost = vec!["its id".to_owned()];
    let mut add = |is_lost: bool, what: &str| {
        if is_lost {
            lost.push(what.to_owned());
        }
    };
    if let (Some(own), Some(new)) = (config.version, version) {
        let what = format!("the version {own} of its configuration, which becomes {new}");
        add(own != new, &what);
    }
    let security = &config.security;
    add(security.virtual_tpm == Some(true), "its virtual TPM");
    add(security.shielded == Some(true), "its shielding");
    let what = "the encryption of its saved state and of its way between hosts";
    add(security.encrypt_state == Some(true), what);
    let firmware = &config.firmware;
    match config.generation {
        Generation::One => {
            let order = firmware.boot_order.iter();
            let order: Option<Vec<u16>> = order.map(|name| boot_device(name)).collect();
            add(
                order.is_none_or(|order| order.is_empty()),
                "its order of booting",
            );
        }
        Generation::Two => {
            let sources = &firmware.boot_sources;
            let what = match sources.as_slice() {
                [] => "its firmware's variables, the order of booting among them",
                all if all.contains(&BootSource::Other) => {
                    "its firmware's variables, and the boot loaders in them"
                }
                _ => "its firmware's variables",
            };
            add(true, what);
            let untold = firmware.secure_boot_template.is_none();
            let what = "the template of its secure boot";
            add(untold && firmware.secure_boot != Some(false), what);
        }
    }
    add(
        config.automatic.host.is_none(),
        "what it does when its host starts and stops",
    );
    add(!config.serial_ports.is_empty(), "its serial ports");
    add(
        config.highly_available == Some(true),
        "its role in a cluster",
    );
    for (at, drive) in config.drives() {
        if drive.shared {
            add(true, &format!("that others may use its disk at {at} too"));
        }
        add(
            drive.kind == DriveKind::Unknown,
            &format!("what is at {at}"),
        );
    }
    lost
}

/// Disks that hang on nothing that can be made.
pub(super) fn unplaced(point: &Point) -> Vec<Finding> {
    let known = |at: Location| match at.controller {
        ControllerKind::Scsi => true,
        ControllerKind::Ide => point.config.generation == Generation::One,
        ControllerKind::Floppy | ControllerKind::Other => false,
    };
    let leaves = point.disks.iter().filter(|disk| disk.leaf);
    let unplaced = leaves.filter(|disk| !known(disk.location));
    let finding = |location: Location| Finding::NotImportable {
        why: format!(
            "the disk at {location} hangs on a controller that a VM that is made anew cannot have"
        ),
    };
    unplaced.map(|disk| finding(disk.location)).collect()
}

/// A difference: what, how it should be, how it is.
pub(super) type Differs = (String, String, String);

/// What differs of what was set, beside what is compared of each VM.
pub(super) fn differs(wanted: &VmConfig, found: &VmConfig, plan: &Plan) -> Vec<Differs> {
    let mut all = Vec::new();
    let mut told = |what: &str, wanted: Option<String>, found: Option<String>| {
        if let Some(wanted) = wanted
            && found.as_ref() != Some(&wanted)
        {
            let found = found.unwrap_or_else(|| "not told".to_owned());
            all.push((what.to_owned(), wanted, found));
        }
    };
    let text = |value: Option<u64>| value.map(|value| value.to_string());
    let flag = |value: Option<bool>| value.map(|value| value.to_string());
    let (memory, own) = (&wanted.memory, &found.memory);
    told(
        "the weight of its memory",
        text(memory.weight),
        text(own.weight),
    );
    if memory.dynamic == Some(true) {
        let what = "the spare part of its memory";
        told(what, text(memory.buffer_percent), text(own.buffer_percent));
    }
    let (cpu, own) = (&wanted.processors, &found.processors);
    told(
        "the limit of its processors",
        text(cpu.limit),
        text(own.limit),
    );
    let what = "what is set aside of its processors";
    told(what, text(cpu.reservation), text(own.reservation));
    told(
        "the weight of its processors",
        text(cpu.weight),
        text(own.weight),
    );
    let what = "whether it may run VMs itself";
    told(
        what,
        flag(cpu.nested_virtualization),
        flag(own.nested_virtualization),
    );
    let (firmware, own) = (&wanted.firmware, &found.firmware);
    let serials = [
        (
            "the serial number of its firmware",
            &firmware.bios_serial,
            &own.bios_serial,
        ),
        (
            "the serial number of its board",
            &firmware.base_board_serial,
            &own.base_board_serial,
        ),
        (
            "the serial number of its chassis",
            &firmware.chassis_serial,
            &own.chassis_serial,
        ),
        (
            "the tag of its chassis",
            &firmware.asset_tag,
            &own.asset_tag,
        ),
    ];
    for (what, wanted, found) in serials {
        told(what, wanted.clone(), found.clone());
    }
    if wanted.generation == Generation::Two {
        let id = |id: Option<uuid::Uuid>| id.map(|id| id.to_string());
        let (template, own) = (firmware.secure_boot_template, own.secure_boot_template);
        told("the template of its secure boot", id(template), id(own));
    } else {
        let order = |order: &[String]| (!order.is_empty()).then(|| order.join(", "));
        let known = firmware
            .boot_order
            .iter()
            .all(|name| boot_device(name).is_some());
        let order_told = order(&firmware.boot_order).filter(|_| known);
        told("its order of booting", order_told, order(&own.boot_order));
    }
    let kind = |kind: Option<u16>| kind.map(|kind| kind.to_string());
    let (own, new) = (wanted.checkpoints.user_type, found.checkpoints.user_type);
    told("the kind of its checkpoints", kind(own), kind(new));
    let (own, new) = (wanted.automatic.host, found.automatic.host);
    let (own, new) = (own.unwrap_or_default(), new.unwrap_or_default());
    told(
        "what it does when its host starts",
        kind(own.startup),
        kind(new.startup),
    );
    let what = "the seconds that it waits before";
    told(what, text(own.startup_delay_s), text(new.startup_delay_s));
    told(
        "what it does when its host stops",
        kind(own.shutdown),
        kind(new.shutdown),
    );
    told(
        "what its host does when it fails",
        kind(own.recovery),
        kind(new.recovery),
    );
    let what = "whether it gets a checkpoint at each start";
    told(what, flag(own.checkpoints), flag(new.checkpoints));
    let lines = |notes: &str| notes.lines().collect::<Vec<_>>().join("\n");
    if !wanted.notes.is_empty() {
        told(
            "its notes",
            Some(lines(&wanted.notes)),
            Some(lines(&found.notes)),
        );
    }
    speeds(wanted, found, plan, &mut told);
    if let Some((wanted, found)) = boot::differs(wanted, found, plan) {
        told("what it boots from", Some(wanted), Some(found));
    }
    all
}

/// Is told what, how it should be, and how it is.
type Tell<'t> = dyn FnMut(&str, Option<String>, Option<String>) + 't;

/// Disks are known by their files: the numbers of new controllers are the host's.
fn speeds(wanted: &VmConfig, found: &VmConfig, plan: &Plan, told: &mut Tell<'_>) {
    for (at, drive) in wanted.drives() {
        let planned = plan
            .disks
            .iter()
            .find(|disk| disk.leaf && disk.location == at);
        let Some(disk) = planned else { continue };
        let is_it = |own: &&Drive| {
            let path = own.path.as_deref();
            path.is_some_and(|path| path.eq_ignore_ascii_case(&disk.to))
        };
        let mut drives = found.drives().map(|(_, drive)| drive);
        let own = drives.find(is_it).map(|own| own.qos).unwrap_or_default();
        let text = |value: Option<u64>| value.map(|value| value.to_string());
        let parts = [
            ("the most operations", drive.qos.iops_limit, own.iops_limit),
            (
                "the least operations",
                drive.qos.iops_reservation,
                own.iops_reservation,
            ),
            ("the weight", drive.qos.weight, own.weight),
        ];
        for (what, wanted, found) in parts {
            told(
                &format!("{what} of the disk at {at}"),
                text(wanted),
                text(found),
            );
        }
    }
}
