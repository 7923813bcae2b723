//! A damaged VHDX, opened for writing and changed.
#![no_main]

#[path = "../../crates/disk/tests/model/vhdx_inplace.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
