//! What of a VM does not go along with it.

use vmconfig::model::{DriveKind, Finding as ConfigFinding};

use super::tests::{at, drive, point, same, target, told};
use super::{Finding, Point, Step, plan};

#[test]
fn what_does_not_go_along_is_told_and_taken_out() {
    let mut point = point();
    let drives = &mut point.config.controllers[0].drives;
    drives.push(drive(1, DriveKind::PassThrough, "\\\\.\\PHYSICALDRIVE2"));
    drives.push(drive(2, DriveKind::Iso, "D:\\a.iso"));
    point.config.security.virtual_tpm = Some(true);
    point.config.findings = vec![ConfigFinding::HostDevice {
        name: "GPU".to_owned(),
    }];
    let found = plan(&point, &same(), &target());
    assert!(found.is_possible());
    for wanted in ["pass-through", "image-taken-out", "host-device", "tpm"] {
        assert!(told(&found, wanted), "{wanted}");
    }
    let out = |position| Step::TakeOut {
        location: at(position),
    };
    assert!(found.steps.contains(&out(1)) && found.steps.contains(&out(2)));
    assert!(
        found
            .findings
            .is_sorted_by_key(|f| std::cmp::Reverse(f.weight()))
    );
    let tpm = |point: &Point| {
        let plan = plan(point, &same(), &target());
        let mut all = plan.findings.iter();
        let found = all.find(|found| matches!(found, Finding::Tpm { .. }));
        found.unwrap().to_string()
    };
    assert!(tpm(&point).contains("was not backed up"));
    // That the host has the keys is not known.
    point.key_protector = true;
    assert!(tpm(&point).contains("not looked at"));
}
