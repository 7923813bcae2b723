//! Bytes that are taken apart as a reply of a server of files.
#![no_main]

#[path = "../../crates/sharefiles/tests/fuzz/reply.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|data: &[u8]| model::check(data));
