//! Taking a restore back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::applied::Undo;
use super::planned::ImportError;
use super::power::turn_off;
use super::take_off::{home, same_folder, take_off};
use crate::control::Control;

/// What came of taking a restore back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// The VM that was taken off the host; its files are there still.
    pub removed: Uuid,
}

/// Takes the VM that was restored off its host. It must be off, unless `may_turn_off`.
///
/// # Errors
/// When it is not the VM that was restored, it runs, or the host does not.
pub fn undo(
    control: &Arc<Control>,
    undo: &Undo,
    may_turn_off: bool,
) -> Result<Undone, ImportError> {
    let vm = undo.vm;
    match home(control.session(), vm)? {
        Some(own) if same_folder(&own, &undo.folder) => {}
        Some(folder) => return Err(ImportError::AnotherVm { vm, folder }),
        None => return Err(ImportError::Lacks(format!("VM {vm}"))),
    }
    if may_turn_off {
        turn_off(control, vm, vm)?;
    }
    take_off(control, vm, vm, &undo.folder)?;
    Ok(Undone { removed: vm })
}
