//! `restore disks --in-place`, `restore confirm` and `restore undo`: disks that are there are brought back
//! at the cost of what differs, and put back to the byte.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use disk::resolve::{Folders, open_chain};
use disk::vhdx::{EditIds, VhdxEditor};
use disk::{BlockRead, OpenAs};
use serde_json::Value;
use testkit::image::{Image, Kind, noise};
use testkit::vhd::oracle::skip;
use testkit::vm::{Layout, Vm};
use uuid::Uuid;

use crate::bench::{Bench, files_below, patch};
use crate::killed::killed;

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const LEN: u64 = 24 * MIB;

/// What a guest sees of a disk file.
pub(crate) fn seen(path: &Path) -> Vec<u8> {
    let mut bytes = vec![0; LEN as usize];
    if OpenAs::by_name(path) == OpenAs::Raw {
        let disk = disk::open(fs::File::open(path).unwrap(), OpenAs::Raw).unwrap();
        disk.read_at(0, &mut bytes).unwrap();
    } else {
        let disk = open_chain(&Folders::new(), path).unwrap();
        disk.read_at(0, &mut bytes).unwrap();
    }
    bytes
}

/// What a guest does to its disk: bytes here and there, zeros where data was, data where none was.
fn changed(path: &Path, kind: Kind) {
    let changes = [
        (5 * MIB + 300_032, noise(7, 200_704)),
        (9 * MIB, vec![0; MIB as usize]),
        (LEN - 4096, noise(8, 4096)),
        (18 * MIB, noise(9, 70_144)),
    ];
    if matches!(kind, Kind::Raw | Kind::VhdFixed) {
        for (at, bytes) in changes {
            patch(path, at, &bytes);
        }
        return;
    }
    let file = fs::File::options().read(true).write(true).open(path);
    let ids = [1, 2, 3].map(|n| Uuid::from_u128(0x7700 + n));
    let ids = EditIds {
        file_write_guid: ids[0],
        data_write_guid: ids[1],
        log_guid: ids[2],
    };
    let mut editor = VhdxEditor::open(file.unwrap(), ids).unwrap();
    for (at, bytes) in changes {
        match bytes.iter().all(|byte| *byte == 0) {
            true => editor
                .write_zeros(disk::ByteRange::new(at, at + bytes.len() as u64))
                .unwrap(),
            false => editor.write_at(at, &bytes).unwrap(),
        }
    }
    editor.close().unwrap();
}

pub(crate) fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Raw => "disk.raw",
        Kind::Vhd | Kind::VhdFixed => "disk.vhd",
        Kind::Vhdx | Kind::VhdxFixed => "disk.vhdx",
    }
}

/// The file that keeps what a disk file was.
pub(crate) fn undo_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.hyperkeep-undo", path.display()))
}

/// A vault with a disk, and the disk as its guest has changed it since.
pub(crate) fn prepared(kind: Kind) -> (Bench, PathBuf, Vec<u8>) {
    let bench = Bench::new();
    let path = bench.path("source").join(name(kind));
    Image::new(kind, LEN, 1)
        .data(0, &noise(1, 7 * MIB as usize))
        .data(9 * MIB, &noise(2, 2 * MIB as usize))
        .data(LEN - MIB, &noise(3, MIB as usize))
        .write(&path);
    bench.backup(0);
    let before = seen(&path);
    changed(&path, kind);
    assert!(seen(&path) != before);
    (bench, path, before)
}

pub(crate) fn roll_back(bench: &Bench, kind: Kind, more: &[&str], code: i32) -> Value {
    let point = format!("{}@latest", name(kind));
    let args = ["restore", "disks", &point, "--to", "source", "--in-place"];
    bench
        .run(&[&args[..], &["--json"], more].concat())
        .ends(code)
        .json()
}

pub(crate) fn kept(bench: &Bench, verb: &str, code: i32) -> Value {
    let run = bench.run(&["restore", verb, "source", "--json"]);
    run.ends(code).json()
}

