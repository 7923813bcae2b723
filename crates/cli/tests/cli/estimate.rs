//! What a backup would take, against what it then takes.

use serde_json::{Value, json};

use crate::bench::{Bench, vm};
use crate::lab::{Lab, scenario, texts};

const SIZE: u64 = 4 << 20;

#[test]
fn a_backup_reads_what_was_estimated_and_nothing_is_touched() {
    let bench = Bench::new();
    let disk = |path: &str| json!([{"path": path, "size": SIZE}]);
    let vms = json!([
        {"name": "off", "state": "off", "disks": disk("D:\\VMs\\off.vhdx"),
         "writes": [{"offset": 0, "length": 1 << 20, "seed": 3}]},
        {"name": "runs", "disks": disk("D:\\VMs\\runs.vhdx")},
        {"name": "old", "version": "5.0", "state": "off", "disks": disk("D:\\VMs\\old.vhdx")},
    ]);
    let lab = Lab::start(&bench, &scenario(vms, json!({})));
    let estimate = |more: &[&str]| {
        let mut args = vec!["estimate".to_owned()];
        args.extend(lab.reach());
        args.push("--json".to_owned());
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        bench.run(&texts(&args)).ends(0).json()
    };
    let backup = |code: i32| {
        let args = lab.backup(&["--audit", "0"]);
        bench.run(&texts(&args)).ends(code).json()
    };
    let of = |document: &Value, name: &str, what: &str| {
        let told = &vm(document, name)[what];
        (
            told["amount"].as_u64(),
            told["basis"].as_str().map(str::to_owned),
        )
    };
    // Before the first one: no more than the files have, and nobody knows how long.
    let first = estimate(&[]);
    assert!(!bench.path("state").exists(), "nothing is kept either");
    let (most, basis) = of(&first, "off", "read");
    assert_eq!(basis.as_deref(), Some("at-most"), "{first:#}");
    assert_eq!(of(&first, "off", "milliseconds"), (None, None));
    assert_eq!(vm(&first, "off")["runs"], 0);
    let full = &vm(&first, "off")["disks"][0]["expected"];
    assert_eq!(full["how"], "full", "{first:#}");
    let report = backup(0);
    let read = |report: &Value, name: &str| {
        vm(report, name)["layers"][0]["stats"]["read"]
            .as_u64()
            .unwrap()
    };
    assert!(read(&report, "off") <= most.unwrap(), "{report:#}");

    // The host tells of a disk at rest, and not of one that is written to.
    let second = estimate(&[]);
    assert_eq!(
        of(&second, "off", "read"),
        (Some(0), Some("host".to_owned()))
    );
    let runs = &vm(&second, "runs")["disks"][0]["expected"];
    assert_eq!(runs["how"], "untold", "{second:#}");
    assert_eq!(
        of(&second, "runs", "read"),
        (None, None),
        "no run was incremental"
    );
    assert_eq!(vm(&second, "old")["mode"], "standard");
    let (_, time) = of(&second, "old", "milliseconds");
    assert_eq!(time.as_deref(), Some("earlier-runs"));
    let report = backup(0);
    assert_eq!(read(&report, "off"), 0);

    // From here on it is told how earlier ones went.
    let third = estimate(&["--vm", "runs"]);
    assert_eq!(third["vms"].as_array().unwrap().len(), 1);
    let (_, basis) = of(&third, "runs", "read");
    assert_eq!(basis.as_deref(), Some("earlier-runs"), "{third:#}");
    let left = lab.left();
    assert!(
        left.iter()
            .all(|(_, ours, others, _)| (*ours, *others) == (0, 0)),
        "{left:?}"
    );

    // Without a vault there is no token, so all would be read.
    let mut args = vec!["estimate".to_owned()];
    args.extend(lab.reach());
    let mut command = bench.command(&texts(&args));
    command.env_remove("HYPERKEEP_VAULT");
    let alone = command.output().unwrap();
    let text = String::from_utf8(alone.stdout).unwrap();
    assert!(alone.status.success() && text.contains("at most"), "{text}");
}

/// Settings of the host are in each point of it, and compared with those of another host.
#[test]
fn what_a_host_is_set_to_is_kept_and_compared() {
    let bench = Bench::new();
    let vms = json!([{"name": "web", "state": "off",
                      "disks": [{"path": "D:\\VMs\\web.vhdx", "size": SIZE}]}]);
    let lab = Lab::start(&bench, &scenario(vms, json!({})));
    bench.run(&texts(&lab.backup(&[]))).ends(0);
    let show = |lab: &Lab, more: &[&str]| {
        let mut args = vec!["show".to_owned(), "web@latest".to_owned()];
        if more.contains(&"--compare") {
            args.push("--compare".to_owned());
            args.extend(lab.reach());
        }
        args.extend(
            more.iter()
                .filter(|arg| **arg != "--compare")
                .map(|a| (*a).to_owned()),
        );
        bench.run(&texts(&args)).ends(0)
    };
    let shown = show(&lab, &["--json"]).json();
    let switches = &shown["host_settings"]["kinds"]["switch"];
    assert!(switches["of"]["LAN"].is_object(), "{shown:#}");
    assert_eq!(shown["compared"], Value::Null);
    let same = show(&lab, &["--compare", "--json"]).json();
    assert_eq!(same["compared"]["same"], true, "{same:#}");
    drop(lab);

    let more = json!({"host": {"name": "HV02", "seed": 6}, "switches": ["DMZ"]});
    let other = Lab::start(&bench, &scenario(json!([]), more));
    let told = show(&other, &["--compare", "--json"]).json();
    assert_eq!(told["compared"]["same"], false);
    let text = show(&other, &["--compare"]).out;
    for line in [
        "switch: LAN",
        "switch “LAN”: it is not there",
        "switch “DMZ”: it was not there",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    // And when a VM is restored for that host; before anything is written if it cannot be asked.
    let reach = other.reach();
    let restore = |to: &str| {
        let folder = ["restore", "folder", "web@latest", "--to", to, "--compare"];
        bench.run(&[&folder[..], &texts(&reach)].concat())
    };
    let restored = restore("restored").out;
    let told = "switch “LAN”: it is not there";
    assert!(
        restored.contains(told) && restored.contains("file"),
        "{restored}"
    );
    drop(other);
    let asked = restore("nowhere").ends(1);
    assert!(asked.out.is_empty(), "{asked:?}");
    assert!(!bench.path("nowhere").exists());
}
