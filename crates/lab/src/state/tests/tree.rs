//! Going back and forth in the tree of checkpoints.

use super::*;

impl Bench {
    fn power(&mut self, wanted: u16) {
        let job = self.host.change_state(self.vm, wanted).unwrap();
        self.end(job);
    }

    fn apply(&mut self, checkpoint: Uuid) {
        let job = self.host.apply_checkpoint(self.vm, checkpoint).unwrap();
        assert_eq!(self.end(job), End::Completed(None));
        self.settle();
    }
}

#[test]
fn a_vm_goes_back_and_what_it_had_since_is_gone() {
    let mut bench = bench(Rules::default());
    let mut model = vec![0; SIZE as usize];
    bench.write(&mut model, 0, 1, 4096);
    let first = bench.checkpoint(CheckpointKind::User);
    let then = model.clone();
    bench.write(&mut model, 4096, 2, 4096);
    let refused = bench.host.apply_checkpoint(bench.vm, first);
    assert_eq!(refused, Err(Refusal::INVALID_STATE), "while it runs");
    bench.power(3);
    bench.apply(first);
    assert_eq!(bench.content(&bench.leaf()), then);
    assert_eq!(bench.images(), 2, "the old leaf is gone");
    let vm = bench.vm();
    assert_eq!((vm.parent, vm.last_applied), (Some(first), Some(first)));
    assert_eq!((vm.power, vm.settings.id), (Power::Off, bench.vm));
    assert_eq!(vm.settings.name, "web");
    // Another branch from there; both ends are as they were left.
    bench.power(2);
    let mut model = then.clone();
    bench.write(&mut model, 8192, 3, 4096);
    let second = bench.checkpoint(CheckpointKind::User);
    bench.power(3);
    bench.apply(first);
    assert_eq!(bench.content(&bench.leaf()), then);
    assert_eq!(bench.content(&bench.frozen(second)), model);
    let parents = bench.vm().checkpoints.iter().map(|c| c.parent);
    assert_eq!(parents.collect::<Vec<_>>(), [None, Some(first)]);
    // The whole tree goes, and what the VM has now stays.
    let job = bench.host.destroy_tree(bench.vm, first).unwrap();
    assert_eq!(bench.end(job), End::Completed(None));
    bench.settle();
    assert_eq!((bench.vm().checkpoints.len(), bench.vm().parent), (0, None));
    assert_eq!((bench.leaf().as_str(), bench.images()), (LEAF, 1));
    assert_eq!(bench.content(LEAF), then);
}

#[test]
fn a_checkpoint_for_a_backup_is_not_gone_back_to() {
    let mut bench = bench(Rules::default());
    let recovery = bench.checkpoint(CheckpointKind::Recovery);
    bench.power(3);
    let refused = bench.host.apply_checkpoint(bench.vm, recovery);
    assert_eq!(refused, Err(Refusal::INVALID_PARAMETER));
}

#[test]
fn memory_comes_back_with_its_checkpoint_until_it_is_dropped() {
    let mut bench = bench(Rules::default());
    let standard = CheckpointWish {
        memory: true,
        ..wish(CheckpointKind::User, Consistency::Crash)
    };
    let job = bench.host.create_checkpoint(bench.vm, standard);
    let id = bench.made(job.unwrap());
    let saved = bench.vm().checkpoints[0].settings.saved;
    assert!(saved.is_some());
    assert_eq!(bench.vm().power, Power::Running, "it goes on");
    bench.power(3);
    bench.apply(id);
    assert_eq!(
        (bench.vm().power, bench.vm().settings.saved),
        (Power::Saved, saved)
    );
    let job = bench.host.clear_state(bench.vm, id).unwrap();
    assert_eq!(bench.end(job), End::Completed(None));
    bench.apply(id);
    assert_eq!(
        (bench.vm().power, bench.vm().settings.saved),
        (Power::Off, None)
    );
}

/// No source tells what becomes of change tracking, so all that is possible is.
#[test]
fn tracking_after_going_back_is_as_the_scenario_says() {
    for rule in [AfterApply::Blind, AfterApply::Whole, AfterApply::Lost] {
        let mut bench = bench(Rules {
            after_apply: rule,
            tracking_unit: 4096,
            ..Rules::default()
        });
        let mut model = vec![0; SIZE as usize];
        let first = bench.checkpoint(CheckpointKind::User);
        bench.write(&mut model, 1 << 20, 1, 4096);
        let recovery = bench.checkpoint(CheckpointKind::Recovery);
        let job = bench.host.convert_checkpoint(bench.vm, recovery).unwrap();
        bench.made(job);
        bench.settle();
        let id = bench.vm().reference_points[0].tracked[0]
            .id
            .clone()
            .unwrap();
        bench.power(3);
        bench.apply(first);
        bench.power(2);
        let next = bench.checkpoint(CheckpointKind::Recovery);
        let path = bench.frozen(next);
        let told = bench.changes(&path, &id).map(|changes| changes.ranges);
        match rule {
            // The write at 1 MiB is undone, and nobody says so.
            AfterApply::Blind => assert_eq!(told, Ok(vec![])),
            AfterApply::Whole => assert_eq!(told, Ok(vec![ByteRange::new(0, SIZE)])),
            AfterApply::Lost => assert_eq!(told, Err(Refusal::FAILED)),
        }
    }
}
