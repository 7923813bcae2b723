//! Any bytes as a node of a disk map.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hyperkeep_vault_format::fuzz::node(data));
