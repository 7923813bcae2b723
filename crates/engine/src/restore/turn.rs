//! Units that are taken in the order of feeding, although workers finish them in any.
//!
//! Where a writer puts things follows from the order of its calls. One order for every run is what lets a
//! restore go on where another one was stopped, and it lays disks out in their own order.
//!
//! Units that wait for their turn are bounded: nothing is fed that is further than the window ahead
//! of what was taken.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::pipeline::{Feeder, Limits, Over};

/// How often the feeder looks whether the run has ended meanwhile.
const LOOK: Duration = Duration::from_millis(200);

/// How far feeding may be ahead of taking.
pub(crate) struct Window {
    next: Mutex<u64>,
    moved: Condvar,
    room: u64,
}

impl Window {
    /// One that begins with unit `first`, for units of `unit` bytes: as much as the limits let be
    /// under way.
    pub(crate) fn new(limits: Limits, unit: u64, first: u64) -> Self {
        let bytes = limits.in_flight.saturating_add(limits.results);
        Self {
            next: Mutex::new(first),
            moved: Condvar::new(),
            room: (bytes / unit.max(1)).max(1),
        }
    }

    /// Waits until unit `number` may be fed, and feeds it.
    pub(crate) fn feed<T>(
        &self,
        feeder: &Feeder<'_, (u64, T)>,
        number: u64,
        unit: T,
        bytes: u64,
    ) -> Result<(), Over> {
        let mut next = self.next.lock().unwrap_or_else(|e| e.into_inner());
        while number >= next.saturating_add(self.room) {
            if feeder.is_over() {
                return Err(Over);
            }
            let waited = self.moved.wait_timeout(next, LOOK);
            next = waited.unwrap_or_else(|e| e.into_inner()).0;
        }
        drop(next);
        feeder.feed((number, unit), bytes)
    }

    fn move_to(&self, number: u64) {
        *self.next.lock().unwrap_or_else(|e| e.into_inner()) = number;
        self.moved.notify_one();
    }
}

/// What was finished before its turn.
pub(crate) struct Turns<'a, B> {
    window: &'a Window,
    next: u64,
    early: BTreeMap<u64, B>,
}

impl<'a, B> Turns<'a, B> {
    /// Begins with unit `first`.
    pub(crate) fn new(window: &'a Window, first: u64) -> Self {
        Self {
            window,
            next: first,
            early: BTreeMap::new(),
        }
    }

    /// Takes this unit, and all those that waited for it, or lets it wait. `each` gets them in order
    /// with their numbers.
    pub(crate) fn take<E>(
        &mut self,
        number: u64,
        unit: B,
        mut each: impl FnMut(u64, B) -> Result<(), E>,
    ) -> Result<(), E> {
        self.early.insert(number, unit);
        while let Some(unit) = self.early.remove(&self.next) {
            each(self.next, unit)?;
            self.next += 1;
            self.window.move_to(self.next);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::cancel::Cancel;
    use crate::pipeline::run;

    #[test]
    fn whatever_workers_do_units_are_taken_in_order() {
        for (workers, in_flight) in [(1, 1), (4, 3), (8, 1000)] {
            let limits = Limits {
                workers,
                in_flight,
                results: 2,
            };
            let window = Window::new(limits, 1, 5);
            let mut turns = Turns::new(&window, 5);
            let mut seen = Vec::new();
            let done = run(
                limits,
                &Cancel::new(),
                |feeder| {
                    (5..500u64).try_for_each(|number| {
                        window
                            .feed(feeder, number, number * 3, 1)
                            .map_err(|Over| None::<Infallible>)
                    })
                },
                |unit: &mut (u64, u64)| Ok((*unit, 1)),
                |(number, unit): &mut (u64, u64)| {
                    turns.take(*number, *unit, |number, unit| {
                        seen.push((number, unit));
                        Ok(())
                    })
                },
            );
            assert!(done.is_ok());
            let wanted: Vec<_> = (5..500).map(|number| (number, number * 3)).collect();
            assert_eq!(seen, wanted);
        }
    }
}
