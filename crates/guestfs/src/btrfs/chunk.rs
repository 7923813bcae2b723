//! A chunk: a range of the file system's own addresses, and where on devices it is.

use disk::ByteRange;

use super::raw::Raw;
use super::tree::Key;
use crate::error::{Error, Result};

/// Profiles that tell how stripes make a chunk, by their bits.
const PROFILES: [(u64, &str); 8] = [
    (1 << 3, "RAID0"),
    (1 << 4, "RAID1"),
    (1 << 5, "DUP"),
    (1 << 6, "RAID10"),
    (1 << 7, "RAID5"),
    (1 << 8, "RAID6"),
    (1 << 9, "RAID1C3"),
    (1 << 10, "RAID1C4"),
];
const MIRRORS: u64 = 1 << 4 | 1 << 5 | 1 << 9 | 1 << 10;
const PROFILE: u64 = KNOWN & !7;
const KNOWN: u64 = (1 << 11) - 1;

/// Stripes that one may have. More are refused.
const MOST_STRIPES: usize = 1024;

/// A chunk.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    /// Its addresses.
    pub(super) range: ByteRange,
    profile: u64,
    /// Device and place of each stripe.
    stripes: Vec<(u64, u64)>,
}

impl Chunk {
    /// The object that all chunks belong to, and the kind of their items.
    pub(super) const KEY: (u64, u8) = (256, 228);

    /// A chunk, and the bytes that it took.
    pub(super) fn parse(key: Key, item: &[u8]) -> Result<(Self, usize)> {
        let raw = Raw::new("chunk", item);
        if (key.id, key.kind) != Self::KEY {
            return Err(raw.damaged(format!("its key is {key}")));
        }
        let len = raw.le64(0)?;
        let end = key.offset.checked_add(len).filter(|_| len > 0);
        let end = end.ok_or_else(|| raw.damaged(format!("{len} bytes at {}", key.offset)))?;
        let profile = raw.le64(24)?;
        if profile & !KNOWN != 0 {
            let why = format!("a btrfs chunk of the unknown kind {profile:#x}");
            return Err(Error::Unsupported(why));
        }
        let count = usize::from(raw.le16(44)?);
        if !(1..=MOST_STRIPES).contains(&count) {
            return Err(raw.damaged(format!("{count} stripes")));
        }
        let mut stripes = Vec::with_capacity(count);
        for number in 0..count {
            let at = 48 + number * 32;
            stripes.push((raw.le64(at)?, raw.le64(at + 8)?));
        }
        raw.part(48, count * 32)?;
        let chunk = Self {
            range: ByteRange::new(key.offset, end),
            profile,
            stripes,
        };
        Ok((chunk, 48 + count * 32))
    }

    /// Where copies of the byte at `address` are on `device`, if the whole chunk is there.
    pub(super) fn places(&self, device: u64, address: u64) -> Result<Vec<u64>> {
        let names = PROFILES.iter().filter(|(bit, _)| self.profile & bit != 0);
        let name = names.map(|(_, name)| *name).next().unwrap_or("single");
        if let Some((other, _)) = self.stripes.iter().find(|(other, _)| *other != device) {
            return Err(Error::Unsupported(format!(
                "a btrfs over several devices: its chunk at {} ({name}) is on device {other} too, and this \
                 is device {device}: restore all of its disks, and read it in the guest",
                self.range.start
            )));
        }
        // One stripe is the whole chunk, whatever its profile.
        let bits = self.profile & PROFILE;
        let mirrors = bits != 0 && bits & !MIRRORS == 0;
        if self.stripes.len() > 1 && !mirrors {
            let why = format!("a btrfs chunk of the profile {name} on one device");
            return Err(Error::Unsupported(why));
        }
        let within = address - self.range.start;
        let places = self
            .stripes
            .iter()
            .map(|(_, place)| place.checked_add(within));
        let places: Option<Vec<_>> = places.collect();
        places.ok_or_else(|| Error::damaged("btrfs chunk", "a stripe behind all addresses"))
    }
}
