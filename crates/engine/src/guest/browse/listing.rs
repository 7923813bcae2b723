//! What is in a folder, of which only what is looked at is read.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use guestfs::{Entry, Error, FileSystem, Kind};

use super::{Browser, Place};
use crate::finding::{Code, Finding, Severity};
use crate::guest::list::{FileLine, entry_line};
use crate::guest::path::GuestPath;
use crate::guest::walk::node;

/// Names that are held of a folder.
pub const MOST: usize = 100_000;

/// A folder.
pub struct Listing {
    fs: Arc<dyn FileSystem>,
    path: GuestPath,
    entries: Vec<Entry>,
    /// What is to be told of it: that it has more names, or could not be read to its end.
    pub findings: Vec<Finding>,
}

impl Browser<'_> {
    /// The names in a folder, sorted. `seen` is told how many were read, and stops it by false.
    ///
    /// # Errors
    /// When there is no such folder. Of one that cannot be read to its end there is what could be.
    pub fn list(
        &self,
        place: &Place,
        seen: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Listing, Error> {
        let path = match &place.path {
            Some(path) => path.clone(),
            None => return Err(Error::NotFound("a volume in the path".to_owned())),
        };
        let fs = self.file_system(&place.owner, &path.volume)?;
        let id = node(fs.as_ref(), &path)?;
        if fs.node(id)?.kind != Kind::Folder {
            return Err(Error::WrongKind {
                what: format!("/{path}"),
                is: "no folder",
            });
        }
        let mut entries = Vec::new();
        let mut more = false;
        let listed = fs.list(id, &mut |entry| {
            more = entries.len() >= MOST;
            if more || !seen(entries.len()) {
                return ControlFlow::Break(());
            }
            entries.push(entry);
            ControlFlow::Continue(())
        });
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let mut findings = Vec::new();
        if let Err(error) = listed {
            let (code, severity) = (Code::FileUnreadable, Severity::Partial);
            let finding = Finding::new(code, severity, path.to_string(), error.to_string());
            findings
                .push(finding.hint("restore the disk, and have the guest's own tools look at it"));
        }
        if more {
            let message =
                format!("it has more than {MOST} names, and the rest of them is not shown");
            let (code, severity) = (Code::MoreFindings, Severity::Warning);
            let finding = Finding::new(code, severity, path.to_string(), message);
            findings.push(finding.hint("`find` and `restore files` go through all of them"));
        }
        Ok(Listing {
            fs,
            path,
            entries,
            findings,
        })
    }
}

impl Listing {
    /// Names.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where the entry with a number is.
    pub fn path(&self, at: usize) -> Option<GuestPath> {
        self.entries
            .get(at)
            .map(|entry| self.path.join(entry.name.clone()))
    }

    /// Whether an entry is a folder, where the folder that it is in tells.
    pub fn is_folder(&self, at: usize) -> Option<bool> {
        Some(self.entries.get(at)?.kind? == Kind::Folder)
    }

    /// Some of the entries, each of which is looked at for it.
    pub fn lines(&self, range: Range<usize>) -> Vec<FileLine> {
        let range = range.start.min(self.len())..range.end.min(self.len());
        let entries = self.entries.get(range).unwrap_or_default().iter();
        let mut findings = Vec::new();
        entries
            .map(|entry| entry_line(self.fs.as_ref(), &self.path, entry, &mut findings))
            .collect()
    }
}
