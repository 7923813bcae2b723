//! Branched trees of checkpoints that are restored: beside their VM and in its place, on its own host and
//! on another one.

use std::collections::BTreeMap;

use hyperv::inventory::{Machine, Parent};
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::lab::{Lab, scenario, texts};
use crate::vm_plan::other;
use crate::vm_restore::{disks, machine, restore};

/// root → a → b and root → c; the VM goes on from `now`.
fn vms(now: &str) -> Value {
    let write = |seed: u64| json!([{"offset": seed * 65536, "length": 8192, "seed": seed}]);
    let mut vms = json!([{"name": "web", "state": "off", "memory": 64,
        "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": 4 << 20}],
        "adapters": [{"switch": "LAN"}],
        "checkpoints": [{"name": "root", "writes": write(1), "checkpoints": [
            {"name": "a", "writes": write(2), "checkpoints": [{"name": "b", "writes": write(3)}]},
            {"name": "c", "writes": write(4)}]}],
        "writes": write(9)}]);
    let below = &mut vms[0]["checkpoints"][0]["checkpoints"];
    below[usize::from(now == "c")]["now"] = json!(true);
    vms
}

/// For each checkpoint by its name the one that it was made after; for the VM by no name.
fn tree(machine: &Machine) -> BTreeMap<String, String> {
    let name = |parent| match parent {
        Parent::Of(id) => {
            let mut all = machine.checkpoints.iter();
            let found = all.find(|c| c.id == id).unwrap();
            found.settings.config.name.clone()
        }
        other => format!("{other:?}"),
    };
    let all = machine.checkpoints.iter();
    let all = all.map(|c| (c.settings.config.name.clone(), name(c.parent)));
    let now = (String::new(), name(machine.parent));
    all.chain([now]).collect()
}

#[test]
fn a_branched_tree_comes_back_wherever_its_vm_does() {
    for now in ["a", "c"] {
        let bench = Bench::new();
        let lab = Lab::start(&bench, &scenario(vms(now), json!({})));
        let args = lab.backup(&["--mode", "all-checkpoints", "--vm", "web"]);
        bench.run(&texts(&args)).ends(0);
        let web = machine(&lab.inventory(), "web").clone();
        let (grown, held) = (tree(&web), disks(&lab, &web));
        assert_eq!((grown.len(), grown[""].as_str()), (5, now));
        let restored = |lab: &Lab, more: &[&str], name: &str| {
            let args = [&["--yes", "--switch", "none"][..], more].concat();
            let told = restore(&bench, lab, &args).ends(0).json();
            assert_eq!(told["vm"]["differences"], json!([]), "{told:#}");
            let inventory = lab.inventory();
            let vm = machine(&inventory, name);
            assert_eq!(tree(vm), grown, "{now}, {more:?}");
            assert!(disks(lab, vm) == held, "{now}, {more:?}");
            vm.id
        };
        let replace = ["--replace", "--remove-checkpoints"];
        assert_ne!(restored(&lab, &["--name", "copy"], "copy"), web.id);
        assert_eq!(restored(&lab, &replace, "web"), web.id);
        drop(lab);
        // Another host, which has a VM of the same id and has gone on from elsewhere.
        let hv02 = json!({"host": {"name": "HV02"}});
        let elsewhere = vms(if now == "a" { "c" } else { "a" });
        let lab = other(&bench, &elsewhere, hv02);
        assert_ne!(tree(machine(&lab.inventory(), "web")), grown);
        assert_ne!(restored(&lab, &["--name", "copy"], "copy"), web.id);
        assert_eq!(restored(&lab, &replace, "web"), web.id);
    }
}

/// A host that makes another tree of it: that is told, and the VM is not started.
#[test]
fn a_tree_that_the_host_makes_otherwise_is_told() {
    let bench = Bench::new();
    let rules = json!({"rules": {"import-loses": "current"}});
    let lab = Lab::start(&bench, &scenario(vms("c"), rules));
    let args = lab.backup(&["--mode", "all-checkpoints", "--vm", "web"]);
    bench.run(&texts(&args)).ends(0);
    let args = ["--yes", "--name", "copy", "--start"];
    let answer = restore(&bench, &lab, &args);
    assert_ne!(answer.code, 0, "{answer:?}");
    let told = answer.json();
    let differs = &told["vm"]["differences"];
    assert_eq!(
        differs[0]["what"], "the checkpoint that it goes on from",
        "{told:#}"
    );
    assert_eq!(
        (&differs[0]["planned"], &differs[0]["found"]),
        (&json!("\"c\""), &json!("\"root\""))
    );
    assert_eq!(told["vm"]["started"], false);
}
