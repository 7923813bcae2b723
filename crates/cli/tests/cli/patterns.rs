//! Disks that are left out by choice: not read, told, and there again when they are wanted.

use std::fs;

use serde_json::{Value, json};
use testkit::image::{Image, Kind};

use crate::bench::{Bench, files_below, vm};
use crate::lab::{Lab, scenario, texts};

const SIZE: usize = 4 << 20;

fn codes(document: &Value) -> Vec<&str> {
    let all = document["findings"].as_array().unwrap().iter();
    all.filter_map(|finding| finding["code"].as_str()).collect()
}

/// One that is never opened need not even be in reach.
#[test]
fn a_disk_of_a_host_is_left_out_by_its_place_or_its_file() {
    let bench = Bench::new();
    let disk = |path: &str| json!({"path": path, "size": SIZE});
    let vms = json!([
        {"name": "web", "disks": [disk("D:\\VMs\\web.vhdx"), disk("E:\\scratch\\swap.vhdx")]},
        {"name": "db", "disks": [disk("D:\\VMs\\db.vhdx")]},
    ]);
    let volumes = json!([{"name": "D:\\", "capacity": 107_374_182_400_u64},
                         {"name": "E:\\", "capacity": 107_374_182_400_u64}]);
    let lab = Lab::start(&bench, &scenario(vms, json!({"volumes": volumes})));
    let backup = |code: i32, more: &[&str]| {
        let args = lab.backup(more);
        bench.run(&texts(&args)).ends(code).json()
    };
    // E:\ is not mapped.
    let all = backup(4, &["--vm", "web"]);
    assert_eq!(vm(&all, "web")["outcome"], "partial", "{all:#}");

    for (number, pattern) in ["web/SCSI 0:1", r"vm/*/E:\*", "*/SWAP.vhdx"]
        .iter()
        .enumerate()
    {
        let report = backup(0, &["--exclude", pattern]);
        let web = vm(&report, "web");
        assert_eq!(web["outcome"], "ok", "{web:#}");
        assert_eq!(web["layers"].as_array().unwrap().len(), 1);
        assert_eq!(
            codes(web)
                .iter()
                .filter(|code| **code == "excluded")
                .count(),
            1
        );
        // The disk that is wanted goes on by its changes.
        assert_eq!(web["layers"][0]["reading"]["how"], "ranges", "{web:#}");
        assert!(!codes(vm(&report, "db")).contains(&"excluded"));
        let point = web["point"].as_str().unwrap();
        let show = bench.run(&["show", point, "--json"]).ends(0).json();
        let missing = &show["holds"]["missing"];
        assert_eq!(missing.as_array().unwrap().len(), 1, "{missing:#}");
        assert_eq!(missing[0]["by_choice"], true);
        assert_eq!(missing[0]["name"], r"E:\scratch\swap.vhdx");
        let text = bench.run(&["show", point]).ends(0).out;
        assert!(text.contains("excluded by choice"), "{text}");
        // What a restore lacks it says, whoever wanted that.
        let to = format!("restored {number}");
        let restored = bench.run(&["restore", "disks", point, "--to", &to, "--json"]);
        assert_eq!(codes(&restored.ends(4).json()), ["disk-missing"]);
        assert_eq!(files_below(&bench.path(&to)).len(), 1);
    }

    let mut list = vec!["vms".to_owned()];
    list.extend(lab.reach());
    list.extend(["--exclude", "db", "--exclude", "*/SCSI 0:1", "--json"].map(str::to_owned));
    let listed = bench.run(&texts(&list)).ends(0).json();
    assert_eq!(listed["vms"].as_array().unwrap().len(), 1);
    let disks = &vm(&listed, "web")["disks"];
    assert_eq!(
        (&disks[0]["excluded"], &disks[1]["excluded"]),
        (&json!(false), &json!(true))
    );

    // Nothing is begun with a VM of which nothing would be saved.
    let none = backup(1, &["--exclude", "db/*", "--exclude", "web"]);
    assert_eq!(codes(vm(&none, "db")), ["excluded"], "{none:#}");
    assert_eq!(none["vms"].as_array().unwrap().len(), 1);
    // What a pattern does not find is told, and nothing that was saved is the worse for it.
    let misspelt = backup(3, &["--vm", "db", "--exclude", "db/SCSI 0:7"]);
    assert_eq!(codes(&misspelt), ["nothing-selected"], "{misspelt:#}");
    assert_eq!(vm(&misspelt, "db")["outcome"], "ok");
    let left = lab.left();
    assert!(
        left.iter()
            .all(|(_, ours, others, _)| (*ours, *others) == (0, 0)),
        "{left:?}"
    );
}

/// The same patterns, and the same answers, for a folder.
#[test]
fn a_disk_of_a_folder_is_left_out_in_the_same_way() {
    let bench = Bench::new();
    let vms = bench.path("vms");
    fs::create_dir(&vms).unwrap();
    let base = Image::new(Kind::Vhdx, 8 << 20, 1).write(&vms.join("base.vhdx"));
    Image::child(&base, "base.vhdx", 2).write(&vms.join("a.avhdx"));
    Image::child(&base, "base.vhdx", 3).write(&vms.join("b.avhdx"));
    Image::new(Kind::Vhdx, 8 << 20, 4).write(&vms.join("alone.vhdx"));
    let backup = |code: i32, more: &[&str]| {
        let args = [&["backup", "folder:vms", "--json"], more].concat();
        bench.run(&args).ends(code).json()
    };
    let report = backup(0, &["--exclude", "*/b.avhdx"]);
    assert_eq!(report["vms"].as_array().unwrap().len(), 2);
    let family = vm(&report, "base.vhdx");
    // What both stand on is wanted with the one that is.
    assert_eq!(family["layers"].as_array().unwrap().len(), 2, "{family:#}");
    assert_eq!(codes(family), ["excluded"]);
    let report = backup(0, &["--vm", "base.vhdx/disk 0"]);
    assert_eq!(report["vms"].as_array().unwrap().len(), 1);
    let kinds = backup(4, &["--exclude", "disk/*"]);
    assert_eq!(codes(&kinds), ["nothing-selected"]);
    let none = backup(1, &["--vm", "alone.vhdx", "--exclude", "alone.vhdx/*"]);
    assert_eq!(codes(vm(&none, "alone.vhdx")), ["excluded"]);
}
