//! The state as CIM instances: for each class what the host has of it.
//!
//! Texts for people are German on purpose: a client that decides by them fails here.

mod association;
mod boot;
mod capabilities;
mod cluster;
mod configuration;
mod device;
mod export;
mod integration;
mod job;
mod names;
mod network;
mod point;
mod service;
mod settings;
mod summary;
mod system;
mod windows;

use cim::Instance;

use crate::schema::{CIMV2, CLUSTER, HYPER_V};
use crate::state::{Host, HostDeviceKind};

pub(super) use integration::{relationship_id, relationship_ids};
pub(super) use job::{error as job_error, path as job_path};
pub(super) use names::{resource_paths, settings_id, system_id, tell_changed, vm_id};
pub(super) use service::CLASSES as SERVICES;
pub(super) use summary::summary;

type View = fn(&Host) -> Vec<Instance>;

/// The classes with instances, and how to make these.
pub(super) fn views(namespace: &str) -> &'static [(&'static str, View)] {
    match namespace {
        HYPER_V => HYPER_V_VIEWS,
        CIMV2 => &[
            ("CIM_DataFile", windows::files),
            ("Win32_Directory", windows::folders),
            ("Win32_NTLogEvent", windows::events),
            ("Win32_OperatingSystem", windows::operating_system),
            ("Win32_Volume", windows::volumes),
        ],
        CLUSTER => &[
            ("MSCluster_Cluster", cluster::clusters),
            ("MSCluster_ClusterSharedVolume", cluster::volumes),
            ("MSCluster_Node", cluster::nodes),
            ("MSCluster_Resource", cluster::resources),
            ("MSCluster_ResourceGroup", cluster::groups),
        ],
        _ => &[],
    }
}

