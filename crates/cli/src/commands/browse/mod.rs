//! `browse`: through a guest by commands, or on a screen. Both hold a place and marks, and the engine has the rest.

mod line;
mod screen;
mod script;
mod words;

use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use engine::find::find_checkpoint;
use engine::finding::vault_notes;
use engine::guest::browse::{Browser, Estimate, Marks, Progress};
use engine::restore::Opened;
use engine::source::Owner;
use engine::{Cancel, Finding, Outcome};
use vault::Vault;

use crate::args::{BrowseArgs, Global};
use crate::commands::files_out::{Kind, Out};
use crate::commands::findings::findings_text;
use crate::commands::points::find_point;
use crate::commands::restore_files::RestoreFilesDocument;
use crate::failure::{Exit, Failure, OnPath as _, Result};
use crate::ui::{Document as _, Ui, told};
use crate::{open, stop, text, volume_key};

use self::script::Session;
use self::words::{Wrong, words};

/// How to say where files go.
const WHERE: &str = "write `restore to DIR`, `restore tar FILE` or `restore zip FILE`";

/// What is gone through, and how to speak of it.
struct Tour<'a> {
    global: &'a Global,
    ui: Ui,
    cancel: &'a Cancel,
    vault: &'a Vault,
    point: &'a Opened,
    browser: &'a Browser<'a>,
    /// The point's id.
    id: String,
    /// What is told of the point besides.
    beside: Vec<Finding>,
    /// Where the command line says that files go.
    out: Option<Out>,
}

/// Goes through a guest.
pub(crate) fn run(global: &Global, args: &BrowseArgs, ui: Ui) -> Result<Exit> {
    if ui.is_json() {
        return Err(Failure::usage("`browse` prints no JSON")
            .hint("`ls POINT:/`, `find` and `restore files` do, with --json"));
    }
    let out = Out::of(&args.out)?;
    if let Some(out) = &out {
        out.apart(global)?;
    }
    let dash = Some(Path::new("-"));
    let watched = io::stdin().is_terminal() && io::stdout().is_terminal();
    let on_screen = args.script.is_none() && watched;
    let from_file = args
        .script
        .as_deref()
        .filter(|file| *file != Path::new("-"));
    let secrets = [&global.passphrase_file, &global.recovery_code_file];
    let keys = args.keys.volume_key.iter().map(|key| &key.file);
    let mut secrets = secrets.into_iter().chain(keys);
    if from_file.is_none() && secrets.any(|file| file.as_deref() == dash) {
        return Err(
            Failure::usage("commands and the secret cannot both come from standard input")
                .hint("give one of them in a file: --script FILE, or --passphrase-file FILE"),
        );
    }
    if on_screen && out.as_ref().is_some_and(Out::is_output) {
        return Err(Failure::usage("the screen is where the archive would go")
            .hint("name a file, or give commands by --script"));
    }
    let file = from_file.map(|file| {
        let hint = "name a file with commands; `hyperkeep browse --help` tells of them";
        File::open(file).on_path("opening it", file, hint)
    });
    let file = file.transpose()?;
    let keys = volume_key::all(&args.keys)?;
    let vault = open::vault(global, ui)?;
    let (line, point, beside) = find_point(global, &vault, &args.point, ui)?;
    let owner = match &args.checkpoint {
        None => Owner::Vm,
        Some(wanted) => find_checkpoint(&point.details, wanted).map_err(|error| {
            let hint = error.hint();
            Failure::from(anyhow::Error::new(error)).hint(hint)
        })?,
    };
    let tour = Tour {
        global,
        ui,
        cancel: &stop::on_signal(ui),
        vault: &vault,
        point: &point,
        browser: &Browser::new(&vault, &point, &keys),
        id: line.id,
        beside,
        out,
    };
    match file {
        _ if on_screen => tour.show(&owner),
        Some(file) => Session::new(&tour, owner).run(&mut BufReader::new(file)),
        None => Session::new(&tour, owner).run(&mut io::stdin().lock()),
    }
}

