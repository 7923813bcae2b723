//! The plan of a restore to a host, told.

use engine::finding::outcome_of;
use engine::restore::VmPlan;
use engine::restore::vm::{self, Plan, Weight};
use engine::{Finding, Outcome};
use serde::Serialize;

use crate::commands::findings::findings_text;
use crate::commands::vms::word;
use crate::table::Table;
use crate::text;
use crate::ui::Document;

/// What is told of a plan.
#[derive(Serialize)]
pub(super) struct PlanDocument {
    point: String,
    host: String,
    /// When the host told what the plan rests on; nothing when that is now.
    described: Option<String>,
    possible: bool,
    plan: Plan,
    told: Vec<Told>,
    findings: Vec<Finding>,
}

/// A finding of the plan, in words.
#[derive(Serialize)]
struct Told {
    finding: String,
    weight: Weight,
    message: String,
}

impl PlanDocument {
    pub(super) fn new(
        point: String,
        (host, described): (String, Option<String>),
        planned: &VmPlan,
    ) -> Self {
        let told = |finding: &vm::PlanFinding| Told {
            finding: word(finding, "finding"),
            weight: finding.weight(),
            message: finding.to_string(),
        };
        Self {
            point,
            host,
            described,
            possible: planned.plan.is_possible(),
            told: planned.plan.findings.iter().map(told).collect(),
            plan: planned.plan.clone(),
            findings: planned.findings.clone(),
        }
    }

    /// For people, without a word on what comes of it.
    pub(super) fn text(&self) -> String {
        let plan = &self.plan;
        let mut out = format!("{} on {}\n", text::line(&plan.name), text::line(&self.host));
        if let Some(taken) = &self.described {
            out.push_str(&format!("  as the host was at   {}\n", text::line(taken)));
        }
        let mut line = |what: &str, how: &str| {
            out.push_str(&format!("  {what:<20} {}\n", text::line(how)));
        };
        line("folder", &plan.folder);
        match plan.id {
            Some(id) => line("id", &id.to_string()),
            None => line("id", "a new one"),
        }
        match plan.replaces {
            Some(id) => line("takes the place of", &id.to_string()),
            None => line("takes the place of", "nothing"),
        }
        line("checkpoints", &plan.checkpoints.to_string());
        if plan.saved_state {
            line("saved memory", "goes with it");
        }
        if !plan.disks.is_empty() {
            let mut table = Table::new(&["DISK", ">AT MOST", "FILE"]).indent(2);
            for disk in &plan.disks {
                let (place, size) = (disk.location.to_string(), text::size(disk.bytes));
                table.row([place.as_str(), &size, &disk.to]);
            }
            out.push_str(&table.render());
        }
        if !plan.adapters.is_empty() {
            let mut table = Table::new(&["ADAPTER", "SWITCH", "VLAN", "ADDRESS"]).indent(2);
            for adapter in &plan.adapters {
                let switch = adapter.switch.as_ref().map(|(_, name)| name.as_str());
                let vlan = adapter.vlan.map(|vlan| vlan.to_string());
                table.row([
                    adapter.name.as_str(),
                    switch.unwrap_or("-"),
                    vlan.as_deref().unwrap_or("-"),
                    adapter.mac.as_deref().unwrap_or("a new one"),
                ]);
            }
            out.push_str(&table.render());
        }
        if !plan.steps.is_empty() {
            out.push_str("What is done, in this order:\n");
        }
        for (number, step) in plan.steps.iter().enumerate() {
            let step = step.to_string();
            out.push_str(&format!("{:4}. {}\n", number + 1, text::line(&step)));
        }
        for told in &self.told {
            let word = match told.weight {
                Weight::Blocks => "in the way",
                Weight::Limits => "mind",
                Weight::Note => "note",
            };
            out.push_str(&format!("{word}: {}\n", text::line(&told.message)));
        }
        out.push_str(&findings_text(&self.findings, 0));
        out
    }
}

impl Document for PlanDocument {
    const KIND: &'static str = "restore-vm-plan";

    fn outcome(&self) -> Outcome {
        match self.possible {
            true => outcome_of(&self.findings),
            false => Outcome::Failed,
        }
    }

    fn human(&self) -> String {
        let end = match self.possible {
            true => "nothing was done; it can be carried out\n",
            false => "nothing was done; it cannot be carried out\n",
        };
        format!("{}{end}", self.text())
    }
}

/// A script that makes the VM.
#[derive(Serialize)]
pub(super) struct ScriptDocument {
    pub(super) point: String,
    pub(super) script: String,
}

impl Document for ScriptDocument {
    const KIND: &'static str = "restore-vm-script";

    fn human(&self) -> String {
        self.script.clone()
    }
}
