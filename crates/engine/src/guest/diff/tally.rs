//! What a comparison has found so far, and whom it tells.

use guestfs::Error;
use serde::Serialize;

use super::change::{Change, Differs};
use super::contents::By;
use super::walk::Moment;
use crate::cancel::Cancel;
use crate::finding::{Code, Finding, Severity};
use crate::guest::list::unreadable;
use crate::guest::path::GuestPath;

/// Findings about files that are kept; of more their number is told.
const MOST_FINDINGS: u64 = 1000;

/// Numbers of what was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Files, folders and others that are new.
    pub added: u64,
    /// Those that are gone.
    pub removed: u64,
    /// Those that have another name or place.
    pub renamed: u64,
    /// Those that differ, and have the name that they had.
    pub changed: u64,
    /// Files and folders that were compared.
    pub compared: u64,
    /// Files whose contents are known to be the same by the disk maps.
    pub same_by_map: u64,
    /// Those whose contents were read, or a part of them.
    pub same_by_reading: u64,
    /// Those whose contents are taken to be the same, as number, length and all times are.
    pub same_by_metadata: u64,
}

/// What was found.
pub(super) struct Tally<'a> {
    pub(super) each: &'a mut dyn FnMut(Change),
    pub(super) cancel: &'a Cancel,
    pub(super) counts: Counts,
    pub(super) findings: Vec<Finding>,
    /// Findings that are not kept.
    more: u64,
    /// Whether the file system that is compared has numbers that stay with a file.
    pub(super) keeps_ids: bool,
    /// Whether more came and went than was kept to tell what was moved.
    pub(super) too_many: bool,
}

impl<'a> Tally<'a> {
    pub(super) fn new(each: &'a mut dyn FnMut(Change), cancel: &'a Cancel) -> Self {
        Self {
            each,
            cancel,
            counts: Counts::default(),
            findings: Vec::new(),
            more: 0,
            keeps_ids: false,
            too_many: false,
        }
    }

    pub(super) fn stops(&self) -> bool {
        self.cancel.is_cancelled()
    }

    pub(super) fn tell(&mut self, change: Change) {
        let count = match change.change {
            "added" => &mut self.counts.added,
            "removed" => &mut self.counts.removed,
            "renamed" => &mut self.counts.renamed,
            _ => &mut self.counts.changed,
        };
        *count += 1;
        (self.each)(change);
    }

    pub(super) fn compared(&mut self, differs: &Differs) {
        self.counts.compared += 1;
        let count = match differs.same_by {
            Some(By::Map) => &mut self.counts.same_by_map,
            Some(By::Read) => &mut self.counts.same_by_reading,
            Some(By::Metadata) => &mut self.counts.same_by_metadata,
            Some(By::Length) | None => return,
        };
        *count += 1;
    }

    /// Something cannot be read, and what became of it is not told.
    pub(super) fn failed(&mut self, moment: Moment, path: &GuestPath, error: &Error) {
        if self.findings.len() as u64 >= MOST_FINDINGS {
            self.more += 1;
            return;
        }
        let mut finding = unreadable(&path.to_string(), error);
        let when = match moment {
            Moment::Before => "before",
            Moment::After => "after",
        };
        finding.message = format!("it cannot be compared; {when}: {}", finding.message);
        self.findings.push(finding);
    }

    /// The findings, with what was left out of them.
    pub(super) fn findings(mut self) -> (Counts, Vec<Finding>) {
        if self.more > 0 {
            let message = format!("{} more files and folders cannot be compared", self.more);
            let finding = Finding::new(Code::MoreFindings, Severity::Partial, "the guest", message);
            let hint = "restore the disk, and have the guest's own tools look at it";
            self.findings.push(finding.hint(hint));
        }
        if self.too_many {
            let message = "more was added and removed than can be kept: what was moved among the rest is told \
                           as removed and added";
            let hint = "compare one folder at a time: `hyperkeep diff POINT POINT VOLUME/PATH`";
            let note = Finding::note(Code::GuestVolumes, "the guest", message);
            self.findings.push(note.hint(hint));
        }
        if self.counts.same_by_metadata > 0 {
            let message = format!(
                "{} files are taken to have the same contents, as their numbers, lengths and all their times \
                 are the same",
                self.counts.same_by_metadata
            );
            let note = Finding::note(Code::GuestVolumes, "the guest", message);
            self.findings
                .push(note.hint("--thorough reads all contents"));
        }
        (self.counts, self.findings)
    }
}
