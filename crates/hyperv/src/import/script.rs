//! A plan as a script for PowerShell, for whoever would rather do it by hand.
//!
//! It makes the VM anew from disks that were restored before. Text from outside stands in it between
//! quotes and nowhere else, so that no name of a VM becomes code; when one of its commands fails, what it
//! made by then is removed, and the disks stay.
//!
//! Commands and their parameters are those of Microsoft's documentation of the module Hyper-V; no host
//! has run it yet.

use std::fmt::Write as _;

use vmconfig::model::{ControllerKind, Drive, DriveKind, Generation, Location, VmConfig};

use super::{Plan, Point};
use crate::powershell::{Unspeakable, quoted, quoted_line};

const HEAD: &str = include_str!("script_head.ps1");
/// Parts of a processor are told in these.
const WHOLE: u64 = 100_000;
/// Weights of memory are told in these of a percent.
const PRIORITY: u64 = 100;

/// The script that makes the VM of `plan`; `of` names the restore point.
///
/// # Errors
/// When a name or path has characters that stand in no script.
pub fn script(point: &Point, plan: &Plan, of: &str) -> Result<String, Unspeakable> {
    let config = &point.config;
    // It stands in a comment, which ends with its line.
    if !of.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(Unspeakable(of.chars().take(200).collect()));
    }
    let mut out = HEAD.replace("@POINT@", of);
    let leaves: Vec<_> = plan.disks.iter().filter(|disk| disk.leaf).collect();
    out.push_str("$Disks = @(\n");
    for (number, disk) in leaves.iter().enumerate() {
        let comma = if number + 1 < leaves.len() { "," } else { "" };
        line(&mut out, &format!("    {}{comma}", quoted_line(&disk.to)?));
    }
    out.push_str(
        ")\nforeach ($Disk in $Disks) {\n    if (-not (Test-Path -LiteralPath $Disk -PathType Leaf)) \
         {\n        throw ('There is no disk {0}: restore it first.' -f $Disk)\n    }\n}\n\n",
    );
    let generation = match config.generation {
        Generation::One => 1,
        Generation::Two => 2,
    };
    let (name, path) = (quoted_line(&plan.name)?, quoted_line(&plan.folder)?);
    line(
        &mut out,
        &format!("$Vm = New-VM -Name {name} -Path {path} -Generation {generation} -NoVHD"),
    );
    out.push_str("try {\n");
    let mut body = |text: &str| line(&mut out, &format!("    {text}"));
    // A new VM has an adapter and a drive of its own.
    body("Get-VMNetworkAdapter -VM $Vm | Remove-VMNetworkAdapter");
    body("Get-VMDvdDrive -VM $Vm | Remove-VMDvdDrive");
    for setting in settings(config) {
        body(&setting);
    }
    let scsi = config.controllers.iter();
    let scsi = scsi.filter(|c| c.kind == ControllerKind::Scsi);
    // Every controller has a place in the script's loop: none is made that is not told.
    let count = scsi.map(|c| u64::from(c.number) + 1).max().unwrap_or(0);
    if count > 0 {
        body(&format!(
            "while (@(Get-VMScsiController -VM $Vm).Count -lt {}) {{ Add-VMScsiController -VM $Vm }}",
            count.min(4)
        ));
    }
    for (number, disk) in leaves.iter().enumerate() {
        let drive = config.drives().find(|(at, _)| *at == disk.location);
        let limits = drive.map(|(_, drive)| limits(drive)).unwrap_or_default();
        body(&format!(
            "Add-VMHardDiskDrive -VM $Vm {} -Path $Disks[{number}]{limits}",
            at(disk.location)
        ));
    }
    for (location, drive) in config.drives() {
        if drive.kind == DriveKind::Iso {
            body(&format!(
                "Add-VMDvdDrive -VM $Vm -ControllerNumber {} -ControllerLocation {}",
                location.number, location.position
            ));
        }
    }
    body(&format!("{} = @()", firmware::ADAPTERS));
    for adapter in &plan.adapters {
        let mut text = format!(
            "$Adapter = Add-VMNetworkAdapter -VM $Vm -Name {} -Passthru",
            quoted_line(&adapter.name)?
        );
        let next = firmware::ADAPTERS;
        if adapter.legacy {
            text.push_str(" -IsLegacy $true");
        }
        if let Some((_, switch)) = &adapter.switch {
            let _ = write!(text, " -SwitchName {}", quoted_line(switch)?);
        }
        if let Some(mac) = &adapter.mac {
            let _ = write!(text, " -StaticMacAddress {}", quoted_line(mac)?);
        }
        body(&text);
        body(&format!("{next} += $Adapter"));
        if let Some(vlan) = adapter.vlan {
            body(&format!(
                "Set-VMNetworkAdapterVlan -VMNetworkAdapter $Adapter -Access -VlanId {vlan}"
            ));
        }
    }
    let first = leaves.iter().map(|disk| disk.location).min();
    for firmware in firmware::lines(config, first) {
        body(&firmware);
    }
    out.push_str("} catch {\n    # Its disks stay.\n    Remove-VM -VM $Vm -Force\n    throw\n}\n");
    let start = plan.steps.contains(&super::Step::Start);
    out.push_str(if start { "Start-VM -VM $Vm\n" } else { "$Vm\n" });
    Ok(out)
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// Where a drive is.
pub(super) fn at(location: Location) -> String {
    format!(
        "-ControllerType {} -ControllerNumber {} -ControllerLocation {}",
        match location.controller {
            ControllerKind::Ide => "IDE",
            // Whatever else holds disks has no cmdlet: the nearest that any VM may have.
            ControllerKind::Scsi | ControllerKind::Floppy | ControllerKind::Other => "SCSI",
        },
        location.number,
        location.position
    )
}

