//! The state machine against a plain model: what a guest wrote, frozen at checkpoints.

use std::sync::Arc;
use std::time::Duration;

use disk::resolve::{Folders, open_chain};
use disk::{BlockRead, ByteRange, ByteRanges, Geometry};
use uuid::Uuid;

use super::*;
use crate::clock::{Clock, ManualClock, counted_ids};

mod accident;
mod cluster;
mod configuration;
mod frozen;
mod jobs;
mod replica;
mod tree;
mod vhd;
mod volume;

const SIZE: u64 = 8 << 20;
const LEAF: &str = "D:\\VMs\\web\\disk.vhdx";

struct Bench {
    host: Host,
    clock: ManualClock,
    vm: Uuid,
    folder: tempfile::TempDir,
}

fn settings(id: Uuid, controller: Uuid, medium: Vec<Medium>) -> Settings {
    let drive = |(slot, medium)| Drive {
        controller: 0,
        slot,
        medium,
    };
    Settings {
        id,
        name: "web".into(),
        notes: String::new(),
        generation: 2,
        version: "9.0".into(),
        folder: "D:\\VMs\\web".into(),
        checkpoint_folder: None,
        planned: false,
        firmware: id,
        memory: 1024,
        dynamic_memory: None,
        processors: 2,
        checkpoint_type: 3,
        secure_boot: true,
        boot: Vec::new(),
        boot_file: false,
        tpm: false,
        shielded: false,
        controllers: vec![Controller {
            id: controller,
            kind: ControllerKind::Scsi,
            number: 0,
        }],
        drives: (0..).zip(medium).map(drive).collect(),
        adapters: Vec::new(),
        host_devices: Vec::new(),
        backup_service: true,
        saved: None,
        changed: Vec::new(),
    }
}

fn bench(rules: Rules) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new("2026-10-05T04:00:00Z".parse().unwrap());
    let mut host = Host::new(NewHost {
        name: "HV01".into(),
        files: Files::new(folder.path()),
        clock: Arc::new(clock.clone()),
        ids: counted_ids(1),
        rules,
    });
    let (vm, controller) = (host.new_id(), host.new_id());
    let geometry = Geometry {
        len: SIZE,
        logical_sector: 512,
        physical_sector: 4096,
    };
    host.create_disk(LEAF, geometry).unwrap();
    let medium = Medium::Disk {
        path: LEAF.into(),
        shared: false,
    };
    let now = host.now();
    let vm_now = Vm {
        id: vm,
        planned: false,
        power: Power::Running,
        power_since: now,
        starts: 1,
        created: now,
        settings: settings(vm, controller, vec![medium]),
        parent: None,
        last_applied: None,
        checkpoints: Vec::new(),
        reference_points: Vec::new(),
        critical: false,
        merges_off: false,
        merge_failed: false,
        busy: None,
        guest: Guest {
            backup_status: 2,
            settles: true,
            system: None,
        },
        replication: None,
    };
    host.add_vm(vm_now).unwrap();
    Bench {
        host,
        clock,
        vm,
        folder,
    }
}

fn wish(kind: CheckpointKind, consistency: Consistency) -> CheckpointWish {
    CheckpointWish {
        kind,
        consistency,
        memory: false,
        ignore_unfreezable: false,
    }
}

const RECOVERY: CheckpointWish = CheckpointWish {
    kind: CheckpointKind::Recovery,
    consistency: Consistency::Application,
    memory: false,
    ignore_unfreezable: false,
};

impl Bench {
    fn end(&mut self, job: JobId) -> End {
        for _ in 0..100 {
            self.host.advance();
            if let Some((_, end)) = &self.host.job(job).expect("the job is still known").end {
                return end.clone();
            }
            self.clock.advance(Duration::from_secs(1));
        }
        panic!("the job does not end");
    }

    fn made(&mut self, job: JobId) -> Uuid {
        match self.end(job) {
            End::Completed(Some(Made::Checkpoint(id) | Made::ReferencePoint(id))) => id,
            other => panic!("{other:?}"),
        }
    }

    fn checkpoint(&mut self, kind: CheckpointKind) -> Uuid {
        let job = self
            .host
            .create_checkpoint(self.vm, wish(kind, Consistency::Application));
        self.made(job.unwrap())
    }

    fn settle(&mut self) {
        self.clock.advance(Duration::from_secs(60));
        self.host.advance();
        assert_eq!(self.vm().busy, None);
    }

    fn vm(&self) -> &Vm {
        self.host.vm(self.vm).unwrap()
    }

    fn write(&mut self, model: &mut [u8], offset: usize, byte: u8, len: usize) {
        self.host
            .guest_writes(self.vm, 0, offset as u64, &vec![byte; len])
            .unwrap();
        model[offset..offset + len].fill(byte);
    }

