//! `restore files`.

use engine::finding::vault_notes;
use engine::guest::Pattern;
use engine::guest::restore::{Counts, FilesReport, restore_files};
use engine::{Finding, Outcome};
use serde::Serialize;

use crate::args::{FilesArgs, Global};
use crate::commands::files_out::Out;
use crate::commands::findings::findings_text;
use crate::commands::guest::{guest, pattern};
use crate::commands::points::find_point;
use crate::failure::{Exit, Failure, Result};
use crate::ui::{Document, Ui};
use crate::{open, stop, text};

/// Restores files of a guest.
pub(crate) fn run(global: &Global, args: &FilesArgs, ui: Ui) -> Result<Exit> {
    let patterns = args.paths.iter().map(|typed| pattern(typed));
    let patterns = patterns.collect::<Result<Vec<Pattern>>>()?;
    let out = Out::of(&args.out)?
        .ok_or_else(|| Failure::usage("no target was given").hint("give --to, --tar or --zip"))?;
    if out.is_output() && ui.is_json() {
        return Err(
            Failure::usage("--json and an archive both go to standard output")
                .hint("write the archive into a file"),
        );
    }
    out.apart(global)?;
    let vault = open::vault(global, ui)?;
    let (line, point, beside) = find_point(global, &vault, &args.point, ui)?;
    let point = (&args.point, &point, beside);
    let guest = guest(&vault, point, args.checkpoint.as_deref(), &args.keys)?;
    let cancel = stop::on_signal(ui);
    let report = out.fill(&cancel, &mut |target| {
        restore_files(&guest, &patterns, target, &cancel)
    })?;
    let mut findings = guest.findings.clone();
    findings.extend(vault_notes(&vault));
    RestoreFilesDocument::new(line.id, report, findings).tell(&out, ui)
}

/// What came of restoring files.
#[derive(Serialize)]
pub(crate) struct RestoreFilesDocument {
    point: String,
    restored: Counts,
    findings: Vec<Finding>,
    #[serde(skip)]
    outcome: Outcome,
}

impl RestoreFilesDocument {
    /// Of what was restored from a point, with what else is to be told.
    pub(crate) fn new(point: String, report: FilesReport, mut findings: Vec<Finding>) -> Self {
        let outcome = Outcome::worst([report.outcome(), engine::finding::outcome_of(&findings)]);
        let restored = report.counts;
        findings.extend(report.into_findings());
        Self {
            point,
            restored,
            findings,
            outcome,
        }
    }

    /// Says it where nothing else is written.
    pub(crate) fn tell(&self, out: &Out, ui: Ui) -> Result<Exit> {
        match out.is_output() {
            // The archive is all that may be there.
            true => {
                ui.note(self.human().trim_end());
                Ok(Exit::Outcome(self.outcome))
            }
            false => ui.print(self),
        }
    }
}

impl Document for RestoreFilesDocument {
    const KIND: &'static str = "restore-files";

    fn outcome(&self) -> Outcome {
        self.outcome
    }

    fn human(&self) -> String {
        let restored = &self.restored;
        let count = |number: u64, one: &str| text::count(number as usize, one);
        format!(
            "{}{}: {}, {}, {}, {}\n",
            findings_text(&self.findings, 0),
            self.outcome,
            count(restored.files, "file"),
            count(restored.folders, "folder"),
            count(restored.links, "link"),
            text::size(restored.bytes)
        )
    }
}
