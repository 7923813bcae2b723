//! A restore to a host that is killed, and the same command once more: it goes on with the disks that are
//! whole, and there is one VM in the end and nothing beside it.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::bench::{Bench, files_below};
use crate::lab::{Lab, scenario, texts};
use crate::orders::Orders;
use crate::stage::{ANY, LATER, date_back};
use crate::start::Start as _;
use crate::vm_restore::{disks, machine};

const SIZE: usize = 4 << 20;

/// Two disks, which are restored to two folders.
fn vms() -> Value {
    let disk = |name: &str| json!({"path": format!("D:\\VMs\\web\\{name}.vhdx"), "size": SIZE});
    let write = |drive: u32| json!({"drive": drive, "length": 1 << 20, "seed": drive + 1});
    json!([{"name": "web", "state": "off", "memory": 64, "disks": [disk("a"), disk("b")],
            "writes": [write(0), write(1)]}])
}

/// The drive is told, so that a plan knows how much is free.
fn volumes() -> Value {
    json!({"volumes": [{"name": "D:\\", "capacity": 1_u64 << 40}]})
}

struct Killed {
    bench: Bench,
    lab: Lab,
    orders: Orders,
    held: Vec<(String, Vec<u8>)>,
    /// All files of the host but those of the restore.
    before: Vec<PathBuf>,
}

impl Killed {
    fn new() -> Self {
        let bench = Bench::new();
        let (lab, orders) = Lab::that_obeys(&bench, &scenario(vms(), volumes()));
        bench.run(&texts(&lab.backup(&["--vm", "web"]))).ends(0);
        let held = disks(&lab, machine(&lab.inventory(), "web"));
        let before = files_below(&lab.file(""));
        Self {
            bench,
            lab,
            orders,
            held,
            before,
        }
    }

    fn args(&self, way: &[&str]) -> Vec<String> {
        let map = format!("D:\\={}", self.lab.file("").display());
        let args = [
            "restore",
            "vm",
            "web@latest",
            "--json",
            "--yes",
            "--name",
            "copy",
            "--folder",
            r"D:\Copy",
            "--disk-folder",
            r"SCSI 0:0=D:\Disks\one",
            "--disk-folder",
            r"SCSI 0:1=D:\Disks\two",
            "--map",
            &map,
        ];
        let args = [&args[..], way, &["--host"]].concat();
        let args = args.into_iter().map(str::to_owned);
        args.chain(self.lab.reach()).collect()
    }

    /// Kills it when the host is asked so, before it does it or afterwards; or before that, as soon as there
    /// is a file.
    fn at(&mut self, way: &[&str], on: &str, fate: &str, file: Option<&str>) {
        let order = json!({"on": on, "does": {"held": fate}});
        self.orders.give(&order);
        let args = self.args(way);
        let mut command = self.bench.command(&texts(&args));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).start();
        match file.map(|file| self.lab.file(file)) {
            Some(file) => self.orders.kill_when(&mut child, || file.exists()),
            None => assert!(self.orders.kill_when_held(&mut child), "{on} {fate}"),
        }
        self.orders.forget();
        for path in files_below(&self.bench.path("state/hosts")) {
            if path.extension().is_some_and(|ending| ending == "journal") {
                date_back(&path);
            }
        }
    }

    /// The next run comes when nothing can be about to begin any more, and so many bytes are free.
    fn later(&mut self, free: u64) {
        let space = json!({"space": {"volume": "D:\\", "free": free}});
        self.orders
            .give(&json!({"on": ANY, "before": [{"time-passes-s": LATER}, space]}));
    }

    /// The same command comes to its end, and takes what is whole for that.
    fn again(&self, way: &[&str], goes_on: bool, what: &str) {
        let answer = self.bench.run(&texts(&self.args(way)));
        assert!(matches!(answer.code, 0 | 3), "{what}: {answer:#?}");
        let told = answer.json();
        let files = told["files"].as_array().unwrap().iter();
        let earlier = files.filter(|file| file["earlier"].as_u64() > Some(0));
        assert!(!goes_on || earlier.count() == 2, "{what}: {told:#}");
        let now = self.lab.inventory();
        assert_eq!(now.machines.len(), 2, "{what}");
        assert!(now.planned.is_empty(), "{what}");
        let copy = machine(&now, "copy");
        assert!(disks(&self.lab, copy) == self.held, "{what}");
        let all = files_below(&self.lab.file("")).into_iter();
        let new: Vec<PathBuf> = all.filter(|path| !self.before.contains(path)).collect();
        let ours = |path: &&PathBuf| path.to_string_lossy().contains(".hyperkeep");
        assert_eq!(new.iter().filter(ours).count(), 0, "{what}: {new:?}");
        // Nothing but the disks is in their folders.
        let disks = files_below(&self.lab.file("Disks"));
        assert_eq!(disks.len(), 2, "{what}: {disks:?}");
        let kept = files_below(&self.bench.path("state/hosts"));
        let open = kept
            .iter()
            .filter(|p| p.extension().is_some_and(|e| e == "journal"));
        assert_eq!(open.count(), 0, "{what}: {kept:?}");
    }
}

const IMPORT: &[&str] = &[];
const DEFINE: &[&str] = &["--define"];

#[test]
fn a_restore_that_is_killed_at_the_host_goes_on() {
    for (way, on, fate) in [
        (IMPORT, "ImportSystemDefinition", "never"),
        (IMPORT, "ImportSystemDefinition", "done"),
        (IMPORT, "ModifySystemSettings", "late"),
        (IMPORT, "ValidatePlannedSystem", "done"),
        (IMPORT, "RealizePlannedSystem", "never"),
        (DEFINE, "DefinePlannedSystem", "late"),
        (DEFINE, "AddResourceSettings", "done"),
        (DEFINE, "ValidatePlannedSystem", "never"),
    ] {
        let mut killed = Killed::new();
        killed.at(way, on, fate, None);
        // What was written has taken nearly all that was free.
        killed.later(65536);
        killed.again(way, true, &format!("{way:?} {on} {fate}"));
    }
}

#[test]
fn a_restore_that_is_killed_while_it_writes_goes_on() {
    for file in [
        "Disks/one",
        "Disks/one/a.vhdx",
        "Disks/two",
        "Disks/two/b.vhdx",
        "Copy/Virtual Machines",
    ] {
        let mut killed = Killed::new();
        killed.at(IMPORT, "ImportSystemDefinition", "never", Some(file));
        killed.later(1 << 40);
        killed.again(IMPORT, false, file);
    }
}

/// What somebody else has there is no leftover of ours.
#[test]
fn what_is_not_of_a_killed_run_is_left_alone() {
    let mut killed = Killed::new();
    let theirs = killed.lab.file("Disks/two/b.vhdx");
    killed.at(IMPORT, "ImportSystemDefinition", "never", None);
    // They have put another one in its place.
    fs::write(&theirs, "theirs").unwrap();
    killed.later(1 << 40);
    let answer = killed.bench.run(&texts(&killed.args(IMPORT)));
    assert_eq!(answer.code, 1, "{answer:#?}");
    assert_eq!(fs::read(&theirs).unwrap(), b"theirs");
    assert_eq!(killed.lab.inventory().machines.len(), 1);
    // What is ours has gone with the restore that failed.
    assert!(!killed.lab.file("Disks/one/a.vhdx").exists());
}
