//! What is left of a rollback in place that did not come to its end, when something else happened to the
//! disk before it is finished or put back.

use std::fs;
use std::path::{Path, PathBuf};

use disk::OpenAs;
use serde_json::Value;
use testkit::image::{Image, Kind, noise};

use crate::bench::{Bench, patch};
use crate::in_place::{LEN, MIB, kept, name, prepared, roll_back, seen, undo_of};

/// As a kill leaves it: the last part of the undo file, which says that it was finished, is not there.
fn unfinished(kind: Kind) -> (Bench, PathBuf, Vec<u8>) {
    let (bench, path, before) = prepared(kind);
    roll_back(&bench, kind, &[], 0);
    let undo = fs::File::options().write(true).open(undo_of(&path));
    let undo = undo.unwrap();
    undo.set_len(undo.metadata().unwrap().len() - 4096).unwrap();
    (bench, path, before)
}

fn told(answer: &Value) -> &str {
    answer["findings"][0]["message"].as_str().unwrap()
}

#[test]
fn it_is_finished() {
    for kind in [Kind::Raw, Kind::Vhdx] {
        let (bench, path, before) = unfinished(kind);
        kept(&bench, "confirm", 1);
        let done = roll_back(&bench, kind, &[], 0);
        assert_eq!(done["disks"][0]["became"], "now", "{done:#}");
        assert!(seen(&path) == before, "{kind:?}");
    }
}

#[test]
fn a_file_of_another_length_is_refused() {
    let (bench, path, _) = unfinished(Kind::Raw);
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(LEN - 4 * MIB).unwrap();
    drop(file);
    let bytes = fs::read(&path).unwrap();
    let refused = roll_back(&bench, Kind::Raw, &[], 1);
    assert!(
        told(&refused).contains("at the restore point"),
        "{refused:#}"
    );
    assert!(fs::read(&path).unwrap() == bytes);
}

#[test]
fn a_checkpoint_made_since_is_noticed() {
    let (bench, path, _) = unfinished(Kind::Vhdx);
    let file = fs::File::open(&path).unwrap();
    let info = disk::open(file, OpenAs::ByContent).unwrap().info().clone();
    Image::child(&info, name(Kind::Vhdx), 3)
        .data(0, &noise(4, 4096))
        .write(&path.with_file_name("disk_1.avhdx"));
    let bytes = fs::read(&path).unwrap();
    let refused = roll_back(&bench, Kind::Vhdx, &[], 1);
    assert!(
        told(&refused).contains("checkpoint was made since"),
        "{refused:#}"
    );
    assert!(fs::read(&path).unwrap() == bytes);
}

/// A new file never comes to be where what is kept of the old one could be put into it.
#[test]
fn its_file_is_not_replaced() {
    let (bench, path, _) = unfinished(Kind::Raw);
    let bytes = fs::read(&path).unwrap();
    let args = ["restore", "disks", "disk.raw@latest", "--to", "source"];
    let run = |there: &Path| {
        let more = ["--overwrite", "always", "--json"];
        let refused = bench.run(&[&args[..], &more].concat()).ends(1).json();
        let finding = &refused["findings"][0];
        assert_eq!(finding["code"], "target-exists", "{refused:#}");
        assert!(finding["message"].as_str().unwrap().contains("undo file"));
        assert!(undo_of(there).exists());
    };
    run(&path);
    assert!(fs::read(&path).unwrap() == bytes);
    fs::remove_file(&path).unwrap();
    run(&path);
    assert!(!path.exists());
}

/// What may stand on a disk and cannot be read is not taken for something that does not.
#[test]
fn a_file_beside_it_that_cannot_be_read_keeps_it() {
    let (bench, path, before) = prepared(Kind::Vhdx);
    let beside = path.with_file_name("disk_1.avhdx");
    let parent = disk::open(fs::File::open(&path).unwrap(), OpenAs::ByContent).unwrap();
    Image::child(parent.info(), name(Kind::Vhdx), 3).write(&beside);
    drop(parent);
    // Both headers.
    patch(&beside, 64 << 10, &[0; 128 << 10]);
    let theirs = fs::read(&path).unwrap();
    let refused = roll_back(&bench, Kind::Vhdx, &[], 1);
    assert!(told(&refused).contains("cannot be told"), "{refused:#}");
    assert!(fs::read(&path).unwrap() == theirs);
    fs::remove_file(&beside).unwrap();
    let done = roll_back(&bench, Kind::Vhdx, &[], 0);
    assert!(done.to_string().contains("linked clone"), "{done:#}");
    assert!(seen(&path) == before);
}
