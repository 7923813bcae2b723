//! Any bytes as a table of the local cache, and with its checksums put right.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hyperkeep_vault::fuzz::cache_table(data));
