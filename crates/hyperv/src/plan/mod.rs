//! What will be done with a VM, and why.
//!
//! ```text
//! inventory ─► preflight ─► plan ─► frozen::Request
//!                policy ─────┘
//! ```
//!
//! A pure function. It promises nothing that preflight does not predict, and what it decides it
//! gives a reason for, which belongs into the restore point.

#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::checkpoint::{Consistency, GuestBackup, Mark, Options};
use crate::frozen::Request;
use crate::inventory::{Family, Host, Machine, PowerState, ReplicationMode};
use crate::preflight::{self, Finding, Level, Mode, Predicted, Verdict, Weight};
use crate::space::{Floor, room};
use crate::tracking::Token;

/// What is wanted of every VM of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Policy {
    /// How consistent.
    pub consistency: Wanted,
    /// In which way.
    pub mode: WantedMode,
    /// What the guest's applications take the backup for.
    pub guest_backup: GuestBackup,
    /// How much has to be free where its disks are.
    pub floor: Floor,
    /// Whether a replication is suspended while the checkpoint is taken.
    pub suspend_replication: bool,
}

/// How consistent a backup has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// The guest takes part, or there is no backup.
    RequireApplication,
    /// The guest takes part if it can.
    #[default]
    PreferApplication,
    /// The guest is not asked.
    Crash,
}

/// In which way VMs are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WantedMode {
    /// The best that is possible for each VM.
    #[default]
    Auto,
    /// Only what changed, or there is no backup.
    Cbt,
    /// Everything, each time.
    Standard,
    /// The whole tree of checkpoints, and of the present state only what changed if that is
    /// possible.
    AllCheckpoints,
}

/// What will be done with a VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The VM.
    pub vm: Uuid,
    /// In which way it is read.
    pub mode: Mode,
    /// Why in this way.
    pub reason: String,
    /// Whether the whole tree of checkpoints is read.
    pub tree: bool,
    /// How its checkpoint is taken.
    pub options: Options,
    /// Whether a crash-consistent checkpoint will do when the guest does not settle.
    pub fall_back: bool,
    /// Why a guest that is at work is not asked to settle, though that was wanted: its disks are as
    /// after a power cut then.
    #[serde(default)]
    pub unasked: Vec<Finding>,
    /// How consistent the backup will be if all goes well.
    pub expected: Level,
    /// How consistent the backup has to be.
    #[serde(default = "crash")]
    pub least: Level,
    /// Which kind of system the guest is.
    pub guest: Family,
    /// Whether the VM is a replica.
    pub replica: bool,
    /// The side of the replication that is suspended while the checkpoint is taken, if it is.
    #[serde(default)]
    pub suspend: Option<ReplicationMode>,
    /// Everything that matters.
    pub findings: Vec<Finding>,
}

/// Why nothing will be done with a VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "no-plan", content = "findings", rename_all = "kebab-case")]
pub enum NoPlan {
    /// There can be no backup of it in this way.
    Blocked(Vec<Finding>),
    /// Not now.
    NotNow(Vec<Finding>),
    /// Its changes are not tracked, and nothing else will do.
    NotTracked(Vec<Finding>),
    /// It cannot be as consistent as it has to be.
    NotConsistent(Vec<Finding>),
}

impl NoPlan {
    /// The findings that decided.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Blocked(found)
            | Self::NotNow(found)
            | Self::NotTracked(found)
            | Self::NotConsistent(found) => found,
        }
    }

    /// Whether it may be possible later without anybody doing anything.
    pub fn is_worth_waiting(&self) -> bool {
        matches!(self, Self::NotNow(_))
    }

    /// What to do about it, where the findings themselves do not say.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Blocked(_) => "see to what is found, or leave the VM out of the job",
            Self::NotNow(_) => "it is tried again later in this run",
            Self::NotTracked(_) => "use the mode auto, which reads such VMs in full",
            Self::NotConsistent(_) => {
                "see to what is found, or let the job's policy be prefer-application"
            }
        }
    }
}

