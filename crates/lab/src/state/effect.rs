//! What jobs do when their time has come.

use disk::Format;
use jiff::Timestamp;
use uuid::Uuid;

use super::checkpoint::CheckpointWish;
use super::define::NewVm;
use super::edit::Edit;
use super::export::ExportWish;
use super::files::FileError;
use super::host::Host;
use super::job::{End, Made};
use super::planned::ImportWish;
use super::refusal::Failure;
use super::vhd::is_vhd;
use super::vm::{
    Checkpoint, CheckpointKind, Consistency, ControllerKind, Medium, Power, ReferencePoint,
    Settings, Tracked, Vm,
};

/// The guest did not settle: VSS says that writers had no time.
const WRITERS_FAILED: u32 = 0x8004_23f2;
/// The oldest configuration version whose disks are tracked.
const TRACKED_SINCE: (u32, u32) = (6, 2);

/// What a job will do.
#[derive(Clone, Debug)]
pub(super) enum Work {
    CreateCheckpoint {
        vm: Uuid,
        wish: CheckpointWish,
        name: Option<String>,
    },
    DestroyCheckpoint {
        vm: Uuid,
        checkpoint: Uuid,
    },
    Convert {
        vm: Uuid,
        checkpoint: Uuid,
    },
    Apply {
        vm: Uuid,
        checkpoint: Uuid,
    },
    DestroyTree {
        vm: Uuid,
        checkpoint: Uuid,
    },
    ClearState {
        vm: Uuid,
        checkpoint: Uuid,
    },
    ApplyDelta {
        vm: Uuid,
    },
    ChangeReplication {
        vm: Uuid,
        to: u16,
    },
    RemoveReplication {
        vm: Uuid,
        second: bool,
    },
    Leave {
        vm: Uuid,
        to: usize,
    },
    DestroySystem {
        vm: Uuid,
    },
    Import {
        wish: ImportWish,
    },
    ImportSnapshots {
        vm: Uuid,
        folder: String,
    },
    Validate {
        vm: Uuid,
    },
    Realize {
        vm: Uuid,
    },
    Define {
        new: NewVm,
    },
    Edit {
        settings: Uuid,
        edits: Vec<Edit>,
    },
    Export {
        vm: Uuid,
        wish: ExportWish,
    },
    DestroyReferencePoint {
        vm: Uuid,
        point: Uuid,
    },
    ChangePower {
        vm: Uuid,
        to: Power,
    },
    Merge {
        vm: Uuid,
    },
    /// Nothing, and that well.
    Nothing,
    /// Nothing: it fails.
    Fail(Failure),
    /// It fails when the other is done.
    FailWhenDone(Failure, Box<Work>),
}

impl Work {
    /// The same, or what fails in its place.
    pub(super) fn failing(self, how: Option<(Failure, bool)>) -> Self {
        match how {
            None => self,
            Some((failure, false)) => Self::Fail(failure),
            Some((failure, true)) => Self::FailWhenDone(failure, Box::new(self)),
        }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        // What Windows' code would be is not told by what the lab's own disks say.
        Self::general(None, error.to_string())
    }
}

impl Host {
    /// Does it, and writes the configuration of the VM that it was done to.
    pub(super) fn carry_out(&mut self, vm: Uuid, work: Work, at: Timestamp) -> End {
        let done = self.work(work, at).and_then(|made| {
            self.write_configurations(vm)?;
            Ok(made)
        });
        match done {
            Ok(made) => End::Completed(made),
            Err(failure) => End::Failed(failure),
        }
    }

    fn work(&mut self, work: Work, at: Timestamp) -> Result<Option<Made>, Failure> {
        match work {
            Work::CreateCheckpoint { vm, wish, name } => {
                let id = self.freeze(vm, wish, at)?;
                let known = self.vm_mut(vm).and_then(|vm| vm.checkpoints.last_mut());
                if let (Some(name), Some(made)) = (name, known) {
                    made.settings.name = name;
                }
                Ok(Some(Made::Checkpoint(id)))
            }
            Work::DestroyCheckpoint { vm, checkpoint } => {
                self.drop_checkpoint(vm, checkpoint).map(|_| None)
            }
            Work::Convert { vm, checkpoint } => {
                let point = self.convert(vm, checkpoint, at);
                point.map(|id| Some(Made::ReferencePoint(id)))
            }
            Work::Apply { vm, checkpoint } => self.apply(vm, checkpoint, at).map(|()| None),
            Work::DestroyTree { vm, checkpoint } => self.drop_tree(vm, checkpoint).map(|()| None),
            Work::ClearState { vm, checkpoint } => self.drop_memory(vm, checkpoint).map(|()| None),
            Work::ApplyDelta { vm } => self.apply_delta(vm).map(|()| None),
            Work::ChangeReplication { vm, to } => {
                self.set_replication(vm, to, at);
                Ok(None)
            }
            Work::RemoveReplication { vm, second } => {
                self.drop_replication(vm, second).map(|()| None)
            }
            Work::Leave { vm, to } => self.leave(vm, to).map(|()| None),
            Work::Export { vm, wish } => self.carry_away(vm, &wish, at).map(|()| None),
            Work::Import { wish } => self.import_now(&wish).map(Some),
            Work::ImportSnapshots { vm, folder } => {
                self.import_snapshots_now(vm, &folder).map(|()| None)
            }
            Work::Validate { vm } => match self.problems(vm)?.split_first() {
                None => Ok(None),
                Some((first, others)) => Err(Failure {
                    others: others.to_vec(),
                    ..first.clone()
                }),
            },
            Work::Realize { vm } => self.realize_now(vm).map(Some),
            Work::Define { new } => self.define_now(&new).map(Some),
            Work::Edit { settings, edits } => self.edited(settings, &edits).map(Some),
            Work::DestroySystem { vm } => self.drop_system(vm).map(|()| None),
            Work::DestroyReferencePoint { vm, point } => {
                if let Some(vm) = self.vm_mut(vm) {
                    vm.reference_points.retain(|p| p.id != point);
                }
                self.forget_free_ids();
                Ok(None)
            }
            Work::ChangePower { vm, to } => {
                self.set_power(vm, to, at);
                Ok(None)
            }
            Work::Merge { vm } => self.merge(vm).map(|()| None),
            Work::Nothing => Ok(None),
            Work::Fail(failure) => Err(failure),
            Work::FailWhenDone(failure, work) => {
                self.work(*work, at)?;
                Err(failure)
            }
        }
    }

