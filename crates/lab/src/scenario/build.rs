//! From a scenario to a host.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use disk::Geometry;

use super::file::{Scenario, State, VmSpec};
use crate::clock::{Clock, Ids, counted_ids};
use crate::repository::Repository;
use crate::server::Account;
use crate::state::{
    Adapter, Controller, ControllerKind, Drive, FileError, Files, Guest, GuestSystem, Host, Medium,
    NewHost, Power, Replication, Rules, Settings, Switch, Vm,
};
use crate::wsman::{FaultStyle, Limits, Rights, Service};

/// Slots of a SCSI controller.
const SLOTS: usize = 64;

/// Why there is no host of a scenario.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The file is no scenario.
    #[error("the scenario cannot be read: {0}")]
    File(#[from] serde_json::Error),
    /// A disk cannot be made or read.
    #[error("a disk of {vm}: {error}")]
    Disk {
        /// The VM's name.
        vm: String,
        /// What is wrong.
        error: FileError,
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
        for spec in &self.vms {
            let vm = vm(&mut host, spec)?;
            host.add_vm(vm);
        }
        Ok(host)
    }

    /// The service over a host.
    pub fn service(&self, host: Host) -> Service {
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
        Service::new(Repository::new(host), limits, style)
    }

    /// Who may log on.
    pub fn accounts(&self) -> Vec<Account> {
        let account = |spec: &super::AccountSpec| Account {
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
            merges_fail: spec.merges_fail.unwrap_or(own.merges_fail),
            missed_writes: spec.missed_writes.unwrap_or(own.missed_writes),
        }
    }
}

fn vm(host: &mut Host, spec: &VmSpec) -> Result<Vm, BuildError> {
    let bad = |problem| BuildError::Vm {
        vm: spec.name.clone(),
        problem,
    };
    if spec.name.is_empty() || !matches!(spec.generation, 1 | 2) {
        return Err(bad("a name and a generation of 1 or 2 are needed"));
    }
    let id = host.new_id();
    let mut settings = Settings {
        id,
        name: spec.name.clone(),
        notes: String::new(),
        generation: spec.generation,
        version: spec.version.clone(),
        folder: spec
            .folder
            .clone()
            .unwrap_or_else(|| format!("D:\\VMs\\{}", spec.name)),
        memory: spec.memory,
        processors: spec.processors,
        checkpoint_type: spec.checkpoint_type,
        secure_boot: spec.generation == 2,
        tpm: spec.tpm,
        controllers: controllers(host, spec.generation),
        drives: Vec::new(),
        adapters: Vec::new(),
        backup_service: spec.backup_service,
    };
    for disk in &spec.disks {
        make_disk(host, &spec.name, disk)?;
        let medium = Medium::Disk {
            path: disk.path.clone(),
            shared: disk.shared,
        };
        put(&mut settings, medium).ok_or_else(|| bad("it has too many disks"))?;
    }
    for number in &spec.pass_through {
        let medium = Medium::PassThrough(*number);
        put(&mut settings, medium).ok_or_else(|| bad("it has too many disks"))?;
    }
    for (at, adapter) in spec.adapters.iter().enumerate() {
        let switch = match &adapter.switch {
            Some(name) => {
                let known = host.switches.iter().find(|switch| switch.name == *name);
                Some(known.ok_or_else(|| bad("its switch is not known"))?.id)
            }
            None => None,
        };
        let given = adapter.mac.clone();
        settings.adapters.push(Adapter {
            id: host.new_id(),
            name: "Netzwerkkarte".to_owned(),
            static_mac: given.is_some(),
            mac: given.unwrap_or_else(|| format!("00155D{:06X}", at + host.vms().len() * 16)),
            switch,
        });
    }
    let now = host.now();
    Ok(Vm {
        id,
        power: match spec.state {
            State::Running => Power::Running,
            State::Off => Power::Off,
            State::Saved => Power::Saved,
            State::Paused => Power::Paused,
        },
        power_since: now,
        created: now,
        settings,
        parent: None,
        checkpoints: Vec::new(),
        reference_points: Vec::new(),
        busy: None,
        guest: Guest {
            backup_status: spec.backup_status,
            settles: spec.settles,
            system: spec.guest.as_ref().map(|guest| GuestSystem {
                name: guest.name.clone(),
                version: guest.version.clone(),
                platform: guest.platform,
            }),
        },
        replication: spec.replication.map(|replication| Replication {
            mode: replication.mode,
            state: replication.state,
            health: replication.health,
            interval: replication.interval,
        }),
    })
}

/// Generation 1 has two IDE controllers too.
fn controllers(host: &mut Host, generation: u8) -> Vec<Controller> {
    let ide = (0..2)
        .filter(|_| generation == 1)
        .map(|n| (ControllerKind::Ide, n));
    let kinds: Vec<_> = ide.chain([(ControllerKind::Scsi, 0)]).collect();
    let make = |(kind, number)| Controller {
        id: host.new_id(),
        kind,
        number,
    };
    kinds.into_iter().map(make).collect()
}

/// Puts a medium into the first free slot, on IDE first.
fn put(settings: &mut Settings, medium: Medium) -> Option<()> {
    let slots = |kind| match kind {
        ControllerKind::Ide => 2,
        ControllerKind::Scsi => SLOTS,
    };
    let (controller, slot) =
        settings
            .controllers
            .iter()
            .enumerate()
            .find_map(|(at, controller)| {
                let used = settings
                    .drives
                    .iter()
                    .filter(|drive| drive.controller == at)
                    .count();
                (used < slots(controller.kind)).then_some((at, used))
            })?;
    settings.drives.push(Drive {
        controller,
        slot: u32::try_from(slot).ok()?,
        medium,
    });
    Some(())
}

fn make_disk(host: &mut Host, vm: &str, disk: &super::DiskSpec) -> Result<(), BuildError> {
    let made = match disk.size {
        Some(len) => {
            let geometry = Geometry {
                len,
                logical_sector: 512,
                physical_sector: 4096,
            };
            host.create_disk(&disk.path, geometry)
        }
        None => host.files().info(&disk.path).map(|_| ()),
    };
    made.map_err(|error| BuildError::Disk {
        vm: vm.to_owned(),
        error,
    })
}
