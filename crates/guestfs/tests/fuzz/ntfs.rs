//! What holds for any bytes that are read as a volume of NTFS: answers or errors, and an end.

use std::ops::ControlFlow;
use std::sync::Arc;

use hyperkeep_disk::MemFile;
use hyperkeep_disk::raw::RawDisk;
use hyperkeep_guestfs::ntfs::Ntfs;
use hyperkeep_guestfs::{Content, Error, FileSystem, Kind, NodeId};

/// A small volume by mkntfs and ntfs-3g: sectors of 512 bytes that are not zero, each behind its number. In it
/// are folders with and without blocks, streams, links, a file compressed by NTFS and three by WOF, fragments
/// over several records, descriptors and short names. `$UpCase` is left out, as it is made here.
const BASE: &[u8] = include_bytes!("ntfs-base.bin");
const SECTOR: usize = 512;
/// Bytes of the volume.
const LEN: usize = 3 << 20;

/// Nodes that are looked at, and bytes that are read of each.
const MOST_NODES: usize = 2000;
const MOST_BYTES: u64 = 1 << 20;

/// The volume as it was made.
pub(crate) fn base() -> Vec<u8> {
    let mut image = vec![0; LEN];
    let (head, sectors) = BASE.split_at(4);
    for sector in sectors.chunks_exact(4 + SECTOR) {
        let (number, bytes) = sector.split_at(4);
        let at = le32(number) * SECTOR;
        image[at..at + SECTOR].copy_from_slice(bytes);
    }
    let upcase = (0..=u16::MAX).map(|unit| match unit {
        0x61..=0x7a => unit - 0x20,
        _ => unit,
    });
    let at = le32(head) * SECTOR;
    for (place, unit) in image[at..at + 0x20000].chunks_exact_mut(2).zip(upcase) {
        place.copy_from_slice(&unit.to_le_bytes());
    }
    image
}

fn le32(bytes: &[u8]) -> usize {
    u32::from_le_bytes(bytes[..4].try_into().expect("four bytes")) as usize
}

/// Changes the volume as the input says, in pieces of offset, length and bytes, and reads all of it.
pub(crate) fn check(data: &[u8]) {
    let mut image = base();
    let mut rest = data;
    while let [a, b, c, d, len, behind @ ..] = rest {
        // Where nothing is stored there is nothing to be found.
        let sectors = (BASE.len() - 4) / (4 + SECTOR);
        let at = le32(&[*a, *b, *c, *d]) % (sectors * SECTOR);
        let sector = le32(&BASE[4 + at / SECTOR * (4 + SECTOR)..]);
        let at = sector * SECTOR + at % SECTOR;
        let len = usize::from(*len).min(behind.len()).min(LEN - at);
        image[at..at + len].copy_from_slice(&behind[..len]);
        rest = &behind[len..];
    }
    let _ = walk(&image);
}

/// Reads all of a volume, and tells the first error.
pub(crate) fn walk(image: &[u8]) -> Result<(), Error> {
    let disk = RawDisk::open(MemFile::new(image.to_vec())).expect("memory can be read");
    let ntfs = Ntfs::open(Arc::new(disk))?;
    let mut folders = vec![ntfs.root()];
    let mut met = 0;
    let mut first = Ok(());
    while let Some(folder) = folders.pop() {
        let mut entries = Vec::new();
        let listed = ntfs.list(folder, &mut |entry| {
            met += 1;
            entries.push(entry);
            match met < MOST_NODES {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        first = first.and(listed);
        for entry in entries {
            let _ = ntfs.find(folder, &entry.name);
            match one(&ntfs, entry.node) {
                Ok(Kind::Folder) if met < MOST_NODES => folders.push(entry.node),
                Ok(_) => (),
                Err(error) => first = first.and(Err(error)),
            }
        }
    }
    first
}

/// Reads one file.
fn one(ntfs: &Ntfs, id: NodeId) -> Result<Kind, Error> {
    let node = ntfs.node(id)?;
    match node.kind {
        Kind::File if node.obstacle.is_none() => {
            let mut content = ntfs.open(id, None)?;
            assert_eq!(content.len(), node.len);
            contents(content.as_mut())?;
        }
        Kind::Link | Kind::Junction => drop(ntfs.target(id)?),
        _ => (),
    }
    for stream in ntfs.extras(id)?.streams.iter().take(100) {
        contents(ntfs.open(id, Some(&stream.name))?.as_mut())?;
    }
    Ok(node.kind)
}

fn contents(content: &mut dyn Content) -> Result<(), Error> {
    let len = content.len();
    let mut bytes = vec![0; len.min(MOST_BYTES) as usize];
    content.read_at(len - bytes.len() as u64, &mut bytes)?;
    content.read_at(0, &mut bytes)?;
    assert!(content.read_at(len, &mut [0]).is_err());
    let mut from = 0;
    for _ in 0..200 {
        let Some(range) = content.next_data(from)? else {
            break;
        };
        assert!(from <= range.start && range.start < range.end && range.end <= len);
        if let Some(place) = content.place(range.start)? {
            let there = place.range;
            assert!(there.start == range.start && there.end > range.start && there.end <= len);
        }
        from = range.end;
    }
    Ok(())
}
