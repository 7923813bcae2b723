//! Files of a guest out of a restore point, into a folder or an archive.
//!
//! ```text
//! patterns ─► volumes ─► walk ─► folder | file | link | … ─► Target
//! ```
//!
//! Invariants:
//!
//! - A file whose contents are not to be had is no file in the target, and is told. The run goes on.
//! - Links are not followed, neither in the guest nor in the target: nothing is written outside of it.
//! - Contents go through in pieces; what grows with the number of files is only the names of those that have
//!   several.

#[cfg(not(unix))]
mod elsewhere;
mod folder;
mod host_name;
mod report;
mod tar;
#[cfg(unix)]
mod unix;

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use guestfs::{Content, Extras, FileSystem, How, Kind, Name, NodeId};

use super::Guest;
use super::path::GuestPath;
use super::walk::{Found, Met, Pattern, walk};
use crate::cancel::Cancel;
use crate::finding::{Code, Finding, Severity};
use crate::restore::target::TargetError;

pub use folder::FolderTarget;
pub use report::{Counts, FilesReport};
pub use tar::TarTarget;

/// Where files go.
pub trait Target {
    /// A folder, before what is in it.
    fn folder(&mut self, found: &Found) -> Result<(), NotWritten>;

    /// A folder, when all is in it that goes there.
    fn left(&mut self, found: &Found, extras: &Extras) -> Result<(), NotWritten>;

    /// A file, of the file system in which its streams are.
    fn file(
        &mut self,
        fs: &dyn FileSystem,
        found: &Found,
        content: &mut dyn Content,
        extras: &Extras,
    ) -> Result<(), NotWritten>;

    /// A file that is there by another name already.
    fn hard_link(&mut self, found: &Found, first: &GuestPath) -> Result<(), NotWritten>;

    /// A link, or a junction.
    fn link(&mut self, found: &Found, target: &Name, extras: &Extras) -> Result<(), NotWritten>;

    /// A device, pipe or socket.
    fn special(&mut self, found: &Found, extras: &Extras) -> Result<(), NotWritten>;

    /// Makes it all durable. Gives what it could not keep.
    fn finish(&mut self) -> Result<Vec<Finding>, NotWritten>;
}