impl Tour<'_> {
    /// On a screen. The reports of what was restored stay when it is gone.
    fn show(&self, owner: &Owner) -> Result<Exit> {
        let reports = Mutex::new(Vec::new());
        let restore = |marks: &Marks, typed: &str, cancel: &Cancel, progress: &Progress| {
            let typed = words(typed).map_err(wrong);
            let out = typed.and_then(|words| {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                self.out_of(&words)
            });
            let done = out.and_then(|out| self.restore(marks, &out, cancel, progress));
            let (report, outcome) = match done {
                Ok(document) => (document.human(), document.outcome()),
                Err(failure) => (told(&failure), Outcome::Failed),
            };
            let mut all = reports.lock().unwrap_or_else(PoisonError::into_inner);
            all.push((report.clone(), outcome));
            report
        };
        let usual = match &self.out {
            Some(out) => out.typed(),
            None => "to ".to_owned(),
        };
        screen::run(self.browser, (owner, usual), &restore, self.cancel)?;
        let reports = reports.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (report, _) in &reports {
            self.ui.print_text(&text::lines(report))?;
        }
        let worst = Outcome::worst(reports.iter().map(|(_, outcome)| *outcome));
        Ok(Exit::Outcome(worst))
    }

    /// The place that words name: `to DIR`, `tar FILE`, `zip FILE`; none for the one of the command line.
    fn out_of(&self, words: &[&str]) -> Result<Out> {
        let out = match words {
            [] => {
                let none = || Failure::usage("nothing says where to").hint(WHERE);
                self.out.clone().ok_or_else(none)?
            }
            ["to", folder] if !folder.is_empty() => Out::Folder(PathBuf::from(folder)),
            [_, "-"] => {
                return Err(Failure::usage("here answers go to standard output")
                    .hint("give `--tar -` or `--zip -` on the command line, and write `restore`"));
            }
            ["tar", file] if !file.is_empty() => Out::archive(Kind::Tar, PathBuf::from(file)),
            ["zip", file] if !file.is_empty() => Out::archive(Kind::Zip, PathBuf::from(file)),
            _ => return Err(Failure::usage("that is no place for files").hint(WHERE)),
        };
        out.apart(self.global)?;
        Ok(out)
    }

    /// Restores what is marked, and tells all that there is to tell of it.
    fn restore(
        &self,
        marks: &Marks,
        out: &Out,
        cancel: &Cancel,
        progress: &Progress,
    ) -> Result<RestoreFilesDocument> {
        let report = out.fill(cancel, &mut |target| {
            self.browser.restore(marks, target, cancel, progress)
        })?;
        let mut findings = self.beside.clone();
        let mut owners: Vec<&Owner> = Vec::new();
        for (owner, _) in marks.iter() {
            if !owners.contains(&owner) {
                owners.push(owner);
                findings.extend(self.browser.guest(owner).findings.iter().cloned());
            }
        }
        findings.extend(vault_notes(self.vault));
        Ok(RestoreFilesDocument::new(self.id.clone(), report, findings))
    }
}

/// What an estimate tells.
fn estimate_text(estimate: Estimate) -> String {
    let counts = estimate.report.counts;
    let count = |number: u64, one: &str| text::count(number as usize, one);
    let told = findings_text(&estimate.report.into_findings(), 0);
    format!(
        "{told}{}, {}, {}, {}; {} of it stored, which would be read\n",
        count(counts.files, "file"),
        count(counts.folders, "folder"),
        count(counts.links, "link"),
        text::size(counts.bytes),
        text::size(estimate.to_read),
    )
}

/// What is wrong with a line.
fn wrong(wrong: Wrong) -> Failure {
    match wrong {
        Wrong::Open(quote) => Failure::usage(format!("{quote} is opened and not closed"))
            .hint("write \\ before a quote that is part of a name"),
        Wrong::Backslash => Failure::usage("there is nothing behind the \\")
            .hint("write \\\\ for a backslash that is part of a name"),
    }
}
