//! Files: opening (2.2.13, 2.2.14), reading (2.2.19, 2.2.20), questions (2.2.33 to 2.2.38).

use super::fields::{Malformed, Writer, field, part, short, u16_at, u32_at, u64_at, utf16};
use super::{About, HEADER};

/// A file that is open on a server.
pub(crate) type FileId = [u8; 16];

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// Its bytes.
    Data,
    /// Its length only, which stands in nobody's way.
    About,
    /// What is in a folder.
    Entries,
}

/// `FILE_READ_DATA` or `FILE_LIST_DIRECTORY`, `FILE_READ_ATTRIBUTES`, `SYNCHRONIZE`.
const READ: u32 = 0x0010_0081;
const ATTRIBUTES: u32 = 0x0010_0080;
/// Others may read, write and delete: nobody is kept out.
const SHARE_ALL: u32 = 7;
/// `FILE_OPEN`: what is there, or nothing.
const EXISTING: u32 = 1;
const DIRECTORY_FILE: u32 = 1;
const NON_DIRECTORY_FILE: u32 = 0x40;
/// `FILE_OPEN_FOR_BACKUP_INTENT`: with the right to back up where the account has it.
const BACKUP_INTENT: u32 = 0x4000;
const IMPERSONATION: u32 = 2;
/// `SMB2_CREATE_QUERY_ON_DISK_ID`: which file it is, and on which volume.
const ON_DISK_ID: [u8; 4] = *b"QFid";
/// Contexts that a reply may have.
const MOST_CONTEXTS: usize = 64;
/// `FileNetworkOpenInformation` (MS-FSCC 2.4.29).
const NETWORK_OPEN: u8 = 34;
/// `FileDirectoryInformation` (MS-FSCC 2.4.10).
const DIRECTORY: u8 = 1;

/// A file that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) id: FileId,
    pub(crate) about: About,
    /// Which file on which volume; none when the server does not tell.
    pub(crate) on_disk: Option<[u8; 32]>,
}

/// The body of a request for what is at a path below a share.
pub(crate) fn open(path: &str, want: Want) -> Vec<u8> {
    let (access, kind) = match want {
        Want::Data => (READ, NON_DIRECTORY_FILE),
        Want::About => (ATTRIBUTES, NON_DIRECTORY_FILE),
        Want::Entries => (READ, DIRECTORY_FILE),
    };
    let name = utf16(path);
    let mut out = Writer::default();
    out.u16(57).u8(0).u8(0).u32(IMPERSONATION).u64(0).u64(0);
    out.u32(access).u32(0).u32(SHARE_ALL).u32(EXISTING);
    out.u32(kind | BACKUP_INTENT);
    out.u16(short(HEADER + 56)).u16(short(name.len()));
    let contexts = (HEADER + 56 + name.len()).next_multiple_of(8);
    out.u32(u32::try_from(contexts).unwrap_or(u32::MAX)).u32(24);
    out.bytes(&name).align();
    out.u32(0).u16(16).u16(4).u16(0).u16(0).u32(0);
    out.bytes(&ON_DISK_ID).u32(0);
    out.0
}

/// Reads the reply to it.
pub(crate) fn read_opened(bytes: &[u8]) -> Result<Opened, Malformed> {
    let body = bytes.get(HEADER..).ok_or(Malformed("it is too short"))?;
    if u16_at(body, 0)? != 89 {
        return Err(Malformed("it is no answer about a file"));
    }
    let about = About {
        created: u64_at(body, 8)?,
        written: u64_at(body, 24)?,
        len: u64_at(body, 48)?,
    };
    Ok(Opened {
        id: field(body, 64)?,
        about,
        on_disk: on_disk(part(bytes, u32_at(body, 80)?, u32_at(body, 84)?)?)?,
    })
}

/// Looks for the identity among the contexts of a reply.
fn on_disk(mut contexts: &[u8]) -> Result<Option<[u8; 32]>, Malformed> {
    for _ in 0..MOST_CONTEXTS {
        if contexts.is_empty() {
            return Ok(None);
        }
        let next = u32_at(contexts, 0)?;
        let name = part(
            contexts,
            u16_at(contexts, 4)?.into(),
            u16_at(contexts, 6)?.into(),
        )?;
        let data = part(
            contexts,
            u16_at(contexts, 10)?.into(),
            u32_at(contexts, 12)?,
        )?;
        if name == ON_DISK_ID && !data.is_empty() {
            return field(data, 0).map(Some);
        }
        if next == 0 {
            return Ok(None);
        }
        let next = usize::try_from(next).ok().filter(|next| *next >= 16);
        contexts = next
            .and_then(|next| contexts.get(next..))
            .ok_or(Malformed("a context is too far"))?;
    }
    Err(Malformed("it has too many contexts"))
}

/// The body of a request for bytes of a file.
pub(crate) fn read(file: &FileId, offset: u64, len: u32) -> Vec<u8> {
    let mut out = Writer::default();
    out.u16(49).u8(0).u8(0).u32(len).u64(offset).bytes(file);
    out.u32(0).u32(0).u32(0).u16(0).u16(0).u8(0);
    out.0
}

/// Reads the reply to it.
pub(crate) fn read_data(bytes: &[u8]) -> Result<&[u8], Malformed> {
    let body = bytes.get(HEADER..).ok_or(Malformed("it is too short"))?;
    if u16_at(body, 0)? != 17 {
        return Err(Malformed("it has no bytes of a file"));
    }
    let [at] = field(body, 2)?;
    part(bytes, at.into(), u32_at(body, 4)?)
}

/// The body of a request to close a file.
pub(crate) fn close(file: &FileId) -> Vec<u8> {
    let mut out = Writer::default();
    out.u16(24).u16(0).u32(0).bytes(file);
    out.0
}

/// The body of a question about an open file: [`super::read_about`].
pub(crate) fn query_about(file: &FileId) -> Vec<u8> {
    let mut out = Writer::default();
    out.u16(41).u8(1).u8(NETWORK_OPEN).u32(56);
    out.u16(0).u16(0).u32(0).u32(0).u32(0).bytes(file).u8(0);
    out.0
}

/// The body of a question for what of an open folder fits a pattern: [`super::read_found`].
pub(crate) fn query_folder(folder: &FileId, pattern: &str, most: u32) -> Vec<u8> {
    let pattern = utf16(pattern);
    let mut out = Writer::default();
    out.u16(33).u8(DIRECTORY).u8(0).u32(0).bytes(folder);
    out.u16(short(HEADER + 32)).u16(short(pattern.len()));
    out.u32(most).bytes(&pattern);
    out.0
}

/// What the reply to a question carries.
pub(crate) fn read_output(bytes: &[u8]) -> Result<&[u8], Malformed> {
    let body = bytes.get(HEADER..).ok_or(Malformed("it is too short"))?;
    if u16_at(body, 0)? != 9 {
        return Err(Malformed("it is no answer to a question"));
    }
    part(bytes, u16_at(body, 2)?.into(), u32_at(body, 4)?)
}
