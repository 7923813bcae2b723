//! The host's event logs, as far as backups look at them: how merges ended, and how the host itself.
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
/// The service of event logs was started, as at every start of a host.
const STARTED: u16 = 6005;
/// The shutdown before this start was unexpected, as the service of event logs tells.
const UNEXPECTED: u16 = 6008;
/// The system starts anew without having shut down, as the kernel tells.
const POWER: u16 = 41;
/// Entries that are kept.
const MOST: usize = 1000;

/// A log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// That of Hyper-V.
    HyperV,
    /// That of the system, which WMI always tells.
    System,
}

/// An entry of a log.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// In which log it is.
    pub log: Log,
    /// Who wrote it.
    pub source: &'static str,
    /// Its number; they are counted from 1 in all logs together.
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
    /// Its event logs, oldest entry first.
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
        self.write_log(LogEntry {
            log: Log::HyperV,
            source: "Microsoft-Windows-Hyper-V-VMMS",
            record: 0,
            event,
            at,
            strings: vec![name, id],
            text,
        });
    }

    /// That the host has started anew; in order, or without having been shut down.
    pub(super) fn log_start(&mut self, at: Timestamp, in_order: bool) {
        let started = (
            "EventLog",
            STARTED,
            "Der Ereignisprotokolldienst wurde gestartet.",
        );
        let cut = [
            (
                "EventLog",
                UNEXPECTED,
                "Das System wurde unerwartet beendet.",
            ),
            (
                "Microsoft-Windows-Kernel-Power",
                POWER,
                "Das System wurde neu gestartet, ohne dass es zuvor heruntergefahren wurde.",
            ),
        ];
        let cut = cut.into_iter().filter(|_| !in_order);
        for (source, event, text) in cut.chain([started]) {
            self.write_log(LogEntry {
                log: Log::System,
                source,
                record: 0,
                event,
                at,
                strings: Vec::new(),
                text: text.to_owned(),
            });
        }
    }

    fn write_log(&mut self, entry: LogEntry) {
        let record = self.log.last().map_or(1, |last| last.record + 1);
        if self.log.len() >= MOST {
            self.log.remove(0);
        }
        self.log.push(LogEntry { record, ..entry });
    }
}
