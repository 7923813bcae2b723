//! Raw images: what is written comes back, and what is not stays a hole.

use std::fs::File;
use std::sync::Arc;

use hyperkeep_disk::raw::{AllocationProbe, RawDisk, RawWriter};
use hyperkeep_disk::{BlockRead, ByteRange, ByteRanges, Content, DiskWrite, Error, MemFile};
use proptest::prelude::*;
use testkit::vhd::oracle;

proptest! {
    #![proptest_config(testkit::vary::config(32))]

    #[test]
    fn any_order_of_writes_reads_back(
        ops in prop::collection::vec((0u64..3_000_000, 0usize..700_000, prop::option::of(1u8..)), 0..10),
    ) {
        let len = 3_700_001;
        let mut model = vec![0; len];
        let file = Arc::new(MemFile::default());
        let mut writer = Box::new(RawWriter::create(file.clone(), len as u64).unwrap());
        for (at, n, byte) in ops {
            let part = &mut model[at as usize..at as usize + n];
            part.fill(byte.unwrap_or(0));
            match byte {
                Some(_) => writer.write_at(at, part).unwrap(),
                None => writer.write_zeros(ByteRange::new(at, at + n as u64)).unwrap(),
            }
        }
        writer.finish().unwrap();
        prop_assert!(file.bytes() == model);
    }
}

/// Creates a sparse file; `None` (said aloud) where the file system has no holes.
fn sparse(test: &str) -> Option<(tempfile::TempDir, Arc<File>)> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.raw");
    let file = Arc::new(File::create_new(&path).unwrap());
    let mut writer = Box::new(RawWriter::create(file, 8 << 20).unwrap());
    writer.write_at(1 << 20, &[1; 4096]).unwrap();
    writer.write_zeros(ByteRange::new(0, 8 << 20)).unwrap();
    writer.write_at(4 << 20, &[2; 70_000]).unwrap();
    writer
        .write_zeros(ByteRange::new(5 << 20, 8 << 20))
        .unwrap();
    writer.finish().unwrap();
    let file = Arc::new(File::open(&path).unwrap());
    let whole = ByteRange::new(0, 8 << 20);
    if file.allocated(whole).unwrap().total() == whole.len() {
        oracle::skip(test, "this file system or system does not tell holes");
        return None;
    }
    Some((dir, file))
}

#[test]
fn holes_of_the_file_are_holes_of_the_disk() {
    let Some((_dir, file)) = sparse("holes_of_the_file_are_holes_of_the_disk") else {
        return;
    };
    let disk = RawDisk::open(file.clone()).unwrap().with_probe(file);
    let extents = disk.extents(ByteRange::new(0, 8 << 20)).unwrap();
    let data: ByteRanges = extents
        .iter()
        .filter(|extent| extent.content == Content::Data)
        .map(|extent| extent.range)
        .collect();
    let written: ByteRanges = [
        ByteRange::new(1 << 20, (1 << 20) + 4096),
        ByteRange::new(4 << 20, (4 << 20) + 70_000),
    ]
    .into_iter()
    .collect();
    assert_eq!(data.intersect(&written), written);
    // At most the MiB that was overwritten with zeros comes on top.
    assert!(data.total() <= (1 << 20) + (128 << 10), "{data:?}");
    assert_eq!(extents.first().unwrap().range.start, 0);
    assert_eq!(extents.last().unwrap().range.end, 8 << 20);

    // A window that begins and ends inside extents is clipped.
    let window = ByteRange::new((4 << 20) + 100, (4 << 20) + 200);
    let inside = disk.extents(window).unwrap();
    assert_eq!(inside.len(), 1);
    assert_eq!(
        (inside[0].range, inside[0].content),
        (window, Content::Data)
    );
}

#[test]
fn without_a_probe_every_byte_is_data() {
    let disk = RawDisk::open(vec![0; 1000]).unwrap();
    let extents = disk.extents(ByteRange::new(10, 1000)).unwrap();
    assert_eq!(extents.len(), 1);
    assert_eq!(extents[0].content, Content::Data);
    let outside = disk.extents(ByteRange::new(10, 1001));
    assert!(matches!(outside, Err(Error::OutOfBounds { .. })));
    assert!(disk.read_at(999, &mut [0; 2]).is_err());
}

#[test]
fn what_a_crash_stopped_goes_on_from_its_last_checkpoint() {
    testkit::crash::assert_goes_on(|file, len| RawWriter::create(file, len).unwrap(), 2);
}
