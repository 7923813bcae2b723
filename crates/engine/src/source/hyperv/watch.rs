//! Looking, while a VM holds still, whether it is to be let go: its host has no room left, or
//! somebody wants it to start.
//!
//! What the VM writes meanwhile goes to new files. When its volume is nearly full the backup is
//! given up, which gives the room back.
//!
//! A thread looks, since nothing else is sure to come by: a read may hang, the vault may be slow to
//! take what was read, and a disk may wait for its place for hours. Whoever reads looks as well when
//! it is time and the thread is late. Who waits is woken.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Builder, JoinHandle, ThreadId};
use std::time::Duration;

use disk::{BlockRead, ByteRange, Extent, Geometry, ReadAt};
use hyperv::control::Control;
use hyperv::space::{self, Floor, Shortage};

use super::peace::Peace;
use super::start::{self, Start};
use crate::finding::{Code, Finding, Severity};

/// Between two looks for room.
pub(super) const EVERY: Duration = Duration::from_secs(30);

/// Whether files are of a VM that is being given up, so that nobody should wait for them any longer.
///
/// It is told to the thread that reads them, and to no other: VMs of the same host that are not
/// given up bear an outage as ever.
#[derive(Clone, Debug, Default)]
pub struct Hurry(Arc<Mutex<HashMap<ThreadId, Arc<AtomicBool>>>>);

impl Hurry {
    /// Whether what this thread reads is.
    pub fn is_on(&self) -> bool {
        let reads = self.reads();
        let over = reads.get(&thread::current().id());
        over.is_some_and(|over| over.load(Ordering::Acquire))
    }

    fn reads(&self) -> MutexGuard<'_, HashMap<ThreadId, Arc<AtomicBool>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until this is dropped the thread reads of a VM that is given up when `over` says so.
    fn begin(&self, over: &Arc<AtomicBool>) -> Reading<'_> {
        let thread = thread::current().id();
        let before = self.reads().insert(thread, Arc::clone(over));
        Reading {
            hurry: self,
            before,
        }
    }
}

/// A thread that reads.
struct Reading<'h> {
    hurry: &'h Hurry,
    /// What it was at before.
    before: Option<Arc<AtomicBool>>,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let thread = thread::current().id();
        let mut reads = self.hurry.reads();
        match self.before.take() {
            Some(before) => reads.insert(thread, before),
            None => reads.remove(&thread),
        };
    }
}

/// What is looked at.
pub(super) struct Watch {
    control: Arc<Control>,
    /// Of the disks.
    files: Vec<String>,
    floor: Floor,
    start: Option<Start>,
    peace: Arc<Peace>,
    hurry: Hurry,
    looked: Mutex<Duration>,
    short: OnceLock<Shortage>,
    over: Arc<AtomicBool>,
    ended: Mutex<bool>,
    end: Condvar,
}

impl Watch {
    /// Of a VM whose disks are these files.
    pub(super) fn new(files: Vec<String>, around: Around) -> Self {
        let now = around.control.pace().now();
        let Around {
            control,
            floor,
            start,
            peace,
            hurry,
        } = around;
        Self {
            control,
            files,
            floor,
            start,
            peace,
            hurry,
            looked: Mutex::new(now),
            short: OnceLock::new(),
            over: Arc::default(),
            ended: Mutex::new(false),
            end: Condvar::new(),
        }
    }

    /// Whether the VM is to be let go.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Why it is, if it is.
    pub(super) fn give_up(&self, vm: &str) -> Option<Finding> {
        let wanted = self.start.as_ref().and_then(|start| start.give_up(vm));
        let short = || {
            let shortage = self.short.get()?;
            let message = format!("given up to keep the host's volume from filling: {shortage}");
            let finding = Finding::new(Code::Failed, Severity::Error, vm, message);
            Some(finding.hint(shortage.hint()))
        };
        wanted.or_else(short)
    }

