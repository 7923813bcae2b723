//! What holds for any text as the metadata of a volume group.

use hyperkeep_guestfs::Device;
use hyperkeep_guestfs::lvm::{PhysicalVolume, groups};

#[path = "walk.rs"]
#[allow(dead_code, reason = "file systems need more of it")]
pub(crate) mod walk;

/// Where the metadata area of a volume made here begins, and its bytes.
pub(crate) const AREA: usize = 4096;
const AREA_LEN: usize = 128 << 10;
/// Bytes of a volume made here.
const LEN: usize = 1 << 20;

/// A physical volume with an id of 32 times this letter, whose metadata are a text, laid down from `start`
/// of the area on and round its end; all checksums are right.
pub(crate) fn volume(id: u8, text: &[u8], start: usize) -> Vec<u8> {
    let mut bytes = vec![0; LEN];
    let put = |bytes: &mut Vec<u8>, at: usize, value: &[u8]| {
        bytes[at..at + value.len()].copy_from_slice(value);
    };
    let number = |number: usize| (number as u64).to_le_bytes();
    put(&mut bytes, 512, b"LABELONE");
    put(&mut bytes, 520, &number(1));
    put(&mut bytes, 532, &32_u32.to_le_bytes());
    put(&mut bytes, 536, b"LVM2 001");
    put(&mut bytes, 544, &[id; 32]);
    put(&mut bytes, 576, &number(LEN));
    // One area of data and one of metadata, each list with nought behind it.
    put(&mut bytes, 584, &number(AREA + AREA_LEN));
    put(&mut bytes, 616, &number(AREA));
    put(&mut bytes, 624, &number(AREA_LEN));
    let label = sum(&bytes[532..1024]);
    put(&mut bytes, 528, &label.to_le_bytes());
    let text = &text[..text.len().min(AREA_LEN - 512)];
    let start = 512 + start % (AREA_LEN - 512);
    for (at, byte) in text.iter().enumerate() {
        bytes[AREA + 512 + (start - 512 + at) % (AREA_LEN - 512)] = *byte;
    }
    put(&mut bytes, AREA + 4, b" LVM2 x[5A%r0N*>");
    put(&mut bytes, AREA + 20, &1_u32.to_le_bytes());
    put(&mut bytes, AREA + 24, &number(AREA));
    put(&mut bytes, AREA + 32, &number(AREA_LEN));
    put(&mut bytes, AREA + 40, &number(start));
    put(&mut bytes, AREA + 48, &number(text.len()));
    put(&mut bytes, AREA + 56, &sum(text).to_le_bytes());
    let header = sum(&bytes[AREA + 4..AREA + 512]);
    put(&mut bytes, AREA, &header.to_le_bytes());
    bytes
}

fn sum(bytes: &[u8]) -> u32 {
    let step = |mut sum: u32, byte: &u8| {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
        }
        sum
    };
    bytes.iter().fold(0xf597_a6cf, step)
}

/// A device of bytes.
pub(crate) fn device(bytes: Vec<u8>) -> Device {
    walk::patched(bytes, &[])
}

/// Two volumes, of which the text is on the first one.
///
/// # Panics
/// When a device has no ground in the text.
pub(crate) fn check(data: &[u8]) {
    let first = PhysicalVolume::open(device(volume(b'a', data, 0))).expect("a whole label");
    let second = PhysicalVolume::open(device(volume(b'b', &[], 0))).expect("a whole label");
    for group in groups(&[first, second]) {
        for logical in group.volumes.iter().take(50) {
            let Ok(device) = &logical.device else {
                continue;
            };
            assert_eq!(device.len(), logical.len);
            // All of it lies on one of the two, or on a place of them that several share.
            let mut bytes = [0; 100];
            for at in [0, device.len() / 2, device.len().saturating_sub(100)] {
                let len = (device.len() - at).min(100) as usize;
                device
                    .read_at(at, &mut bytes[..len])
                    .expect("a place on a volume");
            }
            assert!(device.read_at(device.len(), &mut [0]).is_err());
        }
    }
}
