//! Journals of this host that are kept elsewhere: its run wrote into another vault, or knew the host
//! by another name.
//!
//! What such a run had made keeps every other run from the VM, and its own job may come only
//! tomorrow. So what its journal tells is put right at once, by the same rules, if
//!
//! - it can be locked: its run is gone, and no other one is at it;
//! - it says that it is of this host, by the name that the host has for itself. The VM alone does
//!   not tell: both sides of a replication have the same one, and what is not on the one side is not
//!   gone from the other;
//! - the host has the VM, or its cluster leads to it.
//!
//! Which reference points are needed tells the vault: in journals of others they stay.

use std::path::PathBuf;

use hyperv::Hint;
use hyperv::Inventory;
use hyperv::journal::{self, JournalError, Reading};
use hyperv::recovery;

use super::Setup;
use super::taken::Taken;
use crate::finding::{Code, Finding};
use crate::source::Memory;

/// Where the journals of another host or vault are, whose runs may be alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Their folder.
    pub folder: PathBuf,
    /// Whether it is the same vault, and only the host or its name is another one.
    pub same_vault: bool,
}

/// What came of journals that are kept elsewhere.
#[derive(Default)]
pub(super) struct Elsewhere {
    pub(super) findings: Vec<Finding>,
    /// Whether the host has changed by it.
    pub(super) changed: bool,
}

/// Puts right what journals of dead runs in these folders tell of this host. Without the vault's memory
/// reference points are left, and so is what cannot be told at once.
pub(super) fn put_right(
    setup: &Setup,
    folders: &[Neighbour],
    inventory: &Inventory,
    memory: Option<&dyn Memory>,
) -> Elsewhere {
    let mut found = Elsewhere::default();
    let Some(name) = &inventory.host.name else {
        return found;
    };
    let is_of_it = |reading: &Reading| {
        let host = reading.host.as_deref();
        !reading.is_settled() && host.is_some_and(|host| hyperv::same_host(host, name))
    };
    for neighbour in folders {
        let dead = match journal::dead_that(&neighbour.folder, &is_of_it) {
            Ok(dead) => dead,
            Err(error) => {
                found.findings.push(unread(&error));
                continue;
            }
        };
        for journal in dead {
            let reading = journal.and_then(|journal| Ok((journal.reading()?, journal)));
            let (reading, journal) = match reading {
                Ok(read) => read,
                Err(error) => {
                    found.findings.push(unread(&error));
                    continue;
                }
            };
            let taken = Taken::new(setup, journal, neighbour.same_vault);
            for vm in recovery::machines(&reading) {
                // What was exported of a VM that is gone is there all the same.
                let exported = reading.exports.iter().any(|(of, _)| *of == vm);
                let is_here = inventory.machine(vm).is_some() || exported;
                if !is_here && !taken.controls().follows(vm) {
                    continue;
                }
                let (findings, changed) = taken.put_right(vm, memory);
                found.findings.extend(findings);
                found.changed |= changed;
            }
            found.findings.extend(taken.close());
        }
    }
    found
}

/// What it holds up is another job.
fn unread(error: &JournalError) -> Finding {
    let (path, message) = (error.path.clone(), error.to_string());
    Finding::note(Code::CleanupFailed, path, message).hint(error.hint())
}
