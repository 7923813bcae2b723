//! What a script sets of firmware, of what the host does by itself, and of its services.
//!
//! Services are known by the ids of their kinds, as their names are in the host's language.

use vmconfig::model::{BootSource, DriveKind, Generation, Location, VmConfig};

use super::super::boot::carried;
use super::at;

/// The script's list of adapters, in the order of the plan.
pub(super) const ADAPTERS: &str = "$Adapters";

/// Firmware; `first` is the disk that is tried first where nothing tells the order.
pub(super) fn lines(config: &VmConfig, first: Option<Location>) -> Vec<String> {
    match config.generation {
        Generation::One => bios(config).into_iter().collect(),
        Generation::Two => uefi(config, first),
    }
}

/// One of which a part is not known is none.
fn bios(config: &VmConfig) -> Option<String> {
    let order = config.firmware.boot_order.iter();
    let name = |device: &String| match device.as_str() {
        "floppy" => Some("Floppy"),
        "cd" => Some("CD"),
        "ide" => Some("IDE"),
        "network" => Some("LegacyNetworkAdapter"),
        _ => None,
    };
    let order: Option<Vec<&str>> = order.map(name).collect();
    let order = order.filter(|order| !order.is_empty())?;
    Some(format!(
        "Set-VMBios -VM $Vm -StartupOrder {}",
        order.join(", ")
    ))
}

fn uefi(config: &VmConfig, first: Option<Location>) -> Vec<String> {
    let mut out = Vec::new();
    let firmware = &config.firmware;
    if let Some(secure) = firmware.secure_boot {
        let how = if secure { "On" } else { "Off" };
        let mut text = format!("Set-VMFirmware -VM $Vm -EnableSecureBoot {how}");
        if let Some(template) = firmware.secure_boot_template {
            text.push_str(&format!(" -SecureBootTemplateId '{template}'"));
        }
        out.push(text);
    }
    let sources = carried(config).into_iter();
    let sources: Vec<String> = sources.filter_map(|one| source(one, config)).collect();
    match (sources.as_slice(), first) {
        ([], Some(first)) => out.push(format!(
            "Set-VMFirmware -VM $Vm -FirstBootDevice (Get-VMHardDiskDrive -VM $Vm {})",
            at(first)
        )),
        ([], None) => {}
        (all, _) => out.push(format!(
            "Set-VMFirmware -VM $Vm -BootOrder {}",
            all.join(", ")
        )),
    }
    out
}

fn source(source: BootSource, config: &VmConfig) -> Option<String> {
    match source {
        BootSource::Drive { location } => {
            let drive = config.drives().find(|(own, _)| *own == location);
            Some(match drive?.1.kind {
                DriveKind::VirtualDisk => format!("(Get-VMHardDiskDrive -VM $Vm {})", at(location)),
                _ => format!(
                    "(Get-VMDvdDrive -VM $Vm -ControllerNumber {} -ControllerLocation {})",
                    location.number, location.position
                ),
            })
        }
        BootSource::Adapter { instance } => {
            let mut own = config.network_adapters.iter();
            let number = own.position(|adapter| adapter.instance == Some(instance))?;
            Some(format!("{ADAPTERS}[{number}]"))
        }
        BootSource::Other => None,
    }
}

/// What happens when the host starts and stops.
pub(super) fn automatic(config: &VmConfig) -> Option<String> {
    let told = config.automatic.host?;
    let mut text = "Set-VM -VM $Vm".to_owned();
    let start = match told.startup {
        Some(2) => Some("Nothing"),
        Some(3) => Some("StartIfRunning"),
        Some(4) => Some("Start"),
        _ => None,
    };
    let stop = match told.shutdown {
        Some(2) => Some("TurnOff"),
        Some(3) => Some("Save"),
        Some(4) => Some("ShutDown"),
        _ => None,
    };
    if let Some(start) = start {
        text.push_str(&format!(" -AutomaticStartAction {start}"));
    }
    if let Some(seconds) = told.startup_delay_s {
        text.push_str(&format!(" -AutomaticStartDelay {seconds}"));
    }
    if let Some(stop) = stop {
        text.push_str(&format!(" -AutomaticStopAction {stop}"));
    }
    (text.len() > "Set-VM -VM $Vm".len()).then_some(text)
}

/// Services that are offered, or are not.
pub(super) fn services(config: &VmConfig) -> Vec<String> {
    let all = config.integration_services.iter();
    let line = |service: &vmconfig::model::IntegrationService| {
        let how = match service.enabled? {
            true => "Enable",
            false => "Disable",
        };
        let id = service.device_type;
        Some(format!(
            "Get-VMIntegrationService -VM $Vm | Where-Object Id -like '*\\{id}' | \
             {how}-VMIntegrationService"
        ))
    };
    all.filter_map(line).collect()
}
