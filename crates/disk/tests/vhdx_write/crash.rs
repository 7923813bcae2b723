//! A power cut while a VHDX is being written.

use hyperkeep_disk::DiskWrite;
use hyperkeep_disk::vhdx::{VhdxImage, VhdxLayout, VhdxWriter};
use testkit::crash::CrashFile;
use testkit::ops::{Op, apply, read};

use crate::images::{over, params};

#[test]
fn a_half_written_image_is_refused_and_a_readable_one_is_complete() {
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
        let mut model = vec![0; len];
        apply(&ops, writer.as_mut(), &mut model);
        writer.finish().unwrap();
        file.promise(1);

        let (mut refused, mut complete) = (0, 0);
        file.crashes(42, 12, |crash| match VhdxImage::open(&crash.bytes[..]) {
            Ok(disk) => {
                assert!(read(&disk) == model, "{}", crash.story);
                complete += 1;
            }
            Err(_) => {
                assert_eq!(crash.promised, None, "{}", crash.story);
                refused += 1;
            }
        });
        assert!(
            refused > 20 && complete > 2,
            "{refused} refused, {complete} complete"
        );
    }
}
