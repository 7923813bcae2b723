//! A VM that was restored, compared with what was planned.
//!
//! It is read anew, as any inventory of the host does. What the restore point does not tell is not
//! compared; what the host does not tell is a difference.

use std::fmt::Debug;

use cim::CimSession;
use uuid::Uuid;
use vmconfig::model::{ControllerKind, DriveKind, Location, NetworkAdapter, VmConfig};

use super::adapters::AdapterPlan;
use super::applied::Difference;
use super::aside::size;
use super::defined;
use super::plan::Way;
use super::take_off::same_folder;
use super::{Plan, Point};
use super::{tree, tuning};
use crate::ids::{self, fold};
use crate::inventory::{self, Machine, PowerState};

/// What differs; an error says why that cannot be told.
pub(super) fn verify(
    session: &dyn CimSession,
    point: &Point,
    plan: &Plan,
    vm: Uuid,
) -> Result<Vec<Difference>, String> {
    let all = inventory::take(session).map_err(|error| error.to_string())?;
    let machine = all.machine(vm);
    let machine = machine.ok_or_else(|| format!("the host tells no VM {vm}"))?;
    // What the host has merged is gone.
    let is_gone = |path: &str| matches!(size(session, None, path), Ok(None));
    Ok(compare(point, plan, machine, &is_gone))
}

/// What was found to differ so far.
#[derive(Default)]
struct Compared(Vec<Difference>);

impl Compared {
    fn add(&mut self, what: &str, planned: impl Into<String>, found: impl Into<String>) {
        self.0.push(Difference {
            what: what.to_owned(),
            planned: planned.into(),
            found: found.into(),
        });
    }

    /// What the restore point tells must be so.
    fn told<T: PartialEq + Debug>(&mut self, what: &str, planned: Option<&T>, found: Option<&T>) {
        if let Some(planned) = planned
            && Some(planned) != found
        {
            let found = found.map_or_else(|| "not told".to_owned(), |found| format!("{found:?}"));
            self.add(what, format!("{planned:?}"), found);
        }
    }
}

fn compare(
    point: &Point,
    plan: &Plan,
    machine: &Machine,
    is_gone: &dyn Fn(&str) -> bool,
) -> Vec<Difference> {
    let mut all = Compared::default();
    let (wanted, found) = (&point.config, machine.config());
    if found.name != plan.name {
        all.add("its name", &plan.name, &found.name);
    }
    let folder = found.data_roots.configuration.as_deref();
    if folder.is_none_or(|own| !same_folder(own, &plan.folder)) {
        let found = folder.unwrap_or("not told");
        all.add("the folder of its configuration", &plan.folder, found);
    }
    disks((point, plan), machine, is_gone, &mut all);
    media("", found, &mut all);
    for adapter in &plan.adapters {
        connection("", adapter, (wanted, found), &mut all);
    }
    for checkpoint in &machine.checkpoints {
        let own = &checkpoint.settings.config;
        let of = format!(" in the checkpoint {:?}", own.name);
        media(&of, own, &mut all);
        for medium in &checkpoint.settings.media {
            if !plan.has_file(&medium.path) {
                let what = format!("the disk at {}{of}", medium.location);
                all.add(&what, "one that was restored", &medium.path);
            }
        }
        for adapter in &own.network_adapters {
            let same = |plan: &&AdapterPlan| plan.instance == adapter.instance;
            match plan.adapters.iter().find(same) {
                Some(plan) => connection(&of, plan, (wanted, own), &mut all),
                // One that the VM does not have any more.
                None if adapter.connected == Some(true) => {
                    let what = format!("the adapter {:?}{of}", adapter.name);
                    let switch = adapter.switch_name.as_deref().unwrap_or("a switch");
                    all.add(&what, "connected to nothing", switch);
                }
                None => {}
            }
        }
    }
    let more = found.network_adapters.len();
    if more != plan.adapters.len() {
        let planned = plan.adapters.len().to_string();
        all.add("the number of its adapters", planned, more.to_string());
    }
    let count = machine.checkpoints.len();
    if count != plan.checkpoints {
        let planned = plan.checkpoints.to_string();
        all.add("the number of its checkpoints", planned, count.to_string());
    }
    all.0.extend(tree::differs(point, plan, machine));
    let state = match plan.saved_state {
        true => PowerState::Saved,
        false => PowerState::Off,
    };
    if machine.state != state {
        let found = format!("{:?}", machine.state);
        all.add("its state", format!("{state:?}"), found);
    }
    if let Some(folder) = &plan.checkpoint_folder {
        let found = found.data_roots.checkpoints.as_deref();
        if found.map(fold) != Some(fold(folder)) {
            let found = found.unwrap_or("not told");
            all.add("the folder of its checkpoints", folder, found);
        }
    }
    hardware(plan, wanted, found, &mut all);
    match plan.way {
        Way::Define => {
            for (what, planned, own) in defined::differs(wanted, found, plan) {
                all.add(&what, planned, own);
            }
        }
        Way::Import => {
            let place = |at| place(at, wanted, found);
            all.0.extend(tuning::differs(wanted, found, &place));
        }
    }
    all.0
}

