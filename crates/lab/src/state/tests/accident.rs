//! What others do to a host while somebody backs it up.

use super::*;

impl Bench {
    fn suffer(&mut self, accident: Accident) {
        self.host.suffer(&accident).unwrap();
    }
}

#[test]
fn others_take_and_drop_checkpoints() {
    let mut bench = bench(Rules::default());
    let vm = bench.vm;
    let mut model = vec![0; SIZE as usize];
    bench.write(&mut model, 0, 1, 4096);
    for (kind, name) in [
        (CheckpointKind::User, "before the update"),
        (CheckpointKind::Recovery, "another product"),
    ] {
        let name = name.to_owned();
        bench.suffer(Accident::TakesCheckpoint { vm, kind, name });
    }
    let told: Vec<_> = bench
        .vm()
        .checkpoints
        .iter()
        .map(|c| (c.kind, c.settings.name.clone()))
        .collect();
    assert_eq!(told[0], (CheckpointKind::User, "before the update".into()));
    assert_eq!(
        told[1],
        (CheckpointKind::Recovery, "another product".into())
    );
    let writes = Accident::Writes {
        vm,
        drive: 0,
        offset: 8192,
        data: vec![5; 512],
    };
    bench.suffer(writes);
    model[8192..8704].fill(5);
    bench.suffer(Accident::DropsCheckpoint(vm, "another product".into()));
    bench.settle();
    assert_eq!((bench.vm().checkpoints.len(), bench.images()), (1, 2));
    assert_eq!(bench.content(&bench.leaf()), model);
    let missing = Accident::DropsCheckpoint(vm, "another product".into());
    assert!(bench.host.suffer(&missing).is_err());
}

#[test]
fn guests_and_vms_change_their_mind() {
    let mut bench = bench(Rules::default());
    let vm = bench.vm;
    bench.suffer(Accident::Settles(vm, false));
    let job = bench.host.create_checkpoint(vm, RECOVERY).unwrap();
    assert!(matches!(bench.end(job), End::Failed(_)));
    bench.suffer(Accident::Settles(vm, true));
    bench.checkpoint(CheckpointKind::Recovery);
    bench.suffer(Accident::Stuck(vm, true));
    bench.clock.advance(Duration::from_secs(100_000));
    let refused = bench.host.create_checkpoint(vm, RECOVERY);
    assert_eq!(refused, Err(Refusal::INVALID_STATE));
    bench.host.restart_service();
    let refused = bench.host.create_checkpoint(vm, RECOVERY);
    assert_eq!(refused, Err(Refusal::INVALID_STATE), "a restart is no help");
    bench.suffer(Accident::Stuck(vm, false));
    bench.checkpoint(CheckpointKind::Recovery);
    bench.suffer(Accident::Turns(vm, Power::Saved));
    assert!(bench.vm().settings.saved.is_some());
    assert!(bench.host.guest_writes(vm, 0, 0, &[1; 512]).is_err());
}

/// The two belong together, and a start changes both.
#[test]
fn a_key_protector_belongs_to_one_state_of_the_tpm() {
    let mut bench = bench(Rules::default());
    let vm = bench.vm;
    bench.host.vm_mut(vm).unwrap().settings.tpm = true;
    let mut protectors = Vec::new();
    for _ in 0..2 {
        bench.suffer(Accident::Turns(vm, Power::Off));
        bench.suffer(Accident::Turns(vm, Power::Running));
        let protector = bench.vm().key_protector();
        let stem = bench.vm().settings.stem(vmconfig::model::Kind::Machine);
        let local = bench.host.files().local(&format!("{stem}.vmgs")).unwrap();
        let state = std::fs::read(local).unwrap();
        let inside = state.windows(protector.len()).any(|part| part == protector);
        assert!(inside, "its state names it");
        protectors.push(protector);
    }
    assert_ne!(protectors[0], protectors[1]);
    // Pausing is no start.
    bench.suffer(Accident::Turns(vm, Power::Paused));
    bench.suffer(Accident::Turns(vm, Power::Running));
    assert_eq!(bench.vm().key_protector(), protectors[1]);
}

#[test]
fn a_vm_without_scsi_settles_or_not_as_the_scenario_says() {
    for rule in [false, true] {
        let mut bench = bench(Rules {
            application_needs_scsi: rule,
            ..Rules::default()
        });
        let vm = bench.host.vm_mut(bench.vm).unwrap();
        vm.settings.controllers[0].kind = ControllerKind::Ide;
        let job = bench.host.create_checkpoint(bench.vm, RECOVERY).unwrap();
        assert_eq!(matches!(bench.end(job), End::Failed(_)), rule);
    }
}
