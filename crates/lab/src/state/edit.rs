//! Changing the hardware of a VM or checkpoint: pieces that are added, changed and removed.
//!
//! All edits of one call are made, or none. What nothing here follows from is kept as it was told
//! ([`Changed`]), so that it is told again.

use uuid::Uuid;

use super::effect::{Work, gone};
use super::files::Files;
use super::host::Host;
use super::job::{JobId, Made};
use super::refusal::{Failure, Refusal};
use super::vm::{
    Adapter, Busy, Changed, Controller, ControllerKind, Drive, Medium, Power, Settings, Vm, upper,
};

/// The most that a VM has of each.
const MOST_SCSI: usize = 4;
const MOST_ADAPTERS: usize = 12;
/// The file was not found.
const MISSING: u32 = 0x8007_0002;

/// One change of a configuration. Places are what follows the configuration in an `InstanceID`,
/// without the letter at its end.
#[derive(Clone, Debug)]
pub enum Edit {
    /// A SCSI controller more.
    AddController,
    /// A drive in a slot of a controller.
    AddDrive(String, u32, Medium),
    /// Another medium in a drive: a file, or none.
    Medium(String, Medium),
    /// A network adapter more, which is connected to nothing.
    AddAdapter(Adapter),
    /// An address and whether somebody chose it, and a name.
    Adapter(Uuid, Option<String>, Option<bool>, Option<String>),
    /// A switch, or none, and what that is called.
    Connect(Uuid, Option<Uuid>, Option<String>),
    /// The VLAN of an adapter.
    Vlan(Uuid, Option<u16>),
    /// MiB at the start, and at least and at most if memory is dynamic.
    Memory(u64, Option<(u64, u64)>),
    /// Virtual processors.
    Processors(u64),
    /// Whether the host offers the service for backups.
    BackupService(bool),
    /// A folder for checkpoints.
    CheckpointFolder(String),
    /// The id that the firmware tells.
    Firmware(Uuid),
    /// Whether only signed code is started.
    SecureBoot(bool),
    /// What generation 2 boots from, by places.
    Boot(Vec<String>),
    /// `UserSnapshotType`.
    CheckpointType(u16),
    /// Takes out a controller, a drive, an adapter or a device of the host.
    Remove(String),
    /// What has no meaning here but that it is told again.
    Tell(Changed),
}

impl Host {
    /// Makes edits of a configuration now, and tells the places of what was added.
    pub fn edit(&mut self, settings: Uuid, edits: &[Edit]) -> Result<Vec<String>, Refusal> {
        self.advance();
        self.may_edit(settings)?;
        self.edit_now(settings, edits).map_err(|_| Refusal::FAILED)
    }

    /// Begins to make them.
    pub fn edit_in_job(&mut self, settings: Uuid, edits: Vec<Edit>) -> Result<JobId, Refusal> {
        self.advance();
        let vm = self.may_edit(settings)?;
        let (now, takes) = (self.now(), self.rules.import_takes);
        let work = Work::Edit { settings, edits };
        self.begin(vm, Busy::Other, (0, takes), work, now)
    }

    /// Hardware is changed of VMs that are off, or only planned.
    fn may_edit(&self, settings: Uuid) -> Result<Uuid, Refusal> {
        let vm = self.owner(settings).ok_or(Refusal::INVALID_PARAMETER)?;
        let still = vm.planned || vm.power == Power::Off;
        match still && vm.busy.is_none() {
            true => Ok(vm.id),
            false => Err(Refusal::INVALID_STATE),
        }
    }

    fn owner(&self, settings: Uuid) -> Option<&Vm> {
        let has = |vm: &&Vm| vm.all_settings().any(|known| known.id == settings);
        self.vms.iter().find(has)
    }

