//! Files of a guest out of a restore point, into a folder or an archive.
//!
//! ```text
//! patterns ─► volumes ─► walk ─► folder | file | link | … ─► Target
//! ```
//!
//! Invariants:
//!
//! - A file whose contents are not to be had is no file in a folder, and is told. The run goes on. An archive
//!   has announced it by then: the rest of its entry is zeros, and that is told.
//! - Links are not followed, neither in the guest nor in the target: nothing is written outside of it.
//! - No two things of a guest go to one place of the target ([`places`]).
//! - Contents go through in pieces. What grows is the numbers of folders, the names of files that have several,
//!   the list of contents at the end of a zip archive, two numbers for each name where case does not count, and,
//!   where several patterns are given, the names of all that was restored.

#[cfg(not(unix))]
mod elsewhere;
mod folder;
mod host_name;
mod places;
mod reading;
mod report;
mod tar;
#[cfg(unix)]
mod unix;
mod zip;

use std::collections::{HashMap, HashSet};

use guestfs::{Content, Extras, FileSystem, How, Kind, Name, NodeId};

use super::path::GuestPath;
use super::walk::{Found, Met, Next, Pattern, walk};
use super::{Guest, keys};
use crate::cancel::Cancel;
use crate::finding::{Code, Finding, Severity};
use crate::restore::target::TargetError;

pub use folder::FolderTarget;
pub use report::{Counts, FilesReport};
pub use tar::TarTarget;
pub use zip::ZipTarget;

/// Where files go.
pub trait Target {
    /// A folder, before what is in it.
    fn folder(&mut self, found: &Found) -> Result<(), NotWritten>;

    /// A folder, when all is in it that goes there.
    fn left(
        &mut self,
        fs: &dyn FileSystem,
        found: &Found,
        extras: &Extras,
    ) -> Result<(), NotWritten>;

    /// A file, of the file system in which its streams are.
    fn file(
        &mut self,
        fs: &dyn FileSystem,
        found: &Found,
        content: &mut dyn Content,
        extras: &Extras,
    ) -> Result<(), NotWritten>;

    /// A file that is there by another name already. False where there is no such thing, which is noted then:
    /// the file is to be written once more.
    fn hard_link(&mut self, found: &Found, first: &GuestPath) -> Result<bool, NotWritten>;

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
    /// It could not be read to its end, and what is in the target is zeros from there on.
    #[error("{error}; from byte {at} on its entry in the archive is zeros")]
    Zeros {
        /// The first byte.
        at: u64,
        /// Why.
        error: guestfs::Error,
    },
    /// There is no such thing here.
    #[error("{0}")]
    NoSuchThing(&'static str),
    /// It is something that nobody here understands.
    #[error("{0}")]
    NotUnderstood(&'static str),
    /// The target takes no more, and is worth nothing.
    #[error(transparent)]
    Broken(TargetError),
    /// Somebody asked to stop.
    #[error("stopped")]
    Cancelled,
}

/// What is lost where a file cannot have two names.
const LINKED: &str = "that two names are one file (there are copies)";

/// What to do about what is not read here.
const DISK: &str = "restore the disk, and have the guest's own tools look at it";

impl NotWritten {
    /// Whether there is no use in going on with other files.
    fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Target(TargetError::Full(_)) | Self::Broken(_) | Self::Cancelled
        )
    }

