//! Any bytes as a VHDX: opened, listed and read; what is listed and what is read agree.

use hyperkeep_disk::vhdx::VhdxImage;
use hyperkeep_disk::{BlockRead, ByteRange, Content, Layer};

use crate::vhdx_file::Sparse;

/// The most of a disk that is looked at.
const MOST: u64 = 64 << 20;

/// Opens the file that `data` stands for and looks at all of it.
///
/// # Panics
/// When the reader contradicts itself.
pub(crate) fn check(data: &[u8]) {
    let Ok(disk) = VhdxImage::open(Sparse::decode(data)) else {
        return;
    };
    assert_eq!(disk.info().geometry.len, disk.len());
    let len = disk.len();
    let mut buf = vec![0xEE; 8192];
    for range in [
        ByteRange::new(0, len.min(MOST)),
        ByteRange::new(len.saturating_sub(MOST), len),
    ] {
        let Ok(extents) = disk.extents(range) else {
            continue;
        };
        let mut next = range.start;
        for extent in extents {
            assert_eq!(extent.range.start, next, "extents follow each other");
            next = extent.range.end;
            let part = &mut buf[..extent.range.len().min(8192) as usize];
            let read = disk.read_at(extent.range.start, part);
            if extent.content != Content::Data {
                read.expect("nothing has to be read for it");
                assert!(part.iter().all(|byte| *byte == 0));
            }
        }
        assert_eq!(next, range.end);
    }
    assert!(disk.read_at(len, &mut [0]).is_err());
}
