//! A replica that applies deltas, and a backup in its way.

use super::*;

fn replica(rules: Rules) -> Bench {
    let mut bench = bench(Rules {
        tracking_unit: 4096,
        ..rules
    });
    let start = bench.clock.now();
    let vm = bench.host.vm_mut(bench.vm).unwrap();
    vm.power = Power::Off;
    vm.replication = Some(Replication {
        mode: 2,
        state: 3,
        health: 1,
        interval: 30,
        next: start.checked_add(Duration::from_secs(30)).ok(),
        delta_takes: Duration::from_secs(5),
        delta_bytes: 8192,
        deltas: 0,
        extended: false,
    });
    bench
}

const CRASH: CheckpointWish = CheckpointWish {
    consistency: Consistency::Crash,
    ..RECOVERY
};

impl Bench {
    fn pass(&mut self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.host.advance();
    }

    fn idle(&mut self) {
        self.pass(5);
        while self.vm().busy.is_some() {
            self.pass(1);
        }
    }

    fn deltas(&self) -> u32 {
        self.vm().replication.unwrap().deltas
    }
}

#[test]
fn deltas_are_applied_and_tracked() {
    let mut bench = replica(Rules::default());
    let job = bench.host.create_checkpoint(bench.vm, CRASH).unwrap();
    let first = bench.made(job);
    let job = bench.host.convert_checkpoint(bench.vm, first).unwrap();
    bench.made(job);
    bench.idle();
    let before = bench.content(&bench.leaf());
    let known = bench.deltas();
    bench.pass(100);
    assert!(bench.deltas() >= known + 2);
    let id = bench.vm().reference_points[0].tracked[0]
        .id
        .clone()
        .unwrap();
    bench.idle();
    let job = bench.host.create_checkpoint(bench.vm, CRASH).unwrap();
    let second = bench.made(job);
    let path = bench.frozen(second);
    let told: ByteRanges = bench
        .changes(&path, &id)
        .unwrap()
        .ranges
        .into_iter()
        .collect();
    let now = bench.content(&path);
    assert_ne!(now, before);
    for (at, (old, new)) in before.chunks(4096).zip(now.chunks(4096)).enumerate() {
        let page = ByteRange::at(at as u64 * 4096, 4096).unwrap();
        let covered = told.within(page).next().is_some();
        assert!(covered || old == new, "page {at} changed and is not told");
    }
}

#[test]
fn a_checkpoint_in_the_middle_of_a_delta_is_refused_as_the_scenario_says() {
    for rule in [ReplicaConflict::Refused, ReplicaConflict::Job(32775)] {
        let mut bench = replica(Rules {
            replica_conflict: rule,
            ..Rules::default()
        });
        bench.pass(31);
        assert_eq!(bench.vm().busy.map(|(busy, _)| busy), Some(Busy::Delta));
        let asked = bench.host.create_checkpoint(bench.vm, CRASH);
        match rule {
            ReplicaConflict::Refused => assert_eq!(asked, Err(Refusal::INVALID_STATE)),
            ReplicaConflict::Job(code) => {
                let End::Failed(failure) = bench.end(asked.unwrap()) else {
                    panic!("it did not fail");
                };
                assert_eq!((failure.code, failure.hresult), (code, None));
            }
        }
        assert_eq!(bench.vm().checkpoints.len(), 0);
        // Afterwards it can be had, and the delta was applied all the same.
        bench.pass(6);
        assert_eq!((bench.vm().busy, bench.deltas()), (None, 1));
        let job = bench.host.create_checkpoint(bench.vm, CRASH).unwrap();
        bench.made(job);
    }
}

#[test]
fn a_suspended_replica_gets_nothing_until_it_goes_on() {
    let mut bench = replica(Rules::default());
    let change = |bench: &mut Bench, to| {
        let job = bench.host.change_replication(bench.vm, to)?;
        assert_eq!(bench.end(job), End::Completed(None));
        Ok::<_, Refusal>(bench.vm().replication.unwrap().state)
    };
    assert_eq!(change(&mut bench, 3), Err(Refusal::INVALID_STATE));
    assert_eq!(change(&mut bench, 5), Err(Refusal::INVALID_PARAMETER));
    assert_eq!(change(&mut bench, 7), Ok(7));
    assert_eq!(change(&mut bench, 7), Err(Refusal::INVALID_STATE));
    bench.pass(300);
    assert_eq!(bench.deltas(), 0);
    assert_eq!(change(&mut bench, 1), Ok(3));
    bench.pass(29);
    assert_eq!(bench.deltas(), 0);
    bench.pass(10);
    assert_eq!(bench.deltas(), 1);
}

#[test]
fn a_checkpoint_that_is_held_may_keep_deltas_away() {
    for blocks in [false, true] {
        let mut bench = replica(Rules {
            held_checkpoint_blocks_deltas: blocks,
            ..Rules::default()
        });
        let job = bench.host.create_checkpoint(bench.vm, CRASH).unwrap();
        let held = bench.made(job);
        bench.pass(120);
        assert_eq!(bench.deltas() == 0, blocks);
        let health = bench.vm().replication.unwrap().health;
        assert_eq!(health == 2, blocks);
        bench.idle();
        let job = bench.host.destroy_checkpoint(bench.vm, held).unwrap();
        bench.end(job);
        bench.pass(120);
        assert!(bench.deltas() > 0);
        assert_eq!(bench.vm().replication.unwrap().health, 1);
    }
}

#[test]
fn without_an_interval_there_is_only_what_somebody_sends() {
    let mut bench = replica(Rules::default());
    let vm = bench.host.vm_mut(bench.vm).unwrap();
    vm.replication.as_mut().unwrap().interval = 0;
    vm.replication.as_mut().unwrap().next = None;
    bench.pass(1000);
    assert_eq!(bench.deltas(), 0);
    let sent = Accident::ReceivesDelta(bench.vm);
    bench.host.suffer(&sent).unwrap();
    bench.pass(1000);
    assert_eq!(bench.deltas(), 1);
}
