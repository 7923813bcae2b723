//! What the next backup of a VM would take: what its host tells, and what earlier backups took.
//!
//! Nothing is made up. Each number says what it rests on ([`Basis`]), and what nothing tells is not
//! there.

use hyperv::estimate::{DiskEstimate, Expected};
use serde::Serialize;
use vault::Vault;
use vault::point::Level;

use crate::backup::prior;
use crate::finding::Finding;
use crate::source::VmRef;

/// Runs that are looked at, newest first.
const RUNS: usize = 10;

/// What a vault knows of a VM's earlier backups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// What the newest of them kept for its source.
    pub token: Option<Vec<u8>>,
    /// The last of them, newest first.
    pub runs: Vec<Run>,
}

/// What one backup took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Bytes that were read.
    pub read: u64,
    /// Bytes of those that the vault did not have.
    pub new: u64,
    /// How long it took, if its point tells.
    pub milliseconds: Option<u64>,
    /// It read what had changed.
    pub incremental: bool,
}

/// A number, and what it rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Predicted {
    /// Bytes, or milliseconds.
    pub amount: u64,
    /// What it rests on.
    pub basis: Basis,
}

/// What a number rests on, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The host tells.
    Host,
    /// It is no more than that.
    AtMost,
    /// Earlier backups of this VM.
    EarlierRuns,
}

/// What a backup of a VM would take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Prediction {
    /// Bytes that are read.
    pub read: Option<Predicted>,
    /// Bytes of those that the vault does not have.
    pub new: Option<Predicted>,
    /// How long it takes.
    pub milliseconds: Option<Predicted>,
}

impl History {
    /// Of the VM's restore points in a vault, and what was noticed while looking.
    ///
    /// # Errors
    /// When the vault cannot be asked.
    pub fn of(vault: &Vault, vm: &VmRef) -> Result<(Self, Vec<Finding>), vault::Error> {
        let mut findings = Vec::new();
        let newest = prior::newest(vault, vm, &mut findings)?;
        let points = prior::points(vault, vm.id, &vm.name, &mut Vec::new())?;
        let runs = points.iter().take(RUNS).filter_map(|(_, point)| {
            let of = |name: &str| point.outline.statistics.get(name).copied();
            Some(Run {
                read: of("bytes_read")?,
                new: of("bytes_new")?,
                milliseconds: of("milliseconds"),
                incremental: point.outline.level != Level::Full,
            })
        });
        let history = Self {
            token: newest.and_then(|newest| newest.token),
            runs: runs.collect(),
        };
        Ok((history, findings))
    }

    fn of_kind(&self, incremental: bool) -> Vec<Run> {
        let runs = self.runs.iter().copied();
        runs.filter(|run| run.incremental == incremental).collect()
    }

    /// Bytes that an incremental backup usually reads.
    fn usual(&self) -> Option<u64> {
        let runs = self.of_kind(true);
        let count = u64::try_from(runs.len()).ok().filter(|count| *count > 0)?;
        Some(sum(runs.iter().map(|run| run.read)) / count)
    }
}

/// Puts both together. Without a history there was no earlier backup.
pub fn predict(disks: &[DiskEstimate], history: &History) -> Prediction {
    let (mut told, mut basis, mut untold) = (0_u64, Basis::Host, false);
    let mut all_full = !disks.is_empty();
    for disk in disks {
        match &disk.expected {
            Expected::Changed { bytes } => {
                told = told.saturating_add(*bytes);
                all_full = false;
            }
            Expected::Full {
                bytes: Some(bytes), ..
            } => {
                told = told.saturating_add(*bytes);
                basis = basis.max(Basis::AtMost);
            }
            Expected::Full { bytes: None, .. } => return Prediction::default(),
            Expected::Untold { .. } => (untold, all_full) = (true, false),
        }
    }
    let read = match (untold, history.usual()) {
        (false, _) => Some(Predicted {
            amount: told,
            basis,
        }),
        // What earlier runs read was of all disks, those that told included.
        (true, Some(usual)) => Some(Predicted {
            amount: usual.max(told),
            basis: Basis::EarlierRuns,
        }),
        (true, None) => None,
    };
    let Some(read) = read else {
        return Prediction::default();
    };
    let incremental = history.of_kind(true);
    let new = match all_full {
        // The vault may have all of it, or nothing.
        true => Some(Predicted {
            amount: read.amount,
            basis: Basis::AtMost,
        }),
        false => scale(read.amount, &incremental, |run| Some((run.read, run.new))),
    };
    // Backups of the same kind first: an incremental one is mostly waiting for the host.
    let time = |runs: &[Run]| scale(read.amount, runs, |run| Some((run.read, run.milliseconds?)));
    Prediction {
        read: Some(read),
        new,
        milliseconds: time(&history.of_kind(!all_full)).or_else(|| time(&history.runs)),
    }
}

