//! VMs that are saved with their memory.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::bench::{Bench, vm};
use crate::host::*;
use crate::lab::{Lab, scenario, texts};
use crate::start::Start as _;

/// Memory is saved with the disks of its own moment, and the next backup goes on from these.
#[test]
fn a_vm_that_runs_is_saved_with_its_memory_and_what_it_takes_is_given_back() {
    let bench = Bench::new();
    let write = |offset: u64| {
        json!({"writes": {"vm": "web", "what":
        {"offset": offset, "length": 8192, "seed": offset}}})
    };
    let disk_of = |name: &str| json!([{"path": format!("D:\\VMs\\{name}\\a.vhdx"), "size": SIZE}]);
    let vms = json!([
        {"name": "web", "tpm": true, "memory": 64, "disks": disk_of("web"),
         "writes": [{"offset": 0, "length": SIZE, "seed": 7}]},
        {"name": "off", "state": "off", "memory": 64, "disks": disk_of("off")}]);
    let more = json!({"rules": {"export-ms": 40}, "mishaps": [
        {"on": "ExportSystemDefinition", "before": [write(200_000)]},
        {"on": "CreateSnapshot", "skip": 3, "before": [write(1_000_000)]}]});
    let lab = Lab::start(&bench, &scenario(vms, more));
    let staging = lab.file("Staging");
    fs::create_dir(&staging).unwrap();
    let with_memory = ["--memory", "--staging", "D:\\Staging"];
    backup(&bench, &lab, &[]);
    let left = lab.left();

    let report = backup(&bench, &lab, &with_memory);
    assert_eq!(report["outcome"], "ok", "{report:#}");
    assert_eq!(fs::read_dir(&staging).unwrap().count(), 0);
    assert_eq!(lab.left(), left, "the reference point is good for the next");
    let now = || disk(&lab, &lab.file("VMs/web/a.vhdx"));
    let flat = ["--flatten", "--format", "raw"];
    let web = vm(&report, "web");
    assert_eq!(web["layers"][0]["reading"]["how"], "full");
    let point = web["point"].as_str().unwrap();
    assert!(raw(&bench.restore(point, &flat)) == now());
    let show = bench.run(&["show", point, "--json"]).ends(0).json();
    assert_eq!(show["mode"], "export", "{show:#}");
    assert_eq!(show["holds"]["saved_memory"], true, "{show:#}");
    let files = show["holds"]["files"].as_array().unwrap();
    for ending in [".vmcx", ".vmrs", ".vmgs", ".vmgs.keyprotector"] {
        let has = |file: &Value| file["path"].as_str().unwrap().ends_with(ending);
        assert!(files.iter().any(has), "{ending}: {show:#}");
    }
    let off = vm(&report, "off")["point"].as_str().unwrap();
    let show = bench.run(&["show", off, "--json"]).ends(0).json();
    assert_ne!(show["mode"], "export");

    let next = backup(&bench, &lab, &["--audit", "0"]);
    let web = vm(&next, "web");
    assert_eq!(web["layers"][0]["reading"]["how"], "ranges", "{web:#}");
    let point = web["point"].as_str().unwrap();
    assert!(raw(&bench.restore(point, &flat)) == now());
    assert_eq!(lab.left(), left);

    // What cannot be is refused, or told.
    for more in [
        &["--mode", "all-checkpoints"][..],
        &["--consistency", "require-application"],
    ] {
        let args = lab.backup(&[&with_memory[..], more].concat());
        bench.run(&texts(&args)).ends(2);
    }
    for more in [
        &["--memory"][..],
        &["--memory", "--staging", "Staging"],
        &["--memory", "--staging", r"\\nas\staging"],
    ] {
        bench.run(&texts(&lab.backup(more))).ends(2);
    }
    let nowhere = ["--memory", "--staging", "D:\\Elsewhere"];
    let report = bench.run(&texts(&lab.backup(&nowhere))).json();
    let web = vm(&report, "web");
    assert_eq!(web["outcome"], "partial", "{web:#}");
    assert!(web["point"].is_string());
    let found = web["findings"].as_array().unwrap();
    assert!(found.iter().any(|f| f["code"] == "not-covered"), "{web:#}");
}

/// Killed while its host exports a VM: the host goes on with it, and the next run removes it all.
#[test]
fn what_a_killed_backup_with_memory_has_exported_is_removed() {
    let bench = Bench::new();
    let vms = json!([{"name": "web", "memory": 64,
                      "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": SIZE}]}]);
    let lab = Lab::start(
        &bench,
        &scenario(vms, json!({"rules": {"export-ms": 1500}})),
    );
    let staging = lab.file("Staging");
    fs::create_dir(&staging).unwrap();
    let args = lab.backup(&["--memory", "--staging", "D:\\Staging"]);
    let mut child = bench
        .command(&texts(&args))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .start();
    while child.try_wait().unwrap().is_none() && written(&bench) < 3 {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "killed while it exports");

    let report = backup(&bench, &lab, &["--vm", "web"]);
    let found = report["findings"].as_array().unwrap();
    assert!(found.iter().any(|f| f["code"] == "put-right"), "{report:#}");
    assert_eq!(fs::read_dir(&staging).unwrap().count(), 0);
    assert_eq!(written(&bench), 0);
    assert_eq!(lab.left(), [("web".to_owned(), 0, 0, 1)]);
}
