//! Commands for going through a guest, one after the other. The first that fails ends them: what comes behind it
//! may count on it.

use std::collections::HashSet;
use std::io::BufRead;

use engine::find::find_checkpoint;
use engine::guest::browse::{Marks, Place, Progress};
use engine::guest::list;
use engine::guest::{GuestPath, Next, Pattern};
use engine::source::Owner;
use engine::{Finding, Outcome};

use super::line;
use super::words::words;
use super::{Tour, estimate_text, wrong};
use crate::commands::files_out::Out;
use crate::commands::guest::{FilesDocument, VolumesDocument};
use crate::failure::{Exit, Failure, Result};
use crate::table::Table;
use crate::text;
use crate::ui::Document;

/// What `help` says.
const HELP: &str = "\
cd [PATH]           go to a folder; /VOLUME/PATH from the volumes on, .. for the one above, alone to the volumes
pwd                 where this is
ls [PATH]           what is here, or there
find PATTERN…       all with such names in the folders from here on; * ? [ab] {a,b} ** as `hyperkeep find` has them
checkpoint [NAME]   go to the guest as it was at a checkpoint; `checkpoint now` back; alone: which there are
mark PATH…          mark files, or folders with all that is in them
unmark [PATH…]      take marks away; alone: all
lsmark              what is marked
estimate            how much that is, and what would be read
restore [to DIR | tar FILE | zip FILE]    restore what is marked; alone: where the command line says
done [to DIR | tar FILE | zip FILE]       the same, and end
help                this
quit                end, without restoring anything
";

/// Whether there is more to do.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    End,
}

/// Somebody who goes through a guest.
pub(super) struct Session<'a> {
    tour: &'a Tour<'a>,
    place: Place,
    marks: Marks,
    /// Whether an archive was written to standard output.
    written: bool,
    /// States of which was told what is odd about them.
    told: HashSet<Owner>,
    worst: Outcome,
}

impl<'a> Session<'a> {
    pub(super) fn new(tour: &'a Tour<'a>, owner: Owner) -> Self {
        Self {
            tour,
            place: Place::volumes(owner),
            marks: Marks::default(),
            written: false,
            told: HashSet::new(),
            worst: Outcome::Ok,
        }
    }

    /// Does what the lines say. The worst of what came of it is how it ended.
    pub(super) fn run(&mut self, from: &mut dyn BufRead) -> Result<Exit> {
        let mut number = 0;
        while let Some(line) = line::next(from)? {
            number += 1;
            if self.tour.cancel.is_cancelled() {
                self.worst = Outcome::worst([self.worst, Outcome::Cancelled]);
                break;
            }
            let done = self.line(&line);
            // What was stopped in its middle is not all that there is.
            if self.tour.cancel.is_cancelled() {
                self.worst = Outcome::worst([self.worst, Outcome::Cancelled]);
            }
            let flow = done.map_err(|failure| Failure {
                error: failure.error.context(format!("line {number}: {line}")),
                ..failure
            })?;
            if flow == Flow::End {
                break;
            }
        }
        Ok(Exit::Outcome(self.worst))
    }

