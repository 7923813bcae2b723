//! Cylinders, heads and sectors: a size for BIOS calls, and an approximation only.

use crate::vhd::SECTOR;

/// A disk geometry as stored in a footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chs {
    /// Number of cylinders.
    pub cylinders: u16,
    /// Heads per cylinder.
    pub heads: u8,
    /// Sectors per track.
    pub sectors: u8,
}

impl Chs {
    /// The geometry of a disk of `len` bytes, by the algorithm in the appendix of the VHD
    /// specification. It never describes more than the disk has, and stops at about 127 GiB.
    pub fn of(len: u64) -> Self {
        let total = (len / SECTOR).min(65535 * 16 * 255);
        let (sectors, heads, tracks);
        if total >= 65535 * 16 * 63 {
            (sectors, heads, tracks) = (255, 16, total / 255);
        } else {
            let (mut s, mut t) = (17, total / 17);
            let mut h = t.div_ceil(1024).max(4);
            if t >= h * 1024 || h > 16 {
                (s, h, t) = (31, 16, total / 31);
            }
            if t >= h * 1024 {
                (s, h, t) = (63, 16, total / 63);
            }
            (sectors, heads, tracks) = (s, h, t);
        }
        Self {
            cylinders: (tracks / heads) as u16,
            heads: heads as u8,
            sectors: sectors as u8,
        }
    }

    /// Bytes that the geometry describes.
    pub fn bytes(self) -> u64 {
        u64::from(self.cylinders) * self.cylinder()
    }

    /// Bytes in one cylinder.
    pub fn cylinder(self) -> u64 {
        u64::from(self.heads) * u64::from(self.sectors) * SECTOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sizes_give_the_geometries_that_windows_and_qemu_write() {
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        for (len, cylinders, heads, sectors) in [
            (4 * MIB, 120, 4, 17),
            (10 * MIB, 301, 4, 17),
            (64 * MIB, 963, 8, 17),
            (512 * MIB, 1040, 16, 63),
            (GIB, 2080, 16, 63),
            (40 * GIB, 20560, 16, 255),
            (127 * GIB, 65278, 16, 255),
            (2040 * GIB, 65535, 16, 255),
        ] {
            let chs = Chs {
                cylinders,
                heads,
                sectors,
            };
            assert_eq!(Chs::of(len), chs, "{len} bytes");
        }
    }

    #[test]
    fn it_never_describes_more_than_the_disk() {
        for len in (0..200).map(|n| n * 977 * 1024 * 1024 + n * 512) {
            assert!(Chs::of(len).bytes() <= len, "{len}");
        }
    }
}
