//! Indexes: B+trees of keys, by which folders find names and `$Secure` finds descriptors.
//!
//! The root is an attribute in the record (`$INDEX_ROOT`), all other nodes are blocks of
//! `$INDEX_ALLOCATION`. An entry of a node that has children leads to what comes before it. Nodes that are
//! met are counted, so that a circle is an error and not a loop.

use std::cmp::Ordering;

use super::attribute::{INDEX_ALLOCATION, INDEX_ROOT};
use super::file::File;
use super::fixup;
use super::le::{byte, le16, le32, le64};
use super::stored::{Body, Clusters};
use super::volume::{Via, Volume};
use crate::error::{Error, Result};

/// Levels that an index may have: with two entries to a node this is beyond any volume.
const DEEPEST: usize = 32;
/// Bytes of a block.
const MOST_BLOCK: u32 = 64 << 10;

/// An index of a file.
pub(super) struct Index<'a> {
    volume: &'a Volume,
    what: String,
    root: Vec<u8>,
    blocks: Option<Clusters>,
    block: u32,
    /// Bytes by which places of blocks are counted.
    step: u64,
}

/// What an entry says.
pub(super) struct Found {
    /// Of a folder: which record has the file.
    pub(super) reference: u64,
    pub(super) key: Vec<u8>,
    /// Of other indexes: what belongs to the key.
    pub(super) data: Vec<u8>,
}

struct Node {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
}

#[derive(Clone, Copy)]
struct Slot {
    from: usize,
    len: usize,
    key: usize,
    child: Option<u64>,
    last: bool,
}

impl Node {
    fn key(&self, slot: &Slot) -> &[u8] {
        let from = slot.from + 0x10;
        self.bytes.get(from..from + slot.key).unwrap_or_default()
    }

    fn found(&self, slot: &Slot) -> Found {
        let entry = self
            .bytes
            .get(slot.from..slot.from + slot.len)
            .unwrap_or_default();
        let (from, len) = (usize::from(le16(entry, 0)), usize::from(le16(entry, 2)));
        Found {
            reference: le64(entry, 0),
            key: self.key(slot).to_vec(),
            data: entry.get(from..from + len).unwrap_or_default().to_vec(),
        }
    }
}

impl<'a> Index<'a> {
    /// Opens the index of this name; `None` if the file has none.
    pub(super) fn open(volume: &'a Volume, file: &File, name: &str) -> Result<Option<Self>> {
        let what = format!("index {name} of MFT record {}", file.record().number());
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let Some(root) = file.stored(volume, INDEX_ROOT, &name)? else {
            return Ok(None);
        };
        let Body::Resident(root) = root.body else {
            return Err(Error::damaged(what, "its root is not in the record"));
        };
        let block = le32(&root, 8);
        if !block.is_power_of_two() || !(512..=MOST_BLOCK).contains(&block) {
            return Err(Error::damaged(what, format!("blocks of {block} bytes")));
        }
        let blocks = match file
            .stored(volume, INDEX_ALLOCATION, &name)?
            .map(|stored| stored.body)
        {
            None => None,
            Some(Body::Clusters(blocks)) => Some(blocks),
            Some(Body::Resident(_)) => {
                return Err(Error::damaged(what, "its blocks are in the record"));
            }
        };
        let cluster = volume.boot().cluster;
        Ok(Some(Self {
            volume,
            what,
            root,
            blocks,
            block,
            step: if u64::from(block) >= cluster {
                cluster
            } else {
                512
            },
        }))
    }

    fn damaged(&self, why: impl Into<String>) -> Error {
        Error::damaged(self.what.clone(), why)
    }

