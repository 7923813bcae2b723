//! The volume's header, and the three copies of the metadata that it leads to.

use disk::BlockRead;
use uuid::Uuid;

use super::ccm::Sealed;
use super::entry::{MASTER, PLACE, Protector, SEALED, all, le16, le32, le64};
use crate::error::{Error, Result};

const SIGNATURE: &[u8] = b"-FVE-FS-";
const VOLUME: Uuid = Uuid::from_u128(0x4967d63b_2e29_4ad8_8399_f6a339e3d001);
const USED_SPACE: Uuid = Uuid::from_u128(0x92a84d3b_dd80_4d0e_9e4e_b1e3284eaed8);
/// Bytes of a copy of the metadata.
pub(super) const COPY: u64 = 64 << 10;
/// Bytes of a copy before its entries.
const HEADER: usize = 64 + 48;
/// Roles of entries.
const ROLE_MASTER: u16 = 2;
const ROLE_VOLUME_KEY: u16 = 3;
const ROLE_HEADER: u16 = 15;
/// Encrypted wholly.
const ENCRYPTED: u16 = 4;

/// What a volume says of itself.
pub(super) struct Metadata {
    pub(super) id: Uuid,
    pub(super) sector: u32,
    /// By which method its sectors are encrypted.
    pub(super) method: u16,
    pub(super) protectors: Vec<Protector>,
    pub(super) volume_key: Sealed,
    /// Where the copies are.
    pub(super) copies: [u64; 3],
    /// Where the first bytes of the volume are, and how many.
    pub(super) moved: (u64, u64),
    /// Bytes from the start on that are encrypted; what follows is not.
    pub(super) encrypted: u64,
    pub(super) oddities: Vec<String>,
}

fn bad(why: impl Into<String>) -> Error {
    Error::damaged("BitLocker metadata", why)
}

impl Metadata {
    pub(super) fn read(device: &dyn BlockRead) -> Result<Self> {
        let mut header = vec![0; 512.min(device.len()) as usize];
        device.read_at(0, &mut header)?;
        let (sector, copies) = copies(&header)?;
        let mut found = Vec::new();
        let mut oddities = Vec::new();
        let mut failed = None;
        for (number, at) in (1..).zip(copies) {
            let copy = read_copy(device, at, sector);
            match copy {
                Ok((metadata, true)) => {
                    found.insert(0, metadata);
                    break;
                }
                Ok((metadata, false)) => {
                    oddities.push(format!(
                        "the checksum of copy {number} of its metadata does not fit"
                    ));
                    found.push(metadata);
                }
                Err(error @ Error::Unsupported(_)) => return Err(error),
                Err(error) => {
                    oddities.push(format!("copy {number} of its metadata: {error}"));
                    failed = failed.or(Some(error));
                }
            }
        }
        let Some(mut metadata) = found.into_iter().next() else {
            return Err(failed.unwrap_or_else(|| bad("there is no copy")));
        };
        metadata.copies = copies;
        oddities.append(&mut metadata.oddities);
        metadata.oddities = oddities;
        Ok(metadata)
    }
}

/// Bytes of a sector, and where the copies are.
fn copies(header: &[u8]) -> Result<(u32, [u64; 3])> {
    let at = match header.get(3..11) {
        Some(SIGNATURE) => 160,
        Some(b"MSWIN4.1") => 424,
        _ => return Err(Error::NotThis("BitLocker")),
    };
    let guid = header
        .get(at..at + 16)
        .and_then(|guid| guid.try_into().ok());
    match guid.map(Uuid::from_bytes_le) {
        Some(VOLUME) => {}
        Some(USED_SPACE) => {
            let why = "BitLocker in the middle of encrypting the space in use: let it end, and back up again";
            return Err(Error::Unsupported(why.into()));
        }
        _ if at == 424 => return Err(Error::NotThis("BitLocker")),
        _ => return Err(Error::Unsupported("BitLocker of Windows Vista".into())),
    }
    let sector = le16(header, 11).map_or(0, u32::from);
    if !matches!(sector, 512 | 1024 | 2048 | 4096) {
        return Err(bad(format!("sectors of {sector} bytes")));
    }
    let place = |number| le64(header, at + 16 + number * 8).unwrap_or(0);
    Ok((sector, [0_usize, 1, 2].map(place)))
}

