//! Every finding of a plan, by its name: restores are planned by the description of a host in which one
//! thing is otherwise.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::bench::{Answer, Bench};
use crate::lab::{Lab, scenario, texts};
use crate::vm_plan::backed_up;

/// What the program itself asks for in no case, or gives other names to.
const NEVER: [&str; 2] = [
    // Who replaces a VM keeps its id.
    "new-id-in-place",
    // Files of one name get different ones before anything is planned.
    "same-path",
];

/// What is otherwise on the host.
type Edit = fn(&mut Value);

/// A finding, how much it weighs, which VM is restored how, and to which host.
struct Row(
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
    Edit,
);

const REPLACE: &[&str] = &["--replace", "--remove-checkpoints"];

fn as_it_is(_: &mut Value) {}

fn no_vms(inventory: &mut Value) {
    inventory["machines"] = json!([]);
}

fn another_host(inventory: &mut Value) {
    inventory["host"]["name"] = json!("HV02");
}

fn web(inventory: &mut Value) -> &mut Value {
    let all = inventory["machines"].as_array_mut().unwrap();
    let mut named = all
        .iter_mut()
        .filter(|vm| vm["settings"]["config"]["name"] == "web");
    named.next().unwrap()
}

const ROWS: &[Row] = &[
    Row("nothing-to-replace", "blocks", "web", REPLACE, no_vms),
    Row("id-clash", "blocks", "web", &["--keep-id"], as_it_is),
    Row("id-clash", "blocks", "web", &["--keep-id"], |host| {
        let id = web(host)["id"].clone();
        no_vms(host);
        host["planned"] = json!([{"id": id, "name": "web", "instance_id": ""}]);
    }),
    Row("mac-clash", "blocks", "web", &["--keep-mac"], as_it_is),
    Row("replicated", "blocks", "web", REPLACE, |host| {
        web(host)["replication"]["mode"] = json!({"mode": "replica"});
    }),
    Row("checkpoints-go", "blocks", "web", &["--replace"], as_it_is),
    Row("busy", "blocks", "web", REPLACE, |host| {
        web(host)["operation"] = json!({"operation": "merging-disks"});
    }),
    Row("clustered", "blocks", "web", REPLACE, |host| {
        web(host)["cluster"] = json!({"resource": "Virtual Machine web"});
    }),
    Row("version", "blocks", "web", &["--keep-id"], |host| {
        no_vms(host);
        host["host"]["os"]["version"] = json!("10.0.14393");
    }),
    Row(
        "not-importable",
        "blocks",
        "web",
        &["--define", "--keep-id"],
        no_vms,
    ),
    Row(
        "switch-missing",
        "blocks",
        "web",
        &["--switch", "same"],
        |host| host["host"]["switches"] = json!([]),
    ),
    Row(
        "folder-in-use",
        "blocks",
        "web",
        &["--folder", r"D:\VMs\web"],
        as_it_is,
    ),
    Row("disk-missing", "blocks", "two", &[], as_it_is),
    Row(
        "in-use",
        "blocks",
        "web",
        &["--disk-folder", r"SCSI 0:0=D:\VMs\web"],
        as_it_is,
    ),
    Row("bad-path", "blocks", "web", &["--folder", "VMs"], as_it_is),
    Row("no-folder", "blocks", "web", &[], |host| {
        host["host"]["default_paths"]["machines"] = Value::Null;
    }),
    Row("no-room", "blocks", "web", &[], |host| {
        host["host"]["volumes"][0]["free"] = json!(1);
    }),
    Row(
        "no-saved-state",
        "blocks",
        "two",
        &["--saved-state", "keep"],
        as_it_is,
    ),
    Row("will-be-stopped", "limits", "web", REPLACE, |host| {
        web(host)["state"] = json!({"state": "running"});
    }),
    Row("checkpoints-go", "limits", "web", REPLACE, as_it_is),
    Row("reference-points-go", "limits", "web", REPLACE, as_it_is),
    Row("tree-flattened", "limits", "web", &["--flatten"], as_it_is),
    Row("defined", "limits", "web", &["--define"], as_it_is),
    Row("saved-state-dropped", "limits", "web", &[], another_host),
    Row(
        "saved-state-dropped",
        "limits",
        "web",
        &["--saved-state", "discard"],
        as_it_is,
    ),
    Row(
        "saved-state-may-not-fit",
        "limits",
        "web",
        &["--saved-state", "keep"],
        another_host,
    ),
    Row(
        "checkpoint-memory-dropped",
        "limits",
        "web",
        &["--saved-state", "discard"],
        as_it_is,
    ),
    Row(
        "checkpoint-memory-may-not-fit",
        "limits",
        "web",
        &[],
        another_host,
    ),
    Row("tpm", "limits", "web", &[], as_it_is),
    Row("pass-through", "limits", "web", &[], as_it_is),
    Row("host-device", "limits", "web", &[], as_it_is),
    Row("version-unknown", "limits", "web", &[], |host| {
        host["host"]["os"] = Value::Null;
    }),
    Row("room-unknown", "limits", "web", &[], |host| {
        host["host"]["volumes"] = Value::Null;
    }),
    Row("image-taken-out", "note", "web", &[], as_it_is),
    Row("same-name", "note", "web", &[], as_it_is),
];

