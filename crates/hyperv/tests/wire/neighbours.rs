//! Two installations, and merges that never come.

use std::time::Duration;

use disk::{BlockRead, ByteRange};
use hyperkeep_hyperv::checkpoint::Mark;
use hyperkeep_hyperv::frozen::{Frozen, Merge, Reading};
use hyperkeep_hyperv::plan::Policy;
use hyperkeep_hyperv::tracking::Token;
use uuid::Uuid;

use crate::support::{Lab, SCENARIO, SIZE};

/// One installation with what it has of the first disk.
struct Installation {
    mark: Mark,
    token: Option<Token>,
    copy: Vec<u8>,
}

impl Installation {
    fn new(number: u128) -> Self {
        let mark = Mark {
            installation: Uuid::from_u128(number),
            run: Uuid::from_u128(number + 100),
        };
        Self {
            mark,
            token: None,
            copy: vec![0; SIZE as usize],
        }
    }

    /// A backup; whether it was an incremental one, and whether all was merged after it.
    fn backup(&mut self, lab: &Lab) -> (bool, Merge) {
        let plan = lab.plan(&lab.session(), &Policy::default());
        lab.with(|control| {
            let request = plan.request(self.mark, self.token.as_ref(), false);
            let frozen = Frozen::take(control, &lab.files(), &request).unwrap();
            let disk = &frozen.disks[0];
            let changed = matches!(disk.reading, Reading::Changed(_));
            let ranges = match &disk.reading {
                Reading::Changed(ranges) => ranges.clone(),
                Reading::Full(_) => [ByteRange::new(0, SIZE)].into_iter().collect(),
            };
            for range in ranges.iter() {
                let (from, to) = (range.start as usize, range.end as usize);
                let part = &mut self.copy[from..to];
                disk.chain.read_at(range.start, part).unwrap();
            }
            let kept = frozen.keep();
            assert_eq!(kept.problems, [""; 0]);
            self.token = kept.token;
            let most = Duration::from_secs(120);
            let merge = Merge::wait(control, lab.vm(), &kept.resting, most).unwrap();
            (changed, merge)
        })
    }
}

#[test]
fn two_installations_are_in_nobodys_way() {
    let lab = Lab::start(SCENARIO);
    let (mut one, mut other) = (Installation::new(1), Installation::new(2));
    let mut guest = vec![0; SIZE as usize];
    for round in 0..4_u8 {
        for (at, installation) in [&mut one, &mut other].into_iter().enumerate() {
            let place = u64::from(round) * 262_144 + 65_536 * at as u64;
            lab.write(0, place, &[round + 1; 4096], &mut guest);
            let (changed, merge) = installation.backup(&lab);
            assert_eq!((changed, merge), (round > 0, Merge::Done));
            assert!(installation.copy == guest, "{round} {at}");
        }
    }
    // One reference point for each.
    assert_eq!(lab.rest().1, 2);
    let points = [&one, &other].map(|i| i.token.as_ref().unwrap().reference_point.clone());
    assert_ne!(points[0], points[1]);
}

#[test]
fn merges_that_do_not_come_are_told_and_the_next_backup_is_right() {
    let scenario = SCENARIO.replace(r#""merge-ms": 20000"#, r#""merges-fail": true"#);
    let lab = Lab::start(&scenario);
    let mut one = Installation::new(1);
    let mut guest = vec![0; SIZE as usize];
    for round in 0..3_u8 {
        lab.write(0, u64::from(round) * 8192, &[round + 1; 4096], &mut guest);
        let (changed, merge) = one.backup(&lab);
        assert_eq!(changed, round > 0);
        assert!(matches!(merge, Merge::Pending { .. }), "{merge:?}");
        assert!(one.copy == guest, "{round}");
    }
}
