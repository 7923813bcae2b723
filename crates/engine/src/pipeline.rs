//! One reader, many workers, one taker, with bounded memory between them.
//!
//! ```text
//! feed (own thread) ─ byte-bounded queue ─► work (N threads) ─ byte-bounded queue ─► take (caller's thread)
//! ```
//!
//! `feed` reads a disk in order, `work` burns the processors, `take` puts results together or
//! writes them to one file. The first thing that goes wrong anywhere ends the whole run at the
//! next unit of work: an error, a panic (which becomes an error with its message), or a request to
//! stop. Nothing is left running when [`run`] returns, and what it returns is the *first* thing
//! that went wrong, not what followed from it.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread::{self, Scope};

use crate::cancel::Cancel;
use crate::queue::ByteQueue;

/// How much a run may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Worker threads; see [`with_workers`](Self::with_workers).
    pub workers: usize,
    /// Bytes of units between feeding and the moment at which their results are handed over.
    pub in_flight: u64,
    /// Bytes of results between the end of work and the end of taking.
    pub results: u64,
}

impl Limits {
    /// All processors, and 64 MiB. However many processors there are, no more units are at work than
    /// fit: 8 of 4 MiB. With what the vault holds (see [`vault`]) a backup and a restore stay
    /// below 256 MiB, which `tests/memory.rs` measures, asking for 32 threads.
    pub fn machine() -> Self {
        let limits = Self {
            workers: 1,
            in_flight: 32 << 20,
            results: 32 << 20,
        };
        limits.with_workers(thread::available_parallelism().map_or(1, std::num::NonZero::get))
    }

    /// With this many threads, or with as many as there may be units at work. One that waits while
    /// others have all the units would still keep the memory that it used last.
    #[must_use]
    pub fn with_workers(self, workers: usize) -> Self {
        const UNIT: u64 = 4 << 20;
        let useful = usize::try_from(self.in_flight / UNIT).unwrap_or(usize::MAX);
        Self {
            workers: workers.min(useful).max(1),
            ..self
        }
    }
}

/// Why a run ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stop<E> {
    /// A stage failed.
    #[error("{0}")]
    Failed(E),
    /// Somebody asked to stop.
    #[error("stopped on request")]
    Cancelled,
    /// A stage panicked: a defect of this program.
    #[error("internal error: {0}")]
    Panicked(String),
    /// The system gave no thread to work with.
    #[error("the system gives this program no more threads: {0}; try again with --threads 1")]
    NoThread(String),
}

impl<E> Stop<E> {
    /// The same with another error.
    pub fn map<F>(self, f: impl FnOnce(E) -> F) -> Stop<F> {
        match self {
            Self::Failed(error) => Stop::Failed(f(error)),
            Self::Cancelled => Stop::Cancelled,
            Self::Panicked(message) => Stop::Panicked(message),
            Self::NoThread(message) => Stop::NoThread(message),
        }
    }
}

/// The run has ended; whoever hears this returns. Why is kept elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over;

/// Hands units to the workers.
pub struct Feeder<'a, A> {
    queue: &'a ByteQueue<A, Over>,
    cancel: &'a Cancel,
}

impl<A> Feeder<'_, A> {
    /// Whether the run has ended, or somebody asked to stop.
    pub fn is_over(&self) -> bool {
        self.cancel.is_cancelled() || self.queue.poisoned().is_some()
    }

    /// Waits until there is room for `bytes` and hands over `unit`.
    ///
    /// # Errors
    /// When the run has ended; the stage should return.
    pub fn feed(&self, unit: A, bytes: u64) -> Result<(), Over> {
        if self.cancel.is_cancelled() {
            return Err(Over);
        }
        self.queue.push(unit, bytes).map_err(|_| Over)
    }
}

/// What a feeding stage returns: `Err(None)` after [`Over`], `Err(Some(e))` for an error of its own.
pub type Fed<E> = Result<(), Option<E>>;

/// A stage on a thread of its own.
type Stage<'scope> = Box<dyn FnOnce() + Send + 'scope>;

