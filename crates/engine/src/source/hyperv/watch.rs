//! Looking, while a VM holds still, whether its host still has room.
//!
//! What the VM writes meanwhile goes to new files. When its volume is nearly full the backup is
//! given up, which gives the room back.
//!
//! A thread looks, since nothing else is sure to come by: a read may hang, and the vault may be
//! slow to take what was read. Whoever reads looks as well when it is time and the thread is late.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use disk::{BlockRead, ByteRange, Extent, Geometry, ReadAt};
use hyperv::control::Control;
use hyperv::space::{self, Floor, Shortage};

/// Between two looks.
pub(super) const EVERY: Duration = Duration::from_secs(30);

/// Whether a VM of the host is being given up, so that nobody should wait for its files any longer.
#[derive(Clone, Debug, Default)]
pub struct Hurry(Arc<AtomicUsize>);

impl Hurry {
    /// Whether one is.
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// The volumes of a VM's disks.
pub(super) struct Watch {
    control: Arc<Control>,
    files: Vec<String>,
    floor: Floor,
    hurry: Hurry,
    looked: Mutex<Duration>,
    short: OnceLock<Shortage>,
    ended: Mutex<bool>,
    end: Condvar,
}

impl Watch {
    pub(super) fn new(
        control: Arc<Control>,
        files: Vec<String>,
        floor: Floor,
        hurry: Hurry,
    ) -> Self {
        let now = control.pace().now();
        Self {
            control,
            files,
            floor,
            hurry,
            looked: Mutex::new(now),
            short: OnceLock::new(),
            ended: Mutex::new(false),
            end: Condvar::new(),
        }
    }

    /// The first volume that was seen to be short of room.
    pub(super) fn short(&self) -> Option<&Shortage> {
        self.short.get()
    }

    /// Looks if it is time to. A host that does not tell has told when the plan was made.
    fn look_if_due(&self) {
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
        self.look();
    }

    fn look(&self) {
        let files = self.files.iter().map(String::as_str);
        let room = space::ask(self.control.session(), files, self.floor);
        let shortage = room.ok().and_then(|room| room.short.into_iter().next());
        // Another thread may have seen the same.
        if shortage.is_some_and(|shortage| self.short.set(shortage).is_ok()) {
            self.hurry.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until it is time to look again; whether it is.
    fn wait(&self, every: Duration) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.end.wait_timeout_while(ended, every, |ended| !*ended);
        let (ended, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !*ended
    }
}

impl Drop for Watch {
    /// Whoever was to hurry has.
    fn drop(&mut self) {
        if self.short.get().is_some() {
            self.hurry.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The thread that looks, until this is dropped.
pub(super) struct Watcher {
    watch: Arc<Watch>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Begins to look every so often.
    ///
    /// # Errors
    /// When there is no thread.
    pub(super) fn begin(watch: &Arc<Watch>, every: Duration) -> io::Result<Self> {
        let looks = Arc::clone(watch);
        let work = move || {
            while looks.short().is_none() && looks.wait(every) {
                let now = looks.control.pace().now();
                *looks.looked.lock().unwrap_or_else(PoisonError::into_inner) = now;
                looks.look();
            }
        };
        let thread = match watch.floor == Floor::NONE {
            true => None,
            false => Some(Builder::new().name("room".to_owned()).spawn(work)?),
        };
        let watch = Arc::clone(watch);
        Ok(Self { watch, thread })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let ended = &self.watch.ended;
        *ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.watch.end.notify_all();
        // It ends within one question to the host; what it panicked about is told on stderr.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Something of a VM that is not read any further once the host is short of room.
pub(super) struct Watched<T: ?Sized> {
    pub(super) inner: Arc<T>,
    pub(super) watch: Arc<Watch>,
}

impl<T: ?Sized> Watched<T> {
    fn may_read(&self) -> io::Result<()> {
        self.watch.look_if_due();
        match self.watch.short() {
            Some(shortage) => Err(io::Error::other(format!(
                "reading was given up: {shortage}"
            ))),
            None => Ok(()),
        }
    }
}

impl<T: BlockRead + ?Sized> BlockRead for Watched<T> {
    fn geometry(&self) -> Geometry {
        self.inner.geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> disk::Result<()> {
        self.may_read().map_err(|source| disk::Error::Io {
            what: "reading a disk",
            source,
        })?;
        self.inner.read_at(offset, buf)
    }

    fn extents(&self, range: ByteRange) -> disk::Result<Vec<Extent>> {
        self.inner.extents(range)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Watched<T> {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.may_read()?;
        self.inner.read_exact_at(buf, offset)
    }
}
