//! One configuration alone, as a backup needs it of the checkpoint that it has taken.

use cim::wsman::Associations;
use cim::{CimError, CimSession};
use vmconfig::model::Kind;

use super::checkpoint::{Parent, SettingsKind};
use super::finding::{Finding, Notes};
use super::row::Row;
use super::settings::{self, Rows, Settings};
use super::tables::part_of;
use crate::ids;

/// One configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configuration {
    /// What it says.
    pub settings: Settings,
    /// The checkpoint that it was made after. Whether that one is there is not looked at.
    pub parent: Parent,
    /// What was odd about the host's answers.
    pub findings: Vec<Finding>,
}

/// Reads one configuration by the host's name for it, in two calls. Names of switches are those
/// that were last known.
///
/// # Errors
/// When the host cannot be asked, or does not know it.
pub fn configuration(
    session: &dyn CimSession,
    instance_id: &str,
) -> Result<Configuration, CimError> {
    let path = ids::settings_path(instance_id);
    let row = session.get(&path)?;
    let which = Associations::of(&path).by("Msvm_VirtualSystemSettingDataComponent");
    let devices = session.associators(&which)?;
    let rows: Rows<'_> = devices
        .iter()
        .filter_map(|row| Some((part_of(&row.class)?, row)))
        .collect();
    let mut notes = Notes::default();
    let row = Row(&row);
    if rows.is_empty() {
        notes.push(Finding::NoDevices {
            settings: instance_id.to_owned(),
        });
    }
    let kind = row
        .text("VirtualSystemType", &mut notes)
        .unwrap_or_default();
    let kind = match SettingsKind::of(&kind) {
        SettingsKind::Machine | SettingsKind::PlannedMachine => Kind::Machine,
        SettingsKind::Checkpoint(_) | SettingsKind::Other => Kind::Checkpoint,
    };
    let settings = settings::read(row, kind, &rows, &[], &mut notes);
    let parent = match row.text("Parent", &mut notes) {
        None => Parent::None,
        Some(path) => {
            let id = ids::path_key(&path);
            let id = id.as_deref().and_then(ids::configuration);
            id.map_or(Parent::Unknown, Parent::Of)
        }
    };
    Ok(Configuration {
        settings,
        parent,
        findings: notes.into_findings(),
    })
}
