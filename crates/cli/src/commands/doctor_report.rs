//! What `doctor` tells of a host, and of all nodes of a cluster together.

use std::fmt::Write as _;

use engine::finding::outcome_of;
use engine::source::hyperv::inventory_findings;
use engine::{Finding, Outcome};
use hyperv::doctor::{self, ConditionReport, Reach, WayReport};
use hyperv::inventory::{CheckpointKind, Inventory, Os};
use hyperv::tracking::Token;
use serde::Serialize;
use vault::Vault;

use crate::commands::findings::findings_text;
use crate::host::HostAddress;
use crate::table::Table;
use crate::text;
use crate::ui::Document;

/// The document.
#[derive(Serialize)]
pub(super) struct DoctorDocument {
    program: &'static str,
    /// Of a cluster, what there is on all nodes.
    #[serde(flatten)]
    all: Report,
    /// Of a cluster, each node that could be looked at by itself.
    nodes: Option<Vec<Report>>,
    /// How many findings come first that are about no node that could be looked at.
    #[serde(skip)]
    own: usize,
}

/// A host.
#[derive(Serialize)]
pub(super) struct Report {
    host: String,
    name: Option<String>,
    system: Option<Os>,
    cluster: Option<String>,
    vms: usize,
    ways: Vec<WayReport>,
    conditions: Vec<ConditionReport>,
    /// Nothing where nobody said how files are reached.
    pub(super) folders: Option<Vec<Reach>>,
    /// Checkpoints and reference points of backups and unfinished imports, whoever's they are.
    there: Vec<There>,
    /// What was put right, or could not be; nothing without a vault.
    put_right: Option<Vec<Finding>>,
    pub(super) findings: Vec<Finding>,
}

/// Something that a backup or an import has not taken away.
#[derive(Clone, Serialize)]
struct There {
    kind: &'static str,
    vm: String,
    name: String,
    id: String,
    /// Of a reference point: what it is to the vault that was named.
    vault: Option<Remembered>,
}

/// What a reference point is to a vault.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Remembered {
    /// The next backup into it asks by this one.
    Asks,
    /// An older restore point of it has it: the installation that made it removes it with its next
    /// backup of the VM that this host has a part in.
    Older,
    /// None of its newest restore points has it: another vault's, another program's, or forgotten.
    No,
    /// The vault's restore points of this VM cannot be read.
    Unknown,
}

impl Remembered {
    fn text(self) -> &'static str {
        match self {
            Self::Asks => "the next backup into this vault asks by it",
            Self::Older => {
                "of an older restore point; its installation's next backup of the VM with this host removes it"
            }
            Self::No => "none of this vault's newest restore points has it",
            Self::Unknown => "this vault's restore points of the VM cannot be read",
        }
    }
}

/// What a host keeps for whoever asks by it later: what changed is tracked as long as one is there.
fn reference_points(inventory: &Inventory, vault: Option<&Vault>) -> Vec<There> {
    let mut there = Vec::new();
    for machine in &inventory.machines {
        if machine.reference_points.is_empty() {
            continue;
        }
        let tokens = vault.map(|vault| engine::backup::tokens(vault, machine.id));
        let of = |id: &str| {
            let Ok(tokens) = tokens.as_ref()? else {
                return Some(Remembered::Unknown);
            };
            let same = |token: &Option<Vec<u8>>| {
                let token: Option<Token> = serde_json::from_slice(token.as_deref()?).ok();
                let point = token?.reference_point?;
                point.eq_ignore_ascii_case(id).then_some(())
            };
            Some(
                match tokens.iter().position(|token| same(token).is_some()) {
                    Some(0) => Remembered::Asks,
                    Some(_) => Remembered::Older,
                    None => Remembered::No,
                },
            )
        };
        there.extend(machine.reference_points.iter().map(|point| There {
            kind: match point.kind {
                Some(OF_REPLICATION) => "reference-point-of-replication",
                _ => "reference-point",
            },
            vm: machine.name().to_owned(),
            name: point.instance_id.clone(),
            id: point.instance_id.clone(),
            vault: of(&point.instance_id),
        }));
    }
    there
}

/// The type of reference points that Hyper-V Replica makes for itself.
const OF_REPLICATION: u16 = 1;

