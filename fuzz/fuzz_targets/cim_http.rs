//! Any bytes as a reply of HTTP and as an encrypted message.
#![no_main]

#[path = "../../crates/cim/tests/fuzz/http.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
