//! What is going on, told to whoever wants to show it.
//!
//! The engine prints nothing. It tells a [`Sink`] what happens; a program draws a bar, a service
//! pushes it to a browser, a test collects it. Numbers come from a [`Meter`], which many threads
//! may feed and which works out the rate and the time left from an injected [`Clock`].

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::finding::Finding;
use crate::outcome::Outcome;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Work on a VM begins; it is the `index`-th (from 0) of `total`.
    VmStarted {
        /// Its name.
        vm: String,
        /// Its place among the VMs of the job.
        index: usize,
        /// The number of VMs of the job.
        total: usize,
    },
    /// Work on one disk begins. Its [`Step`]s follow.
    DiskStarted {
        /// The VM's name.
        vm: String,
        /// The disk's file name.
        disk: String,
        /// Bytes that will be read or written.
        bytes: u64,
        /// By what its steps are told from those of other disks, which may be worked on at once.
        task: u64,
    },
    /// Work goes on.
    Step(Step),
    /// Work on a disk is over, however it ended.
    DiskFinished {
        /// Which.
        task: u64,
    },
    /// Something was noticed.
    Found {
        /// The VM's name.
        vm: String,
        /// What.
        finding: Finding,
    },
    /// A VM is done.
    VmFinished {
        /// Its name.
        vm: String,
        /// How it ended.
        outcome: Outcome,
    },
}

/// How far a disk is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Step {
    /// Which.
    pub task: u64,
    /// Bytes done.
    pub done: u64,
    /// Bytes to do in all.
    pub total: u64,
    /// Bytes a second, over the last few seconds; `None` until there is something to tell.
    pub rate: Option<f64>,
    /// Time left at that rate.
    pub left: Option<Duration>,
}

/// Whoever wants to know. Called from many threads; must return quickly.
pub trait Sink: Send + Sync {
    /// Takes notice of one event.
    fn event(&self, event: &Event);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Sink for Quiet {
    fn event(&self, _: &Event) {}
}

/// The rate is measured over about this long.
const WINDOW: Duration = Duration::from_secs(8);
/// Events are not sent more often than this.
const EVERY: Duration = Duration::from_millis(100);

/// The next disk's number.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Counts the bytes of one disk and tells a [`Sink`] about it now and then; also that it begins, and
/// when it is dropped, that it is over.
pub struct Meter<'a> {
    task: u64,
    sink: &'a dyn Sink,
    clock: &'a dyn Clock,
    total: u64,
    state: Mutex<State>,
}

struct State {
    done: u64,
    told: Option<Duration>,
    /// Where the present window began, and where the one before it did: the rate is measured
    /// since the earlier of the two, so that it never rests on a window that has only just begun.
    windows: [(Duration, u64); 2],
}

impl<'a> Meter<'a> {
    /// A meter for `total` bytes of a VM's disk that starts now.
    pub fn begin(
        sink: &'a dyn Sink,
        clock: &'a dyn Clock,
        vm: &str,
        disk: &str,
        total: u64,
    ) -> Self {
        let now = clock.monotonic();
        let task = NEXT.fetch_add(1, Ordering::Relaxed);
        sink.event(&Event::DiskStarted {
            vm: vm.to_owned(),
            disk: disk.to_owned(),
            bytes: total,
            task,
        });
        Self {
            task,
            sink,
            clock,
            total,
            state: Mutex::new(State {
                done: 0,
                told: None,
                windows: [(now, 0); 2],
            }),
        }
    }

    /// Counts `bytes` more.
    pub fn add(&self, bytes: u64) {
        self.count(|done| done.saturating_add(bytes));
    }

    /// Counts up to `done` in all, of work that says how far it is; a word that comes late from
    /// another thread takes nothing back.
    pub fn reach(&self, done: u64) {
        self.count(|before| before.max(done));
    }

