//! Into the vault and back, bit for bit.

use std::fs;
use std::path::Path;

use disk::layer::{Format, VhdKind};
use testkit::image::{Image, Kind, noise};
use testkit::vhd::oracle;
use testkit::vm::{Layout, Vm};

use crate::bench::{Bench, patch, vm};

const MIB: u64 = 1 << 20;

/// A disk with data, zeros and a hole at its end.
fn disk() -> Vec<u8> {
    let mut bytes = noise(1, 5 << 20);
    bytes.extend(vec![0; 1 << 20]);
    bytes.extend(b"text that compresses well ".repeat(40_000));
    bytes.resize(12 << 20, 0);
    bytes
}

fn same(a: &Path, b: &Path) {
    assert!(
        fs::read(a).unwrap() == fs::read(b).unwrap(),
        "{} and {} differ",
        a.display(),
        b.display()
    );
}

#[test]
fn a_raw_disk_comes_back_and_every_command_knows_it() {
    let bench = Bench::new();
    let source = bench.disk("data.raw", &disk());
    let report = bench.backup(0);
    let done = vm(&report, "data.raw");
    assert_eq!(
        (&done["outcome"], &done["level"]),
        (&"ok".into(), &"full".into())
    );
    let id = done["point"].as_str().unwrap();

    let points = bench.run(&["points"]).ends(0).out;
    assert!(
        points.contains(&id[..12]) && points.contains("data.raw"),
        "{points}"
    );
    let show = bench.run(&["show", &id[..8]]).ends(0).out;
    for part in [
        "read in full",
        "Not covered\n  nothing that is known of",
        id,
    ] {
        assert!(show.contains(part), "{part}: {show}");
    }
    let ls = bench.run(&["ls", "data.raw@latest"]).ends(0).out;
    assert!(ls.contains("12.0 MiB raw"), "{ls}");
    let path = bench
        .run(&["ls", "data.raw@latest:data.raw", "--json"])
        .ends(0)
        .json();
    assert_eq!(path["entries"][0]["bytes"], 12 * MIB);
    bench.run(&["ls", "data.raw@latest:none"]).ends(1);

    same(&bench.restore(id, &[]).join("data.raw"), &source);
    same(
        &bench.restore("DATA.RAW@latest", &[]).join("data.raw"),
        &source,
    );
    bench.run(&["check", "--read-data"]).ends(0);

    // Nothing is ever overwritten.
    let to = bench.restore(id, &[]);
    let to = to.to_str().unwrap();
    fs::write(Path::new(to).join("data.raw"), "mine").unwrap();
    let again = bench.run(&["restore", "disks", id, "--to", to]).ends(1);
    assert!(again.out.contains("already exists"), "{again:?}");
    assert_eq!(fs::read(Path::new(to).join("data.raw")).unwrap(), b"mine");
}

#[test]
fn a_second_backup_stores_nothing_twice_and_each_point_is_itself() {
    let bench = Bench::new();
    let source = bench.disk("data.raw", &disk());
    let before = fs::read(&source).unwrap();
    bench.backup(0);
    patch(&source, 3_000_000, b"changed");
    let second = bench.backup(0);
    let stored = vm(&second, "data.raw")["stored"].as_u64().unwrap();
    assert!(stored < MIB, "{stored}");

    let points = bench.run(&["points", "--json"]).ends(0).json();
    let first = points["points"][0]["id"].as_str().unwrap();
    let first = bench.restore(first, &[]).join("data.raw");
    assert!(fs::read(first).unwrap() == before);
    same(
        &bench.restore("data.raw@latest", &[]).join("data.raw"),
        &source,
    );
}

#[test]
fn every_format_becomes_every_other_with_the_same_contents() {
    let bench = Bench::new();
    // No whole number of cylinders, and the last sector counts, as in a GPT.
    let mut bytes = disk();
    bytes.extend(noise(2, 512 * 7));
    let raw = bench.disk("data.raw", &bytes);
    bench.backup(0);
    let qemu = oracle::qemu_img("every_format_becomes_every_other_with_the_same_contents");
    for (format, ending, theirs) in [
        ("vhdx", "vhdx", "vhdx"),
        ("vhdx-fixed", "vhdx", "vhdx"),
        ("vhd", "vhd", "vpc"),
        ("vhd-fixed", "vhd", "vpc"),
        ("qcow2", "qcow2", "qcow2"),
    ] {
        let to = bench.restore("data.raw@latest", &["--format", format]);
        let made = to.join(format!("data.{ending}"));
        if let Some(qemu) = &qemu {
            assert!(qemu.read(theirs, &made).unwrap() == bytes, "{format}");
        }
        // No backup reads it.
        if format == "qcow2" {
            continue;
        }
        let layer = disk::open(fs::File::open(&made).unwrap(), disk::OpenAs::ByContent).unwrap();
        let fixed = match &layer.info().format {
            Format::Vhdx(vhdx) => vhdx.fixed,
            Format::Vhd(vhd) => vhd.kind == VhdKind::Fixed,
            Format::Raw => false,
        };
        assert_eq!(fixed, format.ends_with("-fixed"), "{format}");
        let name = format!("from {format}.{ending}");
        fs::create_dir(bench.path(format)).unwrap();
        fs::copy(&made, bench.path(format).join(&name)).unwrap();
        bench.run(&["backup", &format!("folder:{format}")]).ends(0);
        let point = format!("{name}@latest");
        let flat = bench.restore(&point, &["--flatten", "--format", "raw"]);
        let flat = fs::read(flat.join(format!("from {format}.raw"))).unwrap();
        assert!(flat == bytes, "{format}");
    }
    assert!(fs::read(raw).unwrap() == bytes);
}

