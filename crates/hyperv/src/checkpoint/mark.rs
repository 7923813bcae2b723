//! The name by which people and later runs know a checkpoint of ours.

use uuid::Uuid;

/// What every name of ours begins with.
const PREFIX: &str = "Hyperkeep";

/// The mark of one installation. Two installations never take each other's checkpoints for theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The installation's id.
    pub installation: Uuid,
    /// The run's id.
    pub run: Uuid,
}

impl Mark {
    /// The name of a checkpoint of this run.
    pub fn name(&self) -> String {
        format!("{}{}", self.start(), self.run)
    }

    /// Which installation and run made a checkpoint of this name, if any did.
    pub fn parse(name: &str) -> Option<Self> {
        let (installation, run) = name
            .strip_prefix(PREFIX)?
            .strip_prefix(' ')?
            .split_once(' ')?;
        let mark = Self {
            installation: Uuid::try_parse(installation).ok()?,
            run: Uuid::try_parse(run).ok()?,
        };
        // UUIDs have other spellings, and names of ours have not.
        (mark.name() == name).then_some(mark)
    }

    /// Whether a checkpoint of this name was made by this installation, in whatever run.
    pub fn is_ours(&self, name: &str) -> bool {
        let run = name.strip_prefix(&self.start());
        run.is_some_and(|run| Uuid::try_parse(run).is_ok())
    }

    /// Whether a checkpoint of this name was made by any installation.
    pub fn is_anyones(name: &str) -> bool {
        name.strip_prefix(PREFIX)
            .is_some_and(|rest| rest.starts_with(' '))
    }

    fn start(&self) -> String {
        format!("{PREFIX} {} ", self.installation)
    }
}
