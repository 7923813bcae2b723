//! What holds for any bytes that are read as an XFS file system.
//!
//! An input is a device in pieces: its length and then sectors, each with its number; what is not there is
//! zeros. It is read as it is, and with checksums made right, without which little behind them is met.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use hyperkeep_disk::{BlockRead, ByteRange, Content, Extent, Geometry, Result};
use hyperkeep_guestfs::xfs::Xfs;
use hyperkeep_guestfs::{FileSystem, Kind, NodeId};

/// Bytes of a sector of an input, without its number.
pub(crate) const SECTOR: usize = 512;
/// Nodes that are looked at.
const NODES: usize = 300;

/// A device of a few sectors.
pub(crate) struct Sparse {
    len: u64,
    sectors: BTreeMap<u64, Vec<u8>>,
}

impl Sparse {
    /// Eight bytes of length, and pieces of four bytes and a sector.
    pub(crate) fn of(data: &[u8]) -> Option<Self> {
        let (len, rest) = data.split_first_chunk::<8>()?;
        let len = u64::from_le_bytes(*len) % (1 << 30);
        let mut sectors = BTreeMap::new();
        for piece in rest.chunks_exact(4 + SECTOR) {
            let (number, bytes) = piece.split_first_chunk::<4>()?;
            sectors.insert(u32::from_le_bytes(*number).into(), bytes.to_vec());
        }
        Some(Self { len, sectors })
    }

    fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let mut all = vec![0; len];
        let first = at / SECTOR as u64;
        let last = (at + len as u64).div_ceil(SECTOR as u64);
        for (number, bytes) in self.sectors.range(first..last) {
            let start = number * SECTOR as u64;
            for (index, byte) in bytes.iter().enumerate() {
                let place = (start + index as u64).checked_sub(at);
                if let Some(place) = place.and_then(|place| all.get_mut(place as usize)) {
                    *place = *byte;
                }
            }
        }
        all
    }

    fn put(&mut self, at: u64, bytes: &[u8]) {
        for (index, byte) in bytes.iter().enumerate() {
            let at = at + index as u64;
            if let Some(sector) = self.sectors.get_mut(&(at / SECTOR as u64)) {
                sector[(at % SECTOR as u64) as usize] = *byte;
            }
        }
    }

    /// Makes the checksums right of everything that begins like metadata.
    pub(crate) fn mend(&mut self) {
        let head = self.bytes(0, SECTOR);
        let be = |at: usize, len: usize| {
            let field = &head[at..at + len];
            field
                .iter()
                .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
        };
        let within = |size: usize| size.clamp(512, 65536);
        let (block, inode) = (within(be(4, 4)), within(be(104, 2)));
        let folder = within(block << (head[192] & 7));
        let starts: Vec<u64> = self
            .sectors
            .keys()
            .map(|number| number * SECTOR as u64)
            .collect();
        for at in starts {
            let bytes = self.bytes(at, 12);
            if bytes.starts_with(&[0xfe, 0xed, 0xba, 0xbe]) {
                self.mend_record(at);
                continue;
            }
            let (len, sum) = match (&bytes[..4], &bytes[8..10]) {
                (b"XFSB", _) => (within(be(102, 2)), 224),
                (b"XDB3" | b"XDD3", _) => (folder, 4),
                (b"XSLM" | b"XARM", _) => (block, 12),
                (b"BMA3", _) => (block, 64),
                ([b'I', b'N', ..], _) => (inode, 100),
                (_, [0x3d, 0xf1 | 0xff]) => (folder, 12),
                (_, [0x3e, 0xbe] | [0x3b, 0xee]) => (block, 12),
                _ => continue,
            };
            let mut all = self.bytes(at, len);
            all[sum..sum + 4].fill(0);
            self.put(at + sum as u64, &crc32c(&all).to_le_bytes());
        }
    }
}

impl Sparse {
    /// The same for a record of the log that does not go around its end.
    fn mend_record(&mut self, at: u64) {
        let head = self.bytes(at, SECTOR);
        let be = |at: usize| {
            let field = &head[at..at + 4];
            field
                .iter()
                .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
        };
        let (len, size) = (be(12).min(1 << 18), be(320).min(1 << 18));
        let headers = match be(8) & 2 {
            0 => 1,
            _ => size.div_ceil(32 << 10).max(1),
        };
        let mut all = self.bytes(at, headers * SECTOR + len);
        all[32..36].fill(0);
        let used = len.div_ceil(32 << 10).clamp(1, headers);
        let mut summed = all[..328].to_vec();
        for header in 1..used {
            summed.extend_from_slice(&all[header * SECTOR..][..260]);
        }
        summed.extend_from_slice(&all[headers * SECTOR..]);
        self.put(at + 32, &crc32c(&summed).to_le_bytes());
    }
}

impl BlockRead for Sparse {
    fn geometry(&self) -> Geometry {
        Geometry {
            len: self.len,
            logical_sector: 512,
            physical_sector: 4096,
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        hyperkeep_disk::block::check_bounds(self.len, offset, buf.len() as u64)?;
        buf.copy_from_slice(&self.bytes(offset, buf.len()));
        Ok(())
    }

    fn extents(&self, range: ByteRange) -> Result<Vec<Extent>> {
        let content = Content::Data;
        Ok(vec![Extent { range, content }])
    }
}

/// Reads `data` as it is, and mended.
///
/// # Panics
/// When what is told contradicts itself.
pub(crate) fn check(data: &[u8]) {
    let Some(device) = Sparse::of(data) else {
        return;
    };
    check_one(device);
    if let Some(mut device) = Sparse::of(data) {
        device.mend();
        check_one(device);
    }
}

pub(crate) fn check_one(device: Sparse) {
    let Ok(fs) = Xfs::open(Arc::new(device)) else {
        return;
    };
    let mut folders = vec![fs.root()];
    let mut nodes: Vec<NodeId> = Vec::new();
    while let Some(folder) = folders.pop() {
        let mut names = Vec::new();
        let _ = fs.list(folder, &mut |entry| {
            names.push(entry);
            match names.len() < NODES {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        for entry in names {
            let _ = fs.find(folder, &entry.name);
            if nodes.len() >= NODES || nodes.contains(&entry.node) {
                continue;
            }
            nodes.push(entry.node);
            if look(&fs, entry.node) == Some(Kind::Folder) {
                folders.push(entry.node);
            }
        }
    }
}

fn look(fs: &dyn FileSystem, id: NodeId) -> Option<Kind> {
    let node = fs.node(id).ok()?;
    let _ = fs.extras(id);
    let _ = fs.target(id);
    if let Ok(mut content) = fs.open(id, None) {
        let len = content.len();
        assert_eq!(len, node.len);
        let mut from = 0;
        for _ in 0..200 {
            let Ok(Some(range)) = content.next_data(from) else {
                break;
            };
            assert!(range.start >= from && range.start < range.end && range.end <= len);
            if let Ok(Some(place)) = content.place(range.start) {
                let there = place.range;
                assert!(there.start == range.start && there.end > range.start && there.end <= len);
            }
            from = range.end;
            let mut buf = vec![0; range.len().min(5000) as usize];
            let _ = content.read_at(range.start, &mut buf);
        }
    }
    Some(node.kind)
}

fn crc32c(bytes: &[u8]) -> u32 {
    let step = |mut sum: u32, byte: &u8| {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg());
        }
        sum
    };
    !bytes.iter().fold(!0, step)
}