    /// What a file of the host shows, read by the project's own chain reader from the folder.
    fn content(&self, path: &str) -> Vec<u8> {
        let files = Folders::new().mount("D:\\", self.folder.path().join("D"));
        let chain = open_chain(&files, &self.host.files().local(path).unwrap()).unwrap();
        let mut bytes = vec![0; SIZE as usize];
        chain.read_at(0, &mut bytes).unwrap();
        bytes
    }

    fn leaf(&self) -> String {
        self.vm().settings.disks().next().unwrap().1.to_owned()
    }

    fn frozen(&self, checkpoint: Uuid) -> String {
        let found = self.vm().checkpoint(checkpoint).unwrap();
        found.settings.disks().next().unwrap().1.to_owned()
    }

    fn images(&self) -> usize {
        let folder = std::fs::read_dir(self.folder.path().join("D/VMs/web"));
        let kinds = folder.unwrap().map(|entry| entry.unwrap().file_type());
        kinds
            .filter(|kind| kind.as_ref().unwrap().is_file())
            .count()
    }

    fn changes(&mut self, path: &str, since: &str) -> Result<Changes, Refusal> {
        self.host.changes(&ChangesQuery {
            path: path.into(),
            since: since.into(),
            offset: 0,
            len: SIZE,
        })
    }
}

#[test]
fn a_backup_cycle_freezes_tracks_and_merges() {
    let mut bench = bench(Rules::default());
    let mut model = vec![0; SIZE as usize];
    bench.write(&mut model, 4096, 1, 100 << 10);
    let first = bench.checkpoint(CheckpointKind::Recovery);
    let frozen = bench.frozen(first);
    assert_eq!(frozen, LEAF);
    assert_ne!(bench.leaf(), LEAF, "the VM goes on in a child");
    let then = model.clone();
    bench.write(&mut model, 3 << 20, 2, 512);
    assert_eq!(bench.content(&frozen), then, "what was frozen stays");
    assert_eq!(bench.content(&bench.leaf()), model);
    let job = bench.host.convert_checkpoint(bench.vm, first).unwrap();
    let point = bench.made(job);
    bench.settle();
    assert_eq!((bench.leaf().as_str(), bench.images()), (LEAF, 1), "merged");
    assert_eq!(bench.content(LEAF), model);
    let id = bench.vm().reference_points[0].tracked[0]
        .id
        .clone()
        .unwrap();
    assert_eq!(bench.vm().reference_points[0].id, point);
    bench.write(&mut model, (5 << 20) + 512, 3, 512);
    let second = bench.checkpoint(CheckpointKind::Recovery);
    bench.write(&mut model, 7 << 20, 4, 512);
    let path = bench.frozen(second);
    let changes = bench.changes(&path, &id).unwrap();
    // Both writes since the point, each rounded to the unit; the one behind the freeze is not there.
    let unit = 32 << 10;
    let expected = [3 << 20, 5 << 20].map(|at| ByteRange::new(at, at + unit));
    assert_eq!(
        (changes.processed, changes.ranges),
        (SIZE, expected.to_vec())
    );
}

#[test]
fn a_point_that_is_destroyed_takes_its_ids_with_it() {
    let mut bench = bench(Rules::default());
    let checkpoint = bench.checkpoint(CheckpointKind::Recovery);
    let job = bench.host.convert_checkpoint(bench.vm, checkpoint).unwrap();
    let point = bench.made(job);
    bench.settle();
    let id = bench.vm().reference_points[0].tracked[0]
        .id
        .clone()
        .unwrap();
    let second = bench.checkpoint(CheckpointKind::Recovery);
    let path = bench.frozen(second);
    assert!(bench.changes(&path, &id).is_ok());
    assert_eq!(bench.changes(&path, "rctX:other"), Err(Refusal::FAILED));
    let job = bench.host.destroy_reference_point(bench.vm, point).unwrap();
    assert_eq!(bench.end(job), End::Completed(None));
    assert_eq!(bench.changes(&path, &id), Err(Refusal::FAILED));
    let job = bench.host.destroy_reference_point(bench.vm, point);
    assert_eq!(job, Err(Refusal::INVALID_PARAMETER));
}

