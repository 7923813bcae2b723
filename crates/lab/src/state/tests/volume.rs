//! Volumes that are full.

use super::*;

const MIB: u64 = 1 << 20;

fn small(others: u64) -> Bench {
    let mut bench = bench(Rules::default());
    let id = bench.host.new_id();
    bench.host.volumes.push(Volume {
        id,
        name: "D:\\".into(),
        capacity: 1 << 30,
        others,
    });
    bench
}

impl Bench {
    fn leave(&mut self, free: u64) {
        let space = Accident::Space("d:\\".into(), free);
        self.host.suffer(&space).unwrap();
        let volume = self.host.volumes[0].clone();
        assert_eq!(self.host.free(&volume).unwrap(), free);
    }
}

#[test]
fn what_is_free_follows_from_the_files() {
    let mut bench = small(1000);
    let free = |bench: &Bench| bench.host.free(&bench.host.volumes[0]).unwrap();
    let before = free(&bench);
    assert!(before < (1 << 30) - 1000 - MIB, "{before}");
    bench.checkpoint(CheckpointKind::Recovery);
    let leaf = std::fs::metadata(bench.host.files().local(&bench.leaf()).unwrap());
    let grown = before - free(&bench);
    let len = leaf.unwrap().len();
    assert!(grown >= len && grown < len + MIB, "{grown} {len}");
}

#[test]
fn without_room_there_is_no_checkpoint_and_nothing_is_left() {
    let mut bench = small(0);
    bench.leave(MIB);
    let job = bench.host.create_checkpoint(bench.vm, RECOVERY).unwrap();
    let End::Failed(failure) = bench.end(job) else {
        panic!("there was room");
    };
    assert_eq!(failure.hresult, Some(0x8007_0070));
    assert_eq!((bench.vm().checkpoints.len(), bench.images()), (0, 1));
    bench.leave(64 * MIB);
    bench.checkpoint(CheckpointKind::Recovery);
}

#[test]
fn a_vm_stands_still_while_its_volume_is_full() {
    let mut bench = small(0);
    let mut model = vec![0; SIZE as usize];
    bench.write(&mut model, 0, 1, 4096);
    bench.leave(0);
    let refused = bench.host.guest_writes(bench.vm, 0, 4096, &[2; 512]);
    assert!(matches!(refused, Err(FileError::Full(_))), "{refused:?}");
    assert_eq!(
        (bench.vm().power, bench.vm().critical),
        (Power::Paused, true)
    );
    assert_eq!(bench.content(LEAF), model);
    bench.leave(MIB);
    assert!(bench.vm().critical, "still too little");
    bench.leave(64 * MIB);
    assert_eq!(
        (bench.vm().power, bench.vm().critical),
        (Power::Running, false)
    );
    bench.write(&mut model, 4096, 2, 512);
    assert_eq!(bench.content(LEAF), model);
}

#[test]
fn a_merge_without_room_waits_for_it() {
    let mut bench = small(0);
    let mut model = vec![0; SIZE as usize];
    let checkpoint = bench.checkpoint(CheckpointKind::Recovery);
    bench.write(&mut model, 3 << 20, 1, 4096);
    bench.leave(MIB);
    let job = bench.host.destroy_checkpoint(bench.vm, checkpoint).unwrap();
    assert_eq!(bench.end(job), End::Completed(None));
    bench.settle();
    let merge = bench.host.jobs().iter().find(|job| job.kind == 50);
    let Some((_, End::Failed(failure))) = merge.and_then(|job| job.end.clone()) else {
        panic!("{merge:?}");
    };
    assert_eq!(failure.hresult, Some(0x8007_0070));
    assert_eq!(bench.images(), 2);
    assert_eq!(bench.content(&bench.leaf()), model);
    bench.leave(64 * MIB);
    bench.settle();
    assert_eq!((bench.images(), bench.leaf().as_str()), (1, LEAF));
    assert_eq!(bench.content(LEAF), model);
}

#[test]
fn a_merge_that_fails_once_is_taken_up_with_the_next() {
    let mut bench = bench(Rules::default());
    let first = bench.checkpoint(CheckpointKind::Recovery);
    let failure = Failure::general(Some(0x8007_0299), "19100");
    let accident = Accident::MergeFails(failure.clone());
    bench.host.suffer(&accident).unwrap();
    let job = bench.host.destroy_checkpoint(bench.vm, first).unwrap();
    bench.end(job);
    bench.settle();
    assert_eq!(bench.images(), 2);
    let ends = bench.host.jobs().iter().map(|job| job.end.clone());
    assert!(
        ends.flatten()
            .any(|(_, end)| end == End::Failed(failure.clone()))
    );
    // The chain has grown, and is one file again in the end.
    let second = bench.checkpoint(CheckpointKind::Recovery);
    assert_eq!(bench.images(), 3);
    let job = bench.host.destroy_checkpoint(bench.vm, second).unwrap();
    bench.end(job);
    bench.settle();
    assert_eq!(bench.images(), 1);
}