/// A copy, and whether its checksum fits.
fn read_copy(device: &dyn BlockRead, at: u64, sector: u32) -> Result<(Metadata, bool)> {
    let end = at.checked_add(COPY).filter(|end| *end <= device.len());
    if end.is_none() {
        return Err(bad(format!("it is at {at}, behind the end")));
    }
    let mut bytes = vec![0; COPY as usize];
    device.read_at(at, &mut bytes)?;
    if !bytes.starts_with(SIGNATURE) {
        return Err(bad(format!("there is none at {at}")));
    }
    let version = le16(&bytes, 10).unwrap_or(0);
    if version != 2 {
        let why = format!("BitLocker metadata of version {version}");
        return Err(Error::Unsupported(why));
    }
    // Counted in 16 bytes; the checksum is behind it.
    let len = le16(&bytes, 8).map_or(0, usize::from) * 16;
    let sum = bytes.get(..len).map(crc32fast::hash);
    let whole = sum.is_some() && sum == le32(&bytes, len + 4);
    let size = le32(&bytes, 64).map_or(0, |size| size as usize);
    let entries = bytes
        .get(HEADER..64 + size.min(bytes.len() - 64))
        .unwrap_or_default();
    let (mut protectors, mut volume_key, mut moved) = (Vec::new(), None, None);
    for entry in all(entries) {
        match (entry.role, entry.value) {
            (ROLE_MASTER, MASTER) => protectors.extend(Protector::parse(entry.data)),
            (ROLE_VOLUME_KEY, SEALED) => volume_key = volume_key.or(Sealed::parse(entry.data)),
            (ROLE_HEADER, PLACE) => {
                moved = moved.or(le64(entry.data, 0).zip(Some(le64(entry.data, 8))));
            }
            _ => {}
        }
    }
    let sectors = u64::from(le32(&bytes, 28).unwrap_or(0)) * u64::from(sector);
    let place = le64(&bytes, 56).unwrap_or(0);
    let (place, moved_len) =
        moved.map_or((place, sectors), |(at, len)| (at, len.unwrap_or(sectors)));
    let room = device.len();
    let ends = place.checked_add(moved_len).is_some_and(|end| end <= room);
    if !ends || moved_len > 64 << 20 || !moved_len.is_multiple_of(u64::from(sector)) {
        return Err(bad(format!(
            "{moved_len} bytes of the volume's start are at {place}"
        )));
    }
    if !place.is_multiple_of(u64::from(sector)) || !at.is_multiple_of(u64::from(sector)) {
        return Err(bad(format!("places of {place} and {at} within sectors")));
    }
    let encrypted = le64(&bytes, 16).unwrap_or(0);
    let state = le16(&bytes, 12).unwrap_or(0);
    let mut oddities = Vec::new();
    if state != ENCRYPTED {
        oddities.push(format!(
            "it was in the middle of being encrypted or decrypted (state {state}): {encrypted} bytes of it are \
             encrypted"
        ));
    }
    let metadata = Metadata {
        id: bytes
            .get(80..96)
            .and_then(|id| id.try_into().ok())
            .map_or(Uuid::nil(), Uuid::from_bytes_le),
        sector,
        method: le16(&bytes, 100).unwrap_or(0),
        protectors,
        volume_key: volume_key.ok_or_else(|| bad("it has no volume key"))?,
        copies: [0; 3],
        moved: (place, moved_len),
        encrypted: encrypted / u64::from(sector) * u64::from(sector),
        oddities,
    };
    Ok((metadata, whole))
}
