//! Files that were cut, flipped or made to lie: an error that says so, or the right bytes.

use hyperkeep_disk::block::windows;
use hyperkeep_disk::vhdx::VhdxImage;
use hyperkeep_disk::{BlockRead, Error, ReadAt, Result};
use testkit::vhdx::{Block, Dirty, Image, dirty, seal};
use uuid::Uuid;

const MIB: u64 = 1 << 20;
const METADATA: u64 = 2 * MIB;
const BAT: u64 = 3 * MIB;

/// A differencing file with whole, partial and zero blocks.
fn child() -> Image {
    let mut image = Image::new(6 * MIB - 1024, 1 << 20);
    image.blocks.insert(0, Block::Full(vec![1; 1 << 20]));
    let bits = (0..2048).map(|i| i % 3 == 0).collect();
    image.blocks.insert(
        1,
        Block::Partial {
            bits,
            data: vec![2; 1 << 20],
        },
    );
    image.blocks.insert(2, Block::Zero);
    image.blocks.insert(5, Block::Full(vec![3; 1 << 20]));
    image.parent = Some(vec![
        (
            "parent_linkage".into(),
            Uuid::from_u128(1).braced().to_string(),
        ),
        ("relative_path".into(), "base.vhdx".into()),
    ]);
    image
}

/// All of a disk's extents and bytes; of a disk that claims to be large, the first 64 MiB.
fn walk(file: impl ReadAt) -> Result<Vec<u8>> {
    look(file, MIB)
}

/// All of a disk's extents, and the first bytes of each MiB.
fn glance(file: impl ReadAt) -> Result<Vec<u8>> {
    look(file, 4096)
}

fn look(file: impl ReadAt, most: u64) -> Result<Vec<u8>> {
    let disk = VhdxImage::open(file)?;
    let mut bytes = Vec::new();
    for window in windows(disk.len().min(64 * MIB), MIB) {
        disk.extents(window)?;
        let mut part = vec![0; window.len().min(most) as usize];
        disk.read_at(window.start, &mut part)?;
        bytes.extend(part);
    }
    Ok(bytes)
}

#[test]
fn a_file_cut_short_is_an_error_or_still_whole() {
    let whole = child().build();
    let want = walk(whole.clone()).expect("the whole file");
    let lens = (0..whole.len()).step_by(64 << 10);
    let odd = lens
        .clone()
        .map(|len| len + 4097)
        .filter(|len| *len < whole.len());
    for len in lens.chain(odd) {
        if let Ok(bytes) = walk(&whole[..len]) {
            assert!(bytes == want, "cut to {len}: wrong bytes");
        }
    }
    // The last block is the bitmap: nothing may be missing of it.
    assert!(walk(&whole[..whole.len() - 1]).is_err());
}

#[test]
fn a_flipped_bit_under_a_checksum_changes_nothing_or_is_an_error() {
    let whole = child().build();
    let want = glance(whole.clone()).expect("the whole file");
    let dirty = dirty(
        &whole,
        &[(BAT, BAT + 4096)],
        &Dirty {
            start: 250,
            per_entry: 1,
            sequence: 9,
            torn: true,
            stale: true,
            shortened: false,
        },
    );
    assert!(glance(dirty.clone()).expect("the dirty file") == want);
    let places = [
        (64 << 10, 100),
        (128 << 10, 100),
        (192 << 10, 100),
        (256 << 10, 100),
        (MIB + 250 * 4096, 120),
        (MIB + 251 * 4096, 64),
    ];
    for file in [whole, dirty] {
        for (at, len) in places {
            for bit in 0..len * 8 {
                let byte = at as usize + bit / 8;
                if let Ok(bytes) = glance(Flipped(&file, byte, 1 << (bit % 8))) {
                    assert!(bytes == want, "byte {byte} bit {}", bit % 8);
                }
            }
        }
    }
}

/// A file whose bytes are those of another, but for one.
struct Flipped<'a>(&'a [u8], usize, u8);

impl ReadAt for Flipped<'_> {
    fn len(&self) -> std::io::Result<u64> {
        ReadAt::len(self.0)
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.read_exact_at(buf, offset)?;
        if let Some(byte) = self
            .1
            .checked_sub(offset as usize)
            .and_then(|at| buf.get_mut(at))
        {
            *byte ^= self.2;
        }
        Ok(())
    }
}

#[test]
fn a_flipped_bit_without_a_checksum_never_panics() {
    let file = child().build();
    let items = METADATA + (64 << 10);
    let places = [
        (METADATA, 32 + 32 * 7),
        (items, 400),
        (BAT, 64),
        (BAT + 8 * 4096, 8),
        (file.len() as u64 - MIB + 256, 64),
    ];
    let mut refused = 0;
    for (at, len) in places {
        for bit in 0..len * 8 {
            let byte = at as usize + bit / 8;
            refused += usize::from(glance(Flipped(&file, byte, 1 << (bit % 8))).is_err());
        }
    }
    assert!(refused > 1000, "{refused} of the flips were noticed");
}

