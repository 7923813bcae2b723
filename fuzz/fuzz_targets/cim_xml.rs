//! Any text as CIM-XML: read, written, read again.
#![no_main]

#[path = "../../crates/cim/tests/fuzz/xml.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
