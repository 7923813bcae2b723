//! VMs of generation 1 with VHDs, whose changes no host tells.

use serde_json::json;

use crate::bench::{Bench, vm};
use crate::host::{SIZE, backup, disk, raw};
use crate::lab::{Lab, scenario, texts};

const FLAT: [&str; 3] = ["--flatten", "--format", "raw"];

/// It goes on writing each time its disk is read.
#[test]
fn a_vhd_is_read_whole_each_time_and_comes_back_as_it_was_frozen() {
    let bench = Bench::new();
    let vms = json!([{
        "name": "legacy", "generation": 1,
        "disks": [{"path": "D:\\VMs\\legacy\\a.vhd", "size": SIZE}],
        "writes": [{"offset": 0, "length": SIZE / 2, "seed": 7}],
    }]);
    let write = |seed: u64| {
        json!({"on": "DestroySnapshot", "before": [{"writes": {"vm": "legacy", "what":
            {"offset": 65536 * seed, "length": 131_072, "seed": seed}}}]})
    };
    let more = json!({"mishaps": [write(1), write(2)]});
    let lab = Lab::that_keeps(&bench, &scenario(vms, more));

    let mut list = vec!["vms".to_owned()];
    list.extend(lab.reach());
    list.push("--json".to_owned());
    let told = bench.run(&texts(&list)).ends(0).json();
    assert_eq!(vm(&told, "legacy")["mode"], "standard", "{told:#}");

    let mut before = Vec::new();
    for number in 1..3 {
        let report = backup(&bench, &lab, &[]);
        let legacy = vm(&report, "legacy");
        let reading = &legacy["layers"][0]["reading"];
        assert_eq!(reading["how"], "full", "{legacy:#}");
        let point = legacy["point"].as_str().unwrap();
        let show = bench.run(&["show", point, "--json"]).ends(0).json();
        assert_eq!(show["mode"], "standard", "{show:#}");
        let why = show["mode_reason"].as_str().unwrap();
        assert!(
            why.contains("a.vhd) is a VHD: it is read whole each time"),
            "{why}"
        );
        let restored = raw(&bench.restore(point, &FLAT));
        let frozen = lab.frozen("VMs/legacy/a.vhd", number);
        assert!(restored == frozen, "backup {number}");
        // Without another format it is a VHD again.
        let again = bench.restore(point, &[]);
        let file = again.join("a.vhd");
        assert!(file.is_file() && disk(&lab, &file) == frozen);
        let now = disk(&lab, &lab.file("VMs/legacy/a.vhd"));
        assert!(now != frozen && frozen != before, "it wrote meanwhile");
        assert_eq!(lab.left(), [("legacy".to_owned(), 0, 0, 0)]);
        before = frozen;
    }

    // Where only changes will do, it is told why there are none, and nothing is done.
    let only_changes = lab.backup(&["--mode", "cbt"]);
    let report = bench.run(&texts(&only_changes)).ends(1).json();
    let legacy = vm(&report, "legacy");
    assert_eq!(legacy["point"], json!(null), "{legacy:#}");
    let found = legacy["findings"].as_array().unwrap();
    let told = found.iter().any(|finding| {
        let message = finding["message"].as_str().unwrap();
        message.contains("are not tracked") && message.contains("a.vhd) is a VHD")
    });
    assert!(told, "{legacy:#}");
    assert_eq!(lab.left(), [("legacy".to_owned(), 0, 0, 0)]);
}

#[test]
fn checkpoints_of_a_vhd_come_back_with_each_of_them() {
    let bench = Bench::new();
    let write = |seed: u64| json!({"offset": seed * 262_144, "length": 131_072, "seed": seed});
    let vms = json!([{
        "name": "legacy", "generation": 1, "state": "off",
        "disks": [{"path": "D:\\VMs\\legacy\\a.vhd", "size": SIZE}],
        "checkpoints": [{"name": "first", "writes": [write(1)], "checkpoints": [
            {"name": "dead end", "writes": [write(2)]},
            {"name": "second", "writes": [write(3)], "now": true}]}],
        "writes": [write(4)],
    }]);
    let lab = Lab::start(&bench, &scenario(vms, json!({})));
    let machine = lab.inventory().machines.remove(0);
    let there = |path: &str| disk(&lab, &lab.file(&path["D:\\".len()..].replace('\\', "/")));
    let leaf = &machine.settings.media[0].path;
    assert!(leaf.ends_with(".avhd"), "{leaf}");
    let now = there(leaf);
    let report = backup(&bench, &lab, &["--mode", "all-checkpoints"]);
    let legacy = vm(&report, "legacy");
    assert_eq!(legacy["layers"].as_array().unwrap().len(), 4, "{legacy:#}");
    let point = legacy["point"].as_str().unwrap();
    assert!(raw(&bench.restore(point, &FLAT)) == now);
    for checkpoint in &machine.checkpoints {
        let name = checkpoint.settings.config.name.as_str();
        let host = there(&checkpoint.settings.media[0].path);
        let args = [&FLAT[..], &["--checkpoint", name]].concat();
        assert!(raw(&bench.restore(point, &args)) == host, "{name}");
    }
    assert_eq!(lab.left(), [("legacy".to_owned(), 0, 3, 0)]);
    assert!(there(leaf) == now);
}
