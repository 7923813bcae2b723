//! Lists of changed ranges that a person hands in.
#![no_main]

#[path = "../../crates/engine/tests/model/changed_ranges.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
