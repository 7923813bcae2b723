//! A VM's configuration, put aside before the VM is taken off its host.
//!
//! `DestroySystem` takes the configuration with it. It is exported before, without disks, to a
//! folder of ours, and looked for there: nothing is taken off a host whose configuration is not seen
//! to be aside. From there the VM is imported again, with its own id.
//!
//! UNVERIFIED: that a configuration that was exported without disks names the disks where they are;
//! that checkpoints' disks are not merged when their VM is destroyed after such an export.

use std::sync::Arc;

use cim::path::HYPER_V;
use cim::wsman::Associations;
use cim::{CimError, CimSession, Instance, ObjectPath};
use uuid::Uuid;

use super::applied::Aside;
use super::error::ImportError;
use super::planned::{Definition, PlannedVm, service};
use super::seen::Seen;
use super::take_off::home;
use crate::checkpoint::checkpoints;
use crate::control::{Change, ChangeError, Control};
use crate::ids::{self, fold};
use crate::journal::{Call, Export};
use crate::memory::{is_there, remove_export};

const EXPORT: &str = "Msvm_VirtualSystemExportSettingData";
/// The ending of configurations since 2016.
const ENDING: &str = "vmcx";

impl Aside {
    /// Its folder, as the journal names it.
    pub(crate) fn export(&self) -> Export {
        Export {
            folder: self.folder.clone(),
            node: self.node.clone(),
        }
    }
}

/// Exports a VM without its disks, and looks whether its configuration is there.
///
/// # Errors
/// When it is not. What was written of it is the next run's to remove.
pub(super) fn put_aside(control: &Control, vm: Uuid, folder: &str) -> Result<Aside, ImportError> {
    let session = control.session();
    let (service, aside) = whither(session, vm, folder)?;
    is_free(session, &aside)?;
    let inputs = wish(session, vm, folder)?;
    let change = Change {
        call: Call::PutAside {
            aside: aside.clone(),
        },
        target: &service,
        method: "ExportSystemDefinition",
        inputs: &inputs,
        cancellable: true,
    };
    match control.change(vm, &change, &|_| Ok(None)) {
        Ok(_) => {}
        Err(error @ ChangeError::NotDone { .. }) => {
            remove_aside(control, &aside)?;
            return Err(error.into());
        }
        // It may go on: what is removed beside it is not gone. The journal keeps it.
        Err(error) => return Err(error.into()),
    }
    match is_whole(session, &aside) {
        Ok(true) => Ok(aside),
        Ok(false) => {
            remove_aside(control, &aside)?;
            Err(ImportError::NotAside(aside.configuration))
        }
        Err(error) => {
            remove_aside(control, &aside)?;
            Err(error)
        }
    }
}

/// Looks whether a VM can be put aside in a folder: nothing is there yet.
///
/// # Errors
/// When something is, or the host does not tell.
pub(super) fn may_put_aside(control: &Control, vm: Uuid, folder: &str) -> Result<(), ImportError> {
    let session = control.session();
    let (_, aside) = whither(session, vm, folder)?;
    is_free(session, &aside)
}

/// Who is asked for it, and what it will be.
fn whither(
    session: &dyn CimSession,
    vm: Uuid,
    folder: &str,
) -> Result<(ObjectPath, Aside), ImportError> {
    let service = service(session)?;
    let host = service.key("SystemName");
    let service = ObjectPath { host, ..service };
    let shared = fold(folder).split('\\').nth(1) == Some("clusterstorage");
    let aside = Aside {
        vm,
        configuration: format!("{folder}\\Virtual Machines\\{}.{ENDING}", ids::upper(vm)),
        snapshots: (!checkpoints(session, vm)?.is_empty()).then(|| format!("{folder}\\Snapshots")),
        folder: folder.to_owned(),
        node: service.host.clone().filter(|_| !shared),
    };
    Ok((service, aside))
}

fn is_free(session: &dyn CimSession, aside: &Aside) -> Result<(), ImportError> {
    match is_there(session, &aside.export()).map_err(|error| no_export(&error))? {
        false => Ok(()),
        true => Err(ImportError::NotPossible(format!(
            "{} is there already, and what is put aside has a folder of its own: restore to a folder of \
             another name, or see what is in it",
            aside.folder
        ))),
    }
}

