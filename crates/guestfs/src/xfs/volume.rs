//! The blocks of a file system, with what its log has changed, checked to be what they are met as.

use disk::BlockRead as _;

use super::block::Block;
use super::inode::Inode;
use super::log::Changes;
use super::superblock::Super;
use crate::cache::Cached;
use crate::error::{Error, Result};
use crate::fs::Device;

/// Where the marks of a block with a checksum lie in it.
pub(super) struct Marks {
    sum: usize,
    /// Where it lies, in sectors of 512 bytes.
    place: usize,
    uuid: usize,
    /// The inode that it belongs to.
    owner: usize,
}

/// Of a node of a B+tree of extents.
pub(super) const TREE: Marks = Marks::new(64, 24, 40, 56);
/// Of a block of a folder with names.
pub(super) const NAMES: Marks = Marks::new(4, 8, 24, 40);
/// Of a block of an index by hash.
pub(super) const INDEX: Marks = Marks::new(12, 16, 32, 48);
/// Of a symbolic link, and of an attribute's value.
pub(super) const REMOTE: Marks = Marks::new(12, 40, 16, 32);

impl Marks {
    const fn new(sum: usize, place: usize, uuid: usize, owner: usize) -> Self {
        Self {
            sum,
            place,
            uuid,
            owner,
        }
    }
}

/// A file system's device and how to find one's way on it.
pub(super) struct Volume {
    /// For contents, past what is kept.
    pub(super) device: Device,
    cached: Cached<Device>,
    pub(super) sb: Super,
    /// What is to be seen of the log.
    changes: Option<Changes>,
}

impl Volume {
    pub(super) fn new(device: Device, sb: Super) -> Self {
        Self {
            cached: Cached::new(device.clone()),
            device,
            sb,
            changes: None,
        }
    }

    pub(super) fn cached(&self) -> &Cached<Device> {
        &self.cached
    }

    /// From now on all is seen as the log has changed it.
    ///
    /// # Errors
    /// When the superblock in the log is none.
    pub(super) fn change(&mut self, changes: Changes) -> Result<()> {
        self.changes = Some(changes);
        let block = self.bytes("superblock in the log".into(), 0, 512)?;
        if block.changed {
            self.sb = Super::of(&block)?;
        }
        Ok(())
    }

    /// Bytes of the device.
    fn bytes(&self, what: String, at: u64, len: usize) -> Result<Block> {
        let mut bytes = vec![0; len];
        self.cached.read_at(at, &mut bytes)?;
        let changed = match &self.changes {
            Some(changes) => changes.patch(&self.cached, at, &mut bytes)?,
            None => false,
        };
        Ok(Block::new(what, bytes, changed))
    }

    /// Blocks that follow each other.
    pub(super) fn blocks(
        &self,
        what: &dyn Fn() -> String,
        first: u64,
        count: u64,
    ) -> Result<Block> {
        let at = self.sb.bytes_of(first, count);
        let at = at.ok_or_else(|| {
            Error::damaged(
                what(),
                format!("{count} blocks at {first} are not on the disk"),
            )
        })?;
        let len = usize::try_from(count << self.sb.block_log).ok();
        let len = len
            .filter(|len| *len <= 1 << 18)
            .ok_or_else(|| Error::damaged(what(), format!("{count} blocks are too many")))?;
        self.bytes(what(), at, len)
    }

    /// Checks the marks of a block that lies at block `first`; those without checksums have none.
    pub(super) fn check(
        &self,
        block: &Block,
        marks: &Marks,
        first: u64,
        owner: Option<u64>,
    ) -> Result<()> {
        if !self.sb.sums {
            return Ok(());
        }
        block.check_sum(marks.sum)?;
        let place = self.sb.byte_of(first).unwrap_or(u64::MAX) / 512;
        if block.be64(marks.place)? != place {
            let said = block.be64(marks.place)?;
            return Err(block.damaged(format!("it lies at sector {place} and says {said}")));
        }
        if block.slice(marks.uuid, 16)? != self.sb.meta_uuid {
            return Err(block.damaged("it is of another file system"));
        }
        let said = block.be64(marks.owner)?;
        match owner {
            Some(owner) if owner != said => {
                Err(block.damaged(format!("it belongs to inode {said}")))
            }
            _ => Ok(()),
        }
    }

    /// An inode by its number.
    pub(super) fn inode(&self, number: u64) -> Result<Inode> {
        let what = || format!("inode {number}");
        let at = self.sb.byte_of_inode(number);
        let at = at.ok_or_else(|| Error::NotFound(what()))?;
        let block = self.bytes(what(), at, self.sb.inode)?;
        let (block, swapped) = match &self.changes {
            Some(changes) => changes.inode(&self.cached, &self.sb, number, block)?,
            None => (block, false),
        };
        Inode::of(&self.sb, number, &block, swapped)
    }
}
