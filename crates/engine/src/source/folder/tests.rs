use std::fs::{File, OpenOptions};

use disk::{ByteRange, WriteAt};
use testkit::image::{Image, Kind};

use super::*;
use crate::cancel::Cancel;
use crate::changes::Changed;
use crate::source::{Consistency, Early, End};

const MIB: u64 = 1 << 20;

pub(super) fn request(token: Option<Vec<u8>>) -> Request {
    Request {
        token,
        full: false,
        disks: Default::default(),
        cancel: Cancel::new(),
        early: Early::default(),
    }
}

pub(super) fn list(source: &mut FolderSource) -> Vec<VmRef> {
    let mut vms = source.list().unwrap().vms;
    vms.sort_by(|a, b| a.key.cmp(&b.key));
    vms
}

pub(super) fn names(vms: &[VmRef]) -> Vec<&str> {
    vms.iter().map(|vm| vm.name.as_str()).collect()
}

/// `base ← a ← b`, `base ← c`, and a raw disk.
fn chains(folder: &Path) {
    let base = Image::new(Kind::Vhdx, 8 * MIB, 1).write(&folder.join("base 数.vhdx"));
    let a = Image::child(&base, "base 数.vhdx", 2).write(&folder.join("a.avhdx"));
    Image::child(&a, "elsewhere\\renamed.avhdx", 3).write(&folder.join("b.avhdx"));
    Image::child(&base, "base 数.vhdx", 4).write(&folder.join("c.avhdx"));
    Image::new(Kind::Raw, MIB, 0).write(&folder.join("x.raw"));
    std::fs::write(folder.join("notes.txt"), "no disk").unwrap();
}

#[test]
fn images_that_share_a_base_are_one_vm() {
    let dir = tempfile::tempdir().unwrap();
    chains(dir.path());
    let mut source = FolderSource::open(dir.path()).unwrap();
    let vms = list(&mut source);
    assert_eq!(names(&vms), ["base 数.vhdx", "x.raw"]);

    let frozen = source.freeze(&vms[0], &request(None)).unwrap();
    let view = frozen.view();
    let layers: Vec<(&str, Option<usize>, bool)> = view
        .layers
        .iter()
        .map(|l| (l.path.as_str(), l.parent, l.interior))
        .collect();
    assert_eq!(
        layers,
        [
            ("base 数.vhdx", None, true),
            ("a.avhdx", Some(0), true),
            ("c.avhdx", Some(0), false),
            ("b.avhdx", Some(1), false),
        ]
    );
    let tops: Vec<usize> = view.uses.iter().map(|u| u.layer).collect();
    assert_eq!(tops.len(), 2);
    assert!(tops.contains(&2) && tops.contains(&3));
    assert_eq!(view.consistency, Consistency::Offline);
    assert!(view.findings.is_empty());
}

#[test]
fn one_disk_of_a_folder_brings_its_family_and_the_same_id() {
    let dir = tempfile::tempdir().unwrap();
    chains(dir.path());
    let all = list(&mut FolderSource::open(dir.path()).unwrap());
    let mut one = FolderSource::open(&dir.path().join("b.avhdx")).unwrap();
    assert_eq!(list(&mut one), all[..1]);
    // Any name will do when the disk itself is given.
    std::fs::write(dir.path().join("disk.bin"), vec![1; 4096]).unwrap();
    let mut odd = FolderSource::open(&dir.path().join("disk.bin")).unwrap();
    assert_eq!(names(&list(&mut odd)), ["disk.bin"]);
}

/// Persistent memory is a VHDX by another name, and `.dd` is as raw as `.raw`.
#[test]
fn images_are_known_by_all_their_endings() {
    let dir = tempfile::tempdir().unwrap();
    for (name, kind, seed) in [
        ("a.vhdpmem", Kind::Vhdx, 1),
        ("b.DD", Kind::Raw, 0),
        ("c.img", Kind::Raw, 0),
    ] {
        Image::new(kind, 4 * MIB, seed).write(&dir.path().join(name));
    }
    std::fs::write(dir.path().join("d.vhdpmem"), vec![0; 4096]).unwrap();
    let mut source = FolderSource::open(dir.path()).unwrap();
    let vms = list(&mut source);
    assert_eq!(names(&vms), ["a.vhdpmem", "b.DD", "c.img", "d.vhdpmem"]);
    let formats = vms[..3].iter().map(|vm| {
        let frozen = source.freeze(vm, &request(None)).unwrap();
        frozen.view().layers[0].info.format.name().to_owned()
    });
    let formats: Vec<String> = formats.collect();
    assert_eq!(formats, ["VHDX", "raw", "raw"]);
    let torn = source.freeze(&vms[3], &request(None)).err().unwrap();
    assert_eq!(torn.code, Code::DiskDamaged, "named so, it is never raw");
}

