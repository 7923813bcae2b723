//! What a scenario's file may say, with what holds if it does not.

use serde::Deserialize;

/// A host.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Scenario {
    /// The host itself.
    pub host: HostSpec,
    /// Who may log on. The lab is no place for real passwords.
    pub accounts: Vec<AccountSpec>,
    /// Names of virtual switches.
    pub switches: Vec<String>,
    /// VMs.
    pub vms: Vec<VmSpec>,
    /// How it behaves.
    pub rules: RulesSpec,
    /// Limits of its service.
    pub limits: LimitsSpec,
    /// The certificate, for a host that listens over TLS.
    pub tls: Option<TlsSpec>,
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

/// A VM.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct VmSpec {
    /// Its name; its files lie in a folder of that name unless told.
    pub name: String,
    /// 1 or 2.
    pub generation: u8,
    /// The version of its configuration.
    pub version: String,
    /// Whether it runs.
    pub state: State,
    /// The folder of its files.
    pub folder: Option<String>,
    /// MiB of memory.
    pub memory: u64,
    /// Processors.
    pub processors: u64,
    /// `UserSnapshotType`.
    pub checkpoint_type: u16,
    /// Virtual TPM.
    pub tpm: bool,
    /// Virtual disks, on SCSI in generation 2 and the first two of generation 1 on IDE.
    pub disks: Vec<DiskSpec>,
    /// Numbers of disks of the host that it has for itself.
    pub pass_through: Vec<u32>,
    /// Network adapters.
    pub adapters: Vec<AdapterSpec>,
    /// Whether the host offers it the service for backups.
    pub backup_service: bool,
    /// The state of that service while it runs: 2, 3, 7, 12 or 13.
    pub backup_status: u16,
    /// Whether its guest settles when asked to.
    pub settles: bool,
    /// What its guest tells of its system, if it does.
    pub guest: Option<GuestSpec>,
    /// Replication.
    pub replication: Option<ReplicationSpec>,
}

impl Default for VmSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            generation: 2,
            version: "9.0".to_owned(),
            state: State::Running,
            folder: None,
            memory: 1024,
            processors: 1,
            checkpoint_type: 3,
            tpm: false,
            disks: Vec::new(),
            pass_through: Vec::new(),
            adapters: Vec::new(),
            backup_service: true,
            backup_status: 2,
            settles: true,
            guest: None,
            replication: None,
        }
    }
}

/// What a guest tells of its system.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GuestSpec {
    /// The system's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// 2 for Windows.
    pub platform: u16,
}

/// Whether a VM runs.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum State {
    Running,
    Off,
    Saved,
    Paused,
}

/// A virtual disk.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DiskSpec {
    /// Its file on the host.
    pub path: String,
    /// Bytes of the disk, for one that is to be made; the file must be there otherwise.
    #[serde(default)]
    pub size: Option<u64>,
    /// Whether several VMs may use it.
    #[serde(default)]
    pub shared: bool,
}

/// A network adapter.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AdapterSpec {
    /// The name of the switch that it is connected to.
    pub switch: Option<String>,
    /// Its address, 12 hexadecimal digits, if it was chosen.
    pub mac: Option<String>,
}

/// Replication of a VM.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ReplicationSpec {
    /// 1 primary, 2 replica, 3 test replica, 4 extended replica.
    pub mode: u16,
    /// `ReplicationState`.
    pub state: u16,
    /// 1 good, 2 warning, 3 critical.
    pub health: u16,
    /// Seconds between two deltas.
    pub interval: u16,
}

/// How the host behaves; what is not told is as in [`crate::state::Rules`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct RulesSpec {
    pub checkpoint_ms: Option<u64>,
    pub destroy_ms: Option<u64>,
    pub merge_ms: Option<u64>,
    pub state_ms: Option<u64>,
    pub job_removed_ms: Option<u64>,
    pub tracking_unit: Option<u64>,
    pub most_changes: Option<usize>,
    pub whole_disk_refused: Option<bool>,
    pub most_recovery: Option<usize>,
    pub forgets_free_ids: Option<bool>,
    pub disabled_refuses_recovery: Option<bool>,
    pub merges_fail: Option<bool>,
    pub missed_writes: Option<u32>,
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
