//! The guest state file (`.vmgs`): UEFI variables and the virtual TPM.
//!
//! A backup carries it byte for byte. What is recognised here is only what someone who restores
//! wants to know: which version it has, whether it is encrypted, and whether it holds a TPM and a
//! key protector.
//!
//! The file is a fixed VHD (data, then a footer of 512 bytes) whose data begins with two headers
//! at 0 and 4096, each with a CRC-32 of its own. Source: Microsoft's openvmm (`vm/vmgs`).

use std::io;

use crate::io::{ReadAt, read_vec};

const BLOCK: u64 = 4096;
const HEADER_LEN: usize = 168;
const TABLE_ENTRY_LEN: usize = 64;
const TABLE_ENTRIES: usize = 64;
const TPM_STATE: usize = 3;
const KEY_PROTECTOR: usize = 6;

/// What a guest state file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vmgs {
    /// Version, such as 0x00030000.
    pub version: u32,
    /// Whether its contents are encrypted.
    pub encrypted: bool,
    /// Whether the file table lists TPM state; `None` if the table cannot be read.
    pub tpm_state: Option<bool>,
    /// Whether the file table lists a key protector; `None` if the table cannot be read.
    pub key_protector: Option<bool>,
    /// Whether the footer of the VHD that contains it is there.
    pub vhd_footer: bool,
}

/// Why a file is no guest state file of a known version.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    #[error("cannot read the file: {0}")]
    Io(#[from] io::Error),
    /// Neither header has the signature: version 1, or something else.
    #[error("not a guest state file of version 2 or 3: neither header has the signature GUESTRTS")]
    NotVmgs,
    /// Both headers are damaged.
    #[error("both headers of the guest state file are damaged")]
    NoValidHeader,
}

/// Looks at the headers, the file table and the footer.
pub fn read(file: &dyn ReadAt) -> Result<Vmgs, Error> {
    let len = file.len()?;
    let mut signatures = 0;
    let mut best = None;
    for offset in [0, BLOCK] {
        if len < offset + HEADER_LEN as u64 {
            continue;
        }
        let bytes = read_vec(file, offset, HEADER_LEN as u64)?;
        if !bytes.starts_with(b"GUESTRTS") {
            continue;
        }
        signatures += 1;
        if let Some(header) = Header::decode(&bytes)
            && best.is_none_or(|best: Header| header.newer_than(best))
        {
            best = Some(header);
        }
    }
    let header = match best {
        Some(header) => header,
        None if signatures == 0 => return Err(Error::NotVmgs),
        None => return Err(Error::NoValidHeader),
    };
    let footer = len
        .checked_sub(512)
        .map(|at| read_vec(file, at, 8))
        .transpose()?;
    let table_len = (TABLE_ENTRIES * TABLE_ENTRY_LEN) as u64;
    let table_at = u64::from(header.table_block) * BLOCK;
    let table = match header.table_blocks {
        0 => None,
        _ if table_at + table_len > len => None,
        _ => Some(read_vec(file, table_at, table_len)?),
    };
    // A file that is listed has blocks of its own and a size above zero.
    let listed = |id: usize| {
        let entry = table.as_ref()?.get(id * TABLE_ENTRY_LEN..)?;
        let allocated = u32_at(entry, 4)? != 0;
        let size = u64::from_le_bytes(entry.get(8..16)?.try_into().ok()?);
        Some(allocated && size != 0)
    };
    Ok(Vmgs {
        version: header.version,
        encrypted: header.encryption != 0,
        tpm_state: listed(TPM_STATE),
        key_protector: listed(KEY_PROTECTOR),
        vhd_footer: footer.as_deref() == Some(b"conectix"),
    })
}

#[derive(Clone, Copy)]
struct Header {
    version: u32,
    sequence: u32,
    table_block: u32,
    table_blocks: u32,
    encryption: u16,
}

impl Header {
    fn decode(bytes: &[u8]) -> Option<Header> {
        let mut covered = bytes.get(..HEADER_LEN)?.to_vec();
        covered.get_mut(12..16)?.fill(0);
        (u32_at(bytes, 12)? == crc32fast::hash(&covered)).then_some(())?;
        Some(Header {
            version: u32_at(bytes, 8)?,
            sequence: u32_at(bytes, 16)?,
            table_block: u32_at(bytes, 24)?,
            table_blocks: u32_at(bytes, 28)?,
            encryption: u16::from_le_bytes(bytes.get(32..34)?.try_into().ok()?),
        })
    }

    /// Sequences wrap: of two that are compared, the one ahead by less than half the circle.
    fn newer_than(self, other: Header) -> bool {
        (self.sequence.wrapping_sub(other.sequence) as i32) > 0
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
