//! Any bytes as a reply of WS-Management.
#![no_main]

#[path = "../../crates/cim/tests/fuzz/soap.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
