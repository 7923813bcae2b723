//! The region table (MS-VHDX 2.2.3): where the BAT and the metadata are.

use uuid::{Uuid, uuid};

use crate::error::{Error, Result};
use crate::range::ByteRange;
use crate::vhdx::MIB;
use crate::vhdx::bytes::{checksum, guid_at, put, seal, u32_at, u64_at};

/// Bytes of a region table.
pub const REGION_TABLE_LEN: usize = 64 << 10;

/// Where the two copies are.
pub const REGION_TABLE_OFFSETS: [u64; 2] = [192 << 10, 256 << 10];

/// The most regions that a table holds.
pub const MAX_REGIONS: usize = 2047;

/// The block allocation table's region.
pub const BAT: Uuid = uuid!("2DC27766-F623-4200-9D64-115E9BFD4A08");

/// The metadata region.
pub const METADATA: Uuid = uuid!("8B7CA206-4790-4B9A-B8FE-575F050F886E");

/// One region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// What it is.
    pub id: Uuid,
    /// Where in the file, a multiple of 1 MiB.
    pub offset: u64,
    /// Bytes, a multiple of 1 MiB.
    pub len: u32,
    /// A reader that does not know it must refuse the file.
    pub required: bool,
}

impl Region {
    /// The bytes of the file that it occupies.
    pub fn range(&self) -> ByteRange {
        ByteRange::new(self.offset, self.offset.saturating_add(u64::from(self.len)))
    }
}

/// All regions, none overlapping another, none twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegionTable {
    /// In the order of the table.
    pub regions: Vec<Region>,
}

impl RegionTable {
    /// Reads one copy.
    ///
    /// # Errors
    /// [`Error::Damaged`] when a rule of the format is broken. Unknown regions are no error here;
    /// see [`known`](Self::known).
    pub fn decode(bytes: &[u8; REGION_TABLE_LEN]) -> Result<Self> {
        let damaged = |why: String| Error::damaged("region table", why);
        if !bytes.starts_with(b"regi") {
            return Err(damaged("wrong signature".into()));
        }
        let (stored, actual) = (u32_at(bytes, 4), checksum(bytes));
        if stored != actual {
            return Err(damaged(format!(
                "checksum {stored:#010x} where the contents give {actual:#010x}"
            )));
        }
        let count = u32_at(bytes, 8) as usize;
        if count > MAX_REGIONS {
            return Err(damaged(format!("{count} entries where {MAX_REGIONS} fit")));
        }
        let regions: Vec<_> = bytes[16..]
            .chunks_exact(32)
            .take(count)
            .map(|entry| Region {
                id: guid_at(entry, 0),
                offset: u64_at(entry, 16),
                len: u32_at(entry, 24),
                required: u32_at(entry, 28) & 1 != 0,
            })
            .collect();
        check(&regions)?;
        Ok(Self { regions })
    }

    /// Writes one copy. Whatever a region says of itself, the BAT and the metadata are required.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the regions break a rule of the format.
    pub fn encode(&self) -> Result<Vec<u8>> {
        if self.regions.len() > MAX_REGIONS {
            return Err(Error::damaged("region table", "too many regions"));
        }
        check(&self.regions)?;
        let mut out = vec![0; REGION_TABLE_LEN];
        put(&mut out, 0, b"regi");
        put(&mut out, 8, &(self.regions.len() as u32).to_le_bytes());
        for (region, entry) in self.regions.iter().zip(out[16..].chunks_exact_mut(32)) {
            let required = region.required || [BAT, METADATA].contains(&region.id);
            put(entry, 0, &region.id.to_bytes_le());
            put(entry, 16, &region.offset.to_le_bytes());
            put(entry, 24, &region.len.to_le_bytes());
            put(entry, 28, &u32::from(required).to_le_bytes());
        }
        seal(&mut out);
        Ok(out)
    }

