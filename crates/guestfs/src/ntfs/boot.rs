//! The boot sector: where the MFT is, and how large things are.

use disk::BlockRead;

use super::le::{byte, le16, le64};
use crate::error::{Error, Result};

/// Windows makes no larger clusters.
const MOST_CLUSTER: u64 = 2 << 20;

/// What the boot sector says. Sizes are powers of two, and places lie within the volume.
#[derive(Clone, Debug)]
pub(super) struct Boot {
    /// Bytes of a cluster.
    pub(super) cluster: u64,
    /// Clusters of the volume.
    pub(super) clusters: u64,
    /// First cluster of the MFT.
    pub(super) mft: u64,
    /// First cluster of the copy of its first four records; 0 if that cannot be.
    pub(super) mirror: u64,
    /// Bytes of an MFT record.
    pub(super) record: usize,
    /// Serial number.
    pub(super) serial: u64,
    /// Bytes of the volume, with the copy of this sector behind it.
    pub(super) len: u64,
}

impl Boot {
    /// Reads it from the start of a volume.
    pub(super) fn read(device: &dyn BlockRead) -> Result<Self> {
        let mut bytes = [0; 512];
        if device.len() < 512 {
            return Err(Error::NotThis("NTFS"));
        }
        device.read_at(0, &mut bytes)?;
        if bytes.get(3..11) != Some(b"NTFS    ") {
            return Err(Error::NotThis("NTFS"));
        }
        let damaged = |why: String| Error::damaged("boot sector", why);
        let sector = u64::from(le16(&bytes, 11));
        if !sector.is_power_of_two() || !(256..=4096).contains(&sector) {
            return Err(damaged(format!("sectors of {sector} bytes")));
        }
        let per_cluster = match byte(&bytes, 13) {
            count @ 0..=0x80 => u64::from(count),
            power @ 0xe8.. => 1 << (256 - u32::from(power)),
            odd => return Err(damaged(format!("clusters of {odd:#x} sectors"))),
        };
        let cluster = sector * per_cluster;
        if !per_cluster.is_power_of_two() || !(512..=MOST_CLUSTER).contains(&cluster) {
            return Err(damaged(format!("clusters of {cluster} bytes")));
        }
        let sectors = le64(&bytes, 40);
        let len = sectors
            .checked_add(1)
            .and_then(|all| all.checked_mul(sector));
        let len = len.filter(|len| i64::try_from(*len).is_ok());
        let len = len.ok_or_else(|| damaged(format!("{sectors} sectors")))?;
        let clusters = sectors / per_cluster;
        let mft = le64(&bytes, 48);
        if mft == 0 || mft >= clusters {
            return Err(damaged(format!("an MFT at cluster {mft} of {clusters}")));
        }
        let mirror = le64(&bytes, 56);
        let record = match byte(&bytes, 64) as i8 {
            clusters @ 1.. => cluster * u64::from(clusters.unsigned_abs()),
            power @ -16..=-9 => 1 << power.unsigned_abs(),
            odd => return Err(damaged(format!("MFT records of size {odd}"))),
        };
        if !record.is_power_of_two() || !(512..=65536).contains(&record) {
            return Err(damaged(format!("MFT records of {record} bytes")));
        }
        Ok(Self {
            cluster,
            clusters,
            mft,
            mirror: if mirror < clusters { mirror } else { 0 },
            record: record as usize,
            serial: le64(&bytes, 72),
            len,
        })
    }
}
