//! The superblock: what the file system is made of, and which of its copies is believed.
//!
//! It lies 1024 bytes behind the start. Copies lie at the start of some groups; they are looked for only
//! when the first one is damaged. Where groups have another length than `mke2fs` gives them by itself,
//! copies are not found.

use disk::BlockRead;

use super::bytes::{array, le16, le32};
use super::feature::{compat, incompat, ro_compat, unknown};
use super::sum::crc32c;
use crate::error::{Error, Result};

const LEN: usize = 1024;
const PLACE: u64 = 1024;

/// A superblock that was checked.
#[derive(Clone)]
pub(super) struct Super {
    raw: [u8; LEN],
    /// Bytes of a block.
    pub(super) block: u64,
    /// Blocks that pointers may name: as many as there should be, or as the device has.
    pub(super) blocks: u64,
    /// Blocks that there should be.
    pub(super) all_blocks: u64,
    pub(super) first_data: u64,
    pub(super) per_group: u64,
    pub(super) inodes: u32,
    pub(super) inodes_per_group: u32,
    pub(super) inode_size: u64,
    pub(super) desc_size: u64,
    pub(super) compat: u32,
    pub(super) incompat: u32,
    pub(super) ro_compat: u32,
    /// What checksums of metadata begin with.
    pub(super) seed: u32,
}

/// Where the superblock that is believed was found.
pub(super) struct Found {
    pub(super) sb: Super,
    /// The group whose copies are read: 0 if nothing is wrong.
    pub(super) group: u64,
    /// Why it is not the first one.
    pub(super) why: Option<String>,
}

/// The first superblock, or a copy if that is damaged.
pub(super) fn find(device: &dyn BlockRead) -> Result<Found> {
    let why = match at(device, PLACE) {
        Ok(sb) => {
            return Ok(Found {
                sb,
                group: 0,
                why: None,
            });
        }
        Err(error @ (Error::Damaged { .. } | Error::NotThis(_))) => error,
        Err(other) => return Err(other),
    };
    for shift in 0..=6 {
        let block = 1024_u64 << shift;
        let per_group = 8 * block;
        for group in [1, 3, 5, 7, 9, 25, 27, 49] {
            let place = (u64::from(shift == 0) + group * per_group) * block;
            if place + LEN as u64 > device.len() {
                break;
            }
            let Ok(sb) = at(device, place) else { continue };
            if sb.block == block && sb.per_group == per_group && u64::from(sb.group_nr()) == group {
                let why = Some(why.to_string());
                return Ok(Found { sb, group, why });
            }
        }
    }
    Err(why)
}

fn at(device: &dyn BlockRead, place: u64) -> Result<Super> {
    let mut raw = [0; LEN];
    if place + LEN as u64 > device.len() {
        return Err(Error::NotThis("ext"));
    }
    device.read_at(place, &mut raw)?;
    Super::parse(raw, device.len())
}

impl Super {
    /// Bytes of what blocks are given away in: of one, or of several that lie together.
    pub(super) fn cluster(&self) -> u64 {
        match self.ro_compat & ro_compat::BIGALLOC {
            0 => self.block,
            // No larger one is made.
            _ => 1024 << le32(&self.raw, 0x1c).min(20),
        }
    }

    fn parse(raw: [u8; LEN], device: u64) -> Result<Self> {
        if le16(&raw, 0x38) != 0xef53 {
            return Err(Error::NotThis("ext"));
        }
        let bad = |why: String| Error::damaged("superblock", why);
        // The first revision has no features, and inodes of one size.
        let old = le32(&raw, 0x4c) == 0;
        let field = |at| if old { 0 } else { le32(&raw, at) };
        let (compat, incompat, ro_compat) = (field(0x5c), field(0x60), field(0x64));
        if ro_compat & ro_compat::METADATA_CSUM != 0 {
            let (stored, sum) = (le32(&raw, 0x3fc), crc32c(!0, &raw[..0x3fc]));
            if stored != sum {
                return Err(bad(format!(
                    "its checksum is {stored:#010x} and should be {sum:#010x}"
                )));
            }
        }
        unknown(incompat)?;
        let log = le32(&raw, 0x18);
        if log > 6 {
            return Err(bad(format!("blocks of 1024 << {log} bytes")));
        }
        let block = 1024_u64 << log;
        let high = if incompat & incompat::BITS64 != 0 {
            u64::from(le32(&raw, 0x150)) << 32
        } else {
            0
        };
        let all_blocks = u64::from(le32(&raw, 0x04)) | high;
        let first_data = u64::from(le32(&raw, 0x14));
        let per_group = u64::from(le32(&raw, 0x20));
        // Pointers have 48 bits.
        let fits = first_data < all_blocks && all_blocks < 1 << 48;
        if first_data > 1 || !fits || per_group == 0 {
            return Err(bad(format!(
                "{all_blocks} blocks from {first_data}, {per_group} in a group"
            )));
        }
        let (inodes, inodes_per_group) = (le32(&raw, 0x00), le32(&raw, 0x28));
        let groups = (all_blocks - first_data).div_ceil(per_group);
        let places = groups.saturating_mul(u64::from(inodes_per_group));
        if u64::from(inodes_per_group) > 8 * block || u64::from(inodes) > places || inodes < 11 {
            return Err(bad(format!(
                "{inodes} inodes, {inodes_per_group} in each of {groups} groups"
            )));
        }
        let inode_size = if old {
            128
        } else {
            u64::from(le16(&raw, 0x58))
        };
        if !inode_size.is_power_of_two() || !(128..=block).contains(&inode_size) {
            return Err(bad(format!("inodes of {inode_size} bytes")));
        }
        let desc_size = match incompat & incompat::BITS64 {
            0 => 32,
            _ => u64::from(le16(&raw, 0xfe)),
        };
        if !desc_size.is_power_of_two() || !(32..=1024).contains(&desc_size) {
            return Err(bad(format!("group descriptors of {desc_size} bytes")));
        }
        let seed = match incompat & incompat::CSUM_SEED {
            0 => crc32c(!0, &raw[0x68..0x78]),
            _ => le32(&raw, 0x270),
        };
        Ok(Self {
            raw,
            block,
            blocks: all_blocks.min(device / block),
            all_blocks,
            first_data,
            per_group,
            inodes,
            inodes_per_group,
            inode_size,
            desc_size,
            compat,
            incompat,
            ro_compat,
            seed,
        })
    }

