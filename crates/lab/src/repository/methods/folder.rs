//! `Win32_Directory`: its codes are its own.

use cim::Instance;

use super::inputs::{needed, optional};
use super::{Called, done};
use crate::state::{Host, Refusal};

const UNSPECIFIED: Refusal = Refusal(8);
const NOT_EMPTY: Refusal = Refusal(14);

/// A folder goes with all that is in it if that was asked for, and otherwise only if it is empty.
pub(super) fn delete(host: &mut Host, folder: &Instance, inputs: &Instance) -> Called {
    host.advance();
    let name: String = needed(folder, "Name")?;
    let recursive = optional(inputs, "Recursive")?.unwrap_or(false);
    match host.files().remove_folder(&name, recursive) {
        Ok(true) => done(),
        Ok(false) => Err(NOT_EMPTY),
        Err(_) => Err(UNSPECIFIED),
    }
}
