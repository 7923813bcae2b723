//! Any bytes as the tokens of a logon to the lab.
#![no_main]

#[path = "../../crates/lab/tests/fuzz/logon.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    model::check(data);
});