/// What an amount would be, as it was in earlier runs that tell both.
fn scale(amount: u64, runs: &[Run], of: impl Fn(&Run) -> Option<(u64, u64)>) -> Option<Predicted> {
    let both: Vec<(u64, u64)> = runs.iter().filter_map(of).collect();
    let (from, to) = (sum(both.iter().map(|b| b.0)), sum(both.iter().map(|b| b.1)));
    let scaled = u128::from(amount)
        .checked_mul(u128::from(to))?
        .checked_div(u128::from(from))?;
    Some(Predicted {
        amount: u64::try_from(scaled).unwrap_or(u64::MAX),
        basis: Basis::EarlierRuns,
    })
}

fn sum(amounts: impl Iterator<Item = u64>) -> u64 {
    amounts.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmconfig::model::{ControllerKind, Location};

    fn disk(expected: Expected) -> DiskEstimate {
        DiskEstimate {
            location: Location {
                controller: ControllerKind::Scsi,
                number: 0,
                position: 0,
            },
            path: "a.vhdx".to_owned(),
            len: Some(1 << 30),
            stored: Some(1 << 20),
            expected,
        }
    }

    fn full(bytes: Option<u64>) -> DiskEstimate {
        let why = "it is the first".to_owned();
        disk(Expected::Full { why, bytes })
    }

    fn untold() -> DiskEstimate {
        disk(Expected::Untold {
            why: "in use".to_owned(),
        })
    }

    fn run(incremental: bool, read: u64, new: u64, milliseconds: u64) -> Run {
        Run {
            read,
            new,
            milliseconds: Some(milliseconds).filter(|ms| *ms > 0),
            incremental,
        }
    }

    fn is(amount: u64, basis: Basis) -> Option<Predicted> {
        Some(Predicted { amount, basis })
    }

    #[test]
    fn what_nothing_tells_is_not_there() {
        let first = predict(&[full(Some(1000))], &History::default());
        assert_eq!(first.read, is(1000, Basis::AtMost));
        assert_eq!(first.new, is(1000, Basis::AtMost));
        assert_eq!(first.milliseconds, None);
        let nothing = Prediction::default();
        assert_eq!(predict(&[full(None)], &History::default()), nothing);
        assert_eq!(predict(&[untold()], &History::default()), nothing);
        let fulls = History {
            runs: vec![run(false, 10, 10, 10)],
            token: None,
        };
        assert_eq!(predict(&[untold()], &fulls), nothing);
    }

    #[test]
    fn earlier_runs_of_the_same_kind_count() {
        let history = History {
            token: None,
            runs: vec![
                run(true, 200, 100, 40),
                run(true, 400, 50, 0),
                run(false, 10_000, 5_000, 1_000),
            ],
        };
        let changed = disk(Expected::Changed { bytes: 600 });
        let told = predict(std::slice::from_ref(&changed), &history);
        assert_eq!(told.read, is(600, Basis::Host));
        assert_eq!(told.new, is(150, Basis::EarlierRuns));
        assert_eq!(told.milliseconds, is(120, Basis::EarlierRuns));
        // As usual, since one disk does not tell; but no less than the other one has.
        let usual = predict(&[untold()], &history);
        assert_eq!(usual.read, is(300, Basis::EarlierRuns));
        let both = predict(&[untold(), changed], &history);
        assert_eq!(both.read, is(600, Basis::EarlierRuns));
        let again = predict(&[full(Some(20_000))], &history);
        assert_eq!(again.new, is(20_000, Basis::AtMost));
        assert_eq!(again.milliseconds, is(2_000, Basis::EarlierRuns));
    }

    #[test]
    fn no_number_is_too_large() {
        let history = History {
            token: None,
            runs: vec![run(true, 1, u64::MAX, u64::MAX), run(true, 0, 5, 5)],
        };
        let most = disk(Expected::Changed { bytes: u64::MAX });
        let told = predict(&[most.clone(), most], &history);
        assert_eq!(told.new, is(u64::MAX, Basis::EarlierRuns));
        let idle = History {
            token: None,
            runs: vec![run(true, 0, 0, 5)],
        };
        let none = disk(Expected::Changed { bytes: 0 });
        assert_eq!(predict(&[none], &idle).new, None, "nothing by nothing");
    }
}
