//! The map of one disk or file under construction: segments in any order from many threads.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use vault_format::map::{Inner, Leaf, LeafDelta, MapKind, Node, Root, Target};
use vault_format::{ChunkId, NodeId};

use crate::error::{Error, Result};
use crate::leaf::{LeafMaker, plan};
use crate::segment::SegmentBuf;
use crate::session::Shared;

/// What a map maps, and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// A disk by itself, a difference layer, or a file.
    pub kind: MapKind,
    /// Length in bytes.
    pub len: u64,
    /// Logical sector size: 512 or 4096; 0 for a file.
    pub logical_sector: u32,
    /// Physical sector size: 512 or 4096; 0 for a file.
    pub physical_sector: u32,
}

impl Layout {
    /// A file of `len` bytes.
    pub fn file(len: u64) -> Self {
        Self {
            kind: MapKind::File,
            len,
            logical_sector: 0,
            physical_sector: 0,
        }
    }
}

/// Writes one disk or file. Shared by threads; each segment is put at most once.
///
/// With a base, segments that are not put are as in the base; without one, they are blank.
pub struct DiskWriter {
    shared: Arc<Shared>,
    root: Root,
    base: Option<Root>,
    /// Segments that differ from the base: their new leaf, or nothing.
    leaves: Mutex<BTreeMap<u64, Option<NodeId>>>,
    /// Bytes of data more than in the base.
    data: AtomicI64,
    new_data: AtomicU64,
    stored: AtomicU64,
}

/// What a map cost that is complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes of chunks that the vault did not have.
    pub new_data: u64,
    /// Bytes that its own chunks and nodes take in packs, compressed and sealed.
    pub stored: u64,
}

impl DiskWriter {
    pub(crate) fn new(shared: Arc<Shared>, layout: Layout, base: Option<NodeId>) -> Result<Self> {
        let root = Root {
            kind: layout.kind,
            segment: shared.nodes.segment(),
            len: layout.len,
            logical_sector: layout.logical_sector,
            physical_sector: layout.physical_sector,
            top: None,
        };
        root.check().map_err(Error::object("new disk map"))?;
        let base = base.map(|id| shared.nodes.root(&id)).transpose()?;
        if let Some(base) = base
            && (base.kind != root.kind || base.len != root.len)
        {
            return Err(Error::invalid(format!(
                "a base of {} bytes ({:?}) for a disk of {} bytes ({:?}): read the disk in full",
                base.len, base.kind, root.len, root.kind
            )));
        }
        Ok(Self {
            shared,
            root,
            base,
            leaves: Mutex::default(),
            data: AtomicI64::new(0),
            new_data: AtomicU64::new(0),
            stored: AtomicU64::new(0),
        })
    }

