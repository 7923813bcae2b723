//! Copies of what checkpoints for backups froze.

use super::*;

#[test]
fn they_are_the_disks_as_they_were_with_all_below_them() {
    let mut bench = bench(Rules::default());
    let copies = bench.folder.path().join("kept");
    bench.host.keep_frozen(&copies);
    let mut model = vec![0; SIZE as usize];
    let mut moments = Vec::new();
    for (byte, kind) in [
        (1, CheckpointKind::Recovery),
        (2, CheckpointKind::User),
        (3, CheckpointKind::Recovery),
    ] {
        bench.write(&mut model, usize::from(byte) << 20, byte, 4096);
        let checkpoint = bench.checkpoint(kind);
        if kind == CheckpointKind::Recovery {
            moments.push((model.clone(), bench.frozen(checkpoint)));
            bench.write(&mut model, 4096, 10 + byte, 4096);
            let job = bench.host.convert_checkpoint(bench.vm, checkpoint).unwrap();
            bench.made(job);
            bench.settle();
        }
    }
    // What was frozen has been merged and written over since.
    let of_vm = copies.join(bench.vm.hyphenated().to_string());
    for (number, (then, path)) in (1..).zip(&moments) {
        let kept = Files::new(of_vm.join(number.to_string()));
        let drive = kept.root().join("D");
        let files = Folders::new().mount("D:\\", drive);
        let chain = open_chain(&files, &kept.local(path).unwrap()).unwrap();
        let mut bytes = vec![0; SIZE as usize];
        chain.read_at(0, &mut bytes).unwrap();
        assert!(bytes == *then, "{number}");
        assert_eq!(chain.layers().len(), number, "with the user's below it");
    }
    assert_eq!(std::fs::read_dir(&of_vm).unwrap().count(), 2, "and no more");
    assert!(bench.content(&bench.leaf()) == model);
}

/// Who wants them kept gets no checkpoint without a copy.
#[test]
fn a_checkpoint_that_cannot_be_kept_is_none() {
    let mut bench = bench(Rules::default());
    let copies = bench.folder.path().join("kept");
    std::fs::write(&copies, "no folder").unwrap();
    bench.host.keep_frozen(&copies);
    let job = bench.host.create_checkpoint(bench.vm, RECOVERY).unwrap();
    assert!(matches!(bench.end(job), End::Failed(_)));
    assert_eq!((bench.leaf().as_str(), bench.images()), (LEAF, 1));
    assert_eq!(bench.vm().checkpoints.len(), 0);
}