/// Nothing is wrong with the vault then, and nobody is sent to check it.
#[test]
fn what_no_format_but_raw_can_hold_is_said_so() {
    let bench = Bench::new();
    bench.disk("odd.raw", &noise(1, 70_001));
    bench.backup(0);
    for format in ["vhdx", "vhdx-fixed", "vhd", "vhd-fixed", "qcow2"] {
        let args = ["restore", "disks", "odd.raw@latest", "--to", format];
        let answer = bench
            .run(&[&args[..], &["--format", format]].concat())
            .ends(1);
        let told = format!("{}{}", answer.out, answer.err);
        assert!(told.contains("restore it as raw"), "{told}");
        assert!(!told.contains("hyperkeep check"), "{told}");
        assert_eq!(fs::read_dir(bench.path(format)).unwrap().count(), 0);
    }
    let to = bench.restore("odd.raw@latest", &["--format", "raw"]);
    assert!(fs::read(to.join("odd.raw")).unwrap() == noise(1, 70_001));
}

/// A VM with a checkpoint: its chain as files, flat, as of the checkpoint, and as an export.
#[test]
fn a_vm_with_checkpoints_comes_back_in_every_way() {
    let bench = Bench::new();
    let source = bench.path("source");
    let machine = Vm::generation2("Web & “数据” 💾", 1)
        .disk("web_1.avhdx")
        .checkpoint("before the update", &["web.vhdx"]);
    machine.write_to(&source, Layout::Export).unwrap();
    let disks = source.join(machine.disk_folder(Layout::Export));
    let (old, new) = (noise(5, 2 << 20), noise(6, 1 << 20));
    let base = Image::new(Kind::Vhdx, 64 * MIB, 1)
        .data(0, &old)
        .write(&disks.join("web.vhdx"));
    Image::child(&base, "web.vhdx", 2)
        .data(512 * 1024, &new)
        .write(&disks.join("web_1.avhdx"));

    let listed = bench.run(&["ls", "folder:source"]).ends(0).out;
    assert!(listed.contains("before the update"), "{listed}");
    assert!(
        listed.contains("web_1.avhdx") && listed.contains("web.vhdx"),
        "{listed}"
    );

    let report = bench.backup(0);
    let point = report["vms"][0]["point"].as_str().unwrap();
    let mut present = old.clone();
    present[512 * 1024..][..new.len()].copy_from_slice(&new);

    let start = |path: &Path, len: usize| fs::read(path).unwrap()[..len].to_vec();
    let flat = bench.restore(point, &["--flatten", "--format", "raw"]);
    assert!(start(&flat.join("web.raw"), present.len()) == present);
    let args = ["--checkpoint", "before the update", "--format", "raw"];
    let then = bench.restore(point, &args);
    assert!(start(&then.join("web.raw"), old.len()) == old);
    bench
        .run(&[
            "restore",
            "disks",
            point,
            "--to",
            "x",
            "--checkpoint",
            "no such",
        ])
        .ends(1);

    // As a chain and as an export: backed up from there, both hold the same disk.
    let kept = bench.restore(point, &[]);
    assert!(kept.join("web_1.avhdx").exists() && kept.join("web.vhdx").exists());
    bench
        .run(&["restore", "folder", point, "--to", "export"])
        .ends(0);
    let export = format!("folder:{}", bench.path("export").display());
    let relisted = bench.run(&["ls", &export]).ends(0).out;
    assert!(relisted.contains("before the update"), "{relisted}");
    for folder in [kept, bench.path("export")] {
        let from = format!("folder:{}", folder.display());
        let report = bench.run(&["backup", &from, "--json"]).ends(0).json();
        let point = report["vms"][0]["point"].as_str().unwrap();
        let flat = bench.restore(point, &["--flatten", "--format", "raw"]);
        assert!(
            start(&flat.join("web.raw"), present.len()) == present,
            "{from}"
        );
    }
}

