//! Where a symbolic link leads: in its inode, or in blocks of their own.

use super::fork::Leaf;
use super::inode::Inode;
use super::volume::{self, Volume};
use crate::error::Result;
use crate::name::Name;

/// Bytes that a target may have.
const MOST: u64 = 1024;
/// Bytes before the target in a block with a checksum.
const HEADER: usize = 56;

/// The target of a link.
pub(super) fn target(volume: &Volume, inode: &Inode) -> Result<Name> {
    let fork = &inode.data;
    if inode.size == 0 || inode.size > MOST {
        return Err(fork.damaged(format!("a link leads to {} bytes", inode.size)));
    }
    let len = inode.size as usize;
    if let Some(block) = fork.local() {
        return Ok(Name::new(block.slice(0, len)?));
    }
    let header = if volume.sb.sums { HEADER } else { 0 };
    let blocks = len.div_ceil(volume.sb.block as usize - header) as u64;
    let mut target = Vec::with_capacity(len);
    let mut leaf = Leaf::default();
    let mut at = 0;
    // Each extent has one header, however many blocks it has.
    while target.len() < len && at < blocks {
        let place = fork.place(volume, at, &mut leaf)?;
        let extent = fork.next(volume, at, &mut leaf)?;
        let end = extent.map_or(at + 1, |extent| extent.end()).min(blocks);
        let what = || format!("target of link {}", fork.inode());
        let block = volume.blocks(&what, place, end - at)?;
        let part = (block.len() - header).min(len - target.len());
        if volume.sb.sums {
            if block.slice(0, 4)? != b"XSLM" {
                return Err(block.damaged("it does not begin as the target of a link does"));
            }
            volume.check(&block, &volume::REMOTE, place, Some(fork.inode()))?;
            if block.be32(4)? as usize != target.len() || block.be32(8)? as usize != part {
                return Err(block.damaged("it is another part of a target"));
            }
        }
        target.extend_from_slice(block.slice(header, part)?);
        at = end;
    }
    if target.len() < len {
        return Err(fork.damaged("the target of the link is cut"));
    }
    Ok(Name::new(target))
}