impl Report {
    pub(super) fn new(
        address: &HostAddress,
        inventory: &Inventory,
        vault: Option<&Vault>,
        put_right: Option<Vec<Finding>>,
    ) -> Self {
        let object = inventory.host.name.clone();
        let object = object.unwrap_or_else(|| address.to_string());
        let mut there = there(inventory);
        there.extend(reference_points(inventory, vault));
        Self {
            host: address.to_string(),
            name: inventory.host.name.clone(),
            system: inventory.host.os.clone(),
            cluster: inventory.host.cluster.clone(),
            vms: inventory.machines.len(),
            ways: doctor::ways(inventory),
            conditions: doctor::conditions(inventory),
            folders: None,
            there,
            put_right,
            findings: inventory_findings(&inventory.findings, Some(&object)),
        }
    }

    /// What there is on several hosts together. `findings` are about others.
    fn of_all(host: String, cluster: &str, nodes: &[Self], findings: Vec<Finding>) -> Self {
        let mut all = Self {
            host,
            name: None,
            system: None,
            cluster: Some(cluster.to_owned()),
            vms: 0,
            ways: Vec::new(),
            conditions: Vec::new(),
            folders: None,
            there: Vec::new(),
            put_right: None,
            findings,
        };
        for node in nodes {
            all.vms += node.vms;
            for way in &node.ways {
                match all.ways.iter_mut().find(|known| known.way == way.way) {
                    Some(known) => {
                        known.possible += way.possible;
                        known.of += way.of;
                        known.obstacles.extend_from_slice(&way.obstacles);
                    }
                    None => all.ways.push(way.clone()),
                }
            }
            for told in &node.conditions {
                let mut known = all.conditions.iter_mut();
                match known.find(|known| known.condition == told.condition) {
                    Some(known) => {
                        known.met += told.met;
                        known.not.extend_from_slice(&told.not);
                        known.unknown.extend_from_slice(&told.unknown);
                    }
                    None => all.conditions.push(told.clone()),
                }
            }
            if let Some(folders) = &node.folders {
                all.folders
                    .get_or_insert_default()
                    .extend_from_slice(folders);
            }
            all.there.extend_from_slice(&node.there);
            if let Some(done) = &node.put_right {
                all.put_right
                    .get_or_insert_default()
                    .extend_from_slice(done);
            }
            all.findings.extend_from_slice(&node.findings);
        }
        all
    }

    fn outcome(&self) -> Outcome {
        let problem = |reach: &Reach| reach.problem.is_some();
        let unreached = self.folders.iter().flatten().any(problem);
        let of_folders = match unreached {
            true => Outcome::Warning,
            false => Outcome::Ok,
        };
        let put_right = self.put_right.as_deref().unwrap_or_default();
        Outcome::worst([
            of_folders,
            outcome_of(put_right),
            outcome_of(&self.findings),
        ])
    }

    fn text(&self) -> String {
        let mut out = String::new();
        let system = self.system.as_ref();
        let told = |value: Option<&String>| value.map_or("not told", String::as_str).to_owned();
        for (what, value) in [
            ("Host", told(self.name.as_ref())),
            ("System", told(system.and_then(|os| os.caption.as_ref()))),
            ("Version", told(system.and_then(|os| os.version.as_ref()))),
            (
                "Cluster",
                self.cluster.clone().unwrap_or_else(|| "none".into()),
            ),
            ("VMs", self.vms.to_string()),
        ] {
            let _ = writeln!(out, "{what:<8} {}", text::line(&value));
        }
        out.push('\n');
        out.push_str(&self.ways_text());
        out.push_str(&self.conditions_text());
        out.push_str(&self.folders_text());
        out.push_str(&self.there_text());
        match &self.put_right {
            None => out.push_str(
                "\nWhat an earlier run left behind is put right with the vault that it wrote into: --vault\n",
            ),
            Some(found) if found.is_empty() => {
                out.push_str("\nNothing of ours was left behind by an earlier run.\n");
            }
            Some(found) => {
                out.push_str("\nOf earlier runs:\n");
                out.push_str(&findings_text(found, 2));
            }
        }
        out.push_str(&findings_text(&self.findings, 0));
        out
    }
}

impl DoctorDocument {
    pub(super) fn of_host(report: Report) -> Self {
        Self {
            program: env!("CARGO_PKG_VERSION"),
            all: report,
            nodes: None,
            own: 0,
        }
    }

    /// `findings` are about what could not be looked at.
    pub(super) fn of_cluster(
        (address, cluster): (&HostAddress, &str),
        nodes: Vec<Report>,
        findings: Vec<Finding>,
    ) -> Self {
        let own = findings.len();
        let all = Report::of_all(address.to_string(), cluster, &nodes, findings);
        Self {
            nodes: Some(nodes),
            own,
            ..Self::of_host(all)
        }
    }
}