#[test]
fn lost_tracking_forgets_everything_and_begins_anew() {
    let mut bench = bench(Rules::default());
    let first = bench.checkpoint(CheckpointKind::Recovery);
    let id = bench.vm().checkpoints[0].tracked[0].id.clone().unwrap();
    bench.host.lose_tracking(LEAF).unwrap();
    let path = bench.frozen(first);
    assert_eq!(bench.changes(&path, &id), Err(Refusal::FAILED));
    bench.checkpoint(CheckpointKind::Recovery);
    let new = bench.vm().checkpoints[1].tracked[0].id.clone().unwrap();
    let second = bench.frozen(bench.vm().checkpoints[1].settings.id);
    assert!(bench.changes(&second, &new).is_ok());
    assert_eq!(bench.changes(&second, &id), Err(Refusal::FAILED));
}

#[test]
fn a_running_leaf_cannot_be_asked_for_changes() {
    let mut bench = bench(Rules::default());
    let checkpoint = bench.checkpoint(CheckpointKind::Recovery);
    let id = bench.vm().checkpoints[0].tracked[0].id.clone().unwrap();
    let (leaf, frozen) = (bench.leaf(), bench.frozen(checkpoint));
    assert_eq!(bench.changes(&leaf, &id), Err(Refusal(32774)));
    assert_eq!(
        bench.changes("D:\\nothing.vhdx", &id),
        Err(Refusal::NO_FILE)
    );
    assert_eq!(bench.changes(&frozen, &id).unwrap().ranges, []);
    for (offset, len) in [(0, 0), (0, SIZE + 1), (SIZE, 1), (u64::MAX, 2)] {
        let query = ChangesQuery {
            path: frozen.clone(),
            since: id.clone(),
            offset,
            len,
        };
        assert_eq!(bench.host.changes(&query), Err(Refusal::INVALID_PARAMETER));
    }
}

#[test]
fn an_answer_may_be_partial_and_goes_on_where_it_ended() {
    let rules = Rules {
        most_changes: 2,
        tracking_unit: 4096,
        ..Rules::default()
    };
    let mut bench = bench(rules);
    bench.checkpoint(CheckpointKind::Recovery);
    let id = bench.vm().checkpoints[0].tracked[0].id.clone().unwrap();
    let mut model = vec![0; SIZE as usize];
    for n in 0..7 {
        bench.write(&mut model, n << 20, 9, 512);
    }
    let second = bench.checkpoint(CheckpointKind::Recovery);
    let path = bench.frozen(second);
    let (mut offset, mut all, mut answers) = (0, ByteRanges::new(), 0);
    while offset < SIZE {
        let answer = bench.host.changes(&ChangesQuery {
            path: path.clone(),
            since: id.clone(),
            offset,
            len: SIZE - offset,
        });
        let answer = answer.unwrap();
        assert!(answer.ranges.len() <= 2 && answer.processed > 0);
        all = all.union(&answer.ranges.into_iter().collect());
        offset += answer.processed;
        answers += 1;
    }
    let expected = (0..7_u64).map(|n| ByteRange::new(n << 20, (n << 20) + 4096));
    assert_eq!((all, answers), (expected.collect(), 4));
}

#[test]
fn checkpoints_of_users_stay_when_one_for_a_backup_goes() {
    let mut bench = bench(Rules::default());
    let mut model = vec![0; SIZE as usize];
    let mut moments = Vec::new();
    for byte in 1..4 {
        bench.write(&mut model, usize::from(byte) << 20, byte, 4096);
        let kind = match byte {
            2 => CheckpointKind::Recovery,
            _ => CheckpointKind::User,
        };
        moments.push((bench.checkpoint(kind), model.clone()));
    }
    bench.write(&mut model, 6 << 20, 9, 4096);
    for (id, then) in &moments {
        assert_eq!(&bench.content(&bench.frozen(*id)), then);
    }
    assert_eq!(bench.vm().checkpoints[2].parent, Some(moments[1].0));
    let job = bench
        .host
        .destroy_checkpoint(bench.vm, moments[1].0)
        .unwrap();
    assert_eq!(bench.end(job), End::Completed(None));
    assert_eq!(bench.vm().busy.map(|(busy, _)| busy), Some(Busy::Merging));
    let refused = bench.host.create_checkpoint(bench.vm, RECOVERY);
    assert_eq!(refused, Err(Refusal::INVALID_STATE), "while it merges");
    bench.settle();
    assert_eq!(bench.images(), 3);
    assert_eq!(bench.content(&bench.frozen(moments[0].0)), moments[0].1);
    assert_eq!(bench.content(&bench.frozen(moments[2].0)), moments[2].1);
    assert_eq!(bench.content(&bench.leaf()), model);
    assert_eq!(bench.vm().checkpoints[1].parent, Some(moments[0].0));
    // Destroying the rest leaves one file with everything.
    for id in [moments[2].0, moments[0].0] {
        let job = bench.host.destroy_checkpoint(bench.vm, id).unwrap();
        bench.end(job);
        bench.settle();
    }
    assert_eq!((bench.leaf().as_str(), bench.images()), (LEAF, 1));
    assert_eq!(bench.content(LEAF), model);
    assert_eq!(bench.vm().parent, None);
}

