//! A small volume of NTFS with changes: answers or errors, and an end.
#![no_main]

#[path = "../../crates/guestfs/tests/fuzz/ntfs.rs"]
#[allow(dead_code, reason = "tests share it")]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
