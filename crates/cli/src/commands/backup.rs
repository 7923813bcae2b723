//! `backup`.

use std::path::Path;

use engine::backup::{Audit, Job, JobReport, Options, VmReport, backup};
use engine::changes::parse_ranges;
use engine::pipeline::Limits;
use engine::point::{Level, Reading};
use engine::source::folder::FolderSource;
use engine::{Finding, Outcome, SystemClock};
use serde::Serialize;

use crate::args::{BackupArgs, Global, LevelArg, ModeArg};
use crate::commands::findings::findings_text;
use crate::commands::source;
use crate::failure::{Exit, Failure, OnPath, Result};
use crate::progress::Progress;
use crate::ui::{Document, Ui};
use crate::{apart, open, stop, text};

/// Backs up.
pub(crate) fn run(global: &Global, args: &BackupArgs, ui: Ui) -> Result<Exit> {
    let mut source = source::open(&args.source, &args.parents)?;
    if args.mode != ModeArg::Auto {
        return Err(Failure::usage(
            "--mode chooses how to reach VMs on a host; a folder is read as it is",
        )
        .hint("leave --mode out"));
    }
    if let Some(file) = &args.changed_ranges {
        source = with_ranges(source, file)?;
    }
    let options = Options {
        selection: source::selection(args.selection.0.iter().cloned())?,
        level: match args.level {
            LevelArg::Auto => Level::Auto,
            LevelArg::Full => Level::Full,
            LevelArg::Incremental => Level::Incremental,
            LevelArg::Differential => Level::Differential,
        },
        compression: open::compression(global.compression),
        audit: Audit::percent(args.audit),
    };
    apart::source(global, &args.source)?;
    let vault = open::vault(global, ui)?;
    let cancel = stop::on_signal(ui);
    let clock = SystemClock::new();
    let progress = Progress::new(ui);
    let job = Job {
        vault: &vault,
        clock: &clock,
        sink: &progress,
        cancel: &cancel,
        limits: limits(global),
    };
    let report = backup(&job, &mut source, &options, &mut random).map_err(source::failure)?;
    drop(progress);
    ui.print(&BackupDocument::new(report))
}

/// Threads as the command line says.
pub(crate) fn limits(global: &Global) -> Limits {
    let machine = Limits::machine();
    match global.threads {
        Some(threads) => machine.with_workers(threads.into()),
        None => machine,
    }
}

fn random(out: &mut [u8]) {
    // Ids must never repeat: without randomness nothing may be written.
    getrandom::fill(out).expect("the operating system gives random numbers");
}

fn with_ranges(source: FolderSource, file: &Path) -> Result<FolderSource> {
    let text = std::fs::read_to_string(file).on_path(
        "reading the changed ranges",
        file,
        "name a text file with a range a line; without --changed-ranges everything is read",
    )?;
    let ranges = parse_ranges(&text).map_err(|error| {
        Failure::new(format!("{}: {error}", file.display()))
            .hint("write a range a line: OFFSET LENGTH, in bytes, decimal or 0x hexadecimal")
    })?;
    Ok(source.with_changed_ranges(ranges))
}

#[derive(Serialize)]
struct BackupDocument {
    source: String,
    started: Option<String>,
    finished: Option<String>,
    vms: Vec<VmReport>,
    findings: Vec<Finding>,
    #[serde(skip)]
    outcome: Outcome,
}

impl BackupDocument {
    fn new(report: JobReport) -> Self {
        Self {
            source: report.source,
            started: text::rfc3339(report.started),
            finished: text::rfc3339(report.finished),
            vms: report.vms,
            findings: report.findings,
            outcome: report.outcome,
        }
    }
}

impl Document for BackupDocument {
    const KIND: &'static str = "backup";

    fn outcome(&self) -> Outcome {
        self.outcome
    }

    fn human(&self) -> String {
        let mut out: String = self.vms.iter().map(vm_text).collect();
        out.push_str(&findings_text(&self.findings, 0));
        out.push_str(&format!(
            "{}: {}\n",
            self.outcome,
            text::count(self.vms.len(), "VM")
        ));
        out
    }
}

fn vm_text(vm: &VmReport) -> String {
    let mut out = format!("{}: {}\n", text::line(&vm.name), vm.outcome);
    if let Some(point) = &vm.point {
        let consistency = vm.consistency.map_or("", |c| c.as_str());
        out.push_str(&format!(
            "  restore point {}, {}, consistency {consistency}\n  \
             data {}, read {}, new {}, vault grew by {}, {}\n",
            point.get(..16).unwrap_or(point),
            vm.level.unwrap_or("?"),
            text::size(vm.stats.data),
            text::size(vm.stats.read),
            text::size(vm.stats.new),
            text::size(vm.stored),
            text::milliseconds(vm.milliseconds),
        ));
    }
    for layer in &vm.layers {
        out.push_str(&format!(
            "  {}: {}\n",
            text::line(&layer.path),
            text::line(&reading(&layer.reading))
        ));
    }
    out.push_str(&findings_text(&vm.findings, 2));
    out
}

/// How a layer was read, and why.
pub(crate) fn reading(reading: &Reading) -> String {
    let short = |id: &str| id.get(..16).unwrap_or(id).to_owned();
    let compared = |bytes: u64| match bytes {
        0 => String::new(),
        bytes => format!("; {} of the rest compared", text::size(bytes)),
    };
    match reading {
        Reading::Full { why } => format!("read in full: {why}"),
        Reading::Ranges {
            since,
            compared: bytes,
        } => format!(
            "changed ranges since point {}{}",
            short(since),
            compared(*bytes)
        ),
        Reading::Reused {
            since,
            why,
            compared: bytes,
        } => {
            let since = short(since);
            format!("not read, as in point {since}: {why}{}", compared(*bytes))
        }
    }
}
