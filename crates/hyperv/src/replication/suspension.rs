//! Suspending a replication for a moment, and letting it go on whatever happens.
//!
//! A replication that stays suspended is a copy that nobody has any more when it is needed. So
//! that it was suspended is in the journal before it is, and what the journal tells is resumed: by
//! [`Suspension::resume`], when it is dropped, or by recovery.
//!
//! It is ours if it was going on when we looked, just before the call was written down. Who
//! suspends it by hand between that look and our resuming finds it going on afterwards: the lesser
//! harm, and told.

use std::sync::Arc;

use cim::cimxml::Unwritable;
use cim::path::HYPER_V;
use cim::{CimError, Instance, PropertyError};
use uuid::Uuid;

use super::state::{relationships, rows};
use super::{REPLICATING, SUSPENDED};
use crate::checkpoint::still_here;
use crate::control::{Change, ChangeError, Control, NotDone};
use crate::ids::{self, fold};
use crate::inventory::{Relationship, ReplicationMode};
use crate::journal::{Call, Outcome};

const CLASS: &str = "Msvm_ReplicationRelationship";

/// A replication that we suspended, or may have.
#[must_use = "when it is dropped the replication goes on"]
pub struct Suspension {
    control: Arc<Control>,
    vm: Uuid,
    relationship: String,
    /// The number of a call of which nobody knows whether it was done.
    unknown: Option<u64>,
    held: bool,
}

/// How a replication is when it should be suspended.
pub enum Suspended {
    /// It was going on and is suspended now, by us.
    Ours(Suspension),
    /// Somebody else has suspended it, and it is left to them.
    Theirs,
}

/// A replication that could not be suspended, or resumed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuspendError {
    /// The host could not be asked.
    #[error(transparent)]
    Host(#[from] CimError),
    /// The call failed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// There is no replication of this VM.
    #[error("the host tells no replication of the VM")]
    NotReplicated,
    /// It is at something that must not be suspended, or the host does not tell.
    #[error("the replication {relationship} is in state {}, and only one that goes on is suspended", state.map_or("unknown".to_owned(), |state| state.to_string()))]
    NotGoingOn {
        /// The relationship.
        relationship: String,
        /// `ReplicationState`.
        state: Option<u16>,
    },
    /// It was told to go on, more than once, and does not.
    #[error("the replication {0} is suspended still, by us: the next run tries again")]
    Unchanged(String),
    /// The relationship could not be written as the method wants it.
    #[error("the relationship cannot be written: {0}")]
    Unwritable(String),
}

impl From<PropertyError> for SuspendError {
    fn from(error: PropertyError) -> Self {
        Self::Unwritable(error.to_string())
    }
}

impl From<Unwritable> for SuspendError {
    fn from(error: Unwritable) -> Self {
        Self::Unwritable(error.to_string())
    }
}

impl Suspension {
    /// Suspends the replication through which a VM gets or gives its changes.
    ///
    /// # Errors
    /// When it is not surely suspended and surely will not be.
    pub fn take(
        control: &Arc<Control>,
        (vm, mode): (Uuid, ReplicationMode),
    ) -> Result<Suspended, SuspendError> {
        let seen = rows(control.session(), vm)?;
        let (told, row) = chosen(seen, mode).ok_or(SuspendError::NotReplicated)?;
        let relationship = told.instance_id;
        match told.state {
            Some(REPLICATING) => {}
            Some(SUSPENDED) => return Ok(Suspended::Theirs),
            state => {
                return Err(SuspendError::NotGoingOn {
                    relationship,
                    state,
                });
            }
        }
        let mut suspension = Self {
            control: control.clone(),
            vm,
            relationship,
            unknown: None,
            held: false,
        };
        let call = Call::SuspendReplication {
            relationship: suspension.relationship.clone(),
        };
        match request(control, vm, (&row, SUSPENDED), call, true) {
            Ok(()) => suspension.held = true,
            // It may be done, or be done in a moment: it is looked for in the end.
            Err(SuspendError::Change(ChangeError::Unknown { number, .. })) => {
                suspension.unknown = number;
                suspension.held = true;
            }
            Err(error) => return Err(error),
        }
        Ok(Suspended::Ours(suspension))
    }

