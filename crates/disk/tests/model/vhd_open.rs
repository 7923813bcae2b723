//! What holds for any bytes that are opened as a VHD.

use hyperkeep_disk::vhd::{Checksums, VhdImage};
use hyperkeep_disk::{BlockRead, ByteRange, Content};

/// Opens `data`, with and without regard to checksums, and reads what the extents promise.
///
/// # Panics
/// When reader and extents contradict each other.
pub(crate) fn check(data: &[u8]) {
    for checksums in [Checksums::Enforce, Checksums::Report] {
        let Ok(disk) = VhdImage::open_with(data, checksums) else {
            continue;
        };
        let window = ByteRange::new(0, disk.len().min(4 << 20));
        let extents = disk.extents(window).expect("opening checked all blocks");
        let mut at = 0;
        for extent in extents {
            assert_eq!(extent.range.start, at, "extents are contiguous");
            at = extent.range.end;
            let mut bytes = vec![1; extent.range.len() as usize];
            disk.read_at(extent.range.start, &mut bytes)
                .expect("opening checked all blocks");
            if extent.content != Content::Data {
                assert!(bytes.iter().all(|byte| *byte == 0), "a hole reads as zeros");
            }
        }
        assert_eq!(at, window.end, "extents cover what was asked for");
    }
}
