//! A journal that was taken over from a run that is gone.
//!
//! Which reference points are needed only the vault can tell that the dead run wrote into. In a
//! journal of another one they stay. It is held for as long as its VMs are looked at, and no longer:
//! whoever it belongs to would take its run for one that is alive.

use std::sync::Arc;

use hyperv::checkpoint::Mark;
use hyperv::journal::Journal;
use hyperv::recovery::{self, Left, Remembered, Report, Wait};
use uuid::Uuid;

use super::Setup;
use super::controls::Controls;
use super::left::{forgotten, journal_failed, remembered, told};
use crate::finding::Finding;
use crate::source::Memory;

/// See the [module](self).
pub(super) struct Taken {
    controls: Controls,
    mark: Mark,
    same_vault: bool,
}

impl Taken {
    /// Of a journal of `setup`'s host. `same_vault` tells whether its run wrote into the vault that
    /// this one writes into.
    pub(super) fn new(setup: &Setup, journal: Journal, same_vault: bool) -> Self {
        Self {
            controls: Controls::new(setup, Arc::new(journal)),
            mark: setup.mark,
            same_vault,
        }
    }

    /// How its VMs are changed.
    pub(super) fn controls(&self) -> &Controls {
        &self.controls
    }

    /// Puts one of its VMs right; whether anything was changed on the host. Without the vault's memory
    /// its reference points stay, and so does what cannot be told soon.
    pub(super) fn put_right(&self, vm: Uuid, memory: Option<&dyn Memory>) -> (Vec<Finding>, bool) {
        let wait = memory.map_or(Wait::No, |_| Wait::Long);
        let memory = memory.filter(|_| self.same_vault);
        let needed = |vm: Uuid, point: &str| match memory {
            Some(memory) => remembered(memory, vm, point),
            None => Remembered::NotYet,
        };
        let report = match self.controls.of(vm) {
            Ok(control) => recovery::recover_one(&control, vm, wait, &needed),
            Err(error) => Report {
                left: vec![Left {
                    vm: Some(vm),
                    what: error.to_string(),
                }],
                ..Report::default()
            },
        };
        let changed = !report.removed.is_empty() || !report.resumed.is_empty();
        let mut findings = self.controls.returned(&report);
        findings.extend(told(report));
        if let Some(memory) = memory {
            findings.extend(forgotten(&self.controls, vm, self.mark, memory));
        }
        (findings, changed)
    }

    /// Lets the journal go, which is gone with it if nothing is left in it.
    pub(super) fn close(self) -> Option<Finding> {
        let closed = self.controls.own().journal().close();
        closed.err().as_ref().map(journal_failed)
    }
}
