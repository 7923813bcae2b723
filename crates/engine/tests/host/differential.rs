//! What restore points of each level are told against, and what is read for them: a differential one
//! is read like an incremental one, and told against the last full one.

use hyperkeep_engine::backup::VmReport;
use hyperkeep_engine::point::{Level, Reading};
use vault::point::Level as Told;
use vault::{Point, PointRef};

use super::*;

/// Bytes of each write.
const LEN: u64 = 4096;

struct Made {
    reference: PointRef,
    point: Point,
    report: VmReport,
}

/// The guest writes to these places, and the first VM is backed up.
fn made(place: &Place, level: Level, writes: &[u64]) -> Made {
    place.rest();
    let vm = place.id("first");
    for at in writes {
        let mut service = place.lab.server.service();
        let host = &mut service.repository.host;
        host.guest_writes(vm, 0, *at, &[0xa5; LEN as usize])
            .unwrap();
    }
    let options = Options {
        audit: Audit::OFF,
        level,
        ..Options::default()
    };
    let mut source = place.source(Arc::new(place.lab.time.clone()), Floor::NONE);
    let report = place.back_up_as(&mut source, &options, &Cancel::new(), None);
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let report = report.vms.into_iter().find(|told| told.id == vm).unwrap();
    let all = place.vault.points(None).unwrap();
    let is_it = |one: &PointRef| Some(one.point.to_string()) == report.point;
    let reference = all.into_iter().find(is_it).unwrap();
    Made {
        point: place.vault.point(&reference).unwrap(),
        reference,
        report,
    }
}

impl Made {
    /// Its level in the report, the same in the restore point, and whether it is told against this one.
    fn is(&self, level: &str, told: Told, against: &Made) {
        assert_eq!(self.report.level, Some(level));
        assert_eq!(self.point.outline.level, told);
        assert_eq!(self.point.outline.parent, Some(against.reference.point));
    }

    /// So many writes were read, which are all since this one.
    fn read(&self, writes: u64, since: &Made) {
        let [layer] = self.report.layers.as_slice() else {
            panic!("{:#?}", self.report);
        };
        assert_eq!(layer.stats.read, writes * LEN, "{layer:#?}");
        let Reading::Ranges { since: told, .. } = &layer.reading else {
            panic!("{layer:#?}");
        };
        assert_eq!(Some(told), since.report.point.as_ref());
    }

    /// What its map says otherwise than the one it is told against: these writes, and no more than the
    /// rest of the chunks that they cut.
    fn changes(&self, place: &Place, since: &Made, writes: &[u64]) {
        let disk = |made: &Made| place.vault.disk(&made.point.outline.layers[0].root);
        let (one, other) = (disk(self).unwrap(), disk(since).unwrap());
        let found = one.differences(&other, 64).unwrap();
        assert_eq!(found.len(), writes.len(), "{found:?}");
        for (range, at) in found.iter().zip(writes) {
            assert!(range.start <= *at && at + LEN <= range.end, "{found:?}");
            assert!(range.end - range.start < 64 << 10, "{found:?}");
        }
    }
}

#[test]
fn a_differential_restore_point_is_told_against_the_last_full_one() {
    let place = Place::new(SCENARIO);
    let [a, b, c, d, e] = [1, 2, 3, 4, 5].map(|at| at * (512 << 10));
    let full = made(&place, Level::Auto, &[]);
    assert_eq!(full.report.level, Some("full"));
    assert_eq!(full.point.outline.parent, None);
    let incremental = made(&place, Level::Incremental, &[a]);
    incremental.is("incremental", Told::Incremental, &full);
    incremental.read(1, &full);

    let first = made(&place, Level::Differential, &[b]);
    first.is("differential", Told::Differential, &full);
    first.read(1, &incremental);
    first.changes(&place, &full, &[a, b]);
    first.changes(&place, &incremental, &[b]);

    // Neither is one told against another one.
    let second = made(&place, Level::Differential, &[c]);
    second.is("differential", Told::Differential, &full);
    second.read(1, &first);
    second.changes(&place, &full, &[a, b, c]);

    // What comes after it is told against it.
    let next = made(&place, Level::Incremental, &[d]);
    next.is("incremental", Told::Incremental, &second);
    next.read(1, &second);

    let newest = made(&place, Level::Full, &[]);
    assert_eq!(newest.report.level, Some("full"));
    assert_eq!(newest.point.outline.parent, None);
    let last = made(&place, Level::Differential, &[e]);
    last.is("differential", Told::Differential, &newest);
    last.read(1, &newest);
    last.changes(&place, &newest, &[e]);
    last.changes(&place, &full, &[a, b, c, d, e]);

    // Each is whole by itself.
    let bytes = |made: &Made| place.restored(made.report.point.as_deref().unwrap());
    let mut disk = bytes(&full);
    for (made, written) in [(&first, &[a, b][..]), (&second, &[c]), (&last, &[d, e])] {
        for at in written {
            disk[*at as usize..][..LEN as usize].fill(0xa5);
        }
        assert!(bytes(made) == disk, "{:?}", made.report);
    }
}
