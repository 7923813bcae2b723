//! Extended attributes: in the inode, or in leaves with long values in blocks of their own.

use super::acl;
use super::block::Block;
use super::fork::{Fork, Leaf};
use super::volume::{self, Volume};
use crate::error::{Error, Result};
use crate::name::Name;

/// Bytes of names and values that one file may have.
const MOST: usize = 64 << 20;
/// What an attribute counts beside them, as it takes memory even if it is empty.
const EACH: usize = 64;
/// Bytes that one value may have.
const MOST_VALUE: usize = 64 << 10;
const MOST_LEVELS: u16 = 5;
/// More than are read anyhow would fill them, unless they are empty.
const MOST_LEAVES: u64 = 1 << 16;

const LOCAL: u8 = 1;
const ROOT: u8 = 2;
const SECURE: u8 = 4;
const PARENT: u8 = 8;
const INCOMPLETE: u8 = 0x80;

/// What was read until now.
struct Read {
    all: Vec<(Name, Vec<u8>)>,
    bytes: usize,
}

impl Read {
    /// Takes in an attribute by the name that Linux has for it.
    fn take(&mut self, block: &Block, flags: u8, name: &[u8], value: Vec<u8>) -> Result<()> {
        self.bytes += EACH + name.len() + value.len();
        if self.bytes > MOST {
            let why = "more than 64 MiB of extended attributes of one file";
            return Err(Error::Unsupported(why.into()));
        }
        let list = flags & ROOT != 0 && matches!(name, b"SGI_ACL_FILE" | b"SGI_ACL_DEFAULT");
        let (name, value) = match (list, name) {
            (true, b"SGI_ACL_FILE") => (
                b"system.posix_acl_access".to_vec(),
                acl::to_linux(block, &value)?,
            ),
            (true, _) => (
                b"system.posix_acl_default".to_vec(),
                acl::to_linux(block, &value)?,
            ),
            (false, _) => {
                let space: &[u8] = match flags & (ROOT | SECURE) {
                    0 => b"user.",
                    ROOT => b"trusted.",
                    SECURE => b"security.",
                    _ => {
                        return Err(block.damaged(format!("an attribute has the flags {flags:#x}")));
                    }
                };
                ([space, name].concat(), value)
            }
        };
        self.all.push((Name::new(name), value));
        Ok(())
    }
}

/// All attributes of a file, sorted by name.
pub(super) fn all(volume: &Volume, fork: &Fork) -> Result<Vec<(Name, Vec<u8>)>> {
    let mut read = Read {
        all: Vec::new(),
        bytes: 0,
    };
    match fork.local() {
        Some(block) => short(block, &mut read)?,
        None => leaves(volume, fork, &mut read)?,
    }
    read.all.sort();
    Ok(read.all)
}

fn short(block: &Block, read: &mut Read) -> Result<()> {
    let count = block.byte(2)?;
    let mut at = 4;
    for _ in 0..count {
        let name = usize::from(block.byte(at)?);
        let value = usize::from(block.byte(at + 1)?);
        let flags = block.byte(at + 2)?;
        at += 3;
        if flags & (PARENT | INCOMPLETE) == 0 {
            let stored = block.slice(at + name, value)?.to_vec();
            read.take(block, flags, block.slice(at, name)?, stored)?;
        }
        at += name + value;
    }
    Ok(())
}

/// The block `at` of the fork, and its magic.
fn part(volume: &Volume, fork: &Fork, at: u64, leaf: &mut Leaf) -> Result<(Block, u16)> {
    let place = fork.place(volume, at, leaf)?;
    let what = || format!("block {at} of the attributes of inode {}", fork.inode());
    let block = volume.blocks(&what, place, 1)?;
    let magic = block.be16(8)?;
    let known = match volume.sb.sums {
        true => matches!(magic, 0x3bee | 0x3ebe),
        false => matches!(magic, 0xfbee | 0xfebe),
    };
    if !known {
        return Err(block.damaged(format!("{magic:#x} is no magic of attributes")));
    }
    volume.check(&block, &volume::INDEX, place, Some(fork.inode()))?;
    Ok((block, magic))
}

