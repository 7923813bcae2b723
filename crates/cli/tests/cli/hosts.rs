//! Several hosts in one command: nodes of a cluster whose VMs move, and both sides of a replication.

use std::fs;

use serde_json::{Value, json};

use crate::bench::{Bench, vm};
use crate::lab::{Lab, scenario, texts};

const SIZE: u64 = 4 << 20;

/// What is said of every host, and a file that names them.
fn reach(bench: &Bench, hosts: &[(&str, u16)], maps: &[String]) -> Vec<String> {
    let entry = |(name, port): &(&str, u16)| {
        format!("[hosts.{name}]\naddress = 'winrm+http://LAB\\backup@127.0.0.1:{port}'\n")
    };
    let text: String = hosts.iter().map(entry).collect();
    fs::write(bench.path("hosts.toml"), text).unwrap();
    let mut args: Vec<String> = ["--hosts", "hosts.toml", "--password-file", "password"]
        .map(str::to_owned)
        .to_vec();
    args.extend(["--state", "state", "--smb", "off", "--json"].map(str::to_owned));
    args.extend(
        maps.iter()
            .flat_map(|map| ["--map".to_owned(), map.clone()]),
    );
    args
}

fn run(bench: &Bench, code: i32, words: &[&str], reach: &[String]) -> Value {
    let words: Vec<&str> = words.iter().copied().chain(texts(reach)).collect();
    bench.run(&words).ends(code).json()
}

fn messages(document: &Value) -> String {
    document["findings"].to_string()
}

#[test]
fn vms_of_all_nodes_are_backed_up_once_and_followed() {
    let bench = Bench::new();
    let disk = |name: &str| json!([{"path": format!("C:\\ClusterStorage\\Volume1\\{name}\\a.vhdx"), "size": SIZE}]);
    let vms = json!([
        {"name": "web", "folder": "C:\\ClusterStorage\\Volume1\\web", "disks": disk("web"),
         "writes": [{"offset": 0, "length": 1 << 20, "seed": 7}]},
        {"name": "db", "node": "HV02", "folder": "C:\\ClusterStorage\\Volume1\\db",
         "disks": disk("db")},
    ]);
    // The VM goes with its checkpoint, as the backup asks to end that.
    let more = json!({
        "cluster": {"name": "CL1", "nodes": ["HV01", "HV02"]},
        "volumes": [{"name": "C:\\ClusterStorage\\Volume1", "capacity": 107_374_182_400_u64}],
        "rules": {"migration-ms": 0, "migrates-with-checkpoint": true},
        "mishaps": [{"on": "ConvertToReferencePoint", "node": "HV01",
                     "before": [{"migrates": {"vm": "web", "to": "HV02"}}]}],
    });
    let lab = Lab::start_in(&bench, "cluster", &scenario(vms, more));
    let storage = lab.folder().join("shared/C/ClusterStorage");
    let maps = [format!("C:\\ClusterStorage={}", storage.display())];
    let hosts = [
        ("CL1", lab.ports[0]),
        ("HV01", lab.ports[0]),
        ("HV02", lab.ports[1]),
    ];
    let reach = reach(&bench, &hosts, &maps);

    let mut list = reach.clone();
    list.retain(|word| !word.starts_with("--map") && *word != maps[0]);
    let listed = run(&bench, 0, &["vms", "CL1"], &list);
    assert_eq!(listed["cluster"], "CL1", "{listed:#}");
    assert_eq!(vm(&listed, "web")["owner"], "HV01");
    assert_eq!(vm(&listed, "db")["owner"], "HV02");
    // A node stands for itself unless its cluster is asked for.
    let node = run(&bench, 0, &["vms", "HV02"], &list);
    assert_eq!(
        (&node["cluster"], node["vms"].as_array().unwrap().len()),
        (&Value::Null, 1)
    );
    let all = run(&bench, 0, &["vms", "HV02", "--cluster"], &list);
    assert_eq!(all["vms"].as_array().unwrap().len(), 2);

    let first = run(&bench, 0, &["backup", "CL1", "--audit", "0"], &reach);
    assert_eq!(first["vms"].as_array().unwrap().len(), 2);
    assert!(
        messages(&first).contains("it went from HV01 to HV02"),
        "{first:#}"
    );
    // Its checkpoint ended where it is then, as a reference point that the next backup asks by.
    let on = |at: usize| lab.left_on(lab.ports[at]);
    assert_eq!(on(0), []);
    assert_eq!(on(1), ["db", "web"].map(|name| (name.to_owned(), 0, 0, 1)));

    let second = run(
        &bench,
        0,
        &["backup", "HV01", "--cluster", "--audit", "0"],
        &reach,
    );
    for name in ["web", "db"] {
        let layer = &vm(&second, name)["layers"][0];
        assert_eq!(layer["reading"]["how"], "ranges", "{second:#}");
        assert_eq!(layer["stats"]["read"], 0);
    }
    let point = vm(&second, "web")["point"].as_str().unwrap();
    let show = bench.run(&["show", point, "--json"]).ends(0).json();
    let port = lab.ports[1].to_string();
    assert!(
        show["source"].as_str().unwrap().ends_with(&port),
        "{show:#}"
    );
    assert_eq!(on(1), ["db", "web"].map(|name| (name.to_owned(), 0, 0, 1)));

    // A node that is not reached: what the cluster says is there is told to be missing.
    let mut lost = reach.clone();
    lost[1] = "other.toml".to_owned();
    let text = fs::read_to_string(bench.path("hosts.toml")).unwrap();
    let down = text.replace(&format!(":{}'", lab.ports[1]), ":1'");
    fs::write(bench.path("other.toml"), down).unwrap();
    let partial = run(&bench, 4, &["backup", "CL1"], &lost);
    assert!(
        messages(&partial).contains("keeps it on HV02"),
        "{partial:#}"
    );
}

