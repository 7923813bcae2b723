//! Pools of resources, what they can give, and what a new piece is unless somebody says otherwise.
//!
//! From a pool by `Msvm_ElementCapabilities` to its capabilities, and from these by
//! `Msvm_SettingsDefineCapabilities` with `ValueRole` 0 to the default setting. Other roles (least,
//! most, increment) are not told. What the ids of all this look like is UNVERIFIED.

use cim::Instance;

use super::device::resource;
use super::names::by_id;
use crate::state::Host;

const RESOURCE: &str = "Msvm_ResourceAllocationSettingData";
const STORAGE: &str = "Msvm_StorageAllocationSettingData";

/// Type, subtype, and the class of its settings. The first four of these pools hosts were always
/// told to have here; those of memory and processors have no default that is told.
const KINDS: [(u16, &str, Option<&str>); 11] = [
    (3, "Microsoft:Hyper-V:Processor", None),
    (4, "Microsoft:Hyper-V:Memory", None),
    (31, "Microsoft:Hyper-V:Virtual Hard Disk", Some(STORAGE)),
    (
        33,
        "Microsoft:Hyper-V:Ethernet Connection",
        Some("Msvm_EthernetPortAllocationSettingData"),
    ),
    (
        6,
        "Microsoft:Hyper-V:Synthetic SCSI Controller",
        Some(RESOURCE),
    ),
    (17, "Microsoft:Hyper-V:Synthetic Disk Drive", Some(RESOURCE)),
    (17, "Microsoft:Hyper-V:Physical Disk Drive", Some(RESOURCE)),
    (16, "Microsoft:Hyper-V:Synthetic DVD Drive", Some(RESOURCE)),
    (31, "Microsoft:Hyper-V:Virtual CD/DVD Disk", Some(STORAGE)),
    (
        10,
        "Microsoft:Hyper-V:Synthetic Ethernet Port",
        Some("Msvm_SyntheticEthernetPortSettingData"),
    ),
    (
        10,
        "Microsoft:Hyper-V:Emulated Ethernet Port",
        Some("Msvm_EmulatedEthernetPortSettingData"),
    ),
];

fn pool_id(at: usize) -> String {
    format!("Microsoft:Pool{at}")
}

fn capabilities_id(at: usize) -> String {
    format!("Microsoft:Definition\\Pool{at}")
}

fn default_id(at: usize) -> String {
    format!("{}\\Default", capabilities_id(at))
}

/// The pools that every host has.
pub(super) fn pools(_: &Host) -> Vec<Instance> {
    let pool = |(at, (kind, subtype, _)): (usize, (u16, &str, Option<&str>))| {
        Instance::new("Msvm_ResourcePool")
            .with("ElementName", "Ursprünglich")
            .with("InstanceID", pool_id(at))
            .with("PoolID", "")
            .with("Primordial", true)
            .with("ResourceSubType", subtype)
            .with("ResourceType", kind)
    };
    KINDS.into_iter().enumerate().map(pool).collect()
}

pub(super) fn all(_: &Host) -> Vec<Instance> {
    let one = |(at, (kind, subtype, _)): (usize, (u16, &str, Option<&str>))| {
        Instance::new("Msvm_AllocationCapabilities")
            .with("InstanceID", capabilities_id(at))
            .with("ResourceSubType", subtype)
            .with("ResourceType", kind)
    };
    KINDS.into_iter().enumerate().map(one).collect()
}

pub(super) fn of_pools(host: &Host) -> Vec<Instance> {
    let one = |at: usize| {
        let capabilities = by_id(host, "Msvm_AllocationCapabilities", &capabilities_id(at));
        Instance::new("Msvm_ElementCapabilities")
            .with(
                "ManagedElement",
                by_id(host, "Msvm_ResourcePool", &pool_id(at)),
            )
            .with("Capabilities", capabilities)
    };
    (0..KINDS.len()).map(one).collect()
}

pub(super) fn defaults_of(host: &Host) -> Vec<Instance> {
    let one = |(at, (.., class)): (usize, (u16, &str, Option<&str>))| {
        let capabilities = by_id(host, "Msvm_AllocationCapabilities", &capabilities_id(at));
        let default = Instance::new("Msvm_SettingsDefineCapabilities")
            .with("GroupComponent", capabilities)
            .with("PartComponent", by_id(host, class?, &default_id(at)))
            .with("PropertyPolicy", 0_u16)
            .with("ValueRange", 0_u16)
            .with("ValueRole", 0_u16);
        Some(default)
    };
    KINDS.into_iter().enumerate().filter_map(one).collect()
}

/// The defaults of a class. They are objects of it like those of VMs.
pub(super) fn defaults(_: &Host, wanted: &str) -> Vec<Instance> {
    let one = |(at, (kind, subtype, class)): (usize, (u16, &str, Option<&str>))| {
        let class = class.filter(|class| *class == wanted)?;
        Some(resource(class, default_id(at), kind, subtype, "Standard"))
    };
    KINDS.into_iter().enumerate().filter_map(one).collect()
}
