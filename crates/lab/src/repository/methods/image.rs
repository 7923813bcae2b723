//! `Msvm_ImageManagementService`: what disk files are, and what changed in them.

use cim::Instance;
use disk::Format;
use disk::layer::VhdKind;

use super::inputs::{needed, optional};
use super::{Called, Outcome, embed};
use crate::schema::{HYPER_V, Schema};
use crate::state::{ChangesQuery, Host, Refusal, upper};

pub(super) fn changes(host: &mut Host, inputs: &Instance) -> Called {
    let snapshot: Option<String> = optional(inputs, "TargetSnapshotId")?;
    // Only VHD sets have snapshots of their own.
    if snapshot.is_some_and(|id| !id.is_empty()) {
        return Err(Refusal::NOT_SUPPORTED);
    }
    let query = ChangesQuery {
        path: needed(inputs, "Path")?,
        since: needed(inputs, "LimitId")?,
        offset: needed(inputs, "ByteOffset")?,
        len: needed(inputs, "ByteLength")?,
    };
    if host.rules.changes_as_job {
        return host.changes_in_job(&query).map(Outcome::Job);
    }
    let changes = host.changes(&query)?;
    let offsets: Vec<u64> = changes.ranges.iter().map(|range| range.start).collect();
    let lengths: Vec<u64> = changes.ranges.iter().map(|range| range.len()).collect();
    let outputs = Instance::new("")
        .with("ProcessedByteLength", changes.processed)
        .with("ChangedByteOffsets", offsets)
        .with("ChangedByteLengths", lengths);
    Ok(Outcome::Done(outputs))
}

fn file(host: &Host, inputs: &Instance) -> Result<(String, disk::LayerInfo), Refusal> {
    let path: String = needed(inputs, "Path")?;
    if !host.files().exists(&path) {
        return Err(Refusal::NO_FILE);
    }
    let info = host.files().info(&path).map_err(|_| Refusal::FAILED)?;
    Ok((path, info))
}

pub(super) fn settings(host: &mut Host, inputs: &Instance) -> Called {
    let (path, info) = file(host, inputs)?;
    let schema = Schema::of(HYPER_V).ok_or(Refusal::FAILED)?;
    let differencing = info.parent.is_some();
    let mut settings = Instance::new("Msvm_VirtualHardDiskSettingData")
        .with("InstanceID", format!("Microsoft:{path}"))
        .with("LogicalSectorSize", info.geometry.logical_sector)
        .with("MaxInternalSize", info.geometry.len)
        .with("Path", path.as_str())
        .with("PhysicalSectorSize", info.geometry.physical_sector);
    let (format, kind): (u16, u16) = match &info.format {
        Format::Vhdx(vhdx) => {
            settings.set("BlockSize", vhdx.block_size);
            settings.set("VirtualDiskId", upper(vhdx.disk_id));
            (3, if vhdx.fixed { 2 } else { 3 })
        }
        Format::Vhd(vhd) => {
            settings.set("BlockSize", vhd.block_size.unwrap_or(0));
            (2, if vhd.kind == VhdKind::Fixed { 2 } else { 3 })
        }
        Format::Raw => return Err(Refusal::NOT_SUPPORTED),
    };
    settings.set("Format", format);
    settings.set("Type", if differencing { 4 } else { kind });
    if let Some(parent) = host.parent_of(&path) {
        settings.set("ParentPath", parent);
    }
    let told = info
        .parent
        .as_ref()
        .and_then(|link| link.identities.first());
    if let Some(id) = told {
        settings.set("ParentIdentifier", upper(*id));
    }
    let text = embed(&schema.complete(&host.name, &settings))?;
    Ok(Outcome::Done(Instance::new("").with("SettingData", text)))
}

pub(super) fn state(host: &mut Host, inputs: &Instance) -> Called {
    let (path, info) = file(host, inputs)?;
    let schema = Schema::of(HYPER_V).ok_or(Refusal::FAILED)?;
    let size = host.files().size(&path).map_err(|_| Refusal::FAILED)?;
    let state = Instance::new("Msvm_VirtualHardDiskState")
        .with("Alignment", 1_u32)
        .with("FileSize", size)
        .with("FragmentationPercentage", 0_u32)
        .with("PhysicalSectorSize", info.geometry.physical_sector);
    let text = embed(&schema.complete(&host.name, &state))?;
    Ok(Outcome::Done(Instance::new("").with("State", text)))
}
