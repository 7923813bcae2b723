//! What a host is set to besides its VMs, as plain data: for the backup, and to be compared.
//!
//! ```text
//! take ─► HostSettings ─► a restore point        compare(that, the other host's) ─► Difference
//! ```
//!
//! VMs name switches and resource pools of their host. A host that is set up anew, or another one,
//! has to have them before its VMs can be restored well; what differs is shown, and nothing is ever
//! applied from here.
//!
//! Invariants:
//!
//! - Objects are told apart by the names that people and VMs know them by, since ids differ from
//!   host to host.
//! - What a host did not tell is not taken for something that it does not have.
//! - Only what is listed is kept: settings, and no secret among them.

mod compare;

use std::collections::BTreeMap;

use cim::path::HYPER_V;
use cim::wsman::FaultKind;
use cim::{CimError, CimSession, Instance, Value};
use serde::{Deserialize, Serialize};

pub use compare::{Change, Changed, Difference, compare};

/// Objects of one kind that are kept.
const MOST: usize = 1024;
/// Characters of one value that are kept.
const MOST_CHARS: usize = 1024;
/// Values of one property that are kept.
const MOST_VALUES: usize = 256;

/// What a host is set to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSettings {
    /// The version of this form.
    pub version: u32,
    /// The host's name, if it tells.
    pub host: Option<String>,
    /// Everything, by its kind.
    pub kinds: BTreeMap<Kind, Told>,
}

/// The version of the form that is written.
pub const VERSION: u32 = 1;

/// A kind of objects that a host is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// Where VMs and disks go, and what holds for all VMs.
    Service,
    /// Virtual switches.
    Switch,
    /// Pools of resources.
    ResourcePool,
    /// Whether and how the host receives copies of other hosts' VMs.
    ReplicaServer,
    /// From whom, and where they go.
    ReplicaSource,
}

/// What a host told of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "told", content = "of", rename_all = "kebab-case")]
pub enum Told {
    /// Its objects, by name.
    Objects(BTreeMap<String, Object>),
    /// Its version does not have the kind.
    NoSuchKind,
    /// It refuses to tell.
    Refused(String),
}

/// One object: its properties by the host's names for them, each as texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// The host's own id of it, which is another one on another host.
    pub id: Option<String>,
    /// The properties that it tells.
    pub properties: BTreeMap<String, Vec<String>>,
}

/// What is asked for of a kind.
struct Asked {
    kind: Kind,
    class: &'static str,
    /// Properties whose values make the name; none where there is one object.
    name: &'static [&'static str],
    id: &'static str,
    properties: &'static [&'static str],
}

const ASKED: [Asked; 5] = [
    Asked {
        kind: Kind::Service,
        class: "Msvm_VirtualSystemManagementServiceSettingData",
        name: &[],
        id: "InstanceID",
        properties: &[
            "DefaultExternalDataRoot",
            "DefaultVirtualHardDiskPath",
            "EnhancedSessionModeEnabled",
            "HbaLunTimeout",
            "MaximumMacAddress",
            "MinimumMacAddress",
            "NumaSpanningEnabled",
        ],
    },
    Asked {
        kind: Kind::Switch,
        class: "Msvm_VirtualEthernetSwitchSettingData",
        name: &["ElementName"],
        id: "VirtualSystemIdentifier",
        properties: &[
            "BandwidthReservationMode",
            "IOVPreferred",
            "Notes",
            "PacketDirectEnabled",
            "TeamingEnabled",
        ],
    },
    Asked {
        kind: Kind::ResourcePool,
        class: "Msvm_ResourcePool",
        name: &["ResourceType", "ResourceSubType", "PoolID"],
        id: "InstanceID",
        properties: &["AllocationUnits", "ElementName", "Primordial"],
    },
    Asked {
        kind: Kind::ReplicaServer,
        class: "Msvm_ReplicationServiceSettingData",
        name: &[],
        id: "InstanceID",
        properties: &[
            "AllowedAuthenticationType",
            "CertificateThumbPrint",
            "HttpPort",
            "HttpsPort",
            "MonitoringInterval",
            "RecoveryServerEnabled",
        ],
    },
    Asked {
        kind: Kind::ReplicaSource,
        class: "Msvm_ReplicationAuthorizationSettingData",
        name: &["AllowedPrimaryHostSystem"],
        id: "InstanceID",
        properties: &["ReplicaStorageLocation", "TrustGroup"],
    },
];

/// Asks a host what it is set to, with one query for each kind.
///
/// # Errors
/// When the host cannot be asked. A kind that it refuses to tell is told as such.
pub fn take(session: &dyn CimSession, host: Option<&str>) -> Result<HostSettings, CimError> {
    let mut kinds = BTreeMap::new();
    for asked in &ASKED {
        let told = match session.query(HYPER_V, &format!("SELECT * FROM {}", asked.class)) {
            Ok(rows) => Told::Objects(objects(asked, &rows)),
            Err(error) => match error.fault_kind() {
                Some(FaultKind::NoClass | FaultKind::NoNamespace) => Told::NoSuchKind,
                Some(_) => Told::Refused(error.to_string()),
                None => return Err(error),
            },
        };
        kinds.insert(asked.kind, told);
    }
    Ok(HostSettings {
        version: VERSION,
        host: host.map(str::to_owned),
        kinds,
    })
}

fn objects(asked: &Asked, rows: &[Instance]) -> BTreeMap<String, Object> {
    let mut found: Vec<(String, Object)> = rows
        .iter()
        .take(MOST)
        .map(|row| {
            let first = |name: &&str| values(row, name).into_iter().next();
            let name: Vec<String> = asked.name.iter().filter_map(first).collect();
            let properties = asked.properties.iter();
            let properties = properties.map(|name| ((*name).to_owned(), values(row, name)));
            let told = properties.filter(|(_, values)| !values.is_empty());
            let object = Object {
                id: first(&asked.id),
                properties: told.collect(),
            };
            (name.join(" / "), object)
        })
        .collect();
    // Hosts tell them in any order.
    found.sort_by(|(a, one), (b, other)| (a, &one.id).cmp(&(b, &other.id)));
    let mut all = BTreeMap::new();
    for (name, object) in found {
        let mut own = name.clone();
        let mut number = 1_u32;
        while all.contains_key(&own) {
            number = number.saturating_add(1);
            own = format!("{name} ({number})");
        }
        all.insert(own, object);
    }
    all
}

/// The values of a property as texts; none when it is null, absent, or no text.
fn values(row: &Instance, name: &str) -> Vec<String> {
    let Some(property) = row.property(name) else {
        return Vec::new();
    };
    let scalars = match &property.value {
        Value::Null => &[],
        Value::Scalar(one) => std::slice::from_ref(one),
        Value::Array(all) => all.as_slice(),
    };
    let texts = scalars.iter().take(MOST_VALUES);
    let texts = texts.filter_map(|scalar| scalar.to_text());
    let cut = texts.map(|text| text.chars().take(MOST_CHARS).collect::<String>());
    // Over WS-Management booleans are in lower case, and locally they are what they are.
    cut.filter(|text| !text.is_empty()).collect()
}
