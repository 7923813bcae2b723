//! What no public source tells of hosts, gone the other way: the backup is right all the same, or
//! says what it is not.

use std::num::NonZeroU32;

use super::others::Meanwhile;
use super::*;

const ONE: &str = r#"{
    "vms": [{"name": "one", "disks": [{"path": "D:\\VMs\\a.vhdx", "size": 4194304}],
             "writes": [{"offset": 0, "length": 4194304, "seed": 3}]}],
    "rules": {"tracking-unit": 4096, "RULE": true}
}"#;
const AT: usize = 3 << 20;

fn with(rule: &str) -> Place {
    Place::new(&ONE.replace("RULE", rule))
}

fn write(place: &Place, at: usize, byte: u8) {
    let vm = place.lab.vm();
    let mut service = place.lab.server.service();
    let host = &mut service.repository.host;
    host.guest_writes(vm, 0, at as u64, &[byte; 4096]).unwrap();
}

/// The VM is backed up, and writes while it holds still.
fn first(place: &Place) -> JobReport {
    let writes = || write(place, AT, 7);
    let mut source = Meanwhile {
        host: place.source(Arc::new(place.lab.time.clone()), Floor::NONE),
        what: Mutex::new(Some(Box::new(writes))),
    };
    place.back_up(&mut source, None)
}

/// Where a host begins to track a disk only when a checkpoint becomes its first reference point, what
/// was written before that, while the first backup was read, is in no later answer. Nothing else but
/// the audit sees it; once it does, the disk is read in full, and the restore point is right.
#[test]
fn what_was_written_before_tracking_began_is_found_by_the_audit() {
    for rule in ["tracking-begins-late", "forgets-free-ids"] {
        let place = with(rule);
        let report = first(&place);
        assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
        let before = place.restored(report.vms[0].point.as_ref().unwrap());
        place.lab.rest();

        let options = Options {
            audit: Audit {
                runs: NonZeroU32::new(1),
                ..Audit::default()
            },
            ..Options::default()
        };
        let mut source = place.source(Arc::new(place.lab.time.clone()), Floor::NONE);
        let report = place.back_up_as(&mut source, &options, &Cancel::new(), None);
        drop(source);
        let mut now = before;
        assert!(now[AT] != 7);
        now[AT..AT + 4096].fill(7);
        let restored = place.restored(report.vms[0].point.as_ref().unwrap());
        assert!(restored == now, "{rule}");
        // The host that tracks it in time has nothing to be told of.
        let missed = codes(&report.vms[0].findings).contains(&Code::ChangesMissed);
        let late = rule == "tracking-begins-late";
        assert_eq!(missed, late, "{report:#?}");
        let expected = if late { Outcome::Warning } else { Outcome::Ok };
        assert_eq!(report.outcome, expected, "{report:#?}");
    }
}

/// The old reference point goes when the new one is there, before merges are awaited.
#[test]
fn a_host_that_merges_only_with_one_reference_point_merges_after_each_backup() {
    let place = with("points-block-merges");
    for byte in 1..4 {
        write(&place, AT, byte);
        let report = place.run();
        assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
        let (kinds, points, files) = place.lab.rest();
        assert!(kinds.is_empty() && points == 1);
        assert_eq!(files, [r"D:\VMs\a.vhdx"]);
    }
}

/// Another installation's reference point is not ours to remove: it is told each time that nothing
/// is merged, and everything is saved.
#[test]
fn a_chain_that_grows_since_others_have_a_reference_point_is_told() {
    let place = with("points-block-merges");
    let other = Place {
        lab: Arc::clone(&place.lab),
        runs: Mutex::new(1000),
        ..with("points-block-merges")
    };
    let run = |place: &Place, installation| {
        let mut setup = place.setup(Arc::new(place.lab.time.clone()), Floor::NONE);
        setup.mark.installation = Uuid::from_u128(installation);
        place.back_up(&mut HostSource::open(setup).unwrap(), None)
    };
    assert_eq!(run(&other, 2).outcome, Outcome::Ok);
    for byte in 1..4 {
        write(&place, AT, byte);
        let report = run(&place, 1);
        assert_eq!(report.outcome, Outcome::Warning, "{report:#?}");
        let of_vms = report.vms.iter().flat_map(|vm| &vm.findings);
        let mut all = of_vms.chain(&report.findings);
        let told = |finding: &Finding| {
            finding.code == Code::CleanupFailed && finding.message.contains("merge")
        };
        assert!(all.any(told), "{report:#?}");
        let restored = place.restored(report.vms[0].point.as_ref().unwrap());
        assert_eq!(restored[AT], byte);
    }
    let (kinds, points, files) = place.lab.rest();
    assert!(kinds.is_empty() && points == 2);
    assert!(files[0].ends_with(".avhdx"));
}