    fn finding(&self, path: &GuestPath) -> Finding {
        if let Self::Guest(error) = self
            && let Some(hint) = keys::hint(&path.volume, error)
        {
            let path = path.to_string();
            let finding = Finding::new(Code::NotCovered, Severity::Partial, path, self.to_string());
            return finding.hint(hint);
        }
        let (code, severity, hint) = match self {
            Self::Guest(guestfs::Error::Obstacle(_) | guestfs::Error::Unsupported(_))
            | Self::NotUnderstood(_) => (Code::NotCovered, Severity::Partial, DISK),
            Self::Guest(_) | Self::Zeros { .. } => (Code::FileUnreadable, Severity::Partial, DISK),
            Self::Target(error) => (error.code(), Severity::Partial, error.hint()),
            Self::Broken(error) => (error.code(), Severity::Error, error.hint()),
            Self::NoSuchThing(_) => {
                let hint = "restore into a folder of a system that has such things";
                (Code::NotCovered, Severity::Warning, hint)
            }
            Self::Cancelled => (Code::Cancelled, Severity::Warning, "run it again"),
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
        let of_it = |pattern: &Pattern| pattern.is_of(&volume.name);
        if report.stopped || !patterns.iter().any(of_it) {
            continue;
        }
        let path = GuestPath::root(&volume.name);
        let fs = match volume.open() {
            Ok(fs) => fs,
            Err(error) => {
                for (met, pattern) in met.iter_mut().zip(patterns) {
                    *met |= of_it(pattern);
                }
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
        for (met, pattern) in met.iter_mut().zip(patterns) {
            if run.report.stopped || !of_it(pattern) {
                continue;
            }
            let walked = walk(fs.as_ref(), &volume.name, pattern, &mut |what| {
                run.meet(what)
            });
            match walked {
                Ok(found) => *met |= found,
                Err(error) => {
                    *met = true;
                    run.report.find(NotWritten::Guest(error).finding(&path));
                }
            }
        }
    }
    // What was not come to is not known to be missing.
    let unmet = patterns.iter().zip(&met).filter(|(_, met)| !**met);
    let unmet: Vec<&Pattern> = unmet.map(|(pattern, _)| pattern).collect();
    let stopped = report.stopped;
    for pattern in unmet.into_iter().filter(|_| !stopped) {
        let message = "nothing in the guest is named so";
        let (code, severity) = (Code::NothingSelected, Severity::Error);
        let finding = Finding::new(code, severity, pattern.text(), message);
        let hint = "`hyperkeep ls POINT:/` lists its volumes, and `hyperkeep find` its files";
        report.find(finding.hint(hint));
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
        How::Hibernated => (
            Severity::Warning,
            Some("its guest is asleep: what that had in memory may be missing"),
        ),
        How::InUse => (
            Severity::Warning,
            Some("it was in use and has no journal: the newest changes may be missing"),
        ),
        How::Dirty => (
            Severity::Warning,
            Some("it is to be checked by its guest: what is read may be wrong"),
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
    /// A folder that is not made is not gone into: what is in its place may lead anywhere.
    fn meet(&mut self, met: Met<'_>) -> Next {
        if self.cancel.is_cancelled() {
            self.report.stopped = true;
            return Next::Stop;
        }
        let (path, done) = match met {
            Met::Failed(path, error) => (path, Err(NotWritten::Guest(error))),
            Met::Left(found) => {
                let extras = self.extras(found);
                (&found.path, self.target.left(self.fs, found, &extras))
            }
            Met::Here(found) => {
                if self.overlap && self.seen.contains(&found.path) {
                    return Next::On;
                }
                let done = self.take(found);
                if self.overlap && done.is_ok() {
                    self.seen.insert(found.path.clone());
                }
                (&found.path, done)
            }
        };
        let Err(error) = done else {
            return Next::On;
        };
        if !matches!(error, NotWritten::Cancelled) {
            self.report.find(error.finding(path));
        }
        match error.is_final() {
            true => {
                self.report.stopped = true;
                Next::Stop
            }
            false => Next::Skip,
        }
    }

    /// What few nodes have. That it cannot be read does not keep the contents from being restored.
    fn extras(&mut self, found: &Found) -> Extras {
        match self.fs.extras(found.node.id) {
            Ok(extras) => extras,
            Err(error) => {
                let message = format!("its attributes cannot be read: {error}");
                let path = found.path.to_string();
                let finding = Finding::new(Code::FileUnreadable, Severity::Partial, path, message);
                self.report.find(finding.hint(DISK));
                Extras::default()
            }
        }
    }

    fn take(&mut self, found: &Found) -> Result<(), NotWritten> {
        let (fs, node) = (self.fs, &found.node);
        match node.kind {
            Kind::Folder => {
                self.target.folder(found)?;
                self.report.counts.folders += 1;
            }
            Kind::File => {
                let first = self.several.get(&node.id);
                let linked = first.map(|first| self.target.hard_link(found, first));
                if !linked.transpose()?.unwrap_or(false) {
                    if let Some(obstacle) = &node.obstacle {
                        return Err(guestfs::Error::Obstacle(obstacle.clone()).into());
                    }
                    let mut content = fs.open(node.id, None)?;
                    let extras = self.extras(found);
                    self.target.file(fs, found, content.as_mut(), &extras)?;
                    self.report.counts.bytes += content.len();
                    if node.links > 1 {
                        let first = found.path.clone();
                        self.several.entry(node.id).or_insert(first);
                    }
                }
                self.report.counts.files += 1;
            }
            Kind::Link | Kind::Junction => {
                let (extras, target) = (self.extras(found), fs.target(node.id)?);
                self.target.link(found, &target, &extras)?;
                self.report.counts.links += 1;
            }
            Kind::Device { .. } | Kind::Fifo | Kind::Socket => {
                let extras = self.extras(found);
                self.target.special(found, &extras)?;
                self.report.counts.others += 1;
            }
            Kind::Other => {
                let what = "it is of a kind that is not understood here";
                return Err(NotWritten::NotUnderstood(what));
            }
        }
        Ok(())
    }
}
