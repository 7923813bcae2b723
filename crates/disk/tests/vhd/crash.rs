//! A power cut while a VHD is being written.

use hyperkeep_disk::vhd::{VhdImage, VhdLayout, VhdWriter};
use testkit::crash::{assert_goes_on, assert_whole_or_refused};

use crate::model::{CHILD, child_of_base, params, read};

#[test]
fn a_half_written_image_is_refused_and_a_readable_one_is_complete() {
    let block_size = 64 << 10;
    for layout in [
        VhdLayout::Fixed,
        VhdLayout::Dynamic { block_size },
        child_of_base(block_size, None),
    ] {
        let create = |file, len| VhdWriter::create(file, &params(len, layout, CHILD)).unwrap();
        assert_whole_or_refused(create, 20, |bytes| Ok(read(&VhdImage::open(bytes)?)));
    }
}

#[test]
fn what_a_crash_stopped_goes_on_from_its_last_checkpoint() {
    let block_size = 64 << 10;
    for layout in [
        VhdLayout::Fixed,
        VhdLayout::Dynamic { block_size },
        child_of_base(block_size, None),
    ] {
        let params = |len| params(len, layout.clone(), CHILD);
        assert_goes_on(
            |file, len| VhdWriter::create(file, &params(len)).unwrap(),
            2,
        );
    }
}
