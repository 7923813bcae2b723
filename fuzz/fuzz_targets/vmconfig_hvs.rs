//! Any bytes as a HyperVStorage container: read, described, written again.
#![no_main]

#[path = "../../crates/vmconfig/tests/fuzz/hvs.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
