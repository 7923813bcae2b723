//! `vms`.

use std::collections::HashMap;

use engine::{Finding, Outcome};
use hyperv::inventory::{self, Host, Inventory, Machine};
use hyperv::plan::{NoPlan, Plan, Policy, plan};
use hyperv::preflight::{self, Level, Mode};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::args::{Global, VmsArgs};
use crate::commands::findings::findings_text;
use crate::failure::{Exit, Result};
use crate::host::{self, HostAddress};
use crate::table::Table;
use crate::ui::{Document, Ui};
use crate::{open, text};

/// Lists the VMs of a host.
pub(crate) fn run(global: &Global, args: &VmsArgs, ui: Ui) -> Result<Exit> {
    let (address, reach) = host::find(&args.host, &args.reach)?;
    let last = last_points(global, ui)?;
    let session = host::session(&address, &reach)?;
    let inventory = inventory::take(session.as_ref());
    let inventory = inventory.map_err(|error| host::failure(&address, &error))?;
    ui.print(&VmsDocument::new(&address, &inventory, &last))
}

/// The newest restore point of each VM, if a vault was named.
fn last_points(global: &Global, ui: Ui) -> Result<HashMap<Uuid, u64>> {
    let mut last = HashMap::new();
    if global.vault.is_none() {
        return Ok(last);
    }
    let vault = open::vault(global, ui)?;
    let location = open::location(global)?;
    let listed =
        engine::list::points(&vault).map_err(|error| open::vault_failure(error, location))?;
    for point in &listed.points {
        let newest = last.entry(point.vm_id).or_insert(point.taken);
        *newest = (*newest).max(point.taken);
    }
    Ok(last)
}

#[derive(Serialize)]
struct VmsDocument {
    host: String,
    vms: Vec<Vm>,
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Vm {
    id: String,
    name: String,
    state: String,
    /// What a backup of it would be; nothing when there would be none.
    consistency: Option<Level>,
    because: Vec<String>,
    mode: Option<Mode>,
    reason: String,
    findings: Vec<VmFinding>,
    last_point: Option<String>,
}

#[derive(Serialize)]
struct VmFinding {
    finding: String,
    weight: preflight::Weight,
    message: String,
    hint: Option<&'static str>,
}

impl VmsDocument {
    fn new(address: &HostAddress, inventory: &Inventory, last: &HashMap<Uuid, u64>) -> Self {
        let machines = inventory.machines.iter();
        let vms = machines.map(|machine| Vm::new(machine, &inventory.host, last));
        let host = inventory.host.name.clone();
        let object = host.unwrap_or_else(|| address.to_string());
        let note = |text: String| Finding::note(engine::Code::HostNote, object.clone(), text);
        Self {
            host: address.to_string(),
            vms: vms.collect(),
            findings: inventory
                .findings
                .iter()
                .map(|finding| note(finding.to_string()))
                .collect(),
        }
    }
}

impl Vm {
    fn new(machine: &Machine, host: &Host, last: &HashMap<Uuid, u64>) -> Self {
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
            consistency,
            because: predicted.because.iter().map(ToString::to_string).collect(),
            mode,
            reason,
            findings: findings.iter().map(VmFinding::new).collect(),
            last_point: last.get(&machine.id).and_then(|time| text::rfc3339(*time)),
        }
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
fn word(value: &impl Serialize, tag: &str) -> String {
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
        Outcome::Ok
    }

    fn human(&self) -> String {
        let mut table = Table::new(&["NAME", "STATE", "CONSISTENCY", "MODE", "LAST POINT", "WHY"]);
        for vm in &self.vms {
            let consistency = vm.consistency.map(|level| word(&level, ""));
            let mode = vm.mode.map(|mode| word(&mode, ""));
            table.row([
                vm.name.as_str(),
                &vm.state,
                consistency.as_deref().unwrap_or("-"),
                mode.as_deref().unwrap_or("-"),
                vm.last_point.as_deref().unwrap_or("-"),
                &vm.reason,
            ]);
        }
        let mut out = table.render();
        for vm in &self.vms {
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
        out.push_str(&findings_text(&self.findings, 0));
        out
    }
}