    /// Stores a file whose length shows at its end.
    pub(crate) fn stream(shared: Arc<Shared>, source: &mut dyn Read) -> Result<(NodeId, u64)> {
        let mut writer = Self::new(shared, Layout::file(0), None)?;
        let segment = writer.root.segment as usize;
        let mut buf = SegmentBuf::new();
        loop {
            let index = writer.root.segments();
            buf.clear();
            let room = buf.push_data_mut(segment);
            let mut len = 0;
            while len < room.len() {
                match source.read(&mut room[len..]) {
                    Ok(0) => break,
                    Ok(n) => len += n,
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    Err(e) => return Err(Error::source(e)),
                }
            }
            buf.truncate(len);
            writer.root.len += len as u64;
            writer.root.check().map_err(Error::object("new file map"))?;
            if len > 0 {
                writer.put_segment(index, &buf)?;
            }
            if len < segment {
                let len = writer.root.len;
                return Ok((writer.finish()?, len));
            }
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

    /// Stores the whole contents of a segment.
    ///
    /// # Errors
    /// When the contents have another length than the segment, or the session has failed.
    pub fn put_segment(&self, index: u64, contents: &SegmentBuf) -> Result<()> {
        let len = self.check(index)?;
        self.shared.beat()?;
        if contents.len() != len as usize {
            return Err(Error::invalid(format!(
                "{} bytes for segment {index}, which has {len}",
                contents.len()
            )));
        }
        let leaf = self
            .maker()
            .whole(contents, &mut |chunk| self.put_chunk(chunk))?;
        self.put_leaf(index, &leaf)
    }

    /// What must be read of a segment to store its changed ranges (offsets are within the
    /// segment): ascending ranges, no two of which touch. Without a base, all of it.
    pub fn plan_reads(&self, index: u64, changed: &[Range<u32>]) -> Result<Vec<Range<u32>>> {
        let len = self.check(index)?;
        if self.base.is_none() {
            return Ok(std::iter::once(0..len).collect());
        }
        let base = self
            .base_leaf(index)?
            .map(|(_, leaf)| leaf)
            .unwrap_or_default();
        let chunk_len = |id: &ChunkId| self.shared.index.get(id).map(|place| place.plain_len);
        Ok(plan(&base, changed, len, &chunk_len))
    }

    /// Stores the changed ranges of a segment (offsets are within the segment); the rest is as in
    /// the base. `read` appends exactly the asked range of the disk's present contents to the
    /// buffer; it is asked for what [`plan_reads`](Self::plan_reads) told, perhaps in other
    /// pieces, and seldom for a little more.
    ///
    /// # Errors
    /// What `read` fails with; when the disk has no base; when the session has failed.
    pub fn put_changed(
        &self,
        index: u64,
        changed: &[Range<u32>],
        buf: &mut SegmentBuf,
        mut read: impl FnMut(Range<u32>, &mut SegmentBuf) -> Result<()>,
    ) -> Result<()> {
        let len = self.check(index)?;
        self.shared.beat()?;
        if self.base.is_none() {
            buf.clear();
            read(0..len, buf)?;
            return self.put_segment(index, buf);
        }
        let base = self
            .base_leaf(index)?
            .map(|(_, leaf)| leaf)
            .unwrap_or_default();
        let chunk_len = |id: &ChunkId| self.shared.index.get(id).map(|place| place.plain_len);
        let mut put = |chunk: &[u8]| self.put_chunk(chunk);
        let maker = self.maker();
        let leaf = maker.changed(&base, changed, len, &chunk_len, buf, &mut read, &mut put)?;
        self.put_leaf(index, &leaf)
    }

    /// How many bytes of data more than its base the map leads to so far; zeros are no data.
    pub fn data_change(&self) -> i64 {
        self.data.load(Ordering::Relaxed)
    }

    fn put_chunk(&self, chunk: &[u8]) -> Result<ChunkId> {
        let (id, stored) = self.shared.put_chunk(chunk)?;
        if let Some(stored) = stored {
            self.new_data
                .fetch_add(chunk.len() as u64, Ordering::Relaxed);
            self.stored.fetch_add(stored, Ordering::Relaxed);
        }
        Ok(id)
    }

    fn put_node(&self, encoded: &[u8]) -> Result<NodeId> {
        let (id, stored) = self.shared.put_node(encoded)?;
        self.stored
            .fetch_add(stored.unwrap_or(0), Ordering::Relaxed);
        Ok(id)
    }

    /// Completes the map and returns its root, to be named by a manifest.
    pub fn finish(self) -> Result<NodeId> {
        self.finish_telling().map(|(root, _)| root)
    }

    /// The same, and what the map cost, whatever else goes through the session.
    pub fn finish_telling(self) -> Result<(NodeId, Written)> {
        let leaves = std::mem::take(&mut *self.lock());
        let mut level = leaves;
        for height in 1..=self.root.height() {
            level = self.build_level(height, level)?;
        }
        let top = match (level.get(&0), &self.base) {
            (Some(top), _) => *top,
            (None, Some(base)) => base.top,
            (None, None) => None,
        };
        let root = Root { top, ..self.root };
        let root = self.put_node(&root.encode())?;
        let written = Written {
            new_data: self.new_data.load(Ordering::Relaxed),
            stored: self.stored.load(Ordering::Relaxed),
        };
        Ok((root, written))
    }

    /// The nodes of `height` above changed nodes one below.
    fn build_level(
        &self,
        height: u8,
        below: BTreeMap<u64, Option<NodeId>>,
    ) -> Result<BTreeMap<u64, Option<NodeId>>> {
        let mut nodes: BTreeMap<u64, BTreeMap<u8, Option<NodeId>>> = BTreeMap::new();
        for (index, child) in below {
            nodes
                .entry(index >> 8)
                .or_default()
                .insert(index as u8, child);
        }
        let mut out = BTreeMap::new();
        for (index, changes) in nodes {
            let mut children = BTreeMap::new();
            if let Some(base) = &self.base {
                let segment = index << (8 * u32::from(height));
                if let Some(id) = self.shared.nodes.descend(base, segment, height)? {
                    children.extend(
                        self.shared
                            .nodes
                            .inner(&id, height)?
                            .children()
                            .iter()
                            .copied(),
                    );
                }
            }
            for (place, child) in changes {
                match child {
                    Some(child) => children.insert(place, child),
                    None => children.remove(&place),
                };
            }
            let id = if children.is_empty() {
                None
            } else {
                let inner = Inner::new(height, children.into_iter().collect())
                    .map_err(Error::object("new map node"))?;
                Some(self.put_node(&inner.encode())?)
            };
            out.insert(index, id);
        }
        Ok(out)
    }

    fn maker(&self) -> LeafMaker<'_> {
        LeafMaker {
            cutter: &self.shared.cutter,
            kind: self.root.kind,
            segment: self.root.segment,
        }
    }

    fn base_leaf(&self, index: u64) -> Result<Option<(NodeId, Leaf)>> {
        let Some(base) = &self.base else {
            return Ok(None);
        };
        let Some(id) = self.shared.nodes.descend(base, index, 0)? else {
            return Ok(None);
        };
        Ok(Some((id, self.shared.nodes.leaf(&id)?)))
    }

    fn put_leaf(&self, index: u64, leaf: &Leaf) -> Result<()> {
        let old = self.base_leaf(index)?;
        if old.as_ref().map_or(leaf.is_empty(), |(_, old)| old == leaf) {
            return Ok(());
        }
        let grown = data_of(leaf) - old.as_ref().map_or(0, |(_, old)| data_of(old));
        self.data.fetch_add(grown, Ordering::Relaxed);
        let id = if leaf.is_empty() {
            None
        } else {
            let whole = Node::from(leaf.clone()).encode();
            let delta = match old {
                None => None,
                Some((id, _)) => {
                    let (base, old) = self.shared.nodes.delta_base(&id)?;
                    let delta = LeafDelta::between(base, &old, leaf, self.root.segment);
                    Some(Node::from(delta).encode())
                }
            };
            // A delta costs every reader one node more: it must be worth it.
            match delta.filter(|delta| delta.len() * 2 <= whole.len()) {
                Some(delta) => Some(self.put_node(&delta)?),
                None => Some(self.put_node(&whole)?),
            }
        };
        self.lock().insert(index, id);
        Ok(())
    }

    fn check(&self, index: u64) -> Result<u32> {
        if index >= self.segments() {
            return Err(Error::invalid(format!(
                "segment {index} of a disk of {} segments",
                self.segments()
            )));
        }
        if self.lock().contains_key(&index) {
            return Err(Error::invalid(format!("segment {index} was put before")));
        }
        Ok(self.segment_len(index))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Option<NodeId>>> {
        self.leaves.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// Bytes of chunks that a leaf refers to: at most those of a segment.
fn data_of(leaf: &Leaf) -> i64 {
    let entries = leaf.entries().iter();
    entries
        .filter(|entry| matches!(entry.target, Target::Chunk { .. }))
        .map(|entry| i64::from(entry.len))
        .sum()
}
