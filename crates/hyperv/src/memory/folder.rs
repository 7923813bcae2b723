//! The folder of an export, as the host itself sees it.
//!
//! Files of a host are only read through [`HostFiles`](crate::files::HostFiles); this one folder is
//! removed by the host, which is asked for it like for everything else.

use cim::path::HYPER_V;
use cim::{CimError, CimSession, Instance, ObjectPath};
use uuid::Uuid;

use super::ExportError;
use crate::control::{Change, ChangeError, Control, NotDone};
use crate::journal::{Call, Export, Outcome};

/// `DeleteEx`: a file in it is in use.
const SHARING: u32 = 15;

/// A path that names its host is asked of that one, wherever the VM is by now.
fn path(export: &Export) -> ObjectPath {
    let path = ObjectPath::new("root/cimv2", "Win32_Directory");
    ObjectPath {
        host: export.node.clone(),
        ..path.with_key("Name", export.folder.as_str())
    }
}

/// Whether a folder is there.
///
/// # Errors
/// When the host that has it cannot be asked: another one knows nothing of it.
pub(crate) fn is_there(session: &dyn CimSession, export: &Export) -> Result<bool, ExportError> {
    match session.get(&path(export)) {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => match &export.node {
            Some(node) if !is_asked(session, node)? => Err(ExportError::Elsewhere {
                folder: export.folder.clone(),
                node: node.clone(),
            }),
            _ => Ok(false),
        },
        Err(error) => Err(error.into()),
    }
}

/// Whether it is this host that answers when it is asked. Every host has its own name among its
/// computer systems, beside its VMs.
fn is_asked(session: &dyn CimSession, node: &str) -> Result<bool, CimError> {
    let class = "Msvm_ComputerSystem";
    let own = ObjectPath::new(HYPER_V, class)
        .with_key("CreationClassName", class)
        .with_key("Name", node);
    let host = Some(node.to_owned());
    match session.get(&ObjectPath { host, ..own }) {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes the folder of an export that is surely ours, with all that is in it, and looks whether
/// it is gone; whether there was anything to be removed. Files that somebody has open, such as a virus
/// scanner, are waited for.
///
/// # Errors
/// When it is still there, or that is not to be told.
pub fn remove_export(control: &Control, vm: Uuid, export: &Export) -> Result<bool, ExportError> {
    let session = control.session();
    let call = Call::RemoveExport {
        folder: export.folder.clone(),
        node: export.node.clone(),
    };
    if !is_there(session, export)? {
        control.seen_done(vm, call);
        return Ok(false);
    }
    let inputs = Instance::default().with("Recursive", true);
    let mut tries = control.tries();
    loop {
        let change = Change {
            call: call.clone(),
            target: &path(export),
            method: "DeleteEx",
            inputs: &inputs,
            cancellable: false,
        };
        let tried = control.change(vm, &change, &|_| Ok(None));
        if !is_there(session, export)? {
            match tried {
                Err(ChangeError::Unknown { number, .. }) => {
                    control.settle(number, Outcome::Done { made: None });
                }
                Err(_) => control.seen_done(vm, call),
                Ok(_) => {}
            }
            return Ok(true);
        }
        let in_use = matches!(
            tried,
            Err(ChangeError::NotDone {
                why: NotDone::Refused(SHARING),
                ..
            })
        );
        match tries.next(control.pace()).filter(|_| in_use) {
            Some(wait) => control.pace().sleep(wait),
            None => {
                tried?;
                // The host says that it has done it, and the journal believes that.
                control.seen_undone(vm, call);
                return Err(ExportError::StillThere(export.folder.clone()));
            }
        }
    }
}
