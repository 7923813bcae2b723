//! The frozen view of a VM with a configuration: its disks, files and checkpoints.

use std::collections::{BTreeSet, HashMap};
use std::iter;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;
use vmconfig::VmConfig;
use vmconfig::layout::{
    AttachedDisk, Finding as LayoutFinding, Machine, OwnedFile, ParentCheckpoint, Resolution, Role,
};
use vmconfig::model::{Drive, DriveKind, Finding as ConfigFinding, Location};

use crate::finding::{Code, Finding, Severity};
use crate::select::Disks;
use crate::source::folder::catalog::Catalog;
use crate::source::folder::chosen::Chosen;
use crate::source::folder::fingerprint::Fingerprint;
use crate::source::folder::frozen::{FolderVm, Watched, add_layers, at_rest, blank, consistency};
use crate::source::folder::guest_state;
use crate::source::folder::machines::Machines;
use crate::source::folder::open::{is_image, open_file};
use crate::source::folder::unread;
use crate::source::folder::walk::FoundFile;
use crate::source::{
    Checkpoint, CheckpointParent, DiskUse, FileRole, FrozenFile, FrozenView, FrozenVm,
    MissingLayer, Owner, SourceError, VmRef,
};

/// The frozen view of a machine.
///
/// # Errors
/// When nothing of it can be opened.
pub(crate) fn freeze_machine(
    (machines, index): (&Machines, usize),
    files: &[FoundFile],
    catalog: &Catalog,
    vm: &VmRef,
    disks: &Disks,
) -> Result<Box<dyn FrozenVm>, SourceError> {
    let machine = &machines.inventory.machines[index];
    let mut view = blank(vm);
    let mut watched = Vec::new();
    let chosen = Chosen::of_machine(machines, index, catalog, disks);
    // That no layer can be opened is told by findings: the files are still worth saving.
    let places = add_layers(catalog, &chosen.images, &mut view, &mut watched).unwrap_or_default();
    view.config = serde_json::to_value(&machine.config).ok();
    chosen.tell(&mut view);
    add_disks(
        machines,
        (catalog, &chosen),
        &Owner::Vm,
        &machine.disks,
        &places,
        &mut view,
    );
    add_files(
        machines,
        &Owner::Vm,
        &machine.files,
        files,
        &mut view,
        &mut watched,
    );
    let ids = checkpoint_ids(machine, &mut view);
    let parent = |parent: &ParentCheckpoint| match parent {
        ParentCheckpoint::None => CheckpointParent::Root,
        ParentCheckpoint::Of { checkpoint, .. } => ids
            .get(*checkpoint)
            .map_or(CheckpointParent::Unknown, |id| CheckpointParent::After(*id)),
        ParentCheckpoint::Unknown { .. } => CheckpointParent::Unknown,
    };
    for (checkpoint, id) in machine.checkpoints.iter().zip(&ids) {
        let owner = Owner::Checkpoint(*id);
        add_disks(
            machines,
            (catalog, &chosen),
            &owner,
            &checkpoint.disks,
            &places,
            &mut view,
        );
        add_files(
            machines,
            &owner,
            &checkpoint.files,
            files,
            &mut view,
            &mut watched,
        );
        let created = checkpoint.config.created;
        view.checkpoints.push(Checkpoint {
            id: *id,
            name: checkpoint.config.name.clone(),
            time: created.and_then(|time| u64::try_from(time.as_second()).ok()),
            parent: parent(&checkpoint.parent),
            config: serde_json::to_value(&checkpoint.config).ok(),
        });
    }
    if let CheckpointParent::After(id) = parent(&machine.parent) {
        view.current = Some(id);
    }
    if view
        .checkpoints
        .iter()
        .any(|c| c.parent == CheckpointParent::Unknown)
    {
        view.findings.push(Finding::note(
            Code::OrderUnknown,
            vm.name.clone(),
            "neither the configuration nor the disks tell the order of some checkpoints",
        ));
    }
    tell(machine, &mut view);
    view.consistency = consistency(&view);
    Ok(Box::new(FolderVm::new(view, watched)))
}

/// The checkpoints' ids. One whose file name is none has an id of its place, and so has one whose id
/// another has already, as in a copied folder of checkpoints.
fn checkpoint_ids(machine: &Machine, view: &mut FrozenView) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = Vec::new();
    for checkpoint in &machine.checkpoints {
        let place = || super::derived_id("checkpoint", Path::new(&checkpoint.path));
        let id = match checkpoint.config.id {
            Some(id) if ids.contains(&id) => {
                view.findings.push(
                    Finding::new(
                        Code::DuplicateId,
                        Severity::Warning,
                        checkpoint.path.as_str(),
                        format!(
                            "another checkpoint of this VM has its id {id}; both are backed up"
                        ),
                    )
                    .hint("if one is a leftover copy, move it away"),
                );
                place()
            }
            Some(id) => id,
            None => place(),
        };
        ids.push(id);
    }
    ids
}

