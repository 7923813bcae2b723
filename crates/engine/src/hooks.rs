//! Programs of people that run around a backup: before it, when the VM holds still, and after it.
//!
//! ```text
//! Hooks::begin: before ─► Around::after_freeze ─► Around::end: after
//!                         dropped on the way ───► after
//! ```
//!
//! They run on the machine that runs the backup, as its user, and learn what it is about from
//! variables whose names begin with `HYPERKEEP_`. A script that stops a database before the
//! backup starts it again after it, so:
//!
//! Invariants:
//!
//! - Once *before* was begun, *after* runs exactly once, on every path: also when *before* failed,
//!   when somebody wants to stop, and when what was begun is dropped.
//! - A hook ends. At its time limit it is killed with all that it has started.
//! - What it writes is read to its end and kept in part: the last bytes, where errors are.
//! - No secret of ours is in its environment.

mod run;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::Cancel;

/// A program that runs at some moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Hook {
    /// The program: a whole path, or a name that is looked for where the system looks.
    pub program: PathBuf,
    /// Its arguments, as they are: no shell sees them.
    #[serde(default)]
    pub args: Vec<String>,
    /// Seconds after which it is killed.
    #[serde(default = "minute")]
    pub timeout_s: u64,
    /// What it means when it does not end with 0.
    #[serde(default)]
    pub policy: Policy,
    /// What it means when it ends with one of these codes, whatever the policy.
    #[serde(default, deserialize_with = "codes")]
    pub codes: BTreeMap<i32, Policy>,
}

/// Members of a file have names, which are texts: here they are numbers.
fn codes<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<i32, Policy>, D::Error> {
    let named = BTreeMap::<String, Policy>::deserialize(from)?;
    let number = |(name, policy): (String, Policy)| match name.parse() {
        Ok(code) => Ok((code, policy)),
        Err(_) => Err(D::Error::custom(format!("“{name}” is no exit code"))),
    };
    named.into_iter().map(number).collect()
}

fn minute() -> u64 {
    60
}

/// What a hook's failing means to the backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// There is no backup; after the backup, that it failed.
    #[default]
    Fail,
    /// The backup goes on, and it is told.
    Warn,
    /// Nothing.
    Ignore,
}

/// The hooks of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Hooks {
    /// Before anything is done with the VM.
    #[serde(default)]
    pub before: Option<Hook>,
    /// When the VM holds still and goes on: what was stopped for the freezing may go on as well.
    #[serde(default)]
    pub after_freeze: Option<Hook>,
    /// When all is done.
    #[serde(default)]
    pub after: Option<Hook>,
}

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// Before anything is done.
    Before,
    /// When the VM holds still.
    AfterFreeze,
    /// When all is done.
    After,
}

/// How a hook ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ended", content = "with", rename_all = "kebab-case")]
pub enum Ended {
    /// With a code.
    Code(i32),
    /// By a signal of somebody else.
    Signal,
    /// It was killed at its time limit.
    TimedOut,
    /// It was killed since somebody wants to stop.
    Cancelled,
    /// It could not be started, or was lost sight of.
    NotRun(String),
}

/// A hook that has run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// When.
    pub moment: Moment,
    /// The program.
    pub program: String,
    /// How it ended.
    pub ended: Ended,
    /// What that means.
    pub verdict: Verdict,
    /// The last that it wrote, to either of its outputs.
    pub output: String,
    /// Bytes that it wrote before that and that were not kept.
    pub dropped: u64,
}

/// What a hook's end means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It went well.
    Good,
    /// It did not, and that does not matter.
    Ignored,
    /// It did not, and that is told.
    Warning,
    /// It did not, and so there is no backup.
    Failed,
}

impl Hook {
    fn verdict(&self, ended: &Ended) -> Verdict {
        let policy = match ended {
            Ended::Code(code) => match (self.codes.get(code), code) {
                (Some(policy), _) => *policy,
                (None, 0) => return Verdict::Good,
                (None, _) => self.policy,
            },
            _ => self.policy,
        };
        match policy {
            Policy::Fail => Verdict::Failed,
            Policy::Warn => Verdict::Warning,
            Policy::Ignore => Verdict::Ignored,
        }
    }

