//! Whether the host has merged what the VM wrote while it held still.
//!
//! A checkpoint that ended leaves each disk with one layer more, which the host merges in its own
//! time. Until then the VM is slower, the volume fuller, and the next backup's chain longer; a
//! merge that fails stays so. Nothing of it makes the restore point worse.

use std::time::Duration;

use cim::CimError;
use uuid::Uuid;

use super::{Frozen, merge_log};
use crate::checkpoint::machine;
use crate::control::Control;
use crate::files::HostPath;
use crate::ids;
use crate::inventory::{self, Operation, Settings};

/// Between two looks.
const WAIT: Duration = Duration::from_secs(5);

/// A disk and the file that it will be in when all is merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resting {
    /// The host's name for its place.
    pub place: String,
    /// The file.
    pub file: String,
}

/// How far the host has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Every disk is in the file that it was in before.
    Done,
    /// These files are still to be merged.
    Pending {
        /// The files that the VM writes to.
        files: Vec<String>,
        /// Whether the host says that it is merging.
        at_work: bool,
        /// What its event log says of the last merge of this VM that failed, where it can be read
        /// and the host is not at it.
        log: Option<String>,
    },
}

impl Frozen {
    /// The disks, with the files that they will be in when all is merged.
    pub fn resting(&self) -> Vec<Resting> {
        Resting::of(&self.settings)
    }
}

impl Resting {
    /// The disks of a VM, with their files of now.
    pub fn of(settings: &Settings) -> Vec<Self> {
        let media = settings.media.iter();
        media
            .map(|medium| Self {
                place: medium.instance_id.clone(),
                file: medium.path.clone(),
            })
            .collect()
    }
}

impl Merge {
    /// Looks how far the host is.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub fn look(control: &Control, vm: Uuid, resting: &[Resting]) -> Result<Self, CimError> {
        let session = control.session();
        let at_work = machine(session, vm)?.operation == Some(Operation::MergingDisks);
        let own = format!("Microsoft:{}", ids::upper(vm));
        let settings = inventory::configuration(session, &own)?.settings;
        let mut files = Vec::new();
        for medium in settings.media {
            let place = ids::place(&medium.instance_id);
            let was = resting
                .iter()
                .find(|disk| place.is_some() && ids::place(&disk.place) == place);
            // A disk that was attached since was never ours to wait for.
            if was.is_some_and(|was| !same_file(&was.file, &medium.path)) {
                files.push(medium.path);
            }
        }
        let log = None;
        match files.is_empty() && !at_work {
            true => Ok(Self::Done),
            false => Ok(Self::Pending {
                files,
                at_work,
                log,
            }),
        }
    }

    /// Looks until all is merged or the time is over. A host that cannot be asked for once is
    /// asked again.
    ///
    /// # Errors
    /// When the host cannot be asked at last.
    pub fn wait(
        control: &Control,
        vm: Uuid,
        resting: &[Resting],
        most: Duration,
    ) -> Result<Self, CimError> {
        let pace = control.pace();
        let begun = pace.now();
        loop {
            let seen = Self::look(control, vm, resting);
            let late = pace.now().saturating_sub(begun) >= most || pace.cancelled();
            let again = match &seen {
                Ok(Self::Done) => false,
                Ok(Self::Pending { .. }) => true,
                Err(error) => error.is_transient(),
            };
            if late || !again {
                return seen.map(|seen| seen.with_evidence(control, vm));
            }
            pace.sleep(WAIT);
        }
    }
}

impl Merge {
    fn with_evidence(mut self, control: &Control, vm: Uuid) -> Self {
        if let Self::Pending {
            at_work: false,
            log,
            ..
        } = &mut self
        {
            *log = merge_log::last_failure(control, vm);
        }
        self
    }
}

fn same_file(one: &str, other: &str) -> bool {
    match (HostPath::parse(one), HostPath::parse(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}