fn add_disks(
    machines: &Machines,
    (catalog, chosen): (&Catalog, &Chosen<'_>),
    owner: &Owner,
    disks: &[AttachedDisk],
    places: &HashMap<usize, usize>,
    view: &mut FrozenView,
) {
    for disk in disks {
        let image = disk.file.path().and_then(|path| machines.by_rel.get(path));
        if !chosen.takes(machines, disk) {
            let name = disk.file.path().unwrap_or(&disk.configured);
            view.leave_out(owner.clone(), &disk.location.to_string(), name);
            continue;
        }
        if let Some(layer) = image.and_then(|image| places.get(image)) {
            view.uses.push(DiskUse {
                owner: owner.clone(),
                slot: disk.location.to_string(),
                layer: *layer,
                consistency: at_rest(owner, &view.layers[*layer].info),
            });
            continue;
        }
        let bad = disk
            .file
            .path()
            .and_then(|path| machines.bad_by_rel.get(path));
        let bad = bad.and_then(|bad| catalog.bad.get(*bad));
        let free = "put the disk into the folder, or free it, and back up again";
        let (code, why, object, hint) = match (&disk.file, bad) {
            (_, Some((_, finding))) => (
                finding.code,
                finding.message.clone(),
                finding.object.clone(),
                free,
            ),
            (Resolution::Missing, _) => (
                Code::DiskMissing,
                "it is not in the folder".to_owned(),
                disk.configured.clone(),
                free,
            ),
            (Resolution::Ambiguous { candidates }, _) => (
                Code::DiskMissing,
                format!("several files could be it: {}", candidates.join(", ")),
                disk.configured.clone(),
                "keep the VM's own disk beside its configuration, and the others elsewhere",
            ),
            (Resolution::Found { path, .. }, None) if !is_image(Path::new(path)) => (
                Code::NotCovered,
                unread::why(Path::new(path)),
                path.clone(),
                unread::hint(Path::new(path)),
            ),
            // It was there and could not be opened just now: told by whoever tried.
            (Resolution::Found { path, .. }, None) => (
                Code::DiskUnreadable,
                "it could not be opened".to_owned(),
                path.clone(),
                free,
            ),
        };
        let known = view.missing.iter_mut().find(|m| m.name == object);
        if let Some(missing) = known {
            missing.needed_by.push(owner.clone());
            continue;
        }
        view.missing.push(MissingLayer {
            name: object.clone(),
            why: why.clone(),
            needed_by: vec![owner.clone()],
            by_choice: false,
        });
        view.findings.push(
            Finding::new(
                code,
                Severity::Partial,
                object,
                format!("the disk at {} is not backed up: {why}", disk.location),
            )
            .hint(hint),
        );
    }
}

fn add_files(
    machines: &Machines,
    owner: &Owner,
    owned: &[OwnedFile],
    files: &[FoundFile],
    view: &mut FrozenView,
    watched: &mut Vec<Watched>,
) {
    for owned in owned {
        let role = match owned.role {
            Role::Configuration => FileRole::Configuration,
            Role::RuntimeState | Role::DeviceState => FileRole::RuntimeState,
            Role::GuestState => FileRole::GuestState,
            Role::Memory => FileRole::SavedMemory,
            // Only the host that made it can use it.
            Role::ChangeTracking => continue,
        };
        let Some(found) = machines
            .file_by_rel
            .get(&owned.path)
            .and_then(|i| files.get(*i))
        else {
            continue;
        };
        let opened = open_file(&found.path).and_then(|file| {
            let before = Fingerprint::of(&file).map_err(|e| lost(found, &e.to_string()))?;
            Ok((Arc::new(file), before))
        });
        match opened {
            Ok((file, before)) => {
                if role == FileRole::GuestState {
                    view.findings
                        .extend(guest_state::describe(found.rel.as_str(), &file));
                }
                view.files.push(FrozenFile {
                    path: found.rel.clone(),
                    role,
                    owner: owner.clone(),
                    data: Arc::clone(&file) as Arc<dyn disk::ReadAt>,
                });
                watched.push(Watched {
                    layer: None,
                    path: found.path.clone(),
                    file,
                    before,
                });
            }
            Err(finding) => view.findings.push(lost(found, &finding.message)),
        }
    }
}

fn lost(found: &FoundFile, why: &str) -> Finding {
    Finding::new(
        Code::FileUnreadable,
        Severity::Partial,
        found.path.display().to_string(),
        format!("is not backed up: {why}"),
    )
    .hint("check that you may read it and that no other program has locked it, and back up again")
}

/// What the configuration and the look through the folder say about a machine.
fn tell(machine: &Machine, view: &mut FrozenView) {
    let name = machine.config.name.clone();
    for finding in &machine.config.findings {
        let text = finding.to_string();
        let (code, severity, hint) = match finding {
            // Of a medium whose type is not known nobody can say that it is no disk.
            ConfigFinding::PassThroughDisk { .. }
            | ConfigFinding::UnknownDrive { .. }
            | ConfigFinding::FibreChannel { .. } => {
                view.not_covered.push(text.clone());
                let hint = "back up what is on it inside the guest";
                (Code::NotCovered, Severity::Partial, hint)
            }
            ConfigFinding::SharedDisk { .. } => (
                Code::NotCovered,
                Severity::Warning,
                "stop the VMs that share it while it is backed up, or back it up inside a guest",
            ),
            ConfigFinding::MergePending => (
                Code::NotCovered,
                Severity::Warning,
                "let its host finish the merge, and back up again",
            ),
            ConfigFinding::ConfigurationDamaged { .. } | ConfigFinding::Incomplete { .. } => (
                Code::ConfigUnreadable,
                Severity::Warning,
                "its bytes are saved as they are: export the VM again, or look through the settings \
                 of a restored one",
            ),
            _ => {
                let note = Finding::note(Code::ConfigNote, name.clone(), text);
                view.findings.push(note);
                continue;
            }
        };
        view.findings
            .push(Finding::new(code, severity, name.clone(), text).hint(hint));
    }
    for text in media(machine) {
        view.not_covered.push(text.clone());
        view.findings.push(
            Finding::note(Code::NotCovered, name.clone(), text)
                .hint("a restored VM looks for it at the same path: keep it, or eject it then"),
        );
    }
    for finding in &machine.findings {
        // Missing disks and broken chains were told with the disks.
        if let LayoutFinding::UnreferencedDifference { disk, .. } = finding
            && view.layers.iter().any(|layer| layer.path.as_str() == disk)
        {
            view.findings.push(
                Finding::new(
                    Code::UnreferencedDisk,
                    Severity::Warning,
                    name.clone(),
                    finding.to_string(),
                )
                .hint("it is in the restore point; find out which program left it on the host"),
            );
        }
    }
}

/// The images of removable media in the drives of a machine and its checkpoints.
fn media(machine: &Machine) -> BTreeSet<String> {
    let medium = |(location, drive): (Location, &Drive)| {
        let what = match drive.kind {
            DriveKind::Iso => "CD or DVD",
            DriveKind::Floppy => "floppy",
            _ => return None,
        };
        let path = drive.path.as_deref()?;
        Some(format!(
            "the {what} image {path} at {location} is not saved"
        ))
    };
    let checkpoints = machine.checkpoints.iter().map(|c| &c.config);
    iter::once(&machine.config)
        .chain(checkpoints)
        .flat_map(VmConfig::drives)
        .filter_map(medium)
        .collect()
}

/// The frozen view of a VM whose configuration cannot be understood: its files as they are.
pub(crate) fn freeze_unreadable(
    machines: &Machines,
    index: usize,
    files: &[FoundFile],
    vm: &VmRef,
) -> Result<Box<dyn FrozenVm>, SourceError> {
    let unreadable = &machines.inventory.unreadable[index];
    let mut view = blank(vm);
    let mut watched = Vec::new();
    add_files(
        machines,
        &Owner::Vm,
        &unreadable.files,
        files,
        &mut view,
        &mut watched,
    );
    view.findings.push(
        Finding::new(
            Code::ConfigUnreadable,
            Severity::Partial,
            unreadable.path.clone(),
            format!(
                "the configuration cannot be understood ({}); its bytes are saved as they are, and \
                 its disks, if they are here, each as a VM of its own",
                unreadable.error
            ),
        )
        .hint("export the VM again, or restore the configuration from an earlier point"),
    );
    if view.files.is_empty() {
        return Err(SourceError::new(
            unreadable.path.clone(),
            unreadable.error.clone(),
            "check that you may read the VM's files, or export the VM again",
        ));
    }
    Ok(Box::new(FolderVm::new(view, watched)))
}
