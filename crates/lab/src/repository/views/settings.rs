//! What the host is set to besides its VMs.

use cim::Instance;

use crate::state::{Host, upper};

pub(super) fn switches(host: &Host) -> Vec<Instance> {
    let of = |switch: &crate::state::Switch| {
        Instance::new("Msvm_VirtualEthernetSwitchSettingData")
            .with("BandwidthReservationMode", 0_u32)
            .with("ElementName", switch.name.as_str())
            .with("InstanceID", format!("Microsoft:{}", upper(switch.id)))
            .with("IOVPreferred", false)
            .with("VirtualSystemIdentifier", upper(switch.id))
    };
    host.switches.iter().map(of).collect()
}

/// The pools that every host has.
pub(super) fn pools(_: &Host) -> Vec<Instance> {
    let kinds = [
        (3_u16, "Microsoft:Hyper-V:Processor"),
        (4, "Microsoft:Hyper-V:Memory"),
        (31, "Microsoft:Hyper-V:Virtual Hard Disk"),
        (33, "Microsoft:Hyper-V:Ethernet Connection"),
    ];
    let pool = |(at, (kind, subtype)): (usize, (u16, &str))| {
        Instance::new("Msvm_ResourcePool")
            .with("ElementName", "Ursprünglich")
            .with("InstanceID", format!("Microsoft:Pool{at}"))
            .with("PoolID", "")
            .with("Primordial", true)
            .with("ResourceSubType", subtype)
            .with("ResourceType", kind)
    };
    kinds.into_iter().enumerate().map(pool).collect()
}

/// Every host has settings for receiving copies; here it receives none from others.
pub(super) fn replica_server(host: &Host) -> Vec<Instance> {
    let settings = Instance::new("Msvm_ReplicationServiceSettingData")
        .with("AllowedAuthenticationType", 1_u16)
        .with("HttpPort", 80_u16)
        .with("HttpsPort", 443_u16)
        .with("InstanceID", format!("Microsoft:{}\\HVR", host.name))
        .with("MonitoringInterval", 43200_u32)
        .with("RecoveryServerEnabled", false);
    vec![settings]
}

pub(super) fn replica_sources(_: &Host) -> Vec<Instance> {
    Vec::new()
}
