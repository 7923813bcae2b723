//! Any bytes as what Windows has packed: an end, and nothing behind the output.
#![no_main]

#[path = "../../crates/guestfs/tests/fuzz/ntfs_codecs.rs"]
#[allow(dead_code, reason = "tests share it")]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