#[test]
fn disks_are_brought_back_put_back_and_kept() {
    for kind in [Kind::Raw, Kind::Vhdx, Kind::VhdxFixed, Kind::VhdFixed] {
        let (bench, path, before) = prepared(kind);
        let theirs = fs::read(&path).unwrap();
        let would = roll_back(&bench, kind, &["--simulate"], 0);
        assert_eq!(would["disks"][0]["became"], "would", "{would:#}");
        // Of a VM that is saved nothing is open.
        assert!(would.to_string().contains("whether the VM is off"));
        assert!(fs::read(&path).unwrap() == theirs);
        assert_eq!(
            files_below(&bench.path("source")),
            std::slice::from_ref(&path)
        );

        let now = roll_back(&bench, kind, &[], 0);
        assert_eq!(now["disks"][0]["became"], "now", "{now:#}");
        assert_eq!(now["disks"][0]["changed"], would["disks"][0]["changed"]);
        assert!(seen(&path) == before, "{kind:?}");
        // Given again, it is there; and nothing else may be begun.
        let again = roll_back(&bench, kind, &[], 0);
        assert_eq!(again["disks"][0]["became"], "before", "{again:#}");

        let undone = kept(&bench, "undo", 0);
        assert_eq!(undone["disks"][0]["became"], "undone", "{undone:#}");
        assert!(fs::read(&path).unwrap() == theirs, "{kind:?}");
        assert_eq!(
            files_below(&bench.path("source")),
            std::slice::from_ref(&path)
        );
        kept(&bench, "undo", 1);

        roll_back(&bench, kind, &[], 0);
        kept(&bench, "confirm", 0);
        assert!(seen(&path) == before, "{kind:?}");
        assert_eq!(
            files_below(&bench.path("source")),
            std::slice::from_ref(&path)
        );
        let same = roll_back(&bench, kind, &[], 0);
        assert_eq!(same["disks"][0]["became"], "same", "{same:#}");
        assert!(!same.to_string().contains("whether the VM is off"));
        assert_eq!(files_below(&bench.path("source")), [path]);
    }
}

/// Another program agrees that it is the disk of then.
#[test]
fn qemu_sees_the_disk_of_then() {
    for (kind, format) in [
        (Kind::Raw, "raw"),
        (Kind::Vhdx, "vhdx"),
        (Kind::VhdxFixed, "vhdx"),
        (Kind::VhdFixed, "vpc"),
    ] {
        let (bench, path, before) = prepared(kind);
        roll_back(&bench, kind, &[], 0);
        let model = bench.path("model");
        fs::write(&model, &before).unwrap();
        let compare = Command::new("qemu-img")
            .args(["compare", "-f", "raw", "-F", format])
            .args([&model, &path])
            .output();
        let Ok(output) = compare else {
            skip("qemu_sees_the_disk_of_then", "no qemu-img");
            return;
        };
        assert!(output.status.success(), "{kind:?}: {output:?}");
        if format == "vhdx" {
            let check = Command::new("qemu-img").arg("check").arg(&path).output();
            assert!(check.unwrap().status.success(), "{kind:?}");
        }
    }
}

/// A small change costs little, however large the disk is.
#[test]
fn it_writes_in_proportion_to_what_differs() {
    for kind in [Kind::Raw, Kind::Vhdx] {
        let bench = Bench::new();
        let path = bench.path("source").join(name(kind));
        Image::new(kind, 64 * MIB, 1)
            .data(0, &noise(1, 48 * MIB as usize))
            .write(&path);
        bench.backup(0);
        if kind == Kind::Raw {
            patch(&path, 30 * MIB, &[1; 5000]);
        } else {
            let file = fs::File::options().read(true).write(true).open(&path);
            let ids = [1, 2, 3].map(|n| Uuid::from_u128(0x8800 + n));
            let ids = EditIds {
                file_write_guid: ids[0],
                data_write_guid: ids[1],
                log_guid: ids[2],
            };
            let mut editor = VhdxEditor::open(file.unwrap(), ids).unwrap();
            editor.write_at(30 * MIB, &[1; 5000]).unwrap();
            editor.close().unwrap();
        }
        let done = roll_back(&bench, kind, &[], 0);
        assert_eq!(done["disks"][0]["changed"], 8192, "{done:#}");
        let undo = done["disks"][0]["undo"].as_str().unwrap().to_owned();
        let kept = fs::metadata(bench.path(&undo)).unwrap().len();
        // What is kept is what is overwritten: the disk's bytes, and headers and a log entry.
        assert!(kept < 200_000, "{kind:?}: {kept}");
    }
}

