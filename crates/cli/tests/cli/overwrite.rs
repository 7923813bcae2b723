//! `restore disks --overwrite`: what happens to files that are where disks are to go.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use disk::{Layer as _, OpenAs};
use testkit::image::{Image, Kind, noise};
use testkit::vm::{Layout, Vm};

use crate::bench::{Bench, files_below};

const MINE: &[u8] = b"mine";

/// A vault with a disk, and a folder with a file of its name.
fn prepared() -> (Bench, PathBuf, Vec<u8>) {
    let bench = Bench::new();
    let bytes = noise(1, 3 << 20);
    bench.disk("a.raw", &bytes);
    bench.backup(0);
    fs::create_dir(bench.path("to")).unwrap();
    let there = bench.path("to").join("a.raw");
    fs::write(&there, MINE).unwrap();
    (bench, there, bytes)
}

fn restore(bench: &Bench, overwrite: &str, code: i32) -> serde_json::Value {
    let args = ["restore", "disks", "a.raw@latest", "--to", "to", "--json"];
    bench
        .run(&[&args[..], &["--overwrite", overwrite]].concat())
        .ends(code)
        .json()
}

fn written(path: &Path, moment: SystemTime) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(moment).unwrap();
}

#[test]
fn each_policy_does_what_it_says() {
    let (bench, there, bytes) = prepared();
    let left = |report: serde_json::Value, why: &str| {
        let finding = &report["findings"][0];
        assert_eq!(finding["code"], "target-exists", "{report:#}");
        assert!(finding["message"].as_str().unwrap().contains(why));
        assert_eq!(fs::read(&there).unwrap(), MINE);
        assert_eq!(files_below(&bench.path("to")), std::slice::from_ref(&there));
    };
    left(restore(&bench, "never", 1), "already exists");
    written(&there, SystemTime::now() + Duration::from_secs(3600));
    left(restore(&bench, "older", 1), "after the restore point");

    let beside = restore(&bench, "rename", 0);
    assert_eq!(beside["files"][0]["became"], "beside");
    assert_eq!(fs::read(&there).unwrap(), MINE);
    let second = bench.path("to").join("a (2).raw");
    assert!(fs::read(&second).unwrap() == bytes);
    let third = restore(&bench, "rename", 0);
    let third = PathBuf::from(third["files"][0]["path"].as_str().unwrap());
    assert_eq!(third.file_name().unwrap(), "a (3).raw");
    fs::remove_file(second).unwrap();
    fs::remove_file(bench.path("to").join("a (3).raw")).unwrap();

    written(&there, SystemTime::now() - Duration::from_secs(3600));
    assert_eq!(
        restore(&bench, "older", 0)["files"][0]["became"],
        "replaced"
    );
    assert!(fs::read(&there).unwrap() == bytes);
    fs::write(&there, MINE).unwrap();
    assert_eq!(
        restore(&bench, "always", 0)["files"][0]["became"],
        "replaced"
    );
    assert!(fs::read(&there).unwrap() == bytes);
    assert_eq!(files_below(&bench.path("to")), std::slice::from_ref(&there));
    fs::remove_file(&there).unwrap();
    assert_eq!(restore(&bench, "always", 0)["files"][0]["became"], "new");
}

/// A disk that cannot be restored replaces nothing.
#[test]
fn a_failure_leaves_the_file_that_was_there() {
    let (bench, there, _) = prepared();
    let packs = files_below(&bench.path("vault/packs"));
    for pack in packs {
        let mut bytes = fs::read(&pack).unwrap();
        if bytes.len() > 1 << 20 {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::remove_file(&pack).unwrap();
            fs::write(&pack, bytes).unwrap();
        }
    }
    restore(&bench, "always", 1);
    assert_eq!(fs::read(&there).unwrap(), MINE);
    assert_eq!(files_below(&bench.path("to")), [there]);
}

/// What is no file of its own is never replaced.
#[cfg(unix)]
#[test]
fn a_link_is_never_replaced() {
    let (bench, there, _) = prepared();
    let elsewhere = bench.path("elsewhere");
    fs::rename(&there, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &there).unwrap();
    for overwrite in ["older", "always"] {
        restore(&bench, overwrite, 1);
        assert_eq!(fs::read(&elsewhere).unwrap(), MINE);
    }
}

/// A chain that is restored beside another one is its own.
#[test]
fn a_child_beside_another_one_names_the_parent_beside_it() {
    let bench = Bench::new();
    let source = bench.path("source");
    let machine = Vm::generation2("web", 1)
        .disk("web_1.avhdx")
        .checkpoint("before", &["web.vhdx"]);
    machine.write_to(&source, Layout::Export).unwrap();
    let disks = source.join(machine.disk_folder(Layout::Export));
    let base = Image::new(Kind::Vhdx, 16 << 20, 1)
        .data(0, &noise(1, 10_000))
        .write(&disks.join("web.vhdx"));
    Image::child(&base, "web.vhdx", 2).write(&disks.join("web_1.avhdx"));
    bench.backup(0);
    let args = ["restore", "disks", "web@latest", "--to", "to"];
    bench.run(&args).ends(0);
    bench.run(&args).ends(1);
    bench
        .run(&[&args[..], &["--overwrite", "rename"]].concat())
        .ends(0);
    let parent_of = |name: &str| {
        let file = fs::File::open(bench.path("to").join(name)).unwrap();
        let layer = disk::open(file, OpenAs::ByContent).unwrap();
        layer.info().parent.as_ref().unwrap().paths[0].path.clone()
    };
    assert_eq!(parent_of("web_1.avhdx"), r".\web.vhdx");
    assert_eq!(parent_of("web_1 (2).avhdx"), r".\web (2).vhdx");
}

/// On a terminal somebody is asked, and no answer is no.
#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_somebody_is_asked() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    let (bench, there, bytes) = prepared();
    let answered = |answer: &str| {
        let mut command = Command::new("script");
        bench.surround(&mut command);
        let line = "\"$PROGRAM\" restore disks a.raw@latest --to to";
        let started = command
            .env("PROGRAM", env!("CARGO_BIN_EXE_hyperkeep"))
            .args(["-qec", line, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut child) = started else {
            testkit::vhd::oracle::skip("on_a_terminal_somebody_is_asked", "no `script`");
            return None;
        };
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(answer.as_bytes()).unwrap();
        // It stays open: the end of its input would be the end of the terminal.
        let output = child.wait_with_output().unwrap();
        drop(stdin);
        let answer = crate::bench::Answer::of(&output);
        assert!(answer.out.contains("exists. Replace it"), "{answer:?}");
        Some(answer)
    };
    for no in ["n\n", "\n", "certainly\n"] {
        let Some(answer) = answered(no) else { return };
        assert_eq!(answer.code, 1, "{answer:?}");
        assert!(answer.out.contains("as it was answered"), "{answer:?}");
        assert_eq!(fs::read(&there).unwrap(), MINE);
    }
    let answer = answered("y\n").unwrap();
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(fs::read(&there).unwrap() == bytes);
}
