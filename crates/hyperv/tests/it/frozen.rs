//! From a checkpoint to the token of the next backup.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use disk::{BlockRead, ByteRange};
use hyperkeep_hyperv::checkpoint::{Consistency, GuestBackup, Mark, Options, RecoveryCheckpoint};
use hyperkeep_hyperv::control::Control;
use hyperkeep_hyperv::files::{FileProblem, HostPath, MappedFiles, PathMap};
use hyperkeep_hyperv::frozen::{FreezeError, Frozen, Reading, Request};
use hyperkeep_hyperv::inventory::Family;
use hyperkeep_hyperv::journal::Journal;
use hyperkeep_hyperv::preflight::{Level, Mode};
use hyperkeep_hyperv::tracking::Token;
use testkit::image::{Image, Kind};
use uuid::Uuid;

use crate::support::Disk;
use crate::support::vmms::{Failure, VM, Vmms};

mod disks;

const SIZE: u64 = 8 << 20;

/// A host with one VM, whose files are here.
struct Place {
    host: Vmms,
    dir: tempfile::TempDir,
    files: MappedFiles,
}

impl Place {
    fn new(disks: &[(u32, &str)]) -> Self {
        let host = Vmms::new();
        host.put_checkpoint("Microsoft:THEIRS", "before update", false);
        host.put_point("RP:THEIRS");
        let disk = |(place, name): &(u32, &str)| Disk {
            scsi: true,
            number: 0,
            place: *place,
            path: format!("D:\\VMs\\{name}"),
        };
        host.set_disks(disks.iter().map(disk).collect());
        let dir = tempfile::tempdir().unwrap();
        let folder = HostPath::parse("D:\\VMs").unwrap();
        let files = MappedFiles::new(PathMap::new().with(folder, dir.path()));
        let place = Self { host, dir, files };
        for (number, name) in disks {
            place.write(name, u64::from(*number) + 1);
        }
        place
    }

    fn write(&self, name: &str, number: u64) {
        let kind = match name.ends_with(".vhd") {
            true => Kind::Vhd,
            false => Kind::Vhdx,
        };
        let image = Image::new(kind, SIZE, number).data(4096, &[7; 4096]);
        image.write(&self.dir.path().join(name));
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Does something with a control whose journal is thrown away.
    fn with<T>(&self, flow: impl FnOnce(&Arc<Control>) -> T) -> T {
        let dir = tempfile::tempdir().unwrap();
        let journal = Arc::new(Journal::create(dir.path(), VM).unwrap());
        flow(&self.host.control(&journal))
    }

    fn points(&self) -> Vec<String> {
        let mut points = self.host.points();
        points.retain(|point| point != "RP:THEIRS");
        assert_eq!(
            points.len() + 1,
            self.host.points().len(),
            "theirs is there"
        );
        points
    }

    fn has_checkpoint(&self) -> bool {
        let checkpoints = self.host.checkpoints();
        assert!(checkpoints.contains_key("Microsoft:THEIRS"));
        checkpoints.len() > 1
    }

    /// A whole backup: how each disk was to be read, and the token.
    fn backup(&self, token: Option<&Token>) -> (Vec<Reading>, Option<Token>) {
        self.with(|control| {
            let frozen = Frozen::take(control, &self.files, &request(Mode::Cbt, token)).unwrap();
            frozen.verify().unwrap();
            let readings = frozen
                .disks
                .iter()
                .map(|disk| disk.reading.clone())
                .collect();
            let kept = frozen.keep();
            assert_eq!(kept.problems, [""; 0]);
            assert!(!self.has_checkpoint());
            (readings, kept.token)
        })
    }
}

fn request(mode: Mode, token: Option<&Token>) -> Request<'_> {
    Request {
        vm: VM,
        mode,
        options: Options {
            consistency: Consistency::Crash,
            guest_backup: GuestBackup::Copy,
            ignore_other_disks: false,
        },
        mark: Mark {
            installation: Uuid::from_u128(0x11),
            run: Uuid::from_u128(0x22),
        },
        token,
        fall_back: false,
        expected: Level::Crash,
        least: Level::Crash,
        guest: Family::Windows,
        replica: false,
        suspend: None,
        full: false,
        tree: false,
        choose: None,
    }
}