fn hardware(plan: &Plan, wanted: &VmConfig, found: &VmConfig, all: &mut Compared) {
    if wanted.generation != found.generation {
        let planned = wanted.generation.to_string();
        all.add("its generation", planned, found.generation.to_string());
    }
    let (memory, own) = (&wanted.memory, &found.memory);
    let at_start = memory.startup_mib.as_ref();
    all.told("its memory in MiB", at_start, own.startup_mib.as_ref());
    let dynamic = memory.dynamic.as_ref();
    all.told(
        "whether its memory is dynamic",
        dynamic,
        own.dynamic.as_ref(),
    );
    if memory.dynamic == Some(true) {
        let least = memory.minimum_mib.as_ref();
        all.told("its least memory in MiB", least, own.minimum_mib.as_ref());
        let most = memory.maximum_mib.as_ref();
        all.told("its most memory in MiB", most, own.maximum_mib.as_ref());
    }
    let count = wanted.processors.count.as_ref();
    all.told("its processors", count, found.processors.count.as_ref());
    let (firmware, own) = (&wanted.firmware, &found.firmware);
    let secure = firmware.secure_boot.as_ref();
    all.told("its secure boot", secure, own.secure_boot.as_ref());
    for service in &wanted.integration_services {
        let mut own = found.integration_services.iter();
        let own = own.find(|own| own.device_type == service.device_type);
        let what = format!("whether {} is offered", service.name);
        let own = own.and_then(|own| own.enabled.as_ref());
        all.told(&what, service.enabled.as_ref(), own);
    }
    // That of a copy is the host's choice.
    if plan.id.is_some() || plan.way == Way::Define {
        let id = firmware.bios_guid.as_ref();
        all.told("the id of its firmware", id, own.bios_guid.as_ref());
    }
}

/// Where a place of the restore point is among the controllers of the VM.
fn place(at: Location, wanted: &VmConfig, found: &VmConfig) -> Location {
    if at.controller == ControllerKind::Ide {
        return at;
    }
    let same_kind = |c: &&vmconfig::model::Controller| c.kind == at.controller;
    let mut meant = wanted.controllers.iter().filter(same_kind);
    let meant = meant.find(|c| c.number == at.number);
    let own = meant.and_then(|meant| {
        let mut all = found.controllers.iter().filter(same_kind);
        all.find(|c| c.instance == meant.instance)
    });
    let number = own.map_or(at.number, |own| own.number);
    Location { number, ..at }
}