    fn count(&self, done: impl FnOnce(u64) -> u64) {
        let now = self.clock.monotonic();
        let step = {
            let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
            state.done = done(state.done);
            if now.saturating_sub(state.windows[1].0) >= WINDOW {
                state.windows = [state.windows[1], (now, state.done)];
            }
            let recently = state.told.is_some_and(|at| now.saturating_sub(at) < EVERY);
            if recently && state.done < self.total {
                return;
            }
            state.told = Some(now);
            self.step(&state, now)
        };
        self.sink.event(&Event::Step(step));
    }

    /// Bytes counted so far.
    pub fn done(&self) -> u64 {
        self.state.lock().unwrap_or_else(|e| e.into_inner()).done
    }

    fn step(&self, state: &State, now: Duration) -> Step {
        let (since, before) = state.windows[0];
        let seconds = now.saturating_sub(since).as_secs_f64();
        let rate =
            (seconds > 0.0 && state.done > before).then(|| (state.done - before) as f64 / seconds);
        let left = rate.and_then(|rate| {
            let to_do = self.total.saturating_sub(state.done) as f64;
            Duration::try_from_secs_f64(to_do / rate).ok()
        });
        Step {
            task: self.task,
            done: state.done,
            total: self.total,
            rate,
            left,
        }
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        let task = self.task;
        self.sink.event(&Event::DiskFinished { task });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Manual(AtomicU64);

    impl Clock for Manual {
        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
        fn unix_seconds(&self) -> u64 {
            0
        }
        fn sleep(&self, span: Duration) {
            let millis = u64::try_from(span.as_millis()).unwrap();
            self.0.fetch_add(millis, Ordering::Relaxed);
        }
    }

    #[derive(Default)]
    struct Collect(Mutex<Vec<Step>>);

    impl Sink for Collect {
        fn event(&self, event: &Event) {
            if let Event::Step(step) = event {
                self.0.lock().unwrap().push(*step);
            }
        }
    }

    #[test]
    fn rate_and_time_left_follow_the_last_seconds() {
        let (clock, sink) = (Manual::default(), Collect::default());
        let meter = Meter::begin(&sink, &clock, "vm", "disk", 100_000);
        let second = |n: u64, bytes| {
            clock.0.store(n * 1000, Ordering::Relaxed);
            meter.add(bytes);
        };
        for n in 1..=20 {
            second(n, 1000);
        }
        let steady = *sink.0.lock().unwrap().last().unwrap();
        assert_eq!(steady.done, 20_000);
        assert_eq!(steady.rate, Some(1000.0));
        assert_eq!(steady.left, Some(Duration::from_secs(80)));
        for n in 21..=60 {
            second(n, 100);
        }
        let slower = sink.0.lock().unwrap().last().unwrap().rate.unwrap();
        assert!((90.0..=110.0).contains(&slower), "{slower}");
    }

    #[test]
    fn work_that_says_how_far_it_is_has_a_rate_and_a_time_left() {
        let (clock, sink) = (Manual::default(), Collect::default());
        let meter = Meter::begin(&sink, &clock, "vm", "disk", 1000);
        for (second, done) in [(1, 100), (2, 300), (3, 200), (4, 400)] {
            clock.0.store(second * 1000, Ordering::Relaxed);
            meter.reach(done);
        }
        let steps = sink.0.lock().unwrap();
        assert_eq!(
            steps.iter().map(|s| s.done).collect::<Vec<_>>(),
            [100, 300, 300, 400]
        );
        assert_eq!(steps[3].rate, Some(100.0));
        assert_eq!(steps[3].left, Some(Duration::from_secs(6)));
    }

    #[test]
    fn events_are_few_and_the_last_one_is_always_sent() {
        let (clock, sink) = (Manual::default(), Collect::default());
        let meter = Meter::begin(&sink, &clock, "vm", "disk", 1000);
        for _ in 0..1000 {
            meter.add(1);
        }
        let steps = sink.0.lock().unwrap();
        assert_eq!(steps.len(), 2, "the first and the last");
        assert_eq!(steps[1].done, 1000);
        assert_eq!(steps[1].rate, None, "no time has passed");
    }
}
