//! Any bytes as a guest state file: looked at, never more of it than its structures.
#![no_main]

#[path = "../../crates/vmconfig/tests/fuzz/vmgs.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
