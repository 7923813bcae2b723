//! Operations of records, put together to transactions again.
//!
//! A transaction's operations may lie in many records, among those of others; an item of it has several
//! regions, and a region that did not fit into a record goes on in the next.

use std::collections::HashMap;

use super::super::block::Block;
use super::record::{Piece, Reader, Record};
use crate::error::{Error, Result};

/// Pieces that may be known of at a time, in transactions or as changes: about 50 MiB.
pub(super) const MOST: usize = 1 << 20;
/// Regions that an item may have.
const MOST_REGIONS: u16 = 600;
const MAGIC: u32 = 0x5452_414e;
/// Bytes of what begins a transaction.
const HEADER: u32 = 16;

const START: u8 = 1;
const COMMIT: u8 = 2;
const CONTINUE: u8 = 4;
const CONTINUED: u8 = 8;
const END: u8 = 0x10;
const UNMOUNT: u8 = 0x20;

/// Bytes of the log that belong together.
#[derive(Clone, Debug, Default)]
pub(super) struct Region(Vec<Piece>);

impl Region {
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|piece| piece.len as usize).sum()
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// Reads all of it.
    pub(super) fn read(&self, reader: &Reader<'_>) -> Result<Vec<u8>> {
        let mut all = vec![0; self.len().min(1 << 20)];
        let mut rest = all.as_mut_slice();
        for piece in &self.0 {
            let len = rest.len().min(piece.len as usize);
            let (now, later) = rest.split_at_mut(len);
            piece.read(reader, now)?;
            rest = later;
        }
        Ok(all)
    }
}

/// One thing that a transaction changes, told by its first region.
#[derive(Debug, Default)]
pub(super) struct Item {
    pub(super) regions: Vec<Region>,
    /// Regions that it has; 0 until the first one is whole.
    total: u16,
}

/// What is known of a transaction until it is committed.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    /// Cycle and sector of the record in which it began.
    pub(super) lsn: u64,
    header: u32,
    pub(super) items: Vec<Item>,
}

/// Transactions that were begun.
#[derive(Default)]
pub(super) struct Open {
    by_id: HashMap<u32, Transaction>,
    pieces: usize,
}

impl Open {
    /// Whether none is left that was not committed.
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Takes in the operations of a record, and calls `commit` for each transaction that is whole.
    pub(super) fn take(
        &mut self,
        reader: &Reader<'_>,
        record: &Record,
        block: &Block,
        commit: &mut dyn FnMut(Transaction) -> Result<()>,
    ) -> Result<()> {
        let lsn = u64::from(record.cycle) << 32 | u64::from(record.at);
        let mut at = 0_u32;
        for _ in 0..record.operations {
            let header = at as usize;
            let (id, len) = (block.be32(header)?, block.be32(header + 4)?);
            let flags = block.byte(header + 9)?;
            at += 12;
            block.slice(at as usize, len as usize)?;
            let piece = Piece {
                record: record.at,
                at,
                len,
            };
            at += len;
            match self.by_id.get_mut(&id) {
                // What began before the tail is on the disk.
                None if flags & START == 0 => {}
                None => {
                    let new = Transaction {
                        lsn,
                        ..Transaction::default()
                    };
                    self.by_id.insert(id, new);
                }
                Some(open) => {
                    let mut flags = flags & !END;
                    if flags & CONTINUED != 0 {
                        flags &= !CONTINUE;
                    }
                    match flags {
                        0 | CONTINUE => open.add(reader, piece)?,
                        CONTINUED => open.go_on(piece)?,
                        COMMIT => {
                            if let Some(whole) = self.by_id.remove(&id) {
                                self.pieces = self.pieces.saturating_sub(whole.pieces());
                                commit(whole)?;
                            }
                            continue;
                        }
                        UNMOUNT => {
                            self.by_id.remove(&id);
                            continue;
                        }
                        other => {
                            return Err(block.damaged(format!("an operation has flags {other:#x}")));
                        }
                    }
                    self.pieces += 1;
                }
            }
            if self.pieces > MOST || self.by_id.len() > MOST / 16 {
                let why = format!("more than {MOST} changes at a time in its log");
                return Err(Error::Unsupported(why));
            }
        }
        Ok(())
    }
}

impl Transaction {
    fn pieces(&self) -> usize {
        let regions = self.items.iter().flat_map(|item| &item.regions);
        regions.map(|region| region.0.len()).sum()
    }

    /// A region that begins.
    fn add(&mut self, reader: &Reader<'_>, piece: Piece) -> Result<()> {
        if piece.len == 0 {
            return Ok(());
        }
        if self.header < HEADER && self.items.is_empty() {
            if self.header == 0 && piece.len >= 4 {
                let mut magic = [0; 4];
                piece.part(0, 4).read(reader, &mut magic)?;
                if u32::from_le_bytes(magic) != MAGIC {
                    return Err(Error::damaged(
                        "log",
                        "a transaction does not begin as one does",
                    ));
                }
            }
            self.header += piece.len;
            if self.header > HEADER {
                return Err(Error::damaged("log", "a transaction begins with too much"));
            }
            return Ok(());
        }
        if let Some(item) = self.items.last_mut() {
            item.count(reader)?;
        }
        match self.items.last_mut() {
            Some(item) if item.regions.len() < usize::from(item.total) => {
                item.regions.push(Region(vec![piece]));
            }
            _ => self.items.push(Item {
                regions: vec![Region(vec![piece])],
                total: 0,
            }),
        }
        Ok(())
    }

    /// The rest of the last region.
    fn go_on(&mut self, piece: Piece) -> Result<()> {
        match self
            .items
            .last_mut()
            .and_then(|item| item.regions.last_mut())
        {
            Some(region) => region.0.push(piece),
            None => self.header = self.header.saturating_add(piece.len),
        }
        Ok(())
    }
}

impl Item {
    /// Learns from the first region how many there are.
    fn count(&mut self, reader: &Reader<'_>) -> Result<()> {
        if self.total == 0 {
            let total = self.first(reader)?.le16(2)?;
            if total == 0 || total > MOST_REGIONS {
                return Err(Error::damaged(
                    "log",
                    format!("an item has {total} regions"),
                ));
            }
            self.total = total;
        }
        Ok(())
    }

    /// Its first region, which says what it is.
    pub(super) fn first(&self, reader: &Reader<'_>) -> Result<Block> {
        let bytes = match self.regions.first() {
            Some(region) if region.len() <= 4096 => region.read(reader)?,
            _ => Vec::new(),
        };
        Ok(Block::new("log item".into(), bytes, false))
    }

    /// Whether it has as many regions as it says.
    pub(super) fn is_whole(&mut self, reader: &Reader<'_>) -> Result<bool> {
        self.count(reader)?;
        Ok(self.regions.len() == usize::from(self.total))
    }
}
