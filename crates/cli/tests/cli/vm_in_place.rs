//! `restore vm --in-place`: the disks of a VM are brought back under it, and its next backup knows.

use std::fs;
use std::path::{Path, PathBuf};

use hyperv::inventory::{PowerState, ReplicationMode};
use serde_json::{Value, json};

use crate::bench::{Answer, Bench, files_below, patch};
use crate::killed::killed;
use crate::lab::{Lab, scenario, texts};
use crate::vm_plan::vms;
use crate::vm_restore::{disks, machine, restore};

const MIB: usize = 1 << 20;

/// A host whose VM was backed up, what was on its disks, and the file that it writes to.
fn backed_up(vms: Value, more: Value) -> (Bench, Lab, Vec<(String, Vec<u8>)>, PathBuf) {
    let bench = Bench::new();
    let lab = Lab::start(&bench, &scenario(vms, more));
    backup(&bench, &lab, &[]);
    let inventory = lab.inventory();
    let web = machine(&inventory, "web");
    let path = &web.settings.media[0].path;
    let leaf = lab.file(&path["D:\\".len()..].replace('\\', "/"));
    let held = disks(&lab, web);
    (bench, lab, held, leaf)
}

fn backup(bench: &Bench, lab: &Lab, more: &[&str]) -> Value {
    let args = [&["--mode", "all-checkpoints", "--vm", "web"][..], more].concat();
    bench.run(&texts(&lab.backup(&args))).ends(0).json()
}

/// Something that nobody tracks writes over what a guest has at `at` of its disk.
fn wreck(held: &[(String, Vec<u8>)], leaf: &Path, at: usize, len: usize) -> Vec<u8> {
    let now = held.iter().find(|(name, _)| name.is_empty()).unwrap();
    let mut file = fs::read(leaf).unwrap();
    let had = &now.1[at..at + 4096];
    let place = file.windows(4096).position(|part| part == had).unwrap();
    patch(leaf, place as u64, &vec![0xa5; len]);
    file[place..place + len].fill(0xa5);
    file
}

fn end(bench: &Bench, lab: &Lab, verb: &str) -> Answer {
    let reach = lab.reach();
    let map = format!("D:\\={}", lab.file("").display());
    let args = ["restore", verb, "--json", "--vm", "web", "--map", &map];
    bench.run(&[&args[..], &["--host"], &texts(&reach)].concat())
}

fn kept(bench: &Bench) -> usize {
    let listed = bench.run(&["restore", "kept", "--json", "--state", "state"]);
    listed.ends(0).json()["vms"].as_array().unwrap().len()
}

