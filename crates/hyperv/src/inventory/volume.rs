//! The volumes of a host, and how full they are.

use cim::wsman::FaultKind;
use cim::{CimError, CimSession, Instance};
use serde::{Deserialize, Serialize};

use super::finding::Notes;
use super::row::Row;

/// Volumes of one host that are kept.
const MOST: usize = 4096;
/// The class, and where it is.
pub(super) const NAMESPACE: &str = "root/cimv2";
pub(super) const CLASS: &str = "Win32_Volume";

/// A volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Where it is mounted: `D:\`, or a folder such as `C:\ClusterStorage\Volume1\`.
    pub name: Option<String>,
    /// Its own name: `\\?\Volume{…}\`.
    pub device: Option<String>,
    /// Bytes that it has.
    pub capacity: Option<u64>,
    /// Bytes that are free.
    pub free: Option<u64>,
}

pub(super) fn read(rows: &[Instance], notes: &mut Notes) -> Vec<Volume> {
    let rows = rows.iter().map(Row).take(MOST);
    rows.map(|row| Volume {
        name: row.text("Name", notes),
        device: row.text("DeviceID", notes),
        capacity: row.opt("Capacity", notes),
        free: row.opt("FreeSpace", notes),
    })
    .collect()
}

/// The volumes as they are now; `None` when the host does not tell, as to accounts without rights
/// there.
///
/// # Errors
/// When the host cannot be asked.
pub fn volumes(session: &dyn CimSession) -> Result<Option<Vec<Volume>>, CimError> {
    match session.query(NAMESPACE, &format!("SELECT * FROM {CLASS}")) {
        Ok(rows) => Ok(Some(read(&rows, &mut Notes::default()))),
        Err(error) => match error.fault_kind() {
            Some(FaultKind::TimedOut | FaultKind::Unavailable | FaultKind::Quota) | None => {
                Err(error)
            }
            Some(_) => Ok(None),
        },
    }
}