    /// All entries, in the order of keys.
    pub(super) fn walk(&self) -> Result<Walk<'_>> {
        self.from(&|_| Ordering::Greater)
    }

    /// Entries from the first on whose key is not less than what is looked for.
    pub(super) fn from(&self, compare: &dyn Fn(&[u8]) -> Ordering) -> Result<Walk<'_>> {
        let mut walk = Walk {
            index: self,
            path: Vec::new(),
            met: 0,
        };
        let root = self.parse(self.root.clone(), 0x10)?;
        walk.enter(root, compare)?;
        Ok(walk)
    }

    fn node(&self, place: u64) -> Result<Node> {
        let offset = place.checked_mul(self.step);
        let end = offset.and_then(|offset| offset.checked_add(u64::from(self.block)));
        let blocks = self.blocks.as_ref().zip(offset.zip(end));
        let Some((blocks, (offset, _))) = blocks.filter(|(blocks, (_, end))| *end <= blocks.len)
        else {
            return Err(self.damaged(format!("a node at {place}, behind its end")));
        };
        let mut bytes = vec![0; self.block as usize];
        blocks.read(self.volume, Via::Kept, offset, &mut bytes)?;
        fixup::mend(&mut bytes, b"INDX", &|| {
            format!("node at {place} of {}", self.what)
        })?;
        if le64(&bytes, 0x10) != place {
            let why = format!(
                "the node at {place} says that it is at {}",
                le64(&bytes, 0x10)
            );
            return Err(self.damaged(why));
        }
        self.parse(bytes, 0x18)
    }

    /// Parses a node whose header is at `header`.
    fn parse(&self, bytes: Vec<u8>, header: usize) -> Result<Node> {
        let fields = bytes.get(header..).unwrap_or_default();
        let from = header.saturating_add(le32(fields, 0) as usize);
        let end = header.saturating_add(le32(fields, 4) as usize);
        let children = byte(fields, 12) & 1 != 0;
        if fields.len() < 16 || end > bytes.len() {
            return Err(self.damaged(format!("a node up to {end} of {}", bytes.len())));
        }
        let mut slots = Vec::new();
        let mut at = from;
        loop {
            let entry = bytes.get(at..end).unwrap_or_default();
            let (len, key) = (usize::from(le16(entry, 8)), usize::from(le16(entry, 10)));
            let flags = le16(entry, 12);
            let (child, last) = (flags & 1 != 0, flags & 2 != 0);
            let least = 0x10 + if last { 0 } else { key } + if child { 8 } else { 0 };
            if entry.len() < 0x10 || len > entry.len() || len < least || !len.is_multiple_of(8) {
                return Err(self.damaged(format!("an entry of {len} bytes at {at} of {end}")));
            }
            if child && !children {
                return Err(self.damaged(format!("an entry at {at} with children, in a leaf")));
            }
            slots.push(Slot {
                from: at,
                len,
                key: if last { 0 } else { key },
                child: child.then(|| le64(entry, len - 8)),
                last,
            });
            if last {
                return Ok(Node { bytes, slots });
            }
            at += len;
        }
    }
}

/// A way through an index.
pub(super) struct Walk<'a> {
    index: &'a Index<'a>,
    /// Nodes from the root on, each with the entry that comes next; what comes before it has been met.
    path: Vec<(Node, usize)>,
    met: u64,
}

impl Walk<'_> {
    /// Goes down to the first entry that is not less than what is looked for.
    fn enter(&mut self, node: Node, compare: &dyn Fn(&[u8]) -> Ordering) -> Result<()> {
        let mut node = node;
        loop {
            let less = |slot: &Slot| !slot.last && compare(node.key(slot)) == Ordering::Less;
            // Parsed nodes end with a last entry, which is never less.
            let at = node.slots.iter().take_while(|slot| less(slot)).count();
            let child = node.slots.get(at).and_then(|slot| slot.child);
            self.path.push((node, at));
            let Some(child) = child else { return Ok(()) };
            node = self.child(child)?;
        }
    }

    fn child(&mut self, place: u64) -> Result<Node> {
        let index = self.index;
        let boot = index.volume.boot();
        let len = index.blocks.as_ref().map_or(0, |blocks| blocks.len);
        // A size may lie; no volume has more nodes than bytes for them.
        let most = len.min(boot.clusters * boot.cluster) / u64::from(index.block);
        self.met += 1;
        if self.met > most || self.path.len() > DEEPEST {
            return Err(index.damaged("its nodes lead in a circle"));
        }
        index.node(place)
    }

    /// The next entry.
    pub(super) fn next(&mut self) -> Result<Option<Found>> {
        loop {
            let Some((node, at)) = self.path.last_mut() else {
                return Ok(None);
            };
            let Some(slot) = node.slots.get(*at).filter(|slot| !slot.last) else {
                self.path.pop();
                continue;
            };
            let found = node.found(slot);
            *at += 1;
            let child = node.slots.get(*at).and_then(|slot| slot.child);
            if let Some(child) = child {
                let child = self.child(child)?;
                self.enter(child, &|_| Ordering::Greater)?;
            }
            return Ok(Some(found));
        }
    }
}
