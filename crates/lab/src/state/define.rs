//! VMs that are made from nothing: with the hardware that each new one has, and off.

use uuid::Uuid;
use vmconfig::model::ConfigVersion;

use super::effect::Work;
use super::host::Host;
use super::job::{JobId, Made};
use super::planned::versions;
use super::refusal::{Failure, Refusal};
use super::vm::{Controller, ControllerKind, Guest, Power, Settings, Vm};

/// `JobType`, which no source tells.
const DEFINE: u16 = 0;

/// What is wanted of a new VM. The rest is as the host does it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewVm {
    /// Its name.
    pub name: String,
    /// 1 or 2.
    pub generation: u8,
    /// The version of its configuration; the highest that the host has, unless told.
    pub version: Option<String>,
    /// Its folder; the host's own for VMs, unless told.
    pub folder: Option<String>,
    /// The id that its firmware tells.
    pub firmware: Option<Uuid>,
    /// Whether it is only planned.
    pub planned: bool,
}

impl Host {
    /// Begins to make a VM.
    pub fn define(&mut self, new: NewVm) -> Result<JobId, Refusal> {
        self.advance();
        let proper = matches!(new.generation, 1 | 2) && !new.name.is_empty();
        let (least, most) = versions(&self.os);
        let version = match &new.version {
            Some(text) => text.parse::<ConfigVersion>().ok(),
            None => Some(most),
        };
        if !proper || !version.is_some_and(|own| own >= least && own <= most) {
            return Err(Refusal::INVALID_PARAMETER);
        }
        if let Some(folder) = &new.folder
            && self.files.local(&format!("{folder}\\x")).is_err()
        {
            return Err(Refusal::INVALID_PARAMETER);
        }
        Ok(self.begin_aside(DEFINE, Work::Define { new }))
    }

    pub(super) fn define_now(&mut self, new: &NewVm) -> Result<Made, Failure> {
        let id = self.new_id();
        let (now, (_, most)) = (self.now(), versions(&self.os));
        let ide = (0..2).filter(|_| new.generation == 1);
        let controllers = ide.map(|number| Controller {
            id: Uuid::nil(),
            kind: ControllerKind::Ide,
            number,
        });
        let settings = Settings {
            id,
            name: new.name.clone(),
            notes: String::new(),
            generation: new.generation,
            version: new.version.clone().unwrap_or_else(|| most.to_string()),
            folder: new.folder.clone().unwrap_or_else(|| "D:\\VMs".to_owned()),
            checkpoint_folder: None,
            planned: new.planned,
            firmware: new.firmware.unwrap_or(id),
            memory: 512,
            dynamic_memory: None,
            processors: 1,
            checkpoint_type: 3,
            secure_boot: new.generation == 2,
            boot: Vec::new(),
            boot_file: false,
            tpm: false,
            shielded: false,
            controllers: controllers.collect(),
            drives: Vec::new(),
            adapters: Vec::new(),
            host_devices: Vec::new(),
            backup_service: true,
            saved: None,
            changed: Vec::new(),
        };
        self.vms.push(Vm {
            id,
            planned: new.planned,
            power: Power::Off,
            power_since: now,
            starts: 0,
            created: now,
            settings,
            parent: None,
            last_applied: None,
            checkpoints: Vec::new(),
            reference_points: Vec::new(),
            critical: false,
            merges_off: false,
            merge_failed: false,
            busy: None,
            guest: Guest {
                backup_status: 2,
                settles: true,
                system: None,
            },
            replication: None,
        });
        self.write_configurations(id)?;
        Ok(Made::System(id))
    }
}
