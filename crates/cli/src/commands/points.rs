//! `points`, and finding the one that a person means.

use engine::list::{self, PointLine};
use engine::restore::Opened;
use engine::select::Rule;
use engine::source::{Consistency, VmKind, VmRef};
use engine::{Finding, Outcome};
use serde::Serialize;
use vault::Vault;

use crate::address::PointAddress;
use crate::args::{Global, PointsArgs};
use crate::commands::findings::findings_text;
use crate::commands::source;
use crate::failure::{Exit, Failure, Result};
use crate::table::Table;
use crate::ui::{Document, Ui};
use crate::{open, text};

/// Lists restore points.
pub(crate) fn run(global: &Global, args: &PointsArgs, ui: Ui) -> Result<Exit> {
    let rules = args.vm.iter().map(|text| (Rule::Include, text.clone()));
    let selection = source::selection(rules)?;
    let vault = open::vault(global, ui)?;
    let listed = points(global, &vault)?;
    let points = listed
        .points
        .iter()
        .filter(|line| selection.matches(&vm_ref(line)))
        .map(Line::new)
        .collect();
    ui.print(&PointsDocument {
        points,
        readable: listed.points.len(),
        unreadable: listed.unreadable.into_iter().map(|u| u.id).collect(),
        findings: listed.findings,
    })
}

/// The VM of a restore point, for patterns.
fn vm_ref(line: &PointLine) -> VmRef {
    VmRef {
        key: line.vm_id.to_string(),
        id: line.vm_id,
        name: line.vm_name.clone(),
        kind: VmKind::default(),
    }
}

/// All points of the vault.
pub(crate) fn points(global: &Global, vault: &Vault) -> Result<list::Points> {
    let location = open::location(global)?;
    list::points(vault).map_err(|error| open::vault_failure(error, location))
}

/// The restore point that a person means, and what is known of points that cannot be read: one of
/// those may be newer, and be meant.
pub(crate) fn find_point(
    global: &Global,
    vault: &Vault,
    address: &PointAddress,
    ui: Ui,
) -> Result<(PointLine, Opened, Vec<Finding>)> {
    let listed = points(global, vault)?;
    let line = listed
        .find(&address.wanted())
        .map_err(|error| {
            // A point that cannot be read may be the one that was meant.
            if !listed.findings.is_empty() {
                ui.note(findings_text(&listed.findings, 0).trim_end());
            }
            let hint = error.hint();
            Failure::from(anyhow::Error::new(error)).hint(hint)
        })?
        .clone();
    if !listed.findings.is_empty() {
        ui.note(findings_text(&listed.findings, 0).trim_end());
    }
    let opened = line.open().clone();
    Ok((line, opened, listed.findings))
}

/// A restore point in a list.
#[derive(Serialize)]
pub(crate) struct Line {
    id: String,
    vm_id: String,
    vm_name: String,
    taken: Option<String>,
    level: String,
    consistency: Consistency,
    outcome: Outcome,
    disk_bytes: u64,
    read_bytes: u64,
    #[serde(skip)]
    seconds: u64,
}

impl Line {
    /// What a list says of a point.
    pub(crate) fn new(point: &PointLine) -> Self {
        Self {
            id: point.id.clone(),
            vm_id: point.vm_id.to_string(),
            vm_name: point.vm_name.clone(),
            taken: text::rfc3339(point.taken),
            level: point.level.clone(),
            consistency: point.consistency,
            outcome: point.outcome,
            disk_bytes: point.disk_bytes,
            read_bytes: point.read_bytes,
            seconds: point.taken,
        }
    }
}

#[derive(Serialize)]
struct PointsDocument {
    points: Vec<Line>,
    /// How many could be read, whether they were asked for or not.
    #[serde(skip)]
    readable: usize,
    unreadable: Vec<String>,
    findings: Vec<Finding>,
}

impl PointsDocument {
    /// What the list leaves out. A point that is there is never told as missing.
    fn rest(&self) -> String {
        let hidden = text::count(self.unreadable.len(), "restore point");
        match (self.readable, self.unreadable.len()) {
            (0, 0) => "no restore points\n".to_owned(),
            (0, 1) => format!("{hidden}, not readable\n"),
            (0, _) => format!("{hidden}, none readable\n"),
            (_, 0) if self.points.is_empty() => "no restore points\n".to_owned(),
            (_, 0) => String::new(),
            _ if self.points.is_empty() => {
                format!("no restore points among those that can be read; {hidden}, not readable\n")
            }
            _ => format!("and {hidden}, not readable\n"),
        }
    }
}

impl Document for PointsDocument {
    const KIND: &'static str = "points";

    fn outcome(&self) -> Outcome {
        engine::finding::outcome_of(&self.findings)
    }

    fn human(&self) -> String {
        let mut table = Table::new(&[
            "POINT",
            "TAKEN (UTC)",
            "LEVEL",
            "CONSISTENCY",
            "OUTCOME",
            ">DISKS",
            ">READ",
            "VM",
        ]);
        for point in &self.points {
            table.row([
                point.id.get(..12).unwrap_or(&point.id),
                &text::time(point.seconds),
                &point.level,
                point.consistency.as_str(),
                point.outcome.as_str(),
                &text::size(point.disk_bytes),
                &text::size(point.read_bytes),
                &point.vm_name,
            ]);
        }
        let mut out = match self.points.is_empty() {
            true => String::new(),
            false => table.render(),
        };
        out.push_str(&self.rest());
        out.push_str(&findings_text(&self.findings, 0));
        out
    }
}

impl Line {
    /// Its first lines in `show`.
    pub(crate) fn head(&self) -> String {
        format!(
            "point        {}\nVM           {}\nVM id        {}\noutcome      {}\nlevel        {}\n",
            self.id,
            text::line(&self.vm_name),
            self.vm_id,
            self.outcome,
            self.level,
        )
    }
}
