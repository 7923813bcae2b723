//! `verify`.

use engine::finding::{outcome_of, vault_notes};
use engine::guest::evidence::{Course, Evidence, Evidences, Stage, Verdict, courses};
use engine::list::PointLine;
use engine::{Code, Finding, Outcome, Severity};
use serde::Serialize;

use crate::address::PointAddress;
use crate::args::{Global, VerifyArgs};
use crate::commands::evidence::evidence_text;
use crate::commands::findings::findings_text;
use crate::commands::points;
use crate::failure::{Exit, Failure, Result};
use crate::table::Table;
use crate::ui::{Document, Ui};
use crate::{open, text, volume_key};

/// Tells how consistent the volumes of a VM are, in each of its points.
pub(crate) fn run(global: &Global, args: &VerifyArgs, ui: Ui) -> Result<Exit> {
    let keys = volume_key::all(&args.keys)?;
    let vault = open::vault(global, ui)?;
    let listed = points::points(global, &vault)?;
    let lines = of_vm(&listed.points, &args.what)?;
    let lines = match lines {
        Some(lines) => lines,
        None => {
            let address: PointAddress = args.what.parse().map_err(|_| {
                let why = format!("“{}” is no VM that has restore points", args.what);
                Failure::new(why).hint("`hyperkeep points` lists VMs and their restore points")
            })?;
            let (line, _, _) = points::find_point(global, &vault, &address, ui)?;
            let of_it = listed.points.iter();
            let of_it = of_it.filter(|one| one.vm_id == line.vm_id && one.rank <= line.rank);
            of_it.collect()
        }
    };
    let mut evidences = Evidences::new(&vault, &keys);
    let points: Vec<PointEvidence> = lines
        .iter()
        .map(|line| PointEvidence {
            point: line.id.clone(),
            taken: text::rfc3339(line.taken),
            evidence: evidences.of(line.open()),
            seconds: line.taken,
        })
        .collect();
    let stages = points.iter().map(|one| Stage {
        point: &one.point,
        taken: one.seconds,
        evidence: &one.evidence,
    });
    let courses = courses(&stages.collect::<Vec<_>>());
    let mut findings: Vec<Finding> = courses.iter().filter_map(finding).collect();
    let all: Vec<&Evidence> = points.iter().flat_map(|one| &one.evidence).collect();
    findings.extend(evidences.needless(&all));
    findings.extend(listed.findings);
    findings.extend(vault_notes(&vault));
    ui.print(&VerifyDocument {
        vm_id: lines.first().map(|line| line.vm_id.to_string()),
        vm_name: lines.last().map(|line| line.vm_name.clone()),
        points,
        volumes: courses.into_iter().map(VolumeCourse::new).collect(),
        findings,
    })
}

/// The points of a VM that is given by its name or id, if there are any.
fn of_vm<'a>(points: &'a [PointLine], what: &str) -> Result<Option<Vec<&'a PointLine>>> {
    let is = |line: &&PointLine| {
        line.vm_name == what || line.vm_id.to_string().eq_ignore_ascii_case(what)
    };
    let mut ids: Vec<_> = points.iter().filter(is).map(|line| line.vm_id).collect();
    ids.sort();
    ids.dedup();
    match ids.as_slice() {
        [] => Ok(None),
        [id] => Ok(Some(
            points.iter().filter(|line| line.vm_id == *id).collect(),
        )),
        several => {
            let ids: Vec<String> = several.iter().map(ToString::to_string).collect();
            let why = format!("{} VMs are named {what}: {}", ids.len(), ids.join(", "));
            Err(Failure::new(why).hint("give the VM's id in place of its name"))
        }
    }
}

