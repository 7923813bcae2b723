//! The file system's own addresses: tree blocks and data by them, each checked, from the first copy that is
//! whole.

use std::sync::{Arc, Mutex, PoisonError};

use super::chunk::Chunk;
use super::cursor::{Cursor, exact, last_of};
use super::items::RootItem;
use super::superblock::{self, Superblock};
use super::tree::{Block, Key, Pointer, Tree};
use crate::error::{Error, Result};
use crate::fs::Device;
use crate::recent::Recent;

/// Bytes of tree blocks that are kept.
const KEPT: usize = 8 << 20;
/// Subvolumes whose roots are kept.
const KEPT_ROOTS: usize = 64;
/// The most bytes whose checksums are looked at together.
const PIECE: u64 = 1 << 20;

/// The object and kind of checksums of data.
const SUMS_KEY: (u64, u8) = (-10_i64 as u64, 128);
const ROOT_ITEM: u8 = 132;

/// Trees and data by addresses.
pub(super) struct Volume {
    device: Device,
    pub(super) superblock: Superblock,
    kept: Mutex<Recent<Arc<Block>>>,
    roots: Mutex<Recent<RootItem>>,
    sums: Option<Tree>,
}

impl Volume {
    pub(super) fn open(device: Device) -> Result<Self> {
        let superblock = superblock::read(&device)?;
        let kept = Mutex::new(Recent::new(KEPT / superblock.node as usize));
        let roots = Mutex::new(Recent::new(KEPT_ROOTS));
        let mut volume = Self {
            device,
            superblock,
            kept,
            roots,
            sums: None,
        };
        let sums = volume.root(Tree::SUMS)?;
        volume.sums = Some(sums.tree);
        Ok(volume)
    }

    pub(super) fn device_len(&self) -> u64 {
        self.device.len()
    }

    /// The root of a tree.
    pub(super) fn root(&self, id: u64) -> Result<RootItem> {
        let roots = || self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = roots().get(id) {
            return Ok(root);
        }
        // A snapshot's has its generation as offset.
        let key = Key::new(id, ROOT_ITEM, u64::MAX);
        let found = last_of(self, self.superblock.roots, key)?;
        let found = found.ok_or_else(|| Error::NotFound(format!("btrfs tree {id}")))?;
        let root = RootItem::parse(id, found.bytes())?;
        roots().put(id, root);
        Ok(root)
    }

