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
use engine::restore::{Opened, Task, restore_disks};
use engine::source::folder::FolderSource;
use engine::{Cancel, Outcome, SystemClock};
use store::LocalStore;
use testkit::image::noise;
use vault::{Env, InitOptions, Vault};

const MIB: usize = 1 << 20;
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
fn write_disk(path: &Path) {
    let mut file = File::create(path).unwrap();
    for n in 0..DISK / MIB {
        file.write_all(&noise(n as u64, MIB)).unwrap();
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
    write_disk(&at("source/disk.raw"));
    let store = Arc::new(LocalStore::create(at("vault")).unwrap());
    let options = InitOptions {
        writer: "test",
        ..InitOptions::default()
    };
    let env = Env::system().with_cache(at("cache"));
    let (vault, _) = Vault::init(store, &options, env).unwrap();
    let clock = SystemClock::new();
    let limits = Limits {
        workers: 32,
        ..Limits::machine()
    };

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
    // The disks' room is scarcer than the time to make them again.
    fs::remove_file(at("source/disk.raw")).unwrap();

    let points = vault.points(None).unwrap();
    let point = Opened::open(&vault.point(&points[0]).unwrap()).unwrap();
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
        let report = restore_disks(&task, &point, &wanted, &at("restored"));
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
