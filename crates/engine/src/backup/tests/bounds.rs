//! However much a source says, its disks are saved.

use super::*;
use crate::backup::bounds::{MOST_ITEMS, bound};
use crate::point::Details;
use crate::source::{Checkpoint, CheckpointParent, MissingLayer};

fn told(severity: Severity, message: String) -> Finding {
    Finding::new(Code::ConfigNote, severity, "vm", message).hint("do")
}

/// More findings than the format has room for, a few bad ones among them.
fn many() -> Vec<Finding> {
    let severity = |n| match n % 10_000 {
        0 => Severity::Partial,
        1 => Severity::Warning,
        _ => Severity::Info,
    };
    (0..70_000)
        .map(|n| told(severity(n), format!("number {n}")))
        .collect()
}

/// The details of a point that says nothing so far.
fn quiet() -> Details {
    let vault = vault();
    let report = run_backup(
        &vault,
        &mut source(vec![written(None, 1, 1000)]),
        Level::Auto,
    );
    opened(&vault, &report).details
}

#[test]
fn more_findings_than_a_point_has_room_for() {
    let vault = vault();
    let chain = vec![written(None, 1, 1000)];
    let mut source = source(chain.clone());
    source.findings = many();
    let report = run_backup(&vault, &mut source, Level::Auto);
    assert_eq!(report.outcome, Outcome::Partial);
    check(&vault, &report, &chain);
    let point = opened(&vault, &report);
    assert_eq!(point.details.findings, report.findings);
    let (last, listed) = report.findings.split_last().unwrap();
    assert_eq!(listed.len(), MOST_ITEMS);
    let numbers = |severity| -> Vec<&str> {
        let of = listed.iter().filter(|f| f.severity == severity);
        of.map(|f| f.message.as_str()).collect()
    };
    let every = |first: usize| -> Vec<String> {
        (0..7)
            .map(|n| format!("number {}", first + n * 10_000))
            .collect()
    };
    assert_eq!(numbers(Severity::Partial), every(0));
    assert_eq!(numbers(Severity::Warning), every(1));
    assert_eq!(listed[0].message, "number 0", "the order stays");
    assert_eq!(listed[2].message, "number 2");
    assert_eq!(last.code, Code::MoreFindings);
    assert_eq!(last.severity, Severity::Info, "none of the others is worse");
    assert_eq!(last.message, "69000 more findings are not listed");
}

#[test]
fn the_number_tells_how_bad_what_it_stands_for_is() {
    let mut details = quiet();
    let bad = |n| told(Severity::Partial, format!("number {n}"));
    details.findings = (0..MOST_ITEMS + 1).map(bad).collect();
    bound(&mut details);
    let last = details.findings.last().unwrap();
    assert_eq!(last.severity, Severity::Partial);
    assert_eq!(last.message, "1 more finding is not listed");
    assert!(last.hint.is_some());
}

#[test]
fn long_texts_take_no_more_room_than_many() {
    let mut details = quiet();
    let long = "\u{1}é".repeat(3000);
    let lines = |n: usize| format!("{n} {long}");
    details.findings = (0..900)
        .map(|n| told(Severity::Info, lines(n)).hint(long.clone()))
        .collect();
    details.not_covered = (0..5000).map(lines).collect();
    let missing = |n| MissingLayer {
        name: lines(n),
        why: long.clone(),
        needed_by: vec![Owner::Vm; 5],
        by_choice: false,
    };
    details.missing = (0..5000).map(missing).collect();
    bound(&mut details);
    let stored = serde_json::to_vec(&details).unwrap();
    assert!(stored.len() < 8 << 20, "{}", stored.len());
    let listed = details.missing.len() - 1;
    assert!(listed > 10);
    assert_eq!(details.missing[0].needed_by, [Owner::Vm]);
    let more = &details.missing[listed];
    assert_eq!(more.name, format!("{} more", 5000 - listed));
    assert_eq!(more.needed_by, [Owner::Vm]);
    let more = format!("and {} more", 5001 - details.not_covered.len());
    assert_eq!(details.not_covered.last(), Some(&more));
    assert!(details.findings[0].message.ends_with('…'));
}

#[test]
fn a_configuration_that_is_too_large_is_left_out_and_told() {
    let config = |mib: usize| Some(serde_json::json!({"notes": "x".repeat(mib << 20)}));
    let mut details = quiet();
    details.config = config(2);
    for (number, mib) in [(1, 5), (2, 3)] {
        details.checkpoints.push(Checkpoint {
            id: Uuid::from_u128(number),
            name: String::new(),
            time: None,
            parent: CheckpointParent::Root,
            config: config(mib),
        });
    }
    bound(&mut details);
    assert!(details.config.is_some());
    let kept: Vec<bool> = details
        .checkpoints
        .iter()
        .map(|c| c.config.is_some())
        .collect();
    assert_eq!(kept, [false, true]);
    let [told] = &details.findings[..] else {
        panic!("{:?}", details.findings)
    };
    assert_eq!(
        (told.code, told.severity),
        (Code::ConfigUnreadable, Severity::Warning)
    );
}

#[test]
fn two_disks_in_one_place_are_two_disks() {
    let vault = vault();
    let chain = vec![written(None, 1, 1000)];
    let mut source = source(chain.clone());
    source.slots = ["SCSI 0:0", "SCSI 0:0 (2)", "SCSI 0:0", "SCSI 0:0"]
        .map(str::to_owned)
        .to_vec();
    let report = run_backup(&vault, &mut source, Level::Auto);
    assert_eq!(report.outcome, Outcome::Ok, "{:?}", report.findings);
    let point = opened(&vault, &report);
    let slots: Vec<&str> = point.details.uses.iter().map(|u| u.slot.as_str()).collect();
    let expected = ["SCSI 0:0", "SCSI 0:0 (2)", "SCSI 0:0 (3)", "SCSI 0:0 (4)"];
    assert_eq!(slots, expected);
}