/// The reference point of a token.
fn rp(token: &Token) -> Vec<String> {
    token.reference_point.iter().cloned().collect()
}

fn reason(reading: &Reading) -> &str {
    match reading {
        Reading::Full(why) => why,
        Reading::Changed(ranges) => panic!("{ranges:?}"),
    }
}

#[test]
fn the_first_backup_reads_all_and_the_next_what_changed() {
    let place = Place::new(&[(0, "a.vhdx"), (3, "b.vhdx")]);
    let (readings, token) = place.backup(None);
    assert!(
        readings
            .iter()
            .all(|r| reason(r) == "there is nothing to compare with")
    );
    let first = token.unwrap();
    assert_eq!(place.points(), rp(&first));
    assert_eq!(place.host.asked(), [""; 0]);

    place.host.set_changes(vec![(4096, 4096), (1 << 20, 512)]);
    let (readings, token) = place.backup(Some(&first));
    let changed = [
        ByteRange::new(4096, 8192),
        ByteRange::new(1 << 20, (1 << 20) + 512),
    ];
    let changed = Reading::Changed(changed.into_iter().collect());
    assert_eq!(readings, [changed.clone(), changed]);
    // Asked since the earlier point, which is gone now.
    let since = format!("rct:{}", rp(&first)[0]);
    assert_eq!(place.host.asked(), [since.clone(), since]);
    let second = token.unwrap();
    assert_ne!(second.reference_point, first.reference_point);
    assert_eq!(place.points(), rp(&second));

    // A token of long ago is of no use.
    let (readings, _) = place.backup(Some(&first));
    assert!(
        readings
            .iter()
            .all(|r| reason(r) == "the last reference point is gone")
    );
}

/// Whoever holds it need not know of the session, and may be another thread.
#[test]
fn it_owns_what_it_needs() {
    fn owned<T: Send + 'static>() {}
    owned::<Frozen>();
}

#[test]
fn disks_are_read_as_the_checkpoint_has_them() {
    let place = Place::new(&[(0, "a.vhdx")]);
    place.with(|control| {
        let frozen = Frozen::take(control, &place.files, &request(Mode::Standard, None)).unwrap();
        let [disk] = frozen.disks.as_slice() else {
            panic!()
        };
        assert_eq!(
            (disk.len(), disk.files.as_slice()),
            (SIZE, &["D:\\VMs\\a.vhdx".to_owned()][..])
        );
        let mut bytes = vec![0; 8192];
        disk.chain.read_at(0, &mut bytes).unwrap();
        assert!(bytes[..4096].iter().all(|b| *b == 0) && bytes[4096..].iter().all(|b| *b == 7));
        frozen.verify().unwrap();
        fs::write(place.path().join("a.vhdx"), b"short").unwrap();
        assert!(
            frozen
                .verify()
                .unwrap_err()
                .to_string()
                .contains("not frozen")
        );
        frozen.abandon().unwrap();
    });
    assert!(!place.has_checkpoint());
}

