//! Any bytes as the log of a VHDX: replayed and read through.
#![no_main]

#[path = "../../crates/disk/tests/model/vhdx_file.rs"]
mod vhdx_file;

#[path = "../../crates/disk/tests/model/vhdx_log.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
