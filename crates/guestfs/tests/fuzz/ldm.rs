//! What holds for any bytes as the database of dynamic disks, and as what leads to it.

use std::sync::Arc;

use hyperkeep_disk::raw::RawDisk;
use hyperkeep_disk::{BlockRead as _, MemFile};
use hyperkeep_guestfs::Device;
use hyperkeep_guestfs::ldm::{DynamicDisk, groups};
use hyperkeep_guestfs::partitions::Table;

#[path = "../ldm/maker.rs"]
pub(crate) mod maker;

/// Sectors of a disk made here.
const LEN: u64 = 4096;
/// Bytes that fit between where the database begins and the second header.
const MOST: usize = 1800 * 512;

/// A database between a right header and right contents; and header, contents and database one behind the other.
///
/// # Panics
/// When the reader does, or a volume has no ground in the bytes.
pub(crate) fn check(data: &[u8]) {
    let data = &data[..data.len().min(MOST)];
    let header = |number| maker::header(number, "Dg0", LEN - maker::CONFIG);
    let whole = |number| maker::disk(LEN, &header(number), &maker::contents(), data);
    open(&[whole(0), whole(1)]);
    if data.len() > 1024 {
        let (head, rest) = data.split_at(512);
        let (contents, database) = rest.split_at(512);
        open(&[maker::disk(LEN, head, contents, database)]);
    }
}

fn open(disks: &[Vec<u8>]) {
    let open = |bytes: &Vec<u8>| {
        let file = MemFile::new(bytes.clone());
        let device: Device = Arc::new(RawDisk::open(file).expect("memory can be read"));
        let table = Table::read(&device).expect("memory can be read");
        DynamicDisk::open(&device, &table).ok()
    };
    let disks: Vec<_> = disks.iter().filter_map(open).collect();
    for group in groups(&disks) {
        for volume in group.volumes {
            let Ok(device) = volume.device else {
                continue;
            };
            assert!(!volume.disks.is_empty());
            let mut bytes = [0; 100];
            for at in [0, device.len() / 2, device.len().saturating_sub(100)] {
                let len = (device.len() - at).min(100) as usize;
                device
                    .read_at(at, &mut bytes[..len])
                    .expect("a place on a disk");
            }
            assert!(device.read_at(device.len(), &mut [0]).is_err());
        }
    }
}