impl fmt::Display for NoPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blocked(_) => "the VM cannot be backed up in this way",
            Self::NotNow(_) => "the VM cannot be backed up now",
            Self::NotTracked(_) => "changes of the VM's disks are not tracked",
            Self::NotConsistent(_) => "the guest cannot take part in a backup",
        })?;
        for (at, finding) in self.findings().iter().enumerate() {
            write!(f, "{} {finding}", if at == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

/// Decides what to do with a VM.
///
/// # Errors
/// When nothing can or may be done, with the findings that decided.
pub fn plan(machine: &Machine, host: &Host, policy: &Policy) -> Result<Plan, NoPlan> {
    let mut preflight = preflight::check(machine, host);
    preflight
        .findings
        .extend(space(machine, host, policy.floor));
    let heavy = |finding: &Finding| std::cmp::Reverse(finding.weight());
    preflight.findings.sort_by_key(heavy);
    let of_weight = |weight: Weight| -> Vec<Finding> {
        let all = preflight.findings.iter();
        all.filter(|f| f.weight() == weight).cloned().collect()
    };
    for (weight, refuse) in [
        (
            Weight::Blocks,
            NoPlan::Blocked as fn(Vec<Finding>) -> NoPlan,
        ),
        (Weight::Wait, NoPlan::NotNow),
    ] {
        let found = of_weight(weight);
        if !found.is_empty() {
            return Err(refuse(found));
        }
    }
    let (mode, reason) = mode(&preflight.tracking, policy.mode)?;
    let asks = asks(machine, &preflight.consistency, policy.consistency);
    let enough = asks || preflight.consistency.level >= Level::FileSystem;
    if policy.consistency == Wanted::RequireApplication && !enough {
        return Err(NoPlan::NotConsistent(preflight.consistency.because));
    }
    // Set with the findings that name what is left out, and never without.
    let ignore_other_disks = preflight.findings.iter().any(|finding| {
        matches!(
            finding,
            Finding::PassThroughDisk { .. } | Finding::FibreChannel { .. }
        )
    });
    let consistency = match asks {
        true => Consistency::Application,
        false => Consistency::Crash,
    };
    Ok(Plan {
        vm: machine.id,
        mode,
        reason,
        tree: policy.mode == WantedMode::AllCheckpoints,
        options: Options {
            consistency,
            guest_backup: policy.guest_backup,
            ignore_other_disks,
        },
        fall_back: policy.consistency == Wanted::PreferApplication,
        unasked: match policy.consistency {
            Wanted::PreferApplication if !asks && is_at_work(machine) => {
                preflight.consistency.because.clone()
            }
            _ => Vec::new(),
        },
        expected: match policy.consistency {
            Wanted::Crash if preflight.consistency.level < Level::Offline => Level::Crash,
            _ => preflight.consistency.level,
        },
        least: match policy.consistency {
            Wanted::RequireApplication => Level::FileSystem,
            Wanted::PreferApplication | Wanted::Crash => Level::Crash,
        },
        guest: machine.guest.family,
        replica: machine.replication.mode.is_copy(),
        suspend: suspend(machine, policy),
        findings: preflight.findings,
    })
}

fn crash() -> Level {
    Level::Crash
}

/// The side of the replication that is to be suspended: of what is replicated, and only if wanted.
fn suspend(machine: &Machine, policy: &Policy) -> Option<ReplicationMode> {
    let mode = machine.replication.mode;
    let replicated = mode.is_copy() || mode == ReplicationMode::Primary;
    (policy.suspend_replication && replicated).then_some(mode)
}

/// Whether there is room for what the VM writes while it holds still.
fn space(machine: &Machine, host: &Host, floor: Floor) -> Vec<Finding> {
    let volumes = host.volumes.as_deref().unwrap_or_default();
    let media = machine.settings.media.iter();
    let room = room(volumes, media.map(|medium| medium.path.as_str()), floor);
    let untold = room.untold.into_iter();
    let untold = untold.map(|path| Finding::SpaceUnknown { path });
    let short = room.short.into_iter().map(Finding::LowSpace);
    short.chain(untold).collect()
}

/// Whether the guest is asked to take part. Where it has to, it is also asked against the odds, as
/// the only proof is to try; but not where nothing runs that could. Where less will do, it is not
/// asked for what it cannot do: each night a checkpoint would fail for nothing.
fn asks(machine: &Machine, predicted: &Predicted, wanted: Wanted) -> bool {
    let could = machine.state == PowerState::Running && !machine.replication.mode.is_copy();
    match wanted {
        Wanted::Crash => false,
        Wanted::PreferApplication => could && predicted.may_settle(),
        Wanted::RequireApplication => could,
    }
}

/// Whether its guest has work of its own that is not at rest, be it that it is paused.
fn is_at_work(machine: &Machine) -> bool {
    let rests = matches!(machine.state, PowerState::Off | PowerState::Saved);
    !rests && !machine.replication.mode.is_copy()
}

fn mode(tracking: &preflight::Tracking, wanted: WantedMode) -> Result<(Mode, String), NoPlan> {
    let gates = || {
        let gates = tracking.machine.iter();
        let disks = tracking.disks.iter().filter_map(|disk| disk.gate.as_ref());
        gates.chain(disks)
    };
    let cbt = match tracking.verdict {
        Verdict::Possible => Some("the host tracks what changes"),
        Verdict::Uncertain => Some("the host may track what changes: its answer will tell"),
        Verdict::Impossible => None,
    };
    Ok(match (wanted, cbt) {
        (WantedMode::Standard, _) => (Mode::Standard, "it was asked for".to_owned()),
        (_, Some(why)) => (Mode::Cbt, why.to_owned()),
        (WantedMode::Cbt, None) => return Err(NoPlan::NotTracked(gates().cloned().collect())),
        (WantedMode::Auto | WantedMode::AllCheckpoints, None) => {
            let why: Vec<String> = gates().map(ToString::to_string).collect();
            let why = match why.is_empty() {
                true => "there is no disk that could be tracked".to_owned(),
                false => why.join("; "),
            };
            (Mode::Standard, why)
        }
    })
}

impl Plan {
    /// The request that carries it out.
    pub fn request<'r>(&self, mark: Mark, token: Option<&'r Token>, full: bool) -> Request<'r> {
        Request {
            vm: self.vm,
            mode: self.mode,
            options: self.options,
            fall_back: self.fall_back,
            expected: self.expected,
            least: self.least,
            guest: self.guest,
            replica: self.replica,
            suspend: self.suspend,
            mark,
            token,
            full,
            tree: self.tree,
            choose: None,
        }
    }

    /// What belongs to the VM and will be in no backup of it.
    pub fn not_covered(&self) -> impl Iterator<Item = &Finding> {
        let all = self.findings.iter();
        all.filter(|finding| finding.weight() == Weight::NotCovered)
    }
}
