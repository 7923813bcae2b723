//! How a piece of work ended, in six words that a person, a script and a mail agree on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the work on one VM, or a whole job, ended.
///
/// The order of the variants is the order of badness, so that the outcome of a job is the
/// [worst](Outcome::worst) of its VMs. The rule behind it: the more of what was asked for is
/// missing, and the less that was anybody's decision, the worse.
///
/// - `Ok < Warning`: all data is safe in both.
/// - `Warning < Skipped`: a skipped VM has no new restore point, though by a rule that somebody set.
/// - `Skipped < Partial`: a partial point *looks* like a restore point and lacks something.
/// - `Partial < Cancelled`: a cancelled VM has nothing, and nobody looked at the rest.
/// - `Cancelled < Failed`: a cancelled job that also failed must not hide the failure.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Everything that was asked for was done.
    #[default]
    Ok,
    /// All data is safe, and something needs attention.
    Warning,
    /// Nothing was done, by a rule; the reason is among the findings.
    Skipped,
    /// Something that was asked for is not covered; it is named.
    Partial,
    /// Stopped on request, cleanly.
    Cancelled,
    /// Not done.
    Failed,
}

impl Outcome {
    /// The process exit code. Code 2 is never an outcome: it says that the command line was wrong.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Warning => 3,
            Self::Partial => 4,
            Self::Skipped => 5,
            Self::Cancelled => 6,
        }
    }

    /// The worst of several; [`Outcome::Ok`] of none.
    pub fn worst(outcomes: impl IntoIterator<Item = Self>) -> Self {
        outcomes.into_iter().max().unwrap_or_default()
    }

    /// The word itself, as it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Skipped => "skipped",
            Self::Partial => "partial",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ALL: [Outcome; 6] = [
        Outcome::Ok,
        Outcome::Warning,
        Outcome::Skipped,
        Outcome::Partial,
        Outcome::Cancelled,
        Outcome::Failed,
    ];

    #[test]
    fn a_job_is_as_bad_as_its_worst_vm() {
        assert_eq!(Outcome::worst([]), Outcome::Ok);
        for (i, a) in ALL.into_iter().enumerate() {
            for (j, b) in ALL.into_iter().enumerate() {
                assert_eq!(Outcome::worst([a, b]), ALL[i.max(j)]);
            }
        }
    }

    #[test]
    fn exit_codes_are_distinct_and_never_mean_bad_usage() {
        let codes: BTreeSet<u8> = ALL.iter().map(|o| o.exit_code()).collect();
        assert_eq!(codes.len(), ALL.len());
        assert!(!codes.contains(&2));
        assert_eq!(Outcome::Ok.exit_code(), 0);
    }
}
