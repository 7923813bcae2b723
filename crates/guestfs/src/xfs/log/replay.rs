//! What is left of a log when its transactions are taken in order.

use std::collections::{HashMap, HashSet};

use disk::BlockRead as _;

use super::super::volume::Volume;
use super::changes::Changes;
use super::head;
use super::item::{Buffer, Create, InodeItem, What};
use super::record::{Reader, Record};
use super::ring::Ring;
use super::transaction::{Item, MOST, Open, Transaction};
use crate::error::{Error, Result};

/// Steps that give a file what an earlier one took from it: of extents, of attributes, of what two files
/// exchange.
const MOVES: [u16; 3] = [0x1244, 0x1246, 0x1248];
/// Bytes that a bit of a buffer's map stands for.
const CHUNK: u32 = 128;

/// What a log comes to.
pub(super) struct Replayed {
    pub(super) changes: Changes,
    /// Steps that were to be taken, and of which the log does not say that they were.
    pub(super) open: usize,
    /// Whether one of these is of a file that has lost what it had and has not yet what it gets.
    pub(super) halfway: bool,
    /// Whether transactions were begun and not committed: they never were.
    pub(super) unfinished: bool,
}

/// Takes in the log from its tail to its end.
pub(super) fn replay(volume: &Volume, ring: Ring, tail: u64, end: u32) -> Result<Replayed> {
    let mut run = Run {
        volume,
        reader: Reader {
            device: volume.cached(),
            ring,
        },
        cancelled: HashMap::new(),
        begun: HashSet::new(),
        changes: Changes::new(ring),
    };
    run.walk(tail, end, &mut Run::note_cancelled)?;
    let unfinished = run.walk(tail, end, &mut Run::apply)?;
    Ok(Replayed {
        changes: run.changes,
        open: run.begun.len(),
        halfway: run.begun.iter().any(|(kind, _)| MOVES.contains(kind)),
        unfinished,
    })
}

/// The items of a transaction, and what they are.
type Told = Vec<(Item, What)>;

struct Run<'a> {
    volume: &'a Volume,
    reader: Reader<'a>,
    /// Blocks that are freed, by place and length, and how often.
    cancelled: HashMap<(u64, u32), u32>,
    /// Steps that are open.
    begun: HashSet<(u16, u64)>,
    changes: Changes,
}

