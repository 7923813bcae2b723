//! Any bytes as an XFS file system with a log: no panic, no loop without an end.
#![no_main]

#[path = "../../crates/guestfs/tests/fuzz/xfs.rs"]
#[allow(dead_code, reason = "tests share it")]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
