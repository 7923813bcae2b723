//! A disk that is missing, truncated or locked, and a target that is full: told clearly, and the
//! others go on.

use std::fs;
use std::path::Path;

use testkit::image::{Image, Kind, noise};

use crate::bench::{Answer, Bench, files_below, patch, vm};

fn chain(folder: &Path, stem: &str, number: u64) {
    fs::create_dir_all(folder).unwrap();
    let base = format!("{stem}.vhdx");
    let info = Image::new(Kind::Vhdx, 16 << 20, number)
        .data(0, &noise(number, 1 << 20))
        .write(&folder.join(&base));
    Image::child(&info, &base, number + 1)
        .data(4096, &noise(number + 1, 4096))
        .write(&folder.join(format!("{stem}_1.avhdx")));
}

#[test]
fn a_bad_disk_is_told_and_the_good_one_is_safe() {
    let bench = Bench::new();
    bench.disk("good.raw", &noise(1, 100_000));
    let source = bench.path("source");
    chain(&source.join("a"), "orphan", 10);
    fs::remove_file(source.join("a/orphan.vhdx")).unwrap();
    chain(&source.join("b"), "short", 20);
    fs::remove_file(source.join("b/short_1.avhdx")).unwrap();
    let short = fs::File::options()
        .write(true)
        .open(source.join("b/short.vhdx"))
        .unwrap();
    short.set_len(300_000).unwrap();

    let report = bench.backup(1);
    assert_eq!(vm(&report, "good.raw")["outcome"], "ok");
    let orphan = vm(&report, "orphan_1.avhdx");
    assert_eq!(orphan["outcome"], "partial");
    let text = orphan["findings"].to_string();
    assert!(
        text.contains("parent-missing") && text.contains("orphan.vhdx"),
        "{text}"
    );
    let short = vm(&report, "short.vhdx");
    assert_eq!(short["outcome"], "failed");
    assert!(short["findings"][0]["code"].is_string() && short["point"].is_null());

    let point = orphan["point"].as_str().unwrap();
    let show = bench.run(&["show", point]).ends(0).out;
    assert!(show.contains("orphan.vhdx"), "{show}");
    let to = bench.path("partly");
    let kept = bench
        .run(&["restore", "disks", point, "--to", to.to_str().unwrap()])
        .ends(4);
    assert!(to.join("orphan_1.avhdx").exists(), "{kept:?}");
    let to = bench.restore("good.raw@latest", &[]);
    assert!(fs::read(to.join("good.raw")).unwrap() == noise(1, 100_000));
}

/// The newest point is gone, so an older one is now the newest that can be read: changes are not
/// since that one, and whoever asks for the latest is told.
#[test]
fn a_point_that_cannot_be_read_is_not_passed_over_in_silence() {
    let bench = Bench::new();
    let mut bytes = noise(1, 1 << 20);
    let disk = bench.disk("a.raw", &bytes);
    fs::write(bench.path("none"), "").unwrap();
    bench.backup(0);
    bytes[..4096].fill(1);
    fs::write(&disk, &bytes).unwrap();
    let second = bench.backup(0);
    let id = second["vms"][0]["point"].as_str().unwrap();
    let points = files_below(&bench.path("vault/points"));
    let newest = points
        .iter()
        .find(|p| p.to_string_lossy().contains(id))
        .unwrap();
    let kept = fs::read(newest).unwrap();
    patch(newest, 0, &[0; 64]);

    let args = ["restore", "disks", "a.raw@latest", "--to"];
    let restore = |to: &str, code| bench.run(&[&args[..], &[to, "--json"]].concat()).ends(code);
    let older = restore("older", 3).json();
    assert!(older["findings"].to_string().contains(id), "{older}");

    let disk = disk.to_str().unwrap();
    let source = format!("folder:{disk}");
    bench
        .run(&["backup", &source, "--changed-ranges", "none"])
        .ends(3);
    restore("third", 3);
    assert!(fs::read(bench.path("third/a.raw")).unwrap() == bytes);

    fs::write(newest, kept).unwrap();
    restore("healed", 0);
}

/// Only where the system can keep somebody from reading: not for the superuser of Unix.
#[cfg(unix)]
#[test]
fn a_locked_disk_is_told_and_the_good_one_is_safe() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    bench.disk("good.raw", &noise(1, 100_000));
    let locked = bench.disk("locked.raw", &noise(2, 100_000));
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&locked).is_ok() {
        eprintln!("skipped: a_locked_disk_is_told (the superuser reads everything)");
        return;
    }
    let report = bench.backup(1);
    assert_eq!(vm(&report, "good.raw")["outcome"], "ok");
    let findings = vm(&report, "locked.raw")["findings"].to_string();
    assert!(findings.contains("locked.raw"), "{findings}");
}