    /// Runs it to its end.
    fn run(
        &self,
        moment: Moment,
        about: &BTreeMap<String, String>,
        cancel: Option<&Cancel>,
    ) -> Ran {
        let limit = Duration::from_secs(self.timeout_s);
        let word = match moment {
            Moment::Before => "before",
            Moment::AfterFreeze => "after-freeze",
            Moment::After => "after",
        };
        let mut about = about.clone();
        about.insert("HOOK".to_owned(), word.to_owned());
        let (ended, kept) = run::run(&self.program, &self.args, &about, limit, cancel);
        Ran {
            moment,
            program: self.program.display().to_string(),
            verdict: self.verdict(&ended),
            ended,
            output: kept.text,
            dropped: kept.dropped,
        }
    }
}

/// A backup around which hooks run.
#[must_use = "when it is dropped the hook after it runs"]
#[derive(Debug)]
pub struct Around<'h> {
    hooks: &'h Hooks,
    about: BTreeMap<String, String>,
    ran: Vec<Ran>,
    ended: bool,
}

impl Hooks {
    /// Runs the hook before a backup. `about` tells the hooks what it is about: `VM` becomes the
    /// variable `HYPERKEEP_VM`. Whether there may be a backup, [`Around::may_go_on`] tells.
    pub fn begin<'h>(&'h self, about: &[(&str, &str)], cancel: &Cancel) -> Around<'h> {
        let about = about.iter();
        let about = about.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut around = Around {
            hooks: self,
            about: about.collect(),
            ran: Vec::new(),
            ended: false,
        };
        if let Some(hook) = &self.before {
            around
                .ran
                .push(hook.run(Moment::Before, &around.about, Some(cancel)));
        }
        around
    }
}

impl Around<'_> {
    /// Whether no hook has failed so far.
    pub fn may_go_on(&self) -> bool {
        self.ran.iter().all(|ran| ran.verdict != Verdict::Failed)
    }

    /// The hooks that have run so far.
    pub fn ran(&self) -> &[Ran] {
        &self.ran
    }

    /// Tells the hooks that are still to run something more: `POINT` becomes `HYPERKEEP_POINT`.
    pub fn tell(&mut self, name: &str, value: &str) {
        self.about.insert(name.to_owned(), value.to_owned());
    }

    /// Runs the hook for when the VM holds still, and tells whether the backup may go on.
    pub fn after_freeze(&mut self, cancel: &Cancel) -> bool {
        if let Some(hook) = &self.hooks.after_freeze {
            let ran = hook.run(Moment::AfterFreeze, &self.about, Some(cancel));
            self.ran.push(ran);
        }
        self.may_go_on()
    }

    /// Runs the hook after the backup, which learns how that ended, and gives all that have run.
    /// Who wants to stop does not stop this one.
    pub fn end(mut self, outcome: &str) -> Vec<Ran> {
        self.finish(outcome);
        std::mem::take(&mut self.ran)
    }

    fn finish(&mut self, outcome: &str) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if let Some(hook) = &self.hooks.after {
            let outcome = outcome.to_owned();
            self.about.insert("OUTCOME".to_owned(), outcome);
            self.ran.push(hook.run(Moment::After, &self.about, None));
        }
    }
}

impl Drop for Around<'_> {
    fn drop(&mut self) {
        self.finish("failed");
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = match self.moment {
            Moment::Before => "before the backup",
            Moment::AfterFreeze => "for the VM that holds still",
            Moment::After => "after the backup",
        };
        write!(f, "the hook {moment} ({}) ", self.program)?;
        match &self.ended {
            Ended::Code(code) => write!(f, "ended with {code}")?,
            Ended::Signal => f.write_str("was killed by somebody else")?,
            Ended::TimedOut => f.write_str("was killed at its time limit")?,
            Ended::Cancelled => f.write_str("was killed since the backup is stopped")?,
            Ended::NotRun(why) => write!(f, "could not be run: {why}")?,
        }
        match self.output.lines().next_back() {
            Some(last) if !last.trim().is_empty() => write!(f, ": {}", last.trim()),
            _ => Ok(()),
        }
    }
}

#[cfg(all(test, unix))]
mod tests;
