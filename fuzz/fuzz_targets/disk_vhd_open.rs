//! Any bytes as a VHD: opened, listed and read.
#![no_main]

#[path = "../../crates/disk/tests/model/vhd_open.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
