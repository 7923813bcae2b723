//! Jobs, and what is asked of a VM in which state.

use super::*;

#[test]
fn jobs_take_time_end_and_go() {
    let mut bench = bench(Rules::default());
    let job = bench.host.create_checkpoint(bench.vm, RECOVERY).unwrap();
    let state = |bench: &mut Bench| {
        bench.host.advance();
        let now = bench.host.now();
        bench
            .host
            .job(job)
            .map(|job| (job.state(now), job.percent(now)))
    };
    assert_eq!(state(&mut bench), Some((2, 0)));
    assert_eq!(
        bench.vm().checkpoints.len(),
        0,
        "nothing happens before its time"
    );
    bench.clock.advance(Duration::from_millis(100));
    assert_eq!(state(&mut bench), Some((3, 3)));
    bench.clock.advance(Duration::from_millis(1400));
    assert_eq!(state(&mut bench), Some((4, 50)));
    let refused = bench.host.create_checkpoint(bench.vm, RECOVERY);
    assert_eq!(refused, Err(Refusal::INVALID_STATE));
    bench.clock.advance(Duration::from_millis(1500));
    assert_eq!(state(&mut bench), Some((7, 100)));
    bench.clock.advance(Duration::from_secs(299));
    assert_eq!(state(&mut bench), Some((7, 100)));
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(state(&mut bench), None);
    assert_eq!(bench.vm().checkpoints.len(), 1);
}

#[test]
fn a_cancelled_or_lost_job_has_done_nothing() {
    let mut bench = bench(Rules::default());
    let job = bench.host.create_checkpoint(bench.vm, RECOVERY).unwrap();
    assert!(bench.host.cancel(job));
    assert!(!bench.host.cancel(job), "twice");
    assert_eq!(bench.end(job), End::Terminated);
    let job = bench.host.create_checkpoint(bench.vm, RECOVERY).unwrap();
    bench.host.restart_service();
    assert!(bench.host.job(job).is_none());
    bench.settle();
    assert_eq!((bench.vm().checkpoints.len(), bench.images()), (0, 1));
    // A merge that was under way is taken up again.
    let checkpoint = bench.checkpoint(CheckpointKind::Recovery);
    let job = bench.host.destroy_checkpoint(bench.vm, checkpoint).unwrap();
    bench.end(job);
    bench.host.restart_service();
    assert_eq!(bench.images(), 2);
    bench.settle();
    assert_eq!(bench.images(), 1);
}

#[test]
fn there_is_no_falling_back_to_less_consistency() {
    let mut bench = bench(Rules::default());
    let application = wish(CheckpointKind::Recovery, Consistency::Application);
    let crash = wish(CheckpointKind::Recovery, Consistency::Crash);
    let spoil: [fn(&mut Vm); 4] = [
        |vm| vm.guest.settles = false,
        |vm| vm.guest.backup_status = 12,
        |vm| vm.settings.backup_service = false,
        |vm| vm.power = Power::Off,
    ];
    for spoil in spoil {
        let good = bench.vm().clone();
        spoil(bench.host.vm_mut(bench.vm).unwrap());
        let job = bench.host.create_checkpoint(bench.vm, application).unwrap();
        let End::Failed(failure) = bench.end(job) else {
            panic!("it did not fail");
        };
        assert_eq!(failure.hresult, Some(0x8004_23f2));
        assert!(failure.description().ends_with("(0x800423F2)"));
        *bench.host.vm_mut(bench.vm).unwrap() = good;
    }
    assert_eq!((bench.vm().checkpoints.len(), bench.images()), (0, 1));
    bench.host.vm_mut(bench.vm).unwrap().guest.settles = false;
    let job = bench.host.create_checkpoint(bench.vm, crash).unwrap();
    bench.made(job);
    assert_eq!(bench.vm().checkpoints[0].consistency, Consistency::Crash);
}

#[test]
fn what_cannot_be_frozen_is_an_error_unless_it_may_be_left_out() {
    let mut bench = bench(Rules::default());
    let vm = bench.host.vm_mut(bench.vm).unwrap();
    vm.settings.drives.push(Drive {
        controller: 0,
        slot: 5,
        medium: Medium::PassThrough(3),
    });
    let job = bench.host.create_checkpoint(bench.vm, RECOVERY).unwrap();
    assert!(matches!(bench.end(job), End::Failed(_)));
    let ignoring = CheckpointWish {
        ignore_unfreezable: true,
        ..RECOVERY
    };
    let job = bench.host.create_checkpoint(bench.vm, ignoring).unwrap();
    let checkpoint = bench.made(job);
    assert_eq!(bench.frozen(checkpoint), LEAF);
}

#[test]
fn old_configurations_are_not_tracked() {
    let mut bench = bench(Rules::default());
    for (version, tracked) in [
        ("5.0", false),
        ("6.1", false),
        ("6.2", true),
        ("10.0", true),
    ] {
        bench.host.vm_mut(bench.vm).unwrap().settings.version = version.into();
        let checkpoint = bench.checkpoint(CheckpointKind::Recovery);
        let found = bench.vm().checkpoint(checkpoint).unwrap();
        assert_eq!(found.tracked[0].id.is_some(), tracked, "{version}");
    }
}

#[test]
fn states_change_only_as_they_may() {
    let mut bench = bench(Rules::default());
    for (wanted, power, to) in [
        (2, Power::Running, None),
        (9, Power::Running, Some(Power::Paused)),
        (2, Power::Paused, Some(Power::Running)),
        (6, Power::Running, Some(Power::Saved)),
        (9, Power::Saved, None),
        (3, Power::Saved, Some(Power::Off)),
        (3, Power::Off, None),
        (11, Power::Off, None),
        (2, Power::Off, Some(Power::Running)),
    ] {
        assert_eq!(bench.vm().power, power);
        match (bench.host.change_state(bench.vm, wanted), to) {
            (Ok(job), Some(to)) => {
                assert_eq!(bench.end(job), End::Completed(None));
                assert_eq!(bench.vm().power, to);
            }
            (result, _) => assert_eq!((result, to), (Err(Refusal::INVALID_STATE), None)),
        }
    }
    let odd = bench.host.change_state(bench.vm, 4711);
    assert_eq!(odd, Err(Refusal::INVALID_PARAMETER));
}
