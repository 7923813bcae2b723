//! When checkpoints end.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::fold;

/// Ends of checkpoints on each volume, one after the other: each is a merge, and many at once make
/// the volume slow for all of its VMs.
#[derive(Clone, Debug)]
pub struct Stagger {
    gap: Duration,
    free: BTreeMap<String, Duration>,
}

impl Stagger {
    /// At least so long between two ends on one volume.
    pub fn new(gap: Duration) -> Self {
        Self {
            gap,
            free: BTreeMap::new(),
        }
    }

    /// When a checkpoint may end whose disks are on these volumes: how long to wait from `now`.
    /// With that, its end is planned, and later ones come after it.
    pub fn plan<'v>(
        &mut self,
        volumes: impl IntoIterator<Item = &'v str>,
        now: Duration,
    ) -> Duration {
        let mut volumes: Vec<String> = volumes.into_iter().map(fold).collect();
        volumes.sort();
        volumes.dedup();
        let free = volumes.iter().filter_map(|volume| self.free.get(volume));
        let at = free.copied().max().unwrap_or_default().max(now);
        for volume in volumes {
            self.free.insert(volume, at.saturating_add(self.gap));
        }
        at.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn ends_on_one_volume_come_one_after_the_other() {
        let mut ends = Stagger::new(s(30));
        assert_eq!(ends.plan(["D:\\"], s(100)), s(0));
        assert_eq!(ends.plan(["d:\\"], s(100)), s(30));
        assert_eq!(
            ends.plan(["E:\\"], s(100)),
            s(0),
            "another volume does not wait"
        );
        // One with disks on both waits for both, and both wait for it.
        assert_eq!(ends.plan(["E:\\", "D:\\", "D:\\"], s(110)), s(50));
        assert_eq!(ends.plan(["E:\\"], s(110)), s(80));
        assert_eq!(ends.plan(["D:\\"], s(1000)), s(0));
        assert_eq!(ends.plan([], s(0)), s(0));
    }

    proptest! {
        #[test]
        fn no_two_ends_on_one_volume_are_closer_than_the_gap(
            asked in proptest::collection::vec((0_u64..100, proptest::collection::vec(0_u8..3, 1..3)), 1..30),
        ) {
            let mut ends = Stagger::new(s(10));
            let mut now = s(0);
            let mut planned: BTreeMap<u8, Vec<Duration>> = BTreeMap::new();
            for (later, volumes) in asked {
                now += s(later % 7);
                let names: Vec<String> = volumes.iter().map(u8::to_string).collect();
                let at = now + ends.plan(names.iter().map(String::as_str), now);
                let distinct: std::collections::BTreeSet<u8> = volumes.into_iter().collect();
                for volume in distinct {
                    planned.entry(volume).or_default().push(at);
                }
            }
            for ends in planned.values() {
                prop_assert!(ends.windows(2).all(|pair| pair[1] >= pair[0] + s(10)));
            }
        }
    }
}