fn refused(file: Vec<u8>, word: &str) {
    match walk(file) {
        Err(Error::Damaged { structure, why }) => {
            assert!(
                why.contains(word) || structure.contains(word),
                "{structure}: {why}"
            );
        }
        Err(e) => panic!("{e}"),
        Ok(_) => panic!("not noticed: {word}"),
    }
}

#[test]
fn lying_block_entries_are_named() {
    let with = |entry: u64| {
        let mut image = child();
        image.blocks.insert(3, Block::Raw(entry));
        image.build()
    };
    walk(with(3)).expect("an unmapped block is fine");
    walk(with(3 | (9999 * MIB))).expect("so is one with an anchor anywhere");
    refused(with(4), "reserved state 4");
    refused(with(5), "reserved state 5");
    refused(with(6 | 8), "reserved bits");
    refused(with(6), "overlaps");
    refused(with(6 | MIB), "overlaps");
    refused(with(6 | METADATA), "overlaps");
    refused(with(6 | BAT), "overlaps");
    refused(with(6 | (4 * MIB)), "overlaps");
    refused(with(6 | (7 * MIB)), "overlaps");
    refused(with(6 | (8 * MIB)), "runs past");
    refused(with(6 | !(MIB - 1)), "runs past");
    refused(with(7 | (6 * MIB)), "overlaps");
}

#[test]
fn a_partial_block_needs_its_bitmap() {
    let mut image = child();
    image.blocks.remove(&1);
    image.blocks.insert(1, Block::Raw(7 | (6 * MIB)));
    let mut file = image.build();
    // Room for the block that the entry names.
    file.resize(8 * MIB as usize, 0);
    refused(file, "bitmap is not there");
}

#[test]
fn bitmap_slots_of_a_file_without_a_parent_mean_nothing() {
    let mut image = child();
    image.parent = None;
    image.blocks.remove(&1);
    let mut file = image.build();
    let slot = (BAT + 8 * 4096) as usize;
    file[slot..slot + 8].fill(0xA5);
    walk(file).expect("some writers leave garbage there");
}

#[test]
fn lying_sizes_are_refused() {
    let file = child().build();
    let items = METADATA as usize + (64 << 10);
    // File parameters (block size, flags), disk size, id, sector sizes, in this order.
    for (at, bytes) in [
        (0, 0u64),
        (0, (3 << 20) | (2 << 32)),
        (0, (512 << 20) | (2 << 32)),
        (8, 0),
        (8, 1000),
        (8, u64::MAX),
        (8, (64 << 40) + 512),
        (8, 64 << 40), // more than the BAT has room for
        (32, 0),
        (32, 1024),
        (36, 8192),
    ] {
        let mut bad = file.clone();
        let len = if at < 32 { 8 } else { 4 };
        bad[items + at..items + at + len].copy_from_slice(&bytes.to_le_bytes()[..len]);
        assert!(walk(bad).is_err(), "{at}: {bytes}");
    }
}

#[test]
fn a_log_over_a_region_and_a_region_beyond_the_file_are_refused() {
    let header = |at: u64, log: u64| {
        let mut file = child().build();
        for slot in [64 << 10, 128 << 10] {
            let header = &mut file[slot..slot + 4096];
            header[72..80].copy_from_slice(&log.to_le_bytes());
            seal(header);
        }
        for slot in [192 << 10, 256 << 10] {
            let table = &mut file[slot..slot + (64 << 10)];
            table[32..40].copy_from_slice(&at.to_le_bytes());
            seal(table);
        }
        file
    };
    walk(header(BAT, MIB)).expect("the file as it was");
    refused(header(BAT, BAT), "overlaps the log");
    refused(header(BAT, 4 * MIB), "overlaps");
    refused(header(1000 * MIB, MIB), "runs past");
    refused(header(u64::MAX / MIB * MIB, MIB), "end of 64 bits");
}

#[test]
fn one_bad_copy_of_header_and_region_table_is_a_finding() {
    let whole = child().build();
    let want = walk(whole.clone()).expect("the whole file");
    for at in [64 << 10, 128 << 10, 192 << 10, 256 << 10] {
        let mut bad = whole.clone();
        bad[at + 20] ^= 1;
        let image = VhdxImage::open(bad.clone()).expect("the other copy is good");
        assert_eq!(hyperkeep_disk::Layer::findings(&image).len(), 1);
        assert!(walk(bad).expect("readable") == want);
    }
}
