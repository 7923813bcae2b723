//! A journal that was taken over from a run that is gone, until all of it is settled.
//!
//! ```text
//! begin   each VM in it is looked at once ─► what the host may still begin waits
//! settle  a VM that waits is looked at again when its turn comes; others go first
//! end     what still waits is waited for; reference points are judged once more
//! ```
//!
//! Which reference points are needed only the vault can tell that the dead run wrote into. In a
//! journal of another one they stay.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// VMs that could not be told of at once.
    late: Mutex<BTreeMap<Uuid, Late>>,
    /// What was found of them since.
    findings: Mutex<Vec<Finding>>,
}

/// How far it is with a VM that could not be told of at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Late {
    /// Its turn has not come.
    Waits,
    /// It could not be told of either when its turn had come.
    StillWaits,
    Settled,
}

impl Taken {
    /// Of a journal of `setup`'s host. `same_vault` tells whether its run wrote into the vault that
    /// this one writes into.
    pub(super) fn new(setup: &Setup, journal: Journal, same_vault: bool) -> Self {
        Self {
            controls: Controls::new(setup, Arc::new(journal)),
            mark: setup.mark,
            same_vault,
            late: Mutex::default(),
            findings: Mutex::default(),
        }
    }

    /// How its VMs are changed.
    pub(super) fn controls(&self) -> &Controls {
        &self.controls
    }

    /// Looks at one of its VMs, and waits for nothing; whether anything was changed on the host.
    /// Without the vault's memory, reference points are judged in the end.
    pub(super) fn begin(&self, vm: Uuid, memory: Option<&dyn Memory>) -> (Vec<Finding>, bool) {
        let report = self.recover(vm, Wait::No, memory);
        let changed = has_changed(&report);
        let waits = !report.waiting.is_empty();
        let mut findings = told(report);
        match (waits, memory) {
            (true, _) => _ = self.late().insert(vm, Late::Waits),
            (false, None) => _ = self.late().insert(vm, Late::Settled),
            (false, Some(memory)) => findings.extend(self.forgotten(vm, memory)),
        }
        (findings, changed)
    }

    /// Whether something of it is to be seen to in the end.
    pub(super) fn waits(&self) -> bool {
        !self.late().is_empty()
    }

    /// Looks again at a VM that waits; `None` if it does not. `alone` tells that nobody else is kept
    /// waiting meanwhile.
    ///
    /// # Errors
    /// With the reason when it has to wait longer.
    pub(super) fn settle(&self, vm: Uuid, alone: bool) -> Option<Result<(), String>> {
        let late = self.late().get(&vm).copied();
        late.filter(|late| *late != Late::Settled)?;
        let wait = match alone {
            true => Wait::Long,
            false => Wait::Short,
        };
        let mut report = self.recover(vm, wait, None);
        let waiting = std::mem::take(&mut report.waiting).into_iter().next();
        self.tells(told(report));
        let (late, settled) = match waiting {
            Some(Left { what, .. }) => (Late::StillWaits, Err(what)),
            None => (Late::Settled, Ok(())),
        };
        self.late().insert(vm, late);
        Some(settled)
    }

    /// Ends it. What nobody's turn has settled is waited for.
    pub(super) fn end(&self, memory: &dyn Memory) -> Vec<Finding> {
        let late = std::mem::take(&mut *self.late());
        for (vm, late) in late {
            let wait = match late {
                Late::Waits => Wait::Long,
                Late::StillWaits | Late::Settled => Wait::No,
            };
            let mut report = self.recover(vm, wait, Some(memory));
            let waiting = std::mem::take(&mut report.waiting);
            report.left.extend(waiting);
            self.tells(told(report));
            self.tells(self.forgotten(vm, memory));
        }
        let findings = self.findings.lock();
        let mut findings = std::mem::take(&mut *findings.unwrap_or_else(PoisonError::into_inner));
        let closed = self.controls.own().journal().close();
        findings.extend(closed.err().as_ref().map(journal_failed));
        findings
    }

    fn recover(&self, vm: Uuid, wait: Wait, memory: Option<&dyn Memory>) -> Report {
        let memory = memory.filter(|_| self.same_vault);
        let needed = |vm: Uuid, point: &str| match memory {
            Some(memory) => remembered(memory, vm, point),
            None => Remembered::NotYet,
        };
        match self.controls.of(vm) {
            Ok(control) => recovery::recover_one(&control, vm, wait, &needed),
            Err(error) => Report {
                left: vec![Left {
                    vm: Some(vm),
                    what: error.to_string(),
                }],
                ..Report::default()
            },
        }
    }

    fn forgotten(&self, vm: Uuid, memory: &dyn Memory) -> Vec<Finding> {
        match self.same_vault {
            true => forgotten(&self.controls, vm, self.mark, memory),
            false => Vec::new(),
        }
    }

    fn tells(&self, findings: Vec<Finding>) {
        let all = self.findings.lock();
        all.unwrap_or_else(PoisonError::into_inner).extend(findings);
    }

    fn late(&self) -> MutexGuard<'_, BTreeMap<Uuid, Late>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_changed(report: &Report) -> bool {
    !report.removed.is_empty() || !report.resumed.is_empty()
}
