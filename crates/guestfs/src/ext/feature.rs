//! Features of a file system, by the three fields that name them: what may be ignored, what must be known
//! for reading, and what must be known for writing alone.

use crate::error::{Error, Result};

/// May be ignored.
pub(super) mod compat {
    pub(in crate::ext) const HAS_JOURNAL: u32 = 0x4;
    pub(in crate::ext) const DIR_INDEX: u32 = 0x20;
    pub(in crate::ext) const SPARSE_SUPER2: u32 = 0x200;
}

/// Must be known for reading.
pub(super) mod incompat {
    pub(in crate::ext) const FILETYPE: u32 = 0x2;
    pub(in crate::ext) const RECOVER: u32 = 0x4;
    pub(in crate::ext) const META_BG: u32 = 0x10;
    pub(in crate::ext) const EXTENTS: u32 = 0x40;
    pub(in crate::ext) const BITS64: u32 = 0x80;
    pub(in crate::ext) const MMP: u32 = 0x100;
    pub(in crate::ext) const FLEX_BG: u32 = 0x200;
    pub(in crate::ext) const EA_INODE: u32 = 0x400;
    pub(in crate::ext) const CSUM_SEED: u32 = 0x2000;
    pub(in crate::ext) const LARGEDIR: u32 = 0x4000;
    pub(in crate::ext) const INLINE_DATA: u32 = 0x8000;
    pub(in crate::ext) const ENCRYPT: u32 = 0x1_0000;
    pub(in crate::ext) const CASEFOLD: u32 = 0x2_0000;

    pub(super) const KNOWN: u32 = FILETYPE
        | RECOVER
        | META_BG
        | EXTENTS
        | BITS64
        | MMP
        | FLEX_BG
        | EA_INODE
        | CSUM_SEED
        | LARGEDIR
        | INLINE_DATA
        | ENCRYPT
        | CASEFOLD;
}

/// Must be known for writing.
pub(super) mod ro_compat {
    pub(in crate::ext) const SPARSE_SUPER: u32 = 0x1;
    pub(in crate::ext) const LARGE_FILE: u32 = 0x2;
    pub(in crate::ext) const BTREE_DIR: u32 = 0x4;
    pub(in crate::ext) const BIGALLOC: u32 = 0x200;
    pub(in crate::ext) const GDT_CSUM: u32 = 0x10;
    pub(in crate::ext) const METADATA_CSUM: u32 = 0x400;
    pub(in crate::ext) const ORPHAN_PRESENT: u32 = 0x1_0000;
}

/// Refuses what must be known for reading and is not.
pub(super) fn unknown(incompat: u32) -> Result<()> {
    let rest = incompat & !incompat::KNOWN;
    if rest == 0 {
        return Ok(());
    }
    if rest & 0x8 != 0 {
        return Err(Error::Unsupported(
            "this is the journal of an ext file system on another device (journal_dev), and no file \
             system itself"
                .into(),
        ));
    }
    let names: Vec<String> = (0..32)
        .filter(|bit| rest & 1 << bit != 0)
        .map(|bit| match bit {
            0 => "compression".into(),
            12 => "dirdata".into(),
            // As the file system's own tools write what they do not know.
            bit => format!("FEATURE_I{bit}"),
        })
        .collect();
    Err(Error::Unsupported(format!(
        "an ext file system with {}: restore the disk, and read it in the guest",
        names.join(", ")
    )))
}