fn disks(
    (point, plan): (&Point, &Plan),
    machine: &Machine,
    is_gone: &dyn Fn(&str) -> bool,
    all: &mut Compared,
) {
    let mut known = Vec::new();
    for disk in plan.disks.iter().filter(|disk| disk.leaf) {
        let mut at = place(disk.location, &point.config, machine.config());
        let media = &machine.settings.media;
        // Hosts do not tell the order in which new SCSI controllers were made.
        let same =
            |other: Location| (other.controller, other.position) == (at.controller, at.position);
        let mut by_file = media.iter().filter(|m| fold(&m.path) == fold(&disk.to));
        if let Some(found) = by_file.find(|m| plan.way == Way::Define && same(m.location)) {
            at = found.location;
        }
        known.push(at);
        let found = media.iter().find(|medium| medium.location == at);
        let found = found.map(|medium| medium.path.as_str());
        // Without checkpoints the host may have merged what was written in layers.
        let merged = |path: &str| {
            let mut layers = plan.disks.iter().filter(|d| d.location == disk.location);
            plan.checkpoints == 0 && layers.any(|d| fold(&d.to) == fold(path))
        };
        // While what was written to is there, a VM that has what lies below would ruin it.
        if found.is_some_and(|path| merged(path) && is_gone(&disk.to)) {
            continue;
        }
        if found.map(fold) != Some(fold(&disk.to)) {
            let what = format!("the disk at {}", disk.location);
            all.add(&what, &disk.to, found.unwrap_or("not there"));
        }
    }
    for medium in &machine.settings.media {
        if !known.contains(&medium.location) {
            let what = format!("the disk at {}", medium.location);
            all.add(&what, "not there", &medium.path);
        }
    }
}

/// Images and disks of the host do not go with a VM.
fn media(of: &str, found: &VmConfig, all: &mut Compared) {
    let kinds = [DriveKind::PassThrough, DriveKind::Iso, DriveKind::Floppy];
    for (at, drive) in found.drives() {
        if let (true, Some(path)) = (kinds.contains(&drive.kind), &drive.path) {
            all.add(&format!("the drive at {at}{of}"), "empty", path);
        }
    }
}

fn connection(
    of: &str,
    plan: &AdapterPlan,
    (wanted, found): (&VmConfig, &VmConfig),
    all: &mut Compared,
) {
    let what = format!("the adapter {:?}{of}", plan.name);
    let adapters = &found.network_adapters;
    let by_id = || {
        let id = plan.instance?;
        adapters.iter().find(|a| a.instance == Some(id))
    };
    let by_name = || {
        let named = adapters.iter();
        named.filter(|a| a.name == plan.name)
    };
    let candidates: Vec<&NetworkAdapter> = match by_id() {
        Some(own) => vec![own],
        None => by_name().collect(),
    };
    let compared = candidates.into_iter().map(|adapter| {
        let mut one = Compared::default();
        wires(of, plan, (wanted, adapter), &mut one);
        one.0
    });
    // Of several of one name, which only new VMs have, any may be it.
    match compared.min_by_key(Vec::len) {
        Some(least) => all.0.extend(least),
        None => all.add(&what, "there", "not there"),
    }
}

fn wires(
    of: &str,
    plan: &AdapterPlan,
    (wanted, adapter): (&VmConfig, &NetworkAdapter),
    all: &mut Compared,
) {
    let what = format!("the adapter {:?}{of}", plan.name);
    let connected = adapter.connected == Some(true);
    match &plan.switch {
        None if connected => {
            let switch = adapter.switch_name.as_deref().unwrap_or("a switch");
            all.add(&what, "connected to nothing", switch);
        }
        None => {}
        Some((key, name)) => {
            let same = adapter.switch_id.is_some() && adapter.switch_id == ids::guid(key)
                || adapter.switch_name.as_ref() == Some(name);
            if !(connected && same) {
                let found = adapter.switch_name.as_deref().filter(|_| connected);
                all.add(&what, name, found.unwrap_or("connected to nothing"));
            }
        }
    }
    let what = format!("the VLAN of the adapter {:?}{of}", plan.name);
    all.told(&what, plan.vlan.as_ref(), adapter.vlan.as_ref());
    let what = format!("the address of the adapter {:?}{of}", plan.name);
    let own = adapter.mac.as_deref().unwrap_or("not told");
    match &plan.mac {
        Some(mac) if fold(mac) != fold(own) => all.add(&what, mac, own),
        Some(_) => {}
        None => {
            let mut before = wanted.network_adapters.iter();
            let before = before.find(|a| a.instance == plan.instance && a.name == plan.name);
            let before = before.and_then(|a| a.mac.as_deref()).map(fold);
            let kept = before == Some(fold(own)) && !own.trim_matches('0').is_empty();
            if kept || adapter.mac_static == Some(true) {
                all.add(&what, "a new one", own);
            }
        }
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
