//! What a host says of a call is not always what became of it.

use hyperkeep_hyperv::checkpoint::{
    CheckpointError, Consistency, RecoveryCheckpoint, destroy_reference_point,
};
use hyperkeep_hyperv::control::ChangeError;
use hyperkeep_hyperv::recovery::{Remembered, recover};

use crate::checkpoint::{MARK, OPTIONS, ours, run};
use crate::support::vmms::{Failure, VM, Vmms};

/// “Status unknown” is no refusal: what it was asked for may be there in a moment.
#[test]
fn an_unknown_status_makes_no_second_checkpoint() {
    let host = Vmms::new();
    host.fail("CreateSnapshot", Failure::Refused(32771));
    let (result, after) = run(&host, |control| {
        RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).map(drop)
    });
    let unknown = matches!(
        result,
        Err(CheckpointError::Change(ChangeError::Unknown { .. }))
    );
    assert!(unknown, "{result:?}");
    assert_eq!(host.methods(), ["CreateSnapshot"]);
    assert_eq!(after.reading.open.len(), 1, "recovery looks");
    // What removes is done again.
    let host = Vmms::new();
    host.fail("DestroySnapshot", Failure::Refused(32771));
    let (result, _) = run(&host, |control| {
        let checkpoint = RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).unwrap();
        checkpoint.destroy()
    });
    assert!(result.is_ok() && ours(&host) == 0);
}

/// A job that says that it failed, or both that it ended well and that it failed, and has done it.
#[test]
fn what_is_said_to_have_failed_is_looked_for() {
    for state in [10, 107] {
        let host = Vmms::new();
        host.fail("CreateSnapshot", Failure::DoneFailedJob(state));
        let (result, after) = run(&host, |control| {
            let taken = RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).map(drop);
            assert_eq!(ours(&host), 1);
            recover(control, &|_, _| Remembered::No).unwrap();
            taken
        });
        let unknown = matches!(
            result,
            Err(CheckpointError::Change(ChangeError::Unknown { .. }))
        );
        assert!(unknown, "{state}: {result:?}");
        assert_eq!((ours(&host), after.reading.is_settled()), (0, true));
        // A conversion has made what it should.
        let host = Vmms::new();
        host.fail("ConvertToReferencePoint", Failure::DoneFailedJob(state));
        let (point, after) = run(&host, |control| {
            let checkpoint = RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).unwrap();
            checkpoint.convert().unwrap()
        });
        assert_eq!(host.points(), ["RP:THEIRS", &point.instance_id]);
        assert!(after.reading.open.is_empty());
        let known = (VM, point.instance_id);
        assert!(after.reading.reference_points.contains(&known));
    }
}

/// The VM goes to another node at any call, with all that is ours, and the host says of it that it
/// has nothing.
#[test]
fn what_went_with_its_vm_is_not_gone() {
    for calls in 1..20 {
        let host = Vmms::new();
        let (result, after) = run(&host, |control| {
            let checkpoint = RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).unwrap();
            host.leave_in(calls);
            checkpoint.destroy()
        });
        let known = !after.reading.is_settled();
        assert!(known || ours(&host) == 0, "{calls}: {result:?}");
        let host = Vmms::new();
        let (result, after) = run(&host, |control| {
            let checkpoint = RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).unwrap();
            let point = checkpoint.convert().unwrap();
            host.leave_in(calls);
            destroy_reference_point(control, VM, &point.instance_id)
        });
        let known = !after.reading.is_settled();
        assert!(known || host.points().len() == 1, "{calls}: {result:?}");
        // Recovery of what has become of a conversion.
        let host = Vmms::new();
        host.fail("ConvertToReferencePoint", Failure::LostReply);
        host.leave_in(calls + 5);
        let (_, after) = run(&host, |control| {
            let taken = RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK);
            let _ = taken.and_then(RecoveryCheckpoint::convert);
            recover(control, &|_, _| Remembered::No).unwrap();
        });
        let left = ours(&host) > 0 || host.points().len() > 1;
        assert!(!left || !after.reading.is_settled(), "{calls}");
    }
}

/// While it is waited that the host takes the call, another backup takes its checkpoint.
#[test]
fn whoever_waited_looks_again() {
    let host = Vmms::new();
    host.fail("CreateSnapshot", Failure::Refused(32775));
    host.create_after(std::time::Duration::from_secs(10));
    let (result, after) = run(&host, |control| {
        RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).map(drop)
    });
    assert!(
        matches!(result, Err(CheckpointError::Occupied(_))),
        "{result:?}"
    );
    assert_eq!((ours(&host), host.methods().len()), (1, 1));
    assert!(after.reading.is_settled());
}

/// That a checkpoint ends with its conversion is documented, and looked at all the same.
#[test]
fn a_checkpoint_that_outlives_its_conversion_is_removed() {
    for refused in [false, true] {
        let host = Vmms::new();
        host.keep_converted();
        if refused {
            host.fail("DestroySnapshot", Failure::Refused(32769));
        }
        let (point, after) = run(&host, |control| {
            let checkpoint = RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).unwrap();
            checkpoint.convert().unwrap()
        });
        assert_eq!(host.points(), ["RP:THEIRS", &point.instance_id]);
        assert_eq!(ours(&host), usize::from(refused));
        assert_eq!(after.reading.checkpoints.len(), usize::from(refused));
        assert_eq!(after.notes.len(), usize::from(refused), "{:?}", after.notes);
    }
}

/// A job that fails over the settings says nothing of the guest.
#[test]
fn settings_that_are_refused_in_the_job_are_not_the_guests_fault() {
    let mut host = Vmms::new();
    host.refuses_in_job = true;
    let (name, after) = run(&host, |control| {
        let checkpoint = RecoveryCheckpoint::create(control, VM, OPTIONS, &MARK).unwrap();
        assert_eq!(checkpoint.asked, Consistency::Application);
        host.checkpoints()[checkpoint.instance_id()].clone()
    });
    assert_eq!(name, MARK.name());
    assert!(after.reading.is_settled() && after.notes.is_empty());
    assert_eq!(host.methods()[..2], ["CreateSnapshot", "CreateSnapshot"]);
}
