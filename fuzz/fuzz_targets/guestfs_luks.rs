//! Any bytes as a LUKS header: nothing panics.
#![no_main]

#[path = "../../crates/guestfs/tests/fuzz/luks.rs"]
#[allow(dead_code, reason = "tests share it")]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
