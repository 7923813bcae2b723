//! Which rows belong to which configuration.
//!
//! A device's name begins with that of its configuration, and that is how a host with any number
//! of devices is joined without a call for each. It is how hosts name them, but nobody promises
//! it: a configuration to which no name leads is asked for by its association, so many and no
//! more. A configuration without any device does not exist; where none is found, that is said.

use std::collections::{HashMap, HashSet};

use cim::{CimError, CimSession, Instance, wsman::Associations};
use uuid::Uuid;

use super::checkpoint::SettingsKind;
use super::finding::{Finding, Notes};
use super::row::Row;
use super::settings::Rows;
use super::tables::{Part, Tables, part_of};
use crate::ids::{self, fold};

/// Configurations that are asked for one by one, at most.
const MOST_ASKED: usize = 64;

/// The rows of every configuration.
pub(super) struct Configurations<'a> {
    by_id: HashMap<Uuid, Rows<'a>>,
    /// By the name of the configuration, in lower case.
    asked: HashMap<String, Vec<(Part, Instance)>>,
}

impl<'a> Configurations<'a> {
    pub(super) fn of(
        session: &dyn CimSession,
        tables: &'a Tables,
        notes: &mut Notes,
    ) -> Result<Self, CimError> {
        let mut found = Self {
            by_id: HashMap::new(),
            asked: HashMap::new(),
        };
        let wanted: Vec<Row<'_>> = tables.settings.iter().map(Row).collect();
        let known: HashSet<Uuid> = wanted
            .iter()
            .filter_map(|row| ids::configuration(&row.id()))
            .collect();
        let mut seen: HashMap<(usize, String), &Instance> = HashMap::new();
        for (table, (part, rows)) in tables.parts.iter().enumerate() {
            for row in rows {
                let Some(id) = Row(row).text("InstanceID", notes) else {
                    Row(row).note("it has no name".to_owned(), notes);
                    continue;
                };
                let owner = ids::configuration(&id);
                let Some(owner) = owner.filter(|owner| known.contains(owner)) else {
                    stray(*part, Row(row), owner, notes);
                    continue;
                };
                match seen.insert((table, fold(&id)), row) {
                    None => found.by_id.entry(owner).or_default().push((*part, row)),
                    Some(first) if first == row => {}
                    Some(_) => Row(row).note("it is told twice, and differs".to_owned(), notes),
                }
            }
        }
        for (row, kind) in found.settings(tables) {
            let id = ids::configuration(&row.id());
            let empty = id.is_none_or(|id| !found.by_id.contains_key(&id));
            let matters = !matches!(kind, SettingsKind::Other | SettingsKind::PlannedMachine);
            if empty && matters && found.asked.len() < MOST_ASKED && !row.id().is_empty() {
                let rows = associated(session, &row.id(), notes)?;
                if !rows.is_empty() {
                    notes.push(Finding::AskedForDevices { settings: row.id() });
                }
                found.asked.insert(fold(&row.id()), rows);
            }
        }
        Ok(found)
    }

    /// Each configuration once, with what it is.
    pub(super) fn settings<'t>(
        &self,
        tables: &'t Tables,
    ) -> impl Iterator<Item = (Row<'t>, SettingsKind)> + use<'t> {
        let mut seen = HashSet::new();
        tables.settings.iter().map(Row).filter_map(move |row| {
            let id = row.id();
            let new = id.is_empty() || seen.insert(fold(&id));
            let told = row.text("VirtualSystemType", &mut Notes::default());
            new.then(|| (row, SettingsKind::of(told.as_deref().unwrap_or_default())))
        })
    }

    /// The rows of a configuration; that there are none is noted.
    pub(super) fn rows(&self, settings: Row<'_>, notes: &mut Notes) -> Rows<'_> {
        let id = settings.id();
        let named = ids::configuration(&id).and_then(|id| self.by_id.get(&id));
        if let Some(rows) = named {
            return rows.clone();
        }
        let asked = self.asked.get(&fold(&id)).into_iter().flatten();
        let rows: Rows<'_> = asked.map(|(part, row)| (*part, row)).collect();
        if rows.is_empty() {
            notes.push(Finding::NoDevices { settings: id });
        }
        rows
    }
}

/// Settings of switches and resource pools belong to no VM, and that is well. A disk that belongs
/// to none is worth a word.
fn stray(part: Part, row: Row<'_>, owner: Option<Uuid>, notes: &mut Notes) {
    if part != Part::Storage || owner.is_none() {
        return;
    }
    let paths: Vec<String> = row.list("HostResource", &mut Notes::default());
    if let Some(path) = paths.into_iter().find(|path| !path.trim().is_empty()) {
        notes.push(Finding::StrayDisk {
            disk: row.id(),
            path,
        });
    }
}

fn associated(
    session: &dyn CimSession,
    instance_id: &str,
    notes: &mut Notes,
) -> Result<Vec<(Part, Instance)>, CimError> {
    let path = ids::settings_path(instance_id);
    let which = Associations::of(&path).by("Msvm_VirtualSystemSettingDataComponent");
    let found = match session.associators(&which) {
        Ok(found) => found,
        // It may have gone meanwhile; a host that does not answer is another matter.
        Err(error) if error.fault_kind().is_some() => {
            let (what, why) = (format!("the devices of {instance_id}"), error.to_string());
            notes.push(Finding::NotTold { what, why });
            Vec::new()
        }
        Err(error) => return Err(error),
    };
    let found = found.into_iter();
    Ok(found
        .filter_map(|row| Some((part_of(&row.class)?, row)))
        .collect())
}
