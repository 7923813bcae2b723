//! Whether a host may be asked what changed: only if nothing is doubtful.

use hyperkeep_hyperv::inventory::{ReferencePoint, TrackedDisk};
use hyperkeep_hyperv::tracking::{
    Applied, Decision, Doubt, Now, NowDisk, Power, Token, TokenDisk, decide,
};
use uuid::Uuid;

const VM: Uuid = Uuid::from_u128(1);
const INSTALLATION: Uuid = Uuid::from_u128(2);

fn files(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn token() -> Token {
    Token {
        installation: INSTALLATION,
        vm: VM,
        reference_point: Some("R".to_owned()),
        last_applied: Applied::None,
        checkpoints: Some(vec!["x".to_owned()]),
        uptime: None,
        disks: vec![TokenDisk {
            place: format!("Microsoft:{VM}\\c\\0\\0\\D"),
            disk_id: Some(Uuid::from_u128(5)),
            len: 100,
            files: files(&["D:\\VMs\\a.vhdx"]),
            tracking_id: Some("rct:1".to_owned()),
        }],
        layers: Vec::new(),
    }
}

fn now() -> Now {
    Now {
        installation: INSTALLATION,
        vm: VM,
        last_applied: [Applied::None, Applied::None],
        checkpoints: Some(vec!["x".to_owned()]),
        uptime: None,
        power: Power::Steady,
        disks: vec![NowDisk {
            place: format!("Microsoft:{}\\C\\0\\0\\L", Uuid::from_u128(9)),
            disk_id: Some(Uuid::from_u128(5)),
            len: 100,
            files: files(&["d:\\vms\\A.vhdx"]),
        }],
    }
}

fn point() -> ReferencePoint {
    ReferencePoint {
        instance_id: "R".to_owned(),
        vm: VM,
        kind: Some(2),
        consistency: Some(1),
        disks: Some(vec![TrackedDisk {
            instance_id: format!("Microsoft:{VM}\\c\\0\\0\\D"),
            tracking_id: "rct:1".to_owned(),
        }]),
    }
}

#[test]
fn a_disk_is_asked_about_only_if_nothing_is_doubtful() {
    let since = "rct:1".to_owned();
    assert_eq!(
        decide(Some(&token()), &[point()], &now()),
        [Decision::Ask { since }]
    );
    assert_eq!(
        decide(None, &[point()], &now()),
        [Decision::Full(Doubt::NoToken)]
    );
    type Change = fn(&mut Token, &mut ReferencePoint, &mut Now);
    let cases: [(Change, Doubt); 23] = [
        (|_, _, now| now.power = Power::Cut, Doubt::PowerCut),
        (|_, _, now| now.power = Power::Untold, Doubt::PowerUntold),
        (|_, _, now| now.vm = Uuid::nil(), Doubt::OtherMachine),
        (
            |_, _, now| now.installation = Uuid::nil(),
            Doubt::OtherMachine,
        ),
        (
            |_, point, _| point.instance_id = "S".to_owned(),
            Doubt::NoReferencePoint,
        ),
        (
            |token, _, _| token.reference_point = None,
            Doubt::NoReferencePoint,
        ),
        (
            |_, point, _| point.vm = Uuid::nil(),
            Doubt::NoReferencePoint,
        ),
        (
            |_, _, now| now.last_applied[0] = Applied::Of("C".to_owned()),
            Doubt::Applied,
        ),
        (
            |_, _, now| now.last_applied[1] = Applied::Of("C".to_owned()),
            Doubt::Applied,
        ),
        (
            |token, _, _| token.last_applied = Applied::Of("C".to_owned()),
            Doubt::Applied,
        ),
        (
            |token, _, now| {
                token.last_applied = Applied::Untold;
                now.last_applied = [Applied::Untold, Applied::Untold];
            },
            Doubt::Applied,
        ),
        // One and the same checkpoint was applied once more.
        (
            |token, _, now| {
                token.last_applied = Applied::Of("x".to_owned());
                now.last_applied = [Applied::Of("X".to_owned()), Applied::Of("x".to_owned())];
                token.disks[0].files = files(&["D:\\VMs\\a_1.avhdx", "D:\\VMs\\a.vhdx"]);
                now.disks[0].files = files(&["D:\\VMs\\a_2.avhdx", "D:\\VMs\\a.vhdx"]);
            },
            Doubt::Replaced {
                was: "D:\\VMs\\a_1.avhdx".to_owned(),
            },
        ),
        (|_, _, now| now.disks[0].files.clear(), Doubt::OtherDisk),
        (
            |_, _, now| now.disks[0].place = "Microsoft:A".to_owned(),
            Doubt::Ambiguous,
        ),
        (|token, _, _| token.disks.clear(), Doubt::NewDisk),
        (
            |token, _, _| token.disks.extend(token.disks.clone()),
            Doubt::Ambiguous,
        ),
        (
            |_, _, now| now.disks[0].disk_id = Some(Uuid::nil()),
            Doubt::OtherDisk,
        ),
        (
            |token, _, now| (token.disks[0].disk_id, now.disks[0].disk_id) = (None, None),
            Doubt::OtherDisk,
        ),
        (
            |_, _, now| now.disks[0].len = 101,
            Doubt::Resized { was: 100 },
        ),
        (
            |_, _, now| now.disks[0].files = files(&["E:\\VMs\\a.vhdx"]),
            Doubt::Moved {
                was: "D:\\VMs\\a.vhdx".to_owned(),
            },
        ),
        (
            |token, _, _| token.disks[0].tracking_id = None,
            Doubt::NotTracked,
        ),
        (
            |_, point, _| point.disks.as_mut().unwrap()[0].tracking_id = "rct:2".to_owned(),
            Doubt::OtherTracking,
        ),
        (|_, point, _| point.disks = None, Doubt::OtherTracking),
    ];
    for (change, doubt) in cases {
        let (mut token, mut point, mut now) = (token(), point(), now());
        change(&mut token, &mut point, &mut now);
        let decided = decide(Some(&token), &[point], &now);
        assert_eq!(decided, [Decision::Full(doubt.clone())], "{doubt}");
        assert!(!doubt.to_string().is_empty());
    }
    // Two disks in one place: neither.
    let mut twice = now();
    twice.disks.extend(twice.disks.clone());
    let ambiguous = Decision::Full(Doubt::Ambiguous);
    assert_eq!(
        decide(Some(&token()), &[point()], &twice),
        [ambiguous.clone(), ambiguous]
    );
}

/// What a disk's files may go through without anything being lost.
#[test]
fn files_may_grow_and_be_merged() {
    let (base, one, two) = (
        "D:\\VMs\\a.vhdx",
        "D:\\VMs\\a_1.avhdx",
        "D:\\VMs\\a_2.avhdx",
    );
    let decide = |then: &[&str], at: &[&str], same: bool| {
        let (mut token, mut now) = (token(), now());
        token.disks[0].files = files(then);
        now.disks[0].files = files(at);
        if !same {
            now.checkpoints = None;
        }
        decide(Some(&token), &[point()], &now).remove(0)
    };
    let asks = |decision: Decision| matches!(decision, Decision::Ask { .. });
    // A user took a checkpoint, or two.
    assert!(asks(decide(&[base], &[one, base], false)));
    assert!(asks(decide(&[one, base], &[two, one, base], false)));
    // The merge after the last backup was late.
    assert!(asks(decide(&[one, base], &[base], true)));
    // A user's checkpoint was removed, or one was applied and then removed.
    assert!(!asks(decide(&[one, base], &[base], false)));
    // Whatever the checkpoints are, the file that was written to is gone.
    assert!(!asks(decide(&[one, base], &[two, base], true)));
    assert!(!asks(decide(&[base], &[two], true)));
}
