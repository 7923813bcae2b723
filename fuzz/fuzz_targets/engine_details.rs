//! What a restore point says about its VM, and the plan of a restore that is made of it.
#![no_main]

#[path = "../../crates/engine/tests/model/details.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
