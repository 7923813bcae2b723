//! VMs that are only planned: imports, which become VMs when somebody realizes them.
//!
//! An import reads one configuration of the host and changes nothing else; the file stays what it
//! is, and the planned VM has files of its own (`Planned Virtual Machines`). Disks are where the
//! configuration says. What is missing is told by a validation; a planned VM that lacks a disk, or
//! names a checkpoint that is not there, is not realized. No two have one id.
//!
//! UNVERIFIED, and chosen by [`super::Rules`]: which id a checkpoint's configuration has that keeps
//! its own, and where the VM's files go. UNVERIFIED besides: that a clash of ids is noticed when
//! something is imported, and not later.

use uuid::Uuid;
use vmconfig::model::{ConfigVersion, Kind};

use super::definition::{self, Definition};
use super::effect::{Work, gone};
use super::files::FileError;
use super::host::Host;
use super::job::{JobId, Made};
use super::refusal::{Failure, Refusal};
use super::vm::{
    Busy, Checkpoint, CheckpointKind, Consistency, Guest, Medium, Power, Settings, Vm,
};

/// `JobType`s.
const IMPORT: u16 = 61;
const VALIDATE: u16 = 140;
const REALIZE: u16 = 141;
/// Windows' codes, of which nobody tells that they are these here.
const EXISTS: u32 = 0x8007_00b7;
const MISSING: u32 = 0x8007_0002;
const UNSUPPORTED: u32 = 0x8007_0032;
/// Files of one chain that are followed.
const MOST_LAYERS: usize = 256;

/// What is wanted of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportWish {
    /// The configuration.
    pub file: String,
    /// The folder of the checkpoints' configurations; empty for none.
    pub snapshots: String,
    /// Whether the VM gets another id.
    pub new_id: bool,
}

impl Host {
    /// Begins to import a configuration as a planned VM.
    pub fn import(&mut self, wish: ImportWish) -> Result<JobId, Refusal> {
        self.advance();
        if self.files.local(&wish.file).is_err() {
            return Err(Refusal::INVALID_PARAMETER);
        }
        Ok(self.begin_aside(IMPORT, Work::Import { wish }))
    }

    /// Begins to import checkpoints that a planned VM lacks.
    pub fn import_snapshots(&mut self, vm: Uuid, folder: String) -> Result<JobId, Refusal> {
        self.planned_one(vm)?;
        let (now, takes) = (self.now(), self.rules.import_takes);
        let work = Work::ImportSnapshots { vm, folder };
        self.begin(vm, Busy::Other, (IMPORT, takes), work, now)
    }

    /// Begins to look whether a planned VM could be a VM here.
    pub fn validate(&mut self, vm: Uuid) -> Result<JobId, Refusal> {
        self.planned_one(vm)?;
        let (now, takes) = (self.now(), self.rules.import_takes);
        self.begin(
            vm,
            Busy::Other,
            (VALIDATE, takes),
            Work::Validate { vm },
            now,
        )
    }

    /// Begins to make a VM of a planned one.
    pub fn realize(&mut self, vm: Uuid) -> Result<JobId, Refusal> {
        self.planned_one(vm)?;
        let (now, takes) = (self.now(), self.rules.import_takes);
        self.begin(vm, Busy::Other, (REALIZE, takes), Work::Realize { vm }, now)
    }

    fn planned_one(&mut self, vm: Uuid) -> Result<(), Refusal> {
        self.advance();
        let known = self.vm(vm).filter(|vm| vm.planned);
        known.map(|_| ()).ok_or(Refusal::INVALID_PARAMETER)
    }

    /// A job for which there is no VM yet.
    pub(super) fn begin_aside(&mut self, kind: u16, work: Work) -> JobId {
        let work = work.failing(self.failing.take());
        let (now, takes, vm) = (self.now(), self.rules.import_takes, self.new_id());
        self.start_aside(vm, (kind, takes), work, now)
    }

