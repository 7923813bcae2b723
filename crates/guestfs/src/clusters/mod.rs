//! What FAT and exFAT have in common: a heap of clusters, the table that tells which one follows which,
//! walks along it, contents, and dates.
//!
//! Invariants:
//!
//! - A number of a cluster that is not in the heap is never turned into a place.
//! - Where the table's first copy has no sense and there is another one that has, that one is followed: both
//!   were written as one. Where neither has, it is told.
//! - Every walk ends: a chain that comes back to itself is found by Brent's method, with no list of what was
//!   met.

mod content;
mod date;
mod walk;

use disk::BlockRead as _;

use crate::cache::Cached;
use crate::error::{Error, Result};
use crate::fs::Device;
use crate::partitions::le;

pub(crate) use content::Clustered;
pub(crate) use date::{dos_time, shifted};
pub(crate) use walk::Walk;

/// The first cluster of a heap has this number.
pub(crate) const FIRST: u32 = 2;

/// How wide the entries of a table are, and what they mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Fat12,
    Fat16,
    Fat32,
    ExFat,
}

impl Width {
    /// Bytes of a table for so many entries.
    pub(crate) fn bytes(self, entries: u64) -> u64 {
        match self {
            Self::Fat12 => entries.saturating_mul(3).div_ceil(2),
            Self::Fat16 => entries.saturating_mul(2),
            Self::Fat32 | Self::ExFat => entries.saturating_mul(4),
        }
    }

    /// Entries that a table of so many bytes has.
    pub(crate) fn entries(self, bytes: u64) -> u64 {
        match self {
            Self::Fat12 => bytes.saturating_mul(2) / 3,
            Self::Fat16 => bytes / 2,
            Self::Fat32 | Self::ExFat => bytes / 4,
        }
    }
}

/// Where table and heap lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) width: Width,
    /// Where the table is that counts.
    pub(crate) table: u64,
    /// Where another copy of it is.
    pub(crate) other: Option<u64>,
    /// Where cluster 2 is.
    pub(crate) heap: u64,
    /// Bytes of a cluster; a power of two, and at least 512.
    pub(crate) size: u32,
    /// Clusters of the heap.
    pub(crate) count: u32,
}

/// What the table says of a cluster.
enum Link {
    Next(u32),
    End,
    Senseless(String),
}

/// A heap of clusters and its table.
pub(crate) struct Clusters {
    /// For contents.
    pub(crate) device: Device,
    /// For everything else.
    pub(crate) cached: Cached<Device>,
    pub(crate) shape: Shape,
}

impl Clusters {
    pub(crate) fn new(device: Device, shape: Shape) -> Self {
        Self {
            cached: Cached::new(device.clone()),
            device,
            shape,
        }
    }

    /// Whether the heap has this cluster.
    pub(crate) fn holds(&self, cluster: u32) -> bool {
        cluster >= FIRST && cluster - FIRST < self.shape.count
    }

    /// Where a cluster begins.
    pub(crate) fn place(&self, cluster: u32) -> Result<u64> {
        if !self.holds(cluster) {
            return Err(Error::damaged(
                format!("cluster {cluster}"),
                format!(
                    "there are clusters 2 to {}",
                    u64::from(self.shape.count) + 1
                ),
            ));
        }
        Ok(self.shape.heap + u64::from(cluster - FIRST) * u64::from(self.shape.size))
    }

    /// The cluster in which a byte lies, if one does.
    pub(crate) fn around(&self, place: u64) -> Option<u32> {
        let number = place.checked_sub(self.shape.heap)? / u64::from(self.shape.size);
        let number = u32::try_from(number).ok()?.checked_add(FIRST)?;
        self.holds(number).then_some(number)
    }

    /// The cluster behind this one; `None` behind the last.
    pub(crate) fn next(&self, cluster: u32) -> Result<Option<u32>> {
        self.place(cluster)?;
        let mut link = self.link(self.shape.table, cluster);
        if !matches!(link, Ok(Link::Next(_) | Link::End))
            && let Some(other) = self.shape.other
            && let Ok(found @ (Link::Next(_) | Link::End)) = self.link(other, cluster)
        {
            link = Ok(found);
        }
        match link? {
            Link::Next(next) => Ok(Some(next)),
            Link::End => Ok(None),
            Link::Senseless(is) => Err(Error::damaged(
                format!("FAT entry of cluster {cluster}"),
                format!("it is part of a chain, and {is}"),
            )),
        }
    }

    fn link(&self, table: u64, cluster: u32) -> Result<Link> {
        let number = u64::from(cluster);
        let value = match self.shape.width {
            Width::Fat12 => {
                let pair = self.entry(table + number * 3 / 2, 2)?;
                if number % 2 == 0 {
                    pair & 0xfff
                } else {
                    pair >> 4
                }
            }
            Width::Fat16 => self.entry(table + number * 2, 2)?,
            Width::Fat32 => self.entry(table + number * 4, 4)? & 0x0fff_ffff,
            Width::ExFat => self.entry(table + number * 4, 4)?,
        };
        let last = match self.shape.width {
            Width::Fat12 => 0xff8,
            Width::Fat16 => 0xfff8,
            Width::Fat32 => 0x0fff_fff8,
            Width::ExFat => 0xffff_ffff,
        };
        Ok(match value {
            0 => Link::Senseless("is marked as free".to_owned()),
            value if self.holds(value) => Link::Next(value),
            value if value >= last => Link::End,
            value => Link::Senseless(format!("leads to {value:#x}, which is no cluster")),
        })
    }

    fn entry(&self, place: u64, len: usize) -> Result<u32> {
        let mut bytes = [0; 4];
        let (field, _) = bytes.split_at_mut(len);
        self.cached.read_at(place, field)?;
        Ok(le(&bytes, 0, len) as u32)
    }
}
