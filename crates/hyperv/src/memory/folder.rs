//! The folder of an export, as the host itself sees it.
//!
//! Files of a host are only read through [`HostFiles`](crate::files::HostFiles); this one folder is
//! removed by the host, which is asked for it like for everything else.

use cim::{CimError, CimSession, Instance, ObjectPath};
use uuid::Uuid;

use super::ExportError;
use crate::control::{Change, ChangeError, Control, NotDone};
use crate::journal::{Call, Outcome};

/// `DeleteEx`: a file in it is in use.
const SHARING: u32 = 15;

fn path(folder: &str) -> ObjectPath {
    ObjectPath::new("root/cimv2", "Win32_Directory").with_key("Name", folder)
}

/// Whether a folder is there.
///
/// # Errors
/// When the host cannot be asked.
pub(crate) fn is_there(session: &dyn CimSession, folder: &str) -> Result<bool, CimError> {
    match session.get(&path(folder)) {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Removes the folder of an export that is surely ours, with all that is in it, and looks whether
/// it is gone. Files that somebody has open, such as a virus scanner, are waited for.
///
/// # Errors
/// When it is still there, or that is not to be told.
pub fn remove_export(control: &Control, vm: Uuid, folder: &str) -> Result<(), ExportError> {
    let session = control.session();
    let call = Call::RemoveExport {
        folder: folder.to_owned(),
    };
    if !is_there(session, folder)? {
        control.seen_done(vm, call);
        return Ok(());
    }
    let inputs = Instance::default().with("Recursive", true);
    let mut tries = control.tries();
    loop {
        let change = Change {
            call: call.clone(),
            target: &path(folder),
            method: "DeleteEx",
            inputs: &inputs,
            cancellable: false,
        };
        let tried = control.change(vm, &change, &|_| Ok(None));
        if !is_there(session, folder)? {
            match tried {
                Err(ChangeError::Unknown { number, .. }) => {
                    control.settle(number, Outcome::Done { made: None });
                }
                Err(_) => control.seen_done(vm, call),
                Ok(_) => {}
            }
            return Ok(());
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
                return Err(ExportError::StillThere(folder.to_owned()));
            }
        }
    }
}
