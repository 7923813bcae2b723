//! Whatever people do between two backups, an incremental one is what a full one would be.
//!
//! The host goes back to checkpoints without its change tracking noticing anything: the worst that
//! is thinkable where nobody knows what hosts do.

use std::time::Duration;

use disk::{BlockRead, ByteRange};
use hyperkeep_hyperv::frozen::{Frozen, LayerReading, Reading};
use hyperkeep_hyperv::plan::{Policy, WantedMode};
use hyperkeep_hyperv::tracking::Token;
use lab::state::{CheckpointKind, CheckpointWish, Consistency, Host};
use std::collections::HashMap;
use testkit::crash::Random;
use testkit::vary;
use uuid::Uuid;

use crate::support::{Lab, MARK, SIZE};

const SCENARIO: &str = r#"{
    "vms": [{"name": "a", "guest": {"name": "Windows", "version": "10.0", "platform": 2},
             "disks": [{"path": "D:\\VMs\\a\\a.vhdx", "size": 4194304}]}],
    "rules": {"tracking-unit": 4096, "most-changes": 3, "after-apply": "blind"}
}"#;

fn settle(lab: &Lab, host: &mut Host) {
    for _ in 0..4 {
        lab.time.clock.advance(Duration::from_secs(30));
        host.advance();
    }
}

/// One thing that people or the guest do; what it was.
fn act(lab: &Lab, random: &mut Random) -> String {
    let vm = lab.vm();
    let mut service = lab.server.service();
    let host = &mut service.repository.host;
    let theirs: Vec<Uuid> = host.vms()[0]
        .checkpoints
        .iter()
        .map(|c| c.settings.id)
        .collect();
    let any =
        |random: &mut Random| theirs[usize::try_from(random.below(theirs.len() as u64)).unwrap()];
    let what = match (random.below(10), theirs.len()) {
        (0..5, _) => {
            let offset = random.below(SIZE / 4096) * 4096;
            let byte = u8::try_from(random.below(255)).unwrap() + 1;
            host.guest_writes(vm, 0, offset, &[byte; 4096]).unwrap();
            format!("write {offset}")
        }
        (5, 0..4) => {
            let wish = CheckpointWish {
                kind: CheckpointKind::User,
                consistency: Consistency::Crash,
                ignore_unfreezable: false,
                memory: false,
            };
            host.create_checkpoint(vm, wish).unwrap();
            "checkpoint".to_owned()
        }
        (6..8, 1..) => {
            let checkpoint = any(random);
            host.change_state(vm, 3).unwrap();
            settle(lab, host);
            host.apply_checkpoint(vm, checkpoint).unwrap();
            settle(lab, host);
            host.change_state(vm, 2).unwrap();
            format!("apply {checkpoint}")
        }
        (8, 1..) => {
            let checkpoint = any(random);
            host.destroy_checkpoint(vm, checkpoint).unwrap();
            format!("remove {checkpoint}")
        }
        _ => return String::new(),
    };
    settle(lab, host);
    what
}

fn ranges(reading: &Reading) -> (Vec<ByteRange>, bool) {
    match reading {
        Reading::Full(_) => (vec![ByteRange::new(0, SIZE)], false),
        Reading::Changed(ranges) => (ranges.iter().collect(), true),
    }
}

fn read(from: &dyn BlockRead, ranges: &[ByteRange], copy: &mut [u8]) {
    for range in ranges {
        let (at, end) = (range.start as usize, range.end as usize);
        from.read_at(range.start, &mut copy[at..end]).unwrap();
    }
}

fn whole(from: &dyn BlockRead) -> Vec<u8> {
    let mut all = vec![0; SIZE as usize];
    read(from, &[ByteRange::new(0, SIZE)], &mut all);
    all
}

#[test]
fn an_incremental_backup_is_what_a_full_one_would_be() {
    let (mut incremental, mut full) = (0, 0);
    for seed in 0..u64::from(vary::cases(6)) {
        let lab = Lab::start(SCENARIO);
        let plan = lab.plan(&Policy::default());
        let mut random = Random(vary::seed(seed * 7919 + 1));
        let (mut token, mut copy): (Option<Token>, Vec<u8>) = (None, vec![0; SIZE as usize]);
        let mut history = Vec::new();
        for _ in 0..8 {
            for _ in 0..=random.below(4) {
                history.push(act(&lab, &mut random));
            }
            token = lab.with(|control| {
                let request = plan.request(MARK, token.as_ref(), false);
                let frozen = Frozen::take(control, &lab.files(), &request).unwrap();
                let disk = &frozen.disks[0];
                let (ranges, changed) = ranges(&disk.reading);
                incremental += usize::from(changed);
                full += usize::from(!changed);
                read(&disk.chain, &ranges, &mut copy);
                assert!(
                    copy == whole(&disk.chain),
                    "{seed}: {history:?}: {:?}",
                    disk.reading
                );
                history.push(format!("backup {changed}"));
                let kept = frozen.keep();
                assert_eq!(kept.problems, [""; 0]);
                kept.token
            });
            lab.rest();
        }
    }
    // It is no proof if everything was read each time.
    assert!(incremental > 10 && full > 6, "{incremental} {full}");
}

#[test]
fn layers_that_are_said_to_be_unchanged_are() {
    let policy = Policy {
        mode: WantedMode::AllCheckpoints,
        ..Policy::default()
    };
    let (mut unchanged, mut changed) = (0, 0);
    for seed in 0..u64::from(vary::cases(5)) {
        let lab = Lab::start(SCENARIO);
        let plan = lab.plan(&policy);
        let mut random = Random(vary::seed(seed * 104_729 + 3));
        let (mut token, mut copies): (Option<Token>, HashMap<String, Vec<u8>>) =
            (None, HashMap::new());
        let mut history = Vec::new();
        for _ in 0..6 {
            for _ in 0..=random.below(4) {
                history.push(act(&lab, &mut random));
            }
            token = lab.with(|control| {
                let request = plan.request(MARK, token.as_ref(), false);
                let frozen = Frozen::take(control, &lab.files(), &request).unwrap();
                let tree = frozen.tree.as_ref().unwrap();
                assert_eq!(
                    (tree.lost.len(), tree.lost_files.len()),
                    (0, 0),
                    "{history:?}"
                );
                let mut next = HashMap::new();
                for layer in &tree.layers {
                    let old = copies.get(&layer.path).cloned();
                    let copy = match &layer.reading {
                        LayerReading::Full(_) => whole(&*layer.layer),
                        LayerReading::Unchanged => {
                            unchanged += 1;
                            old.unwrap()
                        }
                        LayerReading::Changed(ranges) => {
                            changed += 1;
                            let mut copy = old.unwrap();
                            let ranges: Vec<ByteRange> = ranges.iter().collect();
                            read(&*layer.layer, &ranges, &mut copy);
                            copy
                        }
                    };
                    let right = copy == whole(&*layer.layer);
                    assert!(
                        right,
                        "{seed}: {history:?}: {} {:?}",
                        layer.path, layer.reading
                    );
                    next.insert(layer.path.clone(), copy);
                }
                copies = next;
                history.push("backup".to_owned());
                frozen.keep().token
            });
            lab.rest();
        }
    }
    assert!(unchanged > 5 && changed > 5, "{unchanged} {changed}");
}
