//! What a VM does, and what its host does with it, by Hyper-V's numbers.
//!
//! The numbers are those of the class `Msvm_ComputerSystem` and of its page about changes of
//! state; those of Hyper-V's first version still occur. A number that is not known stays a number.

use cim::{CimError, CimSession};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Asks a host what a VM does now.
///
/// # Errors
/// When it does not answer, or does not have the VM.
pub fn power_state(session: &dyn CimSession, vm: Uuid) -> Result<PowerState, CimError> {
    Ok(crate::checkpoint::machine(session, vm)?.state)
}

/// What a VM does (`EnabledState`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "number", rename_all = "kebab-case")]
pub enum PowerState {
    /// It runs.
    Running,
    /// It is off.
    Off,
    /// It is off, with its memory saved.
    Saved,
    /// It stands still with its memory in use.
    Paused,
    /// It goes from one state to another.
    Changing(u16),
    /// Its storage or its worker process fails.
    Critical(u16),
    /// Something else.
    Other(u16),
    /// The host does not tell.
    #[default]
    Unknown,
}

impl PowerState {
    /// The state of a number.
    pub fn from_number(number: u16) -> Self {
        match number {
            2 => Self::Running,
            3 => Self::Off,
            6 | 32769 | 32779 => Self::Saved,
            9 | 32768 => Self::Paused,
            4 | 10 | 32770..=32778 | 32780 => Self::Changing(number),
            32781..=32792 => Self::Critical(number),
            0 => Self::Unknown,
            other => Self::Other(other),
        }
    }
}

/// How a VM is (`HealthState`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "health", content = "number", rename_all = "kebab-case")]
pub enum Health {
    /// Well.
    Ok,
    /// It was paused, for lack of space.
    MajorFailure,
    /// Its worker process or its storage does not answer.
    CriticalFailure,
    /// Something else.
    Other(u16),
    /// The host does not tell.
    #[default]
    Unknown,
}

impl Health {
    /// The health of a number.
    pub fn from_number(number: u16) -> Self {
        match number {
            5 => Self::Ok,
            20 => Self::MajorFailure,
            25 => Self::CriticalFailure,
            0 => Self::Unknown,
            other => Self::Other(other),
        }
    }
}

/// What the host is doing with a VM (the second number of `OperationalStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", content = "number", rename_all = "kebab-case")]
pub enum Operation {
    /// It takes a checkpoint.
    CreatingCheckpoint,
    /// It goes back to a checkpoint.
    ApplyingCheckpoint,
    /// It deletes a checkpoint.
    DeletingCheckpoint,
    /// It waits to be started.
    WaitingToStart,
    /// It merges disks.
    MergingDisks,
    /// It is exported.
    Exporting,
    /// It moves to another host.
    Migrating,
    /// Something else.
    Other(u16),
}

impl Operation {
    /// The operation of a number; zero is none.
    pub fn from_number(number: u16) -> Option<Self> {
        Some(match number {
            0 => return None,
            32768 => Self::CreatingCheckpoint,
            32769 => Self::ApplyingCheckpoint,
            32770 => Self::DeletingCheckpoint,
            32771 => Self::WaitingToStart,
            32772 => Self::MergingDisks,
            32773 => Self::Exporting,
            32774 => Self::Migrating,
            other => Self::Other(other),
        })
    }
}

/// How the host reaches a service in the guest (the first number of `OperationalStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "contact", content = "number", rename_all = "kebab-case")]
pub enum Contact {
    /// It answers.
    Ok,
    /// It answers, in an older protocol.
    Degraded,
    /// Its protocol does not fit.
    Incompatible,
    /// It has not answered since the VM started.
    Never,
    /// It answered once, and no longer.
    Lost,
    /// Something else.
    Other(u16),
}

impl Contact {
    /// The contact of a number.
    pub fn from_number(number: u16) -> Self {
        match number {
            2 => Self::Ok,
            3 => Self::Degraded,
            7 => Self::Incompatible,
            12 => Self::Never,
            13 => Self::Lost,
            other => Self::Other(other),
        }
    }

    /// Whether the service can be used.
    pub fn is_usable(self) -> bool {
        matches!(self, Self::Ok | Self::Degraded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_state_has_its_name_and_no_number_is_lost() {
        use PowerState::*;
        for (numbers, state) in [
            (&[2][..], Running),
            (&[3], Off),
            (&[6, 32769, 32779], Saved),
            (&[9, 32768], Paused),
        ] {
            for number in numbers {
                assert_eq!(PowerState::from_number(*number), state, "{number}");
            }
        }
        for number in [4, 10, 32770, 32771, 32773, 32774, 32776, 32777, 32780] {
            assert_eq!(PowerState::from_number(number), Changing(number));
        }
        for number in 32781..=32792 {
            assert_eq!(PowerState::from_number(number), Critical(number));
        }
        for number in [1, 5, 7, 8, 11, 32793, u16::MAX] {
            assert_eq!(PowerState::from_number(number), Other(number));
        }
        assert_eq!(PowerState::from_number(0), Unknown);
        assert_eq!(Operation::from_number(0), None);
        assert_eq!(Operation::from_number(9), Some(Operation::Other(9)));
        let merging = Operation::from_number(32772);
        assert_eq!(merging, Some(Operation::MergingDisks));
    }
}