/// The findings that the documentation names.
fn documented() -> BTreeSet<&'static str> {
    let text = include_str!("../../../../docs/hyperv/import.md");
    let from = text.find("\n## Findings\n").unwrap();
    let to = text.find("\n## The order\n").unwrap();
    let code = text[from..to].split('`').skip(1).step_by(2);
    let is_name = |word: &&str| {
        let letter = |c: char| c.is_ascii_lowercase() || c == '-';
        word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(letter)
    };
    code.filter(is_name).collect()
}

fn describe(bench: &Bench, lab: &Lab) -> Value {
    let reach = lab.reach();
    let args = [&["vms"][..], &texts(&reach), &["--describe", "hv01.json"]].concat();
    bench.run(&args).ends(0);
    serde_json::from_slice(&fs::read(bench.path("hv01.json")).unwrap()).unwrap()
}

/// Restores by the description of a host on which something is otherwise.
fn plan(bench: &Bench, host: &Value, edit: Edit, args: &[&str]) -> Answer {
    let mut host = host.clone();
    edit(&mut host["target"]["inventory"]);
    fs::write(bench.path("edited.json"), host.to_string()).unwrap();
    let all = ["--plan", "--json", "--description", "edited.json"];
    bench.run(&[&["restore", "vm"][..], args, &all].concat())
}

#[test]
fn each_finding_that_is_documented_is_told_and_weighs_what_it_should() {
    let bench = Bench::new();
    let disk = |path: &str| json!({"path": path, "size": 4 << 20});
    let vms = json!([
        {"name": "web", "state": "saved", "tpm": true, "memory": 64, "pass-through": [2],
         "host-devices": [{"kind": "gpu-partition", "name": "GPU"}], "dvds": ["D:\\iso\\a.iso"],
         "disks": [disk(r"D:\VMs\web\a.vhdx")],
         "adapters": [{"switch": "LAN", "mac": "00155D000001"}],
         "checkpoints": [{"name": "with memory", "memory": true}]},
        {"name": "two", "state": "off",
         "disks": [disk(r"D:\VMs\two\a.vhdx"), disk(r"E:\two\b.vhdx")]}]);
    let lab = Lab::start(&bench, &scenario(vms, json!({})));
    // A disk of the host is in no checkpoint, and the drive E is not mapped.
    let args = lab.backup(&["--mode", "all-checkpoints"]);
    bench.run(&texts(&args)).ends(4);
    let host = describe(&bench, &lab);
    drop(lab);
    let mut seen = BTreeSet::new();
    for Row(finding, weight, vm, args, edit) in ROWS {
        let what = format!("{finding}, {args:?}");
        let point = format!("{vm}@latest");
        let answer = plan(
            &bench,
            &host,
            *edit,
            &[&[point.as_str()][..], args].concat(),
        );
        let told = answer.json();
        let is = |one: &&Value| one["finding"] == *finding;
        let one = told["told"].as_array().unwrap().iter().find(is);
        let one = one.unwrap_or_else(|| panic!("{what}: {told:#}"));
        assert_eq!(one["weight"], *weight, "{what}");
        assert!(!one["message"].as_str().unwrap().is_empty());
        let blocked = *weight == "blocks";
        assert_eq!(told["possible"], !blocked, "{what}: {told:#}");
        assert_eq!(answer.code == 1, blocked, "{what}: {answer:?}");
        let steps = told["plan"]["steps"].as_array().unwrap();
        assert_eq!(steps.is_empty(), blocked, "{what}");
        seen.insert(*finding);
    }
    seen.extend(NEVER);
    assert_eq!(seen, documented());
}

#[test]
fn a_rollback_is_planned_by_a_description() {
    let (bench, lab) = backed_up();
    let host = describe(&bench, &lab);
    let inventory = lab.inventory();
    let web_now = inventory.machines.iter().find(|vm| vm.name() == "web");
    let leaf = web_now.unwrap().settings.media[0].path.clone();
    drop(lab);
    let args = ["web@latest", "--in-place"];
    let told = plan(&bench, &host, as_it_is, &args).ends(0).json();
    assert_eq!(told["kind"], "restore-vm-in-place");
    assert_eq!(
        (&told["planned"], &told["done"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        (&told["turns_off"], &told["reference_points"]),
        (&json!(false), &json!(1))
    );
    // Which disk it is, and not what would change: its file is not looked at.
    assert_eq!(told["disks"].as_array().unwrap().len(), 1, "{told:#}");
    assert_eq!(told["disks"][0]["path"], leaf);
    assert_eq!(told["disks"][0]["became"], Value::Null);
    let running: Edit = |host| web(host)["state"] = json!({"state": "running"});
    let told = plan(&bench, &host, running, &args).ends(0).json();
    assert_eq!(told["turns_off"], true);
    let blocks: [Edit; 4] = [
        no_vms,
        |host| web(host)["operation"] = json!({"operation": "merging-disks"}),
        |host| web(host)["replication"]["mode"] = json!({"mode": "primary"}),
        |host| web(host)["cluster"] = json!({"resource": "Virtual Machine web"}),
    ];
    for edit in blocks {
        let told = plan(&bench, &host, edit, &args).ends(1).json();
        assert_eq!(told["findings"][0]["code"], "not-in-place", "{told:#}");
        assert_eq!(told["done"], false);
    }
    // A description is not the host.
    let args = ["restore", "vm", "web@latest", "--in-place", "--yes"];
    bench
        .run(&[&args[..], &["--description", "hv01.json"]].concat())
        .ends(2);
}
