//! What came of a plan, as plain data.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::ImportError;
use super::steps::Step;

/// Where the caller has put what it wrote before. Nothing of a host is written by this crate but
/// by the host itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The configuration, below the plan's folder and with the new paths in it, as the host spells
    /// it; none for a VM that is made anew.
    pub configuration: Option<String>,
    /// The folder of the checkpoints' configurations; none if there are none.
    pub snapshots: Option<String>,
}

/// A VM that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Its id.
    pub vm: Uuid,
    /// Its name.
    pub name: String,
    /// Where it is not what was planned. Then it is not started.
    pub differences: Vec<Difference>,
    /// Why it could not be compared with the plan; then it is not started either.
    pub unverified: Option<String>,
    /// Whether it was started.
    pub started: bool,
    /// Why it was not, though that was planned.
    pub not_started: Option<String>,
    /// By what it goes again, and what it replaced comes back.
    pub undo: Undo,
}

/// Something that is not as it was planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What.
    pub what: String,
    /// What was planned.
    pub planned: String,
    /// What there is.
    pub found: String,
}

/// What is needed to take back a restore. It can be kept and used later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The VM that was restored.
    pub vm: Uuid,
    /// The folder of its configuration: it is this VM as long as that is so.
    pub folder: String,
    /// What it replaced.
    pub aside: Option<Aside>,
}

/// A VM that was taken off its host and can come back. Its disks are where they were.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Aside {
    /// Its id.
    pub vm: Uuid,
    /// Its configuration, as the host spells it.
    pub configuration: String,
    /// The folder of its checkpoints' configurations; none if it had none.
    pub snapshots: Option<String>,
    /// The folder of all that.
    pub folder: String,
    /// The host that has the folder, if that is not all nodes of a cluster.
    pub node: Option<String>,
}

/// What became of the VM that should have been replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "replaced", rename_all = "kebab-case")]
pub enum Replaced {
    /// It was not touched, or is as it was: it may have been turned off.
    There {
        /// Whether it was turned off, and does not run again.
        off: bool,
    },
    /// It was taken off the host and has come back.
    Back {
        /// The folder that its configuration is in now.
        folder: String,
        /// Whether it ran before and does not run again.
        off: bool,
    },
    /// It is not on the host, or nobody knows. The journal keeps what was put aside, and the next
    /// run brings it back.
    Away {
        /// What was put aside.
        aside: Aside,
        /// Why it is not back.
        why: String,
    },
}

/// A plan that was not carried out. Nothing of the new VM is left on the host, or it is in the
/// journal; what the caller has written is the caller's.
#[derive(Debug, thiserror::Error)]
pub struct ApplyError {
    /// At which step.
    pub step: Option<Box<Step>>,
    /// What went wrong.
    #[source]
    pub problem: ImportError,
    /// What became of the VM that should have been replaced, if one should.
    pub replaced: Option<Box<Replaced>>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            planned,
            found,
        } = self;
        write!(f, "{what} should be {planned} and is {found}")
    }
}

impl fmt::Display for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = |off: &bool| match off {
            true => ", and is off: start it when that is right",
            false => "",
        };
        match self {
            Self::There { off } => write!(
                f,
                "the VM that should be replaced is there as it was{}",
                state(off)
            ),
            Self::Back { folder, off } => write!(
                f,
                "the VM that should be replaced is back, with its configuration in {folder}{}",
                state(off)
            ),
            Self::Away { aside, why } => write!(
                f,
                "the VM that should be replaced is not back ({why}): the next run looks again, and brings it \
                 back if the new one is not there; or import {} by hand; its disks are where they were",
                aside.configuration
            ),
        }
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(step) = &self.step {
            write!(f, "{step}: ")?;
        }
        write!(f, "{}", self.problem)?;
        match &self.replaced {
            Some(replaced) => write!(f, "; {replaced}"),
            None => Ok(()),
        }
    }
}