impl Document for DoctorDocument {
    const KIND: &'static str = "doctor";

    fn outcome(&self) -> Outcome {
        self.all.outcome()
    }

    fn human(&self) -> String {
        let Some(nodes) = &self.nodes else {
            return self.all.text();
        };
        let texts: Vec<String> = nodes.iter().map(Report::text).collect();
        let own = self.all.findings.get(..self.own).unwrap_or_default();
        let rest = findings_text(own, 0);
        let line = "\n----\n\n";
        match rest.is_empty() {
            true => texts.join(line),
            false => format!("{}{line}{rest}", texts.join(line)),
        }
    }
}

fn there(inventory: &Inventory) -> Vec<There> {
    let mut there = Vec::new();
    for machine in &inventory.machines {
        let all = machine.checkpoints.iter();
        let recovery = all.filter(|c| c.kind == CheckpointKind::Recovery);
        there.extend(recovery.map(|checkpoint| There {
            kind: "recovery-checkpoint",
            vm: machine.name().to_owned(),
            name: checkpoint.settings.config.name.clone(),
            id: checkpoint.settings.instance_id.clone(),
            vault: None,
        }));
    }
    there.extend(inventory.planned.iter().map(|planned| There {
        kind: "unfinished-import",
        vm: planned.name.clone(),
        name: planned.name.clone(),
        id: planned.instance_id.clone(),
        vault: None,
    }));
    there
}

impl Report {
    fn ways_text(&self) -> String {
        let mut table = Table::new(&["WAY", ">VMS", "WHY NOT FOR THE OTHERS"]);
        let mut hints = String::new();
        for way in &self.ways {
            let count = format!("{} of {}", way.possible, way.of);
            let mut first = [way.way.to_string(), count];
            for obstacle in &way.obstacles {
                let others = match obstacle.vms {
                    1 => String::new(),
                    vms => format!(" and {} more", vms - 1),
                };
                let why = format!("{}{others}: {}", obstacle.example, obstacle.why);
                let [name, count] = std::mem::take(&mut first);
                table.row([name, count, why]);
                if let Some(hint) = &obstacle.hint {
                    let line = format!("hint: {}: {hint}\n", obstacle.example);
                    if !hints.contains(&line) {
                        hints.push_str(&line);
                    }
                }
            }
            if way.obstacles.is_empty() {
                let [name, count] = first;
                table.row([name, count, String::new()]);
            }
        }
        table.render() + &hints
    }

    /// The conditions that are not met by all.
    fn conditions_text(&self) -> String {
        let mut table = Table::new(&["CONDITION", ">MET", "NOT MET BY", "CANNOT BE TOLD OF"]);
        let some = |names: &[String]| match names {
            [] => "-".to_owned(),
            [one] => one.clone(),
            [one, more @ ..] => format!("{one} and {} more", more.len()),
        };
        for report in &self.conditions {
            table.row([
                report.says.clone(),
                format!("{} of {}", report.met, self.vms),
                some(&report.not),
                some(&report.unknown),
            ]);
        }
        match self.conditions.is_empty() {
            true => String::new(),
            false => format!(
                "\nFor a backup in which guests take part:\n{}",
                table.render()
            ),
        }
    }

    fn folders_text(&self) -> String {
        let Some(folders) = &self.folders else {
            return "\nThe VMs' files were not looked at: --smb and --map say where they are found.\n"
                .to_owned();
        };
        let mut table = Table::new(&["FOLDER", "FILES"]);
        for reach in folders {
            let found = match (&reach.problem, &reach.hint) {
                (None, _) => "can be read".to_owned(),
                (Some(problem), Some(hint)) => format!("{problem}; {hint}"),
                (Some(problem), None) => problem.clone(),
            };
            table.row([&reach.folder, &found]);
        }
        format!("\n{}", table.render())
    }

    fn there_text(&self) -> String {
        if self.there.is_empty() {
            return "\nNo backup and no import has left anything on the host.\n".to_owned();
        }
        let mut table = Table::new(&["WHAT IS THERE", "VM", "NAME", "OF THIS VAULT"]);
        for there in &self.there {
            let vault = there.vault.map_or("-", Remembered::text);
            table.row([there.kind, &there.vm, &there.name, vault]);
        }
        format!("\n{}", table.render())
    }
}
