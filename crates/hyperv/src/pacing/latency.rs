//! How long a host takes to answer, and what follows from it.

use std::collections::VecDeque;
use std::time::Duration;

use cim::job::Pace;
use cim::{CimError, CimSession};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids;

/// Answers of one phase that are kept; of more, the youngest.
const MOST: usize = 4096;

/// When a host counts as slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Limits {
    /// Times the usual answer before the backup.
    pub factor: u32,
    /// And more than that by so many milliseconds.
    pub least_ms: u64,
    /// Answers of which the middle one decides.
    pub answers: usize,
}

impl Default for Limits {
    /// Three times and 200 ms more, by the middle one of five.
    fn default() -> Self {
        Self {
            factor: 3,
            least_ms: 200,
            answers: 5,
        }
    }
}

/// Asks a host for one object and tells how long the answer took: the same question each time, so
/// that answers can be compared.
///
/// # Errors
/// When there is no answer.
pub fn probe(session: &dyn CimSession, vm: Uuid, pace: &dyn Pace) -> Result<Duration, CimError> {
    let begun = pace.now();
    session.get(&ids::machine_path(vm))?;
    Ok(pace.now().saturating_sub(begun))
}

/// Backing off when a host gets slow, and coming back.
#[derive(Clone, Debug)]
pub struct Backing {
    limits: Limits,
    most: usize,
    places: usize,
    fewest: usize,
    backed_off: u32,
    before: VecDeque<Duration>,
    during: VecDeque<Duration>,
    recent: Vec<Duration>,
}

/// How long answers took, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// How many were measured.
    pub count: usize,
    /// The middle one.
    pub median_ms: u64,
    /// Nine of ten took no longer.
    pub ninth_ms: u64,
    /// The longest.
    pub longest_ms: u64,
}

/// What a backup did to its host, as far as answers show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyReport {
    /// Before the backup; `None` when nothing was measured.
    pub before: Option<Answers>,
    /// During it.
    pub during: Option<Answers>,
    /// How often fewer disks were read at once since the host got slow.
    pub backed_off: u32,
    /// How many were read at once at least.
    pub fewest_places: usize,
}

impl Backing {
    /// With so many places at most ([`super::Slots::open`]).
    pub fn new(most: usize, limits: Limits) -> Self {
        let most = most.max(1);
        Self {
            limits,
            most,
            places: most,
            fewest: most,
            backed_off: 0,
            before: VecDeque::new(),
            during: VecDeque::new(),
            recent: Vec::new(),
        }
    }

    /// An answer before the backup took so long.
    pub fn before(&mut self, took: Duration) {
        keep(&mut self.before, took);
    }

    /// An answer during it took so long: how many places to give from now on. A host that got slow
    /// gives half of them, and one more each time that it is not. Where nothing was measured before,
    /// nothing follows.
    pub fn during(&mut self, took: Duration) -> usize {
        keep(&mut self.during, took);
        self.recent.push(took);
        if self.recent.len() < self.limits.answers.max(1) {
            return self.places;
        }
        let usual = middle(self.before.iter().copied());
        let now = middle(self.recent.drain(..));
        let (Some(usual), Some(now)) = (usual, now) else {
            return self.places;
        };
        let more = usual.saturating_add(Duration::from_millis(self.limits.least_ms));
        let slow = now > usual.saturating_mul(self.limits.factor).max(more);
        if slow {
            self.places = (self.places / 2).max(1);
            self.backed_off = self.backed_off.saturating_add(1);
            self.fewest = self.fewest.min(self.places);
        } else {
            self.places = self.places.saturating_add(1).min(self.most);
        }
        self.places
    }

    /// What was measured and done.
    pub fn report(&self) -> LatencyReport {
        LatencyReport {
            before: Answers::of(&self.before),
            during: Answers::of(&self.during),
            backed_off: self.backed_off,
            fewest_places: self.fewest,
        }
    }
}

impl Answers {
    fn of(all: &VecDeque<Duration>) -> Option<Self> {
        let mut sorted: Vec<Duration> = all.iter().copied().collect();
        sorted.sort();
        let ms = |at: usize| {
            let took = sorted.get(at.min(sorted.len().saturating_sub(1)))?;
            Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
        };
        Some(Self {
            count: sorted.len(),
            median_ms: ms(sorted.len() / 2)?,
            ninth_ms: ms(sorted.len().saturating_mul(9) / 10)?,
            longest_ms: ms(usize::MAX)?,
        })
    }
}

fn keep(all: &mut VecDeque<Duration>, took: Duration) {
    if all.len() == MOST {
        all.pop_front();
    }
    all.push_back(took);
}

fn middle(all: impl Iterator<Item = Duration>) -> Option<Duration> {
    let mut all: Vec<Duration> = all.collect();
    all.sort();
    all.get(all.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// The places after five answers that took so long.
    fn five(backing: &mut Backing, took: u64) -> usize {
        (0..5).map(|_| backing.during(ms(took))).last().unwrap()
    }

    #[test]
    fn a_host_that_gets_slow_is_left_in_peace_and_comes_back() {
        let mut backing = Backing::new(8, Limits::default());
        for took in [40, 50, 60, 50, 900] {
            backing.before(ms(took));
        }
        // 250 ms is the limit: three times, and 200 ms more at least.
        assert_eq!(five(&mut backing, 250), 8);
        assert_eq!(five(&mut backing, 251), 4);
        assert_eq!(five(&mut backing, 9000), 2);
        assert_eq!(five(&mut backing, 9000), 1);
        assert_eq!(five(&mut backing, 9000), 1, "never none");
        assert_eq!(five(&mut backing, 60), 2);
        // One slow answer among five decides nothing.
        let all = [50, 9000, 50, 9000, 50].map(|took| backing.during(ms(took)));
        assert_eq!(all[4], 3);
        let report = backing.report();
        let before = report.before.unwrap();
        assert_eq!(
            (before.count, before.median_ms, before.longest_ms),
            (5, 50, 900)
        );
        assert_eq!((report.backed_off, report.fewest_places), (4, 1));
        assert_eq!(report.during.unwrap().count, 35);
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(
            serde_json::from_str::<LatencyReport>(&json).unwrap(),
            report
        );
        for _ in 0..10 {
            five(&mut backing, 50);
        }
        assert_eq!(five(&mut backing, 50), 8, "and no more than all");
    }

    #[test]
    fn where_nothing_was_measured_before_nothing_follows() {
        let mut backing = Backing::new(4, Limits::default());
        assert_eq!(five(&mut backing, 60_000), 4);
        let report = backing.report();
        assert_eq!((report.before, report.backed_off), (None, 0));
        assert_eq!(report.during.unwrap().median_ms, 60_000);
    }

    #[test]
    fn what_is_kept_has_an_end() {
        let mut backing = Backing::new(0, Limits::default());
        for _ in 0..(MOST + 10) {
            backing.before(ms(1));
        }
        assert_eq!(backing.report().before.unwrap().count, MOST);
        assert_eq!(backing.report().fewest_places, 1);
    }
}