#[test]
fn a_disk_with_a_checkpoint_made_since_is_refused_and_none_is_changed() {
    let bench = Bench::new();
    let source = bench.path("source");
    let machine = Vm::generation2("web", 1).disk("web.vhdx").disk("data.vhdx");
    machine.write_to(&source, Layout::Export).unwrap();
    let disks = source.join(machine.disk_folder(Layout::Export));
    let web = Image::new(Kind::Vhdx, LEN, 1)
        .data(0, &noise(1, MIB as usize))
        .write(&disks.join("web.vhdx"));
    Image::new(Kind::Vhdx, LEN, 2)
        .data(0, &noise(2, MIB as usize))
        .write(&disks.join("data.vhdx"));
    bench.backup(0);
    changed(&disks.join("data.vhdx"), Kind::Vhdx);
    Image::child(&web, "web.vhdx", 3)
        .data(0, &noise(4, 4096))
        .write(&disks.join("web_1.avhdx"));
    let before: Vec<_> = files_below(&disks)
        .into_iter()
        .map(|path| (fs::read(&path).unwrap(), path))
        .collect();
    let to = disks.to_str().unwrap();
    let args = [
        "restore",
        "disks",
        "web@latest",
        "--to",
        to,
        "--in-place",
        "--json",
    ];
    let refused = bench.run(&args).ends(1).json();
    let finding = &refused["findings"][0];
    assert_eq!(finding["code"], "not-in-place", "{refused:#}");
    let message = finding["message"].as_str().unwrap();
    assert!(message.contains("a checkpoint was made since"), "{message}");
    for (bytes, path) in &before {
        assert!(fs::read(path).unwrap() == *bytes, "{}", path.display());
    }
    assert_eq!(files_below(&disks).len(), before.len());

    // Without it all are brought back; and of a chain as it was then, the topmost.
    fs::remove_file(disks.join("web_1.avhdx")).unwrap();
    let done = bench.run(&args).ends(0).json();
    let became: Vec<_> = done["disks"].as_array().unwrap().iter().collect();
    assert_eq!(became.len(), 2, "{done:#}");
}

/// A chain that is as it was, but for what was written to its topmost file.
#[test]
fn the_topmost_file_of_a_chain_is_brought_back() {
    let bench = Bench::new();
    let source = bench.path("source");
    let machine = Vm::generation2("web", 1)
        .disk("web_1.avhdx")
        .checkpoint("before", &["web.vhdx"]);
    machine.write_to(&source, Layout::Export).unwrap();
    let disks = source.join(machine.disk_folder(Layout::Export));
    let (base, top) = (disks.join("web.vhdx"), disks.join("web_1.avhdx"));
    let info = Image::new(Kind::Vhdx, LEN, 1)
        .data(0, &noise(1, 10 * MIB as usize))
        .write(&base);
    Image::child(&info, "web.vhdx", 2)
        .data(MIB, &noise(2, 8192))
        .zeros(2 * MIB, MIB)
        .write(&top);
    bench.backup(0);
    let before = seen(&top);
    let below = fs::read(&base).unwrap();
    changed(&top, Kind::Vhdx);
    let theirs = fs::read(&top).unwrap();
    let to = disks.to_str().unwrap();
    bench
        .run(&["restore", "disks", "web@latest", "--to", to, "--in-place"])
        .ends(0);
    assert!(seen(&top) == before);
    assert!(fs::read(&base).unwrap() == below);
    bench
        .run(&["restore", "undo", top.to_str().unwrap()])
        .ends(0);
    assert!(fs::read(&top).unwrap() == theirs);
}

#[test]
fn what_cannot_be_changed_safely_is_refused() {
    // One that grows has no log.
    let bench = Bench::new();
    let path = bench.path("source/disk.vhd");
    Image::new(Kind::Vhd, LEN, 1)
        .data(0, &noise(1, MIB as usize))
        .write(&path);
    bench.backup(0);
    let bytes = fs::read(&path).unwrap();
    let refused = roll_back(&bench, Kind::Vhd, &[], 1);
    assert_eq!(
        refused["findings"][0]["code"], "not-in-place",
        "{refused:#}"
    );
    assert!(fs::read(&path).unwrap() == bytes);

    // One of another size.
    let (bench, path, _) = prepared(Kind::Raw);
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(LEN + 4096).unwrap();
    drop(file);
    roll_back(&bench, Kind::Raw, &[], 1);
    assert_eq!(fs::metadata(&path).unwrap().len(), LEN + 4096);
    // One that is not there.
    fs::remove_file(&path).unwrap();
    roll_back(&bench, Kind::Raw, &[], 1);
    assert!(files_below(&bench.path("source")).is_empty());
}