/// What a list of changed ranges leaves out is not read; what it names is in the point.
#[test]
fn an_incremental_by_changed_ranges_equals_a_full_read() {
    let bench = Bench::new();
    let source = bench.disk("data.raw", &disk());
    bench.backup(0);
    let mut ranges = String::from("# offset length\n");
    for (offset, len) in [(0u64, 5000usize), (4_194_000, 700), (9_000_000, 100_000)] {
        patch(&source, offset, &noise(offset + 7, len));
        ranges.push_str(&format!("{offset:#x} {len}\n"));
    }
    fs::write(bench.path("ranges"), ranges).unwrap();
    let by_ranges = bench
        .run(&[
            "backup",
            "folder:source/data.raw",
            "--changed-ranges",
            "ranges",
            "--json",
        ])
        .ends(0)
        .json();
    let done = vm(&by_ranges, "data.raw");
    assert_eq!(done["level"], "incremental");
    assert_eq!(done["layers"][0]["reading"]["how"], "ranges");
    let read = done["stats"]["read"].as_u64().unwrap();
    assert!(read < 2 * MIB, "{read}");
    same(
        &bench.restore("data.raw@latest", &[]).join("data.raw"),
        &source,
    );

    let full = bench
        .run(&[
            "backup",
            "folder:source/data.raw",
            "--level",
            "full",
            "--json",
        ])
        .ends(0)
        .json();
    // The incremental kept small changes as patches, which a full read cuts anew; no more.
    let new = vm(&full, "data.raw")["stats"]["new"].as_u64().unwrap();
    assert!(new < MIB, "{new}");
    same(
        &bench.restore("data.raw@latest", &[]).join("data.raw"),
        &source,
    );

    fs::write(bench.path("ranges"), "1 x\n").unwrap();
    let bad = bench
        .run(&[
            "backup",
            "folder:source/data.raw",
            "--changed-ranges",
            "ranges",
        ])
        .ends(1);
    assert!(
        bad.err.contains("line 1") && bad.err.contains("hint: "),
        "{bad:?}"
    );
}

/// Ranges that leave a change out are found out by the audit: the point is right all the same, and
/// the disk is named.
#[test]
fn a_change_that_the_ranges_leave_out_is_found_and_healed() {
    let bench = Bench::new();
    let source = bench.disk("data.raw", &noise(1, 400_000));
    bench.backup(0);
    // The sweep of half a mebibyte sees all of it.
    patch(&source, 300_000, b"nobody told");
    fs::write(bench.path("ranges"), "0 4096\n").unwrap();
    let run = |more: &[&str], code: i32| {
        let args = [
            "backup",
            "folder:source/data.raw",
            "--json",
            "--changed-ranges",
            "ranges",
        ];
        bench.run(&[&args[..], more].concat()).ends(code).json()
    };
    let believed = run(&["--audit", "0"], 0);
    assert_eq!(
        vm(&believed, "data.raw")["layers"][0]["reading"]["compared"],
        0
    );
    let healed = run(&[], 3);
    let healed = vm(&healed, "data.raw");
    assert_eq!(healed["outcome"], "warning");
    assert_eq!(healed["findings"][0]["code"], "changes-missed");
    assert_eq!(
        healed["findings"][0]["object"],
        source.canonicalize().unwrap().to_str().unwrap()
    );
    assert_eq!(healed["layers"][0]["reading"]["how"], "full");
    same(
        &bench.restore("data.raw@latest", &[]).join("data.raw"),
        &source,
    );
    bench
        .run(&["backup", "folder:source", "--audit", "101"])
        .ends(2);
}

/// What a guest state file holds is told when it is looked at, saved, and looked up later.
#[test]
fn guest_state_with_a_virtual_tpm_is_told_everywhere() {
    let bench = Bench::new();
    let source = bench.path("source");
    for (name, number) in [("with a TPM", 1), ("without", 2)] {
        let mut machine = Vm::generation2(name, number).disk("disk.vhdx");
        if number == 1 {
            machine = machine.virtual_tpm();
        }
        machine.write_to(&source, Layout::Export).unwrap();
        let disks = source.join(machine.disk_folder(Layout::Export));
        Image::new(Kind::Vhdx, 16 * MIB, number)
            .data(0, &noise(number, 10_000))
            .write(&disks.join("disk.vhdx"));
    }
    let holds = "the guest state holds virtual TPM state and its key protector";
    let told = |out: String| out.matches(holds).count();
    assert_eq!(told(bench.run(&["ls", "folder:source"]).ends(0).out), 1);
    let report = bench.backup(0);
    let vms = report["vms"].as_array().unwrap();
    for vm in vms {
        let findings = vm["findings"].as_array().unwrap();
        let state = findings.iter().find(|f| f["code"] == "guest-state");
        assert_eq!(state.is_some(), vm["name"] == "with a TPM", "{findings:?}");
        if let Some(state) = state {
            assert_eq!(state["severity"], "info");
            assert!(state["object"].as_str().unwrap().ends_with(".vmgs"));
        }
    }
    let show = |point: &str| told(bench.run(&["show", point]).ends(0).out);
    assert_eq!((show("with a TPM@latest"), show("without@latest")), (1, 0));
}
