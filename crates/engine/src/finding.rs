//! What was noticed on the way, with what it means and what to do about it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;

/// How much a finding matters. Each severity lifts the outcome of its VM to at least one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; changes no outcome.
    Info,
    /// All data is safe, but something needs attention: at least [`Outcome::Warning`].
    Warning,
    /// Something is not covered: at least [`Outcome::Partial`].
    Partial,
    /// The VM could not be protected: [`Outcome::Failed`].
    Error,
}

impl Severity {
    /// The best outcome that a VM with such a finding can have.
    pub fn at_least(self) -> Outcome {
        match self {
            Self::Info => Outcome::Ok,
            Self::Warning => Outcome::Warning,
            Self::Partial => Outcome::Partial,
            Self::Error => Outcome::Failed,
        }
    }
}

/// The kinds of findings; scripts match on [`Code::as_str`], so words are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Code {
    /// A disk that the configuration names is not there.
    DiskMissing,
    /// A disk exists and could not be opened or read: locked, no permission, I/O error.
    DiskUnreadable,
    /// A disk contradicts its own format: truncated, torn, damaged.
    DiskDamaged,
    /// A differencing disk whose parent is missing or has been changed since.
    ParentMissing,
    /// The disk was left with a log that has not been replayed; it was read with the log applied.
    DirtyLog,
    /// A file was not the same before and after it was read.
    ChangedDuringBackup,
    /// A configuration file could not be understood; its bytes are saved as they are.
    ConfigUnreadable,
    /// Something worth knowing about the configuration.
    ConfigNote,
    /// A restored configuration names disks where they were when it was backed up.
    OriginalPaths,
    /// What the guest state file holds, or that this cannot be told; its bytes are saved as they are.
    GuestState,
    /// What the guest's own volumes mean for its backups: dynamic disks.
    GuestVolumes,
    /// A disk that no configuration names stands on one of the VM's disks.
    UnreferencedDisk,
    /// Several configurations have one id.
    DuplicateId,
    /// A file that belongs to the VM could not be saved.
    FileUnreadable,
    /// Something attached to the VM is outside what a backup can hold (pass-through disk, shared disk).
    NotCovered,
    /// A disk was left out because somebody wanted that.
    Excluded,
    /// Nothing says in which order the checkpoints were taken.
    OrderUnknown,
    /// A layer was read in full although less was asked for; the reason is in the message.
    ReadInFull,
    /// Something changed that was not said to have changed; the disk was read in full.
    ChangesMissed,
    /// The new change-tracking state could not be kept: the next backup reads in full.
    TokenLost,
    /// Ending the frozen view failed: something may be left on the host.
    CleanupFailed,
    /// Something is already where a file should go.
    TargetExists,
    /// The target has no room left.
    TargetFull,
    /// The target failed in another way.
    TargetFailed,
    /// Something of a disk is lost in the vault, and is zeros where it was restored.
    ContentsLost,
    /// A disk file that is there was not changed in place.
    NotInPlace,
    /// No VM was found that the job is about.
    NothingSelected,
    /// The vault noticed something about itself.
    VaultNote,
    /// A VM could not be backed up just then, and was tried again.
    NotNow,
    /// The data is less consistent than was asked for.
    LessConsistent,
    /// Something about a host or one of its VMs that decides how it is backed up.
    HostNote,
    /// What an earlier run had left on a host was removed.
    PutRight,
    /// Something is on a host that may be what a backup left, and was not touched.
    LeftOnHost,
    /// A program that runs around a backup did not end well.
    Hook,
    /// There were more findings than a restore point lists: how many.
    MoreFindings,
    /// The work was stopped on request.
    Cancelled,
    /// The VM failed as a whole.
    Failed,
    /// A kind that a later version of this program writes.
    Other,
}

