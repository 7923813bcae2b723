//! Index runs: which chunk lies where, sorted by id.
//!
//! ```text
//! header | sealed block | sealed block | … | sealed root | trailer
//! ```
//!
//! A block holds up to [`MAX_BLOCK_ENTRIES`] entries in ascending order of their ids; the root
//! holds the table of packs that the entries refer to and the table of blocks with the first id
//! of each. So a reader that fetched the root finds any id by fetching one block more. Runs are
//! a cache: everything in them can be read out of the packs' directories again, which is why
//! they are sealed under the map key but not signed. `docs/format/index.md` has the tables.

mod build;
mod open;
mod root;

pub use build::{SealedIndex, build_index};
pub use open::{IndexOpener, decode_block, decode_root};
pub use root::{IndexBlock, IndexRoot, PackRef};

use crate::id::{ChunkId, ObjectHash};
use crate::pack::PackKind;
use crate::prefix::PREFIX_LEN;

/// Bytes to read from the start of a run before anything else.
pub const INDEX_HEADER_LEN: usize = PREFIX_LEN + 32;
/// Bytes to read from the end of a run to find its root.
pub const INDEX_TRAILER_LEN: usize = 24;
/// Most entries in a block.
pub const MAX_BLOCK_ENTRIES: usize = 4096;
/// Most packs and most blocks of one run.
pub const MAX_TABLE: usize = 1 << 16;

const ENTRY_LEN: usize = 48;
const END: &[u8; 8] = b"HKVIXEND";

/// Where a chunk lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// The chunk, or the bytes of a node's id.
    pub id: ChunkId,
    /// Number of the pack in the run's table of packs.
    pub pack: u32,
    /// Where the sealed chunk begins in the pack.
    pub offset: u32,
    /// Sealed bytes, tag included.
    pub stored_len: u32,
    /// Plain bytes.
    pub plain_len: u32,
}

#[cfg(test)]
mod tests;
