//! The superblock: what there is, how large, and by which rules.
//!
//! Block 0 of every allocation group (AG) has one. The first is the one that counts; the others are copies
//! from when the file system was made or last grown, for when the first is damaged.

use disk::BlockRead;

use super::block::Block;
use crate::error::{Error, Result};

/// Bytes that are read before the size of a sector is known.
const HEAD: usize = 512;

/// Features without which files cannot be read right, and that are read: types in folders, inode chunks
/// with holes, an own UUID for metadata, large times, large counts of extents, exchanged ranges (which need
/// nothing), parents in attributes.
const KNOWN: u32 = 0x1 | 0x2 | META_UUID | 0x8 | 0x20 | 0x40 | 0x80;
const META_UUID: u32 = 0x4;
const NAMES: [(u32, &str); 4] = [
    (
        0x10,
        "a file system that has to be repaired first (needsrepair); run xfs_repair in the guest",
    ),
    (0x100, "a tree of metadata (metadir)"),
    (0x200, "zones (zoned)"),
    (0x400, "gaps between zones (zone_gaps)"),
];

/// What a superblock says.
#[derive(Clone, Debug)]
pub(super) struct Super {
    /// Version 5, with checksums; version 4 otherwise.
    pub(super) sums: bool,
    /// Bytes of a block, and their logarithm.
    pub(super) block: u32,
    pub(super) block_log: u32,
    /// Blocks of the file system.
    pub(super) blocks: u64,
    pub(super) uuid: [u8; 16],
    /// What metadata is marked with.
    pub(super) meta_uuid: [u8; 16],
    /// Its first block; 0 if it is on another device.
    pub(super) log_start: u64,
    pub(super) log_blocks: u32,
    pub(super) root: u64,
    pub(super) ag_blocks: u32,
    pub(super) ag_count: u32,
    pub(super) ag_block_log: u32,
    pub(super) inode: usize,
    /// Logarithm of inodes in a block.
    pub(super) inodes_log: u32,
    /// Logarithm of blocks in a block of a folder.
    pub(super) folder_log: u32,
    pub(super) label: String,
    /// Whether entries of folders have types.
    pub(super) types: bool,
    /// Whether names that differ in case alone are the same.
    pub(super) folded: bool,
    /// Alignment of inode chunks in blocks.
    pub(super) chunk_align: u32,
    /// Features that a log must not have for being replayed by who does not know them.
    pub(super) log_features: u32,
}

impl Super {
    /// Reads the one at `offset`, and checks it.
    pub(super) fn read(device: &dyn BlockRead, offset: u64) -> Result<Self> {
        let what = || match offset {
            0 => "superblock".to_owned(),
            _ => format!("superblock at byte {offset}"),
        };
        let read = |len: usize| -> Result<Block> {
            if offset.saturating_add(len as u64) > device.len() {
                return Err(Error::NotThis("an XFS file system"));
            }
            let mut bytes = vec![0; len];
            device.read_at(offset, &mut bytes)?;
            Ok(Block::new(what(), bytes, false))
        };
        let head = read(HEAD)?;
        if head.slice(0, 4)? != b"XFSB" {
            return Err(Error::NotThis("an XFS file system"));
        }
        let sector = usize::from(head.be16(102)?);
        if !sector.is_power_of_two() || !(512..=32768).contains(&sector) {
            return Err(head.damaged(format!("its sectors have {sector} bytes")));
        }
        // Of copies it says nothing: mkfs.xfs writes them before its end.
        if offset == 0 && head.byte(126)? != 0 {
            return Err(head.damaged("the file system was not made to its end"));
        }
        Self::of(&read(sector)?)
    }