    /// The BAT and the metadata region.
    ///
    /// # Errors
    /// [`Error::Damaged`] when one is missing, [`Error::Unsupported`], naming it, for a region
    /// that is required and unknown.
    pub fn known(&self) -> Result<(&Region, &Region)> {
        for region in &self.regions {
            if region.required && ![BAT, METADATA].contains(&region.id) {
                return Err(Error::Unsupported(format!(
                    "the file requires the unknown region {}",
                    region.id
                )));
            }
        }
        let find = |id, name| {
            self.regions
                .iter()
                .find(|region| region.id == id)
                .ok_or_else(|| Error::damaged("region table", format!("no {name} region")))
        };
        Ok((find(BAT, "BAT")?, find(METADATA, "metadata")?))
    }
}

fn check(regions: &[Region]) -> Result<()> {
    let mut sorted: Vec<_> = regions.iter().collect();
    sorted.sort_by_key(|region| region.offset);
    let mut end = MIB;
    for region in sorted {
        let Region {
            id, offset, len, ..
        } = region;
        let bad = |why: &str| {
            let why = format!("region {id} at {offset} of {len} bytes {why}");
            Err(Error::damaged("region table", why))
        };
        if *len == 0 || !offset.is_multiple_of(MIB) || !u64::from(*len).is_multiple_of(MIB) {
            return bad("is not whole MiB");
        }
        if *offset < end {
            return bad("overlaps another or the file's head");
        }
        match offset.checked_add(u64::from(*len)) {
            Some(after) => end = after,
            None => return bad("runs past the end of 64 bits"),
        }
    }
    let mut ids: Vec<_> = regions.iter().map(|region| region.id).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::damaged(
            "region table",
            format!("region {} is listed twice", pair[0]),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(id: Uuid, offset: u64) -> Region {
        Region {
            id,
            offset,
            len: 0x10_0000,
            required: true,
        }
    }

    fn table(regions: &[Region]) -> RegionTable {
        RegionTable {
            regions: regions.to_vec(),
        }
    }

    fn decode(bytes: &[u8]) -> Result<RegionTable> {
        RegionTable::decode(bytes.try_into().unwrap())
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        let regions = table(&[region(BAT, 0x30_0000), region(METADATA, 0x20_0000)]);
        let bytes = regions.encode().unwrap();
        assert_eq!(u32_at(&bytes, 4), 0xC66B_8CAE);
        assert_eq!(decode(&bytes).unwrap(), regions);
        let (bat, metadata) = regions.known().unwrap();
        assert_eq!((bat.offset, metadata.offset), (0x30_0000, 0x20_0000));
    }

    #[test]
    fn required_unknown_regions_are_refused_by_name_and_others_ignored() {
        let id = Uuid::from_u128(0xabc);
        let mut known = table(&[
            region(BAT, MIB),
            region(METADATA, 2 * MIB),
            region(id, 3 * MIB),
        ]);
        let error = known.known().unwrap_err().to_string();
        assert!(error.contains(&id.to_string()), "{error}");
        known.regions[2].required = false;
        known.known().unwrap();
    }

    #[test]
    fn overlapping_doubled_and_unaligned_regions_are_damage() {
        let metadata = || region(METADATA, 2 * MIB);
        for bad in [
            region(BAT, 2 * MIB),
            region(METADATA, 3 * MIB),
            region(BAT, 0),
            region(BAT, 3 * MIB + 4096),
            region(BAT, u64::MAX / MIB * MIB),
            Region {
                len: 0,
                ..region(BAT, 3 * MIB)
            },
            Region {
                len: 4096,
                ..region(BAT, 3 * MIB)
            },
        ] {
            assert!(
                table(&[metadata(), bad.clone()]).encode().is_err(),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_count_beyond_the_table_and_a_flipped_bit_are_damage() {
        let mut bytes = table(&[region(BAT, MIB)]).encode().unwrap();
        bytes[60_000] ^= 1;
        decode(&bytes).unwrap_err();
        bytes[60_000] ^= 1;
        put(&mut bytes, 8, &2048u32.to_le_bytes());
        seal(&mut bytes);
        decode(&bytes).unwrap_err();
    }
}
