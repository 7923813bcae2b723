//! What an inventory asks for: each class once, whatever the number of VMs and devices.
//!
//! Without the four classes that tell the VMs and their disks there is no inventory: a VM whose
//! disks were not told would look like one without disks. Whatever else a host refuses is noted.
//! A class that a host does not have is no refusal; older versions lack some.

use cim::path::HYPER_V;
use cim::wsman::FaultKind;
use cim::{CimError, CimSession, Instance};
use uuid::Uuid;
use vmconfig::model::DeviceKind;

use super::finding::{Finding, Notes};
use super::volume;

/// What a setting of a VM or a checkpoint is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Resource,
    Storage,
    Nic,
    LegacyNic,
    Connection,
    Vlan,
    Memory,
    Processor,
    Security,
    Service(DeviceKind),
    FibreChannel,
    HostDevice,
}

/// Classes of settings that belong to a configuration.
const PARTS: &[(&str, Part)] = &[
    ("Msvm_ResourceAllocationSettingData", Part::Resource),
    ("Msvm_StorageAllocationSettingData", Part::Storage),
    ("Msvm_SyntheticEthernetPortSettingData", Part::Nic),
    ("Msvm_EmulatedEthernetPortSettingData", Part::LegacyNic),
    ("Msvm_EthernetPortAllocationSettingData", Part::Connection),
    ("Msvm_EthernetSwitchPortVlanSettingData", Part::Vlan),
    ("Msvm_MemorySettingData", Part::Memory),
    ("Msvm_ProcessorSettingData", Part::Processor),
    ("Msvm_SecuritySettingData", Part::Security),
    (
        "Msvm_VssComponentSettingData",
        Part::Service(DeviceKind::Vss),
    ),
    (
        "Msvm_HeartbeatComponentSettingData",
        Part::Service(DeviceKind::Heartbeat),
    ),
    (
        "Msvm_KvpExchangeComponentSettingData",
        Part::Service(DeviceKind::KeyValueExchange),
    ),
    (
        "Msvm_ShutdownComponentSettingData",
        Part::Service(DeviceKind::Shutdown),
    ),
    (
        "Msvm_TimeSyncComponentSettingData",
        Part::Service(DeviceKind::TimeSynchronization),
    ),
    (
        "Msvm_GuestServiceInterfaceComponentSettingData",
        Part::Service(DeviceKind::GuestService),
    ),
    ("Msvm_SyntheticFcPortSettingData", Part::FibreChannel),
    ("Msvm_PciExpressSettingData", Part::HostDevice),
    ("Msvm_GpuPartitionSettingData", Part::HostDevice),
];

/// Everything that was told.
pub(super) struct Tables {
    pub(super) machines: Vec<Instance>,
    pub(super) settings: Vec<Instance>,
    pub(super) parts: Vec<(Part, Vec<Instance>)>,
    pub(super) switches: Vec<Instance>,
    pub(super) vss: Vec<Instance>,
    pub(super) heartbeats: Vec<Instance>,
    pub(super) guests: Vec<Instance>,
    pub(super) relationships: Vec<Instance>,
    pub(super) reference_points: Told,
    pub(super) management: Vec<Instance>,
    pub(super) os: Vec<Instance>,
    pub(super) volumes: Told,
    pub(super) clusters: Vec<Instance>,
    pub(super) roles: Vec<Instance>,
}

impl Tables {
    pub(super) fn read(session: &dyn CimSession, notes: &mut Notes) -> Result<Self, CimError> {
        let mut ask = Ask { session, notes };
        let machines = ask.must("Msvm_ComputerSystem")?;
        let settings = ask.must("Msvm_VirtualSystemSettingData")?;
        let mut parts = Vec::new();
        for (class, part) in PARTS {
            let found = match part {
                Part::Resource | Part::Storage => ask.must(class)?,
                _ => ask.may(HYPER_V, class)?.rows(),
            };
            parts.push((*part, found));
        }
        let mut may = |class| ask.may(HYPER_V, class);
        let switches = may("Msvm_VirtualEthernetSwitch")?.rows();
        let vss = may("Msvm_VssComponent")?.rows();
        let heartbeats = may("Msvm_HeartbeatComponent")?.rows();
        let guests = may("Msvm_KvpExchangeComponent")?.rows();
        let relationships = may("Msvm_ReplicationRelationship")?.rows();
        let reference_points = may("Msvm_VirtualSystemReferencePoint")?;
        let management = may("Msvm_VirtualSystemManagementServiceSettingData")?;
        let os = ask.may("root/cimv2", "Win32_OperatingSystem")?;
        let volumes = ask.may(volume::NAMESPACE, volume::CLASS)?;
        let clusters = ask.may(CLUSTER, "MSCluster_Cluster")?;
        // Without a cluster there is nothing more to ask.
        let roles = match clusters {
            Told::Rows(_) => ask.ask(
                CLUSTER,
                "MSCluster_Resource",
                " WHERE Type='Virtual Machine'",
            )?,
            Told::NoClass | Told::Refused => Told::NoClass,
        };
        Ok(Self {
            machines,
            settings,
            parts,
            switches,
            vss,
            heartbeats,
            guests,
            relationships,
            reference_points,
            management: management.rows(),
            os: os.rows(),
            volumes,
            clusters: clusters.rows(),
            roles: roles.rows(),
        })
    }
}

/// What a host told of a class that it need not have.
pub(super) enum Told {
    Rows(Vec<Instance>),
    /// This host's version has no such class.
    NoClass,
    /// It refused, which was noted.
    Refused,
}

impl Told {
    fn rows(self) -> Vec<Instance> {
        match self {
            Self::Rows(rows) => rows,
            Self::NoClass | Self::Refused => Vec::new(),
        }
    }
}

const CLUSTER: &str = "root/MSCluster";

/// What the settings of a class are about.
pub(super) fn part_of(class: &str) -> Option<Part> {
    let known = PARTS.iter().find(|(c, _)| c.eq_ignore_ascii_case(class));
    known.map(|(_, part)| *part)
}

/// The class of the settings of an integration service.
pub(crate) fn service_class(device_type: Uuid) -> Option<&'static str> {
    let own = |part: &Part| match part {
        Part::Service(kind) => kind.guid() == Some(device_type),
        _ => false,
    };
    let known = PARTS.iter().find(|(_, part)| own(part));
    known.map(|(class, _)| *class)
}

struct Ask<'a> {
    session: &'a dyn CimSession,
    notes: &'a mut Notes,
}

impl Ask<'_> {
    fn must(&self, class: &str) -> Result<Vec<Instance>, CimError> {
        self.session
            .query(HYPER_V, &format!("SELECT * FROM {class}"))
    }

    fn may(&mut self, namespace: &str, class: &str) -> Result<Told, CimError> {
        self.ask(namespace, class, "")
    }

    fn ask(&mut self, namespace: &str, class: &str, clause: &str) -> Result<Told, CimError> {
        let wql = format!("SELECT * FROM {class}{clause}");
        let error = match self.session.query(namespace, &wql) {
            Ok(found) => return Ok(Told::Rows(found)),
            Err(error) => error,
        };
        match error.fault_kind() {
            Some(FaultKind::NoClass | FaultKind::NoNamespace) => Ok(Told::NoClass),
            // A host that cannot be reached tells nothing at all; one that refuses tells so.
            None => Err(error),
            Some(_) => {
                self.notes.push(Finding::NotTold {
                    what: class.to_owned(),
                    why: error.to_string(),
                });
                Ok(Told::Refused)
            }
        }
    }
}
