//! What holds for any bytes that are read as a LUKS header.
//!
//! Checksums of version 2 are made right first, or nothing behind them would be met. No passphrase is tried:
//! that takes as long as the header says.

use std::sync::Arc;

use hyperkeep_disk::MemFile;
use hyperkeep_disk::raw::RawDisk;
use hyperkeep_guestfs::luks::Luks;

/// Bytes of a header's binary part, and of a whole one as all tools make it.
const BINARY: usize = 4096;
const LEN: usize = 16 << 10;

/// Reads `data` as it is, and as the text of a header that is whole.
///
/// # Panics
/// When the reader does, or tells of what is not there.
pub(crate) fn check(data: &[u8]) {
    read(data.to_vec());
    let mut whole = vec![0; LEN];
    whole[..8].copy_from_slice(b"LUKS\xba\xbe\0\x02");
    whole[8..16].copy_from_slice(&(LEN as u64).to_be_bytes());
    whole[72..78].copy_from_slice(b"sha256");
    let text = data.get(..LEN - BINARY).unwrap_or(data);
    whole[BINARY..BINARY + text.len()].copy_from_slice(text);
    let sum = ring::digest::digest(&ring::digest::SHA256, &whole);
    whole[448..480].copy_from_slice(sum.as_ref());
    read(whole);
}

fn read(bytes: Vec<u8>) {
    let device = Arc::new(RawDisk::open(MemFile::new(bytes)).expect("memory can be read"));
    if let Ok(luks) = Luks::read(device) {
        assert!(matches!(luks.version(), 1 | 2));
        assert!(luks.memory() <= u64::from(u32::MAX) << 10);
    }
}