#[test]
fn a_missing_or_changed_parent_is_told_and_the_child_is_still_there() {
    let dir = tempfile::tempdir().unwrap();
    let base = Image::new(Kind::Vhdx, 4 * MIB, 1).write(&dir.path().join("base.vhdx"));
    Image::child(&base, "base.vhdx", 2).write(&dir.path().join("child.avhdx"));
    std::fs::remove_file(dir.path().join("base.vhdx")).unwrap();
    let orphaned = |expected: &str| {
        let mut source = FolderSource::open(dir.path()).unwrap();
        let vms = list(&mut source);
        let child = vms.iter().find(|vm| vm.name == "child.avhdx").unwrap();
        let frozen = source.freeze(child, &request(None)).unwrap();
        let view = frozen.view();
        assert_eq!(view.layers.len(), 1);
        assert_eq!(view.missing.len(), 1);
        assert_eq!(view.findings[0].code, Code::ParentMissing);
        assert!(
            view.findings[0].message.contains(expected),
            "{:?}",
            view.findings
        );
    };
    orphaned("is missing");
    // Another disk under the same name is not the parent.
    Image::new(Kind::Vhdx, 4 * MIB, 9).write(&dir.path().join("base.vhdx"));
    orphaned("is not the disk it was made from");
}

#[test]
fn of_two_copies_of_a_parent_the_one_beside_the_child_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    for vm in ["vm1", "vm2"] {
        let folder = dir.path().join(vm);
        std::fs::create_dir(&folder).unwrap();
        let base = Image::new(Kind::Vhdx, 4 * MIB, 1).write(&folder.join("base.vhdx"));
        Image::child(&base, "base.vhdx", 2).write(&folder.join("child.avhdx"));
    }
    let mut source = FolderSource::open(dir.path()).unwrap();
    let vms = list(&mut source);
    assert_eq!(names(&vms), ["base.vhdx", "base.vhdx"]);
    assert_ne!(vms[0].id, vms[1].id);
    for vm in &vms {
        let frozen = source.freeze(vm, &request(None)).unwrap();
        assert_eq!(frozen.view().layers.len(), 2);
        assert!(frozen.view().findings.is_empty());
    }
}

/// Holds a file as a program that works on it does: by a lock where locks are asked for, and on
/// Windows by sharing it with nobody, as a running VM does with its disks.
fn hold(path: &Path) -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(windows)]
    std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, 0);
    let file = options.open(path).unwrap();
    #[cfg(unix)]
    file.lock().unwrap();
    file
}

#[test]
fn what_cannot_be_opened_fails_alone() {
    let dir = tempfile::tempdir().unwrap();
    Image::new(Kind::Vhdx, 4 * MIB, 1)
        .data(0, &[7; 4096])
        .write(&dir.path().join("torn.vhdx"));
    let torn = OpenOptions::new()
        .write(true)
        .open(dir.path().join("torn.vhdx"))
        .unwrap();
    disk::WriteAt::set_len(&torn, 3 * MIB / 2).unwrap();
    std::fs::write(dir.path().join("empty.vhdx"), b"").unwrap();
    for name in ["good.raw", "locked.raw", "late.raw"] {
        Image::new(Kind::Raw, MIB, 0).write(&dir.path().join(name));
    }
    let _held = hold(&dir.path().join("locked.raw"));

    let mut source = FolderSource::open(dir.path()).unwrap();
    let listed = list(&mut source);
    // It is taken between being listed and being read.
    let late = hold(&dir.path().join("late.raw"));
    let mut failed = Vec::new();
    for vm in &listed {
        match source.freeze(vm, &request(None)) {
            Ok(_) => assert_eq!(vm.name, "good.raw"),
            Err(error) => {
                assert!(error.object.ends_with(&vm.name), "{error}");
                assert!(!error.hint.is_empty(), "{error}");
                failed.push((vm.name.as_str(), error.message));
            }
        }
    }
    failed.sort();
    let names: Vec<&str> = failed.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["empty.vhdx", "late.raw", "locked.raw", "torn.vhdx"]);
    for (name, message) in &failed[1..3] {
        assert_eq!(message, "another program has locked it", "{name}");
    }

    // Given back, it can be backed up.
    drop(late);
    let vm = listed.iter().find(|vm| vm.name == "late.raw").unwrap();
    assert!(source.freeze(vm, &request(None)).is_ok());
}

