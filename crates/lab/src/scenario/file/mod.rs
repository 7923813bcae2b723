//! What a scenario's file may say, with what holds if it does not.

mod mishap;
mod vm;

use serde::Deserialize;

pub use mishap::{
    AccidentSpec, CutPlaceSpec, CutSpec, DoesSpec, DropsSpec, FailureSpec, HeldSpec, MishapSpec,
    MoveSpec, RefusedSpec, SpaceSpec, SwitchSpec, TakesSpec, TurnsSpec, WritesSpec,
};
pub use vm::{
    AdapterSpec, CheckpointKindSpec, CheckpointSpec, DiskSpec, GuestSpec, HostDeviceKindSpec,
    HostDeviceSpec, PlaceSpec, ReplaySpec, ReplicationSpec, State, VmSpec, WriteSpec,
};

/// A host.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Scenario {
    /// The host itself, or what all nodes of the cluster have in common.
    pub host: HostSpec,
    /// The cluster, if it is one.
    pub cluster: Option<ClusterSpec>,
    /// Who may log on. The lab is no place for real passwords.
    pub accounts: Vec<AccountSpec>,
    /// Names of virtual switches.
    pub switches: Vec<String>,
    /// Volumes that have an end.
    pub volumes: Vec<VolumeSpec>,
    /// VMs.
    pub vms: Vec<VmSpec>,
    /// How it behaves.
    pub rules: RulesSpec,
    /// Limits of its service.
    pub limits: LimitsSpec,
    /// What goes wrong, and at which request.
    pub mishaps: Vec<MishapSpec>,
    /// The certificate, for a host that listens over TLS.
    pub tls: Option<TlsSpec>,
}

/// A failover cluster. Its VMs lie on `C:\\ClusterStorage` unless told, and those that do are kept
/// running by it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClusterSpec {
    /// Its name.
    pub name: String,
    /// The names of its nodes.
    pub nodes: Vec<String>,
}

/// A volume.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct VolumeSpec {
    /// Where it is mounted, such as `D:\\`.
    pub name: String,
    /// Bytes that it has.
    pub capacity: u64,
    /// Bytes of it that are in use for something else.
    #[serde(default)]
    pub others: u64,
}

/// Files in PEM.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TlsSpec {
    /// The certificate.
    pub certificate: std::path::PathBuf,
    /// Its key.
    pub key: std::path::PathBuf,
}

/// The host itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct HostSpec {
    /// Its name.
    pub name: String,
    /// Major, minor and build of its Windows.
    pub os: String,
    /// Whether errors of WMI are told as `MSFT_WmiError` rather than as `WSManFault`.
    pub wmi_errors: bool,
    /// Ids follow from this number.
    pub seed: u32,
}

impl Default for HostSpec {
    fn default() -> Self {
        Self {
            name: "HV01".to_owned(),
            os: "10.0.20348".to_owned(),
            wmi_errors: false,
            seed: 1,
        }
    }
}

/// An account.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AccountSpec {
    /// `DOMAIN\user`, or `user` of the host itself.
    pub user: String,
    /// The password.
    pub password: String,
    /// Whether it has no rights to Hyper-V, whose classes then seem empty to it.
    #[serde(default)]
    pub filtered: bool,
}

impl std::fmt::Debug for AccountSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountSpec")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// How the host behaves; what is not told is as in [`crate::state::Rules`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct RulesSpec {
    pub checkpoint_ms: Option<u64>,
    pub destroy_ms: Option<u64>,
    pub merge_ms: Option<u64>,
    pub export_ms: Option<u64>,
    pub import_ms: Option<u64>,
    pub checkpoints_keep_ids: Option<bool>,
    pub copies_share_checkpoint_ids: Option<bool>,
    pub import_keeps_root: Option<bool>,
    pub import_loses: Option<ImportLosesSpec>,
    pub foreign_state_refused: Option<bool>,
    pub settings_as_job: Option<bool>,
    pub state_ms: Option<u64>,
    pub job_removed_ms: Option<u64>,
    pub tracking_unit: Option<u64>,
    pub most_changes: Option<usize>,
    pub whole_disk_refused: Option<bool>,
    pub changes_count_from_question: Option<bool>,
    pub changes_as_job: Option<bool>,
    pub tracking_begins_late: Option<bool>,
    pub changes_stand_still: Option<bool>,
    pub points_name_drives: Option<bool>,
    /// Whether reference points say that their disks are crash-consistent, however the checkpoint
    /// was taken.
    pub points_say_crash: Option<bool>,
    pub most_recovery: Option<usize>,
    pub forgets_free_ids: Option<bool>,
    pub names_at_once: Option<bool>,
    pub clock_ahead_s: Option<i64>,
    pub application_needs_scsi: Option<bool>,
    pub disabled_refuses_recovery: Option<bool>,
    pub after_apply: Option<AfterApplySpec>,
    pub replica_conflict: Option<ReplicaConflictSpec>,
    pub held_checkpoint_blocks_deltas: Option<bool>,
    pub migrates_with_checkpoint: Option<bool>,
    pub migration_ms: Option<u64>,
    pub points_block_merges: Option<bool>,
    pub cluster_names: Option<ClusterNamesSpec>,
    pub merges_fail: Option<bool>,
    pub events_by_wmi: Option<bool>,
    pub power_cut_omits: Option<bool>,
    pub missed_writes: Option<u32>,
}

/// What becomes of change tracking when a checkpoint is applied.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum AfterApplySpec {
    /// Nothing: it does not notice.
    Blind,
    /// The whole disk has changed.
    Whole,
    /// Its ids are forgotten.
    Lost,
}

/// What an import gets wrong of checkpoints.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum ImportLosesSpec {
    /// The VM goes on from the first one.
    Current,
    /// All others were made after the first one.
    Parents,
    /// Two that nothing was made after have each other's names.
    Names,
    /// None has saved memory.
    Memory,
}

/// What a cluster's private properties are called.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterNamesSpec {
    /// `VmID` and `VmStoreRootPath`.
    AsKnown,
    /// The same in another case.
    OtherCase,
    /// Something else.
    Other,
    /// There are none.
    Untold,
}

/// How a checkpoint is refused while a replica applies a delta.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum ReplicaConflictSpec {
    /// The method returns 32775.
    Refused,
    /// A job fails with this code.
    Job(u16),
}

/// Limits of the service; what is not told is as in [`crate::wsman::Limits`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct LimitsSpec {
    pub envelope_kib: Option<u32>,
    pub timeout_ms: Option<u32>,
    pub batch_items: Option<u32>,
    pub enumeration_idle_ms: Option<u64>,
}
