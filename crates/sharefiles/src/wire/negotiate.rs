//! What both sides can (2.2.3, 2.2.4).

use super::fields::{Malformed, Writer, part, short, u16_at, u32_at, utf16};
use super::{HEADER, field};

/// SMB 3.1.1, the only dialect: an earlier one could be made of it on the way.
const DIALECT: u16 = 0x0311;
/// `SMB2_GLOBAL_CAP_LARGE_MTU`: requests of more than one credit.
const LARGE: u32 = 4;
/// `SMB2_GLOBAL_CAP_ENCRYPTION`.
const ENCRYPTION: u32 = 0x40;
const PREAUTH: u16 = 1;
const CIPHERS: u16 = 2;
const NAME: u16 = 5;
const SIGNINGS: u16 = 8;
const SHA_512: u16 = 1;
/// Contexts that a server may answer with.
const MOST_CONTEXTS: u16 = 32;

/// How messages are encrypted (2.2.3.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cipher {
    Aes128Gcm,
    Aes256Gcm,
}

/// How messages are signed (2.2.3.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signing {
    Cmac,
    Gmac,
}

/// What a server agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// None when the server does not encrypt.
    pub(crate) cipher: Option<Cipher>,
    pub(crate) signing: Signing,
    /// Bytes that one reply may carry of a file.
    pub(crate) most_read: u32,
    /// Bytes that one reply may carry of anything else.
    pub(crate) most_output: u32,
    /// The beginning of the logon.
    pub(crate) token: Vec<u8>,
}

/// The body of the first request.
pub(crate) fn negotiate(server: &str, client: &[u8; 16], salt: &[u8; 32]) -> Vec<u8> {
    let ciphers = [2u16, 4];
    let signings = [2u16, 1];
    let list = |values: &[u16]| {
        let mut out = Writer::default();
        out.u16(short(values.len()));
        for value in values {
            out.u16(*value);
        }
        out.0
    };
    let mut preauth = Writer::default();
    preauth.u16(1).u16(32).u16(SHA_512).bytes(salt);
    let contexts = [
        (PREAUTH, preauth.0),
        (CIPHERS, list(&ciphers)),
        (SIGNINGS, list(&signings)),
        (NAME, utf16(server)),
    ];
    let mut out = Writer::default();
    out.u16(36).u16(1).u16(signing_required()).u16(0);
    out.u32(LARGE | ENCRYPTION).bytes(client);
    let place = (HEADER + 36 + 2).next_multiple_of(8);
    out.u32(u32::from(short(place)))
        .u16(short(contexts.len()))
        .u16(0);
    out.u16(DIALECT);
    for (kind, data) in contexts {
        out.align();
        out.u16(kind).u16(short(data.len())).u32(0).bytes(&data);
    }
    out.0
}

/// `SMB2_NEGOTIATE_SIGNING_ENABLED` and `_REQUIRED`.
pub(super) fn signing_required() -> u16 {
    3
}

impl Agreed {
    /// Reads the reply.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let body = bytes.get(HEADER..).ok_or(Malformed("it is too short"))?;
        if u16_at(body, 0)? != 65 {
            return Err(Malformed("it is no answer to the first request"));
        }
        if u16_at(body, 4)? != DIALECT {
            return Err(Malformed("it does not speak SMB 3.1.1"));
        }
        let able = u32_at(body, 24)?;
        let token = part(
            bytes,
            u32::from(u16_at(body, 56)?),
            u16_at(body, 58)?.into(),
        )?;
        let (mut cipher, mut signing, mut hash) = (None, Signing::Cmac, false);
        let count = u16_at(body, 6)?;
        if count > MOST_CONTEXTS {
            return Err(Malformed("it has too many contexts"));
        }
        let mut at = u32_at(body, 60)?;
        for _ in 0..count {
            let head: [u8; 8] = field(part(bytes, at, 8)?, 0)?;
            let (kind, len) = (u16_at(&head, 0)?, u32::from(u16_at(&head, 2)?));
            let start = at.checked_add(8).ok_or(Malformed("a context is too far"))?;
            let data = part(bytes, start, len)?;
            match kind {
                PREAUTH => hash = u16_at(data, 0)? == 1 && u16_at(data, 4)? == SHA_512,
                CIPHERS => {
                    cipher = match (u16_at(data, 0)?, u16_at(data, 2)?) {
                        (1, 2) => Some(Cipher::Aes128Gcm),
                        (1, 4) => Some(Cipher::Aes256Gcm),
                        // 0: none of those that were offered.
                        (1, 0) => None,
                        _ => return Err(Malformed("it encrypts in a way that was not offered")),
                    }
                }
                SIGNINGS => {
                    signing = match (u16_at(data, 0)?, u16_at(data, 2)?) {
                        (1, 1) => Signing::Cmac,
                        (1, 2) => Signing::Gmac,
                        _ => return Err(Malformed("it signs in a way that was not offered")),
                    }
                }
                _ => {}
            }
            at = start
                .checked_add(len)
                .and_then(|end| end.checked_next_multiple_of(8))
                .ok_or(Malformed("a context is too far"))?;
        }
        if !hash {
            return Err(Malformed("it does not protect the negotiation"));
        }
        let bound = |most: u32| match able & LARGE {
            0 => most.min(1 << 16),
            _ => most,
        };
        Ok(Self {
            cipher,
            signing,
            most_read: bound(u32_at(body, 32)?),
            most_output: bound(u32_at(body, 28)?),
            token: token.to_vec(),
        })
    }
}
