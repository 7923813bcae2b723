//! Scenarios that are more than data.

use std::path::Path;
use std::sync::Arc;

use disk::BlockRead;
use disk::resolve::{Folders, open_chain};

use super::*;
use crate::clock::ManualClock;
use crate::state::{Checkpoint, CheckpointKind, Host};

pub(super) fn build(text: &str, folder: &Path) -> Result<Host, BuildError> {
    let clock = ManualClock::new("2026-10-05T04:00:00Z".parse().unwrap());
    Scenario::read(text)?.build(folder, Arc::new(clock))
}

/// The first bytes of some sectors, of a disk with all that is below it.
fn sectors(host: &Host, folder: &Path, path: &str) -> [bool; 4] {
    let files = Folders::new().mount("D:\\", folder.join("D"));
    let chain = open_chain(&files, &host.files().local(path).unwrap()).unwrap();
    [0, 1, 2, 3].map(|sector| {
        let mut bytes = [0; 512];
        chain.read_at(sector * 512, &mut bytes).unwrap();
        bytes != [0; 512]
    })
}

#[test]
fn a_tree_of_checkpoints_holds_what_was_written_on_the_way_to_each() {
    let folder = tempfile::tempdir().unwrap();
    let write = |sector: u32| {
        format!(
            r#"[{{"offset": {}, "length": 512, "seed": 7}}]"#,
            sector * 512
        )
    };
    let text = format!(
        r#"{{"vms": [{{"name": "web", "state": "off",
            "disks": [{{"path": "D:\\a.vhdx", "size": 4194304}}],
            "writes": {},
            "checkpoints": [{{"name": "base", "writes": {}, "checkpoints": [
                {{"name": "left", "writes": {}, "memory": true}},
                {{"name": "right", "writes": {}, "now": true, "checkpoints": [
                    {{"name": "theirs", "kind": "recovery"}}]}}]}}]}}]}}"#,
        write(0),
        write(1),
        write(2),
        write(3)
    );
    let host = build(&text, folder.path()).unwrap();
    let vm = &host.vms()[0];
    let by_name = |name: &str| -> &Checkpoint {
        let mut all = vm.checkpoints.iter();
        all.find(|c| c.settings.name == name).unwrap()
    };
    let id = |name: &str| Some(by_name(name).settings.id);
    let tree: Vec<_> = ["base", "left", "right", "theirs"]
        .map(|name| by_name(name).parent)
        .into();
    assert_eq!(tree, [None, id("base"), id("base"), id("right")]);
    assert_eq!((vm.parent, vm.last_applied), (id("right"), id("right")));
    assert_eq!(by_name("theirs").kind, CheckpointKind::Recovery);
    assert!(by_name("left").settings.saved.is_some());
    assert!(by_name("right").settings.saved.is_none() && vm.settings.saved.is_none());
    let content = |path: &str| sectors(&host, folder.path(), path);
    let of = |name: &str| content(by_name(name).settings.disks().next().unwrap().1);
    assert_eq!(of("base"), [false, true, false, false]);
    assert_eq!(of("left"), [false, true, true, false]);
    assert_eq!(of("right"), [false, true, false, true]);
    assert_eq!(of("theirs"), [false, true, false, true]);
    let now = content(vm.settings.disks().next().unwrap().1);
    assert_eq!(now, [true, true, false, true]);
    // What lay between is gone: base, left, right, the leaf of theirs' branch, and now.
    let images = std::fs::read_dir(folder.path().join("D")).unwrap();
    let images = images.filter(|e| e.as_ref().unwrap().file_type().unwrap().is_file());
    assert_eq!(images.count(), 5);
}

#[test]
fn what_cannot_be_a_tree_is_told() {
    for (checkpoints, why) in [
        (r#"[{"name": "a"}, {"name": "b"}]"#, "first"),
        (r#"[{"now": true, "checkpoints": [{"now": true}]}]"#, "now"),
        (r#"[{"writes": [{"drive": 3, "length": 512}]}]"#, "disk"),
        (r#"[{"colour": 1}]"#, "colour"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let disk = r#"{"path": "D:\\a.vhdx", "size": 4194304}"#;
        let text = format!(
            r#"{{"vms": [{{"name": "a", "disks": [{disk}], "checkpoints": {checkpoints}}}]}}"#
        );
        let error = build(&text, folder.path()).err().unwrap().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn the_example_of_the_documentation_is_a_host() {
    let folder = tempfile::tempdir().unwrap();
    let text = include_str!("../../../../docs/hyperv/lab-scenario.json");
    let host = build(text, folder.path()).unwrap();
    let names = host.vms().iter().map(|vm| vm.settings.name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["web", "legacy", "copy of db"]);
    let service = Scenario::read(text).unwrap().service(host).unwrap();
    assert_eq!(service.mishaps.len(), 2);
}

#[test]
fn disks_are_where_the_scenario_puts_them() {
    let folder = tempfile::tempdir().unwrap();
    let disk = |name: &str, place: &str| {
        format!(r#"{{"path": "D:\\{name}.vhdx", "size": 4194304 {place}}}"#)
    };
    let at = |controller: u32, slot: u32| {
        format!(r#", "place": {{"controller": {controller}, "slot": {slot}}}"#)
    };
    let vm = |disks: &[String]| {
        let disks = disks.join(", ");
        format!(
            r#"{{"vms": [{{"name": "a", "generation": 1, "scsi-controllers": 2, "disks": [{disks}]}}]}}"#
        )
    };
    let text = vm(&[
        disk("a", &at(1, 1)),
        disk("b", ""),
        disk("c", &at(3, 63)),
        disk("d", &at(0, 1)),
        disk("e", ""),
        disk("f", ""),
    ]);
    let host = build(&text, folder.path()).unwrap();
    let settings = &host.vms()[0].settings;
    let places: Vec<_> = settings
        .drives
        .iter()
        .map(|d| (d.controller, d.slot))
        .collect();
    assert_eq!(places, [(1, 1), (0, 0), (3, 63), (0, 1), (1, 0), (2, 0)]);
    // IDE by one id and a number, SCSI by an id each.
    let place = |at: usize| settings.place(&settings.drives[at]);
    assert_eq!(place(0), "83F8638B-8DCA-4152-9EDA-2CA8B33039B4\\1\\1");
    assert!(place(2).ends_with("\\0\\63") && place(5).ends_with("\\0\\0"));
    assert_ne!(place(2)[..36], place(5)[..36]);
    for disks in [
        [disk("a", &at(4, 0)), disk("b", "")],
        [disk("a", &at(0, 2)), disk("b", "")],
        [disk("a", &at(0, 1)), disk("b", &at(0, 1))],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let error = build(&vm(&disks), folder.path()).err().unwrap().to_string();
        assert!(error.contains("no place"), "{error}");
    }
}
