//! The host's event log, as far as backups look at it: how merges ended.
//!
//! The numbers are known from people's reports; the texts are not, and are made up.

use jiff::Timestamp;
use uuid::Uuid;

use super::host::Host;
use super::job::End;
use super::refusal::Failure;

/// A merge has ended well.
const MERGED: u16 = 19080;
/// A merge has failed.
const MERGE_FAILED: u16 = 19100;
/// Entries that are kept.
const MOST: usize = 1000;

/// An entry of the log.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// Its number; they are counted from 1.
    pub record: u32,
    /// What it tells of.
    pub event: u16,
    /// When.
    pub at: Timestamp,
    /// The VM and its name, and what else the text is made with.
    pub strings: Vec<String>,
    /// What it tells people.
    pub text: String,
}

impl Host {
    /// Its event log, oldest first.
    pub fn log(&self) -> &[LogEntry] {
        &self.log
    }

    pub(super) fn log_merge(&mut self, vm: Uuid, at: Timestamp, end: &End) {
        let Some(name) = self.vm(vm).map(|vm| vm.settings.name.clone()) else {
            return;
        };
        let id = vm.hyphenated().to_string().to_ascii_uppercase();
        let (event, text) = match end {
            End::Failed(Failure { text, .. }) => (MERGE_FAILED, format!("„{name}“: {text}")),
            _ => (MERGED, format!("„{name}“: Datenträger zusammengeführt.")),
        };
        let record = self.log.last().map_or(1, |last| last.record + 1);
        if self.log.len() >= MOST {
            self.log.remove(0);
        }
        self.log.push(LogEntry {
            record,
            event,
            at,
            strings: vec![name, id],
            text,
        });
    }
}
