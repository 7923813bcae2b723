//! Whether the host has merged what the VM wrote while it held still.
//!
//! A checkpoint that ended leaves each disk with one layer more, which the host merges in its own
//! time. Until then the VM is slower, the volume fuller, and the next backup's chain longer; a
//! merge that fails stays so. Nothing of it makes the restore point worse.

use std::time::Duration;

use cim::{CimError, CimSession};
use uuid::Uuid;

use super::{Frozen, merge_log};
use crate::checkpoint::machine;
use crate::control::Control;
use crate::files::HostPath;
use crate::ids;
use crate::images::{Images, NotTold, ToldDisk};
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
    /// The file that the VM wrote to while it held still, where the host told: what is to be merged.
    pub wrote: Option<String>,
}

/// How far the host has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merge {
    /// No disk needs a file any more that was made while the VM held still.
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
        self.resting.clone()
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
                wrote: None,
            })
            .collect()
    }

    /// Whether a disk that is in this file now is still to be merged. Once people have taken a
    /// checkpoint since, it never comes back to the file that it was in: what the VM wrote meanwhile
    /// is somewhere below, or merged.
    fn is_pending(&self, now: &str, images: &mut Chains<'_>) -> Result<bool, CimError> {
        if same_file(&self.file, now) {
            return Ok(false);
        }
        match &self.wrote {
            Some(wrote) if !same_file(wrote, now) => Ok(images
                .of(now)?
                .is_none_or(|files| files.iter().any(|file| same_file(file, wrote)))),
            _ => Ok(true),
        }
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
        let mut chains = Chains {
            session,
            images: None,
        };
        for medium in settings.media {
            let place = ids::place(&medium.instance_id);
            let was = resting
                .iter()
                .find(|disk| place.is_some() && ids::place(&disk.place) == place);
            // A disk that was attached since was never ours to wait for.
            let pending = was.map(|was| was.is_pending(&medium.path, &mut chains));
            if pending.transpose()? == Some(true) {
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

/// The files of disks, as the host tells them.
struct Chains<'s> {
    session: &'s dyn CimSession,
    images: Option<Images<'s>>,
}

impl Chains<'_> {
    /// All files of the disk in a file; `None` where the host does not tell.
    fn of(&mut self, path: &str) -> Result<Option<Vec<String>>, CimError> {
        match self.ask(path) {
            Ok(disk) => Ok(Some(disk.files.into_iter().map(|(file, _)| file).collect())),
            Err(NotTold::Why(_)) => Ok(None),
            Err(NotTold::Host(error)) if error.fault_kind().is_some() => Ok(None),
            Err(NotTold::Host(error)) => Err(error),
        }
    }

    fn ask(&mut self, path: &str) -> Result<ToldDisk, NotTold> {
        let images = match self.images.take() {
            Some(images) => images,
            None => Images::of(self.session)?,
        };
        self.images.insert(images).disk(path)
    }
}

fn same_file(one: &str, other: &str) -> bool {
    match (HostPath::parse(one), HostPath::parse(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}
