//! Encrypted volumes of guests, opened by keys: LUKS as cryptsetup writes it, with LVM2 inside.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use testkit::vhd::oracle;

use crate::bench::{Answer, Bench, vm};

pub(crate) const MIB: u64 = 1 << 20;
const TEST: &str = "encrypted volumes of guests";
const PASSPHRASE: &str = "vølume pass";
/// A key file with what may end a line in it, and at its end.
const KEY_FILE: &[u8] = b"\x00key\nfile\xff\n";
/// What cryptsetup takes for itself when it encrypts what is there.
const TAKEN: u64 = 32 * MIB;
const LOGICAL: u64 = 12 * MIB;
/// Where in a physical volume its first logical one begins.
pub(crate) const FIRST: u64 = MIB;

/// What a tool answers; `None` where there is none, which is told.
pub(crate) fn tool(program: &str, args: &[&str]) -> Option<Output> {
    match Command::new(program).args(args).output() {
        Ok(output) => Some(output),
        Err(error) => {
            oracle::skip(TEST, &format!("{program}: {error}"));
            None
        }
    }
}

fn done(program: &str, args: &[&str]) -> Option<()> {
    let output = tool(program, args)?;
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
    Some(())
}

/// An image of a file system with a folder's files.
fn ext4(bench: &Bench, name: &str, folder: &Path, len: u64) -> Option<PathBuf> {
    let image = bench.path(name);
    File::create(&image).unwrap().set_len(len).unwrap();
    let (from, to) = (folder.to_str().unwrap(), image.to_str().unwrap());
    done("mke2fs", &["-q", "-F", "-t", "ext4", "-d", from, to])?;
    Some(image)
}

/// A physical volume whose group “my-vg” has one volume “root”, with what an image has.
pub(crate) fn group(bench: &Bench, name: &str, root: &Path) -> Option<PathBuf> {
    let image = bench.path(name);
    let root_len = fs::metadata(root).unwrap().len();
    let len = root_len + 3 * MIB;
    File::create(&image).unwrap().set_len(len).unwrap();
    let output = tool("losetup", &["-f", "--show", image.to_str().unwrap()])?;
    if !output.status.success() {
        oracle::forbidden(TEST, &String::from_utf8_lossy(&output.stderr));
        return None;
    }
    let device = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let config = format!(
        "devices{{filter=[\"a|^{device}$|\",\"r|.*|\"] use_devicesfile=0 md_component_detection=0 \
         multipath_component_detection=0}} global{{use_lvmlockd=0 use_lvmpolld=0}} \
         activation{{udev_sync=0 udev_rules=0 monitoring=0}} backup{{backup=0 archive=0}}"
    );
    let lvm = |words: &[&str]| {
        let rest = ["--config", &config, "--driverloaded", "n"];
        tool("lvm", &[words, &rest].concat())
    };
    let extents = (root_len / MIB).to_string();
    let made = [
        lvm(&["pvcreate", "-y", "--dataalignment", "1m", &device]),
        lvm(&["vgcreate", "-y", "-s", "1M", "my-vg", &device]),
        lvm(&[
            "lvcreate", "-y", "-an", "-Zn", "-Wn", "-n", "root", "-l", &extents, "my-vg",
        ]),
    ];
    done("losetup", &["-d", &device])?;
    for output in made {
        let output = output?;
        assert!(output.status.success(), "{output:?}");
    }
    // The first extent is at 1 MiB, as asked for.
    put(&image, FIRST, &fs::read(root).unwrap());
    Some(image)
}

