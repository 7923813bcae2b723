//! A backup killed at any moment, and run again.

use std::fs;
use std::process::{Child, Stdio};

use testkit::crash::Random;
use testkit::image::noise;
use testkit::vhd::oracle;
use testkit::vm::{Layout, Vm};

#[cfg(unix)]
use crate::bench::{Answer, vm};
use crate::bench::{Bench, bytes_below, files_below};
use crate::start::Start as _;

/// The first is longer than a pack, so that parts of a disk are durable before all of it is.
const LENS: [usize; 2] = [44 << 20, 8 << 20];

fn prepared() -> Bench {
    let bench = Bench::new();
    for (number, len) in LENS.into_iter().enumerate() {
        bench.disk(&format!("disk {number}.raw"), &noise(number as u64, len));
    }
    bench
}

/// What the program wrote so far, files under way included.
fn written(bench: &Bench) -> u64 {
    bytes_below(&bench.path("vault"))
}

/// Looks until it is so, or the program has ended.
fn until(child: &mut Child, so: impl Fn() -> bool) {
    while !so() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
}

/// Runs the program and kills it as soon as it is so; whether that came before its end.
pub(crate) fn killed(bench: &Bench, args: &[&str], so: impl Fn() -> bool) -> bool {
    let mut child = bench
        .command(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .start();
    until(&mut child, so);
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

/// Killed each time that one more pack of it is in the vault: what was there before stays as it was
/// to the byte, each run goes on where the last one was, and the end is whole.
#[test]
fn a_backup_killed_after_each_pack_harms_nothing_and_stores_nothing_twice() {
    let bench = Bench::new();
    let before = noise(100, 3 << 20);
    let disk = bench.disk("disk 0.raw", &before);
    bench.backup(0);
    let old_files: Vec<_> = files_below(&bench.path("vault"))
        .into_iter()
        .map(|path| (fs::read(&path).unwrap(), path))
        .collect();
    let packs = || files_below(&bench.path("vault/packs")).len();
    let old_packs = packs();

    let after = noise(101, 100 << 20);
    fs::write(&disk, &after).unwrap();
    let mut kills = 0;
    for more in 1..=4 {
        let killed = killed(&bench, &["backup", "folder:source"], || {
            packs() >= old_packs + more
        });
        kills += usize::from(killed);
        for (bytes, path) in &old_files {
            assert!(fs::read(path).unwrap() == *bytes, "{}", path.display());
        }
        let to = bench.path(&format!("before {more}"));
        let oldest = &bench.run(&["points", "--json"]).ends(0).json()["points"][0];
        let args = ["restore", "disks", oldest["id"].as_str().unwrap(), "--to"];
        bench
            .run(&[&args[..], &[to.to_str().unwrap()]].concat())
            .ends(0);
        assert!(fs::read(to.join("disk 0.raw")).unwrap() == before);
    }
    assert!(kills > 0, "every run was faster than a look at a folder");
    bench.backup(0);
    bench.run(&["check", "--read-data"]).ends(0);
    let to = bench.restore("disk 0.raw@latest", &[]);
    assert!(fs::read(to.join("disk 0.raw")).unwrap() == after);
    // Noise neither shrinks nor repeats: what is beyond it is maps, and data that was stored twice.
    let stored = bytes_below(&bench.path("vault/packs"));
    let plain = (before.len() + after.len()) as u64;
    assert!(stored < plain + (2 << 20), "{stored} bytes of {plain}");
}

#[test]
fn a_killed_backup_is_completed_and_stores_nothing_twice() {
    let whole = prepared();
    whole.backup(0);
    let packs = |bench: &Bench| bytes_below(&bench.path("vault/packs"));
    let uninterrupted = packs(&whole);

    let bench = prepared();
    let mut random = Random(testkit::vary::seed(7));
    let step = LENS.iter().sum::<usize>() as u64 / 4;
    for round in 0..4 {
        let limit = round * step + random.below(step);
        // When it has written that much, or has ended: whichever comes first is fine.
        killed(&bench, &["backup", "folder:source"], || {
            written(&bench) >= limit
        });
        bench.run(&["points"]).ends(0);
    }
    bench.backup(0);
    let stored = packs(&bench);
    // Each kill may leave nodes of maps behind, and no data is stored again.
    assert!(
        stored < uninterrupted + uninterrupted / 10,
        "{stored} bytes in packs after kills, {uninterrupted} without"
    );
    bench.run(&["check", "--read-data"]).ends(0);
    for (number, len) in LENS.into_iter().enumerate() {
        let name = format!("disk {number}.raw");
        let to = bench.restore(&format!("{name}@latest"), &[]);
        assert!(
            fs::read(to.join(&name)).unwrap() == noise(number as u64, len),
            "{name}"
        );
    }
}

/// A killed restore leaves nothing that looks like a disk, and the next one goes on where it was.
#[test]
fn a_restore_killed_again_and_again_goes_on_and_leaves_no_half_disk() {
    let bench = Bench::new();
    let disks = [noise(0, 200 << 20), noise(1, 8 << 20)];
    let source = bench.path("source");
    let machine = Vm::generation1_xml("web", 1).disk("a.raw").disk("b.raw");
    machine.write_to(&source, Layout::Shared).unwrap();
    let folder = source.join(machine.disk_folder(Layout::Shared));
    for (name, bytes) in ["a.raw", "b.raw"].into_iter().zip(&disks) {
        fs::write(folder.join(name), bytes).unwrap();
    }
    bench.backup(0);
    let to = bench.path("killed");
    let to_text = to.to_str().unwrap();
    let args = ["restore", "disks", "web@latest", "--to", to_text];
    let args = [&args[..], &["--format", "qcow2", "--json"]].concat();
    let only_whole = || {
        for file in files_below(&to) {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let under_way = name.ends_with(".part") || name.ends_with(".journal");
            let whole = fs::metadata(&file).unwrap().len() > 8 << 20;
            assert!(under_way || whole, "{name}");
        }
    };
    let mut kills = 0;
    for mib in [1u64, 80, 150, 190] {
        kills += usize::from(killed(&bench, &args, || bytes_below(&to) >= mib << 20));
        only_whole();
    }
    assert!(kills > 2, "killed {kills} times");
    let done = bench.run(&args).ends(0).json();
    let files = done["files"].as_array().unwrap();
    assert_eq!(files.len(), 2, "{done:#}");
    let earlier = files[0]["earlier"].as_u64().unwrap();
    assert!(earlier >= 64 << 20, "{done:#}");
    let names: Vec<_> = files_below(&to);
    assert_eq!(names, [to.join("a.qcow2"), to.join("b.qcow2")]);
    let Some(qemu) = oracle::qemu_img("a restore that was killed against qemu-img") else {
        return;
    };
    for (name, bytes) in names.iter().zip(&disks) {
        assert!(qemu.read("qcow2", name).unwrap() == *bytes);
        let told = qemu.run(&["check"], &[name]).unwrap();
        assert!(told.contains("No errors"), "{told}");
    }
}

/// Ctrl-C ends the work between two units of it: what is under way is `cancelled`, nothing is
/// broken, and the next run completes it.
#[cfg(unix)]
#[test]
fn an_interrupted_backup_is_cancelled_and_completed_later() {
    let bench = prepared();
    let mut child = bench
        .command(&["backup", "folder:source", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .start();
    // It listens before it reads: from the first bytes on there is time for a signal.
    until(&mut child, || written(&bench) >= 4 << 20);
    // The shell's own: a small Debian has no program of that name.
    let interrupt = std::process::Command::new("sh")
        .args(["-c", "kill -INT \"$0\"", &child.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    let answer = Answer::of(&child.wait_with_output().unwrap()).ends(6);
    let report = answer.json();
    assert_eq!(report["outcome"], "cancelled");
    assert_eq!(vm(&report, "disk 1.raw")["outcome"], "cancelled");
    assert!(answer.err.contains("stopping"), "{answer:?}");
    bench.backup(0);
    bench.run(&["check", "--read-data"]).ends(0);
}
