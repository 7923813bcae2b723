//! Exporting a VM, and what is opened of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use cim::path::HYPER_V;
use cim::wsman::Associations;
use cim::{CimError, CimSession, Instance, ObjectPath};
use disk::ReadAt as _;
use uuid::Uuid;
use vmconfig::vmrs;

use super::folder::{is_there, remove_export};
use super::room::{self, Watched};
use super::{ExportError, Needs};
use crate::checkpoint::{Mark, machine};
use crate::control::{Change, ChangeError, Control, NotDone};
use crate::files::{FileError, FrozenFile, HostFiles, HostPath};
use crate::frozen::{
    ConfigFile, FileRole, FrozenDisk, LostDisk, LostFile, NotTold, Reading, key_protector,
    open_configuration, open_disk,
};
use crate::ids::{self, fold};
use crate::inventory::{self, ConfigFiles, Medium, PowerState, Settings};
use crate::journal::{Call, Export};
use crate::space::Floor;

const SETTINGS: &str = "Msvm_VirtualSystemExportSettingData";
const SERVICE: &str = "Msvm_VirtualSystemManagementService";

/// What is wanted.
pub struct Request<'r> {
    /// The VM.
    pub vm: Uuid,
    /// A folder of the host that is there, in which ours is made.
    pub staging: &'r str,
    /// How much has to stay free on its volume.
    pub floor: Floor,
    /// Whose export it is.
    pub mark: Mark,
}

/// A VM that was exported with its memory, until it is removed.
pub struct MemoryExport {
    // Files are closed before the folder is removed, also when this is dropped: in this order.
    /// Its disks, of the same moment as the memory. They are read in full.
    pub disks: Vec<FrozenDisk>,
    /// The files of its configuration, with the memory.
    pub files: Vec<ConfigFile>,
    opened: Vec<Arc<FrozenFile>>,
    /// Disks that cannot be had.
    pub lost: Vec<LostDisk>,
    /// Files that cannot be had.
    pub lost_files: Vec<LostFile>,
    /// The configuration when it was exported.
    pub settings: Settings,
    /// What a virtual TPM's state is encrypted for; it belongs to the guest state file.
    pub key_protector: Option<Vec<u8>>,
    /// What was odd about the host's answers.
    pub findings: Vec<inventory::Finding>,
    /// The room that was thought to be needed.
    pub needs: Needs,
    folder: Folder,
}

/// Our folder, which is removed when this is dropped.
struct Folder {
    control: Arc<Control>,
    vm: Uuid,
    export: Export,
    held: bool,
}

impl MemoryExport {
    /// Exports a VM that runs, with its memory, and opens what was exported.
    ///
    /// # Errors
    /// When there is no room, no memory, or the host fails; then nothing of ours is left, or it is
    /// in the journal.
    pub fn take(
        control: &Arc<Control>,
        files: &dyn HostFiles,
        request: &Request<'_>,
    ) -> Result<Self, ExportError> {
        let (session, vm) = (control.session(), request.vm);
        if machine(session, vm)?.state != PowerState::Running {
            return Err(ExportError::NotRunning);
        }
        let settings = present(session, vm)?;
        let bad = |error: &dyn ToString| ExportError::BadFolder(error.to_string());
        let staging = HostPath::parse(request.staging).map_err(|error| bad(&error))?;
        let name = format!("{} {vm}", request.mark.name());
        let folder = staging.join(&name).map_err(|error| bad(&error))?;
        names(&settings.media)?;
        let needs = room::look(session, &settings, &folder, request.floor)?;
        let service = service(session)?;
        let export = Export {
            folder: folder.to_string(),
            node: node(&service, &folder),
        };
        if is_there(session, &export)? {
            return Err(ExportError::Exists(export.folder));
        }
        // What cannot be read would be exported for nothing.
        files.list(&staging)?;
        let own = format!("Microsoft:{}", ids::upper(vm));
        let tpm = settings.config.security.virtual_tpm == Some(true);
        let protector = || tpm.then(|| key_protector(session, &own));
        let before = protector();
        let held = begin(control, vm, (service, export), request.floor)?;
        if present(session, vm)?.media != settings.media {
            return Err(ExportError::Changed);
        }
        let mut export = Self {
            disks: Vec::new(),
            files: Vec::new(),
            opened: Vec::new(),
            lost: Vec::new(),
            lost_files: Vec::new(),
            settings,
            key_protector: None,
            findings: Vec::new(),
            needs,
            folder: held,
        };
        export.open(control, files, &folder)?;
        if let (Some(before), Some(after)) = (before, protector()) {
            export.pair(before, after)?;
        }
        Ok(export)
    }

