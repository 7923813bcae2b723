//! Taking a restore back, or agreeing to it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::applied::Undo;
use super::aside::{bring_back, is_whole, remove_aside};
use super::error::ImportError;
use super::power::stop;
use super::replace::Replacing;
use super::steps::undone;
use super::take_off::{home, same_folder, take_off};
use crate::control::Control;

/// What came of taking a restore back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// The VM that was taken off the host; its files are there still.
    pub removed: Uuid,
    /// The folder of the configuration of the VM that it had replaced, which is back.
    pub back: Option<String>,
}

/// Looks whether the VM is the one that was restored.
fn is_restored(control: &Control, undo: &Undo) -> Result<(), ImportError> {
    let vm = undo.vm;
    match home(control.session(), vm)? {
        Some(own) if same_folder(&own, &undo.folder) => Ok(()),
        Some(folder) => Err(ImportError::AnotherVm { vm, folder }),
        None => Err(ImportError::Lacks(format!("VM {vm}"))),
    }
}

/// Takes the VM that was restored off its host, and brings back what it had replaced. It must be
/// off, unless `may_turn_off`. When what it had replaced cannot be brought back, it stays.
///
/// # Errors
/// When it is not the VM that was restored, it runs, or the host does not.
pub fn undo(
    control: &Arc<Control>,
    undo: &Undo,
    may_turn_off: bool,
) -> Result<Undone, ImportError> {
    let vm = undo.vm;
    is_restored(control, undo)?;
    let Some(old) = &undo.aside else {
        if may_turn_off {
            stop(control, vm, vm)?;
        }
        take_off(control, vm, vm, &undo.folder)?;
        return Ok(Undone {
            removed: vm,
            back: None,
        });
    };
    if !is_whole(control.session(), old)? {
        return Err(ImportError::NotAside(old.configuration.clone()));
    }
    let mut replacing = Replacing::new(control, vm);
    let swapped = (|| {
        if may_turn_off {
            replacing.stop()?;
        }
        replacing.put_aside(&undone(&undo.folder))?;
        replacing.take_off((&undo.folder, &old.folder))?;
        bring_back(control, old)
    })();
    match swapped {
        Ok(folder) => {
            if let Some(new) = replacing.done()
                && let Err(error) = remove_aside(control, &new)
            {
                control.note(error.to_string());
            }
            Ok(Undone {
                removed: vm,
                back: Some(folder),
            })
        }
        Err(error) => {
            let became = replacing.give_up();
            control.note(format!("the VM that was restored: {became}"));
            Err(error)
        }
    }
}

/// Removes what was put aside of the VM that a restore replaced: from then on it cannot be taken
/// back. Its disks stay.
///
/// # Errors
/// When the VM that was restored is not there, or what was put aside cannot be removed.
pub fn confirm(control: &Arc<Control>, undo: &Undo) -> Result<(), ImportError> {
    is_restored(control, undo)?;
    match &undo.aside {
        Some(aside) => remove_aside(control, aside).map(drop),
        None => Ok(()),
    }
}
