//! Any bytes as a restore point, its outline and details, a record.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hyperkeep_vault_format::fuzz::manifest(data));
