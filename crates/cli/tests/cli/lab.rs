//! The program's own simulated host, in a process of its own, and what is there on it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;

use cim::http::{Credentials, Endpoint, HttpTransport, Logon, Secret, Trust};
use cim::{CimSession, WsmanSession, random_ids};
use hyperv::inventory::{self, CheckpointKind, Inventory};
use serde_json::{Value, json};

use crate::bench::{Bench, files_below};
use crate::host::disk;
#[cfg(unix)]
use crate::orders::Orders;
use crate::start::Start as _;

pub(crate) const PASSWORD: &str = "only for the läb";

/// A simulated host that listens.
pub(crate) struct Lab {
    child: Child,
    pub(crate) port: u16,
    /// Those of all nodes.
    pub(crate) ports: Vec<u16>,
    folder: PathBuf,
    kept: PathBuf,
}

/// A scenario of these VMs whose jobs take no time to speak of.
pub(crate) fn scenario(vms: Value, more: Value) -> Value {
    let mut scenario = json!({
        "host": {"name": "HV01", "seed": 5},
        "accounts": [{"user": "LAB\\backup", "password": PASSWORD},
                     {"user": "local", "password": PASSWORD}],
        "switches": ["LAN"],
        "volumes": [{"name": "D:\\", "capacity": 107_374_182_400_u64}],
        "vms": vms,
        "rules": {"checkpoint-ms": 40, "destroy-ms": 40, "merge-ms": 80, "tracking-unit": 4096,
                  "names-at-once": true},
    });
    let (Value::Object(all), Value::Object(more)) = (&mut scenario, more) else {
        panic!("objects are wanted");
    };
    for (name, value) in more {
        match (all.get_mut(&name), value) {
            (Some(Value::Object(known)), Value::Object(value)) => known.extend(value),
            (_, value) => {
                all.insert(name, value);
            }
        }
    }
    scenario
}

impl Lab {
    /// Starts it, and gives the bench the password and a place for journals.
    pub(crate) fn start(bench: &Bench, scenario: &Value) -> Self {
        Self::start_in(bench, "host", scenario)
    }

    /// The same with its files in a folder of this name. Of a cluster, all nodes.
    pub(crate) fn start_in(bench: &Bench, name: &str, scenario: &Value) -> Self {
        Self::spawn(bench, name, scenario, &[]).0
    }

    /// One that keeps what checkpoints for backups freeze: see [`frozen`](Self::frozen).
    pub(crate) fn that_keeps(bench: &Bench, scenario: &Value) -> Self {
        Self::spawn(bench, "host", scenario, &["--keep-frozen", "frozen"]).0
    }

    /// One that takes orders.
    #[cfg(unix)]
    pub(crate) fn that_obeys(bench: &Bench, scenario: &Value) -> (Self, Orders) {
        let (mut lab, out) = Self::spawn(bench, "host", scenario, &["--orders"]);
        let given = lab.child.stdin.take().unwrap();
        (lab, Orders::new(given, out))
    }

    fn spawn(
        bench: &Bench,
        name: &str,
        scenario: &Value,
        options: &[&str],
    ) -> (Self, BufReader<ChildStdout>) {
        let file = format!("{name}.json");
        fs::write(bench.path(&file), scenario.to_string()).unwrap();
        fs::write(bench.path("password"), format!("{PASSWORD}\n")).unwrap();
        let mut args = vec!["lab", &file, name, "127.0.0.1:0"];
        args.extend(options);
        let mut command = bench.command(&args);
        if options.contains(&"--orders") {
            command.stdin(Stdio::piped());
        }
        let mut child = command.stdout(Stdio::piped()).start();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let nodes = scenario["cluster"]["nodes"].as_array().map_or(1, Vec::len);
        let port = |_| {
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            line.trim().rsplit(':').next().unwrap().parse().unwrap()
        };
        let ports: Vec<u16> = (0..nodes).map(port).collect();
        let lab = Self {
            child,
            port: ports[0],
            ports,
            folder: bench.path(name),
            kept: bench.path("frozen"),
        };
        (lab, out)
    }

    /// What the command line says of it, after the command.
    pub(crate) fn reach(&self) -> Vec<String> {
        let address = format!("winrm+http://LAB\\backup@127.0.0.1:{}", self.port);
        let mut reach = vec![address];
        // It has no shares.
        let more = [
            "--password-file",
            "password",
            "--state",
            "state",
            "--smb",
            "off",
        ];
        reach.extend(more.map(str::to_owned));
        reach
    }

    /// The arguments of a backup.
    pub(crate) fn backup<'a>(&self, more: &[&'a str]) -> Vec<String> {
        let mut args = vec!["backup".to_owned()];
        args.extend(self.reach());
        let map = format!("D:\\={}", self.folder.join("D").display());
        args.extend(["--map".to_owned(), map, "--json".to_owned()]);
        // Its merges take no time to speak of, and nobody waits in a test.
        args.extend(["--stagger".to_owned(), "0".to_owned()]);
        args.extend(more.iter().map(|arg: &&'a str| (*arg).to_owned()));
        args
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file of the host.
    pub(crate) fn file(&self, below_d: &str) -> PathBuf {
        self.folder.join("D").join(below_d)
    }

    /// The disk in a file as the VM's checkpoint for a backup of this number froze it, of a VM that
    /// had no other checkpoint.
    pub(crate) fn frozen(&self, below_d: &str, number: usize) -> Vec<u8> {
        let place = format!("{number}/D/{below_d}");
        let mut kept = files_below(&self.kept);
        kept.retain(|file| file.ends_with(&place));
        assert_eq!(kept.len(), 1, "{place}: {kept:?}");
        disk(self, &kept[0])
    }

    /// What there is on it, asked in a session of the test's own.
    pub(crate) fn inventory(&self) -> Inventory {
        self.inventory_of(self.port)
    }

    /// The same for one of several nodes.
    pub(crate) fn inventory_of(&self, port: u16) -> Inventory {
        inventory::take(Self::session(port).as_ref()).unwrap()
    }

    /// A session of the test's own with a lab at this port.
    pub(crate) fn session(port: u16) -> Arc<dyn CimSession> {
        let endpoint = Endpoint::http("127.0.0.1", Some(port)).unwrap();
        let who = Credentials {
            user: "LAB\\backup".to_owned(),
            password: Secret::new(PASSWORD.to_owned()),
        };
        let transport = HttpTransport::new(endpoint, Trust::System, who, Logon::Ntlm).unwrap();
        let ids = Box::new(random_ids().unwrap());
        Arc::new(WsmanSession::new(Box::new(transport), ids))
    }

    /// For each VM, its recovery checkpoints, its other checkpoints and its reference points.
    pub(crate) fn left(&self) -> Vec<(String, usize, usize, usize)> {
        self.left_on(self.port)
    }

    /// The same for one of several nodes.
    pub(crate) fn left_on(&self, port: u16) -> Vec<(String, usize, usize, usize)> {
        let inventory = self.inventory_of(port);
        let of = |machine: &inventory::Machine| {
            let all = machine.checkpoints.iter();
            let ours = all.filter(|c| c.kind == CheckpointKind::Recovery).count();
            (
                machine.name().to_owned(),
                ours,
                machine.checkpoints.len() - ours,
                machine.reference_points.len(),
            )
        };
        inventory.machines.iter().map(of).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As a slice of texts, for the bench.
pub(crate) fn texts(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}