/// What is to be said of how a volume is in the newest point.
fn finding(course: &Course) -> Option<Finding> {
    let since = format!(
        "since restore point {} of {} UTC",
        course.since,
        text::time(course.since_taken)
    );
    let last = match (&course.last_good, course.last_good_taken) {
        (Some(point), Some(taken)) => format!(
            "restore point {point} of {} UTC is the newest in which it was not",
            text::time(taken)
        ),
        _ => "no restore point has it otherwise".to_owned(),
    };
    let (code, severity, what) = match course.verdict {
        Verdict::Clean | Verdict::NoFiles | Verdict::NeedsReplay => return None,
        Verdict::Damaged => (Code::GuestVolumes, Severity::Warning, "it is damaged"),
        Verdict::Hibernated => (
            Code::GuestVolumes,
            Severity::Warning,
            "its guest is asleep: what that had in memory may be missing in its files",
        ),
        Verdict::Dirty => (
            Code::GuestVolumes,
            Severity::Warning,
            "it was in use and has no journal, or its guest has to check it: the newest changes may be missing",
        ),
        Verdict::Encrypted => (Code::GuestVolumes, Severity::Info, "it is encrypted"),
        Verdict::Unknown => (Code::GuestVolumes, Severity::Info, "it is not read"),
        Verdict::NotLookedAt => (
            Code::DiskUnreadable,
            Severity::Partial,
            "it could not be looked at",
        ),
    };
    let message = format!("{what}, {since}");
    let object = match &course.checkpoint {
        None => course.volume.clone(),
        Some(name) => format!("{} at checkpoint {name}", course.volume),
    };
    let finding = Finding::new(code, severity, object, message);
    Some(finding.hint(match course.verdict {
        Verdict::Damaged | Verdict::Dirty => {
            format!("{last}; have the guest check its file system")
        }
        Verdict::Hibernated => {
            format!(
                "{last}; restore the whole VM and start it, and its guest wakes up with what it had"
            )
        }
        Verdict::NotLookedAt => {
            "`hyperkeep check --read-data` shows what of the vault is damaged".to_owned()
        }
        Verdict::Encrypted => format!("give what opens it: --volume-key {}=FILE", course.volume),
        _ => "restore the disk, and have the guest look at it".to_owned(),
    }))
}

#[derive(Serialize)]
struct VerifyDocument {
    vm_id: Option<String>,
    vm_name: Option<String>,
    points: Vec<PointEvidence>,
    volumes: Vec<VolumeCourse>,
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct PointEvidence {
    point: String,
    taken: Option<String>,
    evidence: Vec<Evidence>,
    #[serde(skip)]
    seconds: u64,
}

#[derive(Serialize)]
struct VolumeCourse {
    volume: String,
    slot: String,
    checkpoint: Option<String>,
    verdict: Verdict,
    since: String,
    since_taken: Option<String>,
    last_good: Option<String>,
    last_good_taken: Option<String>,
}

impl VolumeCourse {
    fn new(course: Course) -> Self {
        Self {
            volume: course.volume,
            slot: course.slot,
            checkpoint: course.checkpoint,
            verdict: course.verdict,
            since: course.since,
            since_taken: text::rfc3339(course.since_taken),
            last_good: course.last_good,
            last_good_taken: course.last_good_taken.and_then(text::rfc3339),
        }
    }
}

impl Document for VerifyDocument {
    const KIND: &'static str = "verify";

    fn outcome(&self) -> Outcome {
        let evidence = self.points.iter().flat_map(|one| &one.evidence);
        let of_points = evidence.clone().map(|one| outcome_of(&one.findings));
        // Of older points and of checkpoints too: what nobody looked at is not known to be well.
        let of_volumes = evidence.flat_map(|one| &one.volumes);
        let of_volumes = of_volumes.map(|volume| match volume.verdict {
            Verdict::NotLookedAt => Outcome::Partial,
            Verdict::Damaged => Outcome::Warning,
            _ => Outcome::Ok,
        });
        let all = of_points.chain(of_volumes);
        Outcome::worst(all.chain([outcome_of(&self.findings)]))
    }

    fn human(&self) -> String {
        let name = self.vm_name.as_deref().unwrap_or_default();
        let mut out = format!("{}\n\n", text::line(name));
        let mut table = Table::new(&["POINT", "TAKEN (UTC)", "VOLUME", "FOUND", "OF"]).indent(2);
        for point in &self.points {
            let id = point.point.get(..12).unwrap_or(&point.point);
            for evidence in &point.evidence {
                let of = evidence.checkpoint.as_deref();
                let of = of.map_or("the VM".to_owned(), |name| format!("checkpoint {name}"));
                for volume in &evidence.volumes {
                    let time = text::time(point.seconds);
                    let found = volume.verdict.as_str();
                    table.row([id, &time, &volume.volume, found, &of]);
                }
            }
        }
        out.push_str(&table.render());
        if let Some(newest) = self.points.last() {
            out.push_str("\nThe newest\n");
            out.push_str(&evidence_text(&newest.evidence, 2));
        }
        // What is told of the newest is above.
        for point in self.points.iter().rev().skip(1) {
            let findings = point.evidence.iter().flat_map(|one| &one.findings);
            let worth = findings.filter(|one| one.severity > Severity::Info);
            let worth: Vec<Finding> = worth.cloned().collect();
            if !worth.is_empty() {
                out.push_str(&format!("\nRestore point {}\n", point.point));
                out.push_str(&findings_text(&worth, 2));
            }
        }
        out.push_str(&findings_text(&self.findings, 0));
        out
    }
}
