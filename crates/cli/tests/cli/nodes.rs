//! Nodes of a cluster, named one by one or by their cluster, and what is said of those that were not.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::bench::{Answer, Bench, vm};
use crate::lab::{Lab, scenario, texts};
use crate::start::Start as _;

const VOLUME: &str = "C:\\ClusterStorage\\Volume1";

/// A cluster of two nodes with a VM each that it keeps, “web” and “db”; and files that say how its hosts
/// are reached.
struct Nodes {
    bench: Bench,
    lab: Lab,
}

impl Nodes {
    /// With more VMs, and whatever else there is to say.
    fn start(more_vms: &[Value], more: Value) -> Self {
        let kept = |name: &str, node: &str| {
            let path = format!("{VOLUME}\\{name}\\a.vhdx");
            json!({"name": name, "node": node, "folder": format!("{VOLUME}\\{name}"),
                   "disks": [{"path": path, "size": 4 << 20}],
                   "writes": [{"offset": 0, "length": 65536, "seed": 7}]})
        };
        let mut vms = vec![kept("web", "HV01"), kept("db", "HV02")];
        vms.extend_from_slice(more_vms);
        let mut whole = scenario(json!(vms), more);
        whole["cluster"] = json!({"name": "CL1", "nodes": ["HV01", "HV02"]});
        whole["volumes"] = json!([{"name": VOLUME, "capacity": 107_374_182_400_u64}]);
        let bench = Bench::new();
        let lab = Lab::start_in(&bench, "cluster", &whole);
        let nodes = Self { bench, lab };
        nodes.names("hosts.toml", [0, 0, 1], "");
        nodes
    }

    /// A file that says behind which port, by its place, CL1, HV01 and HV02 are; 2 is none. And more of
    /// HV02.
    fn names(&self, file: &str, at: [usize; 3], more: &str) {
        let ports = [self.lab.ports[0], self.lab.ports[1], 1];
        let mut text = String::new();
        for (name, at) in ["CL1", "HV01", "HV02"].into_iter().zip(at) {
            let address = self.address(ports[at]);
            text.push_str(&format!("[hosts.{name}]\naddress = '{address}'\n"));
        }
        fs::write(self.bench.path(file), text + more).unwrap();
    }

    fn address(&self, port: u16) -> String {
        format!("winrm+http://LAB\\backup@127.0.0.1:{port}")
    }

    fn words(&self, file: &str, words: &[&str]) -> Vec<String> {
        let mut args = words.to_vec();
        args.extend(["--hosts", file, "--password-file", "password"]);
        args.extend(["--state", "state", "--smb", "off", "--json"]);
        let shared = self.lab.folder().join("shared/C/ClusterStorage");
        let map = format!("C:\\ClusterStorage={}", shared.display());
        if words[0] == "backup" {
            args.extend(["--stagger", "0", "--audit", "0", "--map", &map]);
        }
        args.into_iter().map(str::to_owned).collect()
    }

    fn run_with(&self, file: &str, words: &[&str]) -> Answer {
        self.bench.run(&texts(&self.words(file, words)))
    }

    fn run(&self, code: i32, words: &[&str]) -> Value {
        self.run_with("hosts.toml", words).ends(code).json()
    }

    /// The recovery checkpoints on both nodes.
    fn checkpoints(&self) -> usize {
        let ports = self.lab.ports.iter();
        let left = ports.flat_map(|port| self.lab.left_on(*port));
        left.map(|(_, recovery, ..)| recovery).sum()
    }
}

fn names(document: &Value) -> Vec<&str> {
    let vms = document["vms"].as_array().unwrap().iter();
    vms.map(|vm| vm["name"].as_str().unwrap()).collect()
}

/// The severity of the finding with these words.
#[track_caller]
fn severity(document: &Value, words: &str) -> String {
    let all = document["findings"].as_array().unwrap();
    let mut with = all.iter().filter(|one| {
        let message = one["message"].as_str().unwrap();
        message.contains(words)
    });
    match (with.next(), with.next()) {
        (Some(one), None) => one["severity"].as_str().unwrap().to_owned(),
        (None, _) => String::new(),
        _ => panic!("told twice: {document:#}"),
    }
}

const OTHERS: &str = "the other nodes of its cluster CL1 are not";
const UNKNOWN: &str = "whether it is a node of a cluster is not known";

