//! What goes wrong on the way, and what is left then.

use super::*;

#[test]
fn a_layer_that_cannot_be_read_makes_the_point_partial_and_the_rest_is_there() {
    let vault = vault();
    let base = written(None, 1, 1000);
    let mut leaf = written(Some(&base), 2, 2000);
    leaf.broken = Some(17);
    let mut source = source(vec![base, leaf]);
    let report = run_backup(&vault, &mut source, Level::Auto);
    assert_eq!(report.outcome, Outcome::Partial);
    let point = opened(&vault, &report);
    assert_eq!(point.details.layers.len(), 1);
    assert_eq!(point.details.missing[0].needed_by, [Owner::Vm]);
    assert!(point.details.uses.is_empty());

    source.chain[0].broken = Some(0);
    let nothing = run_backup(&vault, &mut source, Level::Full);
    assert_eq!(nothing.outcome, Outcome::Failed);
    assert_eq!(nothing.point, None);
    assert_eq!(source.ends.lock().unwrap().last(), Some(&End::Abandoned));
    let codes: Vec<_> = nothing.findings.iter().map(|f| f.code).collect();
    assert_eq!(codes, [Code::DiskUnreadable, Code::CleanupFailed]);
}

#[test]
fn a_layer_that_moved_is_torn_and_never_taken_over() {
    let vault = vault();
    let base = written(None, 1, 1000);
    let leaf = written(Some(&base), 2, 2000);
    let mut source = source(vec![base, leaf]);
    source.moves = Some(0);
    let torn = run_backup(&vault, &mut source, Level::Auto);
    assert_eq!(torn.outcome, Outcome::Partial);
    assert_eq!(torn.consistency, Some(Consistency::Torn));
    let point = opened(&vault, &torn);
    assert!(point.details.layers[0].moved && !point.details.layers[1].moved);

    source.moves = None;
    reset(&source.chain);
    let next = run_backup(&vault, &mut source, Level::Auto);
    assert_eq!(reads(&source.chain), [LEN, LEN], "nothing of it is trusted");
    assert_eq!(next.outcome, Outcome::Ok);
    check(&vault, &next, &source.chain);
}

#[test]
fn a_panic_while_reading_is_a_finding_and_the_frozen_vm_is_ended() {
    let vault = vault();
    let base = written(None, 1, 1000);
    let mut leaf = written(Some(&base), 2, 2000);
    leaf.cursed = true;
    let mut source = source(vec![base, leaf]);
    let report = run_backup(&vault, &mut source, Level::Auto);
    assert_eq!(report.outcome, Outcome::Partial);
    let told = |f: &Finding| f.message.contains("this layer is cursed");
    assert!(report.findings.iter().any(told), "{:?}", report.findings);
    assert_eq!(source.ends.lock().unwrap().len(), 1);
    // The vault is not the worse for it.
    source.chain[1].cursed = false;
    let next = run_backup(&vault, &mut source, Level::Auto);
    check(&vault, &next, &source.chain);
}

#[test]
fn a_panic_beside_reading_takes_nothing_along_of_what_was_left() {
    let vault = vault();
    let mut source = source(vec![written(None, 1, 1000)]);
    source.panics = true;
    let report = run_backup(&vault, &mut source, Level::Auto);
    assert_eq!((report.outcome, &report.point), (Outcome::Failed, &None));
    let [panic, left] = report.findings.as_slice() else {
        panic!("{report:#?}");
    };
    assert!(panic.message.contains("a look too many"), "{panic:?}");
    assert_eq!(left.code, Code::CleanupFailed);
    assert_eq!(*source.ends.lock().unwrap(), [End::Abandoned]);
}

#[test]
fn a_job_that_is_cancelled_touches_nothing_more_and_says_so() {
    let vault = vault();
    let mut source = source(vec![written(None, 1, 1000)]);
    let cancel = Cancel::new();
    cancel.cancel();
    let job = Job {
        vault: &vault,
        clock: &Still,
        sink: &Quiet,
        cancel: &cancel,
        limits: Limits::machine(),
    };
    let mut rng = |_: &mut [u8]| unreachable!("no point is made");
    let report = backup(&job, &mut source, &Options::default(), &mut rng).unwrap();
    assert_eq!(report.outcome, Outcome::Cancelled);
    assert!(source.ends.lock().unwrap().is_empty());
    assert!(vault.points(None).unwrap().is_empty());
}

/// "The newest" is what an incremental builds on and what a restore means: it must not hang on
/// clocks. This one stands still throughout.
#[test]
fn points_keep_their_order_whatever_the_clock_says() {
    let vault = vault();
    let mut source = source(vec![written(None, 1, 1)]);
    let mut last = 0;
    for step in 0..6 {
        let level = if step % 3 == 2 {
            Level::Full
        } else {
            Level::Auto
        };
        let report = run_backup(&vault, &mut source, level);
        let list = crate::list::points(&vault).unwrap().points;
        assert_eq!(list.last().map(|point| &point.id), report.point.as_ref());
        let rank = list.last().unwrap().rank;
        assert!(rank > last);
        last = rank;
    }
}
