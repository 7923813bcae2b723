//! A host whose backups are killed: what is backed up how, what its guest wrote, and whether the next
//! run puts all of it right.
//!
//! Nobody waits here for the minutes in which a host may still begin what it was asked for: before the
//! next run ten minutes pass on the host, and the journal is dated back by as much.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use hyperv::inventory::CheckpointKind;
use hyperv::journal::{Call, Entry, Journal};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bench::{Answer, Bench, files_below, vm};
use crate::host::{SIZE, disk, raw};
use crate::lab::{Lab, scenario, texts};
use crate::orders::Orders;
use crate::start::Start as _;

/// Seconds between a run that is killed and the next one.
pub(crate) const LATER: u32 = 600;
const PAGE: usize = 4096;

/// Each request.
pub(crate) const ANY: &str = "any";

/// A way of backing up.
#[derive(Clone, Copy)]
pub(crate) struct Flow {
    /// What the command line says of it.
    args: &'static [&'static str],
    /// The method by which what the VM was held by ends, or goes. Before it the guest writes.
    pub(crate) ends: &'static str,
    /// Whether a run before it has made a reference point to go on from.
    goes_on: bool,
    /// Whether there is none before the one that is killed, each time.
    pub(crate) first: bool,
    /// How many reference points there may be after each run.
    points: &'static [usize],
    /// Whether the VM is a copy of another host's.
    copy: bool,
    /// Whether it takes in the checkpoints of the VM's user.
    tree: bool,
    /// Whether checkpoints have our name as soon as they are there.
    names: bool,
    /// Which of the fates the first change has in an ordinary run; the others follow.
    pub(crate) fate: usize,
}

pub(crate) const CBT: Flow = Flow {
    args: &[],
    ends: "ConvertToReferencePoint",
    goes_on: true,
    first: false,
    points: &[1],
    copy: false,
    tree: false,
    names: true,
    fate: 1,
};
pub(crate) const FIRST: Flow = Flow {
    goes_on: false,
    first: true,
    names: false,
    fate: 0,
    ..CBT
};
pub(crate) const STANDARD: Flow = Flow {
    args: &["--mode", "standard"],
    ends: "DestroySnapshot",
    goes_on: false,
    points: &[0],
    names: false,
    fate: 2,
    ..CBT
};
pub(crate) const TREE: Flow = Flow {
    args: &["--mode", "all-checkpoints"],
    tree: true,
    fate: 2,
    ..CBT
};
pub(crate) const MEMORY: Flow = Flow {
    args: &["--memory", "--staging", "D:\\Staging"],
    ends: "DeleteEx",
    // It makes none. That of the run before it goes when a kill parts a restore point from what it
    // would have told to the next run.
    points: &[0, 1],
    ..CBT
};
pub(crate) const REPLICA: Flow = Flow {
    args: &["--suspend-replication"],
    copy: true,
    ..CBT
};

/// A request at which the program is killed.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// How the lab knows it.
    pub(crate) on: String,
    pub(crate) skip: usize,
    pub(crate) fate: &'static str,
}

/// A host with a VM, and what its guest has written.
pub(crate) struct Stage {
    pub(crate) bench: Bench,
    pub(crate) lab: Lab,
    pub(crate) orders: Orders,
    flow: Flow,
    guest: Vec<u8>,
    writes: u32,
    /// What the checkpoint of somebody else holds.
    theirs: Vec<u8>,
    /// All files of the host, when nothing is under way.
    files: Vec<PathBuf>,
}

/// What a guest of the lab writes that is told this number.
fn content(seed: u32, length: usize) -> Vec<u8> {
    let mut state = u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let byte = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(byte).collect()
}

impl Stage {
    pub(crate) fn new(flow: Flow) -> Self {
        Self::of(flow, SIZE)
    }

    /// With a disk of this size. The VM has a checkpoint of its user; another program has its own
    /// one of another VM.
    pub(crate) fn of(flow: Flow, size: usize) -> Self {
        let bench = Bench::new();
        let disk = |vm: &str| json!([{"path": format!("D:\\VMs\\{vm}\\a.vhdx"), "size": size}]);
        let mut web = json!({
            "name": "web", "memory": 32, "disks": disk("web"),
            "guest": {"name": "Windows Server 2022", "version": "10.0.20348", "platform": 2},
            "checkpoints": [{"name": "theirs", "writes": [{"length": 65536, "seed": 1}]}],
        });
        let mut guest = vec![0; size];
        guest[..65536].copy_from_slice(&content(1, 65536));
        if flow.copy {
            web["state"] = json!("off");
            web["replication"] = json!({"mode": 2, "state": 3, "health": 1, "interval": 0,
                                        "delta-ms": 1, "delta-bytes": 4096});
        }
        let db = json!({"name": "db", "disks": disk("db"),
                        "checkpoints": [{"name": "theirs", "kind": "recovery"}]});
        let rules = json!({"rules": {"checkpoint-ms": 1, "destroy-ms": 1, "merge-ms": 1,
                                     "export-ms": 1, "state-ms": 1, "names-at-once": flow.names}});
        let (lab, orders) = Lab::that_obeys(&bench, &scenario(json!([db, web]), rules));
        fs::create_dir(lab.file("Staging")).unwrap();
        let mut stage = Self {
            bench,
            lab,
            orders,
            flow,
            theirs: guest.clone(),
            guest,
            writes: 1,
            files: Vec::new(),
        };
        if flow.goes_on {
            let first = Flow { args: &[], ..flow };
            stage.backs_up(first).ends(0);
        }
        stage.files = stage.files_there();
        stage
    }

