//! A power cut while a QCOW2 is being written.

use hyperkeep_disk::qcow2::Qcow2Writer;
use testkit::crash::{assert_goes_on, assert_whole_or_refused};

use crate::reader::read;

#[test]
fn a_half_written_image_is_refused_and_a_readable_one_is_complete() {
    let create = |file, len| Qcow2Writer::create(file, len).unwrap();
    assert_whole_or_refused(create, 20, |bytes| Ok(read(bytes)?.0));
}

#[test]
fn what_a_crash_stopped_goes_on_from_its_last_checkpoint() {
    assert_goes_on(|file, len| Qcow2Writer::create(file, len).unwrap(), 2);
}