    /// What its bytes say.
    pub(super) fn of(block: &Block) -> Result<Self> {
        let versions = block.be16(100)?;
        let features2 = match versions & 0x8000 {
            0 => 0,
            _ => block.be32(200)?,
        };
        let sums = match versions & 0xf {
            4 => false,
            5 => true,
            other => {
                return Err(Error::Unsupported(format!("version {other} of XFS")));
            }
        };
        let mut types = features2 & 0x200 != 0;
        let mut meta_uuid = block.slice(32, 16)?;
        if sums {
            block.check_sum(224)?;
            let incompatible = block.be32(216)?;
            if let Some((_, name)) = NAMES.iter().find(|(bit, _)| incompatible & bit != 0) {
                return Err(Error::Unsupported((*name).to_owned()));
            }
            if incompatible & !KNOWN != 0 {
                let unknown = incompatible & !KNOWN;
                return Err(Error::Unsupported(format!(
                    "features of XFS that are not known here: incompat {unknown:#x}"
                )));
            }
            types = incompatible & 1 != 0;
            if incompatible & META_UUID != 0 {
                meta_uuid = block.slice(248, 16)?;
            }
        } else if versions & 0x2000 == 0 {
            return Err(Error::Unsupported("folders of XFS's version 1".into()));
        }
        let array = |bytes: &[u8]| {
            let mut array = [0; 16];
            array.copy_from_slice(bytes);
            array
        };
        let label = block.slice(108, 12)?;
        let label = label.split(|byte| *byte == 0).next().unwrap_or_default();
        let this = Self {
            sums,
            block: block.be32(4)?,
            block_log: block.byte(120)?.into(),
            blocks: block.be64(8)?,
            uuid: array(block.slice(32, 16)?),
            meta_uuid: array(meta_uuid),
            log_start: block.be64(48)?,
            log_blocks: block.be32(96)?,
            root: block.be64(56)?,
            ag_blocks: block.be32(84)?,
            ag_count: block.be32(88)?,
            ag_block_log: block.byte(124)?.into(),
            inode: block.be16(104)?.into(),
            inodes_log: block.byte(123)?.into(),
            folder_log: block.byte(192)?.into(),
            label: String::from_utf8_lossy(label).into_owned(),
            types,
            folded: versions & 0x4000 != 0,
            chunk_align: block.be32(180)?,
            log_features: if sums { block.be32(220)? } else { 0 },
        };
        this.check(block)?;
        Ok(this)
    }

    /// Checks that its numbers fit each other; shifts and products of them are safe then.
    fn check(&self, block: &Block) -> Result<()> {
        let odd = |what: &str, value: u64| Err(block.damaged(format!("{what} is {value}")));
        let sector = u32::from(block.be16(102)?);
        if !self.block.is_power_of_two() || !(512..=65536).contains(&self.block) {
            return odd("the size of a block", self.block.into());
        }
        if self.block_log != self.block.trailing_zeros() {
            return odd("the logarithm of a block's size", self.block_log.into());
        }
        if self.sums && self.block < 1024 || sector > self.block {
            return odd("the size of a block", self.block.into());
        }
        let least = if self.sums { 512 } else { 256 };
        let inode = self.inode as u32;
        let fits = (least..=2048).contains(&inode) && inode <= self.block;
        if !inode.is_power_of_two() || !fits {
            return odd("the size of an inode", inode.into());
        }
        if self.inodes_log != (self.block / inode).trailing_zeros() {
            return odd("the logarithm of inodes in a block", self.inodes_log.into());
        }
        if self.folder_log + self.block_log > 16 {
            let log = self.folder_log.into();
            return odd("the logarithm of blocks in a block of a folder", log);
        }
        if !(2..=1 << 31).contains(&self.ag_blocks)
            || self.ag_block_log != self.ag_blocks.next_power_of_two().trailing_zeros()
        {
            return odd("the number of blocks in an AG", self.ag_blocks.into());
        }
        let most = u64::from(self.ag_count) * u64::from(self.ag_blocks);
        let least = most.saturating_sub(self.ag_blocks.into());
        if self.blocks <= least || self.blocks > most || self.blocks > u64::MAX >> 17 {
            return odd("the number of blocks", self.blocks);
        }
        if self.log_start != 0 && self.byte_of(self.log_start).is_none() {
            return odd("the log's first block", self.log_start);
        }
        Ok(())
    }