#[test]
fn a_node_alone_is_told_to_be_one_of_several() {
    let nodes = Nodes::start(&[], json!({}));
    let one = nodes.run(3, &["backup", "HV01"]);
    assert_eq!(names(&one), ["web"], "{one:#}");
    assert_eq!(severity(&one, OTHERS), "warning", "{one:#}");
    // Whoever gives a number may mean the cluster by it.
    let address = nodes.address(nodes.lab.ports[0]);
    let number = nodes.run(4, &["backup", &address]);
    assert_eq!(names(&number), ["web"]);
    assert_eq!(severity(&number, OTHERS), "partial", "{number:#}");
    let listed = nodes.run(4, &["vms", &address]);
    assert_eq!(severity(&listed, OTHERS), "partial", "{listed:#}");
    // Who names all of them has left out none, however they are named.
    let other = nodes.address(nodes.lab.ports[1]);
    for both in [["HV01", "HV02"], [&address, &other]] {
        let all = nodes.run(0, &["backup", both[0], both[1]]);
        assert_eq!(names(&all).len(), 2);
        assert_eq!(severity(&all, OTHERS), "", "{all:#}");
    }
    // And who names one twice, by itself and with its cluster, has it once.
    for twice in [["CL1", "HV02"], ["HV02", "CL1"], ["HV02", "HV02"]] {
        let code = if twice[1] == twice[0] { 3 } else { 0 };
        let all = nodes.run(code, &["backup", twice[0], twice[1]]);
        let mut found = names(&all);
        found.sort_unstable();
        let expected: &[&str] = if code == 0 { &["db", "web"] } else { &["db"] };
        assert_eq!(found, expected, "{all:#}");
    }
}

#[test]
fn a_host_that_does_not_tell_of_its_cluster_is_no_host_alone() {
    // What is asked for first is the cluster.
    let refused = |does: Value| {
        let mishap = json!({"on": "Enumerate", "node": "HV01", "times": 1, "does": does});
        Nodes::start(&[], json!({"mishaps": [mishap]}))
    };
    // By the cluster's name, all VMs of the other node are missing.
    let nodes = refused(json!({"refused": "access-denied"}));
    let report = nodes.run(4, &["backup", "CL1"]);
    assert_eq!(names(&report), ["web"]);
    assert_eq!(severity(&report, UNKNOWN), "partial", "{report:#}");
    let nodes = refused(json!({"refused": "access-denied"}));
    let report = nodes.run(3, &["backup", "HV01"]);
    assert_eq!(severity(&report, UNKNOWN), "warning", "{report:#}");
    let nodes = refused(json!({"refused": "access-denied"}));
    let report = nodes.run(4, &["vms", "CL1"]);
    assert_eq!(severity(&report, UNKNOWN), "partial", "{report:#}");
    let nodes = refused(json!({"refused": "access-denied"}));
    nodes.run(1, &["backup", "HV01", "--cluster"]);
}

#[test]
fn a_node_that_is_not_reached_may_have_vms_that_only_it_knows_of() {
    let nodes = Nodes::start(&[], json!({}));
    nodes.names("down.toml", [0, 0, 2], "");
    let listed = nodes.run_with("down.toml", &["vms", "CL1"]).ends(4).json();
    assert_eq!(severity(&listed, "what is on it is not known"), "partial");
    let report = nodes.run_with("down.toml", &["backup", "CL1", "--vm", "web"]);
    let report = report.ends(4).json();
    let unseen = severity(&report, "nothing of it is backed up");
    assert_eq!(unseen, "partial", "{report:#}");
}

#[test]
fn an_account_that_sees_nothing_on_a_node_is_told() {
    let nodes = Nodes::start(
        &[],
        json!({"accounts": [
        {"user": "LAB\\backup", "password": crate::lab::PASSWORD},
        {"user": "LAB\\blind", "password": crate::lab::PASSWORD, "filtered": true}]}),
    );
    nodes.names("blind.toml", [0, 0, 1], "");
    let text = fs::read_to_string(nodes.bench.path("blind.toml")).unwrap();
    let (first, second) = text.split_at(text.find("[hosts.HV02]").unwrap());
    let second = second.replace("backup@", "blind@");
    fs::write(nodes.bench.path("blind.toml"), format!("{first}{second}")).unwrap();
    for command in ["vms", "backup"] {
        let told = nodes.run_with("blind.toml", &[command, "CL1"]);
        let told = told.ends(4).json();
        assert_eq!(severity(&told, "no VMs were seen"), "warning", "{told:#}");
        assert_eq!(severity(&told, "keeps it on HV02"), "partial", "{told:#}");
    }
}

/// “web” goes to the other node as soon as that goes, which is with its checkpoint.
fn moving() -> Nodes {
    let more = json!({
        "rules": {"migration-ms": 40, "migrates-with-checkpoint": true},
        "mishaps": [{"on": "CreateSnapshot", "node": "HV01",
                     "after": [{"migrates": {"vm": "web", "to": "HV02"}}]}],
    });
    Nodes::start(&[], more)
}

