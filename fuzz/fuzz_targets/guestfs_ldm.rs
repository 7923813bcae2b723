//! Any bytes as the database of dynamic disks: nothing panics.
#![no_main]

#[path = "../../crates/guestfs/tests/fuzz/ldm.rs"]
#[allow(dead_code, reason = "tests share it")]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
