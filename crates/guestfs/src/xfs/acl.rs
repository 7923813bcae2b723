//! Access control lists, from how XFS stores them to how Linux hands them out.

use super::block::Block;
use crate::error::Result;

/// Bytes of an entry: tag, id, permissions, nothing.
const ENTRY: usize = 12;
/// The version of the form that Linux hands out.
const VERSION: u32 = 2;
/// Tags of entries that are about somebody by number.
const USER: u32 = 2;
const GROUP: u32 = 8;

/// A list as `system.posix_acl_access` has it.
pub(super) fn to_linux(block: &Block, stored: &[u8]) -> Result<Vec<u8>> {
    let list = Block::new("access control list".into(), stored.to_vec(), false);
    let count = list.be32(0)? as usize;
    if count > stored.len() / ENTRY || count * ENTRY + 4 != stored.len() {
        let len = stored.len();
        return Err(block.damaged(format!("an ACL of {count} entries has {len} bytes")));
    }
    let mut linux = VERSION.to_le_bytes().to_vec();
    for index in 0..count {
        let at = 4 + index * ENTRY;
        let tag = list.be32(at)?;
        let id = match tag {
            USER | GROUP => list.be32(at + 4)?,
            _ => u32::MAX,
        };
        linux.extend_from_slice(&(tag as u16).to_le_bytes());
        linux.extend_from_slice(&list.be16(at + 8)?.to_le_bytes());
        linux.extend_from_slice(&id.to_le_bytes());
    }
    Ok(linux)
}
