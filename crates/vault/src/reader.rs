//! Reading a disk or file out of a vault.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use vault_format::map::{Leaf, Root, Target};
use vault_format::{ChunkId, NodeId};

use crate::disk_writer::Layout;
use crate::error::{Error, Result};
use crate::index::Index;
use crate::losses::Losses;
use crate::lru::Lru;
use crate::packs::{Packs, Place};
use crate::segment::{Content, SegmentBuf};
use crate::tree::Nodes;

/// Chunks of one pack that lie this close are fetched together.
const GAP: u64 = 128 << 10;
/// Most bytes fetched at once: a segment that does not compress, and some gaps.
const FETCH: u64 = 5 << 20;

pub(crate) type ChunkCache = Lru<ChunkId, Arc<Vec<u8>>>;

/// A range of a disk with one kind of content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Where on the disk.
    pub range: Range<u64>,
    /// Stored bytes, explicit zeros, or nothing stored.
    pub content: Content,
}

/// A disk or file in a vault. Cheap to clone; reads may come from many threads.
#[derive(Clone)]
pub struct DiskReader {
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) index: Arc<Index>,
    pub(crate) packs: Arc<Packs>,
    pub(crate) chunks: Arc<ChunkCache>,
    /// Where losses are noted, if they are lived with.
    pub(crate) losses: Option<Arc<Losses>>,
    root: Root,
}