/// Starts threads; what can fail is injected so that its failure can be tested.
trait Spawn {
    fn spawn<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        stage: Stage<'scope>,
    ) -> io::Result<()>;
}

/// Threads of the system.
struct SystemThreads;

impl Spawn for SystemThreads {
    fn spawn<'scope>(
        &mut self,
        scope: &'scope Scope<'scope, '_>,
        stage: Stage<'scope>,
    ) -> io::Result<()> {
        thread::Builder::new()
            .spawn_scoped(scope, stage)
            .map(|_| ())
    }
}

/// Runs the three stages to their end.
///
/// `work` gives a result and its size in bytes. `take` sees results in no particular order, though
/// nearly in that of feeding.
///
/// # Errors
/// The first thing that went wrong. Results that `take` has seen by then stay seen.
pub fn run<A: Send, B: Send, E: Send>(
    limits: Limits,
    cancel: &Cancel,
    feed: impl FnOnce(&Feeder<'_, A>) -> Fed<E> + Send,
    work: impl Fn(&mut A) -> Result<(B, u64), E> + Sync,
    take: impl FnMut(&mut B) -> Result<(), E>,
) -> Result<(), Stop<E>> {
    run_on(&mut SystemThreads, limits, cancel, feed, work, take)
}

fn run_on<A: Send, B: Send, E: Send>(
    threads: &mut dyn Spawn,
    limits: Limits,
    cancel: &Cancel,
    feed: impl FnOnce(&Feeder<'_, A>) -> Fed<E> + Send,
    work: impl Fn(&mut A) -> Result<(B, u64), E> + Sync,
    mut take: impl FnMut(&mut B) -> Result<(), E>,
) -> Result<(), Stop<E>> {
    let units = ByteQueue::<A, Over>::new(limits.in_flight);
    let results = ByteQueue::<B, Over>::new(limits.results);
    let first: Mutex<Option<Stop<E>>> = Mutex::new(None);
    let end = |stop: Stop<E>| {
        first
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .get_or_insert(stop);
        units.poison(Over);
        results.poison(Over);
    };
    let workers = limits.workers.max(1);
    let left = Mutex::new(workers);

    let feed = || {
        let feeder = Feeder {
            queue: &units,
            cancel,
        };
        match guarded(|| feed(&feeder)) {
            Ok(Ok(())) => {}
            Ok(Err(Some(error))) => end(Stop::Failed(error)),
            // Either another stage has ended the run and said why, or somebody asked to stop.
            Ok(Err(None)) => end(Stop::Cancelled),
            Err(panic) => end(Stop::Panicked(panic)),
        }
        units.close();
    };
    let worker = || {
        while let Ok(mut unit) = units.pop() {
            if cancel.is_cancelled() {
                end(Stop::Cancelled);
                break;
            }
            match guarded(|| work(&mut unit)) {
                Ok(Ok((result, bytes))) => {
                    // The unit counts until its result does: else each of many workers could sit
                    // here with a result that nobody counts.
                    if results.push(result, bytes).is_err() {
                        break;
                    }
                    drop(unit);
                }
                Ok(Err(error)) => end(Stop::Failed(error)),
                Err(panic) => end(Stop::Panicked(panic)),
            }
        }
        let mut left = left.lock().unwrap_or_else(|e| e.into_inner());
        *left -= 1;
        if *left == 0 {
            results.close();
        }
    };

    thread::scope(|scope| {
        let started = threads
            .spawn(scope, Box::new(feed))
            .and_then(|()| (0..workers).try_for_each(|_| threads.spawn(scope, Box::new(&worker))));
        if let Err(error) = started {
            // Those that did start see both queues end, and return.
            end(Stop::NoThread(error.to_string()));
        }
        while let Ok(mut result) = results.pop() {
            match guarded(|| take(&mut result)) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => end(Stop::Failed(error)),
                Err(panic) => end(Stop::Panicked(panic)),
            }
        }
    });
    match first.into_inner().unwrap_or_else(|e| e.into_inner()) {
        Some(stop) => Err(stop),
        None => Ok(()),
    }
}

/// Runs `f` and turns a panic into its message.
///
/// Unwind safety: whatever `f` was working on is given up together with the run.
fn guarded<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| panic_message(payload.as_ref()))
}