    pub(super) fn import_now(&mut self, wish: &ImportWish) -> Result<Made, Failure> {
        let found = definition::read(&self.files, &wish.file)?;
        self.can_run(&found)?;
        let (vm, file) = found.ids(&wish.file);
        let is_checkpoint = found.config.kind == Kind::Checkpoint;
        let own = match is_checkpoint && self.rules.checkpoints_keep_ids {
            true => file,
            false => vm,
        };
        let id = match own.filter(|_| !wish.new_id) {
            Some(own) => own,
            None => self.new_id(),
        };
        if self.vm(id).is_some() {
            return Err(clash(&found.config.name));
        }
        let folder = self.import_root(&wish.file, &found);
        let now = self.now();
        let settings = definition::settings(&found, id, &folder, now)?;
        let of = vm.unwrap_or(id);
        let mut planned = Vm {
            id,
            planned: true,
            power: power(&settings),
            power_since: now,
            starts: 1,
            created: now,
            settings,
            parent: found.own.parent,
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
        };
        let listed = match is_checkpoint {
            // A checkpoint knows those that it descends from by their files alone.
            true => Vec::new(),
            false => found.own.checkpoints.clone(),
        };
        for (checkpoint, found) in self.snapshots_in(&wish.snapshots, of)? {
            let made = self.snapshot(checkpoint, &found, &folder)?;
            planned.checkpoints.push(made);
        }
        for id in listed {
            if planned.checkpoint(id).is_none() {
                let mut settings = planned.settings.clone();
                settings.id = id;
                settings.drives.clear();
                settings.adapters.clear();
                settings.saved = None;
                planned.checkpoints.push(missing(settings, now));
            }
        }
        if wish.new_id && !self.rules.copies_share_checkpoint_ids {
            renew(&mut planned);
        }
        untangle(&mut planned);
        if let Some(loses) = self.rules.import_loses {
            loses.of(&mut planned);
        }
        self.learn_parents(&planned)?;
        self.vms.push(planned);
        self.write_configurations(id)?;
        Ok(Made::System(id))
    }

    pub(super) fn import_snapshots_now(&mut self, id: Uuid, folder: &str) -> Result<(), Failure> {
        let known = self.vm(id).ok_or_else(gone)?.clone();
        let root = known.settings.folder.clone();
        let mut wanted = known;
        for of in self.logical_ids(folder)? {
            for (checkpoint, found) in self.snapshots_in(folder, of)? {
                let made = self.snapshot(checkpoint, &found, &root)?;
                // Those of a VM with a new id have new ones too.
                for (own, renewed) in [(checkpoint, false), (other_id(id, checkpoint), true)] {
                    let mut all = wanted.checkpoints.iter_mut();
                    let missing =
                        all.find(|c| c.settings.id == own && c.kind == CheckpointKind::Missing);
                    if let Some(missing) = missing {
                        let mut made = made.clone();
                        made.settings.id = own;
                        if renewed {
                            made.parent = made.parent.map(|parent| other_id(id, parent));
                        }
                        *missing = made;
                    }
                }
            }
        }
        untangle(&mut wanted);
        self.learn_parents(&wanted)?;
        let vm = self.vm_mut(id).ok_or_else(gone)?;
        vm.checkpoints = wanted.checkpoints;
        Ok(())
    }

    fn snapshot(
        &mut self,
        id: Uuid,
        found: &Definition,
        folder: &str,
    ) -> Result<Checkpoint, Failure> {
        self.can_run(found)?;
        let created = found.config.created.unwrap_or_else(|| self.now());
        Ok(Checkpoint {
            settings: definition::settings(found, id, folder, created)?,
            kind: found.own.kind.unwrap_or(CheckpointKind::User),
            parent: found.own.parent,
            created,
            consistency: Consistency::Crash,
            tracked: Vec::new(),
        })
    }

    /// The checkpoints of a VM whose configurations are in a folder.
    fn snapshots_in(&self, folder: &str, of: Uuid) -> Result<Vec<(Uuid, Definition)>, Failure> {
        let mut found = Vec::new();
        for path in self.configurations_in(folder)? {
            let definition = definition::read(&self.files, &path)?;
            let (vm, file) = definition.ids(&path);
            if let (Some(file), true) = (file, vm == Some(of) && file != Some(of)) {
                found.push((file, definition));
            }
        }
        found.sort_by_key(|(_, definition)| definition.config.created);
        Ok(found)
    }

    fn logical_ids(&self, folder: &str) -> Result<Vec<Uuid>, Failure> {
        let mut ids = Vec::new();
        for path in self.configurations_in(folder)? {
            ids.extend(definition::read(&self.files, &path)?.ids(&path).0);
        }
        ids.sort();
        ids.dedup();
        Ok(ids)
    }

    fn configurations_in(&self, folder: &str) -> Result<Vec<String>, FileError> {
        if folder.is_empty() {
            return Ok(Vec::new());
        }
        let names = self.files.names(folder)?.into_iter();
        let is_one = |name: &String| {
            let ending = name
                .rsplit_once('.')
                .map(|(_, ending)| ending.to_lowercase());
            matches!(ending.as_deref(), Some("vmcx" | "xml"))
        };
        let folder = folder.trim_end_matches('\\');
        let paths = names.filter(is_one);
        Ok(paths.map(|name| format!("{folder}\\{name}")).collect())
    }

