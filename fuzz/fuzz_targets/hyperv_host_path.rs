//! Text that is read as a path of a host.
#![no_main]

#[path = "../../crates/hyperv/tests/fuzz/host_path.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
