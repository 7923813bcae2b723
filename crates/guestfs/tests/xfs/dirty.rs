//! File systems that were cut off while they were in use, as the kernel reads them when it has replayed
//! their log; and frozen ones.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use hyperkeep_guestfs::{FileSystem as _, How};
use testkit::crash::Random;
use testkit::image::noise;

use crate::made::{Made, compare, mkfs, populate, run, theirs};
use crate::support;

/// Ends all writing at once, as a power cut does; with what is in memory of the log written before, or not.
fn cut(root: &Path, flush: bool) -> bool {
    let word = if flush { "shutdown -f" } else { "shutdown" };
    let output = Command::new("xfs_io")
        .args(["-x", "-c", word])
        .arg(root)
        .output()
        .unwrap();
    output.status.success()
}

/// Makes, changes and removes files at random.
fn work(root: &Path, random: &mut Random, steps: u32) {
    let mut pick = |most: u64| random.number() % most;
    for _ in 0..steps {
        let folder = root.join(format!("work {}", pick(6)));
        let _ = fs::create_dir(&folder);
        let path = folder.join(format!("file {} with a name", pick(90)));
        match pick(14) {
            0..=4 => fs::write(&path, noise(pick(100), pick(30_000) as usize)).unwrap(),
            5 => drop(fs::remove_file(&path)),
            6 => drop(fs::rename(&path, folder.join(format!("file {}", pick(90))))),
            7 => drop(fs::hard_link(
                &path,
                folder.join(format!("link {}", pick(90))),
            )),
            8 => {
                let target = "t".repeat(pick(900) as usize + 1);
                drop(std::os::unix::fs::symlink(
                    target,
                    folder.join(format!("soft {}", pick(90))),
                ));
            }
            9 => {
                if let Ok(file) = OpenOptions::new().write(true).open(&path) {
                    for at in 0..pick(120) {
                        file.write_all_at(b"a piece", at * 16_384).unwrap();
                    }
                }
            }
            10 | 11 => {
                let value = noise(pick(100), pick(3000) as usize);
                let name = format!("user.name {}", pick(20));
                let flags = rustix::fs::XattrFlags::empty();
                let _ = rustix::fs::lsetxattr(&path, name, &value, flags);
            }
            12 => drop(fs::remove_dir_all(&folder)),
            _ => drop(File::open(&folder).unwrap().sync_all()),
        }
    }
}

/// The kernel replays a copy; both must be the same tree.
fn replayed(test: &str, made: &Made) -> How {
    let fs = made.open();
    let state = fs.about().state.clone();
    assert!(state.how <= How::Replayed, "{state:?}");
    let ours = support::read(&fs);
    let copy = made.copy();
    if let Some(mounted) = copy.mounted(test, "rw") {
        support::same(&ours, &theirs(&mounted.path()));
    }
    state.how
}

#[test]
fn a_log_is_replayed_as_the_kernel_does_it() {
    let test = "a_log_is_replayed_as_the_kernel_does_it";
    // Small logs go around often; mkfs.xfs makes them only for tests.
    let small = "--unsupported";
    let variants: [&[&str]; 4] = [
        &[],
        &[
            small,
            "-b",
            "size=1024",
            "-m",
            "rmapbt=1,reflink=1",
            "-n",
            "size=8192",
            "-l",
            "size=10m",
        ],
        &[
            small,
            "-m",
            "bigtime=0,reflink=0,finobt=0",
            "-i",
            "sparse=0,size=1024",
            "-l",
            "size=16m,su=128k",
        ],
        &["-b", "size=16384", "-i", "nrext64=1", "-s", "size=4096"],
    ];
    let rounds = testkit::vary::cases(3);
    for (number, words) in variants.into_iter().enumerate() {
        let Some(made) = mkfs(test, 320, words) else {
            return;
        };
        let mut random = Random(testkit::vary::seed(number as u64));
        let mut dirty = 0;
        for round in 0..rounds {
            let Some(mounted) = made.mounted(test, "rw") else {
                return;
            };
            if round == 0 {
                populate(&mounted.path(), 900);
            }
            work(&mounted.path(), &mut random, 1200);
            if !cut(&mounted.path(), round % 2 == 0) {
                return;
            }
            drop(mounted);
            dirty += u32::from(replayed(test, &made) == How::Replayed);
        }
        assert!(dirty > 0, "no log of {words:?} had anything");
    }
}

#[test]
fn a_frozen_one_is_clean() {
    let test = "a_frozen_one_is_clean";
    let Some(made) = mkfs(test, 320, &[]) else {
        return;
    };
    let Some(mounted) = made.mounted(test, "rw") else {
        return;
    };
    populate(&mounted.path(), 500);
    run("fsfreeze", &["-f"], &[&mounted.path()]);
    let copy = made.copy();
    run("fsfreeze", &["-u"], &[&mounted.path()]);
    drop(mounted);
    compare(test, &copy, "rw", How::Clean);
}

/// A record in the middle of what is needed is damaged.
#[test]
fn a_log_that_cannot_be_replayed_is_told() {
    let test = "a_log_that_cannot_be_replayed_is_told";
    let Some(made) = mkfs(test, 320, &["--unsupported", "-l", "size=10m"]) else {
        return;
    };
    let Some(mounted) = made.mounted(test, "rw") else {
        return;
    };
    for index in 0..3000 {
        fs::write(mounted.path().join(format!("name {index}")), b"contents").unwrap();
    }
    cut(&mounted.path(), true);
    drop(mounted);
    assert_eq!(made.open().about().state.how, How::Replayed);
    let output = Command::new("xfs_db")
        .args([
            "-r",
            "-c",
            "sb 0",
            "-c",
            "convert fsblock 0 byte",
            "-c",
            "print logstart agblklog agblocks",
        ])
        .arg(&made.image)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let number = |name: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.split(" = ").nth(1).unwrap().parse().unwrap()
    };
    let (log, shift) = (number("logstart"), number("agblklog"));
    let within = log & ((1 << shift) - 1);
    let start = ((log >> shift) * number("agblocks") + within) * 4096;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&made.image)
        .unwrap();
    let (mut lost, mut torn) = (0, 0);
    for at in (start..start + (2 << 20)).step_by(64 << 10) {
        let mut before = [0; 64];
        file.read_exact_at(&mut before, at + 100).unwrap();
        file.write_all_at(&[0x55; 64], at + 100).unwrap();
        let fs = made.open();
        let state = &fs.about().state;
        if state.how == How::Damaged {
            assert!(
                state.notes[0].contains("its log was not replayed"),
                "{state:?}"
            );
            lost += 1;
        } else {
            // Of no record that is needed, or one that may have been under way.
            assert_eq!(state.how, How::Replayed, "{state:?}");
            torn += usize::from(state.notes.iter().any(|note| note.contains("not whole")));
        }
        file.write_all_at(&before, at + 100).unwrap();
    }
    assert!(lost > 0 && torn > 0, "{lost} were lost, {torn} torn");
}
