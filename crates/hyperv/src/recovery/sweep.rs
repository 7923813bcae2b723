//! What is there of recovery checkpoints that no journal tells of.
//!
//! A checkpoint that bears our name is ours even if its journal is lost. It is removed if nobody
//! can be at work with it: it is a day old by the host's own clock, and no run of this
//! installation is alive that made it. That goes for killed runs too whose journals are there:
//! those that tell of this host have been recovered by then, and others do not say which host they
//! are of, and may never be looked at again. Everything else is told, with whose it seems to be.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::checkpoint::{Mark, checkpoints, clock, destroy_checkpoint};
use crate::control::Control;
use crate::inventory::{CheckpointKind, Inventory};
use crate::journal::RunState;

use super::{KnownBy, Left, Removed};

/// How long a backup may take.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What there was of recovery checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swept {
    /// What was removed.
    pub removed: Vec<Removed>,
    /// What is there and was left alone.
    pub seen: Vec<Seen>,
    /// What should have been removed and could not be.
    pub left: Vec<Left>,
}

/// A recovery checkpoint that was left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The VM.
    pub vm: Uuid,
    /// The host's name for it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub whose: Whose,
    /// The run that made it, if that was one of ours, and what is known of that run.
    pub run: Option<(Uuid, RunState)>,
    /// How old it is by the host's clock, in seconds, if the host tells.
    pub age_s: Option<u64>,
}

/// Whose a recovery checkpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    /// This run's, or another run's of this installation that is alive or may be.
    Ours,
    /// Another installation's of this program.
    OtherInstallation,
    /// Another program's.
    Other,
}

impl Seen {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        let old = Duration::from_secs(self.age_s.unwrap_or(0)) >= DAY.unsigned_abs();
        match (self.whose, old) {
            (Whose::Ours, _) if matches!(self.run, Some((_, RunState::Dead))) => {
                "its run was killed, and its journal does not lead to it from here: the next run \
                 that reaches the host by the same name and writes to the same vault removes it at \
                 once, any other after a day"
            }
            (Whose::Ours, _) => "it is seen to when its run has ended, or after a day",
            (_, false) => "another backup seems to be at work: wait for it",
            (Whose::OtherInstallation, true) => {
                "run the other installation's backup, which removes it, or remove it on the host: \
                 Get-VMSnapshot -SnapshotType Recovery | Remove-VMSnapshot"
            }
            (Whose::Other, true) => {
                "no backup takes so long: if none is at work, remove it on the host: \
                 Get-VMSnapshot -SnapshotType Recovery | Remove-VMSnapshot"
            }
        }
    }
}

/// Removes what an earlier run of this installation has left and no journal tells of. To be called
/// when [`recover`](super::recover) has seen to the journals. `state` tells of a run whether it is
/// alive.
pub fn sweep(
    control: &Control,
    inventory: &Inventory,
    mark: &Mark,
    state: &dyn Fn(Uuid) -> RunState,
) -> Swept {
    let mut swept = Swept::default();
    let mut now: Option<Option<Timestamp>> = None;
    for machine in &inventory.machines {
        let recovery = machine.checkpoints.iter();
        for checkpoint in recovery.filter(|c| c.kind == CheckpointKind::Recovery) {
            let now = *now.get_or_insert_with(|| clock(control.session()).ok().flatten());
            let config = &checkpoint.settings.config;
            let age = config
                .created
                .zip(now)
                .map(|(then, now)| now.duration_since(then));
            let (whose, run) = match Mark::parse(&config.name) {
                Some(of) if of.installation == mark.installation => {
                    let state = match of.run == mark.run {
                        true => RunState::Alive,
                        false => state(of.run),
                    };
                    (Whose::Ours, Some((of.run, state)))
                }
                Some(_) => (Whose::OtherInstallation, None),
                None => (Whose::Other, None),
            };
            let seen = Seen {
                vm: machine.id,
                id: checkpoint.settings.instance_id.clone(),
                name: config.name.clone(),
                whose,
                run,
                age_s: age.and_then(|age| u64::try_from(age.as_secs()).ok()),
            };
            let gone = run.is_some_and(|(_, state)| state != RunState::Alive);
            if !gone || age.is_none_or(|age| age < DAY) {
                swept.seen.push(seen);
                continue;
            }
            match remove(control, &seen) {
                Ok(()) => swept.removed.push(Removed {
                    vm: seen.vm,
                    id: seen.id,
                    known_by: KnownBy::Name,
                }),
                Err(what) => swept.left.push(Left {
                    vm: Some(seen.vm),
                    what,
                }),
            }
        }
    }
    swept
}

/// Removes it if it still has the name by which it is known.
fn remove(control: &Control, seen: &Seen) -> Result<(), String> {
    let now = checkpoints(control.session(), seen.vm).map_err(|error| error.to_string())?;
    let same = now.iter().find(|c| c.is(&seen.id));
    match same {
        None => Ok(()),
        Some(same) if same.recovery && same.name == seen.name => {
            let gone = destroy_checkpoint(control, seen.vm, &seen.id);
            gone.map_err(|error| error.to_string())
        }
        Some(same) => Err(format!("{} has another name now: {}", seen.id, same.name)),
    }
}
