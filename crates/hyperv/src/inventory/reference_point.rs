//! Reference points: moments of a VM since which its host can tell what changed.

use std::collections::HashMap;

use cim::Instance;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::finding::{Finding, Notes};
use super::row::Row;
use crate::ids;

/// A reference point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferencePoint {
    /// The host's name for it.
    pub instance_id: String,
    /// The VM.
    pub vm: Uuid,
    /// What it is (`ReferencePointType` of the object): 1 for Hyper-V Replica's log, 2 for change
    /// tracking.
    pub kind: Option<u16>,
    /// How consistent the disks were: 1 application, 2 crash.
    pub consistency: Option<u16>,
    /// The tracked disks; `None` when the host's two lists do not fit together.
    pub disks: Option<Vec<TrackedDisk>>,
}

/// A disk of a reference point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedDisk {
    /// The host's name for the disk's place.
    pub instance_id: String,
    /// The id of change tracking, by which changes are asked for.
    pub tracking_id: String,
}

impl ReferencePoint {
    /// Reads a reference point; `None` when it does not tell its name or its VM.
    pub(crate) fn read(row: &Instance, notes: &mut Notes) -> Option<Self> {
        let row = Row(row);
        let instance_id = row.id();
        let vm = row.parsed("VirtualSystemIdentifier", ids::guid, notes);
        let (false, Some(vm)) = (instance_id.is_empty(), vm) else {
            row.note("it does not tell its name and its VM".to_owned(), notes);
            return None;
        };
        let disks: Vec<String> = row.list("VirtualDiskIdentifiers", notes);
        let tracking: Vec<String> = row.list("ResilientChangeTrackingIdentifiers", notes);
        let even = disks.len() == tracking.len();
        if !even {
            let reference_point = instance_id.clone();
            notes.push(Finding::UnevenReferencePoint { reference_point });
        }
        let pairs = disks.into_iter().zip(tracking);
        let disks = pairs.map(|(instance_id, tracking_id)| TrackedDisk {
            instance_id,
            tracking_id,
        });
        Some(Self {
            instance_id,
            vm,
            kind: row.opt("ReferencePointType", notes),
            consistency: row.opt("ConsistencyLevel", notes),
            disks: even.then(|| disks.collect()),
        })
    }

    /// The tracking id of the disk at a place, named as in any configuration of the VM.
    ///
    /// An empty id tells that the disk is not tracked.
    pub fn tracking_of(&self, disk: &str) -> Option<&str> {
        let place = ids::place(disk)?;
        let same = |t: &&TrackedDisk| ids::place(&t.instance_id).as_deref() == Some(&place);
        let mut found = self.disks.as_deref()?.iter().filter(same);
        let one = found.next().filter(|t| !t.tracking_id.trim().is_empty())?;
        // Of two at one place nobody knows which.
        found.next().is_none().then_some(one.tracking_id.as_str())
    }
}

/// Reference points by VM, in the order of their names.
pub(super) fn by_vm(rows: &[Instance], notes: &mut Notes) -> HashMap<Uuid, Vec<ReferencePoint>> {
    let mut found: HashMap<Uuid, Vec<ReferencePoint>> = HashMap::new();
    for point in rows
        .iter()
        .filter_map(|row| ReferencePoint::read(row, notes))
    {
        found.entry(point.vm).or_default().push(point);
    }
    for all in found.values_mut() {
        all.sort_by(|a, b| a.instance_id.cmp(&b.instance_id));
    }
    found
}
