//! Which letters are the same: every volume brings its own table.

use disk::BlockRead as _;

use crate::clusters::{Clusters, Walk};
use crate::error::{Error, Result};
use crate::partitions::le;

/// Units that there are.
const UNITS: usize = 1 << 16;

/// The great letter of each unit.
pub(super) struct Upcase(Vec<u16>);

impl Upcase {
    /// Without a table: the letters of ASCII, which every table must have.
    pub(super) fn ascii() -> Self {
        let great = |unit: u16| match u8::try_from(unit) {
            Ok(byte) => u16::from(byte.to_ascii_uppercase()),
            Err(_) => unit,
        };
        Self((0..=u16::MAX).map(great).collect())
    }

    /// Reads the table whose entry in the root folder is `raw`.
    pub(super) fn read(clusters: &Clusters, raw: &[u8; 32]) -> Result<Self> {
        let (sum, first, len) = (le(raw, 4, 4), le(raw, 20, 4) as u32, le(raw, 24, 8));
        let damaged = |why: String| Error::damaged("up-case table", why);
        if len == 0 || len % 2 != 0 || len > 2 * UNITS as u64 {
            return Err(damaged(format!("it has {len} bytes")));
        }
        let size = u64::from(clusters.shape.size);
        let count = len.div_ceil(size);
        let mut walk = Walk::chain(clusters, first, count)?;
        let mut bytes = vec![0; len as usize];
        let mut rest = bytes.as_mut_slice();
        let mut index = 0;
        while !rest.is_empty() {
            let (cluster, _) = walk.run(index, 1)?;
            let (now, later) = rest.split_at_mut(rest.len().min(clusters.shape.size as usize));
            clusters.cached.read_at(clusters.place(cluster)?, now)?;
            rest = later;
            index += 1;
        }
        let turn = |sum: u32, byte: &u8| sum.rotate_right(1).wrapping_add(u32::from(*byte));
        let is = bytes.iter().fold(0, turn);
        if u64::from(is) != sum {
            return Err(damaged(format!(
                "its checksum is {is:#010x} and not {sum:#010x}"
            )));
        }
        Ok(Self::unpacked(&bytes))
    }

    /// 0xffff and a number stand for so many units that are great letters of their own.
    fn unpacked(bytes: &[u8]) -> Self {
        let mut table: Vec<u16> = (0..=u16::MAX).collect();
        let mut units = bytes
            .as_chunks::<2>()
            .0
            .iter()
            .map(|pair| u16::from_le_bytes(*pair));
        let mut at = 0;
        while let Some(unit) = units.next() {
            if unit == 0xffff && at < UNITS - 1 {
                at += units.next().map_or(UNITS, usize::from);
                continue;
            }
            let Some(place) = table.get_mut(at) else {
                break;
            };
            *place = unit;
            at += 1;
        }
        Self(table)
    }

    /// A name of great letters.
    pub(super) fn folded(&self, units: &[u16]) -> Vec<u16> {
        let great = |unit: &u16| self.0.get(usize::from(*unit)).copied().unwrap_or(*unit);
        units.iter().map(great).collect()
    }
}
