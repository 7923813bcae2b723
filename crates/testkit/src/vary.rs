//! How many cases a test tries, and which ones.
//!
//! An ordinary run is always the same: fixed seeds, few cases. `scripts/nightly.sh` sets two
//! variables that every test with random input asks here, so that none stays behind:
//!
//! - `HYPERKEEP_CASES_FACTOR`: so many times as many cases.
//! - `HYPERKEEP_SEED`: other cases; the same number again gives the same ones.

use std::env;
use std::str::FromStr;

use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::crash::Random;

/// The seed of property tests in ordinary runs.
const ORDINARY: u64 = 0;

/// How many cases to try where an ordinary run tries `ordinary`.
///
/// # Panics
/// When `HYPERKEEP_CASES_FACTOR` is no number above zero.
pub fn cases(ordinary: u32) -> u32 {
    let factor: u32 = variable("HYPERKEEP_CASES_FACTOR").unwrap_or(1);
    assert!(factor > 0, "HYPERKEEP_CASES_FACTOR is 0: no case at all");
    ordinary.saturating_mul(factor)
}

/// The seed to use where an ordinary run uses `ordinary`. Different ones stay different.
///
/// # Panics
/// When `HYPERKEEP_SEED` is no number.
pub fn seed(ordinary: u64) -> u64 {
    match variable("HYPERKEEP_SEED") {
        None => ordinary,
        Some(night) => {
            // Seen when a test fails, and then it is what makes it fail again.
            println!("HYPERKEEP_SEED={night}");
            mixed(night, ordinary)
        }
    }
}

/// A seed of 56 bits, so that tests may count on from it.
fn mixed(night: u64, ordinary: u64) -> u64 {
    Random(Random(night).number() ^ ordinary).number() >> 8
}

/// For `#![proptest_config(…)]`: [`cases`] and [`seed`].
pub fn config(ordinary: u32) -> Config {
    Config {
        cases: cases(ordinary),
        rng_seed: RngSeed::Fixed(seed(ORDINARY)),
        ..Config::default()
    }
}

/// A runner for tests that call it themselves: [`cases`] and [`seed`], and no file for failures,
/// since it does not know whose test it runs.
pub fn runner(ordinary: u32) -> TestRunner {
    TestRunner::new(Config {
        failure_persistence: None,
        ..config(ordinary)
    })
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    match text.parse() {
        Ok(value) => Some(value),
        Err(_) => panic!("{name} is {text:?}: it takes a whole number"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_night_has_a_seed_of_its_own_for_every_test() {
        let nights = 0..50u64;
        let seeds: HashSet<u64> = nights
            .flat_map(|night| (0..50).map(move |ordinary| mixed(night, ordinary)))
            .collect();
        assert_eq!(seeds.len(), 50 * 50);
        assert!(seeds.iter().all(|seed| *seed < 1 << 56));
        assert_eq!(mixed(7, 42), mixed(7, 42));
    }
}
