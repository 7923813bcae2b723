//! Room for an export: before it is begun, and while it goes on.
//!
//! An export writes as fast as its host can, so a volume fills sooner than under a checkpoint, and is
//! looked at more often. What others write there counts as well: whoever filled it, what we write is
//! what can be given back.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use cim::CimSession;
use cim::job::Pace;

use super::{ExportError, Needs};
use crate::control::Control;
use crate::files::HostPath;
use crate::inventory::{self, Settings};
use crate::space::{self, Floor, Shortage};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(10);

/// Looks whether there is room, and how much is needed.
pub(super) fn look(
    session: &dyn CimSession,
    settings: &Settings,
    folder: &HostPath,
    floor: Floor,
) -> Result<Needs, ExportError> {
    let needs = Needs::ask(session, settings)?;
    let volumes = inventory::volumes(session)?.unwrap_or_default();
    let volume = space::volume(&volumes, folder);
    let told = volume.and_then(|volume| Some((volume, volume.free?)));
    let Some((volume, free)) = told else {
        return Err(ExportError::RoomUnknown(folder.to_string()));
    };
    let floor = floor.of(volume.capacity);
    if free < needs.bytes().saturating_add(floor) {
        let volume = volume.name.clone().or_else(|| volume.device.clone());
        return Err(ExportError::NoRoom {
            needs,
            volume: volume.unwrap_or_default(),
            free,
            floor,
        });
    }
    Ok(needs)
}

/// The pace of an export: it says that the job is to end when less than the floor is free.
pub(super) struct Watched {
    control: Arc<Control>,
    folder: String,
    floor: Floor,
    looked: Mutex<Duration>,
    short: OnceLock<Shortage>,
}

impl Watched {
    /// Of an export into this folder, of whose volume the room was just looked at.
    pub(super) fn new(control: &Arc<Control>, folder: &str, floor: Floor) -> Self {
        Self {
            control: Arc::clone(control),
            folder: folder.to_owned(),
            floor,
            looked: Mutex::new(control.pace().now()),
            short: OnceLock::new(),
        }
    }

    /// What was seen to be free when that was less than the floor.
    pub(super) fn short(&self) -> Option<Shortage> {
        self.short.get().cloned()
    }

    fn is_due(&self) -> bool {
        if self.floor == Floor::NONE || self.short.get().is_some() {
            return false;
        }
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.control.pace().now();
        let due = now.saturating_sub(*looked) >= EVERY;
        if due {
            *looked = now;
        }
        due
    }
}

impl Pace for Watched {
    fn now(&self) -> Duration {
        self.control.pace().now()
    }

    fn sleep(&self, span: Duration) {
        self.control.pace().sleep(span);
    }

    fn cancelled(&self) -> bool {
        if self.is_due() {
            let room = space::ask(self.control.session(), [self.folder.as_str()], self.floor);
            // A host that does not tell now has told it before, and is asked again.
            let short = room.ok().and_then(|room| room.short.into_iter().next());
            let _ = short.map(|short| self.short.set(short));
        }
        self.short.get().is_some() || self.control.pace().cancelled()
    }
}
