//! `restore`.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::path::Path;

use engine::find::find_checkpoint;
use engine::finding::{outcome_of, vault_notes};
use engine::guest::Keys;
use engine::restore::plan::{DiskFormat, DisksWanted};
use engine::restore::{
    Became, DisksTo, Existing, Opened, RestoreReport, RestoredFile, Room, SimulatedFile, Task,
    restore_disks, restore_folder,
};
use engine::{Finding, Outcome, SystemClock};
use serde::Serialize;

use crate::address::PointAddress;
use crate::args::{DiskFormatArg, DisksArgs, FolderArgs, Global, OverwriteArg, RestoreCommand};
use crate::commands::backup::limits;
use crate::commands::findings::findings_text;
use crate::commands::host_settings::{self, Compared};
use crate::commands::points::find_point;
use crate::commands::{in_place, restore_files, restore_kept, restore_vm};
use crate::failure::{Exit, Failure, Result};
use crate::progress::Progress;
use crate::ui::{Document, Ui};
use crate::{apart, open, stop, text, volume_key};

/// What is restored with its disks.
enum Whole<'a> {
    Disks(&'a DisksArgs),
    Folder(&'a FolderArgs),
}

/// Restores.
pub(crate) fn run(global: &Global, command: &RestoreCommand, ui: Ui) -> Result<Exit> {
    if let RestoreCommand::Disks(args) = command
        && !args.allow_damaged
        && !args.keys.volume_key.is_empty()
    {
        let why =
            "--volume-key names files for --allow-damaged, and without that nothing asks for it";
        return Err(Failure::usage(why).hint("a disk is restored as it is, encrypted"));
    }
    match command {
        RestoreCommand::Files(args) => restore_files::run(global, args, ui),
        RestoreCommand::Vm(args) => restore_vm::run(global, args, ui),
        RestoreCommand::Confirm(args) => match &args.vm {
            Some(vm) => restore_kept::confirm(global, vm, args, ui),
            None => in_place::confirm(args, ui),
        },
        RestoreCommand::Undo(args) => match &args.kept.vm {
            Some(vm) => restore_kept::undo(global, vm, args, ui),
            None => in_place::undo(&args.kept, ui),
        },
        RestoreCommand::Kept(args) => restore_kept::list(args, ui),
        RestoreCommand::Disks(args) if args.in_place => in_place::run(global, args, ui),
        RestoreCommand::Disks(args) => whole(global, &Whole::Disks(args), ui),
        RestoreCommand::Folder(args) => whole(global, &Whole::Folder(args), ui),
    }
}

fn whole(global: &Global, command: &Whole<'_>, ui: Ui) -> Result<Exit> {
    let (address, to) = match command {
        Whole::Disks(args) => (&args.point, &args.to),
        Whole::Folder(args) => (&args.point, &args.to),
    };
    apart::target(open::location(global)?, to)?;
    let overwrite = match command {
        Whole::Disks(args) => overwrite(args.overwrite, ui)?,
        Whole::Folder(_) => OverwriteArg::Never,
    };
    let keys = match command {
        Whole::Disks(args) => volume_key::all(&args.keys)?,
        Whole::Folder(_) => Keys::default(),
    };
    let vault = open::vault(global, ui)?;
    let (line, point, unreadable) = find_point(global, &vault, address, ui)?;
    // Before anything is written: who cannot be asked is told at once.
    let compared = match command {
        Whole::Folder(args) => args.compare.as_ref().map(|host| {
            let kept = host_settings::kept(&vault, &point)?;
            host_settings::compared(kept.as_ref(), host, &args.reach)
        }),
        Whole::Disks(_) => None,
    };
    let compared = compared.transpose()?;
    let cancel = stop::on_signal(ui);
    let clock = SystemClock::new();
    let progress = Progress::new(ui);
    let task = Task {
        vault: &vault,
        clock: &clock,
        sink: &progress,
        cancel: &cancel,
        limits: limits(global),
    };
    let mut report = match command {
        Whole::Disks(args) => {
            let wanted = disks_wanted(&point, args)?;
            let to = DisksTo {
                existing: existing(overwrite),
                simulate: args.simulate,
                damaged: args.allow_damaged.then_some(&keys),
                ..DisksTo::folder(&args.to)
            };
            restore_disks(&task, &point, &wanted, &to)
        }
        Whole::Folder(args) => restore_folder(&task, &point, &args.to, args.windows_path.as_ref()),
    };
    drop(progress);
    let notes = vault_notes(&vault);
    report.outcome = Outcome::worst([report.outcome, outcome_of(&notes)]);
    report.findings.extend(notes);
    if matches!(address, PointAddress::Of { .. }) {
        // The newest that can be read need not be the newest.
        report.outcome = Outcome::worst([report.outcome, outcome_of(&unreadable)]);
        report.findings.extend(unreadable);
    }
    ui.print(&RestoreDocument::new(line.id, report, compared))
}

/// What to do about files that are there: without a word of it, ask who is there to be asked.
fn overwrite(wanted: Option<OverwriteArg>, ui: Ui) -> Result<OverwriteArg> {
    let watched = ui.watched() && io::stdin().is_terminal();
    match wanted {
        None if watched && !ui.is_json() => Ok(OverwriteArg::Ask),
        None => Ok(OverwriteArg::Never),
        Some(OverwriteArg::Ask) if !watched => {
            Err(Failure::usage("--overwrite ask needs a terminal to ask on")
                .hint("say never, rename, older or always"))
        }
        Some(wanted) => Ok(wanted),
    }
}

const ASK: &(dyn Fn(&Path) -> bool + Sync) = &ask;

fn existing(overwrite: OverwriteArg) -> Existing<'static> {
    match overwrite {
        OverwriteArg::Never => Existing::Keep,
        OverwriteArg::Rename => Existing::Rename,
        OverwriteArg::Older => Existing::Older,
        OverwriteArg::Ask => Existing::Ask(ASK),
        OverwriteArg::Always => Existing::Replace,
    }
}

