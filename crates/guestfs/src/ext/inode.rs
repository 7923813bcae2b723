//! An inode: what is told of a file, and where its contents begin.

use super::bytes::{array, le16, le32};
use super::sum::crc32c;
use crate::node::{Kind, Owner, Time, Times};

/// Flags of an inode.
pub(super) mod flag {
    pub(in crate::ext) const COMPRESSED: u32 = 0x4;
    pub(in crate::ext) const ENCRYPTED: u32 = 0x800;
    pub(in crate::ext) const INDEX: u32 = 0x1000;
    pub(in crate::ext) const HUGE_FILE: u32 = 0x4_0000;
    pub(in crate::ext) const EXTENTS: u32 = 0x8_0000;
    pub(in crate::ext) const EA_INODE: u32 = 0x20_0000;
    pub(in crate::ext) const INLINE_DATA: u32 = 0x1000_0000;
    pub(in crate::ext) const CASEFOLD: u32 = 0x4000_0000;
}

/// Bytes that every inode has.
pub(super) const OLD_SIZE: usize = 128;
/// Where pointers, extents, inline contents and short targets lie.
pub(super) const BLOCK: std::ops::Range<usize> = 0x28..0x64;

/// An inode whose checksum was right, where there is one.
#[derive(Clone)]
pub(super) struct Inode {
    pub(super) number: u32,
    /// All of its bytes, at least [`OLD_SIZE`].
    pub(super) raw: Vec<u8>,
    /// What checksums of its blocks begin with.
    pub(super) seed: u32,
}

impl Inode {
    pub(super) fn new(number: u32, raw: Vec<u8>, seed: u32) -> Self {
        let seed = crc32c(seed, &number.to_le_bytes());
        let seed = crc32c(seed, &array::<4>(&raw, 0x64));
        Self { number, raw, seed }
    }

    /// The checksum that is stored and the one that should be.
    pub(super) fn sums(&self) -> (u32, u32) {
        let wide = self.raw.len() > OLD_SIZE && self.extra_size() >= 4;
        let mut bytes = self.raw.clone();
        let mut stored = u32::from(le16(&bytes, 0x7c));
        let mut forget = |at: usize| {
            if let Some(field) = bytes.get_mut(at..at + 2) {
                field.fill(0);
            }
        };
        forget(0x7c);
        if wide {
            stored |= u32::from(le16(&self.raw, 0x82)) << 16;
            forget(0x82);
        }
        let sum = crc32c(self.seed, &bytes);
        (stored, if wide { sum } else { sum & 0xffff })
    }

    /// As it is called in errors.
    pub(super) fn name(&self) -> String {
        format!("inode {}", self.number)
    }

    pub(super) fn mode(&self) -> u16 {
        le16(&self.raw, 0)
    }

    pub(super) fn is_folder(&self) -> bool {
        self.mode() & 0xf000 == 0x4000
    }

    pub(super) fn is_file(&self) -> bool {
        self.mode() & 0xf000 == 0x8000
    }

    pub(super) fn has(&self, flag: u32) -> bool {
        le32(&self.raw, 0x20) & flag != 0
    }

    /// Bytes of the contents. Of all that is no file and no folder, the higher half is something else.
    pub(super) fn size(&self) -> u64 {
        let low = u64::from(le32(&self.raw, 4));
        match self.is_file() || self.is_folder() {
            true => low | u64::from(le32(&self.raw, 0x6c)) << 32,
            false => low,
        }
    }

    pub(super) fn links(&self) -> u32 {
        u32::from(le16(&self.raw, 0x1a))
    }

    /// Whether it belongs to nothing: never used, or let go.
    pub(super) fn is_free(&self) -> bool {
        self.mode() == 0 || (self.links() == 0 && le32(&self.raw, 0x14) != 0)
    }

    pub(super) fn block(&self) -> &[u8] {
        self.raw.get(BLOCK).unwrap_or_default()
    }

    /// The block with more extended attributes; 0 if there is none.
    pub(super) fn attribute_block(&self) -> u64 {
        u64::from(le32(&self.raw, 0x68)) | u64::from(le16(&self.raw, 0x76)) << 32
    }

    /// Whether blocks are stored for it, besides those with extended attributes, which are counted as a whole
    /// `cluster` of bytes.
    pub(super) fn has_blocks(&self, block: u64, cluster: u64) -> bool {
        let count = u64::from(le32(&self.raw, 0x1c)) | u64::from(le16(&self.raw, 0x74)) << 32;
        let unit = if self.has(flag::HUGE_FILE) {
            block
        } else {
            512
        };
        let attributes = if self.attribute_block() == 0 {
            0
        } else {
            cluster
        };
        count.saturating_mul(unit) > attributes
    }

    /// Bytes of the part that grew behind the first 128.
    pub(super) fn extra_size(&self) -> usize {
        match self.raw.len() > OLD_SIZE {
            true => usize::from(le16(&self.raw, 0x80)),
            false => 0,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self.mode() & 0xf000 {
            0x8000 => Kind::File,
            0x4000 => Kind::Folder,
            0xa000 => Kind::Link,
            0x1000 => Kind::Fifo,
            0xc000 => Kind::Socket,
            mode @ (0x2000 | 0x6000) => {
                let (old, new) = (le32(self.block(), 0), le32(self.block(), 4));
                let (major, minor) = match old {
                    0 => (new >> 8 & 0xfff, new & 0xff | new >> 12 & 0xf_ff00),
                    old => (old >> 8 & 0xff, old & 0xff),
                };
                let block = mode == 0x6000;
                Kind::Device {
                    block,
                    major,
                    minor,
                }
            }
            _ => Kind::Other,
        }
    }

    pub(super) fn owner(&self) -> Owner {
        let wide =
            |low, high| u32::from(le16(&self.raw, low)) | u32::from(le16(&self.raw, high)) << 16;
        Owner {
            uid: wide(0x02, 0x78),
            gid: wide(0x18, 0x7a),
            mode: self.mode() & 0o7777,
        }
    }

    pub(super) fn times(&self) -> Times {
        Times {
            modified: Some(self.time(0x10, 0x88)),
            accessed: Some(self.time(0x08, 0x8c)),
            changed: Some(self.time(0x0c, 0x84)),
            created: self.reaches(0x94).then(|| self.time(0x90, 0x94)),
        }
    }

    /// Whether the part that grew has a field of four bytes.
    fn reaches(&self, at: usize) -> bool {
        let end = at + 4;
        end <= OLD_SIZE + self.extra_size() && end <= self.raw.len()
    }

    /// Seconds, with two more bits and nanoseconds where there is room for them.
    fn time(&self, at: usize, extra: usize) -> Time {
        let extra = if self.reaches(extra) {
            le32(&self.raw, extra)
        } else {
            0
        };
        Time {
            seconds: i64::from(le32(&self.raw, at) as i32) + (i64::from(extra & 3) << 32),
            nanos: (extra >> 2).min(999_999_999),
        }
    }
}
