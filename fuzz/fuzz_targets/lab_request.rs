//! Any bytes as a request to the lab.
#![no_main]

#[path = "../../crates/lab/tests/fuzz/request.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
