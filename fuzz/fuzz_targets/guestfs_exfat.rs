//! A volume of exFAT with bytes changed: it is walked through without a panic, and to an end.
#![no_main]

#[path = "../../crates/guestfs/tests/fuzz/exfat.rs"]
#[allow(dead_code, reason = "tests share it")]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
