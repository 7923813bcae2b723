//! Any bytes as a BitLocker volume: nothing panics.
#![no_main]

#[path = "../../crates/guestfs/tests/fuzz/bitlocker.rs"]
#[allow(dead_code, reason = "tests share it")]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
