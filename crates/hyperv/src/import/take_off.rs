//! Taking a VM off its host.
//!
//! Nothing else in this crate destroys a VM. It is done to one that is off or saved, and whose
//! configuration lies in the folder that whoever asks for it knows: a VM of the same id that came
//! there otherwise is another one. Its disks stay.

use cim::wsman::Associations;
use cim::{CimSession, Instance};
use uuid::Uuid;

use super::error::ImportError;
use super::planned::{SETTINGS, service};
use crate::checkpoint::machine;
use crate::control::{Change, ChangeError, Control};
use crate::files::HostPath;
use crate::ids::{self, fold};
use crate::inventory::PowerState;
use crate::journal::{Call, Outcome};

/// The folder of a VM's configuration; `None` if there is no such VM.
pub(crate) fn home(session: &dyn CimSession, vm: Uuid) -> Result<Option<String>, ImportError> {
    if !is_there(session, vm)? {
        return Ok(None);
    }
    let which = Associations::of(&ids::machine_path(vm))
        .by("Msvm_SettingsDefineState")
        .to(SETTINGS);
    let found = session.associators(&which)?.into_iter().next();
    let root = found.and_then(|row| {
        row.get_opt::<String>("ConfigurationDataRoot")
            .ok()
            .flatten()
    });
    let lacks = || ImportError::Lacks(format!("folder for the configuration of the VM {vm}"));
    root.map(Some).ok_or_else(lacks)
}

fn is_there(session: &dyn CimSession, vm: Uuid) -> Result<bool, ImportError> {
    match session.get(&ids::machine_path(vm)) {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether two folders are one.
pub(crate) fn same_folder(one: &str, other: &str) -> bool {
    match (HostPath::parse(one), HostPath::parse(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => fold(one) == fold(other),
    }
}

/// Whether a folder is another one, or below it.
pub(super) fn is_within(path: &str, folder: &str) -> bool {
    match (HostPath::parse(path), HostPath::parse(folder)) {
        (Ok(path), Ok(folder)) => path.below(&folder).is_some(),
        _ => fold(path).starts_with(&fold(folder)),
    }
}

/// Takes a VM off the host, if its configuration is in that folder. `of` is the VM that the journal
/// tells of.
///
/// # Errors
/// When it is another VM, it runs, or it is still there.
pub(super) fn take_off(
    control: &Control,
    of: Uuid,
    vm: Uuid,
    folder: &str,
) -> Result<(), ImportError> {
    let session = control.session();
    match home(session, vm)? {
        Some(own) if same_folder(&own, folder) => {}
        Some(own) => return Err(ImportError::AnotherVm { vm, folder: own }),
        None => return Ok(()),
    }
    match machine(session, vm)?.state {
        PowerState::Off | PowerState::Saved => {}
        state => return Err(ImportError::OtherState(state)),
    }
    let inputs = Instance::default().with("AffectedSystem", ids::machine_path(vm));
    let change = Change {
        call: Call::DestroyMachine {
            machine: ids::upper(vm),
        },
        target: &service(session)?,
        method: "DestroySystem",
        inputs: &inputs,
        cancellable: false,
    };
    let tried = control.change(of, &change, &|_| Ok(None));
    if is_there(session, vm)? {
        tried?;
        return Err(ImportError::StillAVm(vm));
    }
    if let Err(ChangeError::Unknown { number, .. }) = tried {
        control.settle(number, Outcome::Done { made: None });
    }
    Ok(())
}
