//! Any listing of files with any graph of disks: looked through and exported.
#![no_main]

#[path = "../../crates/vmconfig/tests/fuzz/layout.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