    /// The relationship.
    pub fn relationship(&self) -> &str {
        &self.relationship
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it does not: then it is in the journal, and the next run tries again.
    pub fn resume(mut self) -> Result<(), SuspendError> {
        // Tried once here and told; not again when it is dropped.
        self.held = false;
        self.go_on()
    }

    fn go_on(&self) -> Result<(), SuspendError> {
        let Some(number) = self.unknown else {
            return resume(&self.control, self.vm, &self.relationship).map(drop);
        };
        let state = state(&self.control, self.vm, &self.relationship)?;
        if state == Some(Some(SUSPENDED)) {
            self.control.settle(number, Outcome::Done { made: None });
            return resume(&self.control, self.vm, &self.relationship).map(drop);
        }
        // What is not done now may be done in a moment: the call stays open in the journal.
        Ok(())
    }
}

impl Drop for Suspension {
    fn drop(&mut self) {
        if self.held
            && let Err(error) = self.go_on()
        {
            self.control.note(format!(
                "the replication of the VM {} does not go on: {error}",
                self.vm
            ));
        }
    }
}

/// Lets a replication go on that we suspended, and tells whether it had to be told to.
///
/// # Errors
/// When it is suspended still, or that is not to be told.
pub fn resume(control: &Control, vm: Uuid, relationship: &str) -> Result<bool, SuspendError> {
    let call = Call::ResumeReplication {
        relationship: relationship.to_owned(),
    };
    let all = rows(control.session(), vm)?;
    let same = |told: &Relationship| fold(&told.instance_id) == fold(relationship);
    let found = all.into_iter().find(|(told, _)| same(told));
    let Some((_, row)) = found.filter(|(told, _)| told.state == Some(SUSPENDED)) else {
        still_here(control.session(), vm)?;
        // Somebody else has let it go on, or has ended it: it is not ours any more.
        control.seen_done(vm, call);
        return Ok(false);
    };
    // A call of which nobody knows may be made again: what goes on goes on once.
    let mut unknown = Vec::new();
    for _ in 0..3 {
        let tried = request(control, vm, (&row, REPLICATING), call.clone(), false);
        let state = state(control, vm, relationship)?;
        if state != Some(Some(SUSPENDED)) {
            if let Err(SuspendError::Change(ChangeError::Unknown { number, .. })) = &tried {
                unknown.push(*number);
            }
            for number in unknown {
                control.settle(number, Outcome::Done { made: None });
            }
            if matches!(
                tried,
                Err(SuspendError::Change(ChangeError::NotDone { .. }))
            ) {
                control.seen_done(vm, call);
            }
            return Ok(true);
        }
        match tried {
            Err(SuspendError::Change(ChangeError::Unknown { number, .. })) => unknown.push(number),
            Err(error) => return Err(error),
            Ok(()) => {}
        }
    }
    Err(SuspendError::Unchanged(relationship.to_owned()))
}

/// The state of a relationship, if there is one.
fn state(control: &Control, vm: Uuid, relationship: &str) -> Result<Option<Option<u16>>, CimError> {
    let all = relationships(control.session(), vm)?;
    let same = |told: &Relationship| fold(&told.instance_id) == fold(relationship);
    Ok(all.into_iter().find(same).map(|told| told.state))
}

/// The relationship through which the VM gets or gives its changes: the second one is that of a
/// copy that is copied on.
fn chosen(
    mut all: Vec<(Relationship, Instance)>,
    mode: ReplicationMode,
) -> Option<(Relationship, Instance)> {
    let ending = match mode {
        ReplicationMode::ExtendedReplica => "\\1",
        _ => "\\0",
    };
    let named = all
        .iter()
        .position(|(told, _)| told.instance_id.ends_with(ending));
    match (named, all.len()) {
        (Some(at), _) => Some(all.swap_remove(at)),
        (None, 1) => all.pop(),
        (None, _) => None,
    }
}

fn request(
    control: &Control,
    vm: Uuid,
    (row, state): (&Instance, u16),
    call: Call,
    cancellable: bool,
) -> Result<(), SuspendError> {
    let class = control.session().class(HYPER_V, CLASS)?;
    let mut inputs = Instance::default();
    inputs.set_embedded("ReplicationRelationship", &class.conform(row.clone())?)?;
    inputs.set("RequestedState", state);
    let change = Change {
        call,
        target: &ids::machine_path(vm),
        method: "RequestReplicationStateChangeEx",
        inputs: &inputs,
        cancellable,
    };
    // What the host says is not taken for what it did.
    let relationship: String = row.get("InstanceID")?;
    let look = |suspended: bool| {
        let now = self::state(control, vm, &relationship).map_err(|error| error.to_string())?;
        if now.is_none() {
            // It may have gone to another node, with its VM.
            still_here(control.session(), vm).map_err(|error| error.to_string())?;
        }
        match (now.flatten() == Some(SUSPENDED)) == suspended {
            true => Ok(()),
            false => Err(format!("the replication is in state {now:?} after it")),
        }
    };
    let suspends = state == SUSPENDED;
    // Jobs are known to say that they failed, or were ended, and to have done it. What is suspended
    // then is ours to resume; taken for not done it would stay so.
    let undone = |why: &NotDone| match why {
        NotDone::Failed(_) | NotDone::Cancelled(_) => look(!suspends),
        // It never began.
        NotDone::Refused(_) | NotDone::NotCalled(_) => Ok(()),
    };
    control.change_looking(vm, &change, &|_| look(suspends).map(|()| None), &undone)?;
    Ok(())
}
