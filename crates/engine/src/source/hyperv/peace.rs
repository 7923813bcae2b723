//! Leaving a host in peace while its VMs are read.
//!
//! ```text
//! a disk is read when its host and its volume have a place          Slots
//! checkpoints of one volume end one after the other                 Stagger
//! the host is asked a small question now and then: slow? fewer      Backing
//! ```
//!
//! All VMs of a host share one of these in a run, and the nodes of a cluster have theirs beside each
//! other: what lies on a volume of the cluster has places and ends in common. Whoever reads asks, when
//! it is time; nobody else has to.
//!
//! A VM has its first place before it is made to hold still ([`Quiet`]). That nobody waits for another
//! one for ever rests on this: *who waits for a place holds none that is not being read at*.
//!
//! - Before it holds still a VM waits for one place of any of its volumes, and has none.
//! - From then until it is read nothing is waited for that itself waits for a place. Exports with
//!   memory, of which one waits for the other, have none; and who waits for a place does not do so
//!   with a session that has failed, whose end others wait for.
//! - The layer that the place is for is begun before all others
//!   ([`FrozenVm::first`](crate::source::FrozenVm::first)), so when another one of the VM waits it is
//!   being read, or about to be by a thread that waits for nothing. Where no layer is for it, it is
//!   given back.
//!
//! So whenever somebody waits, a place is being read at or free, and what is read comes to its end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cim::CimSession;
use cim::job::Pace;
use disk::{BlockRead, ByteRange, Extent, Geometry};
use hyperv::Inventory;
use hyperv::inventory::Host;
use hyperv::pacing::{Backing, Caps, LatencyReport, Limits, Place, Slots, Stagger, probe};
use hyperv::space;
use uuid::Uuid;

use super::start::Start;
use crate::finding::{Code, Finding};
use crate::source::{Early, FrozenLayer, FrozenView, Leave};

/// Between two questions to the host while it is read from.
const EVERY: Duration = Duration::from_secs(5);
/// The longest time for which nobody looks whether an end has become urgent.
const STEP: Duration = Duration::from_secs(1);
/// Disks of one VM that wait for places.
const WAITING: usize = 16;
/// Questions before anything is read.
const BEFORE: usize = 5;

/// How much is done at once with a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pacing {
    /// How many disks are read at once.
    pub caps: Caps,
    /// Between the ends of two checkpoints on one volume.
    pub gap: Duration,
    /// When the host counts as slow.
    pub slow: Limits,
    /// Whether a VM is let go that somebody starts while it is read.
    pub release_on_start: bool,
}

impl Default for Pacing {
    /// What [`Caps`] and [`Limits`] say, five seconds, and nobody is let go.
    fn default() -> Self {
        Self {
            caps: Caps::default(),
            gap: Duration::from_secs(5),
            slow: Limits::default(),
            release_on_start: false,
        }
    }
}

/// See the [module](self).
pub(super) struct Peace {
    session: Arc<dyn CimSession>,
    pace: Arc<dyn Pace + Send + Sync>,
    pacing: Pacing,
    slots: Slots,
    stagger: Arc<Mutex<Stagger>>,
    answers: Mutex<Answers>,
}

struct Answers {
    backing: Backing,
    /// The VM that the question is about.
    vm: Option<Uuid>,
    asked: Duration,
}

impl Peace {
    pub(super) fn new(
        session: Arc<dyn CimSession>,
        pace: Arc<dyn Pace + Send + Sync>,
        pacing: Pacing,
    ) -> Self {
        let answers = Answers {
            backing: Backing::new(pacing.caps.per_host, pacing.slow),
            vm: None,
            asked: pace.now(),
        };
        Self {
            session,
            pace,
            pacing,
            slots: Slots::new(pacing.caps),
            stagger: Arc::new(Mutex::new(Stagger::new(pacing.gap))),
            answers: Mutex::new(answers),
        }
    }

