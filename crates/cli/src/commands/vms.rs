//! `vms`.

use engine::finding::outcome_of;
use engine::select::{Disks, Selection};
use engine::source::hyperv::vm_ref;
use engine::{Finding, Outcome};
use hyperv::inventory::{self, Host, Machine, Medium, PowerState};
use hyperv::plan::{NoPlan, Plan, Policy, plan};
use hyperv::preflight::{self, Condition, Level, Met, Mode};
use serde::Serialize;
use serde_json::Value;

use crate::args::{Global, VmsArgs};
use crate::commands::findings::findings_text;
use crate::commands::last::{Last, LastPoint, last_points};
use crate::commands::{source, survey};
use crate::failure::{Exit, Failure, Result};
use crate::host::{self, Description, Meant};
use crate::table::Table;
use crate::ui::{Document, Ui};
use crate::{open, text};

/// Lists the VMs of a host.
pub(crate) fn run(global: &Global, args: &VmsArgs, ui: Ui) -> Result<Exit> {
    let (address, reach) = host::find(&args.host, &args.reach)?;
    let selection = source::selection(args.selection.0.iter().cloned())?;
    let last = match global.vault {
        Some(_) => last_points(&open::vault(global, ui)?, open::location(global)?)?,
        None => Last::default(),
    };
    let account = host::credentials(&address, &reach)?;
    let session = host::session_as(account.clone(), &address, &reach)?;
    let meant = (args.host.as_str(), args.cluster.cluster, &args.reach);
    let meant = Meant::find(meant, (&address, &reach), &account, &session)?;
    let failed = |error| host::failure(&address, &error);
    let mut document = VmsDocument {
        host: address.to_string(),
        all_conditions: args.conditions,
        ..VmsDocument::default()
    };
    match meant {
        Meant::Host | Meant::Node(..) | Meant::Unknown(_) => {
            let mut inventory = inventory::take(session.as_ref()).map_err(failed)?;
            if let Some(path) = &args.describe {
                let description = Description::of(document.host.clone(), inventory.clone());
                description.write(path)?;
                document.description = Some(path.display().to_string());
            }
            last.note(&mut inventory);
            let machines = inventory.machines.iter();
            let machines = machines.map(|machine| (machine, &inventory.host));
            document.add(machines, &last, &selection);
            document.findings = survey::of_host(&inventory, &document.host);
            document.findings.extend(meant.beside(&address, "listed"));
        }
        Meant::All(_) if args.describe.is_some() => {
            return Err(Failure::usage(format!("{address}: is a whole cluster"))
                .hint("name one of its nodes: a VM is restored to one"));
        }
        Meant::All(nodes) => {
            let mut told = nodes.cluster.survey().map_err(failed)?;
            for node in &mut told.nodes {
                if let Ok(inventory) = &mut node.inventory {
                    last.note(inventory);
                }
            }
            document.cluster = Some(told.cluster.clone());
            document.add(survey::machines(&told).into_iter(), &last, &selection);
            document.findings = survey::findings(&told);
        }
    }
    document.findings.extend(last.findings);
    ui.print(&document)
}

#[derive(Default, Serialize)]
struct VmsDocument {
    host: String,
    /// The cluster whose nodes they are on.
    cluster: Option<String>,
    vms: Vec<Vm>,
    /// The file that describes the host.
    description: Option<String>,
    findings: Vec<Finding>,
    /// Whether each condition of each VM is to be shown, and not only those that are not met.
    #[serde(skip)]
    all_conditions: bool,
}

#[derive(Serialize)]
struct Vm {
    id: String,
    name: String,
    state: String,
    /// The node that has it, as its cluster says.
    owner: Option<String>,
    /// What a backup of it would be; nothing when there would be none.
    consistency: Option<Level>,
    because: Vec<String>,
    mode: Option<Mode>,
    reason: String,
    /// The conditions of a backup in which its guest takes part.
    conditions: Vec<VmCondition>,
    findings: Vec<VmFinding>,
    last_point: Option<String>,
    disks: Vec<Disk>,
    last_outcome: Option<Outcome>,
    last_whole: Option<String>,
    #[serde(skip)]
    runs: bool,
    #[serde(skip)]
    last: Option<LastPoint>,
}

#[derive(Serialize)]
struct Disk {
    slot: String,
    path: String,
    /// By its place and this path. An excluded pattern may name an older one of its files.
    excluded: bool,
}

#[derive(Serialize)]
struct VmCondition {
    condition: Condition,
    says: String,
    met: Met,
}

#[derive(Serialize)]
struct VmFinding {
    finding: String,
    weight: preflight::Weight,
    message: String,
    hint: Option<&'static str>,
}

impl VmsDocument {
    fn add<'m>(
        &mut self,
        machines: impl Iterator<Item = (&'m Machine, &'m Host)>,
        last: &Last,
        selection: &Selection,
    ) {
        for (machine, host) in machines {
            let vm = vm_ref(machine);
            if selection.matches(&vm) {
                let disks = selection.disks(&vm);
                self.vms.push(Vm::new(machine, host, last, &disks));
            }
        }
    }
}

