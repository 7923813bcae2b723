//! Whether two disks are the same, without reading what neither of them stores.

use std::fs::{self, File};
use std::path::Path;

use hyperkeep_disk::block::windows;
use hyperkeep_disk::raw::RawDisk;
use hyperkeep_disk::{BlockRead, ByteRange, ByteRanges, Content};
use testkit::vhd::oracle::Qemu;

/// What a disk stores of a window.
fn stored(disk: &impl BlockRead, window: ByteRange) -> ByteRanges {
    let extents = disk.extents(window).expect("extents");
    assert_eq!(extents.first().map(|e| e.range.start), Some(window.start));
    assert_eq!(extents.last().map(|e| e.range.end), Some(window.end));
    extents
        .iter()
        .filter(|extent| extent.content == Content::Data)
        .map(|extent| extent.range)
        .collect()
}

/// Fails unless both disks have the same length and bytes.
pub(crate) fn assert_same(a: &impl BlockRead, b: &impl BlockRead, what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    for window in windows(a.len(), 256 << 20) {
        for range in stored(a, window).union(&stored(b, window)).iter() {
            for part in windows(range.len(), 1 << 20) {
                let at = range.start + part.start;
                let (mut x, mut y) = (vec![1; part.len() as usize], vec![2; part.len() as usize]);
                a.read_at(at, &mut x).expect("reading");
                b.read_at(at, &mut y).expect("reading");
                let differs = x.iter().zip(&y).position(|(x, y)| x != y);
                assert_eq!(
                    differs.map(|i| (at + i as u64, x[i], y[i])),
                    None,
                    "{what}: they differ there"
                );
            }
        }
    }
}

/// Fails unless `image`, opened from `file`, has the bytes that qemu-img reads there.
pub(crate) fn assert_reads_like_qemu(qemu: &Qemu, image: &impl BlockRead, file: &Path) {
    let raw = file.with_extension("raw");
    qemu.run(&["convert", "-f", "vhdx", "-O", "raw"], &[file, &raw])
        .expect("qemu-img reads it");
    let open = || File::open(&raw).expect("the raw image");
    let theirs = RawDisk::open(open())
        .expect("a raw image")
        .with_probe(open());
    assert_same(image, &theirs, &file.display().to_string());
    fs::remove_file(raw).expect("removing");
}
