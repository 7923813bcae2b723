//! Replays the committed fuzz corpora of this crate, so that every input that once mattered is
//! tried on each run of the tests.

use testkit::corpus;

#[path = "model/byte_ranges.rs"]
mod byte_ranges;

#[test]
fn disk_byte_ranges() {
    corpus::replay("disk_byte_ranges", byte_ranges::check);
}

#[path = "model/vhd_open.rs"]
mod vhd_open;

#[test]
fn disk_vhd_open() {
    corpus::replay("disk_vhd_open", vhd_open::check);
}