#[cfg(unix)]
#[test]
fn a_pipe_named_like_a_disk_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe.vhdx");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if !made.is_ok_and(|status| status.success()) {
        testkit::vhd::oracle::skip("a_pipe_named_like_a_disk_is_left_alone", "no mkfifo");
        return;
    }
    let mut source = FolderSource::open(dir.path()).unwrap();
    assert_eq!(list(&mut source), []);
}

#[test]
fn writing_to_a_disk_while_it_is_read_shows() {
    let dir = tempfile::tempdir().unwrap();
    Image::new(Kind::Raw, MIB, 0).write(&dir.path().join("x.raw"));
    let mut source = FolderSource::open(dir.path()).unwrap();
    let vm = list(&mut source).remove(0);
    let mut frozen = source.freeze(&vm, &request(None)).unwrap();
    assert_eq!(frozen.recheck(), []);
    let file = OpenOptions::new()
        .write(true)
        .open(dir.path().join("x.raw"))
        .unwrap();
    file.write_all_at(&[1], MIB - 1).unwrap();
    let moved = frozen.recheck();
    assert_eq!(moved[0].layer, Some(0));
    assert_eq!(moved[0].finding.code, Code::ChangedDuringBackup);
}

#[test]
fn changed_ranges_count_only_against_the_disk_they_are_about() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.raw");
    Image::new(Kind::Raw, MIB, 0).write(&path);
    let ranges: ByteRanges = [ByteRange::new(0, 4096)].into_iter().collect();
    let changed = |token: Option<Vec<u8>>, full| {
        let mut source = FolderSource::open(&path)
            .unwrap()
            .with_changed_ranges(ranges.clone());
        let vm = list(&mut source).remove(0);
        let wanted = Request {
            full,
            ..request(token)
        };
        let frozen = source.freeze(&vm, &wanted).unwrap();
        let changed = frozen.view().layers[0].changed.clone();
        (changed, frozen.finish(End::Durable).token.unwrap())
    };
    let (first, token) = changed(None, false);
    assert!(matches!(first, Changed::Unknown { .. }));
    let (second, _) = changed(Some(token.clone()), false);
    assert_eq!(second, Changed::Ranges(ranges.clone()));
    let (full, _) = changed(Some(token.clone()), true);
    assert!(matches!(full, Changed::Unknown { .. }));
    let (nonsense, _) = changed(Some(b"{}".to_vec()), false);
    assert!(matches!(nonsense, Changed::Unknown { .. }));
    // The disk has grown.
    WriteAt::set_len(
        &OpenOptions::new().write(true).open(&path).unwrap(),
        2 * MIB,
    )
    .unwrap();
    let (grown, _) = changed(Some(token), false);
    assert!(matches!(grown, Changed::Unknown { .. }));
}

#[test]
fn changed_ranges_do_not_count_against_another_disk_of_the_same_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.vhdx");
    let changed = |token: Option<Vec<u8>>| {
        let ranges = [ByteRange::new(0, 4096)].into_iter().collect();
        let mut source = FolderSource::open(&path)
            .unwrap()
            .with_changed_ranges(ranges);
        let vm = list(&mut source).remove(0);
        let frozen = source.freeze(&vm, &request(token)).unwrap();
        let changed = frozen.view().layers[0].changed.clone();
        (changed, frozen.finish(End::Durable).token)
    };
    Image::new(Kind::Vhdx, 4 * MIB, 1).write(&path);
    let (_, token) = changed(None);
    assert!(matches!(changed(token.clone()).0, Changed::Ranges(_)));
    std::fs::remove_file(&path).unwrap();
    Image::new(Kind::Vhdx, 4 * MIB, 2).write(&path);
    assert!(matches!(changed(token).0, Changed::Unknown { .. }));
}

#[test]
fn an_abandoned_vm_leaves_no_token() {
    let dir = tempfile::tempdir().unwrap();
    Image::new(Kind::Raw, MIB, 0).write(&dir.path().join("x.raw"));
    let mut source = FolderSource::open(dir.path()).unwrap();
    let vm = list(&mut source).remove(0);
    let frozen = source.freeze(&vm, &request(None)).unwrap();
    assert_eq!(frozen.finish(End::Abandoned).token, None);
}