    /// A VM runs from now on, or does not.
    pub(super) fn set_power(&mut self, vm: Uuid, to: Power, at: Timestamp) {
        let Some(vm) = self.vm_mut(vm) else { return };
        // A start rolls the key that protects its TPM.
        if (vm.power, to) == (Power::Off, Power::Running) {
            vm.starts = vm.starts.wrapping_add(1);
        }
        vm.power = to;
        vm.power_since = at;
        vm.merge_failed = false;
        vm.merges_off &= to != Power::Running;
        vm.critical = false;
        vm.settings.saved = (to == Power::Saved).then_some(at);
    }

    /// Makes a checkpoint at once, as its job does.
    pub fn freeze(
        &mut self,
        id: Uuid,
        wish: CheckpointWish,
        at: Timestamp,
    ) -> Result<Uuid, Failure> {
        let vm = self.vm(id).ok_or_else(gone)?.clone();
        let has_scsi = |vm: &Vm| {
            let mut controllers = vm.settings.controllers.iter();
            controllers.any(|c| c.kind == ControllerKind::Scsi)
        };
        let can_settle = vm.can_settle() && (!self.rules.application_needs_scsi || has_scsi(&vm));
        if wish.consistency == Consistency::Application && !can_settle {
            return Err(Failure::general(
                Some(WRITERS_FAILED),
                format!(
                    "„{}“: Der Gast wurde nicht in einen konsistenten Zustand versetzt.",
                    vm.settings.name
                ),
            ));
        }
        for drive in &vm.settings.drives {
            let unfreezable = match &drive.medium {
                Medium::PassThrough(_) => true,
                Medium::Disk { shared, .. } => *shared,
                Medium::Dvd(_) | Medium::Empty => false,
            };
            if unfreezable && !wish.ignore_unfreezable {
                let text = format!(
                    "„{}“ hat einen Datenträger ohne Prüfpunkte.",
                    vm.settings.name
                );
                return Err(Failure::general(None, text));
            }
        }
        if wish.consistency == Consistency::Application {
            self.settle_guest(id)?;
        }
        let checkpoint = self.new_id();
        let mut tracked = Vec::new();
        let mut children: Vec<(usize, String, String)> = Vec::new();
        for (drive, path) in vm.settings.disks() {
            if is_shared(&vm.settings, drive) {
                continue;
            }
            let forked = self.room_for_child(path);
            match forked.and_then(|()| Ok(self.fork(path)?)) {
                Ok(child) => children.push((drive, path.to_owned(), child)),
                Err(failure) => {
                    self.unfork(&children)?;
                    return Err(failure);
                }
            }
        }
        if wish.kind == CheckpointKind::Recovery
            && let Err(error) = self.keep(id, children.iter().map(|(_, path, _)| path.as_str()))
        {
            self.unfork(&children)?;
            return Err(error.into());
        }
        for (drive, path, child) in children {
            tracked.extend(self.track(&vm, drive, &path)?);
            self.parents.push((child.clone(), path));
            let present = self.vm_mut(id).ok_or_else(gone)?;
            if let Some(drive) = present.settings.drives.get_mut(drive)
                && let Medium::Disk { path, .. } = &mut drive.medium
            {
                *path = child;
            }
        }
        let mut settings = vm.settings;
        // A running VM goes on while its memory is saved; one for a backup has none.
        settings.saved = match (wish.memory, vm.power) {
            (true, Power::Running | Power::Paused) => Some(at),
            (true, _) => settings.saved,
            (false, _) => None,
        };
        settings.id = checkpoint;
        settings.name = format!(
            "{} - ({})",
            settings.name,
            at.strftime("%d.%m.%Y - %H:%M:%S")
        );
        let present = self.vm_mut(id).ok_or_else(gone)?;
        present.checkpoints.push(Checkpoint {
            settings,
            kind: wish.kind,
            parent: present.parent,
            created: at,
            consistency: wish.consistency,
            tracked,
        });
        present.parent = Some(checkpoint);
        Ok(checkpoint)
    }

