//! What the host knows of the guest: its system, and whether the services in it answer.

use std::collections::HashMap;

use cim::Instance;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::finding::Notes;
use super::row::Row;
use super::state::Contact;
use super::tables::Tables;
use crate::ids;

/// What the host knows of a guest. Nothing of it is known of a VM that has not run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// The system's name, as the guest tells it.
    pub os: Option<String>,
    /// The system's version.
    pub version: Option<String>,
    /// Whether it is a Windows.
    pub family: Family,
    /// Whether the guest is alive.
    pub heartbeat: Option<Contact>,
    /// Whether the service in it answers that makes a guest settle for a backup.
    pub backup_service: Option<Contact>,
    /// Paths of those disks that are dynamic disks of the guest. No host tells of them: whoever has
    /// seen their partition tables, in a backup, notes them here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dynamic_disks: Vec<String>,
}

/// Which kind of system a guest is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Windows: applications can take part in a backup.
    Windows,
    /// Another one: file systems can be frozen.
    Other,
    /// Not told.
    #[default]
    Unknown,
}

/// `OSPlatformId` of every Windows since NT.
const WINDOWS_NT: &str = "2";

/// What is known of each guest.
pub(super) fn guests(tables: &Tables, notes: &mut Notes) -> HashMap<Uuid, Guest> {
    let mut found: HashMap<Uuid, Guest> = HashMap::new();
    for row in &tables.vss {
        if let Some((guest, contact)) = service(row, &mut found, notes) {
            guest.backup_service = contact;
        }
    }
    for row in &tables.heartbeats {
        if let Some((guest, contact)) = service(row, &mut found, notes) {
            guest.heartbeat = contact;
        }
    }
    for row in &tables.guests {
        if let Some((guest, _)) = service(row, &mut found, notes) {
            items(Row(row), guest, notes);
        }
    }
    found
}

/// The guest of a device in it, and how it answers.
fn service<'a>(
    row: &Instance,
    guests: &'a mut HashMap<Uuid, Guest>,
    notes: &mut Notes,
) -> Option<(&'a mut Guest, Option<Contact>)> {
    let row = Row(row);
    // The device's name begins with its VM's, as a key should tell as well.
    let owner = row.text("SystemName", notes).as_deref().and_then(ids::guid);
    let device = || ids::configuration(&row.text("DeviceID", &mut Notes::default())?);
    let owner = owner.or_else(device)?;
    let status: Vec<u16> = row.list("OperationalStatus", notes);
    let contact = status.first().copied().map(Contact::from_number);
    Some((guests.entry(owner).or_default(), contact))
}

fn items(row: Row<'_>, guest: &mut Guest, notes: &mut Notes) {
    let items: Vec<Instance> = row.list("GuestIntrinsicExchangeItems", notes);
    let mut told = HashMap::new();
    for item in &items {
        let item = Row(item);
        if let (Some(name), Some(data)) = (item.text("Name", notes), item.text("Data", notes)) {
            told.insert(name, data);
        }
    }
    guest.os = told.remove("OSName");
    guest.version = told.remove("OSVersion");
    guest.family = match told.get("OSPlatformId").map(|id| id.trim()) {
        Some(WINDOWS_NT) => Family::Windows,
        _ if guest.os.is_some() => Family::Other,
        _ => Family::Unknown,
    };
}
