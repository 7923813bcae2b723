//! Network adapters of configurations, their connections, and the VLANs of these.

use cim::Instance;

use super::device::{each, resource};
use super::names::{by_id, system_path, within};
use crate::state::{Adapter, Host, Settings, upper};

const SYNTHETIC: &str = "Msvm_SyntheticEthernetPortSettingData";
const LEGACY: &str = "Msvm_EmulatedEthernetPortSettingData";
const CONNECTION: &str = "Msvm_EthernetPortAllocationSettingData";
const VLAN: &str = "Msvm_EthernetSwitchPortVlanSettingData";
/// `OperationMode` of a port that is in one VLAN.
const ACCESS: u32 = 1;

fn class(adapter: &Adapter) -> &'static str {
    match adapter.legacy {
        true => LEGACY,
        false => SYNTHETIC,
    }
}

fn adapter_id(settings: &Settings, adapter: &Adapter) -> String {
    within(settings, &upper(adapter.id))
}

fn connection_id(settings: &Settings, adapter: &Adapter) -> String {
    format!("{}\\C", adapter_id(settings, adapter))
}

/// What that of legacy adapters is called is UNVERIFIED.
fn sub_type(legacy: bool) -> &'static str {
    match legacy {
        true => "Microsoft:Hyper-V:Emulated Ethernet Port",
        false => "Microsoft:Hyper-V:Synthetic Ethernet Port",
    }
}

fn adapters(host: &Host, legacy: bool) -> Vec<Instance> {
    each(host, |settings| {
        let all = settings.adapters.iter().filter(|a| a.legacy == legacy);
        let adapters = all.map(|adapter| {
            let id = adapter_id(settings, adapter);
            resource(class(adapter), id, 10, sub_type(legacy), &adapter.name)
                .with("Address", adapter.mac.as_str())
                .with("ClusterMonitored", true)
                .with("StaticMacAddress", adapter.static_mac)
                .with(
                    "VirtualSystemIdentifiers",
                    vec![format!("{{{}}}", upper(adapter.id))],
                )
        });
        adapters.collect()
    })
}

pub(super) fn synthetic(host: &Host) -> Vec<Instance> {
    adapters(host, false)
}

pub(super) fn legacy(host: &Host) -> Vec<Instance> {
    adapters(host, true)
}

pub(super) fn connections(host: &Host) -> Vec<Instance> {
    each(host, |settings| {
        let connections = settings.adapters.iter().map(|adapter| {
            let known = host.switches.iter().find(|s| Some(s.id) == adapter.switch);
            let id = connection_id(settings, adapter);
            let parent = by_id(host, class(adapter), &adapter_id(settings, adapter));
            let sub_type = "Microsoft:Hyper-V:Ethernet Connection";
            let mut connection = resource(CONNECTION, id, 33, sub_type, "Ethernet-Verbindung")
                .with(
                    "EnabledState",
                    if adapter.switch.is_some() { 2_u16 } else { 3 },
                )
                .with("Parent", parent.to_string());
            // The switch need not be there: then it is named as it was.
            if let Some(switch) = adapter.switch {
                let path = system_path(host, "Msvm_VirtualEthernetSwitch", &upper(switch));
                connection.set("HostResource", vec![path.to_string()]);
            }
            let name = known.map(|known| known.name.as_str());
            if let Some(name) = name.or(adapter.switch_name.as_deref()) {
                connection.set("LastKnownSwitchName", name);
            }
            connection
        });
        connections.collect()
    })
}

/// A port's features are named after its connection; the rest of the name is the lab's own.
pub(super) fn vlans(host: &Host) -> Vec<Instance> {
    each(host, |settings| {
        let all = settings.adapters.iter();
        let vlans = all.filter_map(|adapter| {
            let connection = connection_id(settings, adapter);
            let vlan = Instance::new(VLAN)
                .with("AccessVlanId", adapter.vlan?)
                .with("ElementName", "VLAN-Einstellungen")
                .with("InstanceID", format!("{connection}\\{}", upper(adapter.id)))
                .with("OperationMode", ACCESS);
            Some(vlan)
        });
        vlans.collect()
    })
}

/// Features belong to the connection whose id begins their own.
pub(super) fn features(host: &Host) -> Vec<Instance> {
    let of = |feature: Instance| {
        let id: String = feature.get("InstanceID").ok()?;
        let (connection, _) = id.rsplit_once('\\')?;
        let component = Instance::new("Msvm_EthernetPortSettingDataComponent")
            .with("GroupComponent", by_id(host, CONNECTION, connection))
            .with("PartComponent", by_id(host, VLAN, &id));
        Some(component)
    };
    vlans(host).into_iter().filter_map(of).collect()
}
