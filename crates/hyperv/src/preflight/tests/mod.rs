use uuid::Uuid;
use vmconfig::model::{
    Controller, ControllerKind, DeviceKind, Drive, DriveKind, Finding as ConfigFinding,
    IntegrationService, Location, Qos,
};

mod guest;
mod storage;

use super::*;
use crate::inventory::{
    self, Checkpoint, ClusterRole, Contact, Family, Medium, Operation, Relationship,
    ReplicationMode, Settings,
};

pub(crate) fn host() -> Host {
    Host {
        reference_points: Some(true),
        ..Host::default()
    }
}

fn at(position: u32) -> Location {
    Location {
        controller: ControllerKind::Scsi,
        number: 0,
        position,
    }
}

/// A running Windows with one VHDX, at which nothing is wrong.
pub(crate) fn well() -> Machine {
    let mut vm = Machine {
        id: Uuid::from_u128(1),
        state: PowerState::Running,
        health: Health::Ok,
        parent: Parent::None,
        ..Machine::default()
    };
    vm.settings.config.name = "a".to_owned();
    vm.settings.config.version = "9.0".parse().ok();
    vm.settings.config.controllers = vec![Controller {
        kind: ControllerKind::Scsi,
        number: 0,
        instance: Uuid::from_u128(2),
        drives: Vec::new(),
    }];
    vm.settings.config.data_roots.checkpoints = Some("D:\\VMs".to_owned());
    vm.settings.config.integration_services = vec![service(Some(true))];
    vm.guest.family = Family::Windows;
    vm.guest.backup_service = Some(Contact::Ok);
    vm.replication.mode = ReplicationMode::None;
    attach(&mut vm, "D:\\a.vhdx", false);
    vm
}

fn service(enabled: Option<bool>) -> IntegrationService {
    IntegrationService {
        device_type: DeviceKind::Vss.guid().unwrap(),
        name: "VSS".to_owned(),
        enabled,
    }
}

fn attach(vm: &mut Machine, path: &str, shared: bool) {
    let drives = &mut vm.settings.config.controllers[0].drives;
    let position = drives.len() as u32;
    drives.push(Drive {
        position,
        kind: DriveKind::VirtualDisk,
        path: Some(path.to_owned()),
        qos: Qos::default(),
        shared,
    });
    vm.settings.media.push(Medium {
        location: at(position),
        instance_id: format!("Microsoft:A\\{position}"),
        path: path.to_owned(),
    });
}

fn checkpoint(kind: CheckpointKind) -> Checkpoint {
    let mut settings = Settings::default();
    settings.config.name = "c".to_owned();
    settings.instance_id = "Microsoft:C".to_owned();
    Checkpoint {
        id: Uuid::from_u128(7),
        kind,
        parent: Parent::None,
        automatic: None,
        settings,
    }
}

#[test]
fn a_machine_at_which_nothing_is_wrong_gets_the_best() {
    let found = check(&well(), &host());
    assert_eq!(found.consistency.level, Level::Application);
    assert_eq!(found.tracking.verdict, Verdict::Possible);
    assert_eq!(found.best_mode(), Some(Mode::Cbt));
    assert_eq!(found.findings, [Finding::GuestVolumesUnknown]);
    assert_eq!(found.obstacles().count(), 0);
}

/// One change to a machine that is well, and what it does to the prediction.
struct Case {
    finding: Finding,
    weight: Weight,
    change: fn(&mut Machine, &mut Host),
    level: Level,
    tracking: Verdict,
    mode: Option<Mode>,
}

const CBT: Option<Mode> = Some(Mode::Cbt);
const STANDARD: Option<Mode> = Some(Mode::Standard);

/// A change that is told by a finding and otherwise has no effect.
fn case(finding: Finding, weight: Weight, change: fn(&mut Machine, &mut Host)) -> Case {
    Case {
        finding,
        weight,
        change,
        level: Level::Application,
        tracking: Verdict::Possible,
        mode: CBT,
    }
}

impl Case {
    fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    fn tracking(mut self, tracking: Verdict) -> Self {
        self.tracking = tracking;
        self
    }

    fn mode(mut self, mode: Option<Mode>) -> Self {
        self.mode = mode;
        self
    }

    fn check(self) {
        let (mut vm, mut host) = (well(), host());
        (self.change)(&mut vm, &mut host);
        let found = check(&vm, &host);
        let name = &self.finding;
        assert_eq!(found.consistency.level, self.level, "{name}");
        assert_eq!(found.tracking.verdict, self.tracking, "{name}");
        assert_eq!(found.best_mode(), self.mode, "{name}: {found:?}");
        assert!(found.findings.contains(&self.finding), "{name}: {found:?}");
        assert_eq!(self.finding.weight(), self.weight, "{name}");
        let advised = self.weight == Weight::Note || self.finding.hint().is_some();
        assert!(advised, "{name}: nobody is told what to do");
        let weights: Vec<_> = found.findings.iter().map(Finding::weight).collect();
        assert!(weights.is_sorted_by(|a, b| a >= b), "{name}");
        let mut seen = found.findings.clone();
        seen.dedup();
        assert_eq!(seen, found.findings, "{name}: nothing is said twice");
    }
}

/// What limits consistency is always told: no level below the best stands without its reason.
#[test]
fn no_prediction_is_without_reasons() {
    let contacts = [
        None,
        Some(Contact::Ok),
        Some(Contact::Lost),
        Some(Contact::Incompatible),
    ];
    let states = [
        PowerState::Running,
        PowerState::Off,
        PowerState::Paused,
        PowerState::Unknown,
    ];
    let families = [Family::Windows, Family::Other, Family::Unknown];
    for contact in contacts {
        for state in states {
            for family in families {
                let mut vm = well();
                (vm.state, vm.guest.family, vm.guest.backup_service) = (state, family, contact);
                let found = check(&vm, &host()).consistency;
                assert!(!found.because.is_empty(), "{vm:?}");
                let best = contact == Some(Contact::Ok)
                    && family == Family::Windows
                    && state == PowerState::Running;
                assert_eq!(found.level == Level::Application, best, "{found:?}");
            }
        }
    }
}