    /// Whether this host can have a configuration of that version.
    fn can_run(&self, found: &Definition) -> Result<(), Failure> {
        let (least, most) = versions(&self.os);
        let own = found.config.version;
        match own.is_some_and(|own| own >= least && own <= most) {
            true => Ok(()),
            false => {
                let name = &found.config.name;
                let own = own.map_or_else(|| "?".to_owned(), |own| own.to_string());
                let text =
                    format!("„{name}“: Version {own} wird von diesem Host nicht unterstützt.");
                Err(Failure::general(Some(UNSUPPORTED), text))
            }
        }
    }

    /// The folder above that of the file, unless a rule says that it is the configured one.
    fn import_root(&self, file: &str, found: &Definition) -> String {
        let configured = found.config.data_roots.configuration.clone();
        if let Some(root) = configured.filter(|_| self.rules.import_keeps_root) {
            return root;
        }
        let folder = file.rsplit_once('\\').map_or("", |(folder, _)| folder);
        let (above, name) = folder.rsplit_once('\\').unwrap_or((folder, ""));
        let usual = ["virtual machines", "snapshots"];
        match usual.contains(&name.to_lowercase().as_str()) {
            true => above.to_owned(),
            false => folder.to_owned(),
        }
    }

    /// What the files of disks say of their parents.
    pub(super) fn learn_parents(&mut self, vm: &Vm) -> Result<(), FileError> {
        let all = vm.all_settings().flat_map(|settings| settings.disks());
        let leaves: Vec<String> = all.map(|(_, path)| path.to_owned()).collect();
        for leaf in leaves {
            let mut next = Some(leaf);
            for _ in 0..MOST_LAYERS {
                let Some(child) = next.take() else { break };
                next = self.parent_of(&child).map(str::to_owned);
                if next.is_some() || !self.files.exists(&child) {
                    continue;
                }
                let Some(link) = self.files.info(&child)?.parent else {
                    continue;
                };
                let folder = child.rsplit_once('\\').map_or("", |(folder, _)| folder);
                let told = link
                    .paths
                    .iter()
                    .map(|told| match told.path.strip_prefix(".\\") {
                        Some(name) => format!("{folder}\\{name}"),
                        None => told.path.clone(),
                    });
                let found = told.into_iter().find(|path| self.files.exists(path));
                if let Some(parent) = found {
                    self.parents.push((child, parent.clone()));
                    next = Some(parent);
                }
            }
        }
        Ok(())
    }

    /// All that keeps a planned VM from being a VM here.
    pub(super) fn problems(&self, id: Uuid) -> Result<Vec<Failure>, Failure> {
        let vm = self.vm(id).ok_or_else(gone)?;
        let mut found = self.obstacles(vm)?;
        for settings in vm.all_settings() {
            let name = &settings.name;
            for adapter in &settings.adapters {
                let known = |id| self.switches.iter().any(|switch| switch.id == id);
                if adapter.switch.is_some_and(|switch| !known(switch)) {
                    let switch = adapter.switch_name.as_deref().unwrap_or("?");
                    let text =
                        format!("„{name}“: Der Ethernet-Switch „{switch}“ wurde nicht gefunden.");
                    found.push(Failure::general(None, text));
                }
            }
            for drive in &settings.drives {
                if let Medium::Dvd(Some(path)) = &drive.medium
                    && !self.files.exists(path)
                {
                    let text = format!("„{name}“: „{path}“ wurde nicht gefunden.");
                    found.push(Failure::general(Some(MISSING), text));
                }
            }
        }
        if vm.settings.saved.is_some() && self.rules.foreign_state_refused {
            let text = format!(
                "„{}“: Der gespeicherte Zustand passt nicht zum Prozessor dieses Hosts.",
                vm.settings.name
            );
            found.push(Failure::general(None, text));
        }
        Ok(found)
    }

