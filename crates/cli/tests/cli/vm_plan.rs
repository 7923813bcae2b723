//! `restore vm --plan` and `--script`: what is told before anything is done, each clash by its name.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::bench::{Answer, Bench, files_below};
use crate::lab::{Lab, scenario, texts};

const SIZE: usize = 4 << 20;

/// Two VMs, one with a checkpoint, two adapters and a CD. Ids follow from the scenario's seed, so that
/// another host of the same VMs has VMs of the same ids.
pub(crate) fn vms() -> Value {
    let write = |seed: u64| json!({"offset": seed * 262_144, "length": 131_072, "seed": seed});
    json!([
        {"name": "web", "state": "off", "memory": 64, "dvds": ["D:\\iso\\setup.iso"],
         "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": SIZE}],
         "adapters": [{"switch": "LAN", "mac": "00155D000001", "vlan": 17}, {}],
         "checkpoints": [{"name": "before", "writes": [write(1)]}], "writes": [write(2)]},
        {"name": "db", "state": "off", "disks": [{"path": "D:\\VMs\\db\\db.vhdx", "size": SIZE}],
         "adapters": [{"switch": "LAN", "mac": "00155D000002"}]},
    ])
}

/// A vault with a restore point of `web`, checkpoints and all, and its host.
pub(crate) fn backed_up() -> (Bench, Lab) {
    let bench = Bench::new();
    let lab = Lab::start(&bench, &scenario(vms(), json!({})));
    let args = lab.backup(&["--mode", "all-checkpoints", "--vm", "web"]);
    bench.run(&texts(&args)).ends(0);
    (bench, lab)
}

/// Another host of the same VMs.
pub(crate) fn other(bench: &Bench, vms: &Value, more: Value) -> Lab {
    // None of the files of the one before.
    let folder = bench.path("other");
    if folder.exists() {
        fs::remove_dir_all(folder).unwrap();
    }
    Lab::start_in(bench, "other", &scenario(vms.clone(), more))
}

fn plan(bench: &Bench, lab: &Lab, more: &[&str]) -> Answer {
    let reach = lab.reach();
    let mut args = vec!["restore", "vm", "web@latest", "--plan", "--json", "--host"];
    args.extend(texts(&reach));
    args.extend(more);
    bench.run(&args)
}

/// All of a plan's findings that weigh as much.
fn told<'a>(document: &'a Value, weight: &str) -> Vec<&'a str> {
    let all = document["told"].as_array().unwrap().iter();
    all.filter(|finding| finding["weight"] == weight)
        .map(|finding| finding["finding"].as_str().unwrap())
        .collect()
}

fn steps(document: &Value) -> Vec<&str> {
    let all = document["plan"]["steps"].as_array().unwrap().iter();
    all.map(|step| step["step"].as_str().unwrap()).collect()
}

/// The only adapter that is on a switch.
fn connected(document: &Value) -> &Value {
    let all = document["plan"]["adapters"].as_array().unwrap().iter();
    let on: Vec<&Value> = all.filter(|adapter| !adapter["switch"].is_null()).collect();
    assert_eq!(on.len(), 1, "{document:#}");
    on[0]
}

