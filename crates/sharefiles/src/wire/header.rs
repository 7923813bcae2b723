//! The header of each message (2.2.1) and of encrypted ones (2.2.41).

use super::Status;
use super::fields::{Malformed, Writer, field, u16_at, u32_at, u64_at};

/// Bytes of a header.
pub(crate) const HEADER: usize = 64;
/// Bytes of the header of an encrypted message.
pub(crate) const TRANSFORM: usize = 52;

const PROTOCOL: [u8; 4] = *b"\xfeSMB";
const ENCRYPTED: [u8; 4] = *b"\xfdSMB";
/// It comes from a server.
const FLAG_REPLY: u32 = 1;
/// It is signed.
pub(crate) const FLAG_SIGNED: u32 = 8;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Command {
    Negotiate = 0,
    SessionSetup = 1,
    TreeConnect = 3,
    Create = 5,
    Close = 6,
    Read = 8,
    QueryDirectory = 14,
    QueryInfo = 16,
}

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) charge: u16,
    /// Of replies; requests have 0.
    pub(crate) status: Status,
    pub(crate) command: u16,
    /// Credits that are asked for or granted.
    pub(crate) credits: u16,
    pub(crate) flags: u32,
    pub(crate) message: u64,
    pub(crate) tree: u32,
    pub(crate) session: u64,
    pub(crate) signature: [u8; 16],
}

impl Header {
    /// Reads a reply's header.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        if field(bytes, 0)? != PROTOCOL || u16_at(bytes, 4)? != 64 {
            return Err(Malformed("it does not begin as a message does"));
        }
        if u32_at(bytes, 20)? != 0 {
            return Err(Malformed("it is one of several, which nobody asked for"));
        }
        let header = Self {
            charge: u16_at(bytes, 6)?,
            status: Status(u32_at(bytes, 8)?),
            command: u16_at(bytes, 12)?,
            credits: u16_at(bytes, 14)?,
            flags: u32_at(bytes, 16)?,
            message: u64_at(bytes, 24)?,
            tree: u32_at(bytes, 36)?,
            session: u64_at(bytes, 40)?,
            signature: field(bytes, 48)?,
        };
        if header.flags & FLAG_REPLY == 0 {
            return Err(Malformed("it is a request"));
        }
        Ok(header)
    }

    /// The header of a request and what follows it.
    pub(crate) fn with(&self, body: &[u8]) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(TRANSFORM + HEADER + body.len() + 16));
        out.bytes(&PROTOCOL)
            .u16(64)
            .u16(self.charge)
            .u32(self.status.0)
            .u16(self.command)
            .u16(self.credits)
            .u32(self.flags)
            .u32(0)
            .u64(self.message)
            .u32(0)
            .u32(self.tree)
            .u64(self.session)
            .bytes(&self.signature)
            .bytes(body);
        out.0
    }
}

/// The header of an encrypted message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transform {
    pub(crate) tag: [u8; 16],
    pub(crate) nonce: [u8; 16],
    /// Bytes of the message when it is decrypted.
    pub(crate) len: u32,
    pub(crate) session: u64,
}

impl Transform {
    /// Whether bytes are an encrypted message.
    pub(crate) fn is(bytes: &[u8]) -> bool {
        bytes.starts_with(&ENCRYPTED)
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        if !Self::is(bytes) {
            return Err(Malformed("it is not encrypted"));
        }
        let transform = Self {
            tag: field(bytes, 4)?,
            nonce: field(bytes, 20)?,
            len: u32_at(bytes, 36)?,
            session: u64_at(bytes, 44)?,
        };
        if u16_at(bytes, 42)? != 1 {
            return Err(Malformed("it is encrypted in an unknown way"));
        }
        if usize::try_from(transform.len) != Ok(bytes.len() - TRANSFORM) {
            return Err(Malformed("it is not as long as it says"));
        }
        Ok(transform)
    }

    pub(crate) fn write(&self) -> [u8; TRANSFORM] {
        let mut out = Writer::default();
        out.bytes(&ENCRYPTED)
            .bytes(&self.tag)
            .bytes(&self.nonce)
            .u32(self.len)
            .u16(0)
            .u16(1)
            .u64(self.session);
        let mut bytes = [0; TRANSFORM];
        bytes.copy_from_slice(&out.0);
        bytes
    }

    /// The part of a header that its tag covers besides the message.
    pub(crate) fn covered(header: &[u8; TRANSFORM]) -> &[u8] {
        header.split_at(20).1
    }
}
