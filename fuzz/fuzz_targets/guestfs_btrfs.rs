//! Any change of a small btrfs: nothing panics or goes in circles.
#![no_main]

#[path = "../../crates/guestfs/tests/fuzz/btrfs.rs"]
#[allow(dead_code, reason = "tests share it")]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
