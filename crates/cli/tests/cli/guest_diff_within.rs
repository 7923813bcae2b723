//! What changed of a guest's files that lie deeper than on a disk: in a logical volume, and in what is
//! encrypted.

use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::vhd::oracle;

use crate::bench::Bench;
use crate::guest_diff::{DISK, Within, model_within};
use crate::guest_driver::EXT4;
use crate::guest_keys::{FIRST, group, put};

#[test]
fn changes_in_a_logical_volume_are_those_that_the_kernel_sees() {
    let bench = Bench::new();
    // The group stays, and what is in its volume changes.
    let carry = |image: &Path| {
        let disk = bench.path(DISK);
        match disk.exists() {
            true => put(&disk, FIRST, &fs::read(image).unwrap()),
            false => {
                // Where there are no tools there is no disk, which ends the test by name.
                if let Some(made) = group(&bench, "group.img", image) {
                    fs::rename(made, disk).unwrap();
                }
            }
        }
    };
    let blank = bench.path("blank");
    fs::write(&blank, vec![0; (EXT4.mib as usize) << 20]).unwrap();
    carry(&blank);
    if !bench.path(DISK).exists() {
        return;
    }
    let within = Within {
        volume: "my--vg-root",
        words: &[],
        carry: &carry,
    };
    model_within(&bench, &EXT4, &within);
}

/// Runs qemu-img; `None` where there is none.
fn qemu_img(words: &[&str]) -> Option<()> {
    match Command::new("qemu-img").args(words).output() {
        Ok(output) => {
            assert!(output.status.success(), "{words:?}: {output:?}");
            Some(())
        }
        Err(error) => {
            oracle::skip(
                "changes of what is encrypted",
                &format!("qemu-img: {error}"),
            );
            None
        }
    }
}

#[test]
fn changes_of_what_is_encrypted_are_those_that_the_kernel_sees() {
    let bench = Bench::new();
    fs::write(bench.path("key"), "vølume pass").unwrap();
    let secret = format!("secret,id=key,file={}", bench.path("key").display());
    let disk = bench.path(DISK);
    let len = (EXT4.mib << 20).to_string();
    let options = "key-secret=key,iter-time=10";
    let words = [
        "create", "-q", "--object", &secret, "-f", "luks", "-o", options,
    ];
    if qemu_img(&[&words[..], &[disk.to_str().unwrap(), &len]].concat()).is_none() {
        return;
    }
    // The same key and header at all moments: what differs is sectors.
    let to = format!(
        "driver=luks,key-secret=key,file.filename={}",
        disk.display()
    );
    let carry = |image: &Path| {
        let from = image.to_str().unwrap();
        let words = ["convert", "-n", "--object", &secret, "-f", "raw", from];
        qemu_img(&[&words[..], &["--target-image-opts", &to]].concat()).unwrap();
    };
    let within = Within {
        volume: "d0",
        words: &["--volume-key", "d0=key"],
        carry: &carry,
    };
    model_within(&bench, &EXT4, &within);
    // Without the key nothing is told of files, and that is.
    let shown = |moment: &str| {
        let shown = bench.run(&["show", moment, "--json"]).ends(0).json();
        shown["point"]["id"].as_str().unwrap().to_owned()
    };
    let points = bench.run(&["points", "--json"]).ends(0).json();
    let first = points["points"][0]["id"].as_str().unwrap();
    let last = shown("a.raw@latest");
    let shut = bench.run(&["diff", first, &last, "--json"]).ends(4).json();
    assert_eq!(shut["changes"].as_array().unwrap().len(), 0, "{shut:#}");
    let why = shut["volumes"][0]["not_compared"].as_str().unwrap();
    assert!(why.contains("LUKS1"), "{shut:#}");
    let hint = shut["findings"][0]["hint"].as_str().unwrap();
    assert!(hint.contains("--volume-key d0=FILE"), "{shut:#}");
}
