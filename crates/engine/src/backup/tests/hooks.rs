//! Programs around the backup of a VM.

use std::fs;
use std::path::Path;

use super::*;
use crate::hooks::{Hook, Policy};

fn sh(script: &str, policy: Policy) -> Option<Hook> {
    Some(Hook {
        program: "sh".into(),
        args: vec!["-c".to_owned(), script.to_owned()],
        timeout_s: 60,
        policy,
        codes: Default::default(),
    })
}

/// Writes down when it ran, for what, and how it ended.
fn line(file: &Path, code: u8) -> String {
    let told = "$HYPERKEEP_HOOK $HYPERKEEP_VM $HYPERKEEP_SOURCE $HYPERKEEP_OUTCOME";
    let point = "${HYPERKEEP_POINT:+point}";
    format!(
        "echo $(echo {told} {point}) >> '{}'; exit {code}",
        file.display()
    )
}

/// One VM with hooks that end with these codes; what they wrote, and how the backup ended.
fn around(codes: [u8; 3], policy: Policy) -> (String, VmReport, Vec<End>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines");
    let vault = vault();
    let mut source = source(vec![written(None, 1, 1000)]);
    let hook = |code| sh(&line(&file, code), policy);
    let options = Options {
        hooks: Hooks {
            before: hook(codes[0]),
            after_freeze: hook(codes[1]),
            after: hook(codes[2]),
        },
        ..Options::default()
    };
    let job = Job {
        vault: &vault,
        clock: &Still,
        sink: &Quiet,
        cancel: &Cancel::new(),
        limits: Limits {
            workers: 1,
            in_flight: 256 << 10,
            results: 256 << 10,
        },
    };
    let mut rng = |out: &mut [u8]| out.fill(7);
    let report = backup(&job, &mut source, &options, &mut rng).unwrap();
    let points = vault.points(None).unwrap().len();
    let vm = report.vms.into_iter().next().unwrap();
    assert_eq!(points, usize::from(vm.point.is_some()));
    let ends = source.ends.lock().unwrap().clone();
    (fs::read_to_string(&file).unwrap(), vm, ends)
}

#[test]
fn they_run_around_a_vm_and_learn_what_became_of_it() {
    let (lines, vm, ends) = around([0, 0, 0], Policy::Fail);
    assert_eq!(
        lines,
        "before vm model\nafter-freeze vm model\nafter vm model ok point\n"
    );
    assert_eq!((vm.outcome, ends), (Outcome::Ok, vec![End::Durable]));
    assert_eq!(vm.findings, []);
}

#[test]
fn one_that_fails_before_the_point_is_made_prevents_it() {
    let (lines, vm, ends) = around([3, 0, 0], Policy::Fail);
    assert_eq!(lines, "before vm model\nafter vm model failed\n");
    assert_eq!(
        (vm.outcome, vm.point, ends),
        (Outcome::Failed, None, vec![])
    );
    assert!(vm.findings[0].message.contains("ended with 3"));

    let (lines, vm, ends) = around([0, 4, 0], Policy::Fail);
    assert!(lines.ends_with("after vm model failed\n"), "{lines}");
    assert_eq!((vm.outcome, vm.point), (Outcome::Failed, None));
    assert_eq!(ends, [End::Abandoned]);
    let codes: Vec<_> = vm.findings.iter().map(|found| found.code).collect();
    assert_eq!(codes, [Code::Hook, Code::CleanupFailed]);
}

#[test]
fn one_that_fails_after_it_leaves_the_point_and_no_good_outcome() {
    let (_, vm, ends) = around([0, 0, 5], Policy::Fail);
    assert_eq!((vm.outcome, ends), (Outcome::Failed, vec![End::Durable]));
    assert!(vm.point.is_some());
    assert_eq!(vm.findings[0].code, Code::Hook);
}

#[test]
fn a_policy_may_let_it_go_on() {
    let (lines, vm, _) = around([1, 1, 1], Policy::Warn);
    assert!(lines.ends_with("after vm model warning point\n"), "{lines}");
    assert_eq!(vm.outcome, Outcome::Warning);
    assert_eq!(vm.findings.len(), 3, "{:?}", vm.findings);
    let (_, vm, _) = around([1, 1, 1], Policy::Ignore);
    assert_eq!(vm.outcome, Outcome::Ok);
    assert!(vm.findings.iter().all(|f| f.severity == Severity::Info));
}
