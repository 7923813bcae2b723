//! `check`.

use std::sync::atomic::{AtomicBool, Ordering};

use engine::progress::{Event, Sink, Step};
use engine::{Clock, Outcome, SystemClock};
use serde::Serialize;
use vault::{CheckOptions, Finding, Report, Warning};

use crate::args::{CheckArgs, Global};
use crate::failure::{Exit, Result};
use crate::progress::Progress;
use crate::ui::{Document, Ui};
use crate::{open, text};

/// Checks the vault.
pub(crate) fn run(global: &Global, args: &CheckArgs, ui: Ui) -> Result<Exit> {
    let location = open::location(global)?;
    let vault = open::vault(global, ui)?;
    let options = CheckOptions {
        read_data: args.read_data,
        threads: global.threads.map_or(0, usize::from),
    };
    let sink = Progress::new(ui);
    let clock = SystemClock::new();
    let begun = AtomicBool::new(false);
    let told = |done: u64, total: u64| {
        if !begun.swap(true, Ordering::Relaxed) {
            sink.event(&Event::DiskStarted {
                vm: String::new(),
                disk: "reading all packs".to_owned(),
                bytes: total,
            });
        }
        let seconds = clock.monotonic().as_secs_f64();
        sink.event(&Event::Step(Step {
            done,
            total,
            rate: (seconds > 0.0).then_some(done as f64 / seconds),
            left: None,
        }));
    };
    let report = vault
        .check(options, &told)
        .map_err(|error| open::vault_failure(error, location))?;
    drop(sink);
    ui.print(&CheckDocument::new(&report, args.read_data))
}

#[derive(Serialize)]
struct CheckDocument {
    points: u64,
    packs: u64,
    pack_bytes: u64,
    /// Whether every stored byte was read and authenticated.
    data_read: bool,
    chunks_read: u64,
    duplicate_chunks: u64,
    unreferenced_packs: Vec<String>,
    unreferenced_bytes: u64,
    findings: Vec<Line>,
    warnings: Vec<String>,
    /// Restore points of which something is lost, or that cannot be read.
    affected_points: Vec<String>,
    #[serde(skip)]
    outcome: Outcome,
    #[serde(skip)]
    data_sealed: bool,
}

#[derive(Serialize)]
struct Line {
    code: &'static str,
    message: String,
}

impl CheckDocument {
    fn new(report: &Report, read_data: bool) -> Self {
        let data_sealed = read_data && report.data_sealed;
        // These say nothing about the vault.
        let warned = |w: &Warning| !matches!(w, Warning::Adopted { .. } | Warning::NoCache { .. });
        let outcome = Outcome::worst(
            report
                .findings
                .iter()
                .map(|finding| match finding {
                    Finding::UnknownWriter { .. } => Outcome::Warning,
                    _ => Outcome::Failed,
                })
                .chain(
                    report
                        .warnings
                        .iter()
                        .filter(|w| warned(w))
                        .map(|_| Outcome::Warning),
                )
                .chain(data_sealed.then_some(Outcome::Warning)),
        );
        Self {
            points: report.points,
            packs: report.packs,
            pack_bytes: report.pack_bytes,
            data_read: read_data && !report.data_sealed,
            chunks_read: report.chunks_read,
            duplicate_chunks: report.duplicate_chunks,
            unreferenced_packs: report.unreferenced_packs.clone(),
            unreferenced_bytes: report.unreferenced_bytes,
            findings: report.findings.iter().map(line).collect(),
            warnings: report.warnings.iter().map(ToString::to_string).collect(),
            affected_points: report
                .affected_points()
                .iter()
                .map(|(_, point)| point.to_string())
                .collect(),
            outcome,
            data_sealed,
        }
    }
}

fn line(finding: &Finding) -> Line {
    Line {
        code: match finding {
            Finding::PointUnreadable { .. } => "point-unreadable",
            Finding::UnknownWriter { .. } => "unknown-writer",
            Finding::PackMissing { .. } => "pack-missing",
            Finding::LengthDiffers { .. } => "length-differs",
            Finding::ObjectDamaged { .. } => "object-damaged",
            Finding::ChunkLost { .. } => "chunk-lost",
            _ => "other",
        },
        message: finding.to_string(),
    }
}

impl Document for CheckDocument {
    const KIND: &'static str = "check";

    fn outcome(&self) -> Outcome {
        self.outcome
    }

    fn human(&self) -> String {
        let mut out = String::new();
        for finding in &self.findings {
            out.push_str(&format!("error: {}\n", text::line(&finding.message)));
        }
        for warning in &self.warnings {
            out.push_str(&format!("note: {}\n", text::line(warning)));
        }
        if self.data_sealed {
            out.push_str(
                "warning: the key at hand cannot read data; only hashes of objects were checked\n",
            );
        }
        if !self.unreferenced_packs.is_empty() {
            out.push_str(&format!(
                "note: {} with {} in them that no restore point needs\n",
                text::count(self.unreferenced_packs.len(), "pack"),
                text::size(self.unreferenced_bytes),
            ));
        }
        let data = if self.data_read {
            format!("{} chunks read and authenticated", self.chunks_read)
        } else {
            "data not read (--read-data reads it)".to_owned()
        };
        out.push_str(&format!(
            "{}: {}, {} with {}, {data}\n",
            self.outcome,
            text::count(
                usize::try_from(self.points).unwrap_or(usize::MAX),
                "restore point"
            ),
            text::count(usize::try_from(self.packs).unwrap_or(usize::MAX), "pack"),
            text::size(self.pack_bytes),
        ));
        if self.outcome == Outcome::Failed {
            out.push_str(
                "hint: points that are not named are whole; back up the VMs again from this host, \
                 which stores again what is missing or damaged\n",
            );
        }
        out
    }
}
