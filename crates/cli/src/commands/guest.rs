//! What is in a guest: `ls POINT:/…` and `find`.

use engine::find::find_checkpoint;
use engine::finding::{outcome_of, vault_notes};
use engine::guest::list::{self, FileLine, VolumeLine};
use engine::guest::{Guest, GuestDisk, GuestPath, Next, Pattern};
use engine::restore::Opened;
use engine::source::Owner;
use engine::{Finding, Outcome};
use serde::Serialize;
use vault::Vault;

use crate::address::PointAddress;
use crate::args::{FindArgs, Global, VolumeKeyArgs};
use crate::commands::findings::findings_text;
use crate::commands::points::find_point;
use crate::failure::{Exit, Failure, Result};
use crate::table::Table;
use crate::ui::{Document, Ui};
use crate::{open, text, volume_key};

/// The guest as it was when its VM was backed up, or at a checkpoint.
///
/// Of the point that was looked for, `beside` is what is told besides: points that cannot be read may be newer
/// than the one that was found.
pub(crate) fn guest(
    vault: &Vault,
    (address, point, beside): (&PointAddress, &Opened, Vec<Finding>),
    checkpoint: Option<&str>,
    keys: &VolumeKeyArgs,
) -> Result<Guest> {
    let owner = checkpoint.map(|wanted| find_checkpoint(&point.details, wanted));
    let owner = owner.transpose().map_err(|error| {
        let hint = error.hint();
        Failure::from(anyhow::Error::new(error)).hint(hint)
    })?;
    let keys = volume_key::all(keys)?;
    let mut guest = Guest::open_with(vault, point, &owner.unwrap_or(Owner::Vm), &keys);
    if matches!(address, PointAddress::Of { .. }) {
        guest.findings.extend(beside);
    }
    Ok(guest)
}

/// A pattern as it was typed.
pub(crate) fn pattern(typed: &str) -> Result<Pattern> {
    Pattern::parse(typed).map_err(|error| {
        Failure::usage(error).hint("write /VOLUME/path; `hyperkeep ls POINT:/` lists the volumes")
    })
}

/// Lists the volumes of a guest, or a folder of one.
pub(crate) fn ls(guest: &Guest, path: &str, ui: Ui) -> Result<Exit> {
    let Some(path) = GuestPath::parse(path) else {
        let (volumes, odd) = list::volumes(guest);
        return ui.print(&VolumesDocument {
            disks: guest.disks.clone(),
            volumes,
            findings: [guest.findings.clone(), odd].concat(),
        });
    };
    let (files, odd) = list::folder(guest, &path).map_err(|error| {
        let hint = list::hint(&path.volume, &error);
        let failure = Failure::from(anyhow::Error::new(error).context(path.to_string()));
        failure.hint(hint.unwrap_or_else(|| {
            "`hyperkeep ls POINT:/` lists the volumes, and `hyperkeep ls POINT:/VOLUME` what is in one"
                .to_owned()
        }))
    })?;
    ui.print(&FilesDocument {
        files,
        findings: [guest.findings.clone(), odd].concat(),
    })
}

/// Finds files by their names.
pub(crate) fn find(global: &Global, args: &FindArgs, ui: Ui) -> Result<Exit> {
    let patterns = args.patterns.iter().map(|typed| match typed.contains('/') {
        true => pattern(typed),
        false => pattern(&format!("*/**/{typed}")),
    });
    let patterns = patterns.collect::<Result<Vec<Pattern>>>()?;
    let vault = open::vault(global, ui)?;
    let (_, point, beside) = find_point(global, &vault, &args.point, ui)?;
    let point = (&args.point, &point, beside);
    let guest = guest(&vault, point, args.checkpoint.as_deref(), &args.keys)?;
    let mut document = FilesDocument {
        files: Vec::new(),
        findings: guest.findings.clone(),
    };
    let odd = list::find(&guest, &patterns, &mut |line| {
        document.files.push(line);
        Next::On
    });
    document.findings.extend(odd);
    document.findings.extend(vault_notes(&vault));
    ui.print(&document)
}

#[derive(Serialize)]
pub(super) struct VolumesDocument {
    pub(super) disks: Vec<GuestDisk>,
    pub(super) volumes: Vec<VolumeLine>,
    pub(super) findings: Vec<Finding>,
}

impl Document for VolumesDocument {
    const KIND: &'static str = "ls-volumes";

    fn outcome(&self) -> Outcome {
        outcome_of(&self.findings)
    }

    fn human(&self) -> String {
        let mut table = Table::new(&["VOLUME", ">SIZE", "WHAT", "LABEL", "STATE", "DISK"]);
        for volume in &self.volumes {
            let label = match volume.label.is_empty() {
                true => &volume.partition,
                false => &volume.label,
            };
            let state = volume.state.unwrap_or("not read");
            // What it is in counts for people as much as what it is.
            let what = match volume.encrypted.filter(|by| *by != volume.what) {
                Some(by) => &format!("{} in {by}", volume.what),
                None => &volume.what,
            };
            let disk = format!("{} {}", volume.slot, volume.disk);
            table.row([
                &volume.volume,
                &text::size(volume.bytes),
                what,
                label,
                state,
                disk.trim(),
            ]);
        }
        let mut out = table.render();
        for volume in &self.volumes {
            let notes = volume.not_read.iter().chain(&volume.notes);
            for note in notes {
                let (name, note) = (text::line(&volume.volume), text::line(note));
                out.push_str(&format!("{name}: {note}\n"));
            }
        }
        out.push_str(&findings_text(&self.findings, 0));
        out
    }
}

#[derive(Serialize)]
pub(super) struct FilesDocument {
    pub(super) files: Vec<FileLine>,
    pub(super) findings: Vec<Finding>,
}

impl Document for FilesDocument {
    const KIND: &'static str = "ls-files";

    fn outcome(&self) -> Outcome {
        outcome_of(&self.findings)
    }

    fn human(&self) -> String {
        let mut table = Table::new(&["KIND", "MODE", ">SIZE", "WRITTEN", "PATH"]);
        for file in &self.files {
            let modified = file
                .modified
                .and_then(|(seconds, _)| u64::try_from(seconds).ok());
            let modified = modified.and_then(text::rfc3339).unwrap_or_default();
            let mode = file
                .mode
                .map(|mode| format!("{mode:04o}"))
                .unwrap_or_default();
            let size = match file.kind {
                "file" => text::size(file.bytes),
                _ => String::new(),
            };
            let mut path = file.path.clone();
            if let Some(target) = &file.target {
                path.push_str(&format!(" -> {target}"));
            }
            if let Some(why) = &file.not_read {
                path.push_str(&format!(" ({why})"));
            }
            table.row([file.kind, &mode, &size, &modified, &path]);
        }
        let mut out = table.render();
        out.push_str(&findings_text(&self.findings, 0));
        out
    }
}