    fn args(&self, flow: Flow) -> Vec<String> {
        self.lab.backup(&[flow.args, &["--vm", "web"]].concat())
    }

    fn backs_up(&self, flow: Flow) -> Answer {
        self.bench.run(&texts(&self.args(flow)))
    }

    pub(crate) fn starts(&self) -> Child {
        let mut command = self.bench.command(&texts(&self.args(self.flow)));
        command.stdout(Stdio::null()).stderr(Stdio::null()).start()
    }

    /// All files of the host.
    fn files_there(&self) -> Vec<PathBuf> {
        files_below(&self.lab.file(""))
    }

    /// The guest writes something that it never wrote before, or what its primary sends arrives.
    fn change(&mut self) -> Value {
        match self.flow.copy {
            true => json!({"receives-delta": "web"}),
            false => self.write((self.writes as usize * 7 % 200) * PAGE, PAGE),
        }
    }

    pub(crate) fn write(&mut self, offset: usize, length: usize) -> Value {
        self.writes += 1;
        let seed = self.writes;
        self.guest[offset..offset + length].copy_from_slice(&content(seed, length));
        json!({"writes": {"vm": "web",
                          "what": {"offset": offset, "length": length, "seed": seed}}})
    }

    /// What a backup asks its host for when nothing gets in its way.
    pub(crate) fn trace(&mut self) -> Vec<String> {
        let change = self.change();
        self.orders
            .give(&json!({"on": ANY, "times": 100_000, "does": "told"}));
        self.orders.give(&json!({"on": ANY, "before": [change]}));
        self.backs_up(self.flow).ends(0);
        let said = self.orders.forget();
        let asked = said.iter().map(|line| line.strip_prefix("told HV01 "));
        asked.map(|asked| asked.unwrap().to_owned()).collect()
    }

    /// Changes something, starts a backup and kills it at a step. Whether it came so far.
    pub(crate) fn kill(&mut self, step: &Step) -> bool {
        let Step { on, skip, fate } = step;
        self.orders
            .give(&json!({"on": on, "skip": skip, "does": {"held": fate}}));
        let change = self.change();
        self.orders.give(&json!({"on": ANY, "before": [change]}));
        let mut child = self.starts();
        let held = self.orders.kill_when_held(&mut child);
        self.orders.forget();
        self.later();
        held
    }

    /// Lets time pass until the next run, whose first request finds the host so much later. Its clock
    /// goes on; ours cannot, so that what was written by it is dated back.
    pub(crate) fn later(&mut self) {
        self.orders
            .give(&json!({"on": ANY, "before": [{"time-passes-s": LATER}]}));
        for path in files_below(&self.bench.path("state/hosts")) {
            if path.extension().is_some_and(|ending| ending == "journal") {
                date_back(&path);
            }
        }
    }

    /// Recovery checkpoints of the VM, and whether anything of ours is in the staging folder.
    pub(crate) fn held_now(&self) -> usize {
        let recovery = self.lab.left()[1].1;
        recovery + fs::read_dir(self.lab.file("Staging")).unwrap().count()
    }

    /// The next backup puts the host right and is as good as any. What it has put right.
    pub(crate) fn next(&mut self, what: &str) -> usize {
        // Once the time has passed, what was left there is what the next run finds.
        let left = self.held_now();
        let change = self.change();
        self.orders.give(&json!({"on": ANY, "before": [change]}));
        let frozen = self.guest.clone();
        if !self.flow.copy {
            // While the VM holds still, or when it was exported. What ends that has ended what was left
            // before, unless it makes something of it.
            let skip = if self.flow.ends == CBT.ends { 0 } else { left };
            let change = self.change();
            self.orders
                .give(&json!({"on": self.flow.ends, "skip": skip, "before": [change]}));
        }
        let answer = self.backs_up(self.flow);
        assert_eq!(answer.code, 0, "{what}: {answer:#?}");
        let report = answer.json();
        self.is_right(what);

        let now = self.disk_now();
        let point = vm(&report, "web")["point"].as_str().unwrap();
        let flat = ["--flatten", "--format", "raw"];
        let restored = raw(&self.bench.restore(point, &flat));
        match self.flow.copy {
            // Nothing arrived since.
            true => assert!(restored == now, "{what}"),
            false => {
                assert!(restored == frozen, "{what}: it is not what was there");
                assert!(now == self.guest, "{what}: the host's disk is another");
            }
        }
        if self.flow.tree {
            let theirs = [&flat[..], &["--checkpoint", "theirs"]].concat();
            let restored = raw(&self.bench.restore(point, &theirs));
            assert!(restored == self.theirs, "{what}: their checkpoint");
        }
        let found = report["findings"].as_array().unwrap();
        found.iter().filter(|f| f["code"] == "put-right").count()
    }