/// Everything but disks: the configuration, checkpoints', saved memory.
fn wish(session: &dyn CimSession, vm: Uuid, folder: &str) -> Result<Instance, ImportError> {
    let unwritable = |error: &dyn ToString| ImportError::Unwritable(error.to_string());
    let which = Associations::of(&ids::machine_path(vm))
        .by("Msvm_SystemExportSettingData")
        .to(EXPORT);
    let template = session.associators(&which)?.into_iter().next();
    let template = template.ok_or_else(|| ImportError::Lacks(EXPORT.to_owned()))?;
    let class = session.class(HYPER_V, EXPORT)?;
    let settings = class.conform(template);
    let mut settings = settings.map_err(|error| unwritable(&error))?;
    // All checkpoints: 0. Nothing of a VM that runs: 0; it does not.
    settings.set("CopySnapshotConfiguration", 0_u8);
    settings.set("CaptureLiveState", 0_u8);
    settings.set("CopyVmRuntimeInformation", true);
    settings.set("CopyVmStorage", false);
    settings.set("CreateVmExportSubdirectory", false);
    let mut inputs = Instance::default()
        .with("ComputerSystem", ids::machine_path(vm))
        .with("ExportDirectory", folder);
    inputs
        .set_embedded("ExportSettingData", &settings)
        .map_err(|error| unwritable(&error))?;
    Ok(inputs)
}

/// Whether the configuration is there, and is not empty.
pub(super) fn is_whole(session: &dyn CimSession, aside: &Aside) -> Result<bool, ImportError> {
    let size = size(session, aside.node.clone(), &aside.configuration)?;
    Ok(size.is_some_and(|size| size > 0))
}

/// The bytes of a file, by the host that has it; `None` if it is not there.
pub(super) fn size(
    session: &dyn CimSession,
    host: Option<String>,
    file: &str,
) -> Result<Option<u64>, CimError> {
    let path = ObjectPath::new("root/cimv2", "CIM_DataFile").with_key("Name", file);
    match session.get(&ObjectPath { host, ..path }) {
        // One that does not tell its size is there, and nothing is known to be in it.
        Ok(row) => Ok(Some(row.get_opt("FileSize").ok().flatten().unwrap_or(0))),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Brings a VM back that was put aside, and tells the folder of its configuration. One that is there
/// is left as it is.
///
/// # Errors
/// When it is not surely there.
pub(crate) fn bring_back(control: &Arc<Control>, aside: &Aside) -> Result<String, ImportError> {
    let vm = aside.vm;
    if let Some(folder) = home(control.session(), vm)? {
        return Ok(folder);
    }
    let from = Definition {
        file: aside.configuration.clone(),
        snapshots: aside.snapshots.clone(),
        new_id: false,
        folder: aside.folder.clone(),
    };
    let planned = PlannedVm::import(control, vm, &from)?;
    if planned.id() != Some(vm) {
        let found = planned.id().map(|id| id.to_string()).unwrap_or_default();
        return Err(ImportError::OtherId(found));
    }
    planned.realize()?;
    let lacks = || ImportError::Lacks(format!("VM {vm}"));
    home(control.session(), vm)?.ok_or_else(lacks)
}

/// Removes what was put aside, unless a VM lives there.
///
/// # Errors
/// When it is still there, or that is not to be told.
pub(crate) fn remove_aside(control: &Control, aside: &Aside) -> Result<bool, ImportError> {
    let vm = aside.vm;
    // Without the VM it is all that there is of it.
    if home(control.session(), vm)?.is_none() {
        return Err(ImportError::OnlyAside(aside.configuration.clone()));
    }
    let seen = Seen::look(control.session()).map_err(ImportError::from)?;
    if seen.lives_in(&ids::upper(vm), &aside.folder) {
        let export = aside.export();
        control.seen_done(
            vm,
            Call::RemoveExport {
                folder: export.folder,
                node: export.node,
            },
        );
        return Ok(false);
    }
    let removed = remove_export(control, vm, &aside.export());
    removed.map_err(|error| no_export(&error))
}

fn no_export(error: &dyn ToString) -> ImportError {
    ImportError::Aside(error.to_string())
}
