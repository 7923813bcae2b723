//! What holds for any bytes that are read as a BitLocker volume.
//!
//! The first 4 KiB are the volume's start, what follows is the first copy of its metadata.

use std::sync::Arc;

use hyperkeep_disk::raw::RawDisk;
use hyperkeep_disk::{BlockRead as _, MemFile};
use hyperkeep_guestfs::Device;
use hyperkeep_guestfs::bitlocker::{BitLocker, Secret};

const COPY: usize = 64 << 10;
const START: usize = 4096;

/// Reads `data`, and a volume that leads to it.
///
/// # Panics
/// When the reader does.
pub(crate) fn check(data: &[u8]) {
    let mut volume = data.to_vec();
    volume.resize(volume.len().clamp(START, COPY) + COPY, 0);
    open(device(volume.clone()));
    volume[3..11].copy_from_slice(b"-FVE-FS-");
    volume[11..13].copy_from_slice(&512_u16.to_le_bytes());
    volume[160..176].copy_from_slice(&[
        0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0,
        0x01,
    ]);
    volume[176..184].copy_from_slice(&(START as u64).to_le_bytes());
    volume[START..START + 12].copy_from_slice(b"-FVE-FS-\x20\0\x02\0");
    open(device(volume));
}

fn device(bytes: Vec<u8>) -> Device {
    Arc::new(RawDisk::open(MemFile::new(bytes)).expect("memory can be read"))
}

/// Opens a volume whose key is in the clear, if it is one, and reads some of it.
///
/// # Panics
/// When the reader does.
pub(crate) fn open(device: Device) {
    let Ok(bitlocker) = BitLocker::read(device) else {
        return;
    };
    assert!(bitlocker.protectors().len() <= 256);
    if let Ok(unlocked) = bitlocker.unlock(&Secret::nothing()) {
        let mut bytes = vec![0; unlocked.len().min(200_000) as usize];
        unlocked.read_at(0, &mut bytes).expect("memory can be read");
    }
}
