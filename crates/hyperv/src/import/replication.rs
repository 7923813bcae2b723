//! The replication of a VM, ended for good before anything else of the VM is touched.
//!
//! A replication goes on from what a VM's disks were: what is restored under it would be copied on, or
//! written over. It cannot be set up again by this program, so it is ended only when somebody said so.
//! The other host keeps its copy, and its side of the replication, until somebody ends that there.
//!
//! A copy that is replicated on has two relationships, and the first cannot be ended before the second.

use std::time::Duration;

use cim::path::HYPER_V;
use cim::{Instance, ObjectPath};
use uuid::Uuid;

use super::error::ImportError;
use super::planned::only;
use super::rollback::is_replicated;
use crate::control::{Change, ChangeError, Control, NotDone};
use crate::ids::{self, fold};
use crate::inventory::{Relationship, ReplicationMode};
use crate::journal::Call;
use crate::replication::{Calm, rows};

const SERVICE: &str = "Msvm_ReplicationService";
const CLASS: &str = "Msvm_ReplicationRelationship";
/// *Not supported*: 2012 does not know which one is meant, and has one.
const NOT_SUPPORTED: u32 = 32770;
/// How long recovery points that go with it may be merged.
const MERGES: Duration = Duration::from_secs(1800);

/// Whether it can be ended by [`remove_replication`]: a copy that was made to try it is none of these.
pub fn can_be_removed(mode: ReplicationMode, relationships: &[Relationship]) -> bool {
    let known = matches!(
        mode,
        ReplicationMode::Primary | ReplicationMode::Replica | ReplicationMode::ExtendedReplica
    );
    known && !relationships.is_empty()
}

/// Ends every replication of a VM, and waits until the host is at rest. How many there were.
///
/// # Errors
/// When one of them is there still. What was ended by then is.
pub fn remove_replication(control: &Control, vm: Uuid) -> Result<usize, ImportError> {
    let mut all = rows(control.session(), vm)?;
    // The second before the first.
    all.sort_by(|(a, _), (b, _)| b.instance_id.cmp(&a.instance_id));
    let alone = all.len() == 1;
    for (told, row) in &all {
        end(control, vm, (&told.instance_id, row, alone))?;
    }
    // Recovery points go with it, and are merged.
    Calm::wait(control, vm, MERGES)?;
    match is_replicated(control, vm)? {
        false => Ok(all.len()),
        true => Err(ImportError::StillReplicated(vm)),
    }
}

fn end(
    control: &Control,
    vm: Uuid,
    (id, row, alone): (&str, &Instance, bool),
) -> Result<(), ImportError> {
    let session = control.session();
    let unwritable = |error: &dyn ToString| ImportError::Unwritable(error.to_string());
    let class = session.class(HYPER_V, CLASS)?;
    let row = class.conform(row.clone());
    let row = row.map_err(|error| unwritable(&error))?;
    let of = Instance::default().with("ComputerSystem", ids::machine_path(vm));
    let mut named = of.clone();
    named
        .set_embedded("ReplicationRelationship", &row)
        .map_err(|error| unwritable(&error))?;
    let service = only(session, SERVICE)?;
    let tried = call(
        control,
        vm,
        id,
        (&service, "RemoveReplicationRelationshipEx", &named),
    );
    match tried {
        Err(ChangeError::NotDone {
            why: NotDone::Refused(NOT_SUPPORTED),
            ..
        }) if alone => call(
            control,
            vm,
            id,
            (&service, "RemoveReplicationRelationship", &of),
        )?,
        tried => tried?,
    }
    Ok(())
}

fn call(
    control: &Control,
    vm: Uuid,
    id: &str,
    (target, method, inputs): (&ObjectPath, &str, &Instance),
) -> Result<(), ChangeError> {
    let change = Change {
        call: Call::RemoveReplication {
            relationship: id.to_owned(),
        },
        target,
        method,
        inputs,
        cancellable: false,
    };
    // What the host says is not taken for what it did.
    let look = |gone: bool| {
        let all = rows(control.session(), vm).map_err(|error| error.to_string())?;
        let is_there = all
            .iter()
            .any(|(told, _)| fold(&told.instance_id) == fold(id));
        match is_there != gone {
            true => Ok(()),
            false if is_there => Err("the replication is there still".to_owned()),
            false => Err("the replication is gone all the same".to_owned()),
        }
    };
    let undone = |why: &NotDone| match why {
        NotDone::Failed(_) | NotDone::Cancelled(_) => look(false),
        // It never began.
        NotDone::Refused(_) | NotDone::NotCalled(_) => Ok(()),
    };
    let tried = control.change_looking(vm, &change, &|_| look(true).map(|()| None), &undone);
    match tried {
        // That it failed, or got no answer, and is gone is all that was wanted.
        Err(ChangeError::Unknown { number, .. }) if look(true).is_ok() => {
            control.settle(number, crate::journal::Outcome::Done { made: None });
            Ok(())
        }
        tried => tried.map(drop),
    }
}