impl DiskReader {
    pub(crate) fn open(
        nodes: Arc<Nodes>,
        index: Arc<Index>,
        packs: Arc<Packs>,
        chunks: Arc<ChunkCache>,
        root: &NodeId,
    ) -> Result<Self> {
        let root = nodes.root(root)?;
        Ok(Self {
            nodes,
            index,
            packs,
            chunks,
            losses: None,
            root,
        })
    }

    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.root.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.root.len == 0
    }

    /// Kind, length and sector sizes.
    pub fn layout(&self) -> Layout {
        Layout {
            kind: self.root.kind,
            len: self.root.len,
            logical_sector: self.root.logical_sector,
            physical_sector: self.root.physical_sector,
        }
    }

    /// Bytes of a segment; the last one may have less.
    pub fn segment_size(&self) -> u32 {
        self.root.segment
    }

    /// Number of segments.
    pub fn segments(&self) -> u64 {
        self.root.segments()
    }

    /// Bytes of segment `index`.
    pub fn segment_len(&self, index: u64) -> u32 {
        self.root.segment_len(index)
    }

    /// What is stored of `range`: ascending, contiguous, neighbours of one kind joined. Costs
    /// the nodes of the map, and no chunk. Blank parts of any size cost next to nothing.
    ///
    /// # Errors
    /// When the range does not lie within the disk, or nodes are missing or damaged.
    pub fn extents(&self, range: Range<u64>) -> Result<Vec<Extent>> {
        self.check(range.start, range.end.saturating_sub(range.start))?;
        let mut out: Vec<Extent> = Vec::new();
        let mut push = |range: Range<u64>, content| match out.last_mut() {
            _ if range.start >= range.end => {}
            Some(last) if last.content == content => last.range.end = range.end,
            _ => out.push(Extent { range, content }),
        };
        let mut at = range.start;
        while at < range.end {
            let (index, within) = self.segment_at(at);
            let start = index * u64::from(self.root.segment);
            let blank = match self.nodes.blank_until(&self.root, index) {
                Err(e) if self.tolerates(&e) => None,
                blank => blank?,
            };
            match blank {
                Some(next) => {
                    let end = next.saturating_mul(self.root.segment.into()).min(range.end);
                    push(at..end, Content::Hole);
                    at = end;
                }
                None => {
                    let end = self.segment_len(index);
                    let last = (range.end - start).min(end.into()) as u32;
                    let pieces = match self.leaf(index) {
                        // Whatever it held: reading it tells of the loss.
                        Err(e) if self.tolerates(&e) => {
                            push(at..start + u64::from(last), Content::Data);
                            Vec::new()
                        }
                        leaf => leaf?.pieces(within, last),
                    };
                    for piece in pieces {
                        let content = match piece.target {
                            None => Content::Hole,
                            Some(Target::Zero) => Content::Zero,
                            Some(Target::Chunk { .. }) => Content::Data,
                        };
                        let from = start + u64::from(piece.offset);
                        push(from..from + u64::from(piece.len), content);
                    }
                    at = start + u64::from(last);
                }
            }
        }
        Ok(out)
    }

    /// Fills `buf` from `offset`. What was not stored reads as zeros; for a difference layer,
    /// ask [`extents`](Self::extents) where that is.
    ///
    /// # Errors
    /// When the range does not lie within the disk, or anything needed is missing or damaged;
    /// then the contents of `buf` are unspecified.
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.check(offset, buf.len() as u64)?;
        let mut at = 0;
        while at < buf.len() {
            let (index, within) = self.segment_at(offset + at as u64);
            let len = ((self.root.segment - within) as usize).min(buf.len() - at);
            let part = &mut buf[at..at + len];
            part.fill(0);
            match self.leaf(index) {
                Ok(leaf) => self.fill_or_lose(index, &leaf, within, part, true)?,
                Err(e) => {
                    let start = offset + at as u64;
                    self.lose(start..start + len as u64, e)?;
                }
            }
            at += len;
        }
        Ok(())
    }

    /// Replaces `buf` by the contents of segment `index`, runs included. For reading a disk in
    /// order: chunks are fetched many at a time and not kept.
    pub fn read_segment(&self, index: u64, buf: &mut SegmentBuf) -> Result<()> {
        let len = self.segment_len(index);
        buf.clear();
        let leaf = match self.leaf(index) {
            Ok(leaf) => leaf,
            Err(e) => {
                buf.push_data_mut(len as usize).fill(0);
                let start = index * u64::from(self.root.segment);
                return self.lose(start..start + u64::from(len), e);
            }
        };
        for piece in leaf.pieces(0, len) {
            let len = piece.len as usize;
            match piece.target {
                None => buf.push(Content::Hole, len),
                Some(Target::Zero) => buf.push(Content::Zero, len),
                Some(Target::Chunk { .. }) => {
                    buf.push_data_mut(len);
                }
            }
        }
        self.fill_or_lose(index, &leaf, 0, buf.bytes_mut(), false)
    }

    /// A cursor over the bytes, for files.
    pub fn into_read(self) -> StreamReader {
        StreamReader {
            segment: u64::MAX,
            buf: SegmentBuf::new(),
            at: 0,
            disk: self,
        }
    }

    fn check(&self, offset: u64, len: u64) -> Result<()> {
        match offset.checked_add(len) {
            Some(end) if end <= self.root.len => Ok(()),
            _ => Err(Error::invalid(format!(
                "{len} bytes at {offset} of a disk of {} bytes",
                self.root.len
            ))),
        }
    }

    fn segment_at(&self, offset: u64) -> (u64, u32) {
        let size = u64::from(self.root.segment);
        (offset / size, (offset % size) as u32)
    }

    pub(crate) fn leaf(&self, index: u64) -> Result<Leaf> {
        match self.nodes.descend(&self.root, index, 0)? {
            Some(id) => self.nodes.leaf(&id),
            None => Ok(Leaf::default()),
        }
    }

    /// As [`fill`](Self::fill); of what is lost and lived with, piece by piece, there are zeros.
    fn fill_or_lose(
        &self,
        index: u64,
        leaf: &Leaf,
        start: u32,
        out: &mut [u8],
        keep: bool,
    ) -> Result<()> {
        match self.fill(leaf, start, out, keep) {
            Err(e) if self.tolerates(&e) => {}
            done => return done,
        }
        for piece in leaf.pieces(start, start + out.len() as u32) {
            let Some(Target::Chunk { .. }) = piece.target else {
                continue;
            };
            let at = (piece.offset - start) as usize;
            let Some(part) = out.get_mut(at..at + piece.len as usize) else {
                return Err(Error::map("a piece lies beyond what was asked for"));
            };
            if let Err(e) = self.fill(leaf, piece.offset, part, keep) {
                part.fill(0);
                let from = index * u64::from(self.root.segment) + u64::from(piece.offset);
                self.lose(from..from + u64::from(piece.len), e)?;
            }
        }
        Ok(())
    }

    /// Fills `out` with the segment's bytes from `start` on, where they are chunks; the rest is
    /// left as it is.
    fn fill(&self, leaf: &Leaf, start: u32, out: &mut [u8], keep: bool) -> Result<()> {
        let mut uses: Vec<(ChunkId, Use)> = Vec::new();
        for piece in leaf.pieces(start, start + out.len() as u32) {
            if let Some(Target::Chunk { id, within }) = piece.target {
                let to = (piece.offset - start) as usize;
                let len = piece.len as usize;
                uses.push((id, Use { to, within, len }));
            }
        }
        uses.sort_unstable_by_key(|(id, part)| (*id, part.to));
        let mut missing = Vec::new();
        for uses in uses.chunk_by(|a, b| a.0 == b.0) {
            let id = uses[0].0;
            match self.chunks.get(&id) {
                Some(plain) => copy(&plain, uses, out)?,
                None => missing.push(Wanted {
                    id,
                    place: self.index.find(&id)?,
                    uses,
                }),
            }
        }
        // What could not be fetched together is fetched one by one: a bad sector is not in all.
        let mut alone = false;
        while !missing.is_empty() {
            missing.sort_unstable_by_key(|wanted| (wanted.place.pack.hash, wanted.place.offset));
            let mut again = Vec::new();
            let mut apart = false;
            let mut rest = &missing[..];
            while let Some(first) = rest.first().map(|wanted| wanted.place) {
                let near = if alone { &rest[..1] } else { rest };
                let (count, len) = together(&first, near);
                let (group, after) = rest.split_at(count);
                rest = after;
                let opened = self.packs.fetch(&first.pack, first.offset, len, |sealed| {
                    group.iter().try_for_each(|wanted| {
                        let at = (wanted.place.offset - first.offset) as usize;
                        let sealed = sealed
                            .get_mut(at..at + wanted.place.stored_len as usize)
                            .ok_or_else(|| Error::map("a chunk lies beyond what was fetched"))?;
                        match self.deliver(wanted, sealed, out, keep) {
                            Err(e) if !self.elsewhere(wanted, &e, &mut again)? => Err(e),
                            _ => Ok(()),
                        }
                    })
                });
                match opened {
                    Ok(opened) => opened?,
                    Err(Error::Store(store::Error::Io { .. })) if group.len() > 1 => {
                        again.extend_from_slice(group);
                        apart = true;
                    }
                    Err(e) => {
                        for wanted in group {
                            if !self.elsewhere(wanted, &e, &mut again)? {
                                return Err(e);
                            }
                        }
                    }
                }
            }
            missing = again;
            alone = apart;
        }
        Ok(())
    }

    /// What could not be read is wanted again where another copy of it is, if there is one.
    fn elsewhere<'a>(
        &self,
        wanted: &Wanted<'a>,
        e: &Error,
        again: &mut Vec<Wanted<'a>>,
    ) -> Result<bool> {
        let place = self.index.find_after(e, &wanted.id, &wanted.place)?;
        again.extend(place.map(|place| Wanted { place, ..*wanted }));
        Ok(place.is_some())
    }

    /// Opens one chunk to where it is wanted: at once, if all of it is wanted in one place and
    /// need not be kept.
    fn deliver(
        &self,
        wanted: &Wanted<'_>,
        sealed: &mut [u8],
        out: &mut [u8],
        keep: bool,
    ) -> Result<()> {
        let (id, place) = (wanted.id, &wanted.place);
        if let ([(_, only)], false) = (wanted.uses, keep)
            && only.within == 0
            && only.len == place.plain_len as usize
            && let Some(plain) = out.get_mut(only.to..only.to + only.len)
        {
            return self.packs.open(&id, place, sealed, plain);
        }
        let mut plain = Vec::new();
        self.packs
            .open(&id, place, sealed, place.room(&mut plain)?)?;
        copy(&plain, wanted.uses, out)?;
        if keep {
            let size = plain.len() + 200;
            self.chunks.insert(id, Arc::new(plain), size);
        }
        Ok(())
    }
}

