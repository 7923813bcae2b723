//! Writing a run.

use crate::crypto::Sealer;
use crate::entropy::{Entropy, random};
use crate::error::{Error, Result, limit};
use crate::id::ObjectHash;
use crate::keys::VaultKeys;
use crate::prefix::{Kind, Prefix};

use super::open::check_entry;
use super::root::{IndexBlock, IndexRoot, PackRef};
use super::{END, ENTRY_LEN, INDEX_HEADER_LEN, IndexEntry, MAX_BLOCK_ENTRIES, MAX_TABLE};

/// A finished run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedIndex {
    /// Its name: the SHA-256 of `bytes`.
    pub hash: ObjectHash,
    /// What to store.
    pub bytes: Vec<u8>,
}

/// Most entries that one run holds.
pub(super) const MAX_ENTRIES: usize = MAX_TABLE * MAX_BLOCK_ENTRIES;

/// Builds a run of `entries`, which must be in strictly ascending order of their ids and refer
/// to `packs` by position.
///
/// # Errors
/// When there are more packs or entries than a run holds, or they break a rule of the format.
pub fn build_index(
    keys: &VaultKeys,
    packs: &[PackRef],
    entries: &[IndexEntry],
    rng: &mut dyn Entropy,
) -> Result<SealedIndex> {
    limit(
        "index run",
        "number of packs",
        packs.len() as u64,
        MAX_TABLE as u64,
    )?;
    limit(
        "index run",
        "number of entries",
        entries.len() as u64,
        MAX_ENTRIES as u64,
    )?;
    if !entries.is_sorted_by(|a, b| a.id < b.id) {
        return Err(Error::invalid(
            "index run",
            "its entries are not in ascending order",
        ));
    }
    let salt: [u8; 32] = random(rng);
    let prefix = Prefix {
        kind: Kind::Index,
        variant: 0,
        vault: keys.vault(),
    };
    let mut bytes = [&prefix.encode()[..], &salt].concat();
    debug_assert_eq!(bytes.len(), INDEX_HEADER_LEN);
    let sealer = Sealer::new(&keys.map_subkey(&salt, "index run"), &bytes);

    let mut root = IndexRoot {
        packs: packs.to_vec(),
        blocks: Vec::new(),
    };
    for block in entries.chunks(MAX_BLOCK_ENTRIES) {
        let mut plain = Vec::with_capacity(block.len() * ENTRY_LEN + 16);
        for entry in block {
            check_entry(entry, packs).map_err(Error::into_invalid)?;
            plain.extend_from_slice(&entry.id.0);
            for field in [entry.pack, entry.offset, entry.stored_len, entry.plain_len] {
                plain.extend_from_slice(&field.to_le_bytes());
            }
        }
        let offset = bytes.len() as u64;
        sealer.seal(offset, &mut plain);
        root.blocks.push(IndexBlock {
            first: block[0].id,
            offset,
            sealed_len: plain.len() as u32,
            count: block.len() as u32,
        });
        bytes.extend_from_slice(&plain);
    }
    let offset = bytes.len() as u64;
    let mut sealed = root.encode();
    sealer.seal(offset, &mut sealed);
    bytes.extend_from_slice(&sealed);
    bytes.extend_from_slice(&offset.to_le_bytes());
    bytes.extend_from_slice(&(sealed.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(END);
    Ok(SealedIndex {
        hash: ObjectHash::of(&bytes),
        bytes,
    })
}