    pub(super) fn edit_now(&mut self, id: Uuid, edits: &[Edit]) -> Result<Vec<String>, Failure> {
        let vm = self.owner(id).ok_or_else(gone)?;
        let (of, planned) = (vm.id, vm.planned);
        let mut all = vm.all_settings();
        let mut settings = all.find(|s| s.id == id).ok_or_else(gone)?.clone();
        drop(all);
        let mut made = Vec::new();
        for edit in edits {
            let new = self.new_id();
            // A VM's disk must be there; that of a planned one is missed later.
            let files = (!planned).then_some(&self.files);
            made.extend(settings.apply(edit, new, files)?);
        }
        let vm = self.vm_mut(of).ok_or_else(gone)?;
        let checkpoints = vm.checkpoints.iter_mut().map(|c| &mut c.settings);
        let mut all = std::iter::once(&mut vm.settings).chain(checkpoints);
        if let Some(place) = all.find(|s| s.id == id) {
            *place = settings;
        }
        drop(all);
        let vm = vm.clone();
        self.learn_parents(&vm)?;
        self.write_configurations(of)?;
        Ok(made)
    }

    pub(super) fn edited(&mut self, id: Uuid, edits: &[Edit]) -> Result<Made, Failure> {
        let places = self.edit_now(id, edits)?;
        Ok(Made::Places(id, places))
    }
}

fn no(text: &str) -> Failure {
    Failure::general(None, text)
}

impl Settings {
    fn apply(
        &mut self,
        edit: &Edit,
        new: Uuid,
        files: Option<&Files>,
    ) -> Result<Option<String>, Failure> {
        match edit {
            Edit::AddController => {
                let scsi = |c: &&Controller| c.kind == ControllerKind::Scsi;
                let number = self.controllers.iter().filter(scsi).count();
                if number >= MOST_SCSI {
                    return Err(no("Es gibt schon vier SCSI-Controller."));
                }
                let controller = Controller {
                    id: new,
                    kind: ControllerKind::Scsi,
                    number: u32::try_from(number).unwrap_or(0),
                };
                let place = controller.place();
                self.controllers.push(controller);
                return Ok(Some(place));
            }
            Edit::AddDrive(controller, slot, medium) => {
                let controller = self.controller(controller)?;
                let of = self.controllers.get(controller).map(|c| c.kind);
                let slots = match of {
                    Some(ControllerKind::Ide) => 2,
                    _ => 64,
                };
                let taken = |d: &Drive| (d.controller, d.slot) == (controller, *slot);
                if *slot >= slots || self.drives.iter().any(taken) {
                    return Err(no("Der Platz ist nicht frei."));
                }
                let drive = Drive {
                    controller,
                    slot: *slot,
                    medium: medium.clone(),
                };
                let place = format!("{}\\D", self.place(&drive));
                self.drives.push(drive);
                return Ok(Some(place));
            }
            Edit::Medium(place, medium) => {
                if let (Medium::Disk { path, .. } | Medium::Dvd(Some(path)), Some(files)) =
                    (medium, files)
                    && !files.exists(path)
                {
                    let text = format!("„{path}“ wurde nicht gefunden.");
                    return Err(Failure::general(Some(MISSING), text));
                }
                let at = self.drive(place)?;
                if let Some(drive) = self.drives.get_mut(at) {
                    // An empty drive is still the drive that it was.
                    drive.medium = match (medium, &drive.medium) {
                        (Medium::Empty, Medium::Dvd(_)) => Medium::Dvd(None),
                        (medium, _) => medium.clone(),
                    };
                }
                return Ok(Some(format!("{place}\\L")));
            }
            Edit::AddAdapter(adapter) => {
                if self.adapters.len() >= MOST_ADAPTERS || (adapter.legacy && self.generation == 2)
                {
                    return Err(no("So eine Netzwerkkarte kann es hier nicht geben."));
                }
                let mut adapter = adapter.clone();
                adapter.id = new;
                self.adapters.push(adapter);
                return Ok(Some(upper(new)));
            }
            Edit::Adapter(id, mac, static_mac, name) => {
                let adapter = self.adapter(*id)?;
                if let Some(mac) = mac {
                    adapter.mac.clone_from(mac);
                }
                adapter.static_mac = static_mac.unwrap_or(adapter.static_mac);
                if let Some(name) = name {
                    adapter.name.clone_from(name);
                }
            }
            Edit::Connect(id, switch, name) => {
                let adapter = self.adapter(*id)?;
                adapter.switch = *switch;
                if name.is_some() {
                    adapter.switch_name.clone_from(name);
                }
                return Ok(Some(format!("{}\\C", upper(*id))));
            }
            Edit::Vlan(id, vlan) => {
                self.adapter(*id)?.vlan = *vlan;
                return Ok(Some(format!("{0}\\C\\{0}", upper(*id))));
            }
            Edit::Memory(startup, dynamic) => {
                if *startup < 32
                    || dynamic.is_some_and(|(least, most)| least > *startup || *startup > most)
                {
                    return Err(no("So viel Arbeitsspeicher ist nicht möglich."));
                }
                self.memory = *startup;
                self.dynamic_memory = *dynamic;
            }
            Edit::Processors(count) => {
                if !(1..=240).contains(count) {
                    return Err(no("So viele Prozessoren sind nicht möglich."));
                }
                self.processors = *count;
            }
            Edit::BackupService(offered) => self.backup_service = *offered,
            Edit::CheckpointFolder(folder) => self.checkpoint_folder = Some(folder.clone()),
            Edit::Firmware(id) => self.firmware = *id,
            Edit::SecureBoot(on) => self.secure_boot = *on,
            Edit::Boot(places) => {
                let known = self.boot_places();
                let is_known =
                    |place: &String| known.iter().any(|own| own.eq_ignore_ascii_case(place));
                if !places.iter().all(is_known) {
                    return Err(no("Diese Startquelle gibt es hier nicht."));
                }
                self.boot.clone_from(places);
            }
            Edit::CheckpointType(kind) => self.checkpoint_type = *kind,
            Edit::Remove(place) => self.remove(place)?,
            Edit::Tell(changed) => {
                self.changed.retain(|known| {
                    !(known.place.eq_ignore_ascii_case(&changed.place)
                        && known
                            .property
                            .name
                            .eq_ignore_ascii_case(&changed.property.name))
                });
                self.changed.push(changed.clone());
            }
        }
        Ok(None)
    }

