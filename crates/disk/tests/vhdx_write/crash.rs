//! A power cut while a VHDX is being written.

use hyperkeep_disk::vhdx::{VhdxImage, VhdxLayout, VhdxWriter};
use testkit::crash::{assert_goes_on, assert_whole_or_refused};
use testkit::ops::read;

use crate::images::{over, params};

#[test]
fn a_half_written_image_is_refused_and_a_readable_one_is_complete() {
    for layout in [VhdxLayout::Fixed, VhdxLayout::Dynamic, over("base.vhdx")] {
        let create =
            |file, len| VhdxWriter::create(file, &params(len, 1 << 20, 512, layout)).unwrap();
        assert_whole_or_refused(create, 12, |bytes| Ok(read(&VhdxImage::open(bytes)?)));
    }
}

#[test]
fn what_a_crash_stopped_goes_on_from_its_last_checkpoint() {
    for layout in [VhdxLayout::Fixed, VhdxLayout::Dynamic, over("base.vhdx")] {
        let params = |len| params(len, 1 << 20, 512, layout.clone());
        assert_goes_on(
            |file, len| VhdxWriter::create(file, &params(len)).unwrap(),
            2,
        );
    }
}