pub(crate) fn put(image: &Path, at: u64, bytes: &[u8]) {
    let mut file = File::options().write(true).open(image).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

/// Encrypts an image where it is, with the key in a file.
fn encrypt(image: &Path, key: &Path) -> Option<()> {
    let file = File::options().write(true).open(image).unwrap();
    file.set_len(file.metadata().unwrap().len() + TAKEN)
        .unwrap();
    let words = [
        "reencrypt",
        "--encrypt",
        "-q",
        "--type",
        "luks2",
        "--reduce-device-size",
        "32M",
        "--pbkdf-memory",
        "1024",
        "--pbkdf-force-iterations",
        "4",
        "--key-file",
        key.to_str().unwrap(),
        image.to_str().unwrap(),
    ];
    done("cryptsetup", &words)
}

/// A machine with two encrypted partitions and one that is not; the folder that is in all of them.
pub(crate) fn machine(bench: &Bench) -> Option<PathBuf> {
    let folder = bench.path("files");
    fs::create_dir_all(folder.join("etc")).unwrap();
    fs::write(folder.join("etc/host.conf"), b"order hosts\n").unwrap();
    fs::write(folder.join("large"), testkit::image::noise(3, 3 << 20)).unwrap();
    // Neither has a line break that is no part of it; the file that is given later has one.
    fs::write(bench.path("exact"), PASSPHRASE).unwrap();
    fs::write(bench.path("typed"), format!("{PASSPHRASE}\n")).unwrap();
    fs::write(bench.path("keyfile"), KEY_FILE).unwrap();
    fs::write(bench.path("wrong"), "another one").unwrap();
    let root = ext4(bench, "root.img", &folder, LOGICAL)?;
    let group = group(bench, "group.img", &root)?;
    encrypt(&group, &bench.path("exact"))?;
    let data = ext4(bench, "data.img", &folder, LOGICAL)?;
    let plain = fs::read(&data).unwrap();
    encrypt(&data, &bench.path("keyfile"))?;
    let [group, data] = [group, data].map(|path| fs::read(path).unwrap());
    let whole = bench.path("whole.img");
    let parts = [group, data, plain];
    let mut table = "label: gpt\n".to_owned();
    let mut at = MIB;
    for part in &parts {
        let (start, size) = (at / 512, part.len() / 512);
        table.push_str(&format!("start={start}, size={size}, type=linux\n"));
        at += part.len() as u64;
    }
    File::create(&whole).unwrap().set_len(at + MIB).unwrap();
    oracle::sfdisk(TEST)?.write(&whole, &table).unwrap();
    let mut at = MIB;
    for part in &parts {
        put(&whole, at, part);
        at += part.len() as u64;
    }
    bench.disk("data.raw", &fs::read(&whole).unwrap());
    Some(folder)
}

fn told<'a>(document: &'a Value, name: &str) -> &'a Value {
    let all = document["volumes"].as_array().unwrap();
    all.iter().find(|one| one["volume"] == name).unwrap()
}

/// Without a key, or a part of one, in what it says.
#[track_caller]
fn discreet(answer: Answer) -> Answer {
    for secret in [PASSPHRASE, "vølume", "file\u{fffd}"] {
        assert!(!format!("{answer:?}").contains(secret), "{answer:?}");
    }
    answer
}

