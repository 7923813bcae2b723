//! `backup`.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use engine::backup::{Audit, Job, JobReport, Options, Retry, VmReport, backup};
use engine::changes::parse_ranges;
use engine::pipeline::Limits;
use engine::point::{Level, Reading};
use engine::source::folder::FolderSource;
use engine::source::hyperv::Pacing;
use engine::source::{HostLatency, Source};
use engine::{Cancel, Finding, Outcome, SystemClock};
use hyperv::checkpoint::GuestBackup;
use hyperv::files::HostPath;
use hyperv::pacing::Caps;
use hyperv::plan::{Policy, Wanted, WantedMode};
use hyperv::space::Floor;
use serde::Serialize;
use vault::Vault;

use crate::args::{
    BackupArgs, ConsistencyArg, Global, GuestBackupArg, LevelArg, ModeArg, PacingArgs, SourceKind,
};
use crate::commands::findings::findings_text;
use crate::commands::{backup_hosts, source};
use crate::failure::{Exit, Failure, OnPath, Result};
use crate::host::HostAddress;
use crate::progress::Progress;
use crate::ui::{Document, Ui};
use crate::{apart, open, stop, text};

/// Backs up.
pub(crate) fn run(global: &Global, args: &BackupArgs, ui: Ui) -> Result<Exit> {
    let is_host = |text: &String| HostAddress::is_meant(text) || crate::host::is_name(text);
    match args.source.as_slice() {
        all if all.iter().all(is_host) => backup_hosts::run(global, args, ui),
        [one] => folder(global, args, one, ui),
        _ => {
            Err(Failure::usage("several sources are for hosts")
                .hint("back up one folder at a time"))
        }
    }
}

/// Backs up a folder.
fn folder(global: &Global, args: &BackupArgs, given: &str, ui: Ui) -> Result<Exit> {
    if let Some(options) = args.given.not_for(SourceKind::Folder) {
        return Err(Failure::usage(format!(
            "{options}: only for VMs on a host; a folder is read as it is"
        ))
        .hint("leave out what is for hosts"));
    }
    let mut source = source::open(given, &args.parents)?;
    if let Some(file) = &args.changed_ranges {
        source = with_ranges(source, file)?;
    }
    let options = options(global, args, args.hooks.as_deref())?;
    apart::source(global, given)?;
    let vault = open::vault(global, ui)?;
    let cancel = stop::on_signal(ui);
    work(global, ui, &vault, &cancel, &mut source, &options)
}

/// The folder for exports with memory, if they are wanted.
pub(crate) fn staging(args: &BackupArgs) -> Result<Option<String>> {
    let Some(staging) = args.staging.as_deref().filter(|_| args.memory) else {
        return Ok(None);
    };
    if args.mode == ModeArg::AllCheckpoints {
        return Err(Failure::usage(
            "--memory and --mode all-checkpoints do not go together: an export has no checkpoints",
        )
        .hint("make a backup of each kind"));
    }
    if args.consistency == ConsistencyArg::RequireApplication {
        return Err(Failure::usage(
            "--memory and --consistency require-application do not go together: with its memory a \
             VM is saved as it runs, and no application is asked to take part",
        )
        .hint("leave one of them out"));
    }
    let bad = |why: String| {
        Failure::usage(format!("--staging {staging}: {why}"))
            .hint(r"name a folder of the host as the host spells it: --staging 'D:\Staging'")
    };
    let path = HostPath::parse(staging).map_err(|error| bad(error.to_string()))?;
    if path.to_string().starts_with(r"\\") && !path.to_string().starts_with(r"\\?\") {
        return Err(bad(
            "it is a share: how much is free there a host does not tell".to_owned(),
        ));
    }
    Ok(Some(path.to_string()))
}

pub(crate) fn pacing(args: &PacingArgs) -> Pacing {
    let usual = Pacing::default();
    let number = |given: Option<u8>, usual: usize| given.map_or(usual, usize::from);
    Pacing {
        caps: Caps {
            per_host: number(args.disks_per_host, usual.caps.per_host),
            per_volume: number(args.disks_per_volume, usual.caps.per_volume),
        },
        gap: args
            .stagger
            .map_or(usual.gap, |s| Duration::from_secs(s.into())),
        slow: usual.slow,
        release_on_start: args.release_on_start,
    }
}

pub(crate) fn policy(args: &BackupArgs) -> Policy {
    Policy {
        consistency: match args.consistency {
            ConsistencyArg::RequireApplication => Wanted::RequireApplication,
            ConsistencyArg::PreferApplication => Wanted::PreferApplication,
            ConsistencyArg::Crash => Wanted::Crash,
        },
        mode: match args.mode {
            ModeArg::Auto => WantedMode::Auto,
            ModeArg::Cbt => WantedMode::Cbt,
            ModeArg::Standard => WantedMode::Standard,
            ModeArg::AllCheckpoints => WantedMode::AllCheckpoints,
        },
        guest_backup: match args.guest_backup {
            GuestBackupArg::Copy => GuestBackup::Copy,
            GuestBackupArg::Full => GuestBackup::Full,
        },
        floor: match args.floor {
            0 => Floor::NONE,
            percent => Floor {
                percent,
                ..Floor::default()
            },
        },
        suspend_replication: args.suspend_replication,
    }
}

pub(crate) fn options(global: &Global, args: &BackupArgs, hooks: Option<&Path>) -> Result<Options> {
    if args.audit == 0 && args.audit_runs.is_some() {
        return Err(Failure::usage(
            "--audit 0 compares nothing, and --audit-runs all of each disk",
        )
        .hint("leave one of them out"));
    }
    Ok(Options {
        selection: source::selection(args.selection.0.iter().cloned())?,
        level: match args.level {
            LevelArg::Auto => Level::Auto,
            LevelArg::Full => Level::Full,
            LevelArg::Incremental => Level::Incremental,
            LevelArg::Differential => Level::Differential,
        },
        compression: open::compression(global.compression),
        audit: Audit {
            runs: args.audit_runs.and_then(NonZeroU32::new),
            ..Audit::percent(args.audit)
        },
        retry: Retry::default(),
        parallel: args.parallel.into(),
        hooks: hooks
            .map(crate::hooks::read)
            .transpose()?
            .unwrap_or_default(),
    })
}

pub(crate) fn work(
    global: &Global,
    ui: Ui,
    vault: &Vault,
    cancel: &Cancel,
    source: &mut dyn Source,
    options: &Options,
) -> Result<Exit> {
    let clock = SystemClock::new();
    let progress = Progress::new(ui);
    let job = Job {
        vault,
        clock: &clock,
        sink: &progress,
        cancel,
        limits: limits(global),
    };
    let report = backup(&job, source, options, &mut random).map_err(source::failure)?;
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

/// Random bytes of the system.
pub(crate) fn random(out: &mut [u8]) {
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
    latency: Vec<HostLatency>,
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
            latency: report.latency,
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
        out.extend(self.latency.iter().filter_map(latency_text));
        out.push_str(&findings_text(&self.findings, 0));
        out.push_str(&format!(
            "{}: {}\n",
            self.outcome,
            text::count(self.vms.len(), "VM")
        ));
        out
    }
}

/// How long a host took to answer, if it was asked before and while it was read from.
fn latency_text(latency: &HostLatency) -> Option<String> {
    let (before, during) = (latency.report.before?, latency.report.during?);
    Some(format!(
        "{} answered within {} ms before the backup and {} ms during it, at most {} ms\n",
        text::line(&latency.host),
        before.median_ms,
        during.median_ms,
        during.longest_ms
    ))
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
