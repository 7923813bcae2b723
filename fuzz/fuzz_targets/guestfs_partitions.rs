//! Any bytes as a disk with partitions: what is told lies on the disk, and little is read.
#![no_main]

#[path = "../../crates/guestfs/tests/fuzz/partitions.rs"]
#[allow(dead_code, reason = "tests share it")]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