const HYPER_V_VIEWS: &[(&str, View)] = &[
    ("Msvm_AffectedJobElement", association::affected_job_element),
    ("Msvm_BootSourceSettingData", boot::sources),
    ("Msvm_ComputerSystem", system::all),
    ("Msvm_ConcreteJob", job::concrete),
    ("Msvm_StorageJob", job::storage),
    (
        "Msvm_EthernetPortAllocationSettingData",
        network::connections,
    ),
    ("Msvm_ImageManagementService", |host| {
        service::of(host, "Msvm_ImageManagementService")
    }),
    ("Msvm_LastAppliedSnapshot", association::last_applied),
    ("Msvm_LogicalIdentity", boot::identities),
    ("Msvm_MemorySettingData", device::memory),
    (
        "Msvm_MostCurrentSnapshotInBranch",
        association::most_current,
    ),
    ("Msvm_PlannedComputerSystem", system::planned),
    ("Msvm_ProcessorSettingData", device::processors),
    (
        "Msvm_ReferencePointOfVirtualSystem",
        association::reference_points,
    ),
    ("Msvm_ReplicationRelationship", integration::relationships),
    ("Msvm_ReplicationService", |host| {
        service::of(host, "Msvm_ReplicationService")
    }),
    (
        "Msvm_ReplicationSettingData",
        integration::replication_settings,
    ),
    (
        "Msvm_ResourceAllocationSettingData",
        device::controllers_and_drives,
    ),
    ("Msvm_SecurityService", |host| {
        service::of(host, "Msvm_SecurityService")
    }),
    ("Msvm_SecuritySettingData", device::security),
    (
        "Msvm_SettingsDefineState",
        association::settings_define_state,
    ),
    ("Msvm_SnapshotOfVirtualSystem", association::snapshots),
    ("Msvm_StorageAllocationSettingData", device::media),
    ("Msvm_SummaryInformation", summary::all),
    ("Msvm_SyntheticEthernetPortSettingData", network::synthetic),
    ("Msvm_EmulatedEthernetPortSettingData", network::legacy),
    ("Msvm_DiskMergeSettingData", export::merges),
    ("Msvm_SystemExportSettingData", export::of_systems),
    ("Msvm_VirtualSystemExportSettingData", export::settings),
    ("Msvm_EthernetSwitchPortVlanSettingData", network::vlans),
    ("Msvm_EthernetPortSettingDataComponent", network::features),
    ("Msvm_SyntheticFcPortSettingData", |host| {
        device::host_devices(host, HostDeviceKind::FibreChannel)
    }),
    ("Msvm_PciExpressSettingData", |host| {
        device::host_devices(host, HostDeviceKind::PciExpress)
    }),
    ("Msvm_GpuPartitionSettingData", |host| {
        device::host_devices(host, HostDeviceKind::GpuPartition)
    }),
    ("Msvm_SystemDevice", association::system_devices),
    (
        "Msvm_SystemReplicationRelationship",
        association::replication,
    ),
    ("Msvm_VirtualEthernetSwitch", system::switches),
    ("Msvm_VirtualSystemManagementService", |host| {
        service::of(host, "Msvm_VirtualSystemManagementService")
    }),
    ("Msvm_VirtualSystemReferencePoint", point::all),
    ("Msvm_VirtualSystemReferencePointService", |host| {
        service::of(host, "Msvm_VirtualSystemReferencePointService")
    }),
    ("Msvm_VirtualSystemSettingData", configuration::all),
    (
        "Msvm_VirtualSystemSettingDataComponent",
        association::components,
    ),
    ("Msvm_VirtualSystemSnapshotService", |host| {
        service::of(host, "Msvm_VirtualSystemSnapshotService")
    }),
    ("Msvm_VssComponent", |host| {
        integration::devices(host, &integration::VSS)
    }),
    ("Msvm_VssComponentSettingData", |host| {
        integration::settings(host, &integration::VSS)
    }),
    ("Msvm_GuestServiceInterfaceComponentSettingData", |host| {
        integration::settings(host, &integration::GUEST_SERVICE)
    }),
    ("Msvm_HeartbeatComponent", |host| {
        integration::devices(host, &integration::HEARTBEAT)
    }),
    ("Msvm_HeartbeatComponentSettingData", |host| {
        integration::settings(host, &integration::HEARTBEAT)
    }),
    ("Msvm_KvpExchangeComponent", |host| {
        integration::devices(host, &integration::KVP)
    }),
    ("Msvm_KvpExchangeComponentSettingData", |host| {
        integration::settings(host, &integration::KVP)
    }),
    ("Msvm_ShutdownComponent", |host| {
        integration::devices(host, &integration::SHUTDOWN)
    }),
    ("Msvm_ShutdownComponentSettingData", |host| {
        integration::settings(host, &integration::SHUTDOWN)
    }),
    ("Msvm_TimeSyncComponentSettingData", |host| {
        integration::settings(host, &integration::TIME)
    }),
    ("Msvm_VirtualEthernetSwitchSettingData", settings::switches),
    ("Msvm_ResourcePool", capabilities::pools),
    ("Msvm_AllocationCapabilities", capabilities::all),
    ("Msvm_ElementCapabilities", capabilities::of_pools),
    ("Msvm_SettingsDefineCapabilities", capabilities::defaults_of),
    ("Msvm_ResourceAllocationSettingData", |host| {
        capabilities::defaults(host, "Msvm_ResourceAllocationSettingData")
    }),
    ("Msvm_StorageAllocationSettingData", |host| {
        capabilities::defaults(host, "Msvm_StorageAllocationSettingData")
    }),
    ("Msvm_SyntheticEthernetPortSettingData", |host| {
        capabilities::defaults(host, "Msvm_SyntheticEthernetPortSettingData")
    }),
    ("Msvm_EmulatedEthernetPortSettingData", |host| {
        capabilities::defaults(host, "Msvm_EmulatedEthernetPortSettingData")
    }),
    ("Msvm_EthernetPortAllocationSettingData", |host| {
        capabilities::defaults(host, "Msvm_EthernetPortAllocationSettingData")
    }),
    (
        "Msvm_ReplicationServiceSettingData",
        settings::replica_server,
    ),
    (
        "Msvm_ReplicationAuthorizationSettingData",
        settings::replica_sources,
    ),
    (
        "Msvm_VirtualSystemManagementServiceSettingData",
        service::defaults,
    ),
];
