//! A disk that is missing, truncated or locked, and a target that is full: told clearly, and the
//! others go on.

use std::fs;
use std::path::Path;

use testkit::image::{Image, Kind, noise};
#[cfg(target_os = "linux")]
use testkit::vhd::oracle;
use testkit::vm::Layout;

use crate::bench::{Answer, Bench, files_below, patch, vm};
#[cfg(target_os = "linux")]
use crate::start::Start as _;

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

/// Whoever forgets such a disk would hear that all is well.
#[test]
fn a_disk_that_is_not_read_is_a_warning() {
    let bench = Bench::new();
    bench.disk("good.raw", &noise(1, 100_000));
    bench.disk("other.vmdk", &noise(2, 5000));
    let report = bench.backup(3);
    assert_eq!(vm(&report, "good.raw")["outcome"], "ok");
    let finding = &report["findings"][0];
    assert_eq!(finding["code"], "not-covered");
    assert!(finding["object"].as_str().unwrap().ends_with("other.vmdk"));
    bench.run(&["ls", "folder:source"]).ends(3);
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

/// As a running VM's host holds it: for nobody else, not even the superuser.
fn held(path: &Path) -> fs::File {
    let mut options = fs::File::options();
    options.read(true).write(true);
    #[cfg(windows)]
    std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, 0);
    let file = options.open(path).unwrap();
    #[cfg(unix)]
    file.try_lock().unwrap();
    file
}

#[test]
fn a_locked_disk_is_told_and_the_good_ones_are_safe() {
    let bench = Bench::new();
    bench.disk("good.raw", &noise(1, 100_000));
    let locked = bench.disk("locked.raw", &noise(2, 100_000));
    let lock = held(&locked);
    let report = bench.backup(1);
    assert_eq!(vm(&report, "good.raw")["outcome"], "ok");
    let failed = vm(&report, "locked.raw");
    assert_eq!(failed["outcome"], "failed");
    assert!(failed["point"].is_null());
    let finding = &failed["findings"][0];
    assert_eq!(finding["code"], "disk-unreadable");
    assert!(finding["hint"].is_string(), "{finding}");
    drop(lock);
    bench.backup(0);
    bench.restore("locked.raw@latest", &[]);
}

/// One VM has a disk that is locked, one that is gone, one that is cut short, and a good one: what
/// is good is in its point, what is not is named, and the other VM is whole.
#[test]
fn a_vm_with_every_kind_of_bad_disk_is_partial_and_the_other_is_safe() {
    let bench = Bench::new();
    let names = ["good.vhdx", "gone.vhdx", "locked.vhdx", "short.vhdx"];
    let mut lock = None;
    for (number, (name, disks)) in [("web", &names[..]), ("other", &names[..1])]
        .iter()
        .enumerate()
    {
        let number = number as u64;
        let mut machine = testkit::vm::Vm::generation2(name, number + 1);
        for disk in *disks {
            machine = machine.disk(disk);
        }
        let root = bench.path("source").join(name);
        machine.write_to(&root, Layout::Export).unwrap();
        let folder = root.join(machine.disk_folder(Layout::Export));
        for disk in *disks {
            let path = folder.join(disk);
            match *disk {
                "gone.vhdx" => continue,
                disk => Image::new(Kind::Vhdx, 16 << 20, number * 10 + disk.len() as u64)
                    .data(0, &noise(number, 1 << 20))
                    .write(&path),
            };
            match *disk {
                "locked.vhdx" => lock = Some(held(&path)),
                "short.vhdx" => {
                    let file = fs::File::options().write(true).open(&path).unwrap();
                    file.set_len(300_000).unwrap();
                }
                _ => {}
            }
        }
    }
    let report = bench.backup(4);
    assert_eq!(vm(&report, "other")["outcome"], "ok");
    let web = vm(&report, "web");
    assert_eq!(web["outcome"], "partial");
    assert_eq!(web["layers"].as_array().unwrap().len(), 1);
    let findings = web["findings"].as_array().unwrap();
    for (disk, code) in [
        ("gone.vhdx", "disk-missing"),
        ("locked.vhdx", "disk-unreadable"),
        ("short.vhdx", "disk-damaged"),
    ] {
        let told = findings.iter().any(|finding| {
            let object = finding["object"].as_str().unwrap();
            finding["code"] == code && object.contains(disk) && finding["severity"] == "partial"
        });
        assert!(told, "{disk}: {web:#}");
    }
    // Looking tells the same: what is there and cannot be opened makes the look incomplete.
    let look = bench.run(&["ls", "folder:source", "--json"]).ends(4).json();
    assert_eq!(look["outcome"], "partial");
    let point = web["point"].as_str().unwrap();
    let to = bench.path("to");
    let args = ["restore", "disks", point, "--to", "to", "--json"];
    bench.run(&args).ends(4);
    assert_eq!(files_below(&to), [to.join("good.vhdx")]);
    let to = bench.restore("other@latest", &["--flatten", "--format", "raw"]);
    assert!(fs::read(to.join("good.raw")).unwrap()[..1 << 20] == noise(1, 1 << 20));
    drop(lock);
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
    command.answer()
}

