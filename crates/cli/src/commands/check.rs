//! `check`.

use std::sync::OnceLock;

use engine::progress::{Meter, Sink};
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
    let pace = Pace::new(&sink, &clock);
    let report = vault
        .check(options, &|done, total| pace.told(done, total))
        .map_err(|error| open::vault_failure(error, location))?;
    drop(pace);
    drop(sink);
    ui.print(&CheckDocument::new(&report, args.read_data))
}

/// How far the reading is, how fast it goes, and how long it will take.
struct Pace<'a> {
    sink: &'a dyn Sink,
    clock: &'a dyn Clock,
    /// From the first word on, which tells how much there is to read.
    meter: OnceLock<Meter<'a>>,
}

impl<'a> Pace<'a> {
    fn new(sink: &'a dyn Sink, clock: &'a dyn Clock) -> Self {
        let meter = OnceLock::new();
        Self { sink, clock, meter }
    }

    /// `done` of `total` bytes are read: said from any thread.
    fn told(&self, done: u64, total: u64) {
        let begin = || Meter::begin(self.sink, self.clock, "", "reading all packs", total);
        self.meter.get_or_init(begin).reach(done);
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use engine::progress::{Event, Step};

    use super::*;

    #[derive(Default)]
    struct Manual(AtomicU64);

    impl Clock for Manual {
        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::Relaxed))
        }
        fn unix_seconds(&self) -> u64 {
            0
        }
        fn sleep(&self, span: Duration) {
            self.0.fetch_add(span.as_secs(), Ordering::Relaxed);
        }
    }

    #[derive(Default)]
    struct Collect(Mutex<Vec<Event>>);

    impl Sink for Collect {
        fn event(&self, event: &Event) {
            self.0.lock().unwrap().push(event.clone());
        }
    }

    #[test]
    fn a_check_tells_how_long_it_will_take() {
        let (sink, clock) = (Collect::default(), Manual::default());
        let pace = Pace::new(&sink, &clock);
        for second in 0..=3 {
            clock.0.store(second, Ordering::Relaxed);
            pace.told(100 * (second + 1), 1000);
        }
        let events = sink.0.lock().unwrap();
        let begun = |event: &&Event| matches!(event, Event::DiskStarted { bytes: 1000, .. });
        assert_eq!(events.iter().filter(begun).count(), 1);
        let Some(Event::Step(Step { done, left, .. })) = events.last() else {
            panic!("{events:?}");
        };
        // 400 bytes in 3 seconds, of which the first 100 were at once.
        assert_eq!((*done, *left), (400, Some(Duration::from_millis(4500))));
    }
}