    /// The same for a host of which nothing was asked yet, and which has volumes in common with
    /// another one. Both have one clock, and the gap between two ends is that of the other one.
    pub(super) fn beside(&self, other: &Self) -> Self {
        let session = Arc::clone(&self.session);
        Self {
            slots: other.slots.beside(self.pacing.caps),
            stagger: Arc::clone(&other.stagger),
            ..Self::new(session, Arc::clone(&self.pace), self.pacing)
        }
    }

    /// Measures how long the host takes to answer when nothing is read from it. Where it does not
    /// answer, or has no VM to ask for, nothing is known and nothing will follow.
    pub(super) fn before(&self, inventory: &Inventory) {
        let Some(vm) = inventory.machines.first().map(|machine| machine.id) else {
            return;
        };
        let mut answers = self.answers();
        for _ in 0..BEFORE {
            match probe(self.session.as_ref(), vm, self.pace.as_ref()) {
                Ok(took) => answers.backing.before(took),
                Err(_) => return,
            }
        }
        answers.vm = Some(vm);
        answers.asked = self.pace.now();
    }

    /// Asks the host if it is time to, and gives as many places as follow from its answer. Who comes
    /// while another one asks does not wait.
    fn ask_if_due(&self) {
        let Ok(mut answers) = self.answers.try_lock() else {
            return;
        };
        let now = self.pace.now();
        let Some(vm) = answers
            .vm
            .filter(|_| now.saturating_sub(answers.asked) >= EVERY)
        else {
            return;
        };
        let took = probe(self.session.as_ref(), vm, self.pace.as_ref());
        answers.asked = self.pace.now();
        // Without an answer nothing is known; what cannot be done without one fails by itself.
        if let Ok(took) = took {
            let places = answers.backing.during(took);
            drop(answers);
            self.slots.open(places);
        }
    }

    /// How many disks of a VM may wait for their places at once: more than there are places, since a
    /// volume that has none must not keep others from theirs.
    pub(super) fn at_once(&self) -> usize {
        match self.pacing.caps.per_host {
            0 | 1 => 1,
            places => places.max(WAITING),
        }
    }

    /// Waits for a place to read a disk on one of these volumes.
    pub(super) fn place(&self, volumes: &[String], stopped: &dyn Fn() -> bool) -> Option<Place> {
        self.slots.take(volumes, stopped)
    }

    /// The place that was had for a VM before, if it is one of this host: it may have moved.
    pub(super) fn early(&self, early: &Early) -> Option<Place> {
        let place = early.take::<Place>();
        place.filter(|place| place.is_of(&self.slots))
    }

    /// Lets those who wait for places look whether they are to wait any longer.
    pub(super) fn wake(&self) {
        self.slots.wake();
    }

    /// Waits until a checkpoint may end whose disks are on these volumes. Where it is urgent, or
    /// becomes so, nobody waits, and those that come later do.
    pub(super) fn before_end(&self, volumes: &[String], urgent: &dyn Fn() -> bool) {
        let mut left = {
            let mut stagger = self.stagger.lock().unwrap_or_else(PoisonError::into_inner);
            let volumes: Vec<String> = volumes.iter().map(|v| self.slots.name_of(v)).collect();
            stagger.plan(volumes.iter().map(String::as_str), self.pace.now())
        };
        // Who asks to stop later does not want this waited for.
        let asked = self.pace.cancelled();
        while !left.is_zero() && !urgent() && (asked || !self.pace.cancelled()) {
            self.pace.sleep(left.min(STEP));
            left = left.saturating_sub(STEP);
        }
    }

