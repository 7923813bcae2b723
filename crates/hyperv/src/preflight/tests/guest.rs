//! What a VM does, whether its guest settles, and what the host is doing with it.

use super::*;
use Level::{Crash, FileSystem, Offline};
use Weight::{Blocks, Limits, Note, Wait};

fn contact(contact: Option<Contact>) -> Finding {
    Finding::BackupServiceSilent { contact }
}

#[test]
fn every_condition_of_an_online_backup_has_its_name() {
    case(Finding::BackupServiceOff, Limits, |vm, _| {
        vm.settings.config.integration_services = vec![service(Some(false))];
    })
    .level(Crash)
    .check();
    case(Finding::BackupServiceUnknown, Limits, |vm, _| {
        vm.settings.config.integration_services.clear();
    })
    .level(Crash)
    .check();
    case(Finding::BackupServiceUnknown, Limits, |vm, _| {
        vm.settings.config.integration_services = vec![service(None)];
    })
    .level(Crash)
    .check();
    case(contact(Some(Contact::Never)), Limits, |vm, _| {
        vm.guest.backup_service = Some(Contact::Never);
    })
    .level(Crash)
    .check();
    case(contact(None), Limits, |vm, _| {
        vm.guest.backup_service = None
    })
    .level(Crash)
    .check();
    case(Finding::GuestVolumesUnknown, Note, |vm, _| {
        vm.guest.backup_service = Some(Contact::Degraded);
    })
    .check();
    case(Finding::NoScsiController, Limits, |vm, _| {
        vm.settings.config.controllers[0].kind = ControllerKind::Ide;
    })
    .level(Crash)
    .check();
    let (path, folder) = ("D:\\a.vhdx".to_owned(), "E:\\C".to_owned());
    case(
        Finding::CheckpointsElsewhere { path, folder },
        Note,
        |vm, _| {
            vm.settings.config.data_roots.checkpoints = Some("E:\\C".to_owned());
        },
    )
    .check();
    case(Finding::NoGuestApplications, Limits, |vm, _| {
        vm.guest.family = Family::Other
    })
    .level(FileSystem)
    .check();
    case(Finding::GuestUnknown, Note, |vm, _| {
        vm.guest.family = Family::Unknown
    })
    .level(FileSystem)
    .check();
}

#[test]
fn every_state_has_its_effect() {
    let at_rest = |state| Finding::AtRest { state };
    let state = |state| Finding::State { state };
    case(at_rest(PowerState::Off), Note, |vm, _| {
        vm.state = PowerState::Off
    })
    .level(Offline)
    .check();
    // Its memory is in no recovery checkpoint, and its disks are not all of it.
    case(Finding::SavedMemory, Limits, |vm, _| {
        vm.state = PowerState::Saved
    })
    .level(Crash)
    .check();
    case(state(PowerState::Paused), Limits, |vm, _| {
        vm.state = PowerState::Paused
    })
    .level(Crash)
    .check();
    case(state(PowerState::Changing(10)), Wait, |vm, _| {
        vm.state = PowerState::Changing(10)
    })
    .level(Crash)
    .check();
    case(state(PowerState::Critical(32781)), Blocks, |vm, _| {
        vm.state = PowerState::Critical(32781);
    })
    .level(Crash)
    .mode(None)
    .check();
    case(state(PowerState::Other(99)), Limits, |vm, _| {
        vm.state = PowerState::Other(99)
    })
    .level(Crash)
    .check();
    let health = Health::CriticalFailure;
    case(Finding::Unwell { health }, Blocks, |vm, _| {
        vm.health = Health::CriticalFailure
    })
    .mode(None)
    .check();
    let operation = Operation::MergingDisks;
    case(Finding::Busy { operation }, Wait, |vm, _| {
        vm.operation = Some(Operation::MergingDisks);
    })
    .check();
    let owner = Some("N2".to_owned());
    case(Finding::Clustered { owner }, Note, |vm, _| {
        let owner = Some("N2".to_owned());
        vm.cluster = Some(ClusterRole {
            owner,
            ..ClusterRole::default()
        });
    })
    .check();
}

#[test]
fn dynamic_disks_that_a_backup_has_seen_are_named() {
    let disks = vec![r"D:\VMs\a.vhdx".to_owned()];
    let finding = Finding::GuestDynamicDisks { disks };
    case(finding.clone(), Limits, |vm, _| {
        vm.guest.dynamic_disks = vec![r"D:\VMs\a.vhdx".to_owned()];
    })
    .level(Crash)
    .check();
    // At rest nothing has to settle.
    let state = PowerState::Off;
    case(Finding::AtRest { state }, Note, |vm, _| {
        vm.state = PowerState::Off;
        vm.guest.dynamic_disks = vec![r"D:\VMs\a.vhdx".to_owned()];
    })
    .level(Offline)
    .check();
    assert!(finding.to_string().contains(r"D:\VMs\a.vhdx"));
}

#[test]
fn replication_has_its_effect() {
    let mode = ReplicationMode::Replica;
    // It is off, and no better than crashed for that.
    case(Finding::Replica { mode }, Limits, |vm, _| {
        vm.state = PowerState::Off;
        vm.replication.mode = ReplicationMode::Replica;
    })
    .level(Crash)
    .check();
    case(Finding::GuestVolumesUnknown, Note, |vm, _| {
        vm.replication.mode = ReplicationMode::Primary;
    })
    .check();
    case(Finding::ReplicationBusy { state: 2 }, Wait, |vm, _| {
        vm.replication.relationships = vec![Relationship {
            instance_id: "R".to_owned(),
            state: Some(2),
            health: Some(1),
        }];
    })
    .check();
}

#[test]
fn checkpoints_have_their_effect() {
    case(Finding::CheckpointsDisabled, Limits, |vm, _| {
        vm.settings.config.checkpoints.user_type = Some(2);
    })
    .check();
    let (name, instance_id) = ("c".to_owned(), "Microsoft:C".to_owned());
    let finding = Finding::RecoveryCheckpoint {
        name,
        instance_id,
        created: None,
    };
    case(finding, Wait, |vm, _| {
        vm.checkpoints = vec![checkpoint(CheckpointKind::Recovery)]
    })
    .check();
    let name = "c".to_owned();
    case(Finding::MissingCheckpoint { name }, Blocks, |vm, _| {
        vm.checkpoints = vec![checkpoint(CheckpointKind::Missing)];
    })
    .mode(None)
    .check();
    case(Finding::CheckpointOrderUnknown, Limits, |vm, _| {
        vm.parent = Parent::Unknown
    })
    .check();
    case(Finding::ManyCheckpoints { count: 50 }, Note, |vm, _| {
        vm.checkpoints = vec![checkpoint(CheckpointKind::User); 50];
    })
    .check();
}
