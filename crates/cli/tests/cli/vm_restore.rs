//! `restore vm --yes`: VMs that come back to hosts, and hosts that are as they were when they do not.

use std::fs;
use std::path::PathBuf;

use hyperv::inventory::{Inventory, Machine, PowerState};
use serde_json::{Value, json};

use crate::bench::{Answer, Bench, files_below};
use crate::host::disk;
use crate::lab::{Lab, scenario, texts};
use crate::vm_plan::{backed_up, other, vms};

/// Restores with everything that a run needs.
pub(crate) fn restore(bench: &Bench, lab: &Lab, more: &[&str]) -> Answer {
    let reach = lab.reach();
    // A host without VMs has nothing there yet.
    fs::create_dir_all(lab.file("")).unwrap();
    let map = format!("D:\\={}", lab.file("").display());
    let mut args = vec![
        "restore",
        "vm",
        "web@latest",
        "--json",
        "--map",
        &map,
        "--host",
    ];
    args.extend(texts(&reach));
    args.extend(more);
    bench.run(&args)
}

pub(crate) fn machine<'a>(inventory: &'a Inventory, name: &str) -> &'a Machine {
    let mut named = inventory.machines.iter().filter(|vm| vm.name() == name);
    let found = named.next().unwrap_or_else(|| panic!("no VM {name}"));
    assert!(named.next().is_none(), "two VMs {name}");
    found
}

/// What is on the disks of a VM and of its checkpoints, in the order of their names.
pub(crate) fn disks(lab: &Lab, machine: &Machine) -> Vec<(String, Vec<u8>)> {
    let local = |host: &str| lab.file(&host["D:\\".len()..].replace('\\', "/"));
    let checkpoints = machine.checkpoints.iter().map(|c| &c.settings);
    let all = std::iter::once(&machine.settings).chain(checkpoints);
    let mut told: Vec<(String, Vec<u8>)> = all
        .enumerate()
        .flat_map(|(number, settings)| {
            let name = match number {
                0 => String::new(),
                _ => settings.config.name.clone(),
            };
            let media = settings.media.iter();
            media.map(move |medium| (name.clone(), medium.path.clone()))
        })
        .map(|(name, path)| (name, disk(lab, &local(&path))))
        .collect();
    told.sort();
    told
}

/// Switch, VLAN and address of the only adapter that is on a switch.
fn connected(machine: &Machine) -> (Option<&str>, Option<u16>, Option<&str>) {
    let all = machine.config().network_adapters.iter();
    let on: Vec<_> = all
        .filter(|adapter| adapter.switch_name.is_some())
        .collect();
    assert_eq!(on.len(), 1, "{on:?}");
    (
        on[0].switch_name.as_deref(),
        on[0].vlan,
        on[0].mac.as_deref(),
    )
}

/// Every file of a host's drive.
fn files(lab: &Lab) -> Vec<PathBuf> {
    files_below(&lab.file(""))
}

#[test]
fn a_copy_stands_beside_its_original_with_all_checkpoints_and_is_a_vm_like_others() {
    let (bench, lab) = backed_up();
    let before = lab.inventory();
    let web = machine(&before, "web").clone();
    let held = disks(&lab, &web);
    let args = ["--yes", "--name", "copy", "--switch", "same", "--start"];
    let told = restore(&bench, &lab, &args).ends(0).json();
    assert_eq!(told["kind"], "restore-vm");
    assert_eq!(
        (&told["vm"]["name"], &told["vm"]["started"]),
        (&json!("copy"), &json!(true))
    );
    let after = lab.inventory();
    let copy = machine(&after, "copy");
    assert_ne!(copy.id, web.id);
    assert_eq!(told["vm"]["vm"], copy.id.to_string());
    assert_eq!(copy.state, PowerState::Running);
    assert!(after.planned.is_empty());
    assert_eq!(copy.checkpoints.len(), 1);
    assert_eq!(copy.checkpoints[0].settings.config.name, "before");
    assert!(
        disks(&lab, copy) == held,
        "its disks are not those of the restore point"
    );
    let (switch, vlan, mac) = connected(copy);
    assert_eq!((switch, vlan), (Some("LAN"), Some(17)));
    assert_ne!(mac, connected(&web).2);
    // The original is what it was.
    assert_eq!(machine(&after, "web"), &web);
    assert!(disks(&lab, &web) == held);
    // And it can be backed up, and its checkpoint be restored from that.
    let args = lab.backup(&["--mode", "all-checkpoints", "--vm", "copy"]);
    bench.run(&texts(&args)).ends(0);
    // The same again is another copy, beside both.
    let again = restore(&bench, &lab, &["--yes", "--name", "copy"])
        .ends(0)
        .json();
    assert_ne!(again["vm"]["vm"], told["vm"]["vm"]);
    assert_eq!(lab.inventory().machines.len(), 4);
}

