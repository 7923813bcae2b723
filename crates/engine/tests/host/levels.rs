//! How consistent each disk is: by what was achieved for it, not for its VM.

use hyperkeep_engine::list::points;
use hyperkeep_engine::point::{Details, Reading};
use hyperkeep_engine::source::Owner;
use hyperv::plan::WantedMode;
use lab::state::{CheckpointWish, Consistency as Settled, Medium};

use super::*;

const GUEST: &str = r#""guest": {"name": "Windows", "version": "10.0", "platform": 2}"#;

/// Of each disk of an owner its place, its consistency, and whether its topmost layer moved.
fn disks(details: &Details, owner: &Owner) -> Vec<(String, Option<Consistency>, bool)> {
    let of_it = details.uses.iter().filter(|used| used.owner == *owner);
    of_it
        .map(|used| {
            let moved = details.layers[used.layer].moved;
            (used.slot.clone(), used.consistency, moved)
        })
        .collect()
}

fn stored(place: &Place) -> Vec<Details> {
    let points = points(&place.vault).unwrap().points;
    let details = points.iter().map(|point| point.open().details.clone());
    details.collect()
}

/// Takes a checkpoint of people, and gives its id.
fn checkpoint(place: &Place, consistency: Settled, memory: bool) -> Uuid {
    let wish = CheckpointWish {
        kind: CheckpointKind::User,
        consistency,
        memory,
        ignore_unfreezable: true,
    };
    let mut service = place.lab.server.service();
    let host = &mut service.repository.host;
    let vm = host.vms()[0].id;
    host.create_checkpoint(vm, wish).unwrap();
    place.lab.time.clock.advance(Duration::from_secs(10));
    host.advance();
    host.vms()[0].checkpoints.last().unwrap().settings.id
}

/// Whether other VMs share the second disk of the first VM, so that hosts leave it as it is.
fn share(lab: &Lab, is: bool) {
    let vm = lab.vm();
    let mut service = lab.server.service();
    let vm = service.repository.host.vm_mut(vm).unwrap();
    let mut media = vm.settings.drives.iter_mut().map(|drive| &mut drive.medium);
    let shares = |medium: &mut Medium| match medium {
        Medium::Disk { path, shared } if path.contains("\\b") => {
            *shared = is;
            true
        }
        _ => false,
    };
    assert!(media.any(shares));
}

/// A host that is asked to leave out what it cannot freeze, of a VM with such a disk of which nobody
/// knew: the VM goes on in the file that the checkpoint names.
#[test]
fn a_disk_that_no_checkpoint_holds_is_torn_and_the_others_are_what_they_are() {
    let scenario = format!(
        r#"{{"vms": [{{"name": "web", {GUEST}, "pass-through": [3], "disks": [
            {{"path": "D:\\VMs\\a.vhdx", "size": 4194304}},
            {{"path": "D:\\VMs\\b.vhdx", "size": 4194304}}]}}]}}"#
    );
    let place = Place::new(&scenario);
    let lab = Arc::clone(&place.lab);
    let source = place.source(Arc::new(place.lab.time.clone()), Floor::NONE);
    let mut source = Then(source, Box::new(move || share(&lab, true)));
    let report = place.back_up(&mut source, None);
    drop(source);
    let vm = &report.vms[0];
    assert_eq!(vm.outcome, Outcome::Partial, "{report:#?}");
    assert_eq!(vm.consistency, Some(Consistency::Torn), "{report:#?}");
    let told = |finding: &&Finding| finding.code == Code::ChangedDuringBackup;
    let told: Vec<_> = vm.findings.iter().filter(told).collect();
    assert_eq!(told.len(), 1, "{report:#?}");
    assert!(told[0].object.ends_with("b.vhdx"), "{told:#?}");
    let stored = stored(&place);
    assert_eq!(
        disks(&stored[0], &Owner::Vm),
        [
            ("SCSI 0:0".into(), Some(Consistency::Application), false),
            ("SCSI 0:1".into(), Some(Consistency::Torn), true),
        ]
    );

    // Nothing leans on what was torn.
    share(&place.lab, false);
    let report = place.run();
    let vm = &report.vms[0];
    assert_eq!(vm.consistency, Some(Consistency::Application));
    let full = |at: usize| matches!(vm.layers[at].reading, Reading::Full { .. });
    assert!(!full(0) && full(1), "{report:#?}");
}

/// A checkpoint with memory was taken of a VM that ran. One without may have been taken of anything,
/// and no host tells.
#[test]
fn disks_of_checkpoints_have_the_level_of_their_checkpoint() {
    let scenario = SCENARIO.replace("\"disks\"", &format!("{GUEST}, \"disks\""));
    let place = Place::new(&scenario);
    let standard = checkpoint(&place, Settled::Crash, true);
    let production = checkpoint(&place, Settled::Application, false);
    let mut setup = place.setup(Arc::new(place.lab.time.clone()), Floor::NONE);
    setup.policy.mode = WantedMode::AllCheckpoints;
    let report = place.back_up(&mut HostSource::open(setup).unwrap(), None);
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let id = place.id("first");
    let stored = stored(&place);
    let first = stored.iter().find(|details| details.vm_id == id).unwrap();
    assert_eq!(first.layers.len(), 3, "{first:#?}");
    assert_eq!(first.consistency, Consistency::Application);
    let level = |owner: &Owner| disks(first, owner)[0].1;
    assert_eq!(level(&Owner::Vm), Some(Consistency::Application));
    assert_eq!(
        level(&Owner::Checkpoint(standard)),
        Some(Consistency::Crash)
    );
    assert_eq!(level(&Owner::Checkpoint(production)), None);
}

/// What is told when the VM is let go makes each of its disks less.
#[test]
fn disks_are_no_better_than_the_host_says_in_the_end() {
    let rules = r#""rules": {"points-say-crash": true, "#;
    let scenario = SCENARIO
        .replace("\"disks\"", &format!("{GUEST}, \"disks\""))
        .replace(r#""rules": {"#, rules);
    let place = Place::new(&scenario);
    let report = place.run();
    assert_eq!(report.outcome, Outcome::Warning, "{report:#?}");
    for details in stored(&place) {
        let disks = disks(&details, &Owner::Vm);
        assert_eq!(disks.len(), 1);
        assert!(disks.iter().all(|disk| disk.1 == Some(Consistency::Crash)));
    }
}
