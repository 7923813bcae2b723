//! Any text as an object path: read, written, read again.
#![no_main]

#[path = "../../crates/cim/tests/fuzz/path.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