    /// Looks for what it is time to look for. A host that does not tell its room has told it when
    /// the plan was made.
    fn look_if_due(&self) {
        if self.is_over() {
            return;
        }
        if let Some(start) = &self.start {
            start.look_if_due(self.control.session(), self.control.pace());
            self.judge();
        }
        if self.floor == Floor::NONE {
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
        self.look_for_room();
    }

    /// Looks, whenever it was done last: for room, if wanted.
    fn look(&self, room: bool) {
        if let Some(start) = &self.start {
            start.look(self.control.session(), self.control.pace());
            self.judge();
        }
        if room && self.floor != Floor::NONE && !self.is_over() {
            let now = self.control.pace().now();
            *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = now;
            self.look_for_room();
        }
    }

    fn look_for_room(&self) {
        let files = self.files.iter().map(String::as_str);
        let room = space::ask(self.control.session(), files, self.floor);
        let shortage = room.ok().and_then(|room| room.short.into_iter().next());
        // Another thread may have seen the same.
        let _ = shortage.map(|shortage| self.short.set(shortage));
        self.judge();
    }

    /// Tells those who wait for something of the VM when it is over.
    fn judge(&self) {
        let wanted = self.start.as_ref().is_some_and(Start::is_wanted);
        if (wanted || self.short.get().is_some()) && !self.over.swap(true, Ordering::AcqRel) {
            self.peace.wake();
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

/// What a VM is watched with.
pub(super) struct Around {
    pub(super) control: Arc<Control>,
    pub(super) floor: Floor,
    /// If it matters whether somebody wants the VM to start.
    pub(super) start: Option<Start>,
    pub(super) peace: Arc<Peace>,
    pub(super) hurry: Hurry,
}

/// The thread that looks, until this is dropped.
pub(super) struct Watcher {
    watch: Arc<Watch>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Begins to look for room every so often, and for starts at least as often as they are worth.
    ///
    /// # Errors
    /// When there is no thread.
    pub(super) fn begin(watch: &Arc<Watch>, every: Duration) -> io::Result<Self> {
        let looks = Arc::clone(watch);
        let span = match watch.start {
            Some(_) => every.min(start::EVERY),
            None => every,
        };
        let work = move || {
            let mut since = Duration::ZERO;
            while !looks.is_over() && looks.wait(span) {
                since = since.saturating_add(span);
                let room = since >= every;
                looks.look(room);
                since = if room { Duration::ZERO } else { since };
            }
        };
        let thread = match watch.floor == Floor::NONE && watch.start.is_none() {
            true => None,
            false => Some(Builder::new().name("watch".to_owned()).spawn(work)?),
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

/// Something of a VM that is not read any further once the VM is to be let go.
pub(super) struct Watched<T: ?Sized> {
    pub(super) inner: Arc<T>,
    pub(super) watch: Arc<Watch>,
}

impl<T: ?Sized> Watched<T> {
    fn may_read(&self) -> io::Result<Reading<'_>> {
        let watch = &self.watch;
        watch.look_if_due();
        if !watch.is_over() {
            return Ok(watch.hurry.begin(&watch.over));
        }
        Err(io::Error::other(match watch.short.get() {
            Some(shortage) => format!("reading was given up: {shortage}"),
            None => "reading was given up: somebody wants the VM to start".to_owned(),
        }))
    }
}

impl<T: BlockRead + ?Sized> BlockRead for Watched<T> {
    fn geometry(&self) -> Geometry {
        self.inner.geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> disk::Result<()> {
        let what = "reading a disk";
        let reading = self.may_read();
        let _reading = reading.map_err(|source| disk::Error::Io { what, source })?;
        self.inner.read_at(offset, buf)
    }

    fn extents(&self, range: ByteRange) -> disk::Result<Vec<Extent>> {
        let _reading = self.watch.hurry.begin(&self.watch.over);
        self.inner.extents(range)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Watched<T> {
    fn len(&self) -> io::Result<u64> {
        let _reading = self.watch.hurry.begin(&self.watch.over);
        self.inner.len()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let _reading = self.may_read()?;
        self.inner.read_exact_at(buf, offset)
    }
}
