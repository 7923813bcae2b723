//! Headers: LUKS1's, and which of LUKS2's copies counts.

use disk::BlockRead;
use uuid::Uuid;

use super::slot::{Slot, Splitter};
use super::{Data, Digest, Header, two};
use crate::cipher::{Hash, Kdf};
use crate::error::{Error, Result};

pub(super) const MAGIC: &[u8] = b"LUKS\xba\xbe";
pub(super) const SECOND_MAGIC: &[u8] = b"SKUL\xba\xbe";
const LEN_1: usize = 592;
/// Key slots of LUKS1: where the first is, bytes of one, how many.
const SLOTS_1: (usize, usize, usize) = (208, 48, 8);
const ACTIVE: u32 = 0x00ac_71f3;
/// The most bytes of a key.
pub(super) const MOST_KEY: usize = 512;

pub(super) fn read(device: &dyn BlockRead) -> Result<Header> {
    let mut bytes = vec![0; (LEN_1 as u64).min(device.len()) as usize];
    device.read_at(0, &mut bytes)?;
    let field = Field(&bytes);
    match (field.part(0, 6), field.be16(6)) {
        (Some(MAGIC), Some(1)) => one(&field),
        (Some(MAGIC), Some(version)) if version != 2 => {
            Err(Error::Unsupported(format!("LUKS of version {version}")))
        }
        _ => two::read(device),
    }
}

/// Numbers of a binary header, which are big-endian.
pub(super) struct Field<'a>(pub(super) &'a [u8]);

impl<'a> Field<'a> {
    pub(super) fn part(&self, at: usize, len: usize) -> Option<&'a [u8]> {
        self.0.get(at..at + len)
    }

    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.part(at, N)?.try_into().ok()
    }

    pub(super) fn be16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_be_bytes)
    }

    pub(super) fn be32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_be_bytes)
    }

    pub(super) fn be64(&self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_be_bytes)
    }

    /// Text that ends with a zero.
    pub(super) fn text(&self, at: usize, len: usize) -> String {
        let field = self.part(at, len).unwrap_or_default();
        let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }
}

fn one(field: &Field<'_>) -> Result<Header> {
    let bad = |why: String| Error::damaged("LUKS1 header", why);
    let short = || bad("it ends too early".into());
    let number = |at| field.be32(at).ok_or_else(short);
    let cipher = format!("{}-{}", field.text(8, 32), field.text(40, 32));
    let key_len = number(108)? as usize;
    if !(1..=MOST_KEY).contains(&key_len) {
        return Err(bad(format!("a key of {key_len} bytes")));
    }
    let name = field.text(72, 32);
    let hash = Hash::named(&name)
        .ok_or_else(|| Error::Unsupported(format!("LUKS1 with the hash {name}")))?;
    let (first, len, count) = SLOTS_1;
    let mut slots = Vec::new();
    for index in 0..count {
        let at = first + index * len;
        if number(at)? != ACTIVE {
            continue;
        }
        let stripes = number(at + 44)?;
        let start = u64::from(number(at + 40)?) * 512;
        slots.push(Slot {
            number: index as u32,
            kdf: Kdf::Pbkdf2 {
                hash,
                rounds: number(at + 4)?,
            },
            salt: field.part(at + 8, 32).ok_or_else(short)?.to_vec(),
            slot_key_len: key_len,
            key_len,
            cipher: cipher.clone(),
            start,
            splitter: Splitter { stripes, hash },
        });
    }
    let digest = Digest {
        slots: (0..count as u32).collect(),
        kdf: Kdf::Pbkdf2 {
            hash,
            rounds: number(164)?,
        },
        salt: field.part(132, 32).ok_or_else(short)?.to_vec(),
        digest: field.part(112, 20).ok_or_else(short)?.to_vec(),
    };
    let uuid = field.text(168, 40);
    Ok(Header {
        version: 1,
        uuid: Uuid::try_parse(&uuid).map_or(uuid, |uuid| uuid.to_string()),
        label: String::new(),
        slots,
        unread: Vec::new(),
        digests: vec![digest],
        data: Data {
            cipher,
            start: u64::from(number(104)?) * 512,
            len: None,
            sector: 512,
            tweak: 0,
        },
        oddities: Vec::new(),
    })
}
