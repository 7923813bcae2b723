//! A run that was killed, and the next one by a job of another vault.

use serde_json::{Value, json};

use crate::bench::{Bench, vm};
use crate::host::SIZE;
use crate::killed::killed;
use crate::lab::{Lab, scenario, texts};

/// Two vaults, and a host that refuses to end a checkpoint at first: so it is there for some seconds.
fn prepared(skip: u32) -> (Bench, Lab) {
    let bench = Bench::new();
    bench.run(&["--vault", "other", "init"]).ends(0);
    let vms = json!([{"name": "web", "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": SIZE}]}]);
    let busy = json!([{"on": "ConvertToReferencePoint", "skip": skip, "times": 3,
                       "does": {"returns": 32775}}]);
    let lab = Lab::start(&bench, &scenario(vms, json!({"mishaps": busy})));
    (bench, lab)
}

/// A run into the first vault that is killed while it holds the VM.
fn is_killed(bench: &Bench, lab: &Lab) {
    let held = || lab.left()[0].1 == 1;
    assert!(killed(bench, &texts(&lab.backup(&[])), held));
    assert!(held());
}

fn put_right(found: &Value) -> usize {
    let found = found.as_array().unwrap().iter();
    found.filter(|found| found["code"] == "put-right").count()
}

#[test]
fn what_a_run_into_another_vault_left_is_removed_at_once() {
    let (bench, lab) = prepared(1);
    let left = |points| [("web".to_owned(), 0, 0, points)];
    let backup = |vault| {
        let args = lab.backup(&["--audit", "0", "--vault", vault]);
        bench.run(&texts(&args)).ends(0).json()
    };
    backup("vault");
    is_killed(&bench, &lab);

    let report = backup("other");
    assert_eq!(put_right(&report["findings"]), 1, "{report:#}");
    assert_eq!(lab.left(), left(2));
    // What the first vault asks by is still there.
    let report = backup("vault");
    assert_eq!(vm(&report, "web")["level"], "incremental", "{report:#}");
    assert_eq!(put_right(&report["findings"]), 0, "{report:#}");
    assert_eq!(lab.left(), left(2));
}

#[test]
fn doctor_removes_it_as_well_and_tells_it() {
    let (bench, lab) = prepared(0);
    is_killed(&bench, &lab);
    let mut args = vec!["doctor".to_owned()];
    args.extend(lab.reach());
    args.extend(["--json", "--vault", "other"].map(str::to_owned));
    let seen = bench.run(&texts(&args)).ends(0).json();
    assert_eq!(put_right(&seen["put_right"]), 1, "{seen:#}");
    assert_eq!(seen["there"].as_array().unwrap().len(), 0, "{seen:#}");
    assert_eq!(lab.left(), [("web".to_owned(), 0, 0, 0)]);
}