impl Vm {
    fn new(machine: &Machine, host: &Host, last: &Last, disks: &Disks) -> Self {
        let last = last.of(machine.id);
        let disk = |medium: &Medium| {
            let slot = medium.location.to_string();
            let takes = disks.takes([slot.as_str(), &medium.path], false);
            Disk {
                excluded: takes == Some(false),
                path: medium.path.clone(),
                slot,
            }
        };
        let checked = preflight::check(machine, host);
        let planned = plan(machine, host, &Policy::default());
        let predicted = &checked.consistency;
        let (consistency, mode, reason) = match &planned {
            Ok(Plan {
                expected,
                mode,
                reason,
                ..
            }) => (Some(*expected), Some(*mode), reason.clone()),
            Err(no) => (None, None, no_plan(no)),
        };
        let findings = planned.as_ref().map_or(&checked.findings, |p| &p.findings);
        Self {
            id: machine.id.to_string(),
            name: machine.name().to_owned(),
            state: word(&machine.state, "state"),
            owner: machine.cluster.as_ref().and_then(|role| role.owner.clone()),
            consistency,
            because: predicted.because.iter().map(ToString::to_string).collect(),
            mode,
            reason,
            conditions: preflight::conditions(machine)
                .into_iter()
                .map(|(condition, met)| VmCondition {
                    condition,
                    says: condition.to_string(),
                    met,
                })
                .collect(),
            findings: findings.iter().map(VmFinding::new).collect(),
            disks: machine.settings.media.iter().map(disk).collect(),
            last_point: last.and_then(|last| text::rfc3339(last.taken)),
            last_outcome: last.map(|last| last.outcome),
            last_whole: last.and_then(|last| text::rfc3339(last.whole?)),
            runs: !matches!(machine.state, PowerState::Off | PowerState::Saved),
            last,
        }
    }

    /// The conditions that are not met while it runs, and those of which the host does not tell.
    fn conditions_text(&self) -> String {
        let named = |of: Met| {
            let all = self.conditions.iter().filter(|c| c.met == of);
            let names: Vec<String> = all.map(|c| word(&c.condition, "")).collect();
            (!names.is_empty()).then(|| names.join(", "))
        };
        let Some(not) = named(Met::No).filter(|_| self.runs) else {
            return String::new();
        };
        let unknown = named(Met::Unknown).map(|names| format!("; cannot be told: {names}"));
        let name = text::line(&self.name);
        format!(
            "{name}: conditions of an online backup that are not met: {not}{}\n",
            unknown.unwrap_or_default()
        )
    }
}

fn no_plan(no: &NoPlan) -> String {
    no.to_string()
}

impl VmFinding {
    fn new(finding: &preflight::Finding) -> Self {
        Self {
            finding: word(finding, "finding"),
            weight: finding.weight(),
            message: finding.to_string(),
            hint: finding.hint(),
        }
    }
}

/// The name under which a value is stored: itself, or the member that tells its kind.
pub(super) fn word(value: &impl Serialize, tag: &str) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(Value::Object(members)) => match members.get(tag) {
            Some(Value::String(word)) => word.clone(),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

impl Document for VmsDocument {
    const KIND: &'static str = "vms";

    fn outcome(&self) -> Outcome {
        outcome_of(&self.findings)
    }

    fn human(&self) -> String {
        let owned = self.vms.iter().any(|vm| vm.owner.is_some());
        let mut heads = vec!["NAME", "STATE", "CONSISTENCY", "MODE", "LAST POINT", "WHY"];
        if owned {
            heads.insert(1, "OWNER");
        }
        let mut table = Table::new(&heads);
        for vm in &self.vms {
            let consistency = vm.consistency.map(|level| word(&level, ""));
            let mode = vm.mode.map(|mode| word(&mode, ""));
            let last = vm.last.map(LastPoint::text);
            let mut cells = vec![
                vm.name.as_str(),
                &vm.state,
                consistency.as_deref().unwrap_or("-"),
                mode.as_deref().unwrap_or("-"),
                last.as_deref().unwrap_or("-"),
                &vm.reason,
            ];
            if owned {
                cells.insert(1, vm.owner.as_deref().unwrap_or("-"));
            }
            table.row(cells);
        }
        let mut out = table.render();
        if self.all_conditions {
            let mut table = Table::new(&["VM", "CONDITION", "MET", "WHAT IT SAYS"]);
            for vm in &self.vms {
                for condition in &vm.conditions {
                    let (name, met) = (word(&condition.condition, ""), word(&condition.met, ""));
                    table.row([&vm.name, &name, &met, &condition.says]);
                }
            }
            out.push_str(&format!("\n{}\n", table.render()));
        }
        for vm in &self.vms {
            if !self.all_conditions {
                out.push_str(&vm.conditions_text());
            }
            for disk in vm.disks.iter().filter(|disk| disk.excluded) {
                let what = format!("{} ({})", disk.slot, disk.path);
                out.push_str(&format!(
                    "{}: without {}\n",
                    text::line(&vm.name),
                    text::line(&what)
                ));
            }
            for finding in &vm.findings {
                out.push_str(&format!(
                    "{}: {}\n",
                    text::line(&vm.name),
                    text::line(&finding.message)
                ));
                if let Some(hint) = finding.hint {
                    out.push_str(&format!("  hint: {hint}\n"));
                }
            }
        }
        if let Some(path) = &self.description {
            out.push_str(&format!("described in {}\n", text::line(path)));
        }
        out.push_str(&findings_text(&self.findings, 0));
        out
    }
}