/// Why something is not in the target.
#[derive(Debug, thiserror::Error)]
pub enum NotWritten {
    /// It could not be read.
    #[error(transparent)]
    Guest(#[from] guestfs::Error),
    /// It could not be written.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// There is no such thing here.
    #[error("{0}")]
    NoSuchThing(&'static str),
}

impl NotWritten {
    /// Whether there is no use in going on with other files.
    fn is_final(&self) -> bool {
        matches!(self, Self::Target(TargetError::Full(_)))
    }

    fn finding(&self, path: &GuestPath) -> Finding {
        let disk = "restore the disk, and have the guest's own tools look at it";
        let (code, severity, hint) = match self {
            Self::Guest(guestfs::Error::Obstacle(_) | guestfs::Error::Unsupported(_)) => {
                (Code::NotCovered, Severity::Partial, disk)
            }
            Self::Guest(_) => (Code::FileUnreadable, Severity::Partial, disk),
            Self::Target(error) => (error.code(), Severity::Partial, error.hint()),
            Self::NoSuchThing(_) => {
                let hint = "restore into an archive, or on a system that has such things";
                (Code::NotCovered, Severity::Warning, hint)
            }
        };
        Finding::new(code, severity, path.to_string(), self.to_string()).hint(hint)
    }
}

/// Brings what patterns name into a target.
pub fn restore_files(
    guest: &Guest,
    patterns: &[Pattern],
    target: &mut dyn Target,
    cancel: &Cancel,
) -> FilesReport {
    let mut report = FilesReport::default();
    let mut met = vec![false; patterns.len()];
    for volume in guest.volumes() {
        let of_it = |pattern: &&Pattern| pattern.is_of(&volume.name);
        if !patterns.iter().any(|pattern| of_it(&pattern)) {
            continue;
        }
        let fs = match volume.open() {
            Ok(fs) => fs,
            Err(error) => {
                for (at, pattern) in patterns.iter().enumerate() {
                    met[at] |= of_it(&pattern);
                }
                let path = GuestPath::root(&volume.name);
                report.find(NotWritten::Guest(error).finding(&path));
                continue;
            }
        };
        report.find_all(state(&volume.name, fs.as_ref()));
        let mut run = Run {
            fs: fs.as_ref(),
            target: &mut *target,
            report: &mut report,
            cancel,
            several: HashMap::new(),
            seen: HashSet::new(),
            overlap: patterns.len() > 1,
        };
        for (at, pattern) in patterns.iter().enumerate() {
            if !of_it(&pattern) {
                continue;
            }
            let walked = walk(fs.as_ref(), &volume.name, pattern, &mut |what| {
                run.meet(what)
            });
            match walked {
                Ok(found) => met[at] |= found,
                Err(error) => {
                    met[at] = true;
                    let path = GuestPath::root(&volume.name);
                    run.report.find(NotWritten::Guest(error).finding(&path));
                }
            }
        }
    }
    for (pattern, _) in patterns.iter().zip(&met).filter(|(_, met)| !**met) {
        let message = "nothing in the guest is named so";
        let finding = Finding::new(
            Code::NothingSelected,
            Severity::Error,
            pattern.text(),
            message,
        );
        report.find(
            finding.hint("`hyperkeep ls POINT:guest` lists its volumes, and `find` its files"),
        );
    }
    match target.finish() {
        Ok(findings) => report.find_all(findings),
        Err(error) => report.find(error.finding(&GuestPath::root("the target"))),
    }
    if cancel.is_cancelled() {
        report.cancel();
    }
    report
}

/// What there is to say of the state in which a file system was.
pub fn state(volume: &str, fs: &dyn FileSystem) -> Vec<Finding> {
    let state = &fs.about().state;
    let (severity, message) = match state.how {
        How::Clean => (Severity::Info, None),
        How::Replayed => (
            Severity::Info,
            Some("it was in use, and is read through its journal: as after a power cut"),
        ),
        How::NotReplayed => (
            Severity::Warning,
            Some(
                "its journal is not empty and was not replayed: the newest changes may be missing",
            ),
        ),
        How::InUse => (
            Severity::Warning,
            Some("it was in use and has no journal: the newest changes may be missing"),
        ),
        How::Damaged => (
            Severity::Warning,
            Some("it is damaged: what is read may be wrong"),
        ),
    };
    let told = message.into_iter().map(str::to_owned);
    let all = told.chain(state.notes.iter().cloned());
    let hint = "a restore point that is taken with the guest's help has all of it";
    all.map(|text| Finding::new(Code::GuestVolumes, severity, volume, text).hint(hint))
        .collect()
}

/// A volume that is being restored from.
struct Run<'a> {
    fs: &'a dyn FileSystem,
    target: &'a mut dyn Target,
    report: &'a mut FilesReport,
    cancel: &'a Cancel,
    /// Where files with several names are in the target.
    several: HashMap<NodeId, GuestPath>,
    /// What was there already, if several patterns may name one thing.
    seen: HashSet<GuestPath>,
    overlap: bool,
}

impl Run<'_> {
    fn meet(&mut self, met: Met<'_>) -> ControlFlow<()> {
        if self.cancel.is_cancelled() {
            return ControlFlow::Break(());
        }
        let (path, done) = match met {
            Met::Failed(path, error) => (path, Err(NotWritten::Guest(error))),
            Met::Left(found) => {
                let extras = self.fs.extras(found.node.id);
                let left = extras.map_err(NotWritten::Guest);
                (&found.path, left.and_then(|e| self.target.left(found, &e)))
            }
            Met::Here(found) => {
                if self.overlap && !self.seen.insert(found.path.clone()) {
                    return ControlFlow::Continue(());
                }
                (&found.path, self.take(found))
            }
        };
        if let Err(error) = done {
            self.report.find(error.finding(path));
            if error.is_final() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn take(&mut self, found: &Found) -> Result<(), NotWritten> {
        let (fs, node) = (self.fs, &found.node);
        match node.kind {
            Kind::Folder => {
                self.target.folder(found)?;
                self.report.counts.folders += 1;
            }
            Kind::File => {
                if let Some(first) = self.several.get(&node.id) {
                    self.target.hard_link(found, first)?;
                } else {
                    if let Some(obstacle) = &node.obstacle {
                        return Err(guestfs::Error::Obstacle(obstacle.clone()).into());
                    }
                    let mut content = fs.open(node.id, None)?;
                    let extras = fs.extras(node.id)?;
                    self.target.file(fs, found, content.as_mut(), &extras)?;
                    self.report.counts.bytes += content.len();
                    if node.links > 1 {
                        self.several.insert(node.id, found.path.clone());
                    }
                }
                self.report.counts.files += 1;
            }
            Kind::Link | Kind::Junction => {
                let extras = fs.extras(node.id)?;
                self.target.link(found, &fs.target(node.id)?, &extras)?;
                self.report.counts.links += 1;
            }
            Kind::Device { .. } | Kind::Fifo | Kind::Socket => {
                self.target.special(found, &fs.extras(node.id)?)?;
                self.report.counts.others += 1;
            }
            Kind::Other => {
                let what = "it is a reparse point of a kind that is not known here";
                return Err(NotWritten::NoSuchThing(what));
            }
        }
        Ok(())
    }
}
