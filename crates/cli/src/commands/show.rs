//! `show`.

use engine::Finding;
use engine::guest::evidence::{Evidence, Evidences};
use engine::point::{Details, Reading, Stats};
use engine::source::Consistency;
use hyperv::host_settings::HostSettings;
use serde::Serialize;

use crate::args::{Global, ShowArgs};
use crate::commands::backup::reading;
use crate::commands::evidence::evidence_text;
use crate::commands::findings::findings_text;
use crate::commands::host_settings::{self, Compared};
use crate::commands::listing::VmListing;
use crate::commands::points::{Line, find_point};
use crate::failure::{Exit, Result};
use crate::table::Table;
use crate::ui::{Document, Ui};
use crate::{open, text, volume_key};

/// Shows a restore point.
pub(crate) fn run(global: &Global, args: &ShowArgs, ui: Ui) -> Result<Exit> {
    let keys = volume_key::all(&args.keys)?;
    let vault = open::vault(global, ui)?;
    let (line, opened, _) = find_point(global, &vault, &args.point, ui)?;
    let details = &opened.details;
    let kept = host_settings::kept(&vault, &opened)?;
    let compared = match &args.compare {
        Some(host) => Some(host_settings::compared(kept.as_ref(), host, &args.reach)?),
        None => None,
    };
    let mut evidences = Evidences::new(&vault, &keys);
    let mut evidence = evidences.of(&opened);
    let needless = evidences.needless(&evidence.iter().collect::<Vec<_>>());
    if let Some(of_vm) = evidence.first_mut() {
        of_vm.findings.extend(needless);
    }
    ui.print(&ShowDocument {
        point: Line::new(&line),
        source: details.source.clone(),
        mode: details.mode.clone(),
        mode_reason: details.mode_reason.clone(),
        holds: VmListing::of(details),
        layers: layers(details),
        evidence,
        not_covered: details.not_covered.clone(),
        findings: details.findings.clone(),
        config: details.config.clone(),
        host_settings: kept,
        compared,
        taken: opened.taken,
        consistency: details.consistency,
    })
}

#[derive(Serialize)]
struct ShowDocument {
    point: Line,
    source: String,
    mode: String,
    mode_reason: Option<String>,
    holds: VmListing,
    layers: Vec<Layer>,
    evidence: Vec<Evidence>,
    not_covered: Vec<String>,
    findings: Vec<Finding>,
    config: Option<serde_json::Value>,
    host_settings: Option<HostSettings>,
    compared: Option<Compared>,
    #[serde(skip)]
    taken: u64,
    #[serde(skip)]
    consistency: Consistency,
}

#[derive(Serialize)]
struct Layer {
    path: String,
    origin: String,
    format: &'static str,
    disk_bytes: u64,
    parent: Option<String>,
    moved: bool,
    reading: Reading,
    stats: Stats,
}

fn layers(details: &Details) -> Vec<Layer> {
    let path = |index: usize| details.layers.get(index).map(|l| l.path.to_string());
    details
        .layers
        .iter()
        .map(|layer| Layer {
            path: layer.path.to_string(),
            origin: layer.origin.clone(),
            format: layer.info.format.name(),
            disk_bytes: layer.info.geometry.len,
            parent: layer.parent.and_then(path),
            moved: layer.moved,
            reading: layer.reading.clone(),
            stats: layer.stats,
        })
        .collect()
}

impl Document for ShowDocument {
    const KIND: &'static str = "show";

    fn human(&self) -> String {
        let mut out = self.head();
        out.push('\n');
        out.push_str(&self.holds.body());
        out.push_str("\nLayers\n");
        let mut table = Table::new(&[">DATA", ">READ", ">NEW", "LAYER", "HOW"]).indent(2);
        for layer in &self.layers {
            table.row([
                text::size(layer.stats.data),
                text::size(layer.stats.read),
                text::size(layer.stats.new),
                layer.path.clone(),
                reading(&layer.reading),
            ]);
        }
        out.push_str(&table.render());
        out.push_str("\nVolumes of the guest\n");
        out.push_str(&evidence_text(&self.evidence, 2));
        let mut volumes = self.evidence.iter().flat_map(|one| &one.volumes);
        if volumes.any(|one| one.verdict.wants_care()) {
            // Other points are not read for this.
            out.push_str("  `hyperkeep verify` tells since which restore point, and which one is the last good one\n");
        }
        out.push_str("\nNot covered\n");
        let lost = self.holds.missing_lines();
        for line in self.not_covered.iter().chain(&lost) {
            out.push_str(&format!("  {}\n", text::line(line)));
        }
        if self.not_covered.is_empty() && lost.is_empty() {
            out.push_str("  nothing that is known of\n");
        }
        if let Some(settings) = &self.host_settings {
            out.push_str("\nHost\n");
            out.push_str(&host_settings::text(settings));
        }
        if let Some(compared) = &self.compared {
            out.push_str(&compared.text());
        }
        if !self.findings.is_empty() {
            out.push_str("\nFindings\n");
            out.push_str(&findings_text(&self.findings, 2));
        }
        out
    }
}

impl ShowDocument {
    fn head(&self) -> String {
        let mut out = self.point.head();
        let mut row = |name: &str, value: &str| {
            out.push_str(&format!("{name:<13}{}\n", text::line(value)));
        };
        row("taken", &format!("{} UTC", text::time(self.taken)));
        row("source", &format!("{} ({})", self.source, self.mode));
        if let Some(why) = &self.mode_reason {
            row("", why);
        }
        let meaning = match self.consistency {
            Consistency::Torn => "files changed while they were read",
            Consistency::Crash => "as after a power cut",
            Consistency::FileSystem => "the guest's file systems were flushed",
            Consistency::Application => "the guest's applications took part",
            Consistency::Offline => "nothing was running",
        };
        row("consistency", &format!("{}: {meaning}", self.consistency));
        out
    }
}