/// A part of a chunk: `len` bytes from `within`, wanted at `to`.
struct Use {
    to: usize,
    within: u32,
    len: usize,
}

/// A chunk that must be fetched, and all that it is wanted for.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    id: ChunkId,
    place: Place,
    uses: &'a [(ChunkId, Use)],
}

/// Copies the parts of a chunk to where they are wanted.
fn copy(plain: &[u8], uses: &[(ChunkId, Use)], out: &mut [u8]) -> Result<()> {
    for (id, Use { to, within, len }) in uses {
        let from = plain.get(*within as usize..).and_then(|p| p.get(..*len));
        let (Some(from), Some(to)) = (from, out.get_mut(*to..*to + *len)) else {
            return Err(Error::map(format!(
                "{len} bytes at {within} of chunk {id}, which has {}",
                plain.len()
            )));
        };
        to.copy_from_slice(from);
    }
    Ok(())
}

/// How many of `places`, which begin with `first`, are near enough to be fetched at once, and
/// how many bytes that is.
fn together(first: &Place, places: &[Wanted<'_>]) -> (usize, usize) {
    let mut end = u64::from(first.offset) + u64::from(first.stored_len);
    let mut count = 1;
    for Wanted { place, .. } in places.iter().skip(1) {
        let next = u64::from(place.offset) + u64::from(place.stored_len);
        let near = place.pack == first.pack
            && u64::from(place.offset) <= end + GAP
            && next - u64::from(first.offset) <= FETCH;
        if !near {
            break;
        }
        end = end.max(next);
        count += 1;
    }
    (count, (end - u64::from(first.offset)) as usize)
}

impl std::fmt::Debug for DiskReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskReader")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// Reads a file in the vault from front to back.
#[derive(Debug)]
pub struct StreamReader {
    disk: DiskReader,
    segment: u64,
    buf: SegmentBuf,
    at: u64,
}

impl io::Read for StreamReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.disk.len() || out.is_empty() {
            return Ok(0);
        }
        let (index, within) = self.disk.segment_at(self.at);
        if index != self.segment {
            self.segment = u64::MAX;
            self.disk
                .read_segment(index, &mut self.buf)
                .map_err(io::Error::other)?;
            self.segment = index;
        }
        let rest = self.buf.bytes().get(within as usize..).unwrap_or_default();
        let len = rest.len().min(out.len());
        out[..len].copy_from_slice(&rest[..len]);
        self.at += len as u64;
        Ok(len)
    }
}