#[test]
fn disks_are_brought_back_under_their_vm_and_put_back() {
    let (bench, lab, held, leaf) = backed_up(vms(), json!({}));
    let before = machine(&lab.inventory(), "web").clone();
    assert_eq!(before.reference_points.len(), 1);
    let wrecked = wreck(&held, &leaf, 524_288, 8192);
    let told = restore(&bench, &lab, &["--in-place", "--plan"])
        .ends(0)
        .json();
    assert_eq!(told["kind"], "restore-vm-in-place");
    assert_eq!(told["disks"][0]["became"], "would", "{told:#}");
    assert_eq!(told["disks"][0]["changed"], 8192);
    assert!(fs::read(&leaf).unwrap() == wrecked);
    assert_eq!(kept(&bench), 0);
    for verb in ["undo", "confirm"] {
        let told = restore(&bench, &lab, &["--in-place", "--yes"])
            .ends(0)
            .json();
        assert_eq!(
            (&told["done"], &told["started"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(told["disks"][0]["became"], "now");
        assert!(told["kept"].is_string());
        assert_eq!(kept(&bench), 1);
        let now = machine(&lab.inventory(), "web").clone();
        assert!(disks(&lab, &now) == held);
        assert_eq!(now.settings, before.settings);
        assert_eq!(now.checkpoints, before.checkpoints);
        assert!(now.reference_points.is_empty());
        end(&bench, &lab, verb).ends(0);
        assert_eq!(kept(&bench), 0);
        match verb {
            "undo" => assert!(fs::read(&leaf).unwrap() == wrecked),
            _ => assert!(disks(&lab, &now) == held),
        }
    }
    assert!(
        !files_below(&lab.file(""))
            .iter()
            .any(|path| path.to_string_lossy().ends_with("-undo"))
    );
    end(&bench, &lab, "undo").ends(1);
}

/// Change tracking knows nothing of what a rollback writes: a backup that asked by it would keep what
/// was there before.
#[test]
fn the_next_backup_reads_everything() {
    let (bench, lab, held, leaf) = backed_up(vms(), json!({}));
    let first = bench.run(&["points", "--json"]).ends(0).json();
    let first = first["points"][0]["id"].as_str().unwrap().to_owned();
    wreck(&held, &leaf, 524_288, 8192);
    backup(&bench, &lab, &["--level", "full"]);
    let reach = lab.reach();
    let map = format!("D:\\={}", lab.file("").display());
    let args = [
        "restore",
        "vm",
        &first,
        "--in-place",
        "--yes",
        "--map",
        &map,
    ];
    bench
        .run(&[&args[..], &["--host"], &texts(&reach)].concat())
        .ends(0);
    let later = bench.run(&texts(&lab.backup(&[
        "--mode",
        "all-checkpoints",
        "--vm",
        "web",
    ])));
    assert!(matches!(later.code, 0 | 3), "{later:?}");
    restore(&bench, &lab, &["--yes", "--name", "copy"]).ends(0);
    let inventory = lab.inventory();
    assert!(disks(&lab, machine(&inventory, "copy")) == held);
}

#[test]
fn a_vm_that_ran_is_started_when_that_is_asked_for_and_nothing_is_put_back_under_it() {
    let mut vms = vms();
    vms[0]["state"] = json!("running");
    let (bench, lab, held, leaf) = backed_up(vms, json!({}));
    wreck(&held, &leaf, 524_288, 8192);
    let told = restore(&bench, &lab, &["--in-place", "--plan"])
        .ends(0)
        .json();
    assert_eq!(
        (&told["turns_off"], &told["disks"][0]["changed"]),
        (&json!(true), &Value::Null)
    );
    let told = restore(&bench, &lab, &["--in-place", "--yes", "--start"])
        .ends(0)
        .json();
    assert_eq!(told["started"], true);
    let after = lab.inventory();
    let web = machine(&after, "web");
    assert_eq!(web.state, PowerState::Running);
    assert!(disks(&lab, web) == held);
    let refused = end(&bench, &lab, "undo").ends(1);
    assert!(refused.err.contains("must be off"), "{refused:?}");
    assert!(disks(&lab, web) == held);
    assert_eq!(kept(&bench), 1);
}

/// What keeps the next backup from being right keeps the disks from being written.
#[test]
fn a_host_that_keeps_a_reference_point_keeps_its_vm_as_it_is() {
    let mut vms = vms();
    vms[0]["state"] = json!("running");
    let refused =
        json!([{"on": "DestroyReferencePoint", "times": 100, "does": {"returns": 32768}}]);
    let (bench, lab, held, leaf) = backed_up(vms, json!({"mishaps": refused}));
    let wrecked = wreck(&held, &leaf, 524_288, 8192);
    let told = restore(&bench, &lab, &["--in-place", "--yes"])
        .ends(1)
        .json();
    assert_eq!(
        (&told["done"], &told["kept"]),
        (&json!(false), &Value::Null)
    );
    assert!(fs::read(&leaf).unwrap() == wrecked);
    assert_eq!(machine(&lab.inventory(), "web").state, PowerState::Running);
    assert_eq!(kept(&bench), 0);
}

/// Killed while disks are written, it is finished by the same command, or undone.
#[test]
fn a_rollback_that_is_killed_goes_on_or_is_undone() {
    let mut kills = 0;
    for then in ["again", "undo"] {
        let len = 48 * MIB;
        let vms = json!([{"name": "web", "state": "off",
            "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": 64 * MIB}],
            "writes": [{"offset": 0, "length": len, "seed": 5}]}]);
        let (bench, lab, held, leaf) = backed_up(vms, json!({}));
        let wrecked = wreck(&held, &leaf, 0, 40 * MIB);
        let reach = lab.reach();
        let map = format!("D:\\={}", lab.file("").display());
        let args = ["restore", "vm", "web@latest", "--in-place", "--yes"];
        let args = [&args[..], &["--map", &map, "--host"], &texts(&reach)].concat();
        let mut undo = leaf.clone().into_os_string();
        undo.push(".hyperkeep-undo");
        let undo = PathBuf::from(undo);
        let long = || fs::metadata(&undo).is_ok_and(|meta| meta.len() > 4 * MIB as u64);
        kills += usize::from(killed(&bench, &args, long));
        assert_eq!(kept(&bench), 1);
        // What is half done is nobody's to agree to, unless it was faster than the kill.
        let listed = bench.run(&["restore", "kept", "--json", "--state", "state"]);
        if listed.ends(0).json()["vms"][0]["done"]["stage"] == "writing" {
            end(&bench, &lab, "confirm").ends(1);
            assert!(undo.exists());
        }
        match then {
            "again" => {
                let answer = bench.run(&args);
                assert!(matches!(answer.code, 0 | 3), "{answer:?}");
                let inventory = lab.inventory();
                assert!(disks(&lab, machine(&inventory, "web")) == held);
                assert_eq!(kept(&bench), 1);
            }
            _ => {
                let answer = end(&bench, &lab, "undo");
                assert!(matches!(answer.code, 0 | 3), "{answer:?}");
                assert!(fs::read(&leaf).unwrap() == wrecked);
                assert_eq!(kept(&bench), 0);
            }
        }
        // Nothing of it is told any more.
        bench.run(&texts(&lab.backup(&["--vm", "web"]))).ends(0);
    }
    assert!(kills > 0, "each run was faster than a look at a file");
}

/// A disk that cannot be brought back is found before anything of the host goes.
#[test]
fn a_disk_that_may_not_be_written_keeps_the_vm_as_it_is() {
    let mut vms = vms();
    vms[0]["state"] = json!("running");
    let (bench, lab, held, leaf) = backed_up(vms, json!({}));
    let wrecked = wreck(&held, &leaf, 524_288, 8192);
    // Whether it stands on the disk, nobody can tell.
    fs::write(leaf.with_file_name("z.avhdx"), [0; 4096]).unwrap();
    let told = restore(&bench, &lab, &["--in-place", "--yes"])
        .ends(1)
        .json();
    assert!(told["findings"].to_string().contains("z.avhdx"), "{told:#}");
    assert_eq!(
        (&told["done"], &told["kept"]),
        (&json!(false), &Value::Null)
    );
    assert!(fs::read(&leaf).unwrap() == wrecked);
    let now = machine(&lab.inventory(), "web").clone();
    assert_eq!(
        (now.state, now.reference_points.len()),
        (PowerState::Running, 1)
    );
    assert_eq!(kept(&bench), 0);
}

/// A folder here that is not the host's is noticed, whatever lies in it: its disks are another VM's.
#[test]
fn a_folder_that_is_not_the_hosts_is_not_written_to() {
    let mut vms = vms();
    vms[0]["state"] = json!("running");
    let (bench, lab, held, leaf) = backed_up(vms, json!({}));
    let wrecked = wreck(&held, &leaf, 524_288, 8192);
    // As another host with the same names has it.
    let (from, to) = (lab.file(""), bench.path("another host"));
    for file in files_below(&from) {
        let copy = to.join(file.strip_prefix(&from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(&file, &copy).unwrap();
    }
    let before: Vec<_> = files_below(&to)
        .iter()
        .map(|f| fs::read(f).unwrap())
        .collect();
    let reach = lab.reach();
    let run = |verb: &[&str], folder: &Path| {
        let map = format!("D:\\={}", folder.display());
        let args = [verb, &["--json", "--map", &map, "--host"]].concat();
        bench.run(&[&args[..], &texts(&reach)].concat())
    };
    let restore = ["restore", "vm", "web@latest", "--in-place", "--yes"];
    let told = run(&restore, &to).ends(1).json();
    assert!(
        told["findings"].to_string().contains("does not see"),
        "{told:#}"
    );
    let now = machine(&lab.inventory(), "web").clone();
    assert_eq!(
        (now.state, now.reference_points.len()),
        (PowerState::Running, 1)
    );
    assert!(fs::read(&leaf).unwrap() == wrecked);
    // Nor is an end made of what is kept elsewhere.
    run(&restore, &from).ends(0);
    assert_eq!(kept(&bench), 1);
    let empty = bench.path("empty");
    fs::create_dir(&empty).unwrap();
    for verb in ["undo", "confirm"] {
        for folder in [&to, &empty] {
            run(&["restore", verb, "--vm", "web"], folder).ends(1);
            assert_eq!(kept(&bench), 1);
        }
    }
    let after: Vec<_> = files_below(&to)
        .iter()
        .map(|f| fs::read(f).unwrap())
        .collect();
    assert!(before == after);
    run(&["restore", "undo", "--vm", "web"], &from).ends(0);
    assert!(fs::read(&leaf).unwrap() == wrecked);
}

/// A VM that was brought back and lives on is not turned off by the same command.
#[test]
fn a_vm_that_was_brought_back_is_left_alone() {
    let (bench, lab, held, leaf) = backed_up(vms(), json!({}));
    wreck(&held, &leaf, 524_288, 8192);
    let args = ["--in-place", "--yes", "--start"];
    restore(&bench, &lab, &args).ends(0);
    let refused = restore(&bench, &lab, &args).ends(1);
    assert!(
        refused.out.contains("neither confirmed nor undone"),
        "{refused:?}"
    );
    assert_eq!(machine(&lab.inventory(), "web").state, PowerState::Running);
    assert_eq!(kept(&bench), 1);
    end(&bench, &lab, "confirm").ends(0);
}

/// Disks that are what they should become keep the VM's reference points, and it is started all the same.
#[test]
fn disks_that_need_nothing_lose_nothing() {
    let (bench, lab, held, _) = backed_up(vms(), json!({}));
    let told = restore(&bench, &lab, &["--in-place", "--yes", "--start"])
        .ends(0)
        .json();
    assert_eq!(
        (&told["done"], &told["started"], &told["kept"]),
        (&json!(true), &json!(true), &Value::Null)
    );
    assert_eq!(told["disks"][0]["became"], "same");
    let now = machine(&lab.inventory(), "web").clone();
    assert_eq!(
        (now.state, now.reference_points.len()),
        (PowerState::Running, 1)
    );
    assert!(disks(&lab, &now) == held);
    assert_eq!(kept(&bench), 0);
}

/// What came to its end can be asked for again: a VM that is off is started, one that runs is left alone.
#[test]
fn a_vm_that_was_brought_back_and_is_off_is_started_by_the_same_command() {
    let (bench, lab, held, leaf) = backed_up(vms(), json!({}));
    wreck(&held, &leaf, 524_288, 8192);
    let first = restore(&bench, &lab, &["--in-place", "--yes"])
        .ends(0)
        .json();
    let again = restore(&bench, &lab, &["--in-place", "--yes", "--start"])
        .ends(0)
        .json();
    assert_eq!(again["kept"], first["kept"]);
    assert_eq!(
        (&again["disks"][0]["became"], &again["started"]),
        (&json!("before"), &json!(true))
    );
    assert_eq!(machine(&lab.inventory(), "web").state, PowerState::Running);
}

/// Of disks of which one lost what was kept of it, none is put back; a disk that is gone needs no end.
#[test]
fn what_is_lost_of_what_was_kept_is_noticed() {
    let (bench, lab, held, leaf) = backed_up(vms(), json!({}));
    wreck(&held, &leaf, 524_288, 8192);
    restore(&bench, &lab, &["--in-place", "--yes"]).ends(0);
    let mut undo = leaf.clone().into_os_string();
    undo.push(".hyperkeep-undo");
    fs::rename(&undo, bench.path("aside")).unwrap();
    let refused = end(&bench, &lab, "undo").ends(1);
    assert!(refused.err.contains("is gone"), "{refused:?}");
    assert_eq!(kept(&bench), 1);
    fs::remove_file(&leaf).unwrap();
    end(&bench, &lab, "confirm").ends(0);
    assert_eq!(kept(&bench), 0);
}

/// Its replication would go on from what its disks were: it goes first, and only if it may.
#[test]
fn a_replicated_vm_loses_its_replication_first_and_only_if_it_may() {
    let mut all = vms();
    all[0]["replication"] = json!({"mode": 1, "state": 3, "health": 1, "interval": 0});
    let (bench, lab, held, leaf) = backed_up(all, json!({}));
    let sides = || machine(&lab.inventory(), "web").replication.clone();
    let wrecked = wreck(&held, &leaf, 524_288, 8192);
    let refused = restore(&bench, &lab, &["--in-place", "--yes"])
        .ends(1)
        .json();
    let told = refused["findings"].to_string();
    assert!(told.contains("--remove-replication"), "{told}");
    let may = ["--in-place", "--remove-replication"];
    let planned = restore(&bench, &lab, &[&may[..], &["--plan"]].concat());
    let planned = planned.ends(3).json();
    assert_eq!(planned["removes_replication"], true);
    assert!(fs::read(&leaf).unwrap() == wrecked && sides().relationships.len() == 1);
    let done = restore(&bench, &lab, &[&may[..], &["--yes"]].concat());
    assert_eq!(done.ends(3).json()["done"], true);
    assert_eq!(sides().mode, ReplicationMode::None);
    assert!(disks(&lab, machine(&lab.inventory(), "web")) == held);
    // It does not come back with what the disks were.
    end(&bench, &lab, "undo").ends(0);
    assert!(fs::read(&leaf).unwrap() == wrecked && sides().relationships.is_empty());
}
