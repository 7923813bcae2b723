//! `restore disks --in-place`, `restore confirm`, `restore undo`.

use std::path::{Path, PathBuf};

use engine::finding::{Code, Severity, outcome_of, vault_notes};
use engine::restore::Task;
use engine::restore::rollback::{
    Became, Before, RollbackError, RolledBack, confirm as give_up, disks_in, kept_in, roll_back,
    undo as put_back,
};
use engine::{Finding, Outcome, SystemClock};
use serde::Serialize;

use crate::address::PointAddress;
use crate::args::{DisksArgs, Global, KeptArgs};
use crate::commands::backup::{limits, random};
use crate::commands::findings::findings_text;
use crate::commands::points::find_point;
use crate::commands::restore::disks_wanted;
use crate::failure::{Exit, Result};
use crate::progress::Progress;
use crate::ui::{Document, Ui};
use crate::{apart, open, stop, text};

/// Brings disks that are there back to what a point holds.
pub(crate) fn run(global: &Global, args: &DisksArgs, ui: Ui) -> Result<Exit> {
    apart::target(open::location(global)?, &args.to)?;
    let vault = open::vault(global, ui)?;
    let (line, point, unreadable) = find_point(global, &vault, &args.point, ui)?;
    let wanted = disks_wanted(&point, args)?;
    let cancel = stop::on_signal(ui);
    let clock = SystemClock::new();
    let progress = Progress::new(ui);
    let task = Task {
        vault: &vault,
        clock: &clock,
        sink: &progress,
        cancel: &cancel,
        limits: limits(global),
    };
    let (disks, mut findings) = disks_in(&args.to, &point, &wanted);
    let mut outcome = Outcome::Failed;
    let mut rolled_back = Vec::new();
    // A VM of which one disk is older than the others is none.
    if outcome_of(&findings) < Outcome::Partial {
        let mut nothing = || Ok(());
        let before: Option<&mut Before<'_>> = match args.simulate {
            true => None,
            false => Some(&mut nothing),
        };
        let report = roll_back(&task, &point, &disks, before, &mut random);
        outcome = Outcome::worst([report.outcome, outcome_of(&findings)]);
        findings.extend(report.findings);
        rolled_back = report.disks;
        findings.extend(at_rest(&point.details.vm_name, &rolled_back));
    }
    drop(progress);
    let mut beside = vault_notes(&vault);
    if matches!(args.point, PointAddress::Of { .. }) {
        // The newest that can be read need not be the newest.
        beside.extend(unreadable);
    }
    outcome = Outcome::worst([outcome, outcome_of(&beside)]);
    findings.extend(beside);
    ui.print(&InPlaceDocument {
        point: line.id,
        disks: rolled_back,
        findings,
        outcome,
    })
}

/// Nobody has a saved VM's disks open, and its memory must find them as they were.
fn at_rest(vm: &str, disks: &[RolledBack]) -> Option<Finding> {
    let changes = |disk: &RolledBack| matches!(disk.became, Became::Now | Became::Would);
    disks.iter().any(changes).then(|| {
        Finding::note(
            Code::Other,
            vm,
            "whether the VM is off cannot be told from its disks: one that is saved or paused would go on \
             with the memory of other disks and damage them",
        )
        .hint("shut the VM down, or delete its saved state, before it is started; `restore undo` puts back what was")
    })
}

/// Gives up what disks were.
pub(crate) fn confirm(args: &KeptArgs, ui: Ui) -> Result<Exit> {
    let document = ended(args, "confirmed", |file| give_up(file).map(|()| None));
    ui.print(&document)
}

/// Puts disks back to what they were.
pub(crate) fn undo(args: &KeptArgs, ui: Ui) -> Result<Exit> {
    let document = ended(args, "undone", |file| put_back(file).map(Some));
    ui.print(&document)
}

fn ended(
    args: &KeptArgs,
    became: &'static str,
    end: impl Fn(&Path) -> std::result::Result<Option<u64>, RollbackError>,
) -> KeptDocument {
    let mut findings = Vec::new();
    let mut files: Vec<PathBuf> = Vec::new();
    for path in &args.paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        match kept_in(path) {
            Ok(found) if found.is_empty() => findings.push(failed(path, &RollbackError::Nothing)),
            Ok(found) => files.extend(found),
            Err(error) => findings.push(failed(path, &RollbackError::Image(error))),
        }
    }
    let mut disks = Vec::new();
    for file in files {
        match end(&file) {
            Ok(written) => disks.push(Ended {
                path: file.display().to_string(),
                became,
                written,
            }),
            Err(error) => findings.push(failed(&file, &error)),
        }
    }
    let outcome = match outcome_of(&findings) {
        Outcome::Partial if disks.is_empty() => Outcome::Failed,
        outcome => outcome,
    };
    KeptDocument {
        disks,
        findings,
        outcome,
    }
}

fn failed(path: &Path, error: &RollbackError) -> Finding {
    let object = path.display().to_string();
    Finding::new(
        Code::NotInPlace,
        Severity::Partial,
        object,
        error.to_string(),
    )
    .hint(error.hint())
}

#[derive(Serialize)]
struct InPlaceDocument {
    point: String,
    disks: Vec<RolledBack>,
    findings: Vec<Finding>,
    #[serde(skip)]
    outcome: Outcome,
}

impl Document for InPlaceDocument {
    const KIND: &'static str = "restore-in-place";

    fn outcome(&self) -> Outcome {
        self.outcome
    }

    fn human(&self) -> String {
        let mut out = String::new();
        for disk in &self.disks {
            let size = text::size(disk.changed);
            let what = match disk.became {
                Became::Same => "is as it was then".to_owned(),
                Became::Before => "was brought back by an earlier run".to_owned(),
                Became::Now => format!("was brought back: {size} differed"),
                Became::Would => format!("would be brought back: {size} differ"),
            };
            out.push_str(&format!("{}  {what}\n", text::line(&disk.path)));
        }
        out.push_str(&findings_text(&self.findings, 0));
        let kept = self.disks.iter().filter(|disk| disk.undo.is_some()).count();
        out.push_str(&format!(
            "{}: {}\n",
            self.outcome,
            text::count(self.disks.len(), "disk")
        ));
        if kept > 0 {
            out.push_str(
                "what they were before is kept: `restore confirm` gives it up, `restore undo` puts it back\n",
            );
        }
        out
    }
}

#[derive(Serialize)]
struct Ended {
    path: String,
    became: &'static str,
    written: Option<u64>,
}

#[derive(Serialize)]
struct KeptDocument {
    disks: Vec<Ended>,
    findings: Vec<Finding>,
    #[serde(skip)]
    outcome: Outcome,
}

impl Document for KeptDocument {
    const KIND: &'static str = "restore-kept";

    fn outcome(&self) -> Outcome {
        self.outcome
    }

    fn human(&self) -> String {
        let mut out = String::new();
        for disk in &self.disks {
            out.push_str(&format!("{}  {}\n", text::line(&disk.path), disk.became));
        }
        out.push_str(&findings_text(&self.findings, 0));
        let count = text::count(self.disks.len(), "disk");
        out.push_str(&format!("{}: {count}\n", self.outcome));
        out
    }
}
