//! `restore vm --replace` and `--define`, `restore kept`, `restore undo --vm`, `restore confirm --vm`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use hyperv::inventory::{Machine, PowerState, ReplicationMode};
use serde_json::{Value, json};

use crate::bench::{Answer, Bench, files_below, patch};
use crate::killed::killed;
use crate::lab::{Lab, texts};
use crate::vm_plan::{backed_up, other, vms};
use crate::vm_restore::{disks, machine, restore};

/// The VMs as they are later: another disk, more memory, and it runs.
fn changed() -> Value {
    let mut vms = vms();
    let web = &mut vms[0];
    web["state"] = json!("running");
    web["memory"] = json!(128);
    web["writes"] = json!([{"offset": 0, "length": 65536, "seed": 77}]);
    vms
}

/// A vault with a restore point, a host on which its VM is wrecked, and what was on its disks.
fn wrecked(more: Value) -> (Bench, Lab, Vec<(String, Vec<u8>)>) {
    let (bench, lab) = backed_up();
    let held = disks(&lab, machine(&lab.inventory(), "web"));
    drop(lab);
    let lab = other(&bench, &changed(), more);
    // Of what the guest has, and not of what makes the file a disk.
    patch(&lab.file("VMs/web/a.vhdx"), 4 << 20, &[0xa5; 8192]);
    (bench, lab, held)
}

