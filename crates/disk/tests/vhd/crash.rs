//! A power cut while a VHD is being written.

use hyperkeep_disk::DiskWrite;
use hyperkeep_disk::vhd::{VhdImage, VhdLayout, VhdWriter};
use testkit::crash::CrashFile;

use crate::model::{CHILD, Op, apply, child_of_base, params, read};

#[test]
fn a_half_written_image_is_refused_and_a_readable_one_is_complete() {
    let block_size = 64 << 10;
    for layout in [
        VhdLayout::Fixed,
        VhdLayout::Dynamic { block_size },
        child_of_base(block_size, None),
    ] {
        let len = 3 << 20;
        let file = CrashFile::default();
        let params = params(len as u64, layout, CHILD);
        let mut writer = Box::new(VhdWriter::create(file.clone(), &params).unwrap());
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
        file.crashes(42, 20, |crash| match VhdImage::open(&crash.bytes[..]) {
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