    /// What the VM's disk holds by the host's own files.
    fn disk_now(&self) -> Vec<u8> {
        let inventory = self.lab.inventory();
        let machine = inventory.machines.iter().find(|m| m.name() == "web");
        self.disk_at(&machine.unwrap().settings.media[0].path)
    }

    fn disk_at(&self, host: &str) -> Vec<u8> {
        let below = host["D:\\".len()..].replace('\\', "/");
        disk(&self.lab, &self.lab.file(&below))
    }

    /// Nothing of ours is there but what the next run goes on from; what others made is as it was.
    fn is_right(&self, what: &str) {
        let inventory = self.lab.inventory();
        let left = self.lab.left();
        let right = |points| {
            let right = [("db", 1, 0, 0), ("web", 0, 1, points)];
            left == right.map(|(name, a, b, c)| (name.to_owned(), a, b, c))
        };
        assert!(
            self.flow.points.iter().any(|p| right(*p)),
            "{what}: {left:?}"
        );
        for machine in &inventory.machines {
            let checkpoint = &machine.checkpoints[0];
            assert_eq!(checkpoint.settings.config.name, "theirs", "{what}");
            if checkpoint.kind != CheckpointKind::Recovery {
                let held = self.disk_at(&checkpoint.settings.media[0].path);
                assert!(held == self.theirs, "{what}: their checkpoint has changed");
            }
            let sides = &machine.replication.relationships;
            let replicated = self.flow.copy && machine.name() == "web";
            assert_eq!(sides.len(), usize::from(replicated), "{what}");
            for side in sides {
                assert_eq!(side.state, Some(3), "{what}: its replication stands still");
            }
        }
        assert_eq!(self.files_there(), self.files, "{what}");
        let journals = files_below(&self.bench.path("state/hosts"));
        let lock = |path: &PathBuf| path.file_name().is_some_and(|name| name == "lock");
        assert!(journals.iter().all(lock), "{what}: {journals:?}");
    }

    /// The vault is whole, and `doctor` finds nothing of ours.
    pub(crate) fn ends_well(&self) {
        self.bench.run(&["check", "--read-data"]).ends(0);
        let mut args = vec!["doctor".to_owned()];
        args.extend(self.lab.reach());
        let map = format!("D:\\={}", self.lab.file("").display());
        args.extend(["--map", &map, "--json"].map(str::to_owned));
        let seen = self.bench.run(&texts(&args)).ends(0).json();
        for told in seen["put_right"].as_array().unwrap() {
            assert_eq!(told["code"], "left-on-host", "{seen:#}");
        }
        for there in seen["there"].as_array().unwrap() {
            assert!(there["vm"] == "db" || there["vault"] == "asks", "{seen:#}");
        }
    }
}

/// Writes a journal as a run would have written it that began earlier.
pub(crate) fn date_back(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    fs::remove_file(path).unwrap();
    let run: Uuid = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let journal = Journal::create(path.parent().unwrap(), run).unwrap();
    for line in text.lines() {
        // A checksum comes before it.
        match serde_json::from_str(line.split_once(' ').unwrap().1).unwrap() {
            Entry::Host { name } => journal.host(&name).unwrap(),
            Entry::Begin { number, mut intent } => {
                let span = std::time::Duration::from_secs(LATER.into());
                intent.at -= span;
                // The call was made when it was, by the host's clock.
                if let Call::CreateCheckpoint { clock_ahead, .. } = &mut intent.call {
                    *clock_ahead = clock_ahead.map(|ahead| ahead + i64::from(LATER) * 1000);
                }
                assert_eq!(journal.begin(intent).unwrap(), number);
            }
            Entry::Job { number, path } => journal.job(number, &path).unwrap(),
            Entry::End { number, outcome } => journal.end(number, outcome).unwrap(),
            Entry::Release {
                vm,
                reference_point,
            } => journal.release(vm, &reference_point).unwrap(),
        }
    }
}
