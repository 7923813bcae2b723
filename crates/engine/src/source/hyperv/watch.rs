//! Looking, while a VM's disks are read, whether its host still has room.
//!
//! What the VM writes meanwhile goes to new files. When its volume is nearly full the backup is
//! given up, which gives the room back.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use disk::{BlockRead, ByteRange, Extent, Geometry};
use hyperv::control::Control;
use hyperv::space::{self, Floor, Shortage};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(30);

/// The volumes of a VM's disks.
pub(super) struct Watch {
    control: Arc<Control>,
    files: Vec<String>,
    floor: Floor,
    looked: Mutex<Duration>,
    short: OnceLock<Shortage>,
}

impl Watch {
    pub(super) fn new(control: Arc<Control>, files: Vec<String>, floor: Floor) -> Self {
        let now = control.pace().now();
        Self {
            control,
            files,
            floor,
            looked: Mutex::new(now),
            short: OnceLock::new(),
        }
    }

    /// The first volume that was seen to be short of room.
    pub(super) fn short(&self) -> Option<&Shortage> {
        self.short.get()
    }

    /// Looks if it is time to. A host that does not tell has told when the plan was made.
    fn look(&self) {
        if self.floor == Floor::NONE || self.short.get().is_some() {
            return;
        }
        {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            let now = self.control.pace().now();
            if now.saturating_sub(*looked) < EVERY {
                return;
            }
            *looked = now;
        }
        let files = self.files.iter().map(String::as_str);
        let room = space::ask(self.control.session(), files, self.floor);
        if let Some(shortage) = room.ok().and_then(|room| room.short.into_iter().next()) {
            // Another thread may have seen the same.
            let _ = self.short.set(shortage);
        }
    }
}

/// A layer that is not read any further once the host is short of room.
pub(super) struct Watched {
    pub(super) inner: Arc<dyn BlockRead>,
    pub(super) watch: Arc<Watch>,
}

impl BlockRead for Watched {
    fn geometry(&self) -> Geometry {
        self.inner.geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> disk::Result<()> {
        self.watch.look();
        match self.watch.short() {
            Some(shortage) => Err(disk::Error::Io {
                what: "reading was given up",
                source: std::io::Error::other(shortage.to_string()),
            }),
            None => self.inner.read_at(offset, buf),
        }
    }

    fn extents(&self, range: ByteRange) -> disk::Result<Vec<Extent>> {
        self.inner.extents(range)
    }
}
