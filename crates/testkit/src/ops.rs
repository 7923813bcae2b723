//! Random writes to a disk, against a flat array.

use disk::{BlockRead, ByteRange, DiskWrite};
use proptest::prelude::*;

/// Bytes of the unit in which [`Op`]s count unless something else is said.
pub const SECTOR: u64 = 512;

/// One change to a disk, in sectors.
#[derive(Debug, Clone)]
pub struct Op {
    /// The first sector.
    pub at: u64,
    /// How many.
    pub sectors: u64,
    /// What is written; `None` for zeros.
    pub byte: Option<u8>,
}

/// Up to 16 changes, each of at most `longest` sectors, to a disk of `sectors`.
pub fn ops(sectors: u64, longest: u64) -> impl Strategy<Value = Vec<Op>> {
    let byte = prop::option::weighted(0.7, 1u8..);
    let op = (0..sectors, 1..longest, byte).prop_map(move |(at, count, byte)| Op {
        at,
        sectors: count.min(sectors - at),
        byte,
    });
    prop::collection::vec(op, 0..16)
}

impl Op {
    /// The bytes of the disk that change, with sectors of `unit` bytes.
    pub fn range(&self, unit: u64) -> ByteRange {
        ByteRange::new(self.at * unit, (self.at + self.sectors) * unit)
    }

    /// Changes the model. Every 512 bytes differ, so that a misplaced sector is seen.
    pub fn apply_to(&self, unit: u64, model: &mut [u8]) {
        let range = self.range(unit);
        let part = &mut model[range.start as usize..range.end as usize];
        part.fill(0);
        if let Some(byte) = self.byte {
            for (n, sector) in part.chunks_exact_mut(SECTOR as usize).enumerate() {
                sector.fill(byte);
                sector[..8].copy_from_slice(&(range.start / SECTOR + n as u64).to_be_bytes());
            }
        }
    }

    /// Changes the disk, to the bytes that `model` has there already.
    ///
    /// # Panics
    /// When the writer refuses.
    pub fn write(&self, unit: u64, writer: &mut dyn DiskWrite, model: &[u8]) {
        let range = self.range(unit);
        match self.byte {
            Some(_) => {
                let data = &model[range.start as usize..range.end as usize];
                writer.write_at(range.start, data)
            }
            None => writer.write_zeros(range),
        }
        .unwrap_or_else(|e| panic!("{self:?}: {e}"));
    }
}

/// Applies `ops` to a writer and to a model; tells which sectors of 512 bytes were mentioned.
///
/// # Panics
/// When the writer refuses.
pub fn apply(ops: &[Op], writer: &mut dyn DiskWrite, model: &mut [u8]) -> Vec<bool> {
    apply_units(SECTOR, ops, writer, model)
}

/// As [`apply`], with operations that count in sectors of `unit` bytes.
///
/// # Panics
/// When the writer refuses.
pub fn apply_units(
    unit: u64,
    ops: &[Op],
    writer: &mut dyn DiskWrite,
    model: &mut [u8],
) -> Vec<bool> {
    let mut mentioned = vec![false; model.len() / SECTOR as usize];
    for op in ops {
        op.apply_to(unit, model);
        op.write(unit, writer, model);
        let range = op.range(unit);
        mentioned[(range.start / SECTOR) as usize..(range.end / SECTOR) as usize].fill(true);
    }
    mentioned
}

/// All bytes of a small disk.
///
/// # Panics
/// When it cannot be read.
pub fn read(disk: &dyn BlockRead) -> Vec<u8> {
    let mut bytes = vec![1; disk.len() as usize];
    disk.read_at(0, &mut bytes).expect("the disk reads");
    bytes
}
