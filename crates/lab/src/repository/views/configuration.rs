//! Configurations: of VMs now, and of their checkpoints.

use cim::{Instance, Interval, Timestamp};
use vmconfig::model::Kind;

use super::boot;
use super::names::{microsoft, settings_path};
use crate::state::{CheckpointKind, Host, Settings, Vm, upper};

const REALIZED: &str = "Microsoft:Hyper-V:System:Realized";
/// That of Windows.
const TEMPLATE: &str = "1734C6E8-3154-4DDA-BA5F-A874CC483422";
const PLANNED: &str = "Microsoft:Hyper-V:System:Planned";

pub(super) fn all(host: &Host) -> Vec<Instance> {
    let of_vm = |vm: &Vm| {
        let kind = if vm.planned { PLANNED } else { REALIZED };
        let present = of(host, vm, &vm.settings, kind, vm.created, vm.parent);
        let checkpoints = vm.checkpoints.iter().map(|checkpoint| {
            let kind = match checkpoint.kind {
                CheckpointKind::Missing => "Microsoft:Hyper-V:Snapshot:Missing",
                _ if vm.planned => "Microsoft:Hyper-V:Snapshot:Planned",
                CheckpointKind::User => "Microsoft:Hyper-V:Snapshot:Realized",
                CheckpointKind::Recovery => "Microsoft:Hyper-V:Snapshot:Recovery",
                CheckpointKind::Replica => "Microsoft:Hyper-V:Snapshot:Replica:Standard",
            };
            let (settings, parent) = (&checkpoint.settings, checkpoint.parent);
            of(host, vm, settings, kind, checkpoint.created, parent)
        });
        std::iter::once(present)
            .chain(checkpoints)
            .collect::<Vec<_>>()
    };
    host.vms().iter().flat_map(of_vm).collect()
}

fn of(
    host: &Host,
    vm: &Vm,
    settings: &Settings,
    kind: &str,
    created: jiff::Timestamp,
    parent: Option<uuid::Uuid>,
) -> Instance {
    let id = upper(settings.id);
    let present = settings.id == vm.id;
    let stem = settings.relative_stem(match present {
        true => Kind::Machine,
        false => Kind::Checkpoint,
    });
    let root = settings.folder.as_str();
    let mut instance = Instance::new("Msvm_VirtualSystemSettingData")
        .with("Architecture", "x64")
        .with("AutomaticRecoveryAction", 3_u16)
        .with("AutomaticShutdownAction", 3_u16)
        .with("AutomaticSnapshotsEnabled", false)
        .with("AutomaticStartupAction", 3_u16)
        .with("AutomaticStartupActionDelay", Interval::default())
        .with("BaseBoardSerialNumber", serial(settings.firmware))
        .with("BIOSGUID", format!("{{{}}}", upper(settings.firmware)))
        .with("BIOSSerialNumber", serial(settings.firmware))
        .with("Caption", "Einstellungen des virtuellen Computers")
        .with("ChassisAssetTag", serial(settings.firmware))
        .with("ChassisSerialNumber", serial(settings.firmware))
        .with("ConfigurationDataRoot", root)
        .with("ConfigurationFile", format!("{stem}.{}", settings.ending()))
        .with("ConfigurationID", id.as_str())
        .with("CreationTime", Timestamp::utc(created))
        .with("ElementName", settings.name.as_str())
        .with("GuestStateDataRoot", root)
        .with("IncrementalBackupEnabled", false)
        .with("InstanceID", microsoft(settings.id))
        .with("IsAutomaticSnapshot", false)
        .with("IsSaved", settings.saved.is_some())
        .with("LogDataRoot", root)
        .with("Notes", vec![settings.notes.clone()])
        .with(
            "SnapshotDataRoot",
            settings.checkpoint_folder.as_deref().unwrap_or(root),
        )
        .with("SuspendDataRoot", root)
        .with("SwapFileDataRoot", root)
        .with("UserSnapshotType", settings.checkpoint_type)
        .with("Version", settings.version.as_str())
        .with("VirtualSystemIdentifier", upper(vm.id))
        .with(
            "VirtualSystemSubType",
            format!("Microsoft:Hyper-V:SubType:{}", settings.generation),
        )
        .with("VirtualSystemType", kind);
    if settings.generation == 2 {
        instance.set("GuestStateFile", format!("{stem}.vmgs"));
        instance.set("SecureBootEnabled", settings.secure_boot);
        instance.set("SecureBootTemplateId", TEMPLATE);
        instance.set("BootSourceOrder", boot::order(host, settings));
    } else {
        instance.set("BootOrder", vec![1_u16, 2, 3, 0]);
    }
    if let Some(parent) = parent {
        instance.set("Parent", settings_path(host, parent).to_string());
    }
    instance
}

/// Digits in groups, as serial numbers are, that follow from the VM's id.
fn serial(id: uuid::Uuid) -> String {
    let digits = id.as_u128() % 10_u128.pow(26);
    let text = format!("{digits:026}");
    let (groups, last) = text.split_at(24);
    let groups = groups.as_bytes().chunks(4).map(String::from_utf8_lossy);
    let all: Vec<_> = groups.chain([last.into()]).collect();
    all.join("-")
}