    fn controller(&self, place: &str) -> Result<usize, Failure> {
        let mut all = self.controllers.iter();
        let at = all.position(|c| c.place().eq_ignore_ascii_case(place));
        at.ok_or_else(gone)
    }

    fn drive(&self, place: &str) -> Result<usize, Failure> {
        let mut all = self.drives.iter();
        let at = all.position(|drive| self.place(drive).eq_ignore_ascii_case(place));
        at.ok_or_else(gone)
    }

    fn adapter(&mut self, id: Uuid) -> Result<&mut Adapter, Failure> {
        self.adapters
            .iter_mut()
            .find(|a| a.id == id)
            .ok_or_else(gone)
    }

    fn remove(&mut self, place: &str) -> Result<(), Failure> {
        let own = |id: Uuid| upper(id).eq_ignore_ascii_case(place);
        let (adapters, devices) = (self.adapters.len(), self.host_devices.len());
        self.adapters.retain(|adapter| !own(adapter.id));
        self.host_devices.retain(|device| !own(device.id));
        if (self.adapters.len(), self.host_devices.len()) != (adapters, devices) {
            return Ok(());
        }
        if let Ok(at) = self.drive(place) {
            self.drives.remove(at);
            return Ok(());
        }
        let at = self.controller(place)?;
        let used = self.drives.iter().any(|drive| drive.controller == at);
        let ide = self.controllers.get(at).map(|c| c.kind) == Some(ControllerKind::Ide);
        if used || ide {
            return Err(no("Der Controller kann nicht entfernt werden."));
        }
        self.controllers.remove(at);
        for drive in &mut self.drives {
            drive.controller -= usize::from(drive.controller > at);
        }
        Ok(())
    }
}
