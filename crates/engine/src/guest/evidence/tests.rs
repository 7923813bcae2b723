//! Each verdict, of disks in memory.

use disk::raw::RawDisk;
use disk::{BlockRead, ByteRange, Extent, Format, Geometry, LayerInfo, MemFile};
use testkit::floppy::floppy;
use testkit::image::noise;
use uuid::Uuid;

use super::*;
use crate::outcome::Outcome;
use crate::point::{Details, Level, PointLayer, Reading, Stats};
use crate::source::{Consistency, RelPath};

#[path = "../../../../guestfs/tests/ldm/maker.rs"]
#[allow(dead_code)]
mod ldm;

/// Where the tables of the floppy disk lie.
const TABLES: usize = 512;

/// A point with disks alone.
fn point(disks: usize) -> Opened {
    let layer = |at: usize| PointLayer {
        path: RelPath::new(format!("{at}.raw")).unwrap(),
        origin: String::new(),
        info: LayerInfo {
            geometry: Geometry {
                len: 0,
                logical_sector: 512,
                physical_sector: 512,
            },
            format: Format::Raw,
            parent: None,
        },
        parent: None,
        interior: false,
        moved: false,
        reading: Reading::Full { why: String::new() },
        stats: Stats::default(),
    };
    Opened {
        id: String::new(),
        taken: 0,
        details: Details {
            vm_id: Uuid::nil(),
            vm_name: String::new(),
            source: String::new(),
            mode: String::new(),
            mode_reason: None,
            level: Level::Auto,
            consistency: Consistency::Offline,
            outcome: Outcome::Ok,
            config: None,
            layers: (0..disks).map(layer).collect(),
            files: Vec::new(),
            uses: Vec::new(),
            checkpoints: Vec::new(),
            current: None,
            saved_memory: Vec::new(),
            missing: Vec::new(),
            findings: Vec::new(),
            not_covered: Vec::new(),
        },
        layer_roots: Vec::new(),
        file_roots: Vec::new(),
    }
}

fn memory(bytes: &[u8]) -> Device {
    Arc::new(RawDisk::open(MemFile::new(bytes.to_vec())).unwrap())
}

fn looked_at(disks: &[Device], most: u64) -> Evidence {
    let point = point(disks.len());
    let keys = Keys::default();
    read(&point, Owner::Vm, None, &keys, most, &|top| {
        Ok(Arc::clone(&disks[top]))
    })
}

fn one(disk: Device) -> VolumeEvidence {
    let evidence = looked_at(&[disk], MOST);
    assert!(evidence.findings.is_empty(), "{:?}", evidence.findings);
    let [volume] = &evidence.volumes[..] else {
        panic!("{evidence:?}");
    };
    volume.clone()
}