#[test]
fn tracking_misses_as_many_writes_as_it_is_told_to() {
    let mut bench = bench(Rules {
        missed_writes: 500,
        tracking_unit: 512,
        ..Rules::default()
    });
    bench.checkpoint(CheckpointKind::Recovery);
    let id = bench.vm().checkpoints[0].tracked[0].id.clone().unwrap();
    let mut model = vec![0; SIZE as usize];
    for n in 0..100 {
        bench.write(&mut model, n * 1024, 9, 512);
    }
    let second = bench.checkpoint(CheckpointKind::Recovery);
    let path = bench.frozen(second);
    assert_eq!(bench.content(&path), model, "only the tracking misses them");
    let told = bench.changes(&path, &id).unwrap().ranges.len();
    // The 99.9 % band of a fair coin.
    assert!((34..=66).contains(&told), "{told}");
}

#[test]
fn a_failing_merge_leaves_a_chain_that_reads_the_same() {
    let mut bench = bench(Rules {
        merges_fail: true,
        ..Rules::default()
    });
    let mut model = vec![0; SIZE as usize];
    bench.write(&mut model, 0, 1, 4096);
    let checkpoint = bench.checkpoint(CheckpointKind::Recovery);
    bench.write(&mut model, 4096, 2, 4096);
    let job = bench.host.destroy_checkpoint(bench.vm, checkpoint).unwrap();
    bench.end(job);
    bench.settle();
    assert_eq!(bench.images(), 2);
    assert_eq!(bench.content(&bench.leaf()), model);
    assert_eq!(bench.host.parent_of(&bench.leaf()), Some(LEAF));
}

/// What is written between the first checkpoint of a disk and its reference point.
#[test]
fn tracking_begins_with_the_checkpoint_or_with_the_reference_point() {
    for late in [false, true] {
        let mut bench = bench(Rules {
            tracking_begins_late: late,
            ..Rules::default()
        });
        let mut model = vec![0; SIZE as usize];
        let since = |bench: &Bench| bench.vm().reference_points[0].tracked[0].id.clone();
        let ask = |bench: &mut Bench, id: &str| {
            let checkpoint = bench.checkpoint(CheckpointKind::Recovery);
            let path = bench.frozen(checkpoint);
            let told = bench.changes(&path, id).unwrap().ranges;
            (checkpoint, told)
        };
        let first = bench.checkpoint(CheckpointKind::Recovery);
        bench.write(&mut model, 0, 1, 4096);
        let job = bench.host.convert_checkpoint(bench.vm, first).unwrap();
        bench.made(job);
        bench.settle();
        let id = since(&bench).unwrap();
        bench.write(&mut model, 1 << 20, 2, 4096);
        let (second, told) = ask(&mut bench, &id);
        let unit = 32 << 10;
        let [early, later] = [0, 1 << 20].map(|at| ByteRange::new(at, at + unit));
        match late {
            false => assert_eq!(told, [early, later]),
            true => assert_eq!(told, [later]),
        }
        // From then on it is tracked, also while a checkpoint is there.
        bench.write(&mut model, 2 << 20, 3, 4096);
        let job = bench.host.convert_checkpoint(bench.vm, second).unwrap();
        bench.made(job);
        bench.settle();
        let (_, told) = ask(&mut bench, &id);
        assert!(told.contains(&ByteRange::new(2 << 20, (2 << 20) + unit)));
    }
}

#[test]
fn several_reference_points_keep_merges_waiting_if_the_rules_say_so() {
    let mut bench = bench(Rules {
        points_block_merges: true,
        ..Rules::default()
    });
    let mut model = vec![0; SIZE as usize];
    for number in 1..3 {
        let checkpoint = bench.checkpoint(CheckpointKind::Recovery);
        bench.write(&mut model, usize::from(number) << 20, number, 4096);
        let job = bench.host.convert_checkpoint(bench.vm, checkpoint).unwrap();
        bench.made(job);
        bench.settle();
        assert_eq!(bench.images(), usize::from(number));
        assert_eq!(bench.content(&bench.leaf()), model);
    }
    let old = bench.vm().reference_points[0].id;
    let job = bench.host.destroy_reference_point(bench.vm, old).unwrap();
    assert_eq!(bench.end(job), End::Completed(None));
    bench.settle();
    assert_eq!((bench.leaf().as_str(), bench.images()), (LEAF, 1));
    assert_eq!(bench.content(LEAF), model);
}