    /// Begins to look whether somebody wants a VM to start, if that matters and it does not run. The
    /// session is one that follows it.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub(super) fn start_of(
        &self,
        session: &dyn CimSession,
        vm: Uuid,
    ) -> Result<Option<Start>, cim::CimError> {
        match self.pacing.release_on_start {
            true => Start::begin(session, self.pace.as_ref(), vm),
            false => Ok(None),
        }
    }

    /// What was measured; `None` when nothing was.
    pub(super) fn report(&self) -> Option<LatencyReport> {
        let report = self.answers().backing.report();
        (report.before.is_some() || report.during.is_some()).then_some(report)
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is told at the end of a run during which the host got slow.
pub(super) fn slowed(report: &LatencyReport, host: &str) -> Option<Finding> {
    let (before, during) = (report.before?, report.during?);
    let message = format!(
        "the host got slow while it was read from: it took {} ms to answer before and {} ms during \
         the backup; fewer disks were read at once, {} at least",
        before.median_ms, during.ninth_ms, report.fewest_places
    );
    let note = Finding::note(Code::HostNote, host, message);
    let hint = "if its VMs felt it, back up at another time or with a lower --disks-per-host";
    (report.backed_off > 0).then(|| note.hint(hint))
}

/// By what a host is left in peace while one of its VMs is read.
pub(super) struct Quiet {
    pub(super) peace: Arc<Peace>,
    pub(super) host: Host,
    /// What was had before the VM held still, until it is read at.
    place: Mutex<Option<Place>>,
    /// The layer that it is for.
    first: usize,
}

impl Quiet {
    pub(super) fn new(peace: Arc<Peace>, host: Host, place: Option<Place>) -> Self {
        Self {
            peace,
            host,
            place: Mutex::new(place),
            first: 0,
        }
    }

    /// With a place that was had meanwhile, where there was none before.
    pub(super) fn had(&mut self, place: Option<Place>) {
        self.place = Mutex::new(place);
    }

    /// Looks after the host whenever a layer is read.
    pub(super) fn pace(&mut self, view: &mut FrozenView) {
        for layer in &mut view.layers {
            layer.data = Arc::new(Paced {
                inner: Arc::clone(&layer.data),
                peace: Arc::clone(&self.peace),
            });
        }
        let held = self.place.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Without a layer that it is for, it is for others.
        if let Some(place) = held.take() {
            let is_for = |layer: &FrozenLayer| {
                let volumes = volume_of(&self.host, layer);
                let slots = &self.peace.slots;
                volumes.iter().any(|volume| place.is_for(slots, volume))
            };
            let first = view.layers.iter().position(is_for);
            self.first = first.unwrap_or(0);
            *held = first.map(|_| place);
        }
    }

    /// The layer that there is a place for.
    pub(super) fn first(&self) -> usize {
        self.first
    }

    /// Waits for a place to read a layer.
    pub(super) fn leave(
        &self,
        view: &FrozenView,
        layer: usize,
        stopped: &dyn Fn() -> bool,
    ) -> Option<Leave> {
        let wanted = view.layers.get(layer)?;
        {
            let mut held = self.place.lock().unwrap_or_else(PoisonError::into_inner);
            if layer == self.first
                && let Some(place) = held.take()
            {
                return (!stopped()).then(|| Box::new(place) as Leave);
            }
            // Whoever reads one after the other was to begin with that one.
            if self.peace.at_once() == 1 {
                *held = None;
            }
        }
        let volumes = volume_of(&self.host, wanted);
        let place = self.peace.place(&volumes, stopped)?;
        Some(Box::new(place))
    }
}

/// A layer of a VM that is read in peace.
struct Paced {
    inner: Arc<dyn BlockRead>,
    peace: Arc<Peace>,
}

impl BlockRead for Paced {
    fn geometry(&self) -> Geometry {
        self.inner.geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> disk::Result<()> {
        self.peace.ask_if_due();
        self.inner.read_at(offset, buf)
    }

    fn extents(&self, range: ByteRange) -> disk::Result<Vec<Extent>> {
        self.inner.extents(range)
    }
}

/// Where a layer is read, as far as the host tells.
fn volume_of(host: &Host, layer: &FrozenLayer) -> Vec<String> {
    volumes_of(host, &[layer.file().to_owned()])
}

/// Where files lie, as far as the host tells.
pub(super) fn volumes_of(host: &Host, files: &[String]) -> Vec<String> {
    let volumes = host.volumes.as_deref().unwrap_or_default();
    files
        .iter()
        .map(|file| space::lies_on(volumes, file))
        .collect()
}