    pub(super) fn has_compat(&self, bit: u32) -> bool {
        self.compat & bit != 0
    }

    pub(super) fn has_incompat(&self, bit: u32) -> bool {
        self.incompat & bit != 0
    }

    /// Whether metadata has checksums.
    pub(super) fn sums(&self) -> bool {
        self.ro_compat & ro_compat::METADATA_CSUM != 0
    }

    /// Whether a block may be pointed to.
    pub(super) fn holds(&self, block: u64, len: u64) -> bool {
        block > self.first_data.saturating_sub(1)
            && block > 0
            && block.checked_add(len).is_some_and(|end| end <= self.blocks)
    }

    /// Inodes below this one are the file system's own, but for the root.
    pub(super) fn first_inode(&self) -> u32 {
        match le32(&self.raw, 0x4c) {
            0 => 11,
            _ => le32(&self.raw, 0x54).max(11),
        }
    }

    pub(super) fn uuid(&self) -> [u8; 16] {
        array(&self.raw, 0x68)
    }

    pub(super) fn label(&self) -> String {
        let label: [u8; 16] = array(&self.raw, 0x78);
        let len = label.iter().position(|byte| *byte == 0).unwrap_or(16);
        String::from_utf8_lossy(&label[..len]).into_owned()
    }

    /// Bits: 1 closed, 2 errors were found, 4 orphans are being cleaned up.
    pub(super) fn state(&self) -> u16 {
        le16(&self.raw, 0x3a)
    }

    fn group_nr(&self) -> u16 {
        le16(&self.raw, 0x5a)
    }

    pub(super) fn journal_inode(&self) -> u32 {
        le32(&self.raw, 0xe0)
    }

    pub(super) fn last_orphan(&self) -> u32 {
        le32(&self.raw, 0xe8)
    }

    pub(super) fn hash_seed(&self) -> [u32; 4] {
        std::array::from_fn(|at| le32(&self.raw, 0xec + 4 * at))
    }

    /// Whether names are hashed as signed characters; `None` if it is not told.
    pub(super) fn hash_signed(&self) -> Option<bool> {
        match le32(&self.raw, 0x160) & 3 {
            1 => Some(true),
            2 => Some(false),
            _ => None,
        }
    }

    pub(super) fn first_meta_group(&self) -> u64 {
        u64::from(le32(&self.raw, 0x104))
    }

    /// Groups with copies under `sparse_super2`.
    pub(super) fn backup_groups(&self) -> [u64; 2] {
        [0x24c, 0x250].map(|at| u64::from(le32(&self.raw, at)))
    }

    /// Errors that the guest has counted, and the function that met the last one in which inode.
    pub(super) fn errors(&self) -> (u32, String, u32) {
        let name: [u8; 32] = array(&self.raw, 0x1e0);
        let len = name.iter().position(|byte| *byte == 0).unwrap_or(32);
        let name = String::from_utf8_lossy(&name[..len]).into_owned();
        (le32(&self.raw, 0x194), name, le32(&self.raw, 0x1d0))
    }

    /// As the tools call it: by its features.
    pub(super) fn format(&self) -> &'static str {
        let ext3 = incompat::FILETYPE | incompat::RECOVER | incompat::META_BG;
        let ext3_ro = ro_compat::SPARSE_SUPER | ro_compat::LARGE_FILE | ro_compat::BTREE_DIR;
        if self.incompat & !ext3 != 0 || self.ro_compat & !ext3_ro != 0 {
            "ext4"
        } else if self.has_compat(compat::HAS_JOURNAL) {
            "ext3"
        } else {
            "ext2"
        }
    }
}