    /// Removes files that a VM would have gone on in.
    fn unfork(&self, children: &[(usize, String, String)]) -> Result<(), FileError> {
        let mut children = children.iter();
        children.try_for_each(|(_, _, child)| self.files.remove(child))
    }

    /// Makes the file that the VM goes on in.
    pub(super) fn fork(&mut self, path: &str) -> Result<String, FileError> {
        let id = self.new_id();
        let (folder, name) = path.rsplit_once('\\').unwrap_or(("", path));
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let stem = match stem.rsplit_once('_') {
            Some((first, last)) if Uuid::try_parse(last).is_ok() => first,
            _ => stem,
        };
        let extension = if is_vhd(path) { "avhd" } else { "avhdx" };
        let child = format!("{folder}\\{stem}_{}.{extension}", super::vm::upper(id));
        self.files.create_child(path, &child, &mut self.ids)?;
        Ok(child)
    }

    /// Seals the change tracking of a disk at this moment, if it is tracked at all.
    fn track(&mut self, vm: &Vm, drive: usize, path: &str) -> Result<Option<Tracked>, Failure> {
        let info = self.files.info(path)?;
        let Some(place) = vm.settings.drives.get(drive) else {
            return Ok(None);
        };
        let disk = match &info.format {
            Format::Vhdx(vhdx) => vhdx.disk_id,
            Format::Vhd(_) | Format::Raw => return Ok(None),
        };
        let id = version(&vm.settings.version)
            .filter(|version| *version >= TRACKED_SINCE)
            .map(|_| format!("rctX:{}", tracking_name(self.new_id())));
        if let Some(id) = &id {
            let tracking = self.tracking.entry(disk).or_default();
            match self.rules.tracking_begins_late {
                true => tracking.seal_asleep(id.clone()),
                false => tracking.seal(id.clone()),
            }
        }
        Ok(Some(Tracked {
            instance: vm.settings.disk_instance(place),
            disk,
            id,
            path: path.to_owned(),
        }))
    }

    /// Takes a checkpoint out of the tree; its children move up. Merging is for later.
    pub(super) fn drop_checkpoint(
        &mut self,
        vm: Uuid,
        checkpoint: Uuid,
    ) -> Result<Checkpoint, Failure> {
        let vm = self.vm_mut(vm).ok_or_else(gone)?;
        vm.merge_failed = false;
        let place = vm
            .checkpoints
            .iter()
            .position(|c| c.settings.id == checkpoint);
        let dropped = vm.checkpoints.remove(place.ok_or_else(gone)?);
        let parents = vm.checkpoints.iter_mut().map(|c| &mut c.parent);
        for parent in parents.chain([&mut vm.parent]) {
            if *parent == Some(checkpoint) {
                *parent = dropped.parent;
            }
        }
        Ok(dropped)
    }

    fn convert(&mut self, vm: Uuid, checkpoint: Uuid, at: Timestamp) -> Result<Uuid, Failure> {
        let found = self.vm(vm).and_then(|vm| vm.checkpoint(checkpoint));
        if found.is_none_or(|c| c.kind != CheckpointKind::Recovery) {
            return Err(gone());
        }
        let id = self.new_id();
        let dropped = self.drop_checkpoint(vm, checkpoint)?;
        for tracked in &dropped.tracked {
            if let Some(tracking) = self.tracking.get_mut(&tracked.disk) {
                tracking.wake();
            }
        }
        let vm = self.vm_mut(vm).ok_or_else(gone)?;
        vm.reference_points.push(ReferencePoint {
            id,
            consistency: dropped.consistency,
            created: at,
            tracked: dropped.tracked,
        });
        Ok(id)
    }

    /// Forgets ids of change tracking that nothing holds any more.
    pub(super) fn forget_free_ids(&mut self) {
        if !self.rules.forgets_free_ids {
            return;
        }
        let held = self.vms.iter().flat_map(|vm| {
            let checkpoints = vm.checkpoints.iter().flat_map(|c| &c.tracked);
            checkpoints.chain(vm.reference_points.iter().flat_map(|p| &p.tracked))
        });
        let held: std::collections::HashSet<String> = held.filter_map(|t| t.id.clone()).collect();
        for tracking in self.tracking.values_mut() {
            tracking.keep(|id| held.contains(id));
        }
    }
}

pub(super) fn gone() -> Failure {
    Failure::general(None, "Das Objekt ist nicht mehr vorhanden.")
}

fn is_shared(settings: &Settings, drive: usize) -> bool {
    let medium = settings.drives.get(drive).map(|drive| &drive.medium);
    matches!(medium, Some(Medium::Disk { shared: true, .. }))
}

/// `9.0` as numbers, since `10.0` is more than that.
fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// An id with colons, as they are seen in the logs of backup programs.
fn tracking_name(id: Uuid) -> String {
    let text = id.hyphenated().to_string().replace('-', ":");
    format!("{text}:00000000")
}