    /// What keeps it from being realized.
    fn obstacles(&self, vm: &Vm) -> Result<Vec<Failure>, Failure> {
        let mut found = Vec::new();
        for checkpoint in &vm.checkpoints {
            if checkpoint.kind == CheckpointKind::Missing {
                let id = super::vm::upper(checkpoint.settings.id);
                let text = format!("Der Prüfpunkt {id} wurde nicht gefunden.");
                found.push(Failure::general(Some(MISSING), text));
            }
        }
        for settings in vm.all_settings() {
            for (_, path) in settings.disks() {
                let mut next = Some(path.to_owned());
                for _ in 0..MOST_LAYERS {
                    let Some(path) = next.take() else { break };
                    if !self.files.exists(&path) {
                        let name = &settings.name;
                        let text = format!("„{name}“: „{path}“ wurde nicht gefunden.");
                        found.push(Failure::general(Some(MISSING), text));
                        break;
                    }
                    next = self.parent_of(&path).map(str::to_owned);
                    let has = self.files.info(&path)?.parent.is_some();
                    if has && next.is_none() {
                        let text = format!("„{path}“: Der übergeordnete Datenträger fehlt.");
                        found.push(Failure::general(Some(MISSING), text));
                    }
                }
            }
        }
        Ok(found)
    }

    pub(super) fn realize_now(&mut self, id: Uuid) -> Result<Made, Failure> {
        let vm = self.vm(id).ok_or_else(gone)?;
        if let Some(first) = self.obstacles(vm)?.into_iter().next() {
            return Err(first);
        }
        let used: Vec<String> = self
            .vms
            .iter()
            .flat_map(|vm| vm.settings.adapters.iter())
            .map(|adapter| adapter.mac.clone())
            .collect();
        let vm = self.vm_mut(id).ok_or_else(gone)?;
        vm.planned = false;
        let checkpoints = vm.checkpoints.iter_mut().map(|c| &mut c.settings);
        for settings in std::iter::once(&mut vm.settings).chain(checkpoints) {
            settings.planned = false;
        }
        // An address that nobody has chosen comes from the host's pool.
        let mut free = (0x0100..0x01ff_u32)
            .map(|n| format!("00155D0A{n:04X}"))
            .filter(|mac| !used.contains(mac));
        for adapter in &mut vm.settings.adapters {
            if !adapter.static_mac && adapter.mac.trim_matches('0').is_empty() {
                adapter.mac = free.next().unwrap_or_default();
            }
        }
        Ok(Made::System(id))
    }
}

fn power(settings: &Settings) -> Power {
    match settings.saved {
        Some(_) => Power::Saved,
        None => Power::Off,
    }
}

fn clash(name: &str) -> Failure {
    let text = format!("„{name}“: Es gibt schon einen virtuellen Computer mit dieser Kennung.");
    Failure::general(Some(EXISTS), text)
}

fn missing(settings: Settings, created: jiff::Timestamp) -> Checkpoint {
    Checkpoint {
        settings,
        kind: CheckpointKind::Missing,
        parent: None,
        created,
        consistency: Consistency::Crash,
        tracked: Vec::new(),
    }
}

/// The id that a checkpoint gets whose VM gets this one: always the same.
fn other_id(vm: Uuid, old: Uuid) -> Uuid {
    Uuid::from_u128(vm.as_u128() ^ old.as_u128())
}

/// Gives the checkpoints of a VM other ids, since the VM has got another one.
fn renew(vm: &mut Vm) {
    let of = vm.id;
    for checkpoint in &mut vm.checkpoints {
        checkpoint.settings.id = other_id(of, checkpoint.settings.id);
        checkpoint.parent = checkpoint.parent.map(|parent| other_id(of, parent));
    }
    vm.parent = vm.parent.map(|parent| other_id(of, parent));
}

/// Parents that are not there are none.
fn untangle(vm: &mut Vm) {
    let ids: Vec<Uuid> = vm.checkpoints.iter().map(|c| c.settings.id).collect();
    let parents = vm.checkpoints.iter_mut().map(|c| &mut c.parent);
    for parent in parents.chain([&mut vm.parent]) {
        *parent = parent.filter(|id| ids.contains(id));
    }
}

/// The versions of configurations that a host can have (Microsoft's table).
pub(super) fn versions(os: &str) -> (ConfigVersion, ConfigVersion) {
    let build: u32 = os
        .rsplit('.')
        .next()
        .and_then(|b| b.parse().ok())
        .unwrap_or(0);
    let version = |major| ConfigVersion { major, minor: 0 };
    match build {
        0..14393 => (version(5), version(5)),
        14393..17763 => (version(5), version(8)),
        17763..20348 => (version(5), version(9)),
        20348..22621 => (version(8), version(10)),
        22621..26100 => (version(8), version(11)),
        _ => (version(8), version(12)),
    }
}