impl Run<'_> {
    /// Goes through all records, and calls `each` for the items of every transaction that was committed.
    /// Whether there are others.
    fn walk(
        &mut self,
        tail: u64,
        end: u32,
        each: &mut dyn FnMut(&mut Self, u64, Told) -> Result<()>,
    ) -> Result<bool> {
        let Reader { ring, .. } = self.reader;
        let mut at = tail as u32;
        let mut cycle = (tail >> 32) as u32;
        if at >= ring.len {
            return Err(Error::damaged("log", format!("its tail is at sector {at}")));
        }
        let mut left = match ring.distance(at, end) {
            0 => ring.len,
            distance => distance,
        };
        let mut open = Open::default();
        while left > 0 {
            let record = Record::header(self.volume, ring, at)?.filter(|one| one.cycle == cycle);
            let record = record.ok_or_else(|| {
                Error::damaged(
                    "log",
                    format!("no record of round {cycle} is at sector {at}"),
                )
            })?;
            record.check_format()?;
            let operations = record.operations(self.volume, ring)?;
            let operations = operations.ok_or_else(|| record.broken())?;
            let reader = self.reader;
            open.take(&reader, &record, &operations, &mut |whole| {
                let Transaction { lsn, items, .. } = whole;
                let mut told = Vec::with_capacity(items.len());
                for mut item in items {
                    if !item.is_whole(&reader)? {
                        return Err(Error::damaged("log", "an item has lost a region"));
                    }
                    let what = What::of(&item.first(&reader)?)?;
                    told.push((item, what));
                }
                each(self, lsn, told)
            })?;
            left = left
                .checked_sub(record.sectors())
                .ok_or_else(|| record.broken())?;
            cycle = head::expected(ring, &record);
            at = ring.after(at, record.sectors());
        }
        Ok(!open.is_empty())
    }

    fn note_cancelled(&mut self, _: u64, items: Told) -> Result<()> {
        for (_, what) in items {
            if let What::Buffer(buffer) = what
                && buffer.cancel
            {
                *self.cancelled.entry((buffer.at, buffer.len)).or_default() += 1;
            }
        }
        self.check_count()
    }

    fn check_count(&self) -> Result<()> {
        let count = self.cancelled.len() + self.begun.len() + self.changes.pieces();
        if count > MOST {
            let why = format!("more than {MOST} changes in its log");
            return Err(Error::Unsupported(why));
        }
        Ok(())
    }

    fn is_cancelled(&self, at: u64, len: u32) -> bool {
        self.cancelled.contains_key(&(at, len))
    }

    /// Blocks and new inodes, then inodes, then what is cancelled: the order of the kernel, whatever the
    /// order in the transaction.
    fn apply(&mut self, lsn: u64, items: Told) -> Result<()> {
        for (item, what) in &items {
            match what {
                What::Buffer(buffer) if !buffer.cancel => self.buffer(lsn, item, buffer)?,
                What::Create(create) => self.create(create)?,
                _ => {}
            }
        }
        for (item, what) in &items {
            match what {
                What::Inode(inode) => self.inode(lsn, item, inode)?,
                What::Begin(kind, number) => {
                    self.begun.insert((*kind, *number));
                }
                What::End(kind, number) => {
                    self.begun.remove(&(*kind, *number));
                }
                _ => {}
            }
        }
        for (_, what) in &items {
            if let What::Buffer(Buffer {
                at,
                len,
                cancel: true,
                ..
            }) = what
                && let Some(count) = self.cancelled.get_mut(&(*at, *len))
            {
                *count -= 1;
                if *count == 0 {
                    self.cancelled.remove(&(*at, *len));
                }
            }
        }
        self.check_count()
    }

    fn buffer(&mut self, lsn: u64, item: &Item, buffer: &Buffer) -> Result<()> {
        if !buffer.used || self.is_cancelled(buffer.at, buffer.len) {
            return Ok(());
        }
        let damaged = |why: String| Error::damaged("log", why);
        let at = buffer.at.checked_mul(512);
        let len = u64::from(buffer.len) * 512;
        let inside = at.filter(|at| at.saturating_add(len) <= self.volume.device.len());
        let at = inside.ok_or_else(|| damaged(format!("sector {} is not there", buffer.at)))?;
        if self.volume.sb.sums && self.written(at)?.is_some_and(|on_disk| on_disk >= lsn) {
            return Ok(());
        }
        let runs = buffer.runs();
        let mut regions = item.regions.iter().skip(1);
        // A run may be stored in several regions.
        for (mut first, mut count) in runs {
            while count > 0 {
                let region = regions.next();
                let region = region.ok_or_else(|| damaged("a block has lost a region".into()))?;
                let stored =
                    u32::try_from(region.len()).map_or(count, |len| (len / CHUNK).min(count));
                if stored == 0 || u64::from(first + stored) * u64::from(CHUNK) > len {
                    return Err(damaged(format!(
                        "a region does not fit block {}",
                        buffer.at
                    )));
                }
                let start = at + u64::from(first) * u64::from(CHUNK);
                self.changes.put(start, stored * CHUNK, region.pieces());
                first += stored;
                count -= stored;
            }
        }
        Ok(())
    }

    /// The place in the log up to which a block on the disk has all changes, if it says so. Blocks that do
    /// not are taken from the log.
    fn written(&self, at: u64) -> Result<Option<u64>> {
        let mut bytes = [0; 512];
        self.volume.cached().read_at(at, &mut bytes)?;
        if !self.volume.sb.sums {
            // As it is by now: its place may have been given away and made anew.
            self.changes.patch(self.volume.cached(), at, &mut bytes)?;
        }
        let (lsn, uuid) = match bytes {
            [b'B', b'M', b'A', b'3', ..] => (32, 40),
            [b'X', b'D', b'B' | b'D' | b'F', b'3', ..] => (16, 24),
            [b'X', b'S', b'L', b'M', ..] => (48, 16),
            [b'X', b'F', b'S', b'B', ..] => (240, 32),
            [_, _, _, _, _, _, _, _, 0x3d, 0xf1 | 0xff, ..]
            | [_, _, _, _, _, _, _, _, 0x3e, 0xbe, ..]
            | [_, _, _, _, _, _, _, _, 0x3b, 0xee, ..] => (24, 32),
            _ => return Ok(None),
        };
        let block = super::super::block::Block::new("block".into(), bytes.to_vec(), false);
        let sb = &self.volume.sb;
        let ours = if lsn == 240 { &sb.uuid } else { &sb.meta_uuid };
        let said = block.be64(lsn)?;
        let valid = block.slice(uuid, 16)? == ours && said != 0 && said != u64::MAX;
        Ok(valid.then_some(said))
    }

    fn create(&mut self, create: &Create) -> Result<()> {
        let sb = &self.volume.sb;
        let Create {
            group,
            block,
            count,
            len,
        } = *create;
        let first = u64::from(group) << sb.ag_block_log | u64::from(block);
        let start = sb.bytes_of(first, len.into());
        let fits = u64::from(count) <= u64::from(len) << sb.inodes_log;
        let start = start.filter(|_| fits && len <= 4096);
        let start = start.ok_or_else(|| Error::damaged("log", "new inodes are not on the disk"))?;
        let cluster = sb.cluster();
        let sectors = cluster << sb.block_log >> 9;
        let clusters = (0..len.div_ceil(cluster)).map(u64::from);
        let mut places = clusters.map(|index| (start >> 9) + index * u64::from(sectors));
        if places.any(|place| self.is_cancelled(place, sectors)) {
            return Ok(());
        }
        self.changes
            .create(first << sb.inodes_log, u64::from(count));
        Ok(())
    }

    fn inode(&mut self, lsn: u64, item: &Item, inode: &InodeItem) -> Result<()> {
        let (block, len) = inode.block;
        if self.is_cancelled(block, len) {
            return Ok(());
        }
        let sb = &self.volume.sb;
        let at = sb.byte_of_inode(inode.number);
        let at = at.ok_or_else(|| {
            Error::damaged("log", format!("inode {} is not on the disk", inode.number))
        })?;
        let begun = self.changes.has_inode(inode.number);
        if !begun && !self.is_older(lsn, item, at)? {
            return Ok(());
        }
        self.changes.put_inode(inode, item)
    }

    /// Whether an inode on the disk is older than one in the log.
    fn is_older(&self, lsn: u64, item: &Item, at: u64) -> Result<bool> {
        let mut bytes = [0; 120];
        self.volume.cached().read_at(at, &mut bytes)?;
        let block = super::super::block::Block::new("inode".into(), bytes.to_vec(), false);
        if block.slice(0, 2)? != b"IN" {
            return Ok(true);
        }
        if self.volume.sb.sums {
            let said = block.be64(112)?;
            return Ok(said == 0 || said == u64::MAX || said <= lsn);
        }
        // A count of writes, which begins again at nought.
        let region = item.regions.get(1).map(|region| region.read(&self.reader));
        let core = region.transpose()?.unwrap_or_default();
        let logged = super::super::block::Block::new("log inode".into(), core, false).le16(30)?;
        let said = block.be16(30)?;
        Ok(logged >= said || said == u16::MAX && logged < u16::MAX >> 1)
    }
}
