//! Killed at each step: the next run puts the host right and makes a restore point as if nothing had
//! been.
//!
//! The lab holds a request until the program that made it is killed, and then carries it out or does
//! not, or has done so before. An ordinary test run kills at each change of the host once and at one
//! request between; a night at each request from before the first change on, and at each change in all
//! three ways.

use serde_json::json;
use testkit::vary;

use crate::bench::{bytes_below, files_below};
use crate::host::written;
use crate::stage::{ANY, CBT, FIRST, Flow, MEMORY, REPLICA, STANDARD, Stage, Step, TREE};

/// What becomes of a request whose client is gone.
const FATES: [&str; 3] = ["never", "late", "done"];

/// Whether a request of this name changes the host.
fn changes(asked: &str) -> bool {
    !["Enumerate", "Pull", "Release"].contains(&asked) && !asked.starts_with("Get")
}

/// The steps at which to kill what asks so.
fn steps(flow: Flow, trace: &[String]) -> Vec<Step> {
    let night = vary::cases(1) > 1;
    let first = trace.iter().position(|asked| changes(asked)).unwrap();
    let mut steps = Vec::new();
    let mut count = flow.fate;
    for (at, asked) in trace.iter().enumerate().skip(first - 1) {
        if !changes(asked) {
            if night || at == first + 1 {
                let (on, fate) = (ANY.to_owned(), FATES[0]);
                // The first request of all is in neither.
                let skip = at;
                steps.push(Step { on, skip, fate });
            }
            continue;
        }
        let skip = trace[..at].iter().filter(|before| *before == asked).count();
        let all = FATES.iter().enumerate();
        for (_, fate) in all.filter(|(number, _)| night || *number == count % FATES.len()) {
            let on = asked.clone();
            steps.push(Step { on, skip, fate });
        }
        count += 1;
    }
    steps
}

/// Kills at each step, and looks at what the next run makes of it.
fn at_each(flow: Flow, wanted: &[&str]) {
    let mut stage = Stage::new(flow);
    let trace = stage.trace();
    let asked = trace.iter().filter(|asked| changes(asked));
    let asked: Vec<&str> = asked.map(String::as_str).collect();
    assert_eq!(asked, wanted, "{trace:?}");
    let (mut held, mut put_right) = (0, 0);
    for step in steps(flow, &trace) {
        if flow.first {
            stage = Stage::new(flow);
        }
        let what = format!("{step:?}");
        let killed = stage.kill(&step);
        // How often a job is looked at is a matter of time.
        assert!(killed || step.on == ANY, "{what}: it never came so far");
        held += stage.held_now();
        put_right += stage.next(&what);
    }
    assert!(
        held > 0 && put_right > 0,
        "{held} held, {put_right} put right"
    );
    stage.ends_well();
}

const CHECKPOINT: [&str; 2] = ["CreateSnapshot", "ModifySystemSettings"];

#[test]
fn a_first_backup() {
    at_each(FIRST, &[&CHECKPOINT[..], &[FIRST.ends]].concat());
}

#[test]
fn a_backup_by_what_changed() {
    let ends = [CBT.ends, "DestroyReferencePoint"];
    at_each(CBT, &[&CHECKPOINT[..], &ends].concat());
}

#[test]
fn a_backup_of_everything() {
    at_each(STANDARD, &[&CHECKPOINT[..], &[STANDARD.ends]].concat());
}

#[test]
fn a_backup_of_the_whole_tree() {
    let ends = [TREE.ends, "DestroyReferencePoint"];
    at_each(TREE, &[&CHECKPOINT[..], &ends].concat());
}

#[test]
fn a_backup_with_memory() {
    at_each(MEMORY, &["ExportSystemDefinition", MEMORY.ends]);
}

#[test]
fn a_backup_of_a_copy_whose_replication_is_suspended() {
    let state = "RequestReplicationStateChangeEx";
    let ends = [REPLICA.ends, "DestroyReferencePoint"];
    let wanted = [&[state], &CHECKPOINT[..], &[state], &ends].concat();
    at_each(REPLICA, &wanted);
}

/// The next run is killed as well, at the first change by which it puts the host right or goes about
/// its own work.
#[test]
fn a_run_that_puts_the_host_right() {
    let mut stage = Stage::new(CBT);
    let trace = stage.trace();
    let mut put_right = 0;
    for (number, step) in steps(CBT, &trace).into_iter().enumerate() {
        assert!(stage.kill(&step) || step.on == ANY, "{step:?}");
        let left = stage.lab.left()[1].clone();
        let first = match left {
            (_, 0, _, points) if points < 2 => CHECKPOINT[0],
            (_, 0, ..) => "DestroyReferencePoint",
            _ => "DestroySnapshot",
        };
        let then = Step {
            on: first.to_owned(),
            skip: 0,
            fate: FATES[(number + 1) % FATES.len()],
        };
        let what = format!("{step:?}, {then:?}");
        assert!(stage.kill(&then), "{what}: it never came so far");
        put_right += stage.next(&what);
    }
    assert!(put_right > 0);
    stage.ends_well();
}

/// Killed while it reads the disk of a VM that holds still, and writes what it reads into the vault.
#[test]
fn a_backup_that_reads_and_stores() {
    // More than a pack.
    const LEN: usize = 40 << 20;
    let mut stage = Stage::of(CBT, LEN);
    let vault = stage.bench.path("vault");
    let packs = || files_below(&vault.join("packs")).len();
    for what in ["it is read", "a pack is written", "a pack is there"] {
        let write = stage.write(0, LEN);
        stage.orders.give(&json!({"on": ANY, "before": [write]}));
        // It comes to the end of what it reads, and no further.
        let end = json!({"on": CBT.ends, "does": {"held": "never"}});
        stage.orders.give(&end);
        let before = (bytes_below(&vault), packs());
        let bench = &stage.bench;
        let mut child = stage.starts();
        stage.orders.kill_when(&mut child, || match what {
            // Its checkpoint has its name.
            "it is read" => written(bench) > 5,
            "a pack is written" => bytes_below(&vault) > before.0,
            _ => packs() > before.1,
        });
        stage.orders.forget();
        stage.later();
        assert_eq!(stage.held_now(), 1, "{what}");
        assert!(stage.next(what) > 0, "{what}");
    }
    stage.ends_well();
}
