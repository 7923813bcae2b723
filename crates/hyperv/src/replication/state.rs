//! How a VM's replication is just now, and waiting until it is calm.

use std::time::Duration;

use cim::job::JobSnapshot;
use cim::wsman::Associations;
use cim::{CimError, CimSession, Instance};
use uuid::Uuid;

use crate::checkpoint::machine;
use crate::control::Control;
use crate::ids;
use crate::inventory::{Operation, Relationship};

/// Between two looks.
const WAIT: Duration = Duration::from_secs(5);

/// Whether a checkpoint can be taken without getting in the replication's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Calm {
    /// It can.
    Yes,
    /// The host is at work on the VM.
    AtWork {
        /// What it says that it does, if it says so.
        operation: Option<Operation>,
        /// `JobType` of what goes on.
        jobs: Vec<u16>,
    },
    /// A replication is at something that takes longer, and has this `ReplicationState`.
    Busy(u16),
}

impl Calm {
    /// Looks at a VM.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub fn look(session: &dyn CimSession, vm: Uuid) -> Result<Self, CimError> {
        let seen = machine(session, vm)?;
        let jobs = jobs(session, vm)?;
        if seen.operation.is_some() || !jobs.is_empty() {
            let operation = seen.operation;
            return Ok(Self::AtWork { operation, jobs });
        }
        let all = relationships(session, vm)?;
        let mut busy = all.iter().filter(|one| one.is_busy());
        let state = busy.find_map(|one| one.state);
        Ok(state.map_or(Self::Yes, Self::Busy))
    }

    /// Looks until it is calm or the time is over, and gives what was seen last. Between the look
    /// and a checkpoint the next delta may arrive: this makes a conflict rare, not impossible.
    ///
    /// # Errors
    /// When the host cannot be asked at last.
    pub fn wait(control: &Control, vm: Uuid, most: Duration) -> Result<Self, CimError> {
        let pace = control.pace();
        let begun = pace.now();
        loop {
            let seen = Self::look(control.session(), vm);
            let late = pace.now().saturating_sub(begun) >= most || pace.cancelled();
            let again = match &seen {
                Ok(seen) => *seen != Self::Yes,
                Err(error) => error.is_transient(),
            };
            if late || !again {
                return seen;
            }
            pace.sleep(WAIT);
        }
    }
}

/// `JobType` of the jobs that go on with a VM, 0 where the host tells none.
///
/// # Errors
/// When the host cannot be asked.
pub(crate) fn jobs(session: &dyn CimSession, vm: Uuid) -> Result<Vec<u16>, CimError> {
    let which = Associations::of(&ids::machine_path(vm))
        .by("Msvm_AffectedJobElement")
        .to("Msvm_ConcreteJob");
    let rows = session.associators(&which)?;
    let goes_on = |row: &Instance| {
        let job = JobSnapshot::read(row).ok()?;
        (!job.state.is_end()).then(|| job.job_type.unwrap_or(0))
    };
    Ok(rows.iter().filter_map(goes_on).collect())
}

/// A VM's relationships with the objects that the host has of them, in the order of their names.
pub(crate) fn rows(
    session: &dyn CimSession,
    vm: Uuid,
) -> Result<Vec<(Relationship, Instance)>, CimError> {
    let which = Associations::of(&ids::machine_path(vm))
        .by("Msvm_SystemReplicationRelationship")
        .to("Msvm_ReplicationRelationship");
    let rows = session.associators(&which)?;
    let read = |row: Instance| {
        let number = |name| row.get_opt::<u16>(name).ok().flatten();
        let told = Relationship {
            instance_id: row.get_opt("InstanceID").ok().flatten()?,
            state: number("ReplicationState"),
            health: number("ReplicationHealth"),
        };
        Some((told, row))
    };
    let mut found: Vec<_> = rows.into_iter().filter_map(read).collect();
    found.sort_by(|(a, _), (b, _)| a.instance_id.cmp(&b.instance_id));
    Ok(found)
}

/// A VM's relationships just now, in the order of their names.
///
/// # Errors
/// When the host cannot be asked.
pub fn relationships(session: &dyn CimSession, vm: Uuid) -> Result<Vec<Relationship>, CimError> {
    let rows = rows(session, vm)?;
    Ok(rows.into_iter().map(|(told, _)| told).collect())
}
