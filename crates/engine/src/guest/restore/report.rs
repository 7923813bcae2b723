//! What came of restoring files.

use serde::Serialize;

use crate::finding::{Code, Finding, outcome_of};
use crate::outcome::Outcome;

/// More findings than these are counted and not listed.
const MOST: usize = 1000;

/// How much was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Files, each name of one that has several.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Symbolic links and junctions.
    pub links: u64,
    /// Devices, pipes and sockets.
    pub others: u64,
    /// Bytes of the files' contents, holes as well.
    pub bytes: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct FilesReport {
    /// How much was restored.
    pub counts: Counts,
    /// Nothing more was tried.
    pub(crate) stopped: bool,
    findings: Vec<Finding>,
    more: u64,
    worst: Option<Outcome>,
}

impl FilesReport {
    /// The worst of what was found.
    pub fn outcome(&self) -> Outcome {
        self.worst.unwrap_or(Outcome::Ok)
    }

    /// What was found; of very many, the first and how many more.
    pub fn into_findings(self) -> Vec<Finding> {
        let mut findings = self.findings;
        if self.more > 0 {
            let message = format!("{} more findings are not listed", self.more);
            findings.push(Finding::note(Code::MoreFindings, "files", message));
        }
        findings
    }

    /// Takes in what was found.
    pub(crate) fn find(&mut self, finding: Finding) {
        let outcome = outcome_of(std::slice::from_ref(&finding));
        self.worst = Some(Outcome::worst([self.outcome(), outcome]));
        match self.findings.len() < MOST {
            true => self.findings.push(finding),
            false => self.more += 1,
        }
    }

    pub(crate) fn find_all(&mut self, findings: impl IntoIterator<Item = Finding>) {
        findings.into_iter().for_each(|finding| self.find(finding));
    }

    /// Takes in what came of something else.
    pub(crate) fn merge(&mut self, other: Self) {
        let (mine, theirs) = (&mut self.counts, other.counts);
        mine.files += theirs.files;
        mine.folders += theirs.folders;
        mine.links += theirs.links;
        mine.others += theirs.others;
        mine.bytes += theirs.bytes;
        self.stopped |= other.stopped;
        let worst = [self.outcome(), other.outcome()];
        self.more += other.more;
        self.find_all(other.findings);
        self.worst = Some(Outcome::worst(worst));
    }

    /// Nothing of it is there after all.
    pub fn came_to_nothing(&mut self) {
        self.counts = Counts::default();
    }

    pub(crate) fn cancel(&mut self) {
        self.worst = Some(Outcome::worst([self.outcome(), Outcome::Cancelled]));
    }
}
