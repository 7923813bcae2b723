//! Taking a restore back, or agreeing to it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::applied::{Replaced, Undo};
use super::aside::{bring_back, is_whole, remove_aside};
use super::error::ImportError;
use super::power::stop;
use super::replace::Replacing;
use super::steps::undone;
use super::take_off::{home, same_folder, take_off};
use crate::checkpoint::machine;
use crate::control::Control;
use crate::inventory::PowerState;

/// What came of taking a restore back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// What there was of the VM that was restored.
    pub found: Found,
    /// The folder of the configuration of the VM that it had replaced, which is back.
    pub back: Option<String>,
    /// The state that this one is in now, where the host tells.
    pub state: Option<PowerState>,
}

/// What there was of a VM that was restored and is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// It was taken off the host; its files are there still.
    Restored,
    /// What it had replaced was back already, as after a run that was killed.
    Back,
    /// It was not on the host.
    Gone,
}

/// What may be done to take a restore back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MayUndo {
    /// The VM that was restored may be turned off.
    pub turn_off: bool,
    /// What it had replaced may come back though it is not on this host. It may live on another one: two
    /// VMs with one id would then have the same addresses, and of a cluster the same disks.
    pub gone: bool,
}

/// A restore that was not taken back.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct NotUndone {
    /// Why.
    #[source]
    pub problem: ImportError,
    /// The folder that the VM that was restored has its configuration in now, if it was taken off the host
    /// and came back.
    pub folder: Option<String>,
}

impl<E: Into<ImportError>> From<E> for NotUndone {
    fn from(error: E) -> Self {
        Self {
            problem: error.into(),
            folder: None,
        }
    }
}

/// The folder of the VM that was restored: the plan's, or that in which it was put aside when it should
/// have been taken back and that failed.
fn restored(control: &Control, undo: &Undo) -> Result<String, ImportError> {
    let vm = undo.vm;
    match home(control.session(), vm)? {
        Some(own) if same_folder(&own, &undo.folder) => Ok(own),
        Some(own) if same_folder(&own, &undone(&undo.folder)) => Ok(own),
        Some(folder) => match &undo.aside {
            Some(old) if same_folder(&folder, &old.folder) => Err(ImportError::IsBack(folder)),
            _ => Err(ImportError::AnotherVm { vm, folder }),
        },
        None => Err(ImportError::Lacks(format!("VM {vm}"))),
    }
}

/// The folder of what it had replaced, if that is back.
fn is_back(control: &Control, undo: &Undo) -> Result<Option<String>, ImportError> {
    let Some(old) = &undo.aside else {
        return Ok(None);
    };
    let own = home(control.session(), undo.vm)?;
    Ok(own.filter(|own| same_folder(own, &old.folder)))
}

/// Takes the VM that was restored off its host, and brings back what it had replaced. It must be
/// off, unless it may be turned off. When what it had replaced cannot be brought back, it stays.
///
/// # Errors
/// When it is not the VM that was restored, it runs, it is not there and that is not allowed, or the host
/// does not.
pub fn undo(control: &Arc<Control>, undo: &Undo, may: MayUndo) -> Result<Undone, NotUndone> {
    let vm = undo.vm;
    if let Some(back) = is_back(control, undo)? {
        return Ok(undone_of(control, vm, (Found::Back, Some(back))));
    }
    // Somebody has removed it, or taken it elsewhere.
    if let Some(old) = &undo.aside
        && home(control.session(), vm)?.is_none()
    {
        if !may.gone {
            return Err(ImportError::Elsewhere(vm).into());
        }
        if !is_whole(control.session(), old)? {
            return Err(ImportError::NotAside(old.configuration.clone()).into());
        }
        let folder = bring_back(control, old)?;
        return Ok(undone_of(control, vm, (Found::Gone, Some(folder))));
    }
    let own = restored(control, undo)?;
    let Some(old) = &undo.aside else {
        if may.turn_off {
            stop(control, vm, vm)?;
        }
        take_off(control, vm, vm, &own)?;
        return Ok(undone_of(control, vm, (Found::Restored, None)));
    };
    if !is_whole(control.session(), old)? {
        return Err(ImportError::NotAside(old.configuration.clone()).into());
    }
    let mut replacing = Replacing::new(control, vm, true);
    let swapped = (|| {
        if may.turn_off {
            replacing.stop()?;
        }
        replacing.put_aside(&undone(&own))?;
        replacing.take_off((&own, &old.folder))?;
        bring_back(control, old)
    })();
    match swapped {
        Ok(folder) => {
            if let Some(new) = replacing.done()
                && let Err(error) = remove_aside(control, &new)
            {
                control.note(error.to_string());
            }
            let what = (Found::Restored, Some(folder));
            Ok(undone_of(control, vm, what))
        }
        Err(problem) => {
            let became = replacing.give_up();
            control.note(format!("the VM that was restored: {became}"));
            let folder = match became {
                Replaced::Back { folder, .. } => Some(folder),
                Replaced::There { .. } | Replaced::Away { .. } => None,
            };
            Err(NotUndone { problem, folder })
        }
    }
}

/// With the state that what is back is seen to be in.
fn undone_of(control: &Control, vm: Uuid, (found, back): (Found, Option<String>)) -> Undone {
    let seen = back
        .as_ref()
        .and_then(|_| machine(control.session(), vm).ok());
    Undone {
        found,
        back,
        state: seen.map(|seen| seen.state),
    }
}

/// Removes what was put aside of the VM that a restore replaced: from then on it cannot be taken
/// back. Its disks stay.
///
/// # Errors
/// When the VM that was restored is not there, or what was put aside cannot be removed.
pub fn confirm(control: &Arc<Control>, undo: &Undo) -> Result<(), ImportError> {
    restored(control, undo)?;
    match &undo.aside {
        Some(aside) => remove_aside(control, aside).map(drop),
        None => Ok(()),
    }
}