/// Whether somebody at the terminal says that this file may be replaced. No answer is none.
fn ask(path: &Path) -> bool {
    let path = path.display().to_string();
    let shown = text::line(&path);
    eprint!("{shown} exists. Replace it once the restored disk is whole? [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().lock().take(1000).read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

pub(crate) fn disks_wanted(point: &Opened, args: &DisksArgs) -> Result<DisksWanted> {
    let checkpoint = args
        .checkpoint
        .as_deref()
        .map(|text| find_checkpoint(&point.details, text))
        .transpose()
        .map_err(|error| {
            let hint = error.hint();
            Failure::from(anyhow::Error::new(error)).hint(hint)
        })?;
    Ok(DisksWanted {
        flatten: args.flatten,
        format: args.format.map(|format| match format {
            DiskFormatArg::Vhdx => DiskFormat::Vhdx,
            DiskFormatArg::VhdxFixed => DiskFormat::VhdxFixed,
            DiskFormatArg::Vhd => DiskFormat::Vhd,
            DiskFormatArg::VhdFixed => DiskFormat::VhdFixed,
            DiskFormatArg::Raw => DiskFormat::Raw,
            DiskFormatArg::Qcow2 => DiskFormat::Qcow2,
        }),
        checkpoint,
        disks: args.disk.clone(),
    })
}

#[derive(Serialize)]
struct RestoreDocument {
    point: String,
    files: Vec<RestoredFile>,
    findings: Vec<Finding>,
    simulated: Option<Vec<SimulatedFile>>,
    room: Option<Room>,
    compared: Option<Compared>,
    #[serde(skip)]
    outcome: Outcome,
}

impl RestoreDocument {
    fn new(point: String, report: RestoreReport, compared: Option<Compared>) -> Self {
        Self {
            point,
            files: report.files,
            findings: report.findings,
            simulated: report.simulated,
            room: report.room,
            compared,
            outcome: report.outcome,
        }
    }
}

impl Document for RestoreDocument {
    const KIND: &'static str = "restore";

    fn outcome(&self) -> Outcome {
        self.outcome
    }

    fn human(&self) -> String {
        let mut out = String::new();
        for file in &self.files {
            out.push_str(&format!(
                "{}  {}\n",
                text::line(&file.path),
                text::size(file.data)
            ));
        }
        for file in self.simulated.iter().flatten() {
            let what = match file.became {
                Became::New | Became::Beside => "would be made",
                Became::Replaced => "would be replaced",
            };
            out.push_str(&format!(
                "{}  {}  {what}\n",
                text::line(&file.path),
                text::size(file.bytes)
            ));
        }
        if let (Some(_), Some(room)) = (&self.simulated, self.room) {
            let free = room.free.map_or("unknown".to_owned(), text::size);
            let needed = text::size(room.needed);
            out.push_str(&format!("room: {needed} needed, {free} free\n"));
        }
        out.push_str(&findings_text(&self.findings, 0));
        out.push_str(&format!(
            "{}: {}\n",
            self.outcome,
            match &self.simulated {
                None => text::count(self.files.len(), "file"),
                Some(files) => format!(
                    "nothing was written; {} could be",
                    text::count(files.len(), "file")
                ),
            }
        ));
        if let Some(compared) = &self.compared {
            out.push_str(&compared.text());
        }
        out
    }
}