fn limits(drive: &Drive) -> String {
    let mut out = String::new();
    if let Some(most) = drive.qos.iops_limit {
        let _ = write!(out, " -MaximumIOPS {most}");
    }
    if let Some(least) = drive.qos.iops_reservation {
        let _ = write!(out, " -MinimumIOPS {least}");
    }
    out
}

/// What is set of the VM itself.
fn settings(config: &VmConfig) -> Vec<String> {
    let mut out = Vec::new();
    let processors = &config.processors;
    let mut text = "Set-VMProcessor -VM $Vm".to_owned();
    let mut set = |name: &str, value: Option<u64>| {
        if let Some(value) = value {
            let _ = write!(text, " -{name} {value}");
        }
    };
    set("Count", processors.count);
    set("Maximum", processors.limit.map(|part| part * 100 / WHOLE));
    set(
        "Reserve",
        processors.reservation.map(|part| part * 100 / WHOLE),
    );
    set("RelativeWeight", processors.weight);
    if processors.nested_virtualization == Some(true) {
        text.push_str(" -ExposeVirtualizationExtensions $true");
    }
    out.push(text);
    let memory = &config.memory;
    let mut text = "Set-VMMemory -VM $Vm".to_owned();
    let dynamic = memory.dynamic == Some(true);
    if let Some(known) = memory.dynamic {
        let _ = write!(text, " -DynamicMemoryEnabled ${known}");
    }
    let mut set = |name: &str, value: Option<u64>, unit: &str| {
        if let Some(value) = value {
            let _ = write!(text, " -{name} {value}{unit}");
        }
    };
    set("StartupBytes", memory.startup_mib, "MB");
    if dynamic {
        set("MinimumBytes", memory.minimum_mib, "MB");
        set("MaximumBytes", memory.maximum_mib, "MB");
        set("Buffer", memory.buffer_percent, "");
    }
    set(
        "Priority",
        memory.weight.map(|weight| weight / PRIORITY),
        "",
    );
    out.push(text);
    let checkpoints = match config.checkpoints.user_type {
        Some(2) => Some("Disabled"),
        Some(3) => Some("Production"),
        Some(4) => Some("ProductionOnly"),
        Some(5) => Some("Standard"),
        _ => None,
    };
    out.extend(checkpoints.map(|kind| format!("Set-VM -VM $Vm -CheckpointType {kind}")));
    out.extend(firmware::automatic(config));
    out.extend(firmware::services(config));
    // Free text of several lines, of which nothing is taken but what can be read.
    let notes = config.notes.lines().map(|line| {
        let plain: String = line.chars().filter(|c| !c.is_control()).collect();
        quoted(&plain)
    });
    let notes: Vec<String> = notes.collect();
    if !notes.is_empty() {
        out.push(format!(
            "Set-VM -VM $Vm -Notes (@({}) -join [Environment]::NewLine)",
            notes.join(", ")
        ));
    }
    out
}

#[path = "script_firmware.rs"]
mod firmware;
#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
