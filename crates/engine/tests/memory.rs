//! Memory of a backup and of a restore stays within its budget, however many threads there are.
//!
//! A program of its own, because the system counts the memory of a process.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use hyperkeep_engine as engine;

use engine::backup::{Job, Options, backup};
use engine::pipeline::Limits;
use engine::progress::Quiet;
use engine::restore::plan::DisksWanted;
use engine::restore::{DisksTo, Opened, Task, restore_disks};
use engine::source::folder::FolderSource;
use engine::{Cancel, Outcome, SystemClock};
use store::LocalStore;
use testkit::image::{Image, Kind, noise};
use vault::{Env, InitOptions, Vault};

const MIB: usize = 1 << 20;
/// Layers of a VM that has many: several disks with a tree of checkpoints each.
const LAYERS: u64 = 96;
/// What the program may use.
const BUDGET: usize = 256 * MIB;
/// Enough to fill every queue several times.
const DISK: usize = 320 * MIB;

/// The most memory that the process has had since [`forget`], in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    let kib = line.split_whitespace().nth(1).unwrap();
    kib.parse::<usize>().unwrap() << 10
}

/// Begins counting anew, from what is in use now.
fn forget() {
    if let Err(error) = fs::write("/proc/self/clear_refs", "5") {
        eprintln!("the peak of memory cannot be reset ({error}): it is the one of all that ran");
    }
}

/// Data that neither compresses nor repeats: it keeps every buffer as full as it can be.
fn write_disk(path: &Path, seed: u64, len: usize) {
    let mut file = File::create(path).unwrap();
    for n in 0..len / MIB {
        file.write_all(&noise(seed + n as u64, MIB)).unwrap();
    }
}

/// A chain in which every layer has data of its own.
fn write_layers(folder: &Path) {
    let name = |number: u64| format!("{number}.vhdx");
    let data = |image: Image, number: u64| {
        image
            .data(number << 20, &noise(1000 + number, 2 * MIB))
            .write(&folder.join(name(number)))
    };
    let mut below = data(Image::new(Kind::Vhdx, LAYERS << 21, 1), 0);
    for number in 1..LAYERS {
        let child = Image::child(&below, &name(number - 1), 1 + number);
        below = data(child, number);
    }
}

fn assert_within(what: &str) {
    let peak = peak();
    println!("{what}: {} MiB", peak / MIB);
    assert!(peak <= BUDGET, "{what} took {} MiB", peak / MIB);
}

/// One test: another at the same time would be counted too.
#[test]
fn backup_and_restore_with_32_threads_stay_within_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("source")).unwrap();
    write_disk(&at("source/disk.raw"), 0, DISK);
    let store = Arc::new(LocalStore::create(at("vault")).unwrap());
    let options = InitOptions {
        writer: "test",
        ..InitOptions::default()
    };
    let env = Env::system().with_cache(at("cache"));
    let (vault, _) = Vault::init(store, &options, env).unwrap();
    let clock = SystemClock::new();
    let limits = Limits::machine().with_workers(32);

    // Without the reset the test is only stricter: making the disk and the keys counts, too.
    forget();
    let job = Job {
        vault: &vault,
        clock: &clock,
        sink: &Quiet,
        cancel: &Cancel::new(),
        limits,
    };
    let mut source = FolderSource::open(&at("source")).unwrap();
    let mut seed = 0;
    let mut random = |out: &mut [u8]| {
        seed += 1;
        out.copy_from_slice(&noise(seed, out.len()));
    };
    let report = backup(&job, &mut source, &Options::default(), &mut random).unwrap();
    assert_eq!(report.outcome, Outcome::Ok, "{report:?}");
    assert_within("a backup");

    // Several VMs share what one may have.
    fs::create_dir(at("many")).unwrap();
    for vm in 0..4 {
        write_disk(&at(&format!("many/{vm}.raw")), 5000 + 100 * vm, DISK / 8);
    }
    forget();
    let mut source = FolderSource::open(&at("many")).unwrap();
    let options = Options {
        parallel: 4,
        ..Options::default()
    };
    let report = backup(&job, &mut source, &options, &mut random).unwrap();
    assert_eq!(report.outcome, Outcome::Ok, "{report:?}");
    assert_within("a backup of four VMs at a time");
    fs::remove_dir_all(at("many")).unwrap();

    // All layers of a VM are open as long as it is read.
    fs::create_dir(at("layers")).unwrap();
    write_layers(&at("layers"));
    forget();
    let mut source = FolderSource::open(&at("layers")).unwrap();
    let report = backup(&job, &mut source, &Options::default(), &mut random).unwrap();
    assert_eq!(report.outcome, Outcome::Ok, "{report:?}");
    assert_eq!(report.vms[0].layers.len() as u64, LAYERS);
    assert_within("a backup of many layers");
    fs::remove_dir_all(at("layers")).unwrap();
    // The disks' room is scarcer than the time to make them again.
    fs::remove_file(at("source/disk.raw")).unwrap();

    let points = vault.points(None).unwrap();
    let opened = |id| Opened::open(&vault.point(id).unwrap()).unwrap();
    let is_disk = |point: &Opened| point.details.vm_name == "disk.raw";
    let point = points.iter().map(opened).find(is_disk).unwrap();
    for flatten in [false, true] {
        forget();
        let task = Task {
            vault: &vault,
            clock: &clock,
            sink: &Quiet,
            cancel: &Cancel::new(),
            limits,
        };
        let wanted = DisksWanted {
            flatten,
            ..DisksWanted::default()
        };
        let report = restore_disks(&task, &point, &wanted, &DisksTo::folder(&at("restored")));
        assert_eq!(report.outcome, Outcome::Ok, "{report:?}");
        assert_within(if flatten {
            "a flat restore"
        } else {
            "a restore"
        });
        assert_eq!(
            fs::metadata(at("restored/disk.raw")).unwrap().len(),
            DISK as u64
        );
        fs::remove_dir_all(at("restored")).unwrap();
    }
}