#[cfg(target_os = "linux")]
#[test]
fn a_target_that_is_full_is_told_and_what_fits_is_restored() {
    let bench = Bench::new();
    let disks = bench.path("source");
    let machine = testkit::vm::Vm::generation2("web", 1)
        .disk("big.vhdx")
        .disk("small.vhdx");
    machine.write_to(&disks, Layout::Export).unwrap();
    let disks = disks.join(machine.disk_folder(Layout::Export));
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
    // The system says that the file is too large, which is not the same as a full disk.
    assert_eq!(answer["findings"][0]["code"], "target-failed");
    let disks: Vec<_> = ["big.vhdx", "small.vhdx"].map(|name| to.join(name)).into();
    let left = files_below(&to).into_iter();
    let left: Vec<_> = left
        .filter(|path| path.extension().is_none_or(|e| e != "journal"))
        .collect();
    assert_eq!(left, disks[1..], "nothing half-written is left");
    // With room, the same command knows what it has made.
    let again = bench.run(&args).ends(0).json();
    assert_eq!(again["files"].as_array().unwrap().len(), 2, "{again:#}");
    assert_eq!(files_below(&to), disks);
}

/// A file system of 8 MiB, where the system lets this user mount one of its own.
#[cfg(target_os = "linux")]
#[test]
fn a_full_file_system_is_told_and_what_fits_is_restored() {
    let made = |how: &str| {
        let mut command = std::process::Command::new("unshare");
        let script = "mount -t tmpfs none /tmp";
        let ran = command.args([how, "sh", "-c", script]).output();
        ran.is_ok_and(|output| output.status.success())
    };
    let script = "mount -t tmpfs -o size=8m none \"$0\" && { \"$@\"; code=$?; \
                  find \"$0\" -type f >left; exit $code; }";
    let mounted = |bench: &Bench, args: &[&str]| {
        fs::create_dir_all(bench.path("small")).unwrap();
        let mut command = std::process::Command::new("unshare");
        bench.surround(&mut command);
        // The superuser of a container may mount and not make users, and others the reverse.
        let own = if made("-m") { "-m" } else { "-Urm" };
        command.args([own, "sh", "-c", script, "small"]).args(args);
        command.output().map(|output| Answer::of(&output))
    };
    let bench = Bench::new();
    if !mounted(&bench, &["true"]).is_ok_and(|answer| answer.code == 0) {
        oracle::forbidden("a_full_file_system_is_told", "no mounts of one's own");
        return;
    }
    let mut points = Vec::new();
    for (number, len) in [(1, 12 << 20), (2, 1 << 20)] {
        bench.disk(&format!("{number}.raw"), &noise(number, len));
    }
    let report = bench.backup(0);
    for number in [1, 2] {
        points.push(vm(&report, &format!("{number}.raw"))["point"].clone());
    }
    let program = env!("CARGO_BIN_EXE_hyperkeep");
    let restore = |point: &str| {
        let args = [
            program, "restore", "disks", point, "--to", "small", "--json",
        ];
        mounted(&bench, &args).unwrap()
    };
    let full = restore(points[0].as_str().unwrap()).ends(1).json();
    assert_eq!(full["findings"][0]["code"], "target-full", "{full}");
    assert!(full["findings"][0]["hint"].is_string(), "{full}");
    assert_eq!(fs::read_to_string(bench.path("left")).unwrap(), "");
    restore(points[1].as_str().unwrap()).ends(0);
    let left = fs::read_to_string(bench.path("left")).unwrap();
    assert_eq!(left.trim(), "small/2.raw");
}

#[cfg(target_os = "linux")]
#[test]
fn a_vault_that_is_full_fails_and_continues_when_there_is_room() {
    let bench = Bench::new();
    bench.disk("big.raw", &noise(1, 12 << 20));
    bench.disk("small.raw", &noise(2, 1 << 20));
    let full = run_limited(&bench, 4 << 10, &["backup", "folder:source", "--json"]).ends(1);
    let report = full.json();
    let findings = vm(&report, "big.raw")["findings"].to_string();
    assert!(findings.contains("no space left"), "{findings}");
    assert_eq!(vm(&report, "big.raw")["outcome"], "failed");
    assert!(vm(&report, "big.raw")["point"].is_null());
    // For this one there is room.
    assert_eq!(vm(&report, "small.raw")["outcome"], "ok");
    let to = bench.restore("small.raw@latest", &[]);
    assert!(fs::read(to.join("small.raw")).unwrap() == noise(2, 1 << 20));
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