/// Every file of a host.
fn files(lab: &Lab) -> BTreeMap<PathBuf, Vec<u8>> {
    let all = files_below(lab.folder()).into_iter();
    all.map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

#[test]
fn a_plan_tells_a_copy_that_harms_nothing_and_does_nothing() {
    let (bench, lab) = backed_up();
    let (inventory, before) = (lab.inventory(), files(&lab));
    let told = plan(&bench, &lab, &[]).ends(0).json();
    assert_eq!(
        (&told["kind"], &told["possible"]),
        (&json!("restore-vm-plan"), &json!(true))
    );
    let plan_of = &told["plan"];
    assert_eq!(plan_of["name"], "web");
    assert_eq!(
        (&plan_of["id"], &plan_of["replaces"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        (&plan_of["way"], &plan_of["checkpoints"]),
        (&json!("import"), &json!(1))
    );
    let folder = plan_of["folder"].as_str().unwrap();
    let disks = plan_of["disks"].as_array().unwrap();
    assert_eq!(disks.len(), 2, "{told:#}");
    assert_eq!(disks.iter().filter(|disk| disk["leaf"] == true).count(), 1);
    for disk in disks {
        let to = disk["to"].as_str().unwrap();
        assert!(
            to.starts_with(&format!("{folder}\\Virtual Hard Disks\\")),
            "{to}"
        );
        assert!(
            !before
                .keys()
                .any(|file| file.ends_with(to.replace('\\', "/")))
        );
        assert!(disk["bytes"].as_u64().unwrap() > 0);
    }
    for adapter in plan_of["adapters"].as_array().unwrap() {
        assert_eq!(
            (&adapter["switch"], &adapter["mac"]),
            (&Value::Null, &Value::Null)
        );
    }
    assert_eq!(
        steps(&told)[..3],
        ["write-disk", "write-disk", "write-configuration"]
    );
    assert!(!steps(&told).contains(&"destroy"));
    // The same for people.
    let reach = lab.reach();
    let args = [
        &["restore", "vm", "web@latest", "--plan", "--host"][..],
        &texts(&reach),
    ]
    .concat();
    let human = bench.run(&args).ends(0).out;
    assert!(
        human.contains("nothing was done; it can be carried out"),
        "{human}"
    );
    assert!(human.contains("attach D:"), "{human}");
    assert_eq!((lab.inventory(), files(&lab)), (inventory, before));
}

#[test]
fn a_description_of_a_host_gives_the_same_plan_without_it() {
    let (bench, lab) = backed_up();
    let wanted = [
        "--replace",
        "--remove-checkpoints",
        "--saved-state",
        "discard",
        "--start",
    ];
    let mut now = plan(&bench, &lab, &wanted).ends(0).json();
    let reach = lab.reach();
    let describe = [
        &["vms"][..],
        &texts(&reach),
        &["--describe", "hv01.json", "--json"],
    ]
    .concat();
    let listed = bench.run(&describe).ends(0).json();
    assert_eq!(listed["description"], "hv01.json");
    // Nothing is overwritten.
    bench.run(&describe).ends(1);
    drop(lab);
    let args = [
        "restore",
        "vm",
        "web@latest",
        "--plan",
        "--json",
        "--description",
        "hv01.json",
    ];
    let mut later = bench.run(&[&args[..], &wanted].concat()).ends(0).json();
    assert!(later["described"].is_string());
    now["described"] = Value::Null;
    later["described"] = Value::Null;
    assert_eq!(now, later);
    assert!(steps(&now).contains(&"destroy"));
    assert!(steps(&now).contains(&"start"));
    // What is none is said to be none.
    for (name, text) in [
        ("a", "{}"),
        ("b", "no JSON"),
        ("c", r#"{"kind": "host-description", "version": 2}"#),
    ] {
        fs::write(bench.path(name), text).unwrap();
        let args = [
            "restore",
            "vm",
            "web@latest",
            "--plan",
            "--description",
            name,
        ];
        bench.run(&args).ends(1);
    }
}

/// What blocks, on the host that it was backed up from.
#[test]
fn each_clash_with_what_is_there_is_told_by_its_name_and_blocks() {
    let (bench, lab) = backed_up();
    for (wanted, why) in [
        (&["--keep-id"][..], "id-clash"),
        (&["--keep-mac"], "mac-clash"),
        (&["--switch", "LAN=WAN"], "switch-missing"),
        (&["--disk-folder", r"SCSI 0:0=D:\VMs\web"], "in-use"),
        (&["--folder", r"D:\VMs\..\x"], "bad-path"),
        (&["--folder", "VMs"], "bad-path"),
        (&["--saved-state", "keep"], "no-saved-state"),
        (&["--define", "--keep-id"], "not-importable"),
        (&["--replace"], "checkpoints-go"),
    ] {
        let answer = plan(&bench, &lab, wanted).ends(1).json();
        assert_eq!(answer["possible"], false, "{wanted:?}");
        let blocks = told(&answer, "blocks");
        assert!(blocks.contains(&why), "{wanted:?}: {blocks:?}");
        assert!(steps(&answer).is_empty(), "{wanted:?}");
    }
    // And what is asked for otherwise goes.
    for (wanted, limits) in [
        (
            &["--keep-id", "--replace", "--remove-checkpoints"][..],
            "checkpoints-go",
        ),
        (&["--flatten"], "tree-flattened"),
        (&["--define"], "defined"),
    ] {
        let answer = plan(&bench, &lab, wanted).ends(0).json();
        assert!(
            told(&answer, "limits").contains(&limits),
            "{wanted:?}: {answer:#}"
        );
    }
    let flat = plan(&bench, &lab, &["--flatten"]).ends(0).json();
    assert_eq!(flat["plan"]["disks"].as_array().unwrap().len(), 1);
    assert_eq!(told(&flat, "note"), ["same-name", "image-taken-out"]);
    let there = plan(&bench, &lab, &["--name", "web 2", "--switch", "same"]);
    let there = there.ends(0).json();
    assert_eq!(told(&there, "note"), ["image-taken-out"]);
    // One of two was on a switch.
    assert_eq!(there["plan"]["adapters"].as_array().unwrap().len(), 2);
    let adapter = connected(&there);
    assert_eq!(
        (&adapter["switch"][1], &adapter["vlan"]),
        (&json!("LAN"), &json!(17))
    );
}

/// What blocks on another host, or on the same one later.
#[test]
fn another_host_is_planned_for_as_it_is() {
    let (bench, lab) = backed_up();
    drop(lab);
    let on = |vms: Value, more: Value, wanted: &[&str], code: i32, why: &str| {
        let lab = other(&bench, &vms, more);
        let answer = plan(&bench, &lab, wanted).ends(code).json();
        let weight = if code == 0 { "limits" } else { "blocks" };
        let found = told(&answer, weight);
        assert!(found.contains(&why), "{wanted:?}: {answer:#}");
        answer
    };
    let none = json!([]);
    let hv02 = json!({"host": {"name": "HV02", "seed": 9}, "switches": ["WAN"]});
    on(
        none.clone(),
        hv02.clone(),
        &["--replace"],
        1,
        "nothing-to-replace",
    );
    on(
        none.clone(),
        hv02.clone(),
        &["--switch", "same"],
        1,
        "switch-missing",
    );
    let lab = other(&bench, &none, hv02);
    let fits = plan(
        &bench,
        &lab,
        &["--switch", "LAN=WAN", "--keep-id", "--keep-mac"],
    );
    let fits = fits.ends(0).json();
    assert_eq!(connected(&fits)["switch"][1], "WAN");
    assert_eq!(connected(&fits)["mac"], "00155D000001");
    assert_eq!(fits["plan"]["id"], fits["plan"]["vm"]);
    drop(lab);
    // One of 2016, which has no configurations of version 9.
    let old = json!({"host": {"name": "HV02", "os": "10.0.14393"}});
    on(none.clone(), old.clone(), &["--keep-id"], 1, "version");
    let defined = on(none.clone(), old, &[], 0, "defined");
    assert_eq!(defined["plan"]["way"], "define");
    assert_eq!(defined["plan"]["disks"].as_array().unwrap().len(), 1);
    let full = json!({"volumes": [{"name": "D:\\", "capacity": 1 << 20}]});
    on(none.clone(), full, &[], 1, "no-room");
    // The VM is there, and something is up with it.
    let with = |member: &str, value: Value| {
        let mut vms = vms();
        vms[0][member] = value;
        vms
    };
    let replica = json!({"mode": 2, "state": 3, "health": 1, "interval": 0, "delta-ms": 1,
                         "delta-bytes": 4096});
    let replica = with("replication", replica);
    let replaces = ["--replace", "--remove-checkpoints"];
    on(replica, json!({}), &replaces, 1, "replicated");
    let runs = with("state", json!("running"));
    let stopped = on(runs, json!({}), &replaces, 0, "will-be-stopped");
    assert!(steps(&stopped).contains(&"turn-off"));
}

#[test]
fn a_script_makes_the_vm_anew_and_no_name_becomes_code() {
    let (bench, lab) = backed_up();
    let reach = lab.reach();
    let script = |name: &str, more: &[&str]| {
        let mut args = vec![
            "restore",
            "vm",
            "web@latest",
            "--script",
            "--name",
            name,
            "--host",
        ];
        args.extend(texts(&reach));
        args.extend(more);
        bench.run(&args)
    };
    let made = script("it's $(web)", &["--switch", "same"]).ends(0).out;
    assert!(made.contains("New-VM -Name 'it''s $(web)' "), "{made}");
    assert!(made.contains("-SwitchName 'LAN'"), "{made}");
    assert!(made.contains("-VlanId 17"), "{made}");
    // The command in its head makes the disk that it takes.
    let head = made
        .lines()
        .find_map(|line| line.strip_prefix("#   hyperkeep "));
    let head = head.unwrap().replace("FOLDER", "disks");
    bench.run(&head.split(' ').collect::<Vec<_>>()).ends(0);
    let disks = files_below(&bench.path("disks"));
    let [disk] = disks.as_slice() else {
        panic!("{disks:?}");
    };
    let name = disk.file_name().unwrap().to_str().unwrap();
    assert!(
        made.contains(&format!("Virtual Hard Disks\\{name}'")),
        "{made}"
    );
    let document = script("web 2", &["--json"]).ends(0).json();
    assert_eq!(document["kind"], "restore-vm-script");
    assert!(document["script"].as_str().unwrap().contains("New-VM"));
    // What cannot be is no script but a plan that says why.
    let blocked = script("web 2", &["--json", "--switch", "LAN=WAN"])
        .ends(1)
        .json();
    assert_eq!(blocked["kind"], "restore-vm-plan");
    script("a\nb", &["--folder", r"D:\VMs\b"]).ends(1);
    script("web", &["--replace"]).ends(2);
}
