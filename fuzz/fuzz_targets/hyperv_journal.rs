//! Bytes that are read as a journal.
#![no_main]

#[path = "../../crates/hyperv/tests/fuzz/journal.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
