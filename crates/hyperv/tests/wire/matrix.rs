//! Every way to fail at every call of an incremental backup, and what comes of it.
//!
//! Of each cell three things hold, whatever comes of the run: a point is what the guest had
//! written; nothing of ours stays but the reference point that a token names; what belongs to
//! others is there. What the run and the one after it come to is in the tables.

use hyperkeep_hyperv::plan::{Policy, WantedMode};
use lab::wsman::Mishap;
use testkit::vary;

use crate::keeper::{Keeper, Others, Outcome, Run};
use crate::support::{Lab, SIZE};

/// What goes wrong, as scenarios write it.
const WAYS: &[(&str, &str)] = &[
    ("32775", r#""does": {"returns": 32775}"#),
    ("32769", r#""does": {"returns": 32769}"#),
    ("32768", r#""does": {"returns": 32768}"#),
    ("denied", r#""does": {"refused": "access-denied"}"#),
    ("late", r#""does": {"refused": "timed-out"}"#),
    ("quota", r#""does": {"refused": "quota"}"#),
    ("lost", r#""does": "lost""#),
    ("cut", r#""does": {"cut": 0}"#),
    ("cut700", r#""does": {"cut": 700}"#),
    (
        "fails",
        r#""before": [{"job-fails": {"hresult": "0x80070005"}}]"#,
    ),
    ("restart", r#""after": ["restart-service"]"#),
    ("done", r#""after": ["restart-service-when-done"]"#),
    (
        "other",
        r#""after": [{"takes-checkpoint": {"vm": "a", "name": "theirs", "kind": "recovery"}}]"#,
    ),
    (
        "both",
        r#""does": "lost", "before": [{"takes-checkpoint": {"vm": "a", "name": "theirs", "kind": "recovery"}}]"#,
    ),
    (
        "tracking",
        r#""before": [{"loses-tracking": "D:\\VMs\\a\\a.vhdx"}]"#,
    ),
    (
        "off",
        r#""before": [{"turns": {"vm": "a", "state": "off"}}]"#,
    ),
    (
        "full",
        r#""before": [{"space": {"volume": "D:\\", "free": 0}}]"#,
    ),
    (
        "merge",
        r#""before": [{"merge-fails": {"hresult": "0x80070299"}}]"#,
    ),
];

fn scenario(on: &str, way: &str) -> String {
    format!(
        r#"{{"volumes": [{{"name": "D:\\", "capacity": 107374182400}}],
            "vms": [{{"name": "a", "guest": {{"name": "Windows", "version": "10.0", "platform": 2}},
                      "disks": [{{"path": "D:\\VMs\\a\\a.vhdx", "size": {SIZE}}}]}}],
            "rules": {{"tracking-unit": 4096}},
            "mishaps": [{{"on": "{on}", {way}}}]}}"#
    )
}

/// A run as a letter: incremental, full or none; and a sign for a token that is missing.
fn letters(run: &Run, keeper: &Keeper) -> String {
    let letter = match &run.outcome {
        Outcome::Incremental(_) => "i",
        Outcome::Full(..) => "f",
        Outcome::None(_) => "-",
    };
    let lacks = keeper.policy.mode != WantedMode::Standard && keeper.token.is_none();
    format!("{letter}{}", if lacks { "!" } else { "" })
}

/// Protects a VM of the lab with what goes wrong in its second run, and what that run and the next
/// one come to.
fn protect(lab: &Lab, policy: Policy, what: &str) -> String {
    let mishaps: Vec<Mishap> = std::mem::take(&mut lab.server.service().mishaps);
    let others = Others::settle(lab);
    let mut keeper = Keeper::new(1, policy);
    let mut guest = vec![vec![0; SIZE as usize]];
    lab.write(0, 8192, &[1; 4096], &mut guest[0]);
    let first = keeper.run(lab, &guest);
    assert!(
        matches!(first.outcome, Outcome::Full(..)),
        "{what}: {first:?}"
    );
    lab.rest();
    lab.write(0, 1 << 20, &[2; 8192], &mut guest[0]);
    lab.server.service().mishaps = mishaps;
    let second = keeper.run(lab, &guest);
    let mut told = letters(&second, &keeper);
    assert!(lab.server.service().mishaps.is_empty(), "{what}: {told}");
    lab.rest();
    let third = keeper.run(lab, &guest);
    told.push_str(&letters(&third, &keeper));
    let left = keeper.clean(lab);
    let theirs = others.check(lab, &[&keeper], what);
    // Somebody else's checkpoint beside a call that nobody knows of is for people to look at.
    let told_apart = left.iter().all(|report| !report.suspects.is_empty());
    assert!(
        keeper.is_clean() || (theirs > 0 && told_apart),
        "{what}: {left:?}"
    );
    told
}

/// Compares with a table of the same lines as the ways; an ordinary test run does each `step`th.
fn compare(calls: &[&str], policy: Policy, step: usize, expected: &str) {
    let step = if vary::cases(1) > 1 { 1 } else { step };
    let expected: Vec<&str> = expected.lines().skip(1).collect();
    assert_eq!(expected.len(), WAYS.len());
    for ((name, way), expected) in WAYS.iter().zip(expected).step_by(step) {
        let cells = calls.iter().map(|on| {
            let lab = Lab::start(&scenario(on, way));
            format!("{:>6}", protect(&lab, policy, &format!("{on}, {name}")))
        });
        let cells: String = cells.collect();
        assert_eq!(format!("{name:<8}{cells}"), expected);
    }
}

/// Only a conversion that was surely not done costs the next run its changes; only a checkpoint
/// that was not seen to come costs a point, and only somebody else's, or a full volume, the next.
#[test]
fn a_vm_whose_changes_are_tracked() {
    let calls = [
        "CreateSnapshot",
        "ModifySystemSettings",
        "GetVirtualDiskChanges",
        "ConvertToReferencePoint",
        "DestroyReferencePoint",
    ];
    let expected = "
32775       ii    ii    fi    ii    ii
32769       -i    ii    fi   i!f    ii
32768       -i    ii    fi   i!f    ii
denied      -i    ii    fi   i!f    ii
late        -i    ii    ii    ii    ii
quota       ii    ii    ii    ii    ii
lost        -i    ii    ii    ii    ii
cut         -i    ii    ii    ii    ii
cut700      -i    ii    ii    ii    ii
fails       ii   i!f   i!f   i!f    ii
restart     -i    ii    ii    ii    ii
done        -i    ii    ii    ii    ii
other       i-    i-    i-    i-    i-
both        --    i-    i-    i-    i-
tracking    fi    ff    ff    if    if
off         ii    ii    ii    ii    ii
full        --    i-    i-    i-    i-
merge       ii    ii    ii    ii    ii
";
    compare(&calls, Policy::default(), 1, expected);
}

#[test]
fn a_vm_that_is_read_in_full() {
    let policy = Policy {
        mode: WantedMode::Standard,
        ..Policy::default()
    };
    let expected = "
32775       ff    ff
32769       -f    ff
32768       -f    ff
denied      -f    ff
late        -f    ff
quota       ff    ff
lost        -f    ff
cut         -f    ff
cut700      -f    ff
fails       ff    ff
restart     -f    ff
done        -f    ff
other       f-    f-
both        --    f-
tracking    ff    ff
off         ff    ff
full        --    f-
merge       ff    ff
";
    compare(&["CreateSnapshot", "DestroySnapshot"], policy, 3, expected);
}

/// Layers have tokens of their own: there is always one.
#[test]
fn the_whole_tree_of_a_vm() {
    let policy = Policy {
        mode: WantedMode::AllCheckpoints,
        ..Policy::default()
    };
    let expected = "
32775       ii    ii
32769       -i    if
32768       -i    if
denied      -i    if
late        -i    ii
quota       ii    ii
lost        -i    ii
cut         -i    ii
cut700      -i    ii
fails       ii    if
restart     -i    ii
done        -i    ii
other       i-    i-
both        --    i-
tracking    fi    if
off         ii    ii
full        --    i-
merge       ii    ii
";
    compare(
        &["CreateSnapshot", "ConvertToReferencePoint"],
        policy,
        3,
        expected,
    );
}
