//! Any bytes as an ext file system: no answer contradicts another one, and reading ends.
#![no_main]

#[path = "../../crates/guestfs/tests/fuzz/ext.rs"]
#[allow(dead_code, reason = "tests share it")]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
