//! What is attached to a VM, what version it has, and what its host can do.

use super::*;
use Verdict::{Impossible, Uncertain};
use Weight::{Blocks, Limits, NotCovered, Note};

fn path(text: &str) -> String {
    text.to_owned()
}

#[test]
fn what_is_attached_has_its_name_and_its_effect() {
    let (location, none) = (at(3), None);
    let finding = Finding::PassThroughDisk {
        location,
        path: none,
    };
    case(finding, NotCovered, |vm, _| {
        let (location, path) = (at(3), None);
        vm.settings
            .config
            .findings
            .push(ConfigFinding::PassThroughDisk { location, path });
    })
    .check();
    let name = path("HBA");
    case(Finding::FibreChannel { name }, NotCovered, |vm, _| {
        let name = path("HBA");
        vm.settings
            .config
            .findings
            .push(ConfigFinding::FibreChannel { name });
    })
    .check();
    let kind = path("?");
    case(
        Finding::UnknownDrive { location, kind },
        NotCovered,
        |vm, _| {
            let (location, kind) = (at(3), path("?"));
            vm.settings
                .config
                .findings
                .push(ConfigFinding::UnknownDrive { location, kind });
        },
    )
    .check();
    let name = path("GPU");
    case(Finding::HostDevice { name }, Note, |vm, _| {
        let name = path("GPU");
        vm.settings
            .config
            .findings
            .push(ConfigFinding::HostDevice { name });
    })
    .check();
    case(Finding::VirtualTpm, Note, |vm, _| {
        vm.settings.config.findings.push(ConfigFinding::VirtualTpm);
    })
    .check();
}

#[test]
fn every_format_has_its_gate() {
    let second = |path: &str| (at(1), path.to_owned());
    let (location, path) = second("D:\\s.vhdx");
    case(Finding::SharedDisk { location, path }, Blocks, |vm, _| {
        attach(vm, "D:\\s.vhdx", true)
    })
    .tracking(Uncertain)
    .mode(None)
    .check();
    let (location, path) = second("D:\\s.VHDS");
    case(Finding::VhdSet { location, path }, Blocks, |vm, _| {
        attach(vm, "D:\\s.VHDS", true)
    })
    .tracking(Uncertain)
    .mode(None)
    .check();
    // Among disks that are not tracked it is not certain that the others are.
    let (location, path) = second("D:\\v.vhd");
    let finding = Finding::VhdWithoutTracking { location, path };
    case(finding, Limits, |vm, _| attach(vm, "D:\\v.vhd", false))
        .tracking(Uncertain)
        .check();
    let (location, path) = (at(0), "D:\\v.avhd".to_owned());
    case(
        Finding::VhdWithoutTracking { location, path },
        Limits,
        |vm, _| {
            vm.settings.media.clear();
            vm.settings.config.controllers[0].drives.clear();
            attach(vm, "D:\\v.avhd", false);
        },
    )
    .tracking(Impossible)
    .mode(STANDARD)
    .check();
    let (location, path) = second("D:\\disk");
    let finding = Finding::UnknownFormat { location, path };
    case(finding, Limits, |vm, _| attach(vm, "D:\\disk", false)).check();
    case(Finding::DisksUnknown, Blocks, |vm, _| {
        vm.findings.push(inventory::Finding::NoSettings)
    })
    .mode(None)
    .check();
}

#[test]
fn versions_and_hosts_have_their_gates() {
    let version = |text: &str| text.parse().unwrap();
    let finding = Finding::OldVersion {
        version: version("5.0"),
    };
    case(finding, Limits, |vm, _| {
        vm.settings.config.version = "5.0".parse().ok()
    })
    .tracking(Impossible)
    .mode(STANDARD)
    .check();
    for (text, certain) in [
        ("6.2", false),
        ("7.1", false),
        ("8.0", true),
        ("12.0", true),
    ] {
        let mut vm = well();
        vm.settings.config.version = Some(version(text));
        let expected = if certain {
            Verdict::Possible
        } else {
            Uncertain
        };
        assert_eq!(check(&vm, &host()).tracking.verdict, expected, "{text}");
    }
    case(Finding::VersionUnknown, Limits, |vm, _| {
        vm.settings.config.version = None
    })
    .tracking(Uncertain)
    .check();
    case(Finding::OldHost, Blocks, |_, host| {
        host.reference_points = Some(false)
    })
    .tracking(Impossible)
    .mode(None)
    .check();
    case(Finding::HostUnknown, Limits, |_, host| {
        host.reference_points = None
    })
    .tracking(Uncertain)
    .check();
}