/// Every disk file of a host, with what is in it.
fn images(lab: &Lab) -> BTreeMap<PathBuf, Vec<u8>> {
    let all = files_below(&lab.file("")).into_iter();
    let is_image = |path: &PathBuf| {
        let ending = path.extension().unwrap_or_default();
        ending == "vhdx" || ending == "avhdx"
    };
    all.filter(is_image)
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

/// What a VM has, but for the folder that its configuration is in.
fn has(machine: &Machine) -> (Vec<String>, Option<u64>, usize) {
    let media = machine.settings.media.iter();
    (
        media.map(|medium| medium.path.clone()).collect(),
        machine.config().memory.startup_mib,
        machine.checkpoints.len(),
    )
}

fn end(bench: &Bench, lab: &Lab, verb: &str, vm: &str) -> Answer {
    let reach = lab.reach();
    let args = ["restore", verb, "--json", "--vm", vm, "--host"];
    bench.run(&[&args[..], &texts(&reach)].concat())
}

fn kept(bench: &Bench) -> Value {
    let listed = bench.run(&["restore", "kept", "--json", "--state", "state"]);
    listed.ends(0).json()["vms"].clone()
}

#[test]
fn a_wrecked_vm_is_replaced_and_comes_back_when_that_is_undone() {
    let (bench, lab, held) = wrecked(json!({}));
    let (before, theirs) = (lab.inventory(), images(&lab));
    let old = machine(&before, "web").clone();
    assert_eq!(old.state, PowerState::Running);
    let told = restore(
        &bench,
        &lab,
        &["--yes", "--replace", "--remove-checkpoints"],
    )
    .ends(0)
    .json();
    let after = lab.inventory();
    let web = machine(&after, "web");
    assert_eq!((web.id, web.state), (old.id, PowerState::Off));
    assert!(disks(&lab, web) == held);
    assert_eq!(has(web).1, Some(64));
    assert_eq!(web.checkpoints.len(), 1);
    assert_eq!(after.machines.len(), before.machines.len());
    // What it had stays as it was, and can be told.
    let now = images(&lab);
    assert!(
        theirs
            .iter()
            .all(|(path, bytes)| now.get(path) == Some(bytes))
    );
    let listed = kept(&bench);
    assert_eq!(listed[0]["id"], told["kept"]);
    assert_eq!(listed[0]["done"]["done"], "replaced");
    let nobodys = listed[0]["done"]["disks"].as_array().unwrap();
    assert!(nobodys.contains(&json!(has(&old).0[0])), "{listed:#}");
    // Other words mean nothing.
    end(&bench, &lab, "undo", "db").ends(1);
    let id = told["kept"].as_str().unwrap();
    let undone = end(&bench, &lab, "undo", &id[..8]).ends(0).json();
    assert_eq!(undone["vms"][0]["became"], "undone");
    let after = lab.inventory();
    let web = machine(&after, "web");
    assert_eq!((web.id, web.state), (old.id, PowerState::Off));
    assert_eq!(has(web), has(&old));
    let now = images(&lab);
    assert!(
        theirs
            .iter()
            .all(|(path, bytes)| now.get(path) == Some(bytes))
    );
    assert_eq!(kept(&bench), json!([]));
    end(&bench, &lab, "undo", "web").ends(1);
    // It can be replaced again.
    restore(
        &bench,
        &lab,
        &["--yes", "--replace", "--remove-checkpoints"],
    )
    .ends(0);
    assert!(disks(&lab, machine(&lab.inventory(), "web")) == held);
}

#[test]
fn what_was_put_aside_goes_when_the_new_one_is_confirmed() {
    let (bench, lab, held) = wrecked(json!({}));
    let theirs = images(&lab);
    let told = restore(
        &bench,
        &lab,
        &["--yes", "--replace", "--remove-checkpoints", "--start"],
    )
    .ends(0)
    .json();
    let aside = told["vm"]["undo"]["aside"]["folder"].as_str().unwrap();
    let aside = lab.file(&aside["D:\\".len()..].replace('\\', "/"));
    assert!(!files_below(&aside).is_empty());
    // It runs: nobody turns it off for that.
    let refused = end(&bench, &lab, "undo", "web").ends(1);
    assert!(refused.err.contains("must be off"), "{refused:?}");
    let after = lab.inventory();
    assert_eq!(machine(&after, "web").state, PowerState::Running);
    assert_eq!(kept(&bench).as_array().unwrap().len(), 1);
    let confirmed = end(&bench, &lab, "confirm", "web").ends(0).json();
    assert_eq!(confirmed["vms"][0]["became"], "confirmed");
    assert!(files_below(&aside).is_empty());
    assert_eq!(kept(&bench), json!([]));
    assert_eq!(lab.inventory().machines, after.machines);
    assert!(disks(&lab, machine(&after, "web")) == held);
    // Its disks stay, and are told.
    let now = images(&lab);
    assert!(
        theirs
            .iter()
            .all(|(path, bytes)| now.get(path) == Some(bytes))
    );
    let findings = confirmed["findings"].to_string();
    assert!(findings.contains("a.vhdx"), "{findings}");
}

/// Whichever call fails: the old VM is there, with its disks, and nothing of the new one.
#[test]
fn a_host_that_fails_keeps_the_vm_that_should_be_replaced() {
    for method in [
        "ExportSystemDefinition",
        "DestroySystem",
        "ImportSystemDefinition",
        "ValidatePlannedSystem",
        "RealizePlannedSystem",
    ] {
        let refused = json!([{"on": method, "times": 1, "does": {"returns": 32768}}]);
        let (bench, lab, _) = wrecked(json!({"mishaps": refused}));
        let (before, theirs) = (lab.inventory(), images(&lab));
        let answer = restore(
            &bench,
            &lab,
            &["--yes", "--replace", "--remove-checkpoints"],
        )
        .ends(1)
        .json();
        assert_eq!(
            (&answer["vm"], &answer["kept"]),
            (&Value::Null, &Value::Null),
            "{method}: {answer:#}"
        );
        let after = lab.inventory();
        let (old, new) = (machine(&before, "web"), machine(&after, "web"));
        assert_eq!((old.id, has(old)), (new.id, has(new)), "{method}");
        assert_eq!(new.state, PowerState::Running, "{method}");
        assert!(after.planned.is_empty(), "{method}");
        assert!(images(&lab) == theirs, "{method}");
        assert_eq!(kept(&bench), json!([]), "{method}");
        // And it goes the next time.
        restore(
            &bench,
            &lab,
            &["--yes", "--replace", "--remove-checkpoints"],
        )
        .ends(0);
    }
}

#[test]
fn a_vm_is_made_anew_with_the_disks_of_the_restore_point() {
    let (bench, lab) = backed_up();
    let before = lab.inventory();
    let held = disks(&lab, machine(&before, "web"));
    let now = held.iter().find(|(name, _)| name.is_empty()).unwrap();
    let args = ["--yes", "--define", "--name", "anew", "--switch", "same"];
    let told = restore(&bench, &lab, &args).ends(0).json();
    assert_eq!(told["kept"], Value::Null);
    let after = lab.inventory();
    let anew = machine(&after, "anew");
    assert_ne!(anew.id, machine(&before, "web").id);
    assert!(disks(&lab, anew) == [now.clone()]);
    assert_eq!(has(anew).1, Some(64));
    assert_eq!(machine(&after, "web"), machine(&before, "web"));
    // It is a VM like others.
    let args = lab.backup(&["--vm", "anew"]);
    bench.run(&texts(&args)).ends(0);
}

/// Of a VM whose replication would have to go, nothing is begun.
#[test]
fn a_replica_is_not_replaced() {
    let (bench, lab) = backed_up();
    drop(lab);
    let mut vms = vms();
    vms[0]["replication"] = json!({"mode": 2, "state": 3, "health": 1, "interval": 0,
                                   "delta-ms": 1, "delta-bytes": 4096});
    let lab = other(&bench, &vms, json!({}));
    let (before, theirs) = (lab.inventory(), files_below(&lab.file("")));
    let args = ["--yes", "--replace", "--remove-checkpoints"];
    let answer = restore(&bench, &lab, &args).ends(1).json();
    assert_eq!(answer["possible"], false);
    assert!(answer["told"].to_string().contains("--remove-replication"));
    assert_eq!(
        (lab.inventory(), files_below(&lab.file(""))),
        (before, theirs)
    );
    // It may, and then it is gone for good.
    let args = [&args[..], &["--remove-replication"]].concat();
    let told = restore(&bench, &lab, &args).ends(0).json();
    let weight = |told: &Value| {
        let all = told["plan"]["told"].as_array().unwrap();
        let own = all.iter().find(|one| one["finding"] == "replicated");
        own.unwrap()["weight"].clone()
    };
    assert_eq!(weight(&told), "limits", "{told:#}");
    let now = lab.inventory();
    let web = machine(&now, "web");
    assert_eq!(web.replication.mode, ReplicationMode::None);
    assert_eq!(Value::from(web.id.to_string()), told["vm"]["vm"]);
    // Of a copy there is nothing to remove.
    restore(&bench, &lab, &["--plan", "--remove-replication"]).ends(2);
}

/// Killed when the old VM is away and what is needed to bring it back was just kept: it can be brought
/// back, whether the new one came to be there or not.
#[test]
fn what_is_kept_before_a_kill_brings_the_old_vm_back() {
    let (bench, lab, _) = wrecked(json!({}));
    let (before, theirs) = (lab.inventory(), images(&lab));
    let old = machine(&before, "web").clone();
    let map = format!("D:\\={}", lab.file("").display());
    let reach = lab.reach();
    let args = [
        "restore",
        "vm",
        "web@latest",
        "--yes",
        "--replace",
        "--remove-checkpoints",
    ];
    let args = [&args[..], &["--map", &map, "--host"], &texts(&reach)].concat();
    let is_kept = || {
        let all = files_below(&bench.path("state")).into_iter();
        all.filter_map(|path| path.extension().map(|e| e == "kept"))
            .any(|kept| kept)
    };
    killed(&bench, &args, is_kept);
    assert_eq!(kept(&bench).as_array().unwrap().len(), 1);
    let undone = end(&bench, &lab, "undo", "web");
    assert!(matches!(undone.code, 0 | 3), "{undone:?}");
    let after = lab.inventory();
    let web = machine(&after, "web");
    assert_eq!((web.id, has(web)), (old.id, has(&old)));
    assert!(after.planned.is_empty());
    assert_eq!(kept(&bench), json!([]));
    let now = images(&lab);
    assert!(
        theirs
            .iter()
            .all(|(path, bytes)| now.get(path) == Some(bytes))
    );
}

/// Replaced twice, each can be undone, the newest first; and one whose VM somebody has removed, too.
#[test]
fn each_of_two_replacements_is_undone() {
    let (bench, lab, _) = wrecked(json!({}));
    let old = machine(&lab.inventory(), "web").clone();
    let args = ["--yes", "--replace", "--remove-checkpoints"];
    let first = restore(&bench, &lab, &args).ends(0).json();
    let second = restore(&bench, &lab, &args).ends(0).json();
    for told in [&second, &first] {
        let id = told["kept"].as_str().unwrap();
        end(&bench, &lab, "undo", &id[..8]).ends(0);
    }
    assert_eq!(kept(&bench), json!([]));
    assert_eq!(has(machine(&lab.inventory(), "web")), has(&old));
}

/// When the newer of two replacements was agreed to, the older one can be undone all the same.
#[test]
fn the_older_of_two_replacements_is_undone_when_the_newer_was_confirmed() {
    let (bench, lab, _) = wrecked(json!({}));
    let old = machine(&lab.inventory(), "web").clone();
    let args = ["--yes", "--replace", "--remove-checkpoints"];
    let first = restore(&bench, &lab, &args).ends(0).json();
    let second = restore(&bench, &lab, &args).ends(0).json();
    let id = |told: &Value| told["kept"].as_str().unwrap()[..8].to_owned();
    // It is another VM now.
    end(&bench, &lab, "undo", &id(&first)).ends(1);
    end(&bench, &lab, "confirm", &id(&second)).ends(0);
    end(&bench, &lab, "undo", &id(&first)).ends(0);
    assert_eq!(kept(&bench), json!([]));
    assert_eq!(has(machine(&lab.inventory(), "web")), has(&old));
}

/// A replacement that failed when the old VM was off the host brings it back to another folder: what an
/// earlier one has kept of it is told that.
#[test]
fn a_restore_whose_vm_was_nearly_replaced_can_be_undone() {
    // The second restore's import fails, and not that of what is brought back.
    let refused = json!([{"on": "ImportSystemDefinition", "skip": 1, "times": 1, "does": {"returns": 32768}}]);
    let (bench, lab, _) = wrecked(json!({"mishaps": refused}));
    let old = machine(&lab.inventory(), "web").clone();
    let args = ["--yes", "--replace", "--remove-checkpoints"];
    restore(&bench, &lab, &args).ends(0);
    let folder = |bench: &Bench| kept(bench)[0]["done"]["undo"]["folder"].clone();
    let before = folder(&bench);
    restore(&bench, &lab, &args).ends(1);
    assert_ne!(folder(&bench), before);
    end(&bench, &lab, "undo", "web").ends(0);
    assert_eq!(kept(&bench), json!([]));
    assert_eq!(has(machine(&lab.inventory(), "web")), has(&old));
}