/// A disk with some bytes in some places.
fn with(parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut disk = vec![0; 2880 * 512];
    for (at, bytes) in parts {
        disk[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    disk
}

/// LUKS1 as cryptsetup's header describes it, with a key slot that nothing opens.
fn luks() -> Vec<u8> {
    with(&[
        (0, b"LUKS\xba\xbe\0\x01"),
        (8, b"aes"),
        (40, b"xts-plain64"),
        (72, b"sha256"),
        (104, &4096_u32.to_be_bytes()),
        (108, &64_u32.to_be_bytes()),
        (164, &1000_u32.to_be_bytes()),
        (208, &0x00ac_71f3_u32.to_be_bytes()),
        (212, &1000_u32.to_be_bytes()),
        (248, &8_u32.to_be_bytes()),
        (252, &4000_u32.to_be_bytes()),
    ])
}

#[test]
fn each_volume_is_told_as_what_it_is() {
    let mut in_use = floppy();
    in_use[37] = 1;
    let mut damaged = floppy();
    damaged[TABLES + 3] ^= 0x12;
    let swap = with(&[(4096 - 10, b"SWAPSPACE2")]);
    let refs = with(&[(3, b"ReFS\0\0\0\0"), (16, b"FSRS")]);
    let bitlocker = with(&[(3, b"-FVE-FS-")]);
    for (disk, what, verdict, unproven) in [
        (floppy(), "vfat", Verdict::Clean, ""),
        (in_use, "vfat", Verdict::Dirty, ""),
        (damaged, "vfat", Verdict::Damaged, ""),
        (luks(), "LUKS1", Verdict::Encrypted, ""),
        (swap, "swap", Verdict::NoFiles, ""),
        (with(&[]), "nothing", Verdict::NoFiles, ""),
        (noise(1, 1 << 20), "something unknown", Verdict::Unknown, ""),
        (refs, "ReFS", Verdict::Unknown, "that it is ReFS"),
        (
            bitlocker,
            "BitLocker",
            Verdict::Encrypted,
            "that it is BitLocker",
        ),
    ] {
        let told = one(memory(&disk));
        assert_eq!(
            (told.what.as_str(), told.verdict),
            (what, verdict),
            "{told:?}"
        );
        match unproven {
            "" => assert!(told.unproven.is_empty(), "{told:?}"),
            words => assert!(told.unproven[0].starts_with(words), "{told:?}"),
        }
        // Why it is not read, or what is odd, is told; of what is clean there is nothing.
        assert_eq!(told.notes.is_empty(), verdict == Verdict::Clean, "{told:?}");
    }
}

/// The whole order, as it is documented.
#[test]
fn verdicts_are_told_from_best_to_worst() {
    let all = [
        (Verdict::Clean, "clean"),
        (Verdict::NoFiles, "no-files"),
        (Verdict::NeedsReplay, "needs-replay"),
        (Verdict::Hibernated, "hibernated"),
        (Verdict::Dirty, "dirty"),
        (Verdict::Encrypted, "encrypted"),
        (Verdict::Unknown, "unknown"),
        (Verdict::NotLookedAt, "not-looked-at"),
        (Verdict::Damaged, "damaged"),
    ];
    assert!(all.is_sorted_by(|a, b| a.0 < b.0));
    for (verdict, word) in all {
        assert_eq!(verdict.as_str(), word);
        assert_eq!(serde_json::to_value(verdict).unwrap(), word);
    }
    for (how, expected) in [
        (How::Clean, Verdict::Clean),
        (How::Replayed, Verdict::NeedsReplay),
        (How::NotReplayed, Verdict::NeedsReplay),
        (How::Hibernated, Verdict::Hibernated),
        (How::InUse, Verdict::Dirty),
        (How::Dirty, Verdict::Dirty),
        (How::Damaged, Verdict::Damaged),
    ] {
        assert_eq!(verdict(&State::of(how)), expected);
    }
}

#[test]
fn more_than_may_be_read_is_not_looked_at() {
    let disk = memory(&floppy());
    let all = looked_at(&[Arc::clone(&disk)], MOST);
    assert_eq!(all.volumes[0].verdict, Verdict::Clean);
    assert!(all.read > 0 && all.read < 1 << 20, "{}", all.read);
    // All but the last read, which may be one that its reader does without.
    let most = all.read - 1;
    let less = looked_at(&[Arc::clone(&disk)], most);
    assert_eq!(less.volumes[0].verdict, Verdict::NotLookedAt, "{less:?}");
    assert_eq!(less.read, most);
    // What does not even tell what it is, is named all the same.
    let none = looked_at(&[disk], 0);
    assert!(none.volumes.is_empty() && none.read == 0, "{none:?}");
    assert!(!none.findings.is_empty());
    let partial = |one: &Finding| one.severity == crate::Severity::Partial;
    assert!(none.findings.iter().all(partial), "{none:?}");
}

/// A disk of which a part cannot be read.
struct Lost(Device, ByteRange);

impl BlockRead for Lost {
    fn geometry(&self) -> Geometry {
        self.0.geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> disk::Result<()> {
        let end = offset + buf.len() as u64;
        match offset < self.1.end && self.1.start < end {
            true => Err(disk::Error::Invalid("it is lost".to_owned())),
            false => self.0.read_at(offset, buf),
        }
    }

    fn extents(&self, range: ByteRange) -> disk::Result<Vec<Extent>> {
        self.0.extents(range)
    }
}

/// Two tables far behind the boot sector, of which either is lost; without the second one the reader goes on.
#[test]
fn what_cannot_be_read_is_neither_well_nor_damaged() {
    let small = floppy();
    // The second table begins where another block of 16 KiB is read.
    let reserved = 215 * 512;
    let mut disk = vec![0; small.len()];
    disk[..512].copy_from_slice(&small[..512]);
    disk[14..16].copy_from_slice(&215_u16.to_le_bytes());
    let end = disk.len();
    disk[reserved..].copy_from_slice(&small[512..512 + end - reserved]);
    let disk = memory(&disk);
    assert_eq!(one(Arc::clone(&disk)).verdict, Verdict::Clean);
    let start = reserved as u64 + 9 * 512;
    for range in [
        ByteRange::new(reserved as u64, reserved as u64 + 512),
        ByteRange::new(start, start + 512),
    ] {
        let told = one(Arc::new(Lost(Arc::clone(&disk), range)));
        assert_eq!(told.verdict, Verdict::NotLookedAt, "{told:?}");
    }
}

#[test]
fn volumes_of_dynamic_disks_are_not_proven() {
    let volume = ldm::Volume {
        name: "Volume1",
        len: 2880,
        components: &[(2, &[(0, 1, 0, 2880)])],
    };
    let mut disks = ldm::group("PC-Dg0", 1, 8192, &[volume]);
    let at = (ldm::DATA as usize + 1) * 512;
    let small = floppy();
    disks[0][at..at + small.len()].copy_from_slice(&small);
    let evidence = looked_at(&[memory(&disks[0])], MOST);
    let of = |name: &str| {
        let mut all = evidence.volumes.iter();
        all.find(|one| one.volume == name)
            .unwrap_or_else(|| panic!("{evidence:?}"))
    };
    let whole = of("PC--Dg0-Volume1");
    assert_eq!(whole.verdict, Verdict::Clean, "{whole:?}");
    assert!(whole.unproven[0].contains("dynamic disks"), "{whole:?}");
    let part = of("d0p1");
    assert_eq!(part.verdict, Verdict::NoFiles, "{part:?}");
    assert!(
        part.unproven[0].contains("a part of a dynamic disk"),
        "{part:?}"
    );
}

/// Those of a checkpoint have a course of their own.
#[test]
fn checkpoints_have_courses() {
    let volume = |verdict: Verdict| VolumeEvidence {
        verdict,
        ..one(memory(&floppy()))
    };
    let checkpoint = Owner::Checkpoint(Uuid::from_u128(1));
    let evidence = |owner: &Owner, name: Option<&str>, verdict: Verdict| Evidence {
        owner: owner.clone(),
        checkpoint: name.map(str::to_owned),
        volumes: vec![volume(verdict)],
        read: 0,
        findings: Vec::new(),
    };
    let points = [
        vec![evidence(&Owner::Vm, None, Verdict::Clean)],
        vec![
            evidence(&Owner::Vm, None, Verdict::Hibernated),
            evidence(&checkpoint, Some("before"), Verdict::Clean),
        ],
        vec![
            evidence(&Owner::Vm, None, Verdict::Clean),
            evidence(&checkpoint, Some("renamed"), Verdict::Dirty),
        ],
    ];
    let names = ["one", "two", "three"];
    let stages = points.iter().zip(names).map(|(evidence, point)| Stage {
        point,
        taken: 0,
        evidence,
    });
    let courses = courses(&stages.collect::<Vec<_>>());
    let told: Vec<_> = courses
        .iter()
        .map(|one| {
            let checkpoint = one.checkpoint.as_deref();
            let last = one.last_good.as_deref();
            (checkpoint, one.verdict, one.since.as_str(), last)
        })
        .collect();
    let expected = [
        (None, Verdict::Clean, "three", Some("three")),
        (Some("renamed"), Verdict::Dirty, "three", Some("two")),
    ];
    assert_eq!(told, expected);
}
