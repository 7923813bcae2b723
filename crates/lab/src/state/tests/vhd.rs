//! VHDs: frozen, written to and merged as VHDX are, and never tracked.

use disk::Format;

use super::*;
use crate::scenario::Scenario;

const VHD: &str = "D:\\VMs\\web\\disk.vhd";

fn legacy() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new("2026-10-05T04:00:00Z".parse().unwrap());
    let text = format!(
        r#"{{"vms": [{{"name": "web", "generation": 1,
            "disks": [{{"path": {VHD:?}, "size": {SIZE}}}]}}]}}"#
    );
    let scenario = Scenario::read(&text).unwrap();
    let host = scenario.build(folder.path(), Arc::new(clock.clone()));
    let host = host.unwrap();
    let vm = host.vms()[0].id;
    Bench {
        host,
        clock,
        vm,
        folder,
    }
}

#[test]
fn they_are_frozen_and_merged_and_keep_their_identity() {
    let mut bench = legacy();
    let mut model = vec![0; SIZE as usize];
    let identity = |bench: &Bench| bench.host.files().info(VHD).unwrap().identity();
    let before = identity(&bench);
    let mut moments = Vec::new();
    for byte in 1..5 {
        let at = usize::from(byte) * (1 << 20) + 512;
        bench.write(&mut model, at, byte, 3 * 512);
        bench.write(&mut model, at - 512, 0, 1024);
        let kind = match byte {
            2 | 4 => CheckpointKind::Recovery,
            _ => CheckpointKind::User,
        };
        moments.push((bench.checkpoint(kind), model.clone()));
    }
    bench.write(&mut model, 2 << 20, 9, 4096);
    assert!(bench.leaf().ends_with(".avhd"), "{}", bench.leaf());
    let tracked = bench.vm().checkpoints.iter().map(|c| c.tracked.len());
    assert_eq!(tracked.collect::<Vec<_>>(), [0; 4]);
    let same = |bench: &Bench, moments: &[(Uuid, Vec<u8>)], model: &[u8]| {
        for (id, then) in moments {
            assert!(bench.content(&bench.frozen(*id)) == *then, "{id}");
        }
        assert!(bench.content(&bench.leaf()) == model);
        // One for each checkpoint, and the one that is written to: nothing is left beside them.
        assert_eq!(bench.images(), moments.len() + 1);
    };
    same(&bench, &moments, &model);
    // From the middle, from the end, from the beginning.
    for at in [1, 2, 0, 0] {
        let (id, _) = moments.remove(at);
        let job = bench.host.destroy_checkpoint(bench.vm, id).unwrap();
        assert_eq!(bench.end(job), End::Completed(None));
        bench.settle();
        same(&bench, &moments, &model);
        bench.write(&mut model, 6 << 20, 10 + u8::try_from(at).unwrap(), 512);
    }
    assert_eq!(bench.leaf(), VHD);
    assert_eq!(identity(&bench), before);
    let info = bench.host.files().info(VHD).unwrap();
    assert!(matches!(info.format, Format::Vhd(_)) && info.parent.is_none());
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let mut bench = legacy();
    let mut model = vec![0; SIZE as usize];
    bench.write(&mut model, 0, 1, 512);
    bench.checkpoint(CheckpointKind::User);
    // A child has whole sectors only, and a disk has an end.
    for (offset, len) in [(100, 512), (SIZE, 512)] {
        let wrong = bench.host.guest_writes(bench.vm, 0, offset, &vec![7; len]);
        assert!(matches!(wrong, Err(FileError::Disk { .. })), "{wrong:?}");
    }
    assert!(bench.content(&bench.leaf()) == model);
    assert_eq!(bench.images(), 2);
}
