//! The cluster that a host is a node of.

use cim::{CimType, Instance, Kind, Scalar, Value};

use crate::schema::{CLUSTER, Schema};
use crate::state::{Cluster, ClusterNames, Host, Role, upper};

/// `State` of a node that is up, of a resource and of a group that are online, and `GroupType` of
/// a VM.
const UP: u32 = 0;
const ONLINE: u32 = 2;
const GROUP_ONLINE: u32 = 0;
const VIRTUAL_MACHINE: u32 = 111;

fn of(host: &Host) -> Option<Cluster> {
    Some(host.node.as_ref()?.cluster.clone())
}

pub(super) fn clusters(host: &Host) -> Vec<Instance> {
    let cluster = of(host).map(|cluster| {
        Instance::new("MSCluster_Cluster")
            .with("Caption", "Failovercluster")
            .with("Name", cluster.name())
    });
    cluster.into_iter().collect()
}

pub(super) fn nodes(host: &Host) -> Vec<Instance> {
    let names = of(host).map(|cluster| cluster.nodes()).unwrap_or_default();
    let node = |name: String| {
        Instance::new("MSCluster_Node")
            .with("Caption", "Clusterknoten")
            .with("Name", name)
            .with("State", UP)
    };
    names.into_iter().map(node).collect()
}

fn each_role(host: &Host, make: impl Fn(&Role, &str) -> Vec<Instance>) -> Vec<Instance> {
    let Some(cluster) = of(host) else {
        return Vec::new();
    };
    let nodes = cluster.nodes();
    let of_role = |role: &Role| {
        let owner = nodes.get(role.owner).map_or("", String::as_str);
        make(role, owner)
    };
    cluster.roles().iter().flat_map(of_role).collect()
}

pub(super) fn groups(host: &Host) -> Vec<Instance> {
    each_role(host, |role, owner| {
        let group = Instance::new("MSCluster_ResourceGroup")
            .with("GroupType", VIRTUAL_MACHINE)
            .with("Name", role.name.as_str())
            .with("OwnerNode", owner)
            .with("State", GROUP_ONLINE);
        vec![group]
    })
}

/// A VM is two resources: itself, and its configuration.
pub(super) fn resources(host: &Host) -> Vec<Instance> {
    each_role(host, |role, owner| {
        let kinds = ["Virtual Machine", "Virtual Machine Configuration"];
        let resource = |kind: &str| {
            let mut resource = Instance::new("MSCluster_Resource")
                .with("IsClusterSharedVolume", false)
                .with("Name", format!("{kind} {}", role.name))
                .with("OwnerGroup", role.name.as_str())
                .with("OwnerNode", owner)
                .with("State", ONLINE)
                .with("Type", kind);
            let private = Instance::new("MSCluster_Property")
                .with("VmID", upper(role.vm))
                .with("VmStoreRootPath", role.folder.as_str());
            // The schema is the lab's own and is there.
            if let Some(schema) = Schema::of(CLUSTER) {
                let private = renamed(host, &schema.complete(&host.name, &private));
                let value = Value::Scalar(Scalar::Object(Box::new(private)));
                let kind = Kind::of(CimType::Object);
                resource.put("PrivateProperties", Some(kind), value);
            }
            resource
        };
        kinds.into_iter().map(resource).collect()
    })
}

/// Private properties by the names that the host's rules give them.
fn renamed(host: &Host, private: &Instance) -> Instance {
    // One that has nothing to do with ids, as there are more on real clusters.
    let mut named = Instance::new("MSCluster_Property").with("CheckHeartbeat", true);
    for property in private.properties() {
        let name = match (host.rules.cluster_names, property.name.as_str()) {
            (ClusterNames::OtherCase, "VmID") => "vmid",
            (ClusterNames::OtherCase, "VmStoreRootPath") => "VMSTOREROOTPATH",
            (ClusterNames::Other, "VmID") => "VirtualMachineId",
            (ClusterNames::Other, "VmStoreRootPath") => "StorePath",
            (ClusterNames::Untold, "VmID" | "VmStoreRootPath") => continue,
            (_, known) => known,
        };
        named.put(name, property.kind, property.value.clone());
    }
    named
}

pub(super) fn volumes(host: &Host) -> Vec<Instance> {
    let shared = host.volumes.iter().filter(|volume| {
        let name = volume.name.to_ascii_lowercase();
        name.starts_with("c:\\clusterstorage\\")
    });
    let volume = |volume: &crate::state::Volume| {
        let name = volume.name.trim_end_matches('\\');
        Instance::new("MSCluster_ClusterSharedVolume")
            .with("Name", name)
            .with(
                "VolumeName",
                format!("\\\\?\\Volume{{{}}}\\", volume.id.hyphenated()),
            )
    };
    shared.map(volume).collect()
}
