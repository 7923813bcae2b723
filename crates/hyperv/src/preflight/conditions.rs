//! The conditions of an online backup, each by its name: whether it is met.
//!
//! Findings tell what is wrong; this tells what was looked at, and what nobody can see from the
//! host. A condition that the host does not tell of is unknown and never met.

use std::fmt;

use serde::{Deserialize, Serialize};
use vmconfig::model::{ControllerKind, DeviceKind};

use super::consistency;
use crate::inventory::{Contact, Family, Machine, PowerState, offers};

/// A condition of a backup in which the guest takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Condition {
    /// The VM runs.
    Running,
    /// It is no copy of another VM.
    NoCopy,
    /// The host offers the guest the service for backups.
    ServiceOffered,
    /// That service answers in the guest.
    ServiceAnswers,
    /// The guest is alive.
    Heartbeat,
    /// There is a SCSI controller, which a guest's volumes are shown through while it settles.
    ScsiController,
    /// Checkpoints go to the volume of the disks.
    SnapshotLocation,
    /// No disk is one that no checkpoint holds.
    DisksFreezable,
    /// The guest's system has applications that can take part.
    GuestApplications,
    /// The guest's volumes are basic disks with file systems that have snapshots.
    GuestVolumes,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "the VM runs",
            Self::NoCopy => "the VM is no copy of another one",
            Self::ServiceOffered => "the host offers its guest the service for backups",
            Self::ServiceAnswers => "that service answers in the guest",
            Self::Heartbeat => "the guest is alive",
            Self::ScsiController => "the VM has a SCSI controller",
            Self::SnapshotLocation => "its checkpoints go to the volume of its disks",
            Self::DisksFreezable => "checkpoints hold each of its disks",
            Self::GuestApplications => "its guest has applications that can take part",
            Self::GuestVolumes => {
                "its guest's volumes are basic disks with file systems that have snapshots"
            }
        })
    }
}

/// Whether a condition is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Met {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// The host does not tell, or cannot know.
    Unknown,
}

impl Met {
    fn of(told: Option<bool>) -> Self {
        match told {
            Some(true) => Self::Yes,
            Some(false) => Self::No,
            None => Self::Unknown,
        }
    }
}

/// Looks at each condition, in a fixed order.
pub fn conditions(machine: &Machine) -> Vec<(Condition, Met)> {
    use Condition as C;
    let answers = |contact: Option<Contact>| contact.map(Contact::is_usable);
    let copy = match machine.replication.mode {
        crate::inventory::ReplicationMode::Unknown => None,
        mode => Some(!mode.is_copy()),
    };
    let running = match machine.state {
        PowerState::Unknown => None,
        state => Some(state == PowerState::Running),
    };
    let mut controllers = machine.config().controllers.iter();
    let scsi = controllers.any(|c| c.kind == ControllerKind::Scsi);
    let folder = machine.config().data_roots.checkpoints.as_ref();
    let location = folder.map(|_| consistency::elsewhere(machine).is_none());
    let told = super::disks::findings(machine);
    let unknown = told.contains(&super::Finding::DisksUnknown);
    let unfreezable = told.iter().any(|finding| {
        use super::Finding as F;
        matches!(
            finding,
            F::PassThroughDisk { .. }
                | F::FibreChannel { .. }
                | F::SharedDisk { .. }
                | F::VhdSet { .. }
        )
    });
    let applications = match machine.guest.family {
        Family::Windows => Some(true),
        Family::Other => Some(false),
        Family::Unknown => None,
    };
    vec![
        (C::Running, Met::of(running)),
        (C::NoCopy, Met::of(copy)),
        (
            C::ServiceOffered,
            Met::of(offers(machine.config(), DeviceKind::Vss)),
        ),
        (
            C::ServiceAnswers,
            Met::of(answers(machine.guest.backup_service)),
        ),
        (C::Heartbeat, Met::of(answers(machine.guest.heartbeat))),
        (C::ScsiController, Met::of(Some(scsi))),
        (C::SnapshotLocation, Met::of(location)),
        (
            C::DisksFreezable,
            Met::of((!unknown).then_some(!unfreezable)),
        ),
        (C::GuestApplications, Met::of(applications)),
        // Only the guest itself could tell, but for what a backup has seen.
        (
            C::GuestVolumes,
            Met::of((!machine.guest.dynamic_disks.is_empty()).then_some(false)),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::tests::well as machine;

    fn met(machine: &Machine, of: Condition) -> Met {
        let all = conditions(machine);
        let mut names: Vec<Condition> = all.iter().map(|(name, _)| *name).collect();
        names.dedup();
        assert_eq!(names.len(), 10, "each once");
        all.into_iter().find(|(name, _)| *name == of).unwrap().1
    }

    #[test]
    fn of_a_vm_that_has_all_only_its_volumes_are_unknown() {
        let mut machine = machine();
        machine.guest.heartbeat = Some(Contact::Ok);
        for (condition, met) in conditions(&machine) {
            let expected = match condition {
                Condition::GuestVolumes => Met::Unknown,
                _ => Met::Yes,
            };
            assert_eq!(met, expected, "{condition:?}");
        }
    }

    #[test]
    fn each_is_told_by_its_own_name() {
        let mut off = machine();
        off.state = PowerState::Off;
        assert_eq!(met(&off, Condition::Running), Met::No);
        off.state = PowerState::Unknown;
        assert_eq!(met(&off, Condition::Running), Met::Unknown);
        let mut silent = machine();
        silent.guest.backup_service = Some(Contact::Lost);
        assert_eq!(met(&silent, Condition::ServiceAnswers), Met::No);
        silent.guest.backup_service = None;
        assert_eq!(met(&silent, Condition::ServiceAnswers), Met::Unknown);
        silent.settings.config.controllers.clear();
        assert_eq!(met(&silent, Condition::ScsiController), Met::No);
        assert_eq!(met(&silent, Condition::Heartbeat), Met::Unknown);
        let mut copy = machine();
        copy.replication.mode = crate::inventory::ReplicationMode::Replica;
        assert_eq!(met(&copy, Condition::NoCopy), Met::No);
        copy.guest.family = Family::Other;
        assert_eq!(met(&copy, Condition::GuestApplications), Met::No);
        copy.settings.config.data_roots.checkpoints = None;
        assert_eq!(met(&copy, Condition::SnapshotLocation), Met::Unknown);
    }
}
