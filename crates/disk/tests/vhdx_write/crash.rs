//! A power cut while a VHDX is being written.

use hyperkeep_disk::DiskWrite;
use hyperkeep_disk::vhdx::header::{self, HEADER_OFFSETS};
use hyperkeep_disk::vhdx::{VhdxLayout, VhdxWriter};
use testkit::crash::CrashFile;
use testkit::ops::{Op, apply};

use crate::images::{over, params};

/// Whether a reader would go beyond the headers.
fn has_header(bytes: &[u8]) -> bool {
    let slot = |at: u64| bytes.get(at as usize..)?.first_chunk();
    header::current(HEADER_OFFSETS.map(slot)).is_ok()
}

#[test]
fn a_half_written_image_has_no_header_and_one_with_a_header_is_complete() {
    for layout in [VhdxLayout::Fixed, VhdxLayout::Dynamic, over("base.vhdx")] {
        let len = 3 << 20;
        let file = CrashFile::default();
        let params = params(len as u64, 1 << 20, 512, layout);
        let mut writer = Box::new(VhdxWriter::create(file.clone(), &params).unwrap());
        let ops: Vec<_> = [(0, 9), (4000, 300), (2000, 130), (3, 1), (6143, 1)]
            .map(|(at, sectors)| Op {
                at,
                sectors,
                byte: Some(at as u8 | 1),
            })
            .into();
        apply(&ops, writer.as_mut(), &mut vec![0; len]);
        writer.finish().unwrap();
        file.promise(1);

        let complete = file.bytes();
        let (mut refused, mut opened) = (0, 0);
        file.crashes(42, 12, |crash| {
            if !has_header(&crash.bytes) {
                assert_eq!(crash.promised, None, "{}", crash.story);
                refused += 1;
                return;
            }
            opened += 1;
            // Beyond the headers, whose number and sequence may differ, all is there.
            let same =
                |range: std::ops::Range<usize>| crash.bytes[range.clone()] == complete[range];
            assert_eq!(crash.bytes.len(), complete.len(), "{}", crash.story);
            assert!(
                same(0..64 << 10) && same(192 << 10..complete.len()),
                "{}",
                crash.story
            );
        });
        assert!(
            refused > 20 && opened > 2,
            "{refused} refused, {opened} opened"
        );
    }
}