/// Somebody removes a checkpoint while disks are read, and the host merges it into one of them,
/// whose length stays the same: a VHDX says that it was written to, and a VHD may have been.
#[test]
fn what_is_written_to_while_it_is_read_does_not_count() {
    let place = Place::new(&[(0, "a.vhdx"), (1, "b.vhdx")]);
    place.with(|control| {
        let frozen = Frozen::take(control, &place.files, &request(Mode::Standard, None)).unwrap();
        place.host.remove_checkpoint("Microsoft:THEIRS");
        assert_eq!(frozen.moved(), [], "headers tell that nothing was merged");
        let path = place.path().join("a.vhdx");
        let len = fs::metadata(&path).unwrap().len();
        // In place: what is open is this file.
        let merged = place.path().join("merged.vhdx");
        let image = Image::new(Kind::Vhdx, SIZE, 9).data(4096, &[8; 4096]);
        image.write(&merged);
        fs::copy(&merged, &path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), len);
        let moved = frozen.moved();
        assert_eq!(moved.len(), 1, "{moved:?}");
        assert_eq!(moved[0].problem, FileProblem::Rewritten);
        assert_eq!(moved[0].path, "D:\\VMs\\a.vhdx");
        assert_eq!(frozen.verify().unwrap_err(), moved[0]);
        place.host.put_checkpoint("Microsoft:THEIRS", "x", false);
    });
    let place = Place::new(&[(0, "a.vhd")]);
    place.with(|control| {
        let frozen = Frozen::take(control, &place.files, &request(Mode::Standard, None)).unwrap();
        place.host.put_checkpoint("Microsoft:NEW", "x", false);
        frozen.verify().unwrap();
        place.host.remove_checkpoint("Microsoft:THEIRS");
        assert_eq!(
            frozen.verify().unwrap_err().problem,
            FileProblem::MayBeMerged
        );
        place.host.put_checkpoint("Microsoft:THEIRS", "x", false);
    });
}

#[test]
fn without_tracking_nothing_of_it_is_touched() {
    let place = Place::new(&[(0, "a.vhdx")]);
    place.with(|control| {
        let frozen = Frozen::take(control, &place.files, &request(Mode::Standard, None)).unwrap();
        assert_eq!(reason(&frozen.disks[0].reading), "changes are not tracked");
        let kept = frozen.keep();
        assert!(kept.token.is_none() && kept.problems.is_empty());
    });
    assert_eq!(
        place.host.methods(),
        ["CreateSnapshot", "ModifySystemSettings", "DestroySnapshot"]
    );
}

#[test]
fn abandoned_or_dropped_the_old_token_stays_good() {
    let place = Place::new(&[(0, "a.vhdx")]);
    let token = place.backup(None).1.unwrap();
    place.host.set_changes(vec![(0, 512)]);
    for abandon in [true, false] {
        place.with(|control| {
            let request = request(Mode::Cbt, Some(&token));
            let frozen = Frozen::take(control, &place.files, &request).unwrap();
            assert!(place.has_checkpoint());
            match abandon {
                true => frozen.abandon().unwrap(),
                false => drop(frozen),
            }
        });
        assert!(!place.has_checkpoint());
        assert_eq!(place.points(), rp(&token));
    }
    let readings = place.backup(Some(&token)).0;
    assert!(matches!(readings[0], Reading::Changed(_)));
}

/// The journal's volume is full: that a checkpoint is ours was written down when it was made.
#[test]
fn what_cannot_be_written_down_keeps_nobody_from_removing_what_is_ours() {
    let place = Place::new(&[(0, "a.vhdx")]);
    place.with(|control| {
        let request = request(Mode::Cbt, None);
        let frozen = Frozen::take(control, &place.files, &request).unwrap();
        let left = control.journal().close().unwrap();
        assert_eq!(left.checkpoints.len(), 1);
        frozen.abandon().unwrap();
        assert!(!place.has_checkpoint());
        let notes = control.take_notes();
        assert!(notes[0].contains("done all the same"), "{notes:?}");
        // And nothing new is begun.
        assert!(Frozen::take(control, &place.files, &request).is_err());
        assert!(!place.has_checkpoint());
    });
}