    /// A block of `tree`.
    pub(super) fn block(&self, pointer: &Pointer, tree: u64) -> Result<Arc<Block>> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = kept().get(pointer.at) {
            block.check(pointer, tree)?;
            return Ok(block);
        }
        let at = pointer.at;
        let len = u64::from(self.superblock.node);
        // What leads to all chunks is itself in those that the superblock tells.
        let chunk = match self.system(at) {
            Some(chunk) => chunk.clone(),
            None if tree == Tree::CHUNKS => {
                let why = "it is in no system chunk";
                return Err(Error::damaged(format!("btrfs tree block {at}"), why));
            }
            None => self.chunk(at)?,
        };
        if chunk.range.end - at < len {
            let why = "it runs over the end of its chunk";
            return Err(Error::damaged(format!("btrfs tree block {at}"), why));
        }
        let mut failed = None;
        for place in chunk.places(self.superblock.device, at)? {
            let mut bytes = vec![0; len as usize];
            let block = self.read(place, &mut bytes);
            let block = block.and_then(|()| Block::parse(bytes, at, &self.superblock));
            match block.and_then(|block| block.check(pointer, tree).map(|()| block)) {
                Ok(block) => {
                    let block = Arc::new(block);
                    kept().put(at, block.clone());
                    return Ok(block);
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or_else(|| Error::damaged("btrfs chunk", "it has no stripe")))
    }

    fn system(&self, address: u64) -> Option<&Chunk> {
        let mut chunks = self.superblock.system.iter();
        chunks.find(|chunk| chunk.range.start <= address && address < chunk.range.end)
    }

    fn chunk(&self, address: u64) -> Result<Chunk> {
        if let Some(chunk) = self.system(address) {
            return Ok(chunk.clone());
        }
        let (id, kind) = Chunk::KEY;
        let found = last_of(self, self.superblock.chunks, Key::new(id, kind, address))?;
        let chunk = found.map(|found| Chunk::parse(found.key, found.bytes()));
        match chunk.transpose()? {
            Some((chunk, _)) if address < chunk.range.end => Ok(chunk),
            _ => {
                let why = format!("nothing is at the address {address}");
                Err(Error::damaged("btrfs chunk tree", why))
            }
        }
    }

    fn read(&self, place: u64, bytes: &mut [u8]) -> Result<()> {
        Ok(self.device.read_at(place, bytes)?)
    }

    /// Fills `buf` with data from `address` on; with `summed`, only with what its checksums fit.
    pub(super) fn data(&self, address: u64, buf: &mut [u8], summed: bool) -> Result<()> {
        let (mut at, mut rest) = (address, buf);
        while !rest.is_empty() {
            let chunk = self.chunk(at)?;
            let len = (chunk.range.end - at).min(PIECE).min(rest.len() as u64);
            let (now, later) = std::mem::take(&mut rest).split_at_mut(len as usize);
            let places = chunk.places(self.superblock.device, at)?;
            match summed {
                true => self.summed(&chunk, at, &places, now)?,
                false => match places.first() {
                    Some(place) => self.read(*place, now)?,
                    None => return Err(Error::damaged("btrfs chunk", "it has no stripe")),
                },
            }
            rest = later;
            at += len;
        }
        Ok(())
    }

    /// Fills `buf` with data of one chunk from the first copy whose checksums fit.
    fn summed(&self, chunk: &Chunk, at: u64, places: &[u64], buf: &mut [u8]) -> Result<()> {
        let sector = u64::from(self.superblock.sector);
        let before = at % sector;
        let end = (at + buf.len() as u64).checked_next_multiple_of(sector);
        let start = at - before;
        let within = |end: &u64| start >= chunk.range.start && *end <= chunk.range.end;
        let Some(end) = end.filter(within) else {
            let why = format!("data at {at} lies across its end");
            return Err(Error::damaged("btrfs chunk", why));
        };
        let sums = self.sums_of(start, (end - start) / sector)?;
        let mut whole = match end - start == buf.len() as u64 {
            true => Vec::new(),
            false => vec![0; (end - start) as usize],
        };
        let mut failed = None;
        for place in places {
            let place = place.saturating_sub(before);
            let into = match whole.is_empty() {
                true => &mut *buf,
                false => &mut whole,
            };
            match self
                .read(place, into)
                .and_then(|()| self.fit(start, into, &sums))
            {
                Ok(()) => {
                    if let Some(part) = whole.get(before as usize..before as usize + buf.len()) {
                        buf.copy_from_slice(part);
                    }
                    return Ok(());
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or_else(|| Error::damaged("btrfs chunk", "it has no stripe")))
    }

    fn fit(&self, start: u64, bytes: &[u8], sums: &[u8]) -> Result<()> {
        let sum = self.superblock.sum;
        let sector = self.superblock.sector as usize;
        let sectors = bytes.chunks(sector).zip(sums.chunks(sum.len()));
        for (number, (bytes, should)) in sectors.enumerate() {
            if !sum.fits(bytes, should) {
                let at = start + (number * sector) as u64;
                let why = "its checksum does not fit";
                return Err(Error::damaged(format!("btrfs data at {at}"), why));
            }
        }
        Ok(())
    }

    /// The checksums of so many sectors.
    fn sums_of(&self, start: u64, sectors: u64) -> Result<Vec<u8>> {
        let (id, kind) = SUMS_KEY;
        let sector = u64::from(self.superblock.sector);
        let size = self.superblock.sum.len();
        let want = sectors as usize * size;
        let mut sums = Vec::with_capacity(want);
        let none = |at: u64| {
            let why = "it has no checksum, and should have one";
            Error::damaged(format!("btrfs data at {at}"), why)
        };
        let tree = self.sums.ok_or_else(|| none(start))?;
        while sums.len() < want {
            let at = start + (sums.len() / size) as u64 * sector;
            let found = last_of(self, tree, Key::new(id, kind, at))?;
            let found = found.ok_or_else(|| none(at))?;
            let from = (at - found.key.offset) / sector * size as u64;
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            let there = found.bytes().get(from..).unwrap_or_default();
            let there = &there[..there.len() / size * size];
            if there.is_empty() || !(at - found.key.offset).is_multiple_of(sector) {
                return Err(none(at));
            }
            sums.extend_from_slice(&there[..there.len().min(want - sums.len())]);
        }
        Ok(sums)
    }

    pub(super) fn find(&self, tree: Tree, key: Key) -> Result<Option<super::cursor::Found>> {
        exact(self, tree, key)
    }

    pub(super) fn find_last(&self, tree: Tree, key: Key) -> Result<Option<super::cursor::Found>> {
        last_of(self, tree, key)
    }

    pub(super) fn from(&self, tree: Tree, key: Key) -> Result<Cursor<'_>> {
        Cursor::new(self, tree, key)
    }
}
