//! Set algebra of changed ranges, over all 64 bits.
#![no_main]

#[path = "../../crates/disk/tests/model/byte_ranges.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
