//! From the inventory to the token, against what the guest has written.

use disk::BlockRead;
use hyperkeep_hyperv::control::Control;
use hyperkeep_hyperv::frozen::{FileRole, Frozen, LayerReading, Merge, Reading};
use hyperkeep_hyperv::plan::{Plan, Policy, WantedMode};
use hyperkeep_hyperv::preflight::{Level, Mode};
use hyperkeep_hyperv::tracking::Token;
use lab::state::CheckpointKind;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Lab, MARK, SCENARIO, SIZE};

/// Two disks, as the guest has written them, and as a backup has read them.
struct Copies {
    guest: Vec<Vec<u8>>,
    backup: Vec<Vec<u8>>,
}

impl Copies {
    fn new() -> Self {
        let empty = vec![vec![0; usize::try_from(SIZE).unwrap()]; 2];
        Self {
            guest: empty.clone(),
            backup: empty,
        }
    }

    fn write(&mut self, lab: &Lab, drive: usize, offset: u64, byte: u8) {
        lab.write(drive, offset, &[byte; 4096], &mut self.guest[drive]);
    }

    /// Reads what is to be read; the number of its bytes.
    fn read(&mut self, frozen: &Frozen) -> u64 {
        let mut bytes = 0;
        for (disk, copy) in frozen.disks.iter().zip(&mut self.backup) {
            let ranges = match &disk.reading {
                Reading::Full(_) => [disk::ByteRange::new(0, SIZE)].into_iter().collect(),
                Reading::Changed(ranges) => ranges.clone(),
            };
            for range in ranges.iter() {
                let at = usize::try_from(range.start).unwrap();
                let end = usize::try_from(range.end).unwrap();
                disk.chain.read_at(range.start, &mut copy[at..end]).unwrap();
                bytes += range.len();
            }
        }
        bytes
    }
}

fn take(lab: &Lab, control: &Arc<Control>, plan: &Plan, token: Option<&Token>) -> Frozen {
    let request = plan.request(MARK, token, false);
    Frozen::take(control, &lab.files(), &request).unwrap()
}

#[test]
fn every_backup_is_what_the_guest_had_written() {
    let lab = Lab::start(SCENARIO);
    let theirs = lab.user_checkpoint();
    let plan = lab.plan(&Policy::default());
    assert_eq!((plan.mode, plan.expected), (Mode::Cbt, Level::Application));
    let mut copies = Copies::new();
    for offset in [0, 1 << 20, SIZE - 4096] {
        copies.write(&lab, 0, offset, 1);
        copies.write(&lab, 1, offset, 2);
    }
    let mut token: Option<Token> = None;
    for round in 0..6_u8 {
        let frozen_state = copies.guest.clone();
        let (read, next) = lab.with(|control| {
            let frozen = take(&lab, control, &plan, token.as_ref());
            assert_eq!(frozen.level, Level::Application);
            assert_eq!((frozen.lost.len(), frozen.lost_files.len()), (0, 0));
            let roles: Vec<FileRole> = frozen.files.iter().map(|file| file.role).collect();
            assert!(roles.contains(&FileRole::Configuration), "{roles:?}");
            // It goes on writing.
            copies.write(&lab, 0, u64::from(round) * 65536, 100 + round);
            copies.write(&lab, 1, 3 << 20, 100 + round);
            let read = copies.read(&frozen);
            frozen.verify().unwrap();
            if round == 3 {
                frozen.abandon().unwrap();
                return (read, token.clone());
            }
            let kept = frozen.keep();
            assert_eq!(kept.problems, [""; 0]);
            let merge = Merge::wait(control, lab.vm(), &kept.resting, Duration::from_secs(300));
            assert_eq!(merge.unwrap(), Merge::Done);
            (read, kept.token)
        });
        assert!(copies.backup == frozen_state, "round {round}");
        if round > 0 {
            assert!(read < SIZE / 4, "round {round}: {read} bytes");
        }
        token = next;
        // More ranges than one answer tells.
        for place in 0..9 {
            copies.write(&lab, 0, place * 131_072 + 8192 * u64::from(round), round);
        }
        lab.time.clock.advance(Duration::from_secs(60));
    }
    let (kinds, points, disks) = lab.rest();
    assert_eq!((kinds, points), (vec![CheckpointKind::User], 1));
    assert_eq!(disks.len(), 2);
    let service = lab.server.service();
    let vm = &service.repository.host.vms()[0];
    assert_eq!(vm.checkpoints[0].settings.id, theirs);
}

#[test]
fn a_host_that_has_lost_its_tracking_is_read_in_full() {
    let lab = Lab::start(SCENARIO);
    let plan = lab.plan(&Policy::default());
    let mut copies = Copies::new();
    copies.write(&lab, 0, 4096, 7);
    let token = lab.with(|control| {
        let frozen = take(&lab, control, &plan, None);
        copies.read(&frozen);
        frozen.keep().token.unwrap()
    });
    lab.rest();
    {
        let host = &mut lab.server.service().repository.host;
        host.lose_tracking("D:\\VMs\\web\\a.vhdx").unwrap();
    }
    copies.write(&lab, 0, 8192, 8);
    copies.write(&lab, 1, 8192, 8);
    let expected = copies.guest.clone();
    lab.with(|control| {
        let frozen = take(&lab, control, &plan, Some(&token));
        let readings: Vec<_> = frozen.disks.iter().map(|disk| &disk.reading).collect();
        assert!(matches!(readings[0], Reading::Full(why) if why.contains("32768")));
        assert!(matches!(readings[1], Reading::Changed(_)), "{readings:?}");
        copies.read(&frozen);
        frozen.abandon().unwrap();
    });
    assert!(copies.backup == expected);
}

#[test]
fn the_whole_tree_is_read_once_and_then_what_changed() {
    let lab = Lab::start(SCENARIO);
    let mut copies = Copies::new();
    copies.write(&lab, 0, 4096, 7);
    lab.user_checkpoint();
    copies.write(&lab, 0, 8192, 8);
    let policy = Policy {
        mode: WantedMode::AllCheckpoints,
        ..Policy::default()
    };
    let plan = lab.plan(&policy);
    let backup = |token: Option<&Token>| {
        lab.with(|control| {
            let frozen = take(&lab, control, &plan, token);
            let tree = frozen.tree.as_ref().unwrap();
            assert_eq!((tree.lost.len(), tree.lost_files.len()), (0, 0));
            assert_eq!((tree.checkpoints.len(), tree.layers.len()), (1, 4));
            let readings: Vec<_> = tree.layers.iter().map(|l| l.reading.clone()).collect();
            (readings, frozen.keep().token.unwrap())
        })
    };
    let (readings, token) = backup(None);
    assert!(readings.iter().all(|r| matches!(r, LayerReading::Full(_))));
    lab.rest();
    copies.write(&lab, 0, 12288, 9);
    let (readings, _) = backup(Some(&token));
    let unchanged = readings
        .iter()
        .filter(|r| **r == LayerReading::Unchanged)
        .count();
    // The two bases at least; a merge may leave a new name on content that is the same.
    assert!(unchanged >= 2, "{readings:?}");
    let changed = readings
        .iter()
        .filter(|r| matches!(r, LayerReading::Changed(_)))
        .count();
    assert_eq!(unchanged + changed, 4, "{readings:?}");
}
