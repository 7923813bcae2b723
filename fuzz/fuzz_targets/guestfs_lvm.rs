//! Any text as the metadata of a volume group: what it leads to lies on its volumes.
#![no_main]

#[path = "../../crates/guestfs/tests/fuzz/lvm.rs"]
#[allow(dead_code, reason = "tests share it")]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
