//! What holds for any bytes that are read as a volume of FAT.

use std::sync::atomic::Ordering;

use hyperkeep_guestfs::fat::Fat;

#[path = "walk.rs"]
pub(crate) mod walk;

/// Small volumes of each kind, with long names, folders and files, as mkfs.fat and mtools made them.
pub(crate) const SEEDS: [&[u8]; 3] = [
    include_bytes!("seeds/fat12.sectors"),
    include_bytes!("seeds/fat16.sectors"),
    include_bytes!("seeds/fat32.sectors"),
];
/// Opening reads the boot sector, both tables as far as they are compared, and the root folder: all in
/// blocks of 16 KiB, and of a broken chain again and again.
const MOST_TO_OPEN: u64 = 8 << 20;

/// The first byte says which volume; what follows changes bytes of it.
///
/// # Panics
/// When more is read than there should be, or an answer has no ground in the bytes.
pub(crate) fn check(data: &[u8]) {
    let Some((first, patches)) = data.split_first() else {
        return;
    };
    let seed = SEEDS[usize::from(*first) % SEEDS.len()];
    let device = walk::patched(walk::unpacked(seed), patches);
    let opened = Fat::open(device.clone());
    let read = device.read.load(Ordering::Relaxed);
    assert!(read <= MOST_TO_OPEN, "{read} bytes were read to open it");
    if let Ok(fat) = opened {
        walk::through(&fat);
    }
}
