//! Any bytes as a VHDX: opened, listed and read.
#![no_main]

#[path = "../../crates/disk/tests/model/vhdx_file.rs"]
mod vhdx_file;

#[path = "../../crates/disk/tests/model/vhdx_open.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
