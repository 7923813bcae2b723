//! Where blocks and inodes lie: group descriptors, in each of the forms that they have had.

use std::sync::Arc;

use disk::BlockRead;

use super::bytes::{le16, le32};
use super::feature::{compat, incompat, ro_compat};
use super::inode::Inode;
use super::journal::{FastCommits, Overlay};
use super::sum::{crc16, crc32c};
use super::superblock::Super;
use crate::cache::Cached;
use crate::error::{Error, Result};
use crate::fs::Device;

/// A device with what is known of it. All is read through it: metadata by way of a cache, contents not.
pub(super) struct Volume {
    pub(super) sb: Super,
    meta: Cached<Device>,
    data: Device,
    /// The group whose copy of the descriptors is read.
    pub(super) copy: u64,
    /// What the guest has noted since the last whole transaction.
    pub(super) fast: FastCommits,
    /// Which blocks of the device are read from the journal.
    pub(super) overlay: Option<Arc<Overlay>>,
}

impl Volume {
    pub(super) fn new(sb: Super, device: Device, copy: u64) -> Self {
        Self {
            sb,
            meta: Cached::new(device.clone()),
            data: device,
            copy,
            fast: FastCommits::default(),
            overlay: None,
        }
    }

    /// The device, for contents.
    pub(super) fn device(&self) -> &Device {
        &self.data
    }

    /// The first block from this one on that is read from the journal.
    pub(super) fn next_moved(&self, block: u64) -> Option<u64> {
        self.overlay.as_ref()?.next_moved(block)
    }

    /// A block of metadata.
    pub(super) fn block(&self, number: u64, whose: &dyn Fn() -> String) -> Result<Vec<u8>> {
        if !self.sb.holds(number, 1) {
            return Err(Error::damaged(
                whose(),
                format!("it points to block {number} of {}", self.sb.blocks),
            ));
        }
        let mut block = vec![0; self.sb.block as usize];
        self.meta.read_at(number * self.sb.block, &mut block)?;
        Ok(block)
    }

    /// An inode that is in use.
    ///
    /// # Errors
    /// [`Error::NotFound`] for one that is not there or free.
    pub(super) fn inode(&self, number: u32) -> Result<Inode> {
        let inode = self.inode_on_disk(number);
        let inode = match self.fast.inode(number) {
            None => inode?,
            Some(newer) => newer.over(number, inode, &self.sb)?,
        };
        if inode.is_free() {
            return Err(Error::NotFound(format!("inode {number}")));
        }
        Ok(inode)
    }

    fn inode_on_disk(&self, number: u32) -> Result<Inode> {
        if number == 0 || number > self.sb.inodes {
            return Err(Error::NotFound(format!("inode {number}")));
        }
        let index = number - 1;
        let group = u64::from(index / self.sb.inodes_per_group);
        let within = u64::from(index % self.sb.inodes_per_group) * self.sb.inode_size;
        let table = self.inode_table(group)?;
        if !self.sb.holds(table, within / self.sb.block + 1) {
            return Err(Error::damaged(
                format!("group descriptor {group}"),
                format!("its inodes lie in block {table} of {}", self.sb.blocks),
            ));
        }
        let mut raw = vec![0; self.sb.inode_size as usize];
        self.meta
            .read_at(table * self.sb.block + within, &mut raw)?;
        let inode = Inode::new(number, raw, self.sb.seed);
        // What was never used has no checksum either.
        if self.sb.sums() && inode.raw.iter().any(|byte| *byte != 0) {
            let (stored, sum) = inode.sums();
            if stored != sum {
                return Err(Error::damaged(
                    inode.name(),
                    format!("its checksum is {stored:#x} and should be {sum:#x}"),
                ));
            }
        }
        Ok(inode)
    }

    /// The block in which the inodes of a group begin.
    pub(super) fn inode_table(&self, group: u64) -> Result<u64> {
        let size = self.sb.desc_size;
        let per_block = self.sb.block / size;
        let whose = || format!("group descriptor {group}");
        let block = self.descriptors(group / per_block);
        let block = self.block(block, &whose)?;
        let start = (group % per_block * size) as usize;
        let raw = block.get(start..start + size as usize).unwrap_or_default();
        let stored = le16(raw, 0x1e);
        let number = (group as u32).to_le_bytes();
        let (head, tail) = (raw.get(..0x1e), raw.get(0x20..));
        let (head, tail) = (head.unwrap_or_default(), tail.unwrap_or_default());
        let sum = if self.sb.sums() {
            let sum = crc32c(crc32c(self.sb.seed, &number), head);
            Some(crc32c(crc32c(sum, &[0; 2]), tail) as u16)
        } else if self.sb.ro_compat & ro_compat::GDT_CSUM != 0 {
            let sum = crc16(crc16(!0, &self.sb.uuid()), &number);
            Some(crc16(crc16(sum, head), tail))
        } else {
            None
        };
        if let Some(sum) = sum
            && sum != stored
        {
            return Err(Error::damaged(
                whose(),
                format!("its checksum is {stored:#06x} and should be {sum:#06x}"),
            ));
        }
        let high = if size >= 64 { le32(raw, 0x28) } else { 0 };
        Ok(u64::from(le32(raw, 0x08)) | u64::from(high) << 32)
    }

    /// The block of a number among the blocks of descriptors.
    fn descriptors(&self, number: u64) -> u64 {
        let sb = &self.sb;
        let start = |group: u64| {
            sb.first_data
                .saturating_add(group.saturating_mul(sb.per_group))
        };
        // In blocks of 1 KiB the superblock is in block 1, wherever the first group is said to begin.
        let odd = sb.block == 1024 && sb.first_data == 0;
        if !sb.has_incompat(incompat::META_BG) || number < sb.first_meta_group() {
            let odd = u64::from(odd && self.copy == 0);
            return start(self.copy).saturating_add(1 + odd + number);
        }
        let per_block = sb.block / sb.desc_size;
        // Each block of descriptors is in the first group that it describes; copies are in the second and
        // the last.
        let first = number.saturating_mul(per_block);
        let group = if self.copy == 0 { first } else { first + 1 };
        let behind = u64::from(self.has_super(group)) + u64::from(odd && group == 0);
        start(group).saturating_add(behind)
    }

    fn has_super(&self, group: u64) -> bool {
        let sb = &self.sb;
        if group == 0 {
            return true;
        }
        if sb.has_compat(compat::SPARSE_SUPER2) {
            return sb.backup_groups().contains(&group);
        }
        if group == 1 || sb.ro_compat & ro_compat::SPARSE_SUPER == 0 {
            return true;
        }
        let power_of = |base: u64| {
            let mut power = base;
            while power < group {
                power = power.saturating_mul(base);
            }
            power == group
        };
        group % 2 == 1 && [3, 5, 7].into_iter().any(power_of)
    }
}
