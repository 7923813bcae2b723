//! Any bytes as a pack, its directory, a payload.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hyperkeep_vault_format::fuzz::pack(data));