/// Two hosts with the same ids: one has a VM, the other its copy, and each has one of its own.
#[test]
fn a_vm_on_both_sides_of_a_replication_is_backed_up_once() {
    let bench = Bench::new();
    let start = |name: &str, mode: u16| {
        let disk = |vm: &str| json!([{"path": format!("D:\\VMs\\{vm}.vhdx"), "size": SIZE}]);
        let state = if mode == 1 { "running" } else { "off" };
        let vms = json!([
            {"name": "web", "state": state, "disks": disk("web"),
             "guest": {"name": "Windows Server 2022", "version": "10.0.20348", "platform": 2},
             "replication": {"mode": mode, "state": 3, "health": 1, "interval": 0}},
        ]);
        let host = json!({"host": {"name": name, "seed": 5}});
        Lab::start_in(&bench, name, &scenario(vms, host))
    };
    let (primary, replica) = (start("HV01", 1), start("HV02", 2));
    let mapped = |lab: &Lab| format!("D:\\={}", lab.folder().join("D").display());
    let hosts = [("one", primary.port), ("two", replica.port)];
    let backup = |code: i32, words: &[&str], lab: &Lab| {
        let reach = reach(&bench, &hosts, &[mapped(lab)]);
        run(
            &bench,
            code,
            &[&["backup", "one", "two"], words].concat(),
            &reach,
        )
    };
    let report = backup(0, &[], &primary);
    let web = vm(&report, "web");
    assert_eq!(report["vms"].as_array().unwrap().len(), 1, "{report:#}");
    assert_eq!(web["consistency"], "application");
    assert!(
        messages(web).contains("it is not backed up there"),
        "{web:#}"
    );
    let points = |lab: &Lab| lab.left().iter().map(|(.., points)| *points).sum::<usize>();
    assert_eq!((points(&primary), points(&replica)), (1, 0));

    // The copy by itself, into the same vault: nobody asks by what the primary keeps any more, and
    // the next run with both removes it.
    let alone = reach(&bench, &hosts, &[mapped(&replica)]);
    run(&bench, 0, &["backup", "two"], &alone);
    assert_eq!((points(&primary), points(&replica)), (1, 1));
    let mut look = reach(&bench, &hosts, &[]);
    look.retain(|word| word != "--json");
    let words: Vec<&str> = ["doctor", "one"].into_iter().chain(texts(&look)).collect();
    let told = bench.run(&words).ends(0).out;
    assert!(told.contains("of an older restore point"), "{told}");

    let report = backup(0, &["--side", "prefer-replica"], &replica);
    assert_eq!((points(&primary), points(&replica)), (0, 1), "{report:#}");
    let web = vm(&report, "web");
    assert_eq!(
        web["consistency"], "crash",
        "a copy is as after a power cut: {web:#}"
    );
    assert!(messages(web).contains("replica"), "{web:#}");
    let source = |report: &Value| {
        let point = vm(report, "web")["point"].as_str().unwrap();
        let show = bench.run(&["show", point, "--json"]).ends(0).json();
        show["source"].as_str().unwrap().to_owned()
    };
    assert!(source(&report).ends_with(&replica.port.to_string()));
    assert_eq!(points(&replica), 1);

    // With one host gone the other's side is backed up, and the job has failed for the one.
    drop(primary);
    let report = backup(1, &[], &replica);
    assert_eq!(vm(&report, "web")["outcome"], "ok", "{report:#}");
    assert!(source(&report).ends_with(&replica.port.to_string()));
}
