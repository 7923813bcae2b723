//! What holds for any bytes that are read as a volume of exFAT.

use std::sync::atomic::Ordering;

use hyperkeep_guestfs::exfat::ExFat;

#[path = "walk.rs"]
pub(crate) mod walk;

/// A small volume with folders, long names, a file of one row and one of a chain, as mkfs.exfat and
/// exfat-fuse made it.
pub(crate) const SEED: &[u8] = include_bytes!("seeds/exfat.sectors");
/// Opening reads both boot regions, the root folder and the up-case table.
const MOST_TO_OPEN: u64 = 8 << 20;

/// Reads the seed with bytes changed: as it is, and again with all checksums made right, without which
/// nothing behind them would be met.
///
/// # Panics
/// When more is read than there should be, or an answer has no ground in the bytes.
pub(crate) fn check(data: &[u8]) {
    let device = walk::patched(walk::unpacked(SEED), data);
    let mut mended = device.bytes.clone();
    check_one(device);
    mend(&mut mended);
    check_one(walk::patched(mended, &[]));
}

fn check_one(device: std::sync::Arc<walk::Counted>) {
    let opened = ExFat::open(device.clone());
    let read = device.read.load(Ordering::Relaxed);
    assert!(read <= MOST_TO_OPEN, "{read} bytes were read to open it");
    if let Ok(volume) = opened {
        walk::through(&volume);
    }
}

/// Makes the checksums right of boot region and sets.
pub(crate) fn mend(bytes: &mut [u8]) {
    let mut sum = 0_u32;
    for (at, byte) in bytes[..11 * 512].iter().enumerate() {
        if !matches!(at, 106 | 107 | 112) {
            sum = sum.rotate_right(1).wrapping_add(u32::from(*byte));
        }
    }
    for field in bytes[11 * 512..12 * 512].chunks_exact_mut(4) {
        field.copy_from_slice(&sum.to_le_bytes());
    }
    for at in (24 * 512..bytes.len()).step_by(32) {
        if bytes[at] == 0x85 && bytes.get(at + 32) == Some(&0xc0) {
            let end = (at + (usize::from(bytes[at + 1]) + 1) * 32).min(bytes.len());
            let mut sum = 0_u16;
            for (at, byte) in bytes[at..end].iter().enumerate() {
                if !matches!(at, 2 | 3) {
                    sum = sum.rotate_right(1).wrapping_add(u16::from(*byte));
                }
            }
            bytes[at + 2..at + 4].copy_from_slice(&sum.to_le_bytes());
        }
    }
}
