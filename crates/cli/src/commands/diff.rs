//! `diff`.

use engine::find::find_checkpoint;
use engine::finding::{outcome_of, vault_notes};
use engine::guest::GuestPath;
use engine::guest::diff::{Change, DiffError, DiffReport, Side, Wanted, diff};
use engine::restore::Opened;
use engine::source::Owner;
use engine::{Finding, Outcome};
use serde::Serialize;

use crate::address::PointAddress;
use crate::args::{DiffArgs, Global};
use crate::commands::findings::findings_text;
use crate::commands::points::find_point;
use crate::failure::{Exit, Failure, Result};
use crate::stream::Stream;
use crate::ui::Ui;
use crate::{open, stop, text, volume_key};

/// Tells what changed of a guest's files between two moments.
pub(crate) fn run(global: &Global, args: &DiffArgs, ui: Ui) -> Result<Exit> {
    if args.checkpoint.len() > 2 {
        return Err(Failure::usage("--checkpoint is given more than twice")
            .hint("the first is of the first POINT, the second of the second one"));
    }
    let path = match &args.path {
        None => None,
        Some(typed) => Some(GuestPath::parse(typed).ok_or_else(|| {
            Failure::usage(format!("“{typed}” names no volume"))
                .hint("write /VOLUME/path; `hyperkeep ls POINT:/` lists the volumes")
        })?),
    };
    let keys = volume_key::all(&args.keys)?;
    let vault = open::vault(global, ui)?;
    let (before, before_line, mut beside) = moment(global, &vault, args, 0, ui)?;
    let (after, after_line, more) = moment(global, &vault, args, 1, ui)?;
    beside.extend(
        more.into_iter()
            .filter(|one| !beside.contains(one))
            .collect::<Vec<_>>(),
    );
    let cancel = stop::on_signal(ui);
    let wanted = Wanted {
        before: before.side(),
        after: after.side(),
        path,
        thorough: args.thorough,
        keys: &keys,
        cancel: &cancel,
    };
    let head = Head {
        before: before_line,
        after: after_line,
    };
    let mut stream = Stream::new(ui, "diff", head, "changes");
    let report = diff(&vault, &wanted, &mut |change| stream.item(&change, line));
    let failed = |error: DiffError| {
        let hint = error.hint();
        Failure::from(anyhow::Error::new(error)).hint(hint)
    };
    let mut report = match report {
        Ok(report) => report,
        Err(error) => return stream.fail(failed(error)),
    };
    report.findings.extend(beside);
    report.findings.extend(vault_notes(&vault));
    let outcome = match cancel.is_cancelled() {
        true => Outcome::Cancelled,
        false => outcome_of(&report.findings),
    };
    stream.end(&report, outcome, summary)
}

/// A moment as it was named.
struct Moment {
    point: Opened,
    owner: Owner,
}

impl Moment {
    fn side(&self) -> Side<'_> {
        Side {
            point: &self.point,
            owner: &self.owner,
        }
    }
}

/// The first or the second moment, and what is told of points that may be newer.
fn moment(
    global: &Global,
    vault: &vault::Vault,
    args: &DiffArgs,
    which: usize,
    ui: Ui,
) -> Result<(Moment, MomentLine, Vec<Finding>)> {
    let address = [&args.before, &args.after][which];
    let (line, point, beside) = find_point(global, vault, address, ui)?;
    let checkpoint = args.checkpoint.get(which);
    let owner = checkpoint.map(|wanted| find_checkpoint(&point.details, wanted));
    let owner = owner.transpose().map_err(|error| {
        let hint = error.hint();
        Failure::from(anyhow::Error::new(error)).hint(hint)
    })?;
    let told = MomentLine {
        point: line.id,
        vm_name: line.vm_name,
        taken: text::rfc3339(line.taken),
        checkpoint: checkpoint.cloned(),
    };
    let beside = match address {
        PointAddress::Of { .. } => beside,
        PointAddress::Id(_) => Vec::new(),
    };
    let owner = owner.unwrap_or(Owner::Vm);
    Ok((Moment { point, owner }, told, beside))
}

#[derive(Serialize)]
struct Head {
    before: MomentLine,
    after: MomentLine,
}

#[derive(Serialize)]
struct MomentLine {
    point: String,
    vm_name: String,
    taken: Option<String>,
    checkpoint: Option<String>,
}

/// A change on one line.
fn line(change: &Change) -> String {
    let size = match change.kind {
        "file" | "volume" => text::size(change.bytes),
        _ => String::new(),
    };
    let mut out = format!(
        "{:<8} {:<8} {size:>10}  {}",
        change.change, change.kind, change.path
    );
    if let Some(from) = &change.from {
        out.push_str(&format!(" <- {from}"));
    }
    let mut what = change.what.join(", ");
    if let Some(was) = change.was {
        what = format!("was a {was}; {what}");
    }
    if !what.is_empty() {
        out.push_str(&format!(" ({what})"));
    }
    format!("{}\n", text::line(&out))
}

fn summary(report: &DiffReport) -> String {
    let counts = &report.counts;
    let mut out = format!(
        "{} added, {} removed, {} renamed, {} changed\n",
        counts.added, counts.removed, counts.renamed, counts.changed
    );
    out.push_str(&format!(
        "{} compared; contents are the same of {} by the disk maps, of {} by reading, of {} by their times\n",
        counts.compared, counts.same_by_map, counts.same_by_reading, counts.same_by_metadata
    ));
    for volume in &report.volumes {
        let mut told = match volume.differing {
            Some(bytes) => format!(
                "{} of {} may differ",
                text::size(bytes),
                text::size(volume.bytes)
            ),
            None => "nothing tells where its bytes may differ".to_owned(),
        };
        if let Some(why) = &volume.not_compared {
            told.push_str(&format!("; files not compared: {why}"));
        }
        let line = format!("{}: {told}", volume.volume);
        out.push_str(&format!("{}\n", text::line(&line)));
    }
    out.push_str(&format!(
        "{} read, of disks of {}\n",
        text::size(report.read),
        text::size(report.disk_bytes)
    ));
    out.push_str(&findings_text(&report.findings, 0));
    out
}
