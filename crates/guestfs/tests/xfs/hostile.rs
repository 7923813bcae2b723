//! What the kernel has made, changed by hand where no tool does so, with checksums that fit again.

use std::fs::{self, File};
use std::io::Read as _;
use std::sync::Arc;

use hyperkeep_guestfs::xfs::Xfs;
use hyperkeep_guestfs::{Error, FileSystem as _, How, Name};
use rustix::fs::{XattrFlags, lsetxattr};

use crate::made::{Made, mkfs, run};
use crate::model::{SECTOR, Sparse};

/// Bytes of a block, as mkfs.xfs makes them by itself.
const BLOCK: usize = 4096;

/// All that is stored in an image, as a [`Sparse`] takes it.
struct Stored(Vec<u8>);

impl Stored {
    fn of(made: &Made) -> Self {
        let mut file = File::open(&made.image).unwrap();
        let mut all = file.metadata().unwrap().len().to_le_bytes().to_vec();
        let mut piece = vec![0; 1 << 20];
        let mut number = 0_u32;
        while let 1.. = file.read(&mut piece).unwrap() {
            for block in piece.chunks(BLOCK) {
                for sector in block.chunks(SECTOR) {
                    // All of a block, or nothing.
                    if block.iter().any(|byte| *byte != 0) {
                        all.extend(number.to_le_bytes());
                        all.extend(sector);
                    }
                    number += 1;
                }
            }
        }
        Self(all)
    }

    /// Sectors with what they have.
    fn sectors(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let pieces = self.0[8..].chunks_exact_mut(4 + SECTOR);
        pieces.map(|piece| &mut piece[4..])
    }

    fn open(&self) -> Xfs {
        let mut device = Sparse::of(&self.0).unwrap();
        device.mend();
        Xfs::open(Arc::new(device)).unwrap()
    }
}

fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// Where the items of heads of AGs begin in a sector of the log: nobody who reads files misses one.
fn heads(sector: &[u8]) -> Vec<usize> {
    // Behind the number of the round, and behind the operation that each begins with.
    let places = 16..SECTOR - 20;
    let is = |at: &usize| {
        let kind = le16(sector, at + 4) >> 11;
        le16(sector, *at) == 0x123c && sector[at - 4] == 0x69 && matches!(kind, 5 | 7)
    };
    places.filter(is).collect()
}

/// A log that ends with a step that is still to be taken: where that would move what a file has, the file is not
/// as after a power cut, and that is told.
#[test]
fn a_log_that_was_moving_contents_is_not_replayed() {
    let test = "a_log_that_was_moving_contents_is_not_replayed";
    let Some(made) = mkfs(test, 320, &[]) else {
        return;
    };
    let Some(mounted) = made.mounted(test, "rw") else {
        return;
    };
    for index in 0..50 {
        fs::write(mounted.path().join(format!("name {index}")), b"contents").unwrap();
    }
    run("xfs_io", &["-x", "-c", "shutdown -f"], &[&mounted.path()]);
    drop(mounted);
    let before = Stored::of(&made);
    let state = before.open().about().state.clone();
    assert_eq!(state.how, How::Replayed, "{state:?}");
    assert!(!state.notes.iter().any(|note| note.contains("moving")));
    // Freeing extents, reverse maps and counts; then extents, attributes, and an exchange.
    for (kind, how) in [
        (0x1236_u16, How::Replayed),
        (0x1240, How::Replayed),
        (0x1242, How::Replayed),
        (0x1244, How::NotReplayed),
        (0x1246, How::NotReplayed),
        (0x1248, How::NotReplayed),
    ] {
        let mut stored = Stored(before.0.clone());
        let mut items = 0;
        for sector in stored.sectors() {
            for at in heads(sector) {
                sector[at..at + 2].copy_from_slice(&kind.to_le_bytes());
                items += 1;
            }
        }
        assert!(items > 0);
        let fs = stored.open();
        let state = &fs.about().state;
        assert_eq!(state.how, how, "{kind:#x}: {state:?}");
        let told = |words: &str| state.notes.iter().any(|note| note.contains(words));
        assert!(
            told("steps of longer changes are open"),
            "{kind:#x}: {state:?}"
        );
        let moves = told("were moving contents or attributes");
        assert_eq!(moves, how == How::NotReplayed, "{kind:#x}: {state:?}");
        // All else of the log is read.
        assert!(
            fs.find(fs.root(), &Name::from("name 49"))
                .unwrap()
                .is_some()
        );
    }
}

/// Attributes that fit before the last sector of a leaf.
const MANY: u16 = 430;

/// Leaves of attributes that lead to each other for ever: a test that does not end has found that the bound is
/// gone.
#[test]
fn leaves_of_attributes_without_an_end_are_an_error() {
    let test = "leaves_of_attributes_without_an_end_are_an_error";
    let Some(made) = mkfs(test, 320, &[]) else {
        return;
    };
    let Some(mounted) = made.mounted(test, "rw") else {
        return;
    };
    let path = mounted.path().join("many");
    fs::write(&path, b"").unwrap();
    for index in 0..700 {
        let name = format!("user.attribute {index}");
        lsetxattr(&path, name, &[7; 100], XattrFlags::empty()).unwrap();
    }
    drop(mounted);
    let before = Stored::of(&made);
    let fs = before.open();
    let id = fs.find(fs.root(), &Name::from("many")).unwrap().unwrap();
    assert_eq!(fs.extras(id).unwrap().xattrs.len(), 700);
    let is_leaf = |sector: &[u8]| sector[8..10] == [0x3b, 0xee] && sector[16..24] != [0; 8];
    // Empty ones, and ones that have as many as there can be, each the first one.
    for full in [false, true] {
        let mut stored = Stored(before.0.clone());
        let mut next = None;
        for leaf in stored.sectors().filter(|sector| is_leaf(sector)) {
            let right: [u8; 4] = leaf[..4].try_into().unwrap();
            next = next.or((right != [0; 4]).then_some(right));
        }
        let next = next.expect("several leaves");
        let mut leaves = 0;
        let mut behind = 0_usize;
        let mut first = [0; 8];
        for sector in stored.sectors() {
            if is_leaf(sector) {
                leaves += 1;
                sector[..4].copy_from_slice(&next);
                let count: u16 = if full { MANY } else { 0 };
                sector[56..58].copy_from_slice(&count.to_be_bytes());
                // One whose name and value are in the last sector of the leaf.
                let entries = sector[80..].chunks_exact(8);
                let mut late = entries.filter(|entry| entry[4] >= 14);
                first.copy_from_slice(late.next().unwrap());
                behind = 7;
                for entry in sector[80..].chunks_exact_mut(8) {
                    entry.copy_from_slice(&first);
                }
            } else if behind > 0 {
                behind -= 1;
                if full && behind > 0 {
                    for entry in sector.chunks_exact_mut(8) {
                        entry.copy_from_slice(&first);
                    }
                }
            }
        }
        assert!(leaves > 5, "{leaves}");
        let fs = stored.open();
        match fs.extras(id).map(|extras| extras.xattrs.len()) {
            Err(Error::Damaged { why, .. }) if !full => {
                assert!(why.contains("have no end"), "{why}")
            }
            Err(Error::Unsupported(why)) if full => {
                assert!(
                    why.contains("more than 64 MiB of extended attributes"),
                    "{why}"
                );
            }
            other => panic!("{full}: {other:?}"),
        }
    }
}
