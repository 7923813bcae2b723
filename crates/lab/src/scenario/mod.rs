//! Scenarios: a host, or the nodes of a cluster, described in a JSON file
//! (`docs/hyperv/lab-scenario.md`).
//!
//! [`Scenario`] is the file's content, with names in kebab case; a name that is not known is an
//! error. [`Scenario::build`] makes the host of it, with its disks, in a folder. Example:
//!
//! ```json
//! {
//!   "host": { "name": "HV01" },
//!   "accounts": [{ "user": "LAB\\backup", "password": "only for the lab" }],
//!   "switches": ["LAN"],
//!   "vms": [{
//!     "name": "web",
//!     "disks": [{ "path": "D:\\VMs\\web\\disk.vhdx", "size": 8388608 }],
//!     "adapters": [{ "switch": "LAN" }]
//!   }],
//!   "rules": { "checkpoint-ms": 500, "most-changes": 2 }
//! }
//! ```

mod build;
mod file;

pub use build::BuildError;
pub use file::{
    AccidentSpec, AccountSpec, AdapterSpec, AfterApplySpec, CheckpointKindSpec, CheckpointSpec,
    ClusterNamesSpec, ClusterSpec, CutPlaceSpec, CutSpec, DiskSpec, DoesSpec, DropsSpec,
    FailureSpec, GuestSpec, HeldSpec, HostDeviceKindSpec, HostDeviceSpec, HostSpec,
    ImportLosesSpec, LimitsSpec, MishapSpec, MoveSpec, PlaceSpec, RefusedSpec, ReplaySpec,
    ReplicaConflictSpec, ReplicationSpec, RulesSpec, Scenario, SpaceSpec, State, SwitchSpec,
    TakesSpec, TlsSpec, TurnsSpec, VmSpec, VolumeSpec, WriteSpec, WritesSpec,
};

#[cfg(test)]
mod tests;