/// Whoever has a disk open and says so keeps it.
#[test]
fn a_disk_in_use_is_refused() {
    let (bench, path, _) = prepared(Kind::Vhdx);
    let bytes = fs::read(&path).unwrap();
    let theirs = fs::File::options().read(true).write(true).open(&path);
    let theirs = Arc::new(theirs.unwrap());
    theirs.lock().unwrap();
    let refused = roll_back(&bench, Kind::Vhdx, &[], 1);
    let message = refused["findings"][0]["message"].as_str().unwrap();
    assert!(message.contains("in use"), "{refused:#}");
    drop(theirs);
    assert!(fs::read(&path).unwrap() == bytes);
    roll_back(&bench, Kind::Vhdx, &[], 0);
}

/// What the VM wrote since is not mixed with what was.
#[test]
fn what_was_written_to_since_is_not_put_back() {
    let (bench, path, _) = prepared(Kind::Raw);
    roll_back(&bench, Kind::Raw, &[], 0);
    patch(&path, 4096, b"the VM was started");
    let file = fs::File::options().write(true).open(&path).unwrap();
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
    file.set_modified(later).unwrap();
    drop(file);
    let bytes = fs::read(&path).unwrap();
    let refused = kept(&bench, "undo", 1);
    let message = refused["findings"][0]["message"].as_str().unwrap();
    assert!(message.contains("was written to since"), "{refused:#}");
    roll_back(&bench, Kind::Raw, &[], 1);
    assert!(fs::read(&path).unwrap() == bytes);
    kept(&bench, "confirm", 0);
    roll_back(&bench, Kind::Raw, &[], 0);
}

/// An undo file that is damaged is told, and puts nothing back.
#[test]
fn a_damaged_undo_file_puts_nothing_back() {
    let (bench, path, before) = prepared(Kind::Raw);
    roll_back(&bench, Kind::Raw, &[], 0);
    let undo = undo_of(&path);
    patch(&undo, 5000, b"rot");
    for verb in ["undo", "confirm"] {
        let told = kept(&bench, verb, 1);
        let message = told["findings"][0]["message"].as_str().unwrap();
        assert!(message.contains("is damaged"), "{told:#}");
    }
    assert!(seen(&path) == before);
}

/// Killed at any moment, it can be finished, and it can be put back.
#[test]
fn killed_at_any_moment_it_can_be_finished_or_put_back() {
    let mut kills = 0;
    for kind in [Kind::Raw, Kind::Vhdx] {
        let (bench, path, before) = prepared(kind);
        // Most of it differs, so that it takes several steps.
        fs::remove_file(&path).unwrap();
        Image::new(kind, LEN, 1)
            .data(0, &noise(20, 22 * MIB as usize))
            .write(&path);
        let theirs = fs::read(&path).unwrap();
        let undo = undo_of(&path);
        let kept_so_far = || fs::metadata(&undo).map_or(0, |found| found.len());
        let point = format!("{}@latest", name(kind));
        let args = ["restore", "disks", &point, "--to", "source", "--in-place"];
        for (number, limit) in [1, 5 * MIB, 17 * MIB, 18 * MIB, 21 * MIB]
            .into_iter()
            .enumerate()
        {
            let early = killed(&bench, &args, || kept_so_far() >= limit);
            kills += usize::from(early);
            if !undo.exists() {
                assert!(fs::read(&path).unwrap() == theirs, "{kind:?} {number}");
                continue;
            }
            if number % 2 == 0 {
                roll_back(&bench, kind, &[], 0);
                assert!(seen(&path) == before, "{kind:?} {number}");
            }
            kept(&bench, "undo", 0);
            assert!(fs::read(&path).unwrap() == theirs, "{kind:?} {number}");
        }
    }
    assert!(kills > 0, "every run was faster than a look at a file");
}
