//! `restore disks --simulate`, and room that is looked for before anything is written.

use std::fs;

use testkit::image::noise;

use crate::bench::{Bench, files_below};

#[test]
fn a_simulated_restore_tells_what_a_real_one_does_and_writes_nothing() {
    let bench = Bench::new();
    let mut bytes = noise(1, 3 << 20);
    bytes.resize(40 << 20, 0);
    bytes.extend(noise(2, 1 << 20));
    bench.disk("a.raw", &bytes);
    bench.backup(0);
    for format in ["raw", "vhdx", "vhdx-fixed", "vhd", "vhd-fixed", "qcow2"] {
        let args = ["restore", "disks", "a.raw@latest", "--to", format, "--json"];
        let args = [&args[..], &["--format", format]].concat();
        let told = bench.run(&[&args[..], &["--simulate"]].concat()).ends(0);
        let told = told.json();
        assert!(!bench.path(format).exists());
        assert_eq!(told["files"].as_array().unwrap().len(), 0);
        let would = &told["simulated"][0];
        let done = bench.run(&args).ends(0).json();
        let made = &done["files"][0];
        for member in ["path", "data", "became"] {
            assert_eq!(would[member], made[member], "{format}: {would}");
        }
        let path = bench.path(made["path"].as_str().unwrap());
        let found = fs::metadata(&path).unwrap();
        assert_eq!(would["bytes"], found.len(), "{format}");
        assert_eq!(told["room"]["needed"], would["room"], "{format}");
        assert_eq!(done["room"]["needed"], would["room"], "{format}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            // What the file system adds to round up, and to keep account.
            let room = would["room"].as_u64().unwrap();
            let taken = found.blocks() * 512;
            assert!(taken <= room + (2 << 20), "{format}: {taken} of {room}");
        }

        let again = bench.run(&[&args[..], &["--simulate"]].concat()).ends(1);
        let again = again.json();
        assert_eq!(again["findings"][0]["code"], "target-exists");
        let over = [&args[..], &["--simulate", "--overwrite", "always"]].concat();
        let over = bench.run(&over).ends(0).json();
        assert_eq!(over["simulated"][0]["became"], "replaced");
        let unchanged = fs::metadata(&path).unwrap();
        assert_eq!(unchanged.modified().unwrap(), found.modified().unwrap());
    }
    let text = [
        "restore",
        "disks",
        "a.raw@latest",
        "--to",
        "x",
        "--simulate",
    ];
    let text = bench.run(&text).ends(0).out;
    assert!(
        text.contains("would be made") && text.contains("room: "),
        "{text}"
    );
    assert!(text.contains("nothing was written"), "{text}");
}

#[test]
fn a_simulated_restore_finds_damage() {
    let bench = Bench::new();
    bench.disk("a.raw", &noise(1, 3 << 20));
    bench.backup(0);
    for pack in files_below(&bench.path("vault/packs")) {
        let mut bytes = fs::read(&pack).unwrap();
        if bytes.len() > 1 << 20 {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::remove_file(&pack).unwrap();
            fs::write(&pack, bytes).unwrap();
        }
    }
    let args = [
        "restore",
        "disks",
        "a.raw@latest",
        "--to",
        "x",
        "--simulate",
    ];
    let told = bench.run(&[&args[..], &["--json"]].concat()).ends(1).json();
    assert_eq!(told["findings"][0]["code"], "failed", "{told:#}");
    assert_eq!(told["simulated"].as_array().unwrap().len(), 0);
}

/// More than any target has, told before a byte of it is written.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_for_which_there_is_no_room_is_not_begun() {
    let bench = Bench::new();
    let path = bench.disk("huge.raw", b"");
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(12 << 40).unwrap();
    drop(file);
    bench.backup(0);
    let args = [
        "restore",
        "disks",
        "huge.raw@latest",
        "--to",
        "to",
        "--json",
    ];
    let fixed = [&args[..], &["--format", "vhdx-fixed"]].concat();
    let told = bench.run(&fixed).ends(1).json();
    assert_eq!(told["findings"][0]["code"], "target-full", "{told:#}");
    assert!(told["room"]["needed"].as_u64().unwrap() >= 12 << 40);
    assert!(files_below(&bench.path("to")).is_empty());
    let grows = [&args[..], &["--format", "qcow2"]].concat();
    let told = bench.run(&grows).ends(0).json();
    assert!(told["room"]["needed"].as_u64().unwrap() < 8 << 20);
}