    /// Takes the key protector, if it is the same before and after: a VM gets a new one when it is
    /// started, and the file that was exported fits one only.
    fn pair(
        &mut self,
        before: Result<Vec<u8>, NotTold>,
        after: Result<Vec<u8>, NotTold>,
    ) -> Result<(), ExportError> {
        if !self
            .files
            .iter()
            .any(|file| file.role == FileRole::GuestState)
        {
            self.lost_files.push(LostFile {
                path: "the guest state of the virtual TPM".to_owned(),
                why: "it was not exported".to_owned(),
            });
        }
        let why = match (before, after) {
            (Ok(before), Ok(after)) if before == after => {
                self.key_protector = Some(before);
                return Ok(());
            }
            (Ok(_), Ok(_)) => "it was another one before the export".to_owned(),
            (Err(NotTold::Host(error)), _) | (_, Err(NotTold::Host(error)))
                if error.fault_kind().is_none() =>
            {
                return Err(error.into());
            }
            (Err(why), _) | (_, Err(why)) => why.to_string(),
        };
        self.findings.push(inventory::Finding::NotTold {
            what: "the key protector of the virtual TPM".to_owned(),
            why,
        });
        Ok(())
    }

    fn open(
        &mut self,
        control: &Control,
        files: &dyn HostFiles,
        folder: &HostPath,
    ) -> Result<(), ExportError> {
        let within = |names: &[&str]| {
            let path = names
                .iter()
                .try_fold(folder.clone(), |path, name| path.join(name));
            path.map_err(|error| ExportError::BadFolder(error.to_string()))
        };
        let begun = control.pace().now();
        for medium in &self.settings.media {
            let name = file_name(&medium.path);
            let medium = Medium {
                path: within(&["Virtual Hard Disks", name])?.to_string(),
                ..medium.clone()
            };
            match open_disk(control.pace(), files, medium, begun) {
                Ok((mut disk, opened)) => {
                    let why = "memory fits the disks of its own moment alone";
                    disk.reading = Reading::Full(why.to_owned());
                    self.disks.push(disk);
                    self.opened.extend(opened);
                }
                Err(lost) => self.lost.push(lost),
            }
        }
        let machines = within(&["Virtual Machines"])?;
        let entries = files.list(&machines)?;
        let own = |name: &str| {
            let (stem, ending) = name.rsplit_once('.')?;
            let ours = ids::guid(stem) == Some(self.folder.vm);
            let configuration = matches!(fold(ending).as_str(), "vmcx" | "xml");
            (ours && configuration).then(|| within(&["Virtual Machines", name]))
        };
        let configuration = entries.iter().find_map(|entry| own(&entry.name));
        let named = ConfigFiles {
            configuration: configuration.transpose()?.map(|path| path.to_string()),
            ..ConfigFiles::default()
        };
        let (found, lost) = open_configuration(files, &named);
        self.opened
            .extend(found.iter().map(|file| file.data.clone()));
        (self.files, self.lost_files) = (found, lost);
        match self.files.iter().any(has_memory) {
            true => Ok(()),
            false => Err(ExportError::NoMemory),
        }
    }

    /// The folder, as the host spells it.
    pub fn folder(&self) -> &str {
        &self.folder.export.folder
    }

    /// Looks, when all was read, whether each file is as long as when it was opened.
    ///
    /// # Errors
    /// For the first one that is not: nothing that was read counts.
    pub fn verify(&self) -> Result<(), FileError> {
        self.opened.iter().try_for_each(|file| file.verify())
    }

    /// Closes everything and removes it from the host.
    ///
    /// # Errors
    /// When it is still there: then it is in the journal.
    pub fn remove(self) -> Result<(), ExportError> {
        let Self {
            disks,
            files,
            opened,
            mut folder,
            ..
        } = self;
        drop((disks, files, opened));
        // Tried once here and told; not again when it is dropped.
        folder.held = false;
        remove_export(&folder.control, folder.vm, &folder.export).map(drop)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.held
            && let Err(error) = remove_export(&self.control, self.vm, &self.export)
        {
            self.control.note(error.to_string());
        }
    }
}

/// The configuration that the VM has now.
fn present(session: &dyn CimSession, vm: Uuid) -> Result<Settings, CimError> {
    let own = format!("Microsoft:{}", ids::upper(vm));
    Ok(inventory::configuration(session, &own)?.settings)
}

fn file_name(path: &str) -> &str {
    path.rsplit(['\\', '/']).next().unwrap_or(path)
}