#[test]
fn encrypted_volumes_are_opened_by_their_keys_and_named_without() {
    let bench = Bench::new();
    let Some(original) = machine(&bench) else {
        return;
    };
    let report = bench.backup(0);
    let id = vm(&report, "data.raw")["point"]
        .as_str()
        .unwrap()
        .to_owned();
    let [whole, first, root] = ["/", "/d0p1", "/my--vg-root"].map(|path| format!("{id}:{path}"));
    let run = |args: &[&str]| discreet(bench.run(args));

    // Without keys: what is there is named, with what opens it.
    let seen = run(&["ls", &whole, "--json"]).ends(0).json();
    for name in ["d0p1", "d0p2"] {
        let volume = told(&seen, name);
        assert_eq!(volume["encrypted"], "LUKS2", "{seen:#}");
        let why = volume["not_read"].as_str().unwrap();
        assert!(why.contains("passphrase or key file"), "{why}");
    }
    assert_eq!(told(&seen, "d0p3")["encrypted"], Value::Null);
    let shut = run(&["ls", &first]).ends(1);
    for words in ["d0p1", "LUKS2", "--volume-key d0p1=FILE"] {
        assert!(shut.err.contains(words), "{shut:?}");
    }
    let found = run(&["find", &id, "host.conf", "--json"]).ends(4).json();
    assert_eq!(found["files"].as_array().unwrap().len(), 1, "{found:#}");

    // The wrong key, also of the other volume.
    for wrong in ["wrong", "keyfile"] {
        let key = format!("d0p1={wrong}");
        let refused = run(&["ls", &first, "--volume-key", &key]).ends(1);
        for words in [
            "wrong key: d0p1",
            "give another key: --volume-key d0p1=FILE",
        ] {
            assert!(refused.err.contains(words), "{refused:?}");
        }
        let seen = run(&["ls", &whole, "--volume-key", &key, "--json"]);
        let seen = seen.ends(4).json();
        assert_eq!(seen["findings"][0]["object"], "d0p1", "{seen:#}");
    }

    // Both keys: names are the same, and what lies within is there too.
    let both = ["--volume-key", "d0p1=typed", "--volume-key", "d0p2=keyfile"];
    let seen = run(&[&["ls", &whole, "--json"], &both[..]].concat());
    let seen = seen.ends(0).json();
    let all = seen["volumes"].as_array().unwrap().iter();
    let all: Vec<_> = all
        .map(|one| ["volume", "what", "encrypted"].map(|key| one[key].as_str().unwrap_or("-")))
        .collect();
    let expected = [
        ["d0p1", "LVM2", "LUKS2"],
        ["d0p2", "ext4", "LUKS2"],
        ["d0p3", "ext4", "-"],
        ["my--vg-root", "ext4", "-"],
    ];
    assert_eq!(all, expected, "{seen:#}");
    let listed = run(&["ls", &root, "--volume-key", "/d0p1=exact", "--json"]);
    let listed = listed.ends(0).json();
    assert_eq!(listed["files"][0]["path"], "my--vg-root/etc", "{listed:#}");
    let found = run(&[&["find", &id, "host.conf", "--json"], &both[..]].concat());
    let found = found.ends(0).json();
    assert_eq!(found["files"].as_array().unwrap().len(), 3, "{found:#}");

    let to = bench.path("restored");
    let words = ["restore", "files", &id, "/my--vg-root", "/d0p2", "--to"];
    let words = [&words[..], &[to.to_str().unwrap()], &both[..]].concat();
    run(&words).ends(0);
    for volume in ["my--vg-root", "d0p2"] {
        for name in ["etc/host.conf", "large"] {
            let (ours, theirs) = (to.join(volume).join(name), original.join(name));
            assert!(
                fs::read(ours).unwrap() == fs::read(theirs).unwrap(),
                "{volume} {name}"
            );
        }
    }
    // What is shut is not restored, and what opens it is told.
    let none = bench.path("none");
    let words = ["restore", "files", &id, "/d0p2/etc", "--json", "--to"];
    let shut = run(&[&words[..], &[none.to_str().unwrap()]].concat())
        .ends(4)
        .json();
    let hint = shut["findings"][0]["hint"].as_str().unwrap();
    assert!(hint.contains("--volume-key d0p2=FILE"), "{shut:#}");
    assert!(!none.join("d0p2").exists());
}

#[test]
fn a_key_comes_from_the_environment_and_one_too_many_is_told() {
    let bench = Bench::new();
    let Some(_) = machine(&bench) else {
        return;
    };
    let report = bench.backup(0);
    let id = vm(&report, "data.raw")["point"]
        .as_str()
        .unwrap()
        .to_owned();
    let root = format!("{id}:/my--vg-root");
    let words = ["ls", &root, "--volume-key", "d0p1"];
    let mut command = bench.command(&words);
    command.env("HYPERKEEP_VOLUME_KEY", PASSPHRASE);
    discreet(Answer::of(&command.output().unwrap())).ends(0);
    // There is no terminal to ask on.
    let none = bench.run(&words).ends(1);
    assert!(none.err.contains("HYPERKEEP_VOLUME_KEY"), "{none:?}");

    let whole = format!("{id}:/");
    let ls = |key: &str| bench.run(&["ls", &whole, "--json", "--volume-key", key]);
    let needless = ls("d0p3=exact").ends(0).json();
    let message = needless["findings"][0]["message"].as_str().unwrap();
    assert!(message.contains("not encrypted"), "{needless:#}");
    let nowhere = ls("d0p9=exact").ends(4).json();
    assert_eq!(nowhere["findings"][0]["object"], "d0p9", "{nowhere:#}");
    // Read as a key and not as a word: nothing that is no file.
    for (key, code) in [("d0p1=", 2), ("=exact", 2), ("d0p1=nothere", 1)] {
        bench.run(&["ls", &whole, "--volume-key", key]).ends(code);
    }
    bench
        .run(&["ls", &id, "--volume-key", "d0p1=exact"])
        .ends(2);
}