    fn line(&mut self, line: &str) -> Result<Flow> {
        let words = words(line).map_err(wrong)?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [] => {}
            ["cd"] => self.place = Place::volumes(self.place.owner.clone()),
            ["cd", path] => self.cd(path)?,
            ["pwd"] => {
                let at = self.at_checkpoint(&self.place.owner);
                self.say(&format!("{}{at}\n", text::line(&self.place.to_string())))?;
            }
            ["ls"] => self.ls(".")?,
            ["ls", path] => self.ls(path)?,
            ["find", patterns @ ..] if !patterns.is_empty() => self.find(patterns)?,
            ["checkpoint"] => self.checkpoints()?,
            ["checkpoint", name] => self.checkpoint(name)?,
            ["mark", paths @ ..] if !paths.is_empty() => self.mark(paths)?,
            ["unmark"] => self.marks.clear(),
            ["unmark", paths @ ..] => self.unmark(paths)?,
            ["lsmark"] => self.lsmark()?,
            ["estimate"] => self.estimate()?,
            [what @ ("restore" | "done"), to @ ..] => {
                self.restore(to)?;
                if *what == "done" {
                    return Ok(Flow::End);
                }
            }
            ["help"] => self.say(HELP)?,
            ["quit"] => return Ok(Flow::End),
            [command, ..] => {
                let known = HELP
                    .lines()
                    .any(|line| line.split(' ').next() == Some(command));
                return Err(match known {
                    true => Failure::usage(format!("“{command}” does not take these words"))
                        .hint("quote names with spaces; `help` tells what commands take"),
                    false => Failure::usage(format!("there is no command “{command}”"))
                        .hint("`help` lists the commands"),
                });
            }
        }
        Ok(Flow::On)
    }

    /// Prints something; beside an archive on standard output, on standard error.
    fn say(&self, what: &str) -> Result<()> {
        match self.tour.out.as_ref().is_some_and(Out::is_output) {
            true => self.tour.ui.say(what),
            false => self.tour.ui.print_text(&text::lines(what))?,
        }
        Ok(())
    }

    fn print<D: Document>(&mut self, document: &D) -> Result<()> {
        self.worst = Outcome::worst([self.worst, document.outcome()]);
        self.say(&document.human())
    }

    /// What is to be told of the state that this is, the first time.
    fn news(&mut self) -> Vec<Finding> {
        let owner = self.place.owner.clone();
        let guest = self.tour.browser.guest(&owner);
        match self.told.insert(owner) {
            true => [&guest.findings[..], &self.tour.beside].concat(),
            false => Vec::new(),
        }
    }

    fn path(&self, typed: &str) -> Result<GuestPath> {
        self.place.to(typed).path.ok_or_else(|| {
            Failure::usage(format!("“{typed}” names no volume"))
                .hint("`ls /` lists the volumes: write /VOLUME/PATH")
        })
    }

    fn cd(&mut self, typed: &str) -> Result<()> {
        let place = self.place.to(typed);
        self.tour
            .browser
            .enter(&place)
            .map_err(|error| not_there(error, &place))?;
        self.place = place;
        Ok(())
    }

    fn ls(&mut self, typed: &str) -> Result<()> {
        let place = self.place.to(typed);
        let guest = self.tour.browser.guest(&place.owner);
        let news = self.news();
        let Some(path) = &place.path else {
            let (volumes, odd) = list::volumes(&guest);
            return self.print(&VolumesDocument {
                disks: guest.disks.clone(),
                volumes,
                findings: [news, odd].concat(),
            });
        };
        let (files, odd) = list::folder(&guest, path).map_err(|error| not_there(error, &place))?;
        let findings = [news, odd].concat();
        self.print(&FilesDocument { files, findings })
    }

    fn find(&mut self, typed: &[&str]) -> Result<()> {
        let place = self.place.path.clone();
        let patterns = typed
            .iter()
            .map(|typed| Pattern::below(place.as_ref(), typed));
        let patterns = patterns.collect::<std::result::Result<Vec<_>, _>>();
        let patterns = patterns.map_err(|error| {
            Failure::usage(error)
                .hint("write [[], [{] or [}] for a [, { or } that is part of a name")
        })?;
        let guest = self.tour.browser.guest(&self.place.owner);
        let mut findings = self.news();
        let mut files = Vec::new();
        let cancel = self.tour.cancel;
        findings.extend(list::find(&guest, &patterns, &mut |line| {
            files.push(line);
            match cancel.is_cancelled() {
                true => Next::Stop,
                false => Next::On,
            }
        }));
        self.print(&FilesDocument { files, findings })
    }

    fn checkpoints(&mut self) -> Result<()> {
        let mut table = Table::new(&["", "CHECKPOINT", "TAKEN (UTC)", "ID"]);
        for state in self.tour.browser.states() {
            let here = if state.owner == self.place.owner {
                "*"
            } else {
                ""
            };
            let taken = state.time.map(text::time).unwrap_or_default();
            let id = match &state.owner {
                Owner::Vm => "now".to_owned(),
                Owner::Checkpoint(id) => id.to_string(),
            };
            let name = state.name.as_deref().unwrap_or("(as it was backed up)");
            table.row([here, name, &taken, &id]);
        }
        self.say(&table.render())
    }

    fn checkpoint(&mut self, wanted: &str) -> Result<()> {
        let found = match wanted {
            "now" => Ok(Owner::Vm),
            wanted => find_checkpoint(&self.tour.point.details, wanted),
        };
        let owner = found.map_err(|error| {
            Failure::from(anyhow::Error::new(error))
                .hint("`checkpoint` alone lists them; give an id where several have one name")
        })?;
        let place = self.place.at(owner);
        // The folder may not have been there then.
        self.place = match self.tour.browser.enter(&place) {
            Ok(()) => place,
            Err(_) => Place::volumes(place.owner),
        };
        Ok(())
    }

    fn mark(&mut self, typed: &[&str]) -> Result<()> {
        // All or none.
        let mut paths = Vec::new();
        for typed in typed {
            let path = self.path(typed)?;
            let place = self.place.to(typed);
            let there = self.tour.browser.look(&place.owner, &path);
            there.map_err(|error| not_there(error, &place))?;
            paths.push(path);
        }
        for path in paths {
            self.marks.insert(self.place.owner.clone(), path);
        }
        Ok(())
    }

    fn unmark(&mut self, typed: &[&str]) -> Result<()> {
        for typed in typed {
            let path = self.path(typed)?;
            if !self.marks.remove(&self.place.owner, &path) {
                return Err(Failure::usage(format!("/{path} is not marked")).hint(
                    "`lsmark` lists what is; what is in a marked folder has no mark of its own",
                ));
            }
        }
        Ok(())
    }

    fn lsmark(&self) -> Result<()> {
        let mut out = String::new();
        for (owner, path) in self.marks.iter() {
            let at = self.at_checkpoint(owner);
            out.push_str(&format!("/{}{at}\n", text::line(&path.to_string())));
        }
        self.say(&out)
    }

    /// Which checkpoint an owner is, if it is one.
    fn at_checkpoint(&self, owner: &Owner) -> String {
        let state = self.tour.browser.state(owner);
        match state.and_then(|state| state.name) {
            Some(name) => format!("  (at checkpoint {})", text::line(&name)),
            None => String::new(),
        }
    }

    fn some_marks(&self) -> Result<()> {
        match self.marks.is_empty() {
            true => Err(Failure::usage("nothing is marked")
                .hint("`mark PATH` does; `ls` shows what there is")),
            false => Ok(()),
        }
    }

    fn estimate(&mut self) -> Result<()> {
        self.some_marks()?;
        let tour = self.tour;
        let estimate = tour
            .browser
            .estimate(&self.marks, tour.cancel, &Progress::new());
        self.worst = Outcome::worst([self.worst, estimate.report.outcome()]);
        self.say(&estimate_text(estimate))
    }

    fn restore(&mut self, to: &[&str]) -> Result<()> {
        self.some_marks()?;
        let tour = self.tour;
        let out = tour.out_of(to)?;
        if self.written && out.is_output() {
            return Err(
                Failure::usage("the archive on standard output has its end already")
                    .hint("mark all that is to be in it first, and `restore` once"),
            );
        }
        let document = tour.restore(&self.marks, &out, tour.cancel, &Progress::new())?;
        self.written |= out.is_output();
        self.print(&document)
    }
}

fn not_there(error: impl std::error::Error + Send + Sync + 'static, place: &Place) -> Failure {
    Failure::from(anyhow::Error::new(error).context(place.to_string()))
        .hint("`ls` shows what is here, and `ls /` the volumes")
}