/// Several VMs are saved at once over one control.
#[test]
fn what_is_noted_of_one_vm_is_not_told_of_another() {
    let place = Place::new(&[(0, "a.vhdx")]);
    let refuse = || {
        let refused = Failure::Refused(32768);
        place.host.fail("ModifySystemSettings", refused);
    };
    place.with(|control| {
        let request = request(Mode::Standard, None);
        refuse();
        let other = RecoveryCheckpoint::create(control, VM, request.options, &request.mark);
        other.unwrap().destroy().unwrap();
        let frozen = Frozen::take(control, &place.files, &request).unwrap();
        assert_eq!(frozen.keep().problems, [""; 0]);
        assert_eq!(control.take_notes().len(), 1, "it is still to be told");
        refuse();
        let frozen = Frozen::take(control, &place.files, &request).unwrap();
        assert_eq!(frozen.keep().problems.len(), 1);
        assert_eq!(control.take_notes(), [""; 0]);
        // Where there is nobody to tell it to, it is not lost.
        refuse();
        let frozen = Frozen::take(control, &place.files, &request).unwrap();
        frozen.abandon().unwrap();
        assert_eq!(control.take_notes().len(), 1);
    });
}

#[test]
fn a_conversion_that_fails_costs_the_token_and_nothing_else() {
    let place = Place::new(&[(0, "a.vhdx")]);
    let token = place.backup(None).1.unwrap();
    place
        .host
        .fail("ConvertToReferencePoint", Failure::FailedJob);
    let kept = place.with(|control| {
        let request = request(Mode::Cbt, Some(&token));
        Frozen::take(control, &place.files, &request)
            .unwrap()
            .keep()
    });
    assert!(kept.token.is_none() && kept.problems.len() == 1, "{kept:?}");
    assert!(!place.has_checkpoint());
    // The newest restore point has no token, so nobody would ask by the old one again.
    assert_eq!(place.points(), [""; 0]);
}

#[test]
fn doubts_and_refusals_mean_that_all_is_read() {
    let place = Place::new(&[(0, "a.vhdx")]);
    let token = place.backup(None).1.unwrap();
    place
        .host
        .fail("GetVirtualDiskChanges", Failure::Refused(32779));
    let (readings, next) = place.backup(Some(&token));
    assert!(reason(&readings[0]).contains("32779"), "{readings:?}");
    let next = next.unwrap();
    place.host.set_applied("Microsoft:THEIRS");
    let (readings, next) = place.backup(Some(&next));
    assert_eq!(reason(&readings[0]), "a checkpoint was applied since");
    let next = next.unwrap();
    // Another disk of the same size in its place.
    fs::remove_file(place.path().join("a.vhdx")).unwrap();
    place.write("a.vhdx", 99);
    let (readings, _) = place.backup(Some(&next));
    assert_eq!(reason(&readings[0]), "another disk is in its place");
}

/// Without tracking, the reference point of the last backup is of no use to anybody.
#[test]
fn what_tracking_left_behind_goes_when_it_is_given_up() {
    let place = Place::new(&[(0, "a.vhdx")]);
    let token = place.backup(None).1.unwrap();
    assert_eq!(place.points(), rp(&token));
    let kept = place.with(|control| {
        let request = request(Mode::Standard, Some(&token));
        Frozen::take(control, &place.files, &request)
            .unwrap()
            .keep()
    });
    assert!(kept.token.is_none() && kept.problems.is_empty(), "{kept:?}");
    assert_eq!(place.points(), [""; 0]);
}

#[test]
fn a_full_backup_reads_all_and_goes_on_tracking() {
    let place = Place::new(&[(0, "a.vhdx")]);
    let token = place.backup(None).1.unwrap();
    place.host.set_changes(vec![(0, 512)]);
    let kept = place.with(|control| {
        let mut request = request(Mode::Cbt, Some(&token));
        request.full = true;
        let frozen = Frozen::take(control, &place.files, &request).unwrap();
        assert_eq!(
            reason(&frozen.disks[0].reading),
            "a full backup was asked for"
        );
        frozen.keep()
    });
    let next = kept.token.unwrap();
    assert_eq!(place.points(), rp(&next));
    assert!(matches!(
        place.backup(Some(&next)).0[0],
        Reading::Changed(_)
    ));
}
