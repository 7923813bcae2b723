//! Any bytes as a key slot, a certificate, a description, a typed secret.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hyperkeep_vault_format::fuzz::slot(data));
