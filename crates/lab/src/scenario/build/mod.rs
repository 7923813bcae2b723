//! From a scenario to a host.

mod mishap;
mod tree;
mod vm;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::file::{AccountSpec, AfterApplySpec, ReplicaConflictSpec, Scenario, VolumeSpec};
use crate::clock::{Clock, Ids, counted_ids};
use crate::repository::Repository;
use crate::server::Account;
use crate::state::{
    AfterApply, FileError, Files, Host, NewHost, ReplicaConflict, Rules, Switch, Volume,
};
use crate::wsman::{FaultStyle, Limits, Rights, Service};

/// Why there is no host of a scenario.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The file is no scenario.
    #[error("the scenario cannot be read: {0}")]
    File(#[from] serde_json::Error),
    /// A file of a VM cannot be made or read.
    #[error("a file of {vm}: {error}")]
    Disk {
        /// The VM's name.
        vm: String,
        /// What is wrong.
        error: FileError,
    },
    /// A checkpoint cannot be made.
    #[error("a checkpoint of {vm}: {why}")]
    Checkpoint {
        /// The VM's name.
        vm: String,
        /// What is wrong.
        why: String,
    },
    /// A mishap cannot be understood.
    #[error("the mishap on {on:?}: {problem}")]
    Mishap {
        /// The request that it is for.
        on: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// Something does not fit together.
    #[error("{vm}: {problem}")]
    Vm {
        /// The VM's name.
        vm: String,
        /// What is wrong.
        problem: &'static str,
    },
}

impl Scenario {
    /// Reads the text of a scenario.
    pub fn read(text: &str) -> Result<Self, BuildError> {
        Ok(serde_json::from_str(text)?)
    }

    /// Makes the host, its disks in a folder. Ids follow from the scenario's seed.
    pub fn build(&self, folder: &Path, clock: Arc<dyn Clock>) -> Result<Host, BuildError> {
        self.build_with(folder, clock, counted_ids(self.host.seed))
    }

    /// The same with ids from elsewhere.
    pub fn build_with(
        &self,
        folder: &Path,
        clock: Arc<dyn Clock>,
        ids: Ids,
    ) -> Result<Host, BuildError> {
        let mut host = Host::new(NewHost {
            name: self.host.name.clone(),
            files: Files::new(folder),
            clock,
            ids,
            rules: self.rules(),
        });
        host.os.clone_from(&self.host.os);
        for name in &self.switches {
            let id = host.new_id();
            let name = name.clone();
            host.switches.push(Switch { id, name });
        }
        for VolumeSpec {
            name,
            capacity,
            others,
        } in &self.volumes
        {
            let id = host.new_id();
            host.volumes.push(Volume {
                id,
                name: format!("{}\\", name.trim_end_matches('\\')),
                capacity: *capacity,
                others: *others,
            });
        }
        for spec in &self.vms {
            let vm = vm::build(&mut host, spec)?;
            let id = vm.id;
            let added = host.add_vm(vm);
            added.map_err(|error| BuildError::Disk {
                vm: spec.name.clone(),
                error,
            })?;
            tree::build(&mut host, id, spec)?;
        }
        Ok(host)
    }

    /// The service over a host.
    pub fn service(&self, host: Host) -> Result<Service, BuildError> {
        let style = match self.host.wmi_errors {
            true => FaultStyle::Wmi,
            false => FaultStyle::Wsman,
        };
        let (own, spec) = (Limits::default(), &self.limits);
        let idle = spec.enumeration_idle_ms.map(Duration::from_millis);
        let limits = Limits {
            envelope_kib: spec.envelope_kib.unwrap_or(own.envelope_kib),
            timeout_ms: spec.timeout_ms.unwrap_or(own.timeout_ms),
            batch_items: spec.batch_items.unwrap_or(own.batch_items),
            enumeration_idle: idle.unwrap_or(own.enumeration_idle),
        };
        let mishaps = self.mishaps.iter().map(|spec| mishap::build(&host, spec));
        let mishaps = mishaps.collect::<Result<_, _>>()?;
        let mut service = Service::new(Repository::new(host), limits, style);
        service.mishaps = mishaps;
        Ok(service)
    }

    /// Who may log on.
    pub fn accounts(&self) -> Vec<Account> {
        let account = |spec: &AccountSpec| Account {
            user: spec.user.clone(),
            password: spec.password.clone(),
            rights: match spec.filtered {
                true => Rights::Filtered,
                false => Rights::Administrator,
            },
        };
        self.accounts.iter().map(account).collect()
    }

    fn rules(&self) -> Rules {
        let (own, spec) = (Rules::default(), &self.rules);
        let time = |told: Option<u64>, own: Duration| told.map_or(own, Duration::from_millis);
        Rules {
            checkpoint_takes: time(spec.checkpoint_ms, own.checkpoint_takes),
            destroy_takes: time(spec.destroy_ms, own.destroy_takes),
            merge_takes: time(spec.merge_ms, own.merge_takes),
            state_takes: time(spec.state_ms, own.state_takes),
            removed_after: time(spec.job_removed_ms, own.removed_after),
            tracking_unit: spec
                .tracking_unit
                .filter(|unit| *unit > 0)
                .unwrap_or(own.tracking_unit),
            most_changes: spec.most_changes.unwrap_or(own.most_changes),
            whole_disk_refused: spec.whole_disk_refused.unwrap_or(own.whole_disk_refused),
            most_recovery: spec.most_recovery.unwrap_or(own.most_recovery),
            forgets_free_ids: spec.forgets_free_ids.unwrap_or(own.forgets_free_ids),
            disabled_refuses_recovery: spec
                .disabled_refuses_recovery
                .unwrap_or(own.disabled_refuses_recovery),
            after_apply: match spec.after_apply {
                None => own.after_apply,
                Some(AfterApplySpec::Blind) => AfterApply::Blind,
                Some(AfterApplySpec::Whole) => AfterApply::Whole,
                Some(AfterApplySpec::Lost) => AfterApply::Lost,
            },
            replica_conflict: match spec.replica_conflict {
                None => own.replica_conflict,
                Some(ReplicaConflictSpec::Refused) => ReplicaConflict::Refused,
                Some(ReplicaConflictSpec::Job(code)) => ReplicaConflict::Job(code),
            },
            held_checkpoint_blocks_deltas: spec
                .held_checkpoint_blocks_deltas
                .unwrap_or(own.held_checkpoint_blocks_deltas),
            merges_fail: spec.merges_fail.unwrap_or(own.merges_fail),
            missed_writes: spec.missed_writes.unwrap_or(own.missed_writes),
        }
    }
}