/// The program with files limited to some KiB, as on a full disk.
#[cfg(target_os = "linux")]
fn run_limited(bench: &Bench, kib: u64, args: &[&str]) -> Answer {
    let mut command = std::process::Command::new("bash");
    bench.surround(&mut command);
    command
        // Without the trap the system ends the program instead of telling it.
        .args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\""])
        .arg(kib.to_string())
        .arg(env!("CARGO_BIN_EXE_hyperkeep"))
        .args(args);
    Answer::of(&command.output().unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn a_target_that_is_full_is_told_and_what_fits_is_restored() {
    let bench = Bench::new();
    let disks = bench.path("source");
    let machine = testkit::vm::Vm::generation2("web", 1)
        .disk("big.vhdx")
        .disk("small.vhdx");
    machine
        .write_to(&disks, testkit::vm::Layout::Export)
        .unwrap();
    let disks = disks.join(machine.disk_folder(testkit::vm::Layout::Export));
    Image::new(Kind::Vhdx, 32 << 20, 1)
        .data(0, &noise(1, 12 << 20))
        .write(&disks.join("big.vhdx"));
    Image::new(Kind::Vhdx, 32 << 20, 2)
        .data(0, &noise(2, 1 << 20))
        .write(&disks.join("small.vhdx"));
    let report = bench.backup(0);
    let point = report["vms"][0]["point"].as_str().unwrap();

    let to = bench.path("full");
    let args = [
        "restore",
        "disks",
        point,
        "--to",
        to.to_str().unwrap(),
        "--json",
    ];
    let answer = run_limited(&bench, 8 << 10, &args).ends(4).json();
    assert_eq!(answer["files"].as_array().unwrap().len(), 1);
    assert_eq!(answer["findings"][0]["severity"], "partial");
    let left: Vec<_> = files_below(&to);
    assert_eq!(
        left,
        [to.join("small.vhdx")],
        "nothing half-written is left"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_vault_that_is_full_fails_and_continues_when_there_is_room() {
    let bench = Bench::new();
    bench.disk("big.raw", &noise(1, 12 << 20));
    let full = run_limited(&bench, 4 << 10, &["backup", "folder:source", "--json"]).ends(1);
    let report = full.json();
    let findings = vm(&report, "big.raw")["findings"].to_string();
    assert!(findings.contains("no space left"), "{findings}");
    assert!(vm(&report, "big.raw")["point"].is_null());
    bench.run(&["points"]).ends(0);
    bench.backup(0);
    let to = bench.restore("big.raw@latest", &[]);
    assert!(fs::read(to.join("big.raw")).unwrap() == noise(1, 12 << 20));
    bench.run(&["check", "--read-data"]).ends(0);
}

/// Damage in the vault is found, named with what it affects, and mended by the next backup.
#[test]
fn a_damaged_vault_is_told() {
    let bench = Bench::new();
    bench.disk("data.raw", &noise(1, 1 << 20));
    bench.backup(0);
    let packs = files_below(&bench.path("vault/packs"));
    let largest = packs
        .iter()
        .max_by_key(|p| fs::metadata(p).unwrap().len())
        .unwrap();
    let mut bytes = fs::read(largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(largest).unwrap();
    fs::write(largest, bytes).unwrap();
    bench.run(&["check"]).ends(0);
    let answer = bench
        .run(&["check", "--read-data", "--json"])
        .ends(1)
        .json();
    assert!(
        !answer["findings"].as_array().unwrap().is_empty(),
        "{answer}"
    );
    assert_eq!(answer["affected_points"].as_array().unwrap().len(), 1);
    let to = bench.path("x");
    bench
        .run(&[
            "restore",
            "disks",
            "data.raw@latest",
            "--to",
            to.to_str().unwrap(),
        ])
        .ends(1);
    assert_eq!(files_below(&to), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_cache_that_cannot_be_used_is_told_once_and_stops_nothing() {
    let bench = Bench::bare();
    // Where the folder should be is a file.
    fs::write(bench.path("cache"), b"no folder").unwrap();
    let told = |answer: Answer| {
        let answer = answer.ends(0);
        let times = answer.err.matches("the local cache in").count();
        assert_eq!(times, 1, "{answer:?}");
    };
    told(bench.run(&["init"]));
    let data = noise(1, 300_000);
    bench.disk("a.raw", &data);
    told(bench.run(&["backup", "folder:source"]));
    told(bench.run(&["check", "--read-data"]));
    let to = bench.path("to");
    let to_text = to.to_str().unwrap();
    told(bench.run(&["restore", "disks", "a.raw@latest", "--to", to_text]));
    assert!(fs::read(to.join("a.raw")).unwrap() == data);
}
