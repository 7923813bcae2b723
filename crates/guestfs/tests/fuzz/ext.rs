//! What holds for any bytes that are read as an ext file system.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyperkeep_disk::{BlockRead, ByteRange, Content, Extent, Geometry, Result};
use hyperkeep_guestfs::{Ext, FileSystem, Kind, NodeId};

/// Bytes of an image.
const MOST: usize = 16 << 20;
/// Names that are looked at.
const NAMES: usize = 300;

/// A disk in memory that counts what is read of it.
struct Metered {
    bytes: Vec<u8>,
    read: Arc<AtomicU64>,
}

impl BlockRead for Metered {
    fn geometry(&self) -> Geometry {
        Geometry {
            len: self.bytes.len() as u64,
            logical_sector: 512,
            physical_sector: 4096,
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        let start = usize::try_from(offset).expect("an offset on the disk");
        let part = self.bytes.get(start..start + buf.len());
        buf.copy_from_slice(part.expect("a range on the disk"));
        Ok(())
    }

    fn extents(&self, range: ByteRange) -> Result<Vec<Extent>> {
        let content = Content::Data;
        Ok(vec![Extent { range, content }])
    }
}

/// An image that is zeros but for some pieces: its length in KiB (two bytes), then for each piece its place
/// (four bytes), its length (two) and its bytes.
fn image(data: &[u8]) -> Option<Vec<u8>> {
    let (len, mut rest) = data.split_first_chunk::<2>()?;
    let mut image = vec![0; (usize::from(u16::from_le_bytes(*len)) << 10).min(MOST)];
    while let Some((place, behind)) = rest.split_first_chunk::<4>() {
        let (len, behind) = behind.split_first_chunk::<2>()?;
        let place = u32::from_le_bytes(*place) as usize;
        let len = usize::from(u16::from_le_bytes(*len)).min(behind.len());
        let (piece, behind) = behind.split_at(len);
        rest = behind;
        if let Some(there) = image.get_mut(place..place.saturating_add(len)) {
            there.copy_from_slice(piece);
        }
    }
    Some(image)
}

/// Reads what there is.
///
/// # Panics
/// When an answer contradicts another one, or more is read than what was asked for has.
pub(crate) fn check(data: &[u8]) {
    let Some(bytes) = image(data) else { return };
    let read = Arc::new(AtomicU64::new(0));
    let len = bytes.len() as u64;
    let disk = Metered {
        bytes,
        read: read.clone(),
    };
    let Ok(fs) = Ext::open(Arc::new(disk)) else {
        return;
    };
    let opened = read.load(Ordering::Relaxed);
    assert!(
        opened <= 40 * len + (8 << 20),
        "{opened} bytes of {len} to open it"
    );
    let mut seen = 0;
    let mut folders = vec![(fs.root(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let mut entries = Vec::new();
        let listed = fs.list(folder, &mut |entry| {
            entries.push(entry);
            seen += 1;
            match seen < NAMES {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        for entry in entries {
            assert!(!entry.name.as_bytes().is_empty());
            let found = fs.find(folder, &entry.name);
            if listed.is_ok() && found.is_ok() && depth < 30 {
                visit(&fs, entry.node);
                if fs
                    .node(entry.node)
                    .is_ok_and(|node| node.kind == Kind::Folder)
                {
                    folders.push((entry.node, depth + 1));
                }
            }
        }
        if seen >= NAMES {
            break;
        }
    }
}

fn visit(fs: &Ext, id: NodeId) {
    let Ok(node) = fs.node(id) else { return };
    assert_eq!(node.id, id);
    assert!(node.kind == Kind::Link || fs.target(id).is_err());
    let _ = fs.extras(id);
    let Ok(mut content) = fs.open(id, None) else {
        return;
    };
    assert!(node.kind == Kind::File && content.len() == node.len);
    let mut from = 0;
    for _ in 0..20 {
        let Ok(Some(range)) = content.next_data(from) else {
            break;
        };
        assert!(range.start >= from && range.start < range.end && range.end <= node.len);
        if let Ok(Some(place)) = content.place(range.start) {
            let there = place.range;
            assert!(there.start == range.start && there.end > range.start);
            assert!(there.end <= node.len);
        }
        let mut start = vec![0; range.len().min(5000) as usize];
        let _ = content.read_at(range.start, &mut start);
        from = range.end;
    }
    assert!(content.read_at(node.len, &mut [0]).is_err());
}
