//! `restore files`.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use engine::finding::vault_notes;
use engine::guest::restore::{Counts, FilesReport, FolderTarget, TarTarget, restore_files};
use engine::guest::{Guest, Pattern};
use engine::restore::target::{NewFile, TargetError};
use engine::{Cancel, Finding, Outcome};
use serde::Serialize;

use crate::args::{FilesArgs, Global};
use crate::commands::findings::findings_text;
use crate::commands::guest::{guest, pattern};
use crate::commands::points::find_point;
use crate::failure::{Exit, Failure, Result};
use crate::ui::{Document, Ui};
use crate::{apart, open, stop, text};

/// Restores files of a guest.
pub(crate) fn run(global: &Global, args: &FilesArgs, ui: Ui) -> Result<Exit> {
    let patterns = args.paths.iter().map(|typed| pattern(typed));
    let patterns = patterns.collect::<Result<Vec<Pattern>>>()?;
    let to_output = args.tar.as_deref() == Some(Path::new("-"));
    if to_output && ui.is_json() {
        return Err(
            Failure::usage("--json and --tar - both go to standard output")
                .hint("write the archive into a file"),
        );
    }
    let file = args.tar.as_deref().filter(|_| !to_output);
    for path in args.to.as_deref().into_iter().chain(file) {
        apart::target(open::location(global)?, path)?;
    }
    let vault = open::vault(global, ui)?;
    let (line, point, beside) = find_point(global, &vault, &args.point, ui)?;
    let point = (&args.point, &point, beside);
    let guest = guest(&vault, point, args.checkpoint.as_deref(), &args.keys)?;
    let cancel = stop::on_signal(ui);
    let from = (&guest, patterns.as_slice(), &cancel);
    let report = match (&args.to, file) {
        (Some(to), _) => into_folder(from, to),
        (None, Some(file)) => into_archive(from, file),
        (None, None) => into_output(from),
    };
    let report = report.map_err(|error| {
        let hint = error.hint();
        Failure::from(anyhow::Error::new(error)).hint(hint)
    })?;
    let mut findings = guest.findings.clone();
    findings.extend(vault_notes(&vault));
    let outcome = Outcome::worst([report.outcome(), engine::finding::outcome_of(&findings)]);
    let restored = report.counts;
    findings.extend(report.into_findings());
    let document = RestoreFilesDocument {
        point: line.id,
        restored,
        findings,
        outcome,
    };
    match to_output {
        // The archive is all that may be there.
        true => {
            ui.note(document.human().trim_end());
            Ok(Exit::Outcome(outcome))
        }
        false => ui.print(&document),
    }
}

type From<'a> = (&'a Guest, &'a [Pattern], &'a Cancel);

fn into_folder(
    (guest, patterns, cancel): From<'_>,
    to: &Path,
) -> std::result::Result<FilesReport, TargetError> {
    let mut target = FolderTarget::new(to, cancel)?;
    Ok(restore_files(guest, patterns, &mut target, cancel))
}

/// An archive that appears whole or not at all.
fn into_archive(
    (guest, patterns, cancel): From<'_>,
    path: &Path,
) -> std::result::Result<FilesReport, TargetError> {
    let new = NewFile::create(path)?;
    let out = BufWriter::with_capacity(1 << 20, Sequential::new(&new));
    let mut target = TarTarget::new(out, path.to_owned(), cancel);
    let mut report = restore_files(guest, patterns, &mut target, cancel);
    let failed = |error| TargetError::io(path, "writing the archive", error);
    let whole = match target.into_inner()? {
        Some(mut out) => out.flush().map(|()| true).map_err(failed)?,
        None => false,
    };
    match whole && !cancel.is_cancelled() {
        true => new.place()?,
        false => report.came_to_nothing(),
    }
    Ok(report)
}

fn into_output(
    (guest, patterns, cancel): From<'_>,
) -> std::result::Result<FilesReport, TargetError> {
    let name = Path::new("standard output");
    let out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let mut target = TarTarget::new(out, name.to_owned(), cancel);
    let report = restore_files(guest, patterns, &mut target, cancel);
    let failed = |error| TargetError::io(name, "writing the archive", error);
    if let Some(mut out) = target.into_inner()? {
        out.flush().map_err(failed)?;
    }
    Ok(report)
}

/// A new file from its start to its end.
struct Sequential<'a> {
    new: &'a NewFile,
    at: u64,
}

impl<'a> Sequential<'a> {
    fn new(new: &'a NewFile) -> Self {
        Self { new, at: 0 }
    }
}

impl Write for Sequential<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.new.file().write_all_at(buf, self.at)?;
        self.at += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Serialize)]
struct RestoreFilesDocument {
    point: String,
    restored: Counts,
    findings: Vec<Finding>,
    #[serde(skip)]
    outcome: Outcome,
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
