//! Logons (2.2.5, 2.2.6) and shares (2.2.9, 2.2.10).

use super::HEADER;
use super::fields::{Malformed, Writer, part, short, u16_at, u32_at, utf16};

/// The body of a step of a logon.
pub(crate) fn session_setup(token: &[u8]) -> Vec<u8> {
    let mut out = Writer::default();
    out.u16(25).u8(0).u8(2).u32(0).u32(0);
    out.u16(short(HEADER + 24)).u16(short(token.len())).u64(0);
    out.bytes(token);
    out.0
}

/// Reads the reply to a step of a logon: whether it is a logon as nobody, and the server's token.
pub(crate) fn read_setup(bytes: &[u8]) -> Result<(bool, &[u8]), Malformed> {
    let body = bytes.get(HEADER..).ok_or(Malformed("it is too short"))?;
    if u16_at(body, 0)? != 9 {
        return Err(Malformed("it is no step of a logon"));
    }
    // SMB2_SESSION_FLAG_IS_GUEST, SMB2_SESSION_FLAG_IS_NULL.
    let nobody = u16_at(body, 2)? & 3 != 0;
    let token = part(bytes, u32::from(u16_at(body, 4)?), u16_at(body, 6)?.into())?;
    Ok((nobody, token))
}

/// The body of a request for a share.
pub(crate) fn tree_connect(server: &str, share: &str) -> Vec<u8> {
    let path = utf16(&format!("\\\\{server}\\{share}"));
    let mut out = Writer::default();
    out.u16(9)
        .u16(0)
        .u16(short(HEADER + 8))
        .u16(short(path.len()));
    out.bytes(&path);
    out.0
}

/// Reads the reply to it: whether it has files, and whether it wants encryption.
pub(crate) fn read_tree(bytes: &[u8]) -> Result<(bool, bool), Malformed> {
    let body = bytes.get(HEADER..).ok_or(Malformed("it is too short"))?;
    if u16_at(body, 0)? != 16 {
        return Err(Malformed("it is no answer about a share"));
    }
    let kind = u16_at(body, 2)? & 0xFF;
    // SMB2_SHARE_TYPE_DISK; SMB2_SHAREFLAG_ENCRYPT_DATA.
    Ok((kind == 1, u32_at(body, 4)? & 0x8000 != 0))
}
