//! What holds for any change of a small btrfs.
//!
//! Each eight bytes of the input change one place: the number of a block of 4 KiB that is not zero (two
//! bytes), a place in it (two), what to do (one), a byte or number (three). Checksums are made right
//! afterwards unless one of the changes says otherwise, or nothing behind them would be met.

use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use hyperkeep_disk::MemFile;
use hyperkeep_disk::raw::RawDisk;
use hyperkeep_guestfs::btrfs::Btrfs;
use hyperkeep_guestfs::{FileSystem, Kind};

/// Bytes of a block of a tree and of a piece of the base alike.
const BLOCK: usize = 4096;
/// Entries and bytes that are looked at: more there are only in a circle.
const MOST: usize = 2000;

/// A piece of the base.
#[derive(Clone)]
struct Piece {
    number: usize,
    bytes: Vec<u8>,
    /// Whether it begins with a checksum.
    metadata: bool,
}

/// What mkfs.btrfs and the kernel wrote: a length, then pieces that are not zero, each with its number.
static BASE: LazyLock<(usize, Vec<Piece>)> = LazyLock::new(|| {
    let packed = include_bytes!("btrfs.base.zst");
    let bytes = zstd::decode_all(&packed[..]).expect("the base is whole");
    let (len, pieces) = bytes.split_at(4);
    let word = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes")) as usize;
    // The superblock is the first one.
    let fsid = &pieces[4 + 32..4 + 48];
    let pieces = pieces.chunks(BLOCK + 4).map(|piece| Piece {
        number: word(&piece[..4]),
        bytes: piece[4..].to_vec(),
        metadata: &piece[4 + 32..4 + 48] == fsid,
    });
    (word(len), pieces.collect())
});

/// Reads all that is there after some changes.
///
/// # Panics
/// When the reader does, or the whole base is not read.
pub(crate) fn check(data: &[u8]) {
    let (len, pieces) = &*BASE;
    let mut pieces = pieces.clone();
    let mut mend = true;
    for change in data.chunks_exact(8) {
        let number = usize::from(u16::from_le_bytes([change[0], change[1]])) % pieces.len();
        let at = usize::from(u16::from_le_bytes([change[2], change[3]])) % (BLOCK - 4);
        let piece = &mut pieces[number].bytes;
        match change[4] % 8 {
            0 => mend = false,
            1 => piece[at..at + 3].copy_from_slice(&change[5..]),
            2 => piece[at..at + 4].copy_from_slice(&[0xff; 4]),
            3 => piece[at % 101] = change[5],
            4 => piece[101 + at % 600] = change[5],
            5 => piece[at] ^= 1 << (change[5] % 8),
            _ => piece[at] = change[5],
        }
    }
    let mut disk = vec![0; *len];
    for mut piece in pieces {
        if mend && piece.metadata {
            let sum = crc32c::crc32c(&piece.bytes[32..]);
            piece.bytes[..4].copy_from_slice(&sum.to_le_bytes());
        }
        let at = piece.number * BLOCK;
        disk[at..at + BLOCK].copy_from_slice(&piece.bytes);
    }
    let device = Arc::new(RawDisk::open(MemFile::new(disk)).expect("memory can be read"));
    let read = Btrfs::open(device).map(|fs| walk(&fs));
    if data.is_empty() {
        assert_eq!(read.expect("the base is whole"), (0, 21));
    }
}

/// How many errors and entries there were.
fn walk(fs: &dyn FileSystem) -> (usize, usize) {
    let (mut errors, mut entries) = (0, 0);
    let mut nodes = vec![fs.root()];
    while let Some(id) = nodes.pop() {
        let mut found = Vec::new();
        let mut one = |result: Result<(), hyperkeep_guestfs::Error>| {
            errors += usize::from(result.is_err());
        };
        let node = match fs.node(id) {
            Ok(node) => node,
            Err(error) => {
                one(Err(error));
                continue;
            }
        };
        one(fs.extras(id).map(drop));
        match node.kind {
            Kind::Folder => one(fs.list(id, &mut |entry| {
                found.push(entry);
                entries += 1;
                if entries < MOST {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })),
            Kind::Link => one(fs.target(id).map(drop)),
            Kind::File => one(read(fs, id)),
            _ => {}
        }
        for entry in found {
            one(fs.find(id, &entry.name).map(drop));
            nodes.push(entry.node);
        }
        if entries >= MOST {
            break;
        }
    }
    (errors, entries)
}

fn read(
    fs: &dyn FileSystem,
    id: hyperkeep_guestfs::NodeId,
) -> Result<(), hyperkeep_guestfs::Error> {
    let mut content = fs.open(id, None)?;
    let mut buf = vec![0; content.len().min(1 << 20) as usize];
    content.read_at(0, &mut buf)?;
    let (mut from, mut count) = (0, 0);
    while let Some(range) = content.next_data(from)? {
        assert!(range.start >= from && range.start < range.end && range.end <= content.len());
        from = range.end;
        count += 1;
        if count == MOST {
            break;
        }
    }
    Ok(())
}