/// All disks go to one folder.
fn names(media: &[Medium]) -> Result<(), ExportError> {
    let mut seen = BTreeSet::new();
    for medium in media {
        let name = file_name(&medium.path);
        if !seen.insert(fold(name)) {
            return Err(ExportError::SameName(name.to_owned()));
        }
    }
    Ok(())
}

/// The service that exports, of the node that has the VM now. An export is one node's: should the VM
/// have moved by then, that one does not have it, and nothing is begun.
fn service(session: &dyn CimSession) -> Result<ObjectPath, ExportError> {
    let services = session.query_paths(HYPER_V, &format!("SELECT * FROM {SERVICE}"))?;
    let service = services.into_iter().next();
    let service =
        service.ok_or_else(|| ExportError::Unwritable(format!("the host has no {SERVICE}")))?;
    let host = service.key("SystemName");
    Ok(ObjectPath { host, ..service })
}

/// The node that will have the folder, where not all nodes of a cluster do.
fn node(service: &ObjectPath, folder: &HostPath) -> Option<String> {
    let folder = fold(&folder.to_string());
    let shared = folder.split('\\').nth(1) == Some("clusterstorage");
    service.host.clone().filter(|_| !shared)
}

/// Exports it: no checkpoints, all disks, and what is in memory. It is ended when its volume is nearly
/// full.
fn begin(
    control: &Arc<Control>,
    vm: Uuid,
    (service, export): (ObjectPath, Export),
    floor: Floor,
) -> Result<Folder, ExportError> {
    let unwritable = |error: &dyn ToString| ExportError::Unwritable(error.to_string());
    let session = control.session();
    let which = Associations::of(&ids::machine_path(vm))
        .by("Msvm_SystemExportSettingData")
        .to(SETTINGS);
    let template = session.associators(&which)?.into_iter().next();
    let template = template.ok_or_else(|| unwritable(&format!("the host has no {SETTINGS}")))?;
    let class = session.class(HYPER_V, SETTINGS)?;
    let mut settings = class
        .conform(template)
        .map_err(|error| unwritable(&error))?;
    // No checkpoints: 1. Live state with memory: 1.
    settings.set("CopySnapshotConfiguration", 1_u8);
    settings.set("CaptureLiveState", 1_u8);
    settings.set("CopyVmRuntimeInformation", true);
    settings.set("CopyVmStorage", true);
    settings.set("CreateVmExportSubdirectory", false);
    let mut inputs = Instance::default()
        .with("ComputerSystem", ids::machine_path(vm))
        .with("ExportDirectory", export.folder.as_str());
    inputs
        .set_embedded("ExportSettingData", &settings)
        .map_err(|error| unwritable(&error))?;
    let change = Change {
        call: Call::ExportMemory {
            folder: export.folder.clone(),
            node: export.node.clone(),
        },
        target: &service,
        method: "ExportSystemDefinition",
        inputs: &inputs,
        cancellable: true,
    };
    let made = export.folder.clone();
    let watched = Arc::new(Watched::new(control, &export.folder, floor));
    let pace = Arc::clone(&watched);
    let done = control
        .by(pace)
        .change(vm, &change, &|_| Ok(Some(made.clone())));
    let mut held = Folder {
        control: control.clone(),
        vm,
        export,
        held: true,
    };
    let ended = |error: &ChangeError| {
        let ChangeError::NotDone { why, .. } = error else {
            return false;
        };
        matches!(why, NotDone::Cancelled(_))
    };
    // What it has written goes as well unless it was done, and well: when this is dropped.
    match (done, watched.short()) {
        (Ok(_), None) => Ok(held),
        (Ok(_), Some(short)) => Err(ExportError::Ended(short)),
        (Err(error), Some(short)) if ended(&error) => Err(ExportError::Ended(short)),
        (Err(error @ ChangeError::NotDone { .. }), _) => Err(error.into()),
        // It may go on: what is removed beside it is not gone. The journal keeps it.
        (Err(error), short) => {
            held.held = false;
            if let Some(short) = short {
                control.note(format!("the export was asked to end: {short}"));
            }
            Err(error.into())
        }
    }
}

/// Whether a file holds memory.
fn has_memory(file: &ConfigFile) -> bool {
    match file.role {
        FileRole::RuntimeState if fold(&file.path).ends_with(".vmrs") => {
            vmrs::has_memory(&Bytes(&file.data)).unwrap_or(false)
        }
        FileRole::SavedMemory => file.data.len().is_ok_and(|len| len > 0),
        _ => false,
    }
}

/// A file as `vmconfig` reads it.
struct Bytes<'a>(&'a FrozenFile);

impl vmconfig::ReadAt for Bytes<'_> {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }
}