impl Code {
    /// The stable word for scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DiskMissing => "disk-missing",
            Self::DiskUnreadable => "disk-unreadable",
            Self::DiskDamaged => "disk-damaged",
            Self::ParentMissing => "parent-missing",
            Self::DirtyLog => "dirty-log",
            Self::ChangedDuringBackup => "changed-during-backup",
            Self::ConfigUnreadable => "config-unreadable",
            Self::ConfigNote => "config-note",
            Self::OriginalPaths => "original-paths",
            Self::GuestState => "guest-state",
            Self::GuestVolumes => "guest-volumes",
            Self::UnreferencedDisk => "unreferenced-disk",
            Self::DuplicateId => "duplicate-id",
            Self::FileUnreadable => "file-unreadable",
            Self::NotCovered => "not-covered",
            Self::Excluded => "excluded",
            Self::OrderUnknown => "order-unknown",
            Self::ReadInFull => "read-in-full",
            Self::ChangesMissed => "changes-missed",
            Self::TokenLost => "token-lost",
            Self::CleanupFailed => "cleanup-failed",
            Self::TargetExists => "target-exists",
            Self::TargetFull => "target-full",
            Self::TargetFailed => "target-failed",
            Self::ContentsLost => "contents-lost",
            Self::NotInPlace => "not-in-place",
            Self::NothingSelected => "nothing-selected",
            Self::VaultNote => "vault-note",
            Self::NotNow => "not-now",
            Self::LessConsistent => "less-consistent",
            Self::HostNote => "host-note",
            Self::PutRight => "put-right",
            Self::LeftOnHost => "left-on-host",
            Self::Hook => "hook",
            Self::MoreFindings => "more-findings",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing noticed: what, about which object, how bad, and what to do next.
///
/// What somebody should act on, and that is everything worse than [`Severity::Info`], says how:
/// [`Finding::new`] gives no finding before it has advice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finding {
    /// Which kind of thing.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// The object: a file's path as the source knows it, a disk, or the VM's name.
    pub object: String,
    /// What happened, in one sentence without the object's name.
    pub message: String,
    /// What to do about it; only where there is nothing to do, `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A finding that does not say yet what to do about it.
#[derive(Debug, Clone)]
#[must_use = "it is a finding once it has a hint"]
pub struct Unadvised(Finding);

impl Unadvised {
    /// The finding, with what to do about it.
    pub fn hint(self, hint: impl Into<String>) -> Finding {
        self.0.hint(hint)
    }
}

impl Finding {
    /// Something to be acted on, as soon as [`Unadvised::hint`] says how.
    #[expect(clippy::new_ret_no_self, reason = "there is none without advice")]
    pub fn new(
        code: Code,
        severity: Severity,
        object: impl Into<String>,
        message: impl Into<String>,
    ) -> Unadvised {
        Unadvised(Self {
            severity,
            ..Self::note(code, object, message)
        })
    }

    /// Something worth knowing, of [`Severity::Info`].
    pub fn note(code: Code, object: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Info,
            object: object.into(),
            message: message.into(),
            hint: None,
        }
    }

    /// The same with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.message)
    }
}

/// What the vault noticed since the last time it was asked. Damage is a warning: what was read or
/// written is whole, and the vault is not.
pub fn vault_notes(vault: &vault::Vault) -> Vec<Finding> {
    let warnings = vault.take_warnings().into_iter();
    warnings
        .map(|warning| match warning.is_damage() {
            true => Finding::new(
                Code::VaultNote,
                Severity::Warning,
                "vault",
                warning.to_string(),
            )
            .hint("`hyperkeep check --read-data` shows which restore points are affected"),
            false => Finding::note(Code::VaultNote, "vault", warning.to_string()),
        })
        .collect()
}

/// The best outcome that these findings allow.
pub fn outcome_of(findings: &[Finding]) -> Outcome {
    Outcome::worst(findings.iter().map(|finding| match finding.code {
        Code::Cancelled => Outcome::Cancelled,
        _ => finding.severity.at_least(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides() {
        let find = |severity| Finding::new(Code::NotCovered, severity, "disk", "why").hint("do");
        assert_eq!(outcome_of(&[]), Outcome::Ok);
        assert_eq!(outcome_of(&[find(Severity::Info)]), Outcome::Ok);
        assert_eq!(
            outcome_of(&[find(Severity::Partial), find(Severity::Warning)]),
            Outcome::Partial
        );
        assert_eq!(outcome_of(&[find(Severity::Error)]), Outcome::Failed);
        let stopped = Finding::new(Code::Cancelled, Severity::Error, "vm", "stopped").hint("do");
        assert_eq!(outcome_of(&[stopped]), Outcome::Cancelled);
    }
}
