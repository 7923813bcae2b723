//! Any bytes as an XML configuration: read, described, written again.
#![no_main]

#[path = "../../crates/vmconfig/tests/fuzz/xml.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
