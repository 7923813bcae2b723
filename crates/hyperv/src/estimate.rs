//! What the next backup of a VM would read, told without a checkpoint. Nothing is changed.
//!
//! A disk that is tracked is asked about as a backup would do it, by the same rules
//! ([`crate::tracking`]) and by the token of the last one. Whether a host answers for a disk that its
//! VM is writing to is documented nowhere: one that refuses has not told, and nothing is made up.
//! What is to be read in full has at most the bytes of its files.

use cim::job::Pace;
use cim::{CimError, CimSession};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vmconfig::model::Location;

use crate::checkpoint::{checkpoints, reference_points};
use crate::frozen::applied;
use crate::ids::fold;
use crate::images::{Images, NotTold, ToldDisk};
use crate::inventory::Medium;
use crate::plan::Plan;
use crate::preflight::Mode;
use crate::tracking::{Decision, Now, NowDisk, Token, changes, decide, power, uptime};

/// What would be read of a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskEstimate {
    /// Where it is attached.
    pub location: Location,
    /// Its file, as the host names it.
    pub path: String,
    /// Its size in bytes, as its guest sees it.
    pub len: Option<u64>,
    /// Bytes of all of its files.
    pub stored: Option<u64>,
    /// What would be read.
    pub expected: Expected,
}

/// How much would be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "kebab-case")]
pub enum Expected {
    /// What the host says to have changed by now.
    Changed {
        /// Bytes of the disk.
        bytes: u64,
    },
    /// All of it.
    Full {
        /// Why.
        why: String,
        /// Bytes at most; `None` when the host does not tell.
        bytes: Option<u64>,
    },
    /// What changed, and the host does not tell that now.
    Untold {
        /// Why not.
        why: String,
    },
}

/// Estimates what a backup of `media` would read, disk by disk, with the token of the last backup.
///
/// # Errors
/// When the host cannot be asked. What it does not tell is told in its place.
pub fn estimate(
    session: &dyn CimSession,
    pace: &dyn Pace,
    (plan, media): (&Plan, &[Medium]),
    installation: Uuid,
    token: Option<&Token>,
) -> Result<Vec<DiskEstimate>, CimError> {
    let images = known(Images::of(session))?;
    let told = media.iter().map(|medium| match &images {
        Ok(images) => known(images.disk(&medium.path)),
        Err(why) => Ok(Err(why.clone())),
    });
    let told: Vec<Result<ToldDisk, String>> = told.collect::<Result<_, _>>()?;
    let decisions = match plan.mode {
        Mode::Cbt => decisions(session, plan.vm, installation, token, (media, &told))?,
        Mode::Standard => Vec::new(),
    };
    let mut decisions = decisions.into_iter();
    let mut found = Vec::new();
    for (medium, told) in media.iter().zip(told) {
        let stored = told.as_ref().ok().map(ToldDisk::stored);
        let full = |why: String| Expected::Full { why, bytes: stored };
        let expected = match (&told, plan.mode) {
            (_, Mode::Standard) => full(plan.reason.clone()),
            (Err(why), Mode::Cbt) => Expected::Untold { why: why.clone() },
            (Ok(disk), Mode::Cbt) => match decisions.next() {
                Some(Decision::Ask { since }) => {
                    match changes(session, pace, &medium.path, &since, disk.len) {
                        Ok(ranges) => Expected::Changed {
                            bytes: ranges.total(),
                        },
                        Err(error) => Expected::Untold {
                            why: error.to_string(),
                        },
                    }
                }
                Some(Decision::Full(doubt)) => full(doubt.to_string()),
                None => full("nothing is known of it".to_owned()),
            },
        };
        found.push(DiskEstimate {
            location: medium.location,
            path: medium.path.clone(),
            len: told.as_ref().ok().map(|disk| disk.len),
            stored,
            expected,
        });
    }
    Ok(found)
}

impl ToldDisk {
    fn stored(&self) -> u64 {
        let sizes = self.files.iter().map(|(_, size)| *size);
        sizes.fold(0, u64::saturating_add)
    }
}

/// What a host that was reached did not tell is no error.
fn known<T>(told: Result<T, NotTold>) -> Result<Result<T, String>, CimError> {
    match told {
        Ok(told) => Ok(Ok(told)),
        Err(NotTold::Host(error)) if error.fault_kind().is_none() => Err(error),
        Err(why) => Ok(Err(why.to_string())),
    }
}

/// Of the disks that were told, in their order.
fn decisions(
    session: &dyn CimSession,
    vm: Uuid,
    installation: Uuid,
    token: Option<&Token>,
    (media, told): (&[Medium], &[Result<ToldDisk, String>]),
) -> Result<Vec<Decision>, CimError> {
    let disk = |(medium, told): (&Medium, &Result<ToldDisk, String>)| {
        let told = told.as_ref().ok()?;
        Some(NowDisk {
            place: medium.instance_id.clone(),
            disk_id: told.id,
            len: told.len,
            files: told.files.iter().map(|(path, _)| path.clone()).collect(),
        })
    };
    let last = applied(session, vm, Mode::Cbt)?;
    let seen = checkpoints(session, vm)?;
    let mut others: Vec<String> = seen.iter().map(|c| fold(&c.instance_id)).collect();
    others.sort();
    let uptime = uptime(session)?;
    let was = token.and_then(|token| token.uptime.as_ref());
    let now = Now {
        installation,
        vm,
        last_applied: [last.clone(), last],
        checkpoints: Some(others),
        power: power(session, was, uptime.as_ref())?,
        uptime,
        disks: media.iter().zip(told).filter_map(disk).collect(),
    };
    Ok(decide(token, &reference_points(session, vm)?, &now))
}