/// The message of a panic.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const LIMITS: Limits = Limits {
        workers: 3,
        in_flight: 100,
        results: 50,
    };

    fn feed_numbers(n: u64) -> impl FnOnce(&Feeder<'_, u64>) -> Fed<&'static str> + Send {
        move |feeder| (0..n).try_for_each(|i| feeder.feed(i, 1 + i % 30).map_err(|Over| None))
    }

    #[test]
    fn everything_that_is_fed_is_worked_on_and_taken_once() {
        let mut seen = Vec::new();
        run(
            LIMITS,
            &Cancel::new(),
            feed_numbers(1000),
            |n| Ok((*n * 2, 7)),
            |n| {
                seen.push(*n);
                Ok(())
            },
        )
        .unwrap();
        seen.sort_unstable();
        assert_eq!(seen, (0..1000).map(|n| n * 2).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_failure_of_any_stage_is_the_answer() {
        let ok = |n: &mut u64| Ok::<_, &str>((*n, 1));
        let fed = run(
            LIMITS,
            &Cancel::new(),
            |_: &Feeder<'_, u64>| Err(Some("feed")),
            ok,
            |_| Ok(()),
        );
        assert_eq!(fed, Err(Stop::Failed("feed")));

        let worked = run(
            LIMITS,
            &Cancel::new(),
            feed_numbers(100_000),
            |n| if *n == 500 { Err("work") } else { Ok((*n, 1)) },
            |_| Ok(()),
        );
        assert_eq!(worked, Err(Stop::Failed("work")));

        let taken = run(LIMITS, &Cancel::new(), feed_numbers(100_000), ok, |n| {
            if *n == 500 { Err("take") } else { Ok(()) }
        });
        assert_eq!(taken, Err(Stop::Failed("take")));
    }

    #[test]
    fn a_panic_becomes_an_error_with_its_message() {
        let worked: Result<(), Stop<&str>> = run(
            LIMITS,
            &Cancel::new(),
            feed_numbers(100_000),
            |n| {
                assert!(*n != 77, "unit {n} is cursed");
                Ok((*n, 1))
            },
            |_| Ok(()),
        );
        assert_eq!(worked, Err(Stop::Panicked("unit 77 is cursed".to_owned())));
    }

    /// Gives so many threads and no more.
    struct Few(usize);

    impl Spawn for Few {
        fn spawn<'scope>(
            &mut self,
            scope: &'scope Scope<'scope, '_>,
            stage: Stage<'scope>,
        ) -> io::Result<()> {
            self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::WouldBlock)?;
            SystemThreads.spawn(scope, stage)
        }
    }

    #[test]
    fn a_thread_that_cannot_be_had_is_an_error_and_the_others_end() {
        for few in 0..=LIMITS.workers {
            let stopped = run_on(
                &mut Few(few),
                LIMITS,
                &Cancel::new(),
                feed_numbers(u64::MAX),
                |n| Ok((*n, 1)),
                |_| Ok(()),
            );
            assert!(matches!(stopped, Err(Stop::NoThread(_))), "{stopped:?}");
        }
        let all = run_on(
            &mut Few(1 + LIMITS.workers),
            LIMITS,
            &Cancel::new(),
            feed_numbers(10),
            |n| Ok((*n, 1)),
            |_| Ok(()),
        );
        assert_eq!(all, Ok(()));
    }

    #[test]
    fn a_request_to_stop_ends_the_run_before_the_feeder_is_done() {
        let cancel = Cancel::new();
        let worked = AtomicU64::new(0);
        let stopped = run(
            LIMITS,
            &cancel,
            feed_numbers(u64::MAX),
            |n| {
                if worked.fetch_add(1, Ordering::Relaxed) == 100 {
                    cancel.cancel();
                }
                Ok((*n, 1))
            },
            |_| Ok(()),
        );
        assert_eq!(stopped, Err(Stop::Cancelled));
    }
}
