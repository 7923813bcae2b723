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