#[test]
fn vms_of_a_node_alone_are_followed() {
    let nodes = moving();
    let report = nodes.run(3, &["backup", "HV01"]);
    let web = vm(&report, "web");
    assert_eq!(web["outcome"], "ok", "{report:#}");
    while !nodes.lab.left_on(nodes.lab.ports[0]).is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(nodes.checkpoints(), 0);
    let point = web["point"].as_str().unwrap();
    nodes.bench.restore(point, &[]);
    // The next backup asks by what is on the other node now.
    let report = nodes.run(3, &["backup", "HV02"]);
    let layer = &vm(&report, "web")["layers"][0];
    assert_eq!(layer["reading"]["how"], "ranges", "{report:#}");
}

#[test]
fn what_a_killed_run_left_on_nodes_is_put_right_on_each() {
    // The host is busy when the checkpoint is to end: so it is there for a while.
    let busy = json!({"on": "ConvertToReferencePoint", "node": "HV02", "times": 8,
                      "does": {"returns": 32775}});
    let nodes = Nodes::start(&[], json!({"mishaps": [busy]}));
    let words = nodes.words("hosts.toml", &["backup", "CL1", "--vm", "db"]);
    let mut child = nodes.bench.command(&texts(&words));
    let child = child.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child.start();
    while child.try_wait().unwrap().is_none() && nodes.checkpoints() == 0 {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    assert_eq!(nodes.checkpoints(), 1);
    let seen = nodes.run(0, &["doctor", "HV01", "--cluster"]);
    assert_eq!(nodes.checkpoints(), 0, "{seen:#}");
    let [first, second] = seen["nodes"].as_array().unwrap().as_slice() else {
        panic!("{seen:#}");
    };
    let names = [first, second].map(|node| node["name"].as_str().unwrap());
    assert_eq!(names, ["HV01", "HV02"]);
    assert_eq!((&first["vms"], &seen["vms"]), (&json!(1), &json!(2)));
    assert_eq!(first["put_right"], json!([]));
    assert_eq!(second["put_right"], seen["put_right"]);
    assert_eq!(second["put_right"][0]["code"], "put-right", "{seen:#}");
    // By its name as well; and a node that is not there is told.
    let again = nodes.run(0, &["doctor", "CL1"]);
    assert_eq!(again["put_right"], json!([]), "{again:#}");
    nodes.names("down.toml", [0, 0, 2], "");
    let down = nodes.run_with("down.toml", &["doctor", "CL1"]).ends(4);
    let unseen = severity(&down.json(), "what an earlier run left there, is not known");
    assert_eq!(unseen, "partial");
    let mut words = nodes.words("hosts.toml", &["doctor", "CL1"]);
    words.retain(|word| word != "--json");
    let text = nodes.bench.run(&texts(&words)).ends(0).out;
    assert_eq!(
        text.matches("left behind by an earlier run").count(),
        2,
        "{text}"
    );
}

#[test]
fn an_estimate_is_of_one_host() {
    let nodes = Nodes::start(&[], json!({}));
    let refused = nodes.run(2, &["estimate", "CL1"]);
    assert!(refused["error"]["hint"].is_string(), "{refused:#}");
    nodes.run(0, &["estimate", "HV01"]);
}

#[test]
#[cfg(unix)]
fn programs_that_a_node_names_run_for_its_cluster() {
    let nodes = Nodes::start(&[], json!({}));
    let ran = nodes.bench.path("ran");
    let hook = |name: &str| {
        let text = format!(
            "[before]\nprogram = 'sh'\nargs = ['-c', 'echo {name} >> {}']\n",
            ran.display()
        );
        fs::write(nodes.bench.path(&format!("{name}.toml")), text).unwrap();
        format!("hooks = '{name}.toml'\n")
    };
    let (one, other) = (hook("one"), hook("other"));
    let with = |file: &str, cluster: &str, nodes_say: [&str; 2]| {
        nodes.names(file, [0, 0, 1], nodes_say[1]);
        let text = fs::read_to_string(nodes.bench.path(file)).unwrap();
        let text = text.replace("[hosts.HV01]", &format!("{cluster}[hosts.HV01]"));
        let text = text.replace("[hosts.HV02]", &format!("{}[hosts.HV02]", nodes_say[0]));
        fs::write(nodes.bench.path(file), text).unwrap();
        nodes.run_with(file, &["backup", "CL1"])
    };
    // One for one node only, and another one for each.
    with("a.toml", "", [&one, ""]).ends(2);
    with("b.toml", &one, [&other, ""]).ends(2);
    assert!(!ran.exists());
    with("c.toml", "", [&one, &one]).ends(0);
    assert_eq!(fs::read_to_string(&ran).unwrap(), "one\none\n");
    // A node that says nothing has the cluster's.
    with("d.toml", &other, ["", &other]).ends(0);
    assert!(
        fs::read_to_string(&ran)
            .unwrap()
            .ends_with("other\nother\n")
    );
}
