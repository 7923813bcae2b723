//! Any bytes as an index run, its root, a block.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hyperkeep_vault_format::fuzz::index(data));