#[test]
fn a_vm_moves_to_another_host_with_its_id_and_other_switches() {
    let (bench, lab) = backed_up();
    let web = machine(&lab.inventory(), "web").clone();
    let held = disks(&lab, &web);
    drop(lab);
    let hv02 = json!({"host": {"name": "HV02", "seed": 9}, "switches": ["WAN"]});
    let lab = other(&bench, &json!([]), hv02);
    let args = ["--yes", "--keep-id", "--keep-mac", "--switch", "LAN=WAN"];
    restore(&bench, &lab, &args).ends(0);
    let after = lab.inventory();
    let moved = machine(&after, "web");
    assert_eq!((moved.id, moved.state), (web.id, PowerState::Off));
    assert!(disks(&lab, moved) == held);
    let (switch, _, mac) = connected(moved);
    assert_eq!((switch, mac), (Some("WAN"), connected(&web).2));
    // Now its id is taken.
    let refused = restore(&bench, &lab, &["--yes", "--keep-id"])
        .ends(1)
        .json();
    assert_eq!(refused["kind"], "restore-vm-plan");
    assert_eq!(lab.inventory().machines.len(), 1);
}

#[test]
fn flat_and_in_folders_of_its_own_it_is_the_same_disk() {
    let (bench, lab) = backed_up();
    let held = disks(&lab, machine(&lab.inventory(), "web"));
    let now = held.iter().find(|(name, _)| name.is_empty()).unwrap();
    let args = [
        "--yes",
        "--flatten",
        "--name",
        "flat",
        "--folder",
        r"D:\Flat",
        "--disk-folder",
        r"SCSI 0:0=D:\Disks\fast",
    ];
    restore(&bench, &lab, &args).ends(0);
    let after = lab.inventory();
    let flat = machine(&after, "flat");
    assert!(flat.checkpoints.is_empty());
    assert_eq!(flat.settings.media.len(), 1);
    assert!(flat.settings.media[0].path.starts_with(r"D:\Disks\fast\"));
    assert!(disks(&lab, flat) == [now.clone()]);
}

/// Whatever the host refuses: it is as it was, and so are its folders.
#[test]
fn what_a_host_refuses_leaves_nothing() {
    for method in [
        "ImportSystemDefinition",
        "ModifyResourceSettings",
        "ValidatePlannedSystem",
        "RealizePlannedSystem",
    ] {
        let bench = Bench::new();
        let refused = json!([{"on": method, "times": 100, "does": {"returns": 32768}}]);
        let lab = Lab::start(&bench, &scenario(vms(), json!({"mishaps": refused})));
        let args = lab.backup(&["--mode", "all-checkpoints", "--vm", "web"]);
        bench.run(&texts(&args)).ends(0);
        let (inventory, before) = (lab.inventory(), files(&lab));
        let answer = restore(&bench, &lab, &["--yes", "--name", "copy"])
            .ends(1)
            .json();
        assert_eq!(answer["vm"], Value::Null, "{method}: {answer:#}");
        assert_eq!(lab.inventory(), inventory, "{method}");
        assert_eq!(files(&lab), before, "{method}");
        let journals = files_below(&bench.path("state/hosts"));
        assert!(
            journals.iter().all(|file| file.extension().is_none()),
            "{journals:?}"
        );
    }
}

#[test]
fn nothing_is_done_that_cannot_be_written_or_that_nobody_asked_for() {
    let (bench, lab) = backed_up();
    let (inventory, before) = (lab.inventory(), files(&lab));
    // Nobody is there to be asked.
    let answer = restore(&bench, &lab, &[]).ends(2);
    assert!(answer.err.contains("--yes"), "{answer:?}");
    let reach = lab.reach();
    let plain = [
        &["restore", "vm", "web@latest", "--yes", "--host"][..],
        &texts(&reach),
    ]
    .concat();
    let answer = bench.run(&plain).ends(2);
    assert!(answer.err.contains("--map"), "{answer:?}");
    // Another folder than the one that it goes to is mapped.
    let map = format!("E:\\={}", lab.file("").display());
    let answer = bench.run(&[&plain[..], &["--map", &map]].concat()).ends(1);
    assert!(answer.err.contains("--map"), "{answer:?}");
    // A description is no host.
    let describe = [&["vms"][..], &texts(&reach), &["--describe", "hv01"]].concat();
    bench.run(&describe).ends(0);
    let args = [
        "restore",
        "vm",
        "web@latest",
        "--yes",
        "--description",
        "hv01",
    ];
    bench.run(&args).ends(2);
    // What is there where a disk would go stays.
    let there = lab.file("VMs/new/Virtual Hard Disks/a.vhdx");
    fs::create_dir_all(there.parent().unwrap()).unwrap();
    fs::write(&there, "theirs").unwrap();
    restore(&bench, &lab, &["--yes", "--name", "new"]).ends(1);
    assert_eq!(fs::read(&there).unwrap(), b"theirs");
    fs::remove_dir_all(lab.file("VMs/new")).unwrap();
    assert_eq!((lab.inventory(), files(&lab)), (inventory, before));
}