/// Goes down to the first leaf, and from there to the right.
fn leaves(volume: &Volume, fork: &Fork, read: &mut Read) -> Result<()> {
    let mut leaf = Leaf::default();
    // A fork that was made and has nothing yet.
    if fork.next(volume, 0, &mut leaf)?.is_none() {
        return Ok(());
    }
    let (counts, pairs) = if volume.sb.sums { (56, 64) } else { (12, 16) };
    let (mut block, mut magic) = part(volume, fork, 0, &mut leaf)?;
    let mut above = MOST_LEVELS + 1;
    while matches!(magic, 0x3ebe | 0xfebe) {
        let level = block.be16(counts + 2)?;
        if level == 0 || level >= above || block.be16(counts)? == 0 {
            return Err(block.damaged(format!("its level is {level} below level {above}")));
        }
        above = level;
        let first = block.be32(pairs + 4)?;
        (block, magic) = part(volume, fork, first.into(), &mut leaf)?;
    }
    let mut seen = 0;
    loop {
        one(volume, fork, &block, read)?;
        seen += 1;
        let right = block.be32(0)?;
        if right == 0 {
            return Ok(());
        }
        if seen > volume.sb.blocks.min(MOST_LEAVES) {
            return Err(block.damaged("the leaves of the attributes have no end"));
        }
        (block, magic) = part(volume, fork, right.into(), &mut leaf)?;
        if matches!(magic, 0x3ebe | 0xfebe) {
            return Err(block.damaged("it is no leaf, and beside one"));
        }
    }
}

/// The attributes of a leaf.
fn one(volume: &Volume, fork: &Fork, block: &Block, read: &mut Read) -> Result<()> {
    let (counts, pairs) = if volume.sb.sums { (56, 80) } else { (12, 32) };
    let count = usize::from(block.be16(counts)?);
    if count > (block.len() - pairs) / 8 {
        return Err(block.damaged(format!("it has {count} attributes")));
    }
    for index in 0..count {
        let at = pairs + index * 8;
        let flags = block.byte(at + 6)?;
        if flags & (PARENT | INCOMPLETE) != 0 {
            continue;
        }
        let at = usize::from(block.be16(at + 4)?);
        if flags & LOCAL != 0 {
            let value = usize::from(block.be16(at)?);
            let name = usize::from(block.byte(at + 2)?);
            let stored = block.slice(at + 3 + name, value)?.to_vec();
            read.take(block, flags, block.slice(at + 3, name)?, stored)?;
        } else {
            let (first, len) = (block.be32(at)?, block.be32(at + 4)?);
            let name = block.slice(at + 9, block.byte(at + 8)?.into())?;
            let value = remote(volume, fork, first.into(), len as usize)?;
            read.take(block, flags, name, value)?;
        }
    }
    Ok(())
}

/// A value in blocks of its own. Each has a header where there are checksums.
fn remote(volume: &Volume, fork: &Fork, first: u64, len: usize) -> Result<Vec<u8>> {
    if len > MOST_VALUE {
        return Err(fork.damaged(format!("a value has {len} bytes")));
    }
    let header = if volume.sb.sums { 56 } else { 0 };
    let mut value = Vec::with_capacity(len);
    let mut leaf = Leaf::default();
    let mut at = first;
    while value.len() < len {
        let place = fork.place(volume, at, &mut leaf)?;
        let what = || {
            format!(
                "value at block {at} of the attributes of inode {}",
                fork.inode()
            )
        };
        let block = volume.blocks(&what, place, 1)?;
        let part = (block.len() - header).min(len - value.len());
        if volume.sb.sums {
            if block.slice(0, 4)? != b"XARM" {
                return Err(block.damaged("it does not begin as a value does"));
            }
            volume.check(&block, &volume::REMOTE, place, Some(fork.inode()))?;
            if block.be32(4)? as usize != value.len() || block.be32(8)? as usize != part {
                return Err(block.damaged("it is another part of a value"));
            }
        }
        value.extend_from_slice(block.slice(header, part)?);
        at += 1;
    }
    Ok(value)
}