    /// The block with a number, counted through the whole device; `None` if there is none.
    fn plain(&self, fsblock: u64) -> Option<u64> {
        let group = fsblock >> self.ag_block_log;
        let within = fsblock & ((1 << self.ag_block_log) - 1);
        if group >= self.ag_count.into() || within >= self.ag_blocks.into() {
            return None;
        }
        let plain = group * u64::from(self.ag_blocks) + within;
        (plain < self.blocks).then_some(plain)
    }

    /// Where a block with a number lies on the device.
    pub(super) fn byte_of(&self, fsblock: u64) -> Option<u64> {
        Some(self.plain(fsblock)? << self.block_log)
    }

    /// Where blocks lie that follow each other within one AG.
    pub(super) fn bytes_of(&self, fsblock: u64, count: u64) -> Option<u64> {
        let last = fsblock.checked_add(count.checked_sub(1)?)?;
        let same = last >> self.ag_block_log == fsblock >> self.ag_block_log;
        self.plain(last).filter(|_| same)?;
        self.byte_of(fsblock)
    }

    /// Where an inode lies on the device.
    pub(super) fn byte_of_inode(&self, number: u64) -> Option<u64> {
        let index = number & ((1 << self.inodes_log) - 1);
        let start = self.byte_of(number >> self.inodes_log)?;
        Some(start + index * self.inode as u64)
    }

    /// Bytes of a block of a folder.
    pub(super) fn folder_block(&self) -> usize {
        (self.block as usize) << self.folder_log
    }

    /// Blocks that inodes are read and written in.
    pub(super) fn cluster(&self) -> u32 {
        let mut bytes = 8192;
        if self.sums {
            let scaled = bytes * (self.inode as u32 / 256);
            if self.chunk_align >= scaled >> self.block_log {
                bytes = scaled;
            }
        }
        (bytes >> self.block_log).max(1)
    }

    /// Where, on a device of `len` bytes, the second superblock may lie if the first cannot be trusted: by
    /// what is left of it, and by what mkfs.xfs does when it is not told otherwise.
    fn copies(device: &dyn BlockRead) -> Result<Vec<u64>> {
        let mut head = vec![0; HEAD.min(device.len() as usize)];
        device.read_at(0, &mut head)?;
        let head = Block::new("superblock".into(), head, false);
        let mut places = Vec::new();
        if let (Ok(block), Ok(blocks)) = (head.be32(4), head.be32(84)) {
            places.push(u64::from(block).saturating_mul(blocks.into()));
        }
        for log in [12, 10, 11, 9, 13, 14, 15, 16] {
            let blocks = device.len() >> log;
            places.push(blocks.div_ceil(4) << log);
        }
        // Of large ones, AGs have just under one TiB.
        places.push((1 << 40) - 4096);
        places.push(1 << 40);
        places.retain(|at| *at > 0 && at % 512 == 0);
        Ok(places)
    }

    /// The superblock of a device, and why the first one was not taken.
    pub(super) fn find(device: &dyn BlockRead) -> Result<(Self, Option<String>)> {
        let first = match Self::read(device, 0) {
            Ok(first) => return Ok((first, None)),
            Err(error @ (Error::Damaged { .. } | Error::NotThis(_))) => error,
            Err(other) => return Err(other),
        };
        for place in Self::copies(device)? {
            let Ok(copy) = Self::read(device, place) else {
                continue;
            };
            // A copy of another file system that was here before lies elsewhere.
            if u64::from(copy.ag_blocks) << copy.block_log == place {
                let note = format!("{first}: its copy at byte {place} was used");
                return Ok((copy, Some(note)));
            }
        }
        Err(first)
    }
}
