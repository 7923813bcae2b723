//! Network adapters and the switches that they are connected to.

use std::collections::HashMap;

use cim::{Instance, ObjectPath};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vmconfig::model::NetworkAdapter;

use super::finding::Notes;
use super::row::Row;
use crate::ids::{self, fold};

/// A virtual switch of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// The switch's id; some hosts have given others.
    pub id: Option<Uuid>,
    /// What the host calls it (`Name`).
    pub key: String,
    /// The name that people gave.
    pub name: String,
}

/// The switches of a host.
pub(super) fn switches(rows: &[Instance], notes: &mut Notes) -> Vec<Switch> {
    let switch = |row: Row<'_>, notes: &mut Notes| {
        let key = row.text("Name", notes)?;
        Some(Switch {
            id: ids::guid(&key),
            name: row.text("ElementName", notes).unwrap_or_default(),
            key,
        })
    };
    let mut found: Vec<Switch> = rows
        .iter()
        .filter_map(|row| switch(Row(row), notes))
        .collect();
    found.sort_by(|a, b| (&a.name, &a.key).cmp(&(&b.name, &b.key)));
    found
}

/// Settings about the network of one configuration.
#[derive(Default)]
pub(super) struct Ports<'a> {
    pub(super) synthetic: Vec<Row<'a>>,
    pub(super) legacy: Vec<Row<'a>>,
    pub(super) connections: Vec<Row<'a>>,
    pub(super) vlans: Vec<Row<'a>>,
}

/// `Msvm_EthernetSwitchPortVlanSettingData.OperationMode`: one VLAN, told to the guest by no tag.
const ACCESS: u32 = 1;

/// Joins adapters, connections and VLANs of one configuration.
pub(super) fn adapters(
    ports: &Ports<'_>,
    switches: &[Switch],
    notes: &mut Notes,
) -> Vec<NetworkAdapter> {
    let mut connections = HashMap::new();
    for row in &ports.connections {
        let parent = row.text("Parent", notes);
        if let Some(adapter) = parent.as_deref().and_then(ids::path_key) {
            connections.insert(fold(&adapter), *row);
        }
    }
    let synthetic = ports.synthetic.iter().map(|row| (*row, false));
    let legacy = ports.legacy.iter().map(|row| (*row, true));
    let all = synthetic.chain(legacy);
    let read = |(row, legacy): (Row<'_>, bool)| {
        let connection = connections.get(&fold(&row.id())).copied();
        let mut adapter = NetworkAdapter {
            name: row.text("ElementName", notes).unwrap_or_default(),
            instance: ids::device(&row.id()),
            legacy,
            mac: row.text("Address", notes).map(|text| mac(&text)),
            mac_static: row.opt("StaticMacAddress", notes),
            ..NetworkAdapter::default()
        };
        if let Some(connection) = connection {
            connect(&mut adapter, connection, ports, switches, notes);
        }
        adapter
    };
    let mut found: Vec<NetworkAdapter> = all.map(read).collect();
    found.sort_by(|a, b| (&a.name, a.instance).cmp(&(&b.name, b.instance)));
    found
}

fn connect(
    adapter: &mut NetworkAdapter,
    row: Row<'_>,
    ports: &Ports<'_>,
    switches: &[Switch],
    notes: &mut Notes,
) {
    let resources: Vec<String> = row.list("HostResource", notes);
    let key = resources.iter().find_map(|path| {
        let path: ObjectPath = path.parse().ok()?;
        path.key("Name")
    });
    let state: Option<u16> = row.opt("EnabledState", notes);
    adapter.connected = match state {
        Some(2) => Some(key.is_some()),
        Some(3) => Some(false),
        _ => None,
    };
    adapter.switch_id = key.as_deref().and_then(ids::guid);
    let known = key.as_deref().and_then(|key| {
        let same = |s: &&Switch| s.key.eq_ignore_ascii_case(key);
        switches.iter().find(same)
    });
    adapter.switch_name = match known {
        Some(switch) => Some(switch.name.clone()),
        None => row.text("LastKnownSwitchName", notes),
    };
    // A port's features are named after its connection.
    let prefix = format!("{}\\", fold(&row.id()));
    let vlan = ports
        .vlans
        .iter()
        .find(|v| fold(&v.id()).starts_with(&prefix));
    if let Some(vlan) = vlan
        && vlan.opt("OperationMode", notes) == Some(ACCESS)
    {
        adapter.vlan = vlan.opt("AccessVlanId", notes);
    }
}

/// 12 hexadecimal digits in upper case; otherwise as it is.
fn mac(text: &str) -> String {
    let digits: String = text.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let proper = digits.len() == 12 && digits.chars().all(|c| c.is_ascii_hexdigit());
    if proper {
        digits.to_ascii_uppercase()
    } else {
        text.to_owned()
    }
}
