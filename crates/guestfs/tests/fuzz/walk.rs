//! Any bytes as a file system: it is walked through as far as a bound, and must neither panic nor read
//! without an end. A walk that goes down takes care of depth itself: that is all a caller must do.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyperkeep_disk::{BlockRead, ByteRange, Content, Extent, Geometry, Result};
use hyperkeep_guestfs::{FileSystem, Kind, Name};

/// Nodes that are looked at, and how deep.
const MOST_NODES: usize = 500;
const DEPTH: usize = 40;

/// A disk in memory that counts what is read of it.
pub(crate) struct Counted {
    pub(crate) bytes: Vec<u8>,
    pub(crate) read: AtomicU64,
}

impl BlockRead for Counted {
    fn geometry(&self) -> Geometry {
        Geometry {
            len: self.bytes.len() as u64,
            logical_sector: 512,
            physical_sector: 4096,
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        hyperkeep_disk::block::check_bounds(self.len(), offset, buf.len() as u64)?;
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        buf.copy_from_slice(&self.bytes[offset as usize..][..buf.len()]);
        Ok(())
    }

    fn extents(&self, range: ByteRange) -> Result<Vec<Extent>> {
        let content = Content::Data;
        Ok(vec![Extent { range, content }])
    }
}

/// The bytes of a file of sectors that are not zero: the length in sectors, then number and bytes of each.
pub(crate) fn unpacked(packed: &[u8]) -> Vec<u8> {
    let number = |at: usize| {
        let field = packed[at..at + 4].try_into().expect("four bytes");
        u32::from_le_bytes(field) as usize
    };
    let mut bytes = vec![0; number(0) * 512];
    for at in (4..packed.len()).step_by(516) {
        bytes[number(at) * 512..][..512].copy_from_slice(&packed[at + 4..at + 516]);
    }
    bytes
}

/// Changes bytes: each patch is three bytes of an offset and one that goes there.
pub(crate) fn patched(mut bytes: Vec<u8>, patches: &[u8]) -> Arc<Counted> {
    for patch in patches.chunks_exact(4) {
        let at = usize::from(patch[0]) | usize::from(patch[1]) << 8 | usize::from(patch[2]) << 16;
        let len = bytes.len();
        bytes[at % len] = patch[3];
    }
    let read = AtomicU64::new(0);
    Arc::new(Counted { bytes, read })
}

/// Walks through a tree, and reads the start and end of each file.
///
/// # Panics
/// When an answer has no ground.
pub(crate) fn through(fs: &dyn FileSystem) {
    let mut folders = vec![(fs.root(), 0)];
    let mut nodes = 0;
    while let Some((folder, depth)) = folders.pop() {
        let mut entries = Vec::new();
        let _ = fs.list(folder, &mut |entry| {
            entries.push(entry);
            match entries.len() < MOST_NODES {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        let first = entries
            .first()
            .map_or(Name::from("none"), |one| one.name.clone());
        let _ = fs.find(folder, &first);
        for entry in entries {
            nodes += 1;
            if nodes > MOST_NODES {
                return;
            }
            let Ok(node) = fs.node(entry.node) else {
                continue;
            };
            assert_eq!(entry.kind.unwrap_or(node.kind), node.kind);
            let _ = fs.extras(entry.node);
            let _ = fs.target(entry.node);
            if node.kind == Kind::Folder && depth < DEPTH {
                folders.push((entry.node, depth + 1));
            }
            let Ok(mut content) = fs.open(entry.node, None) else {
                continue;
            };
            assert_eq!(content.len(), node.len);
            let mut buffer = vec![0; content.len().min(9000) as usize];
            let _ = content.read_at(0, &mut buffer);
            let _ = content.read_at(content.len() - buffer.len() as u64, &mut buffer);
            assert!(content.read_at(content.len(), &mut [0]).is_err());
            if let Ok(Some(range)) = content.next_data(0) {
                assert!(range.end <= content.len());
            }
            for from in [0, content.len() / 2, content.len().saturating_sub(1)] {
                if from < content.len()
                    && let Ok(Some(place)) = content.place(from)
                {
                    let range = place.range;
                    assert!(range.start == from && range.end > from && range.end <= content.len());
                }
            }
        }
    }
}
