//! Blocks of trees, checked: checksum, place, owner, generation, level and order of keys.

use std::fmt;
use std::ops::Range;

use super::raw::Raw;
use super::superblock::Superblock;
use crate::error::{Error, Result};

/// Levels above a leaf.
const MOST_LEVELS: u8 = 7;
/// Bytes before the items of a block.
const HEADER: usize = 101;

/// By what an item is found, and in what order items are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// The object: an inode, a tree.
    pub(super) id: u64,
    /// What is told of it.
    pub(super) kind: u8,
    /// Which of these.
    pub(super) offset: u64,
}

impl Key {
    pub(super) const LEN: usize = 17;

    pub(super) fn new(id: u64, kind: u8, offset: u64) -> Self {
        Self { id, kind, offset }
    }

    pub(super) fn parse(raw: &Raw<'_>, at: usize) -> Result<Self> {
        Ok(Self {
            id: raw.le64(at)?,
            kind: raw.byte(at + 8)?,
            offset: raw.le64(at + 9)?,
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} {} {})", self.id, self.kind, self.offset)
    }
}

/// A tree, by its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tree {
    /// Its number.
    pub(super) id: u64,
    /// Where its root is.
    pub(super) at: u64,
    /// The root's generation.
    pub(super) generation: u64,
    /// The root's level.
    pub(super) level: u8,
}

impl Tree {
    /// The tree of trees.
    pub(super) const ROOTS: u64 = 1;
    /// The tree of chunks.
    pub(super) const CHUNKS: u64 = 3;
    /// The subvolume that is always there.
    pub(super) const TOP: u64 = 5;
    /// The tree of checksums.
    pub(super) const SUMS: u64 = 7;
    /// Numbers of the other subvolumes.
    pub(super) const SUBVOLUMES: Range<u64> = 256..u64::MAX - 254;

    /// Whether a number is one of a subvolume.
    pub(super) fn is_subvolume(id: u64) -> bool {
        id == Self::TOP || Self::SUBVOLUMES.contains(&id)
    }

    pub(super) fn root(self) -> Pointer {
        Pointer {
            at: self.at,
            generation: self.generation,
            level: self.level,
            first: None,
        }
    }
}

/// What is known of a block before it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pointer {
    pub(super) at: u64,
    generation: u64,
    level: u8,
    first: Option<Key>,
}

/// A block whose bytes are what was written there.
pub(super) struct Block {
    at: u64,
    generation: u64,
    owner: u64,
    level: u8,
    bytes: Vec<u8>,
    keys: Vec<Key>,
    /// Of a leaf where the items are, of others places and generations of blocks below.
    below: Below,
}

enum Below {
    Items(Vec<Range<usize>>),
    Blocks(Vec<(u64, u64)>),
}

impl Block {
    /// Takes the bytes at address `at` for a block.
    pub(super) fn parse(bytes: Vec<u8>, at: u64, superblock: &Superblock) -> Result<Self> {
        fn bad<T>(at: u64, why: impl Into<String>) -> Result<T> {
            Err(Error::damaged(format!("btrfs tree block {at}"), why))
        }
        let raw = Raw::new("tree block", &bytes);
        let summed = bytes.get(32..).unwrap_or_default();
        if !superblock.sum.fits(summed, &bytes) {
            return bad(at, "its checksum does not fit");
        }
        if raw.array::<16>(32)? != superblock.block_fsid {
            return bad(at, "it is another file system's");
        }
        if raw.le64(48)? != at {
            return bad(at, format!("it says that it is at {}", raw.le64(48)?));
        }
        let count = raw.le32(96)? as usize;
        let level = raw.byte(100)?;
        let size = if level == 0 { 25 } else { 33 };
        if level > MOST_LEVELS || count > (bytes.len() - HEADER) / size {
            return bad(at, format!("{count} items on level {level}"));
        }
        let mut keys = Vec::with_capacity(count);
        for number in 0..count {
            let key = Key::parse(&raw, HEADER + number * size)?;
            if keys.last().is_some_and(|last| *last >= key) {
                return bad(at, format!("the key {key} is out of order"));
            }
            keys.push(key);
        }
        let places = (0..count).map(|number| HEADER + number * size + Key::LEN);
        let below = if level == 0 {
            let items = places.map(|place| {
                let start = HEADER + raw.le32(place)? as usize;
                let end = start + raw.le32(place + 4)? as usize;
                if start < HEADER + count * size || end > bytes.len() {
                    return bad(at, format!("an item at {start}, until {end}"));
                }
                Ok(start..end)
            });
            Below::Items(items.collect::<Result<_>>()?)
        } else {
            let blocks = places.map(|at| Ok((raw.le64(at)?, raw.le64(at + 8)?)));
            Below::Blocks(blocks.collect::<Result<_>>()?)
        };
        Ok(Self {
            at,
            generation: raw.le64(80)?,
            owner: raw.le64(88)?,
            level,
            keys,
            below,
            bytes,
        })
    }

    /// Checks that it is the one that was meant, of `tree`.
    pub(super) fn check(&self, pointer: &Pointer, tree: u64) -> Result<()> {
        // Snapshots share blocks with what they were made of.
        let owned =
            self.owner == tree || Tree::is_subvolume(tree) && Tree::is_subvolume(self.owner);
        let why = if !owned {
            format!("it belongs to tree {}, and not to {tree}", self.owner)
        } else if self.generation != pointer.generation {
            let (is, should) = (self.generation, pointer.generation);
            format!("its generation is {is}, and not {should}")
        } else if self.level != pointer.level {
            format!("its level is {}, and not {}", self.level, pointer.level)
        } else if pointer.first.is_some() && self.keys.first() != pointer.first.as_ref() {
            "it does not begin with the key that the block above tells".into()
        } else if self.keys.is_empty() && (self.level > 0 || pointer.first.is_some()) {
            "it is empty".into()
        } else {
            return Ok(());
        };
        Err(Error::damaged(format!("btrfs tree block {}", self.at), why))
    }

    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The item with this number; none, if this is no leaf.
    pub(super) fn item(&self, number: usize) -> Option<(Key, &[u8])> {
        let Below::Items(items) = &self.below else {
            return None;
        };
        let bytes = self.bytes.get(items.get(number)?.clone())?;
        Some((*self.keys.get(number)?, bytes))
    }

    /// The block below with this number; none, if this is a leaf.
    pub(super) fn below(&self, number: usize) -> Option<Pointer> {
        let Below::Blocks(blocks) = &self.below else {
            return None;
        };
        let (at, generation) = *blocks.get(number)?;
        Some(Pointer {
            at,
            generation,
            level: self.level - 1,
            first: Some(*self.keys.get(number)?),
        })
    }
}
