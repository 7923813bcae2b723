//! Partition tables: MBR with logical partitions, and GPT.
//!
//! ```text
//! sector 0 ─► a file system's own boot sector, or nothing ─► no table
//!          ─► partitions                                  ─► MBR
//!          ─► a protective entry, or none at all          ─► GPT: the first header, or the last one
//! ```
//!
//! A GPT counts only where sector 0 announces it, or says nothing: the remains of one behind a newer MBR
//! are no table, for Windows and Linux alike. The exception is a sector 0 without any entry, since a lost
//! one is repaired more often than a GPT is left behind by nobody.
//!
//! Invariants:
//!
//! - Partitions lie within the disk. One that begins behind its end is left out, one that ends there is
//!   cut; both are told ([`Oddity`]).
//! - At most [`MOST`] partitions, 1 MiB of table, and 128 boot records of each extended partition are looked at.
//!
//! Sources: the UEFI specification (chapter 5, GUID partition table), and for MBR the public descriptions
//! of its layout and of extended boot records.

mod gpt;
mod kind;
mod mbr;

use std::collections::BTreeSet;
use std::fmt;

use disk::{BlockRead, ByteRange};
use uuid::Uuid;

pub use kind::Kind;

/// No table is believed to have more.
pub const MOST: usize = 1024;

/// The partitions of a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// How they are written down.
    pub scheme: Scheme,
    /// In the order of their numbers.
    pub partitions: Vec<Partition>,
    /// What is not as it should be.
    pub oddities: BTreeSet<Oddity>,
}

/// How partitions are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Not at all: the disk may be one file system.
    None,
    /// In sector 0.
    Mbr {
        /// What Windows knows the disk by.
        signature: u32,
    },
    /// As UEFI wants it.
    Gpt {
        /// What the disk is known by.
        id: Uuid,
        /// The unit in which it counts: not always that of the disk.
        sector: u32,
    },
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1; logical partitions of an MBR from 5.
    pub number: u32,
    /// Where it lies on the disk, in bytes.
    pub range: ByteRange,
    /// What the table says that it is for.
    pub kind: Kind,
    /// Its own id; an MBR gives none.
    pub id: Option<Uuid>,
    /// Its name; empty in an MBR.
    pub name: String,
}

/// What is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oddity {
    /// A GPT is announced, and neither copy of it is whole.
    GptLost,
    /// The first copy of the GPT is not whole: the last one was read.
    FirstCopyLost,
    /// The last copy is not at the end of the disk: it may have been enlarged.
    LastCopyLost,
    /// No entry in sector 0 announces the GPT.
    NotAnnounced,
    /// It counts in sectors of another size than the disk's own: the disk was converted.
    OtherSectors,
    /// This partition begins behind the end of the disk.
    Outside(u32),
    /// This partition ends behind the end of the disk.
    Cut(u32),
    /// Extended boot records lead nowhere, or in a circle.
    BrokenChain,
    /// There are more than are looked at.
    TooMany,
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GptLost => f.write_str("a GPT is announced, and neither copy of it is whole"),
            Self::FirstCopyLost => f.write_str("the first copy of its GPT is not whole"),
            Self::LastCopyLost => f.write_str("the last copy of its GPT is not at its end"),
            Self::NotAnnounced => f.write_str("no entry in its first sector announces its GPT"),
            Self::OtherSectors => f.write_str("its GPT counts in sectors of another size"),
            Self::Outside(number) => write!(f, "partition {number} begins behind its end"),
            Self::Cut(number) => write!(f, "partition {number} ends behind its end"),
            Self::BrokenChain => f.write_str("extended boot records lead nowhere, or in a circle"),
            Self::TooMany => f.write_str("it has more partitions than are looked at"),
        }
    }
}

impl Table {
    /// Reads the table of a disk.
    ///
    /// # Errors
    /// When the disk cannot be read. A disk without a table is none.
    pub fn read(disk: &dyn BlockRead) -> disk::Result<Self> {
        let mut table = Self {
            scheme: Scheme::None,
            partitions: Vec::new(),
            oddities: BTreeSet::new(),
        };
        let announced = match mbr::read(disk, &mut table)? {
            mbr::Found::Table | mbr::Found::FileSystem => return Ok(table),
            mbr::Found::Protective => true,
            mbr::Found::Nothing => false,
        };
        if gpt::read(disk, &mut table)? {
            if !announced {
                table.oddities.insert(Oddity::NotAnnounced);
            }
        } else if announced {
            table.oddities.insert(Oddity::GptLost);
        }
        Ok(table)
    }

    /// Whether the disk is a dynamic disk of Windows' volume manager, whose volumes may lie on several.
    pub fn is_dynamic(&self) -> bool {
        self.partitions.iter().any(|one| one.kind.is_dynamic())
    }

    /// Takes a partition in, as far as it lies on the disk.
    fn push(&mut self, disk_len: u64, mut partition: Partition) {
        let number = partition.number;
        if self.partitions.len() >= MOST {
            self.oddities.insert(Oddity::TooMany);
        } else if partition.range.start >= disk_len {
            self.oddities.insert(Oddity::Outside(number));
        } else {
            if partition.range.end > disk_len {
                self.oddities.insert(Oddity::Cut(number));
                partition.range.end = disk_len;
            }
            self.partitions.push(partition);
        }
    }
}

/// Little-endian numbers out of a structure of fixed size; what is not there is zero.
pub(crate) fn le(bytes: &[u8], at: usize, len: usize) -> u64 {
    let field = bytes.get(at..at.saturating_add(len)).unwrap_or_default();
    let number = field.iter().rev();
    number.fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}
