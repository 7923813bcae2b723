//! Memory does not follow what a file claims: the largest disks, true and lying, in little.
//!
//! A program of its own, because it counts every allocation of its process.

use std::io;

use hyperkeep_disk::block::windows;
use hyperkeep_disk::vhd::{VhdImage, VhdLayout, VhdParams, VhdWriter};
use hyperkeep_disk::vhdx::VhdxImage;
use hyperkeep_disk::{BlockRead, Content, DiskWrite, MemFile, ReadAt};
use testkit::memory::{Counting, peak};
use testkit::vhdx::{Block, Image, seal};

const MIB: u64 = 1 << 20;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes at the start of a file that claims to be longer; the rest are zeros.
struct Long(Vec<u8>, u64);

impl ReadAt for Long {
    fn len(&self) -> io::Result<u64> {
        Ok(self.1)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset
            .checked_add(buf.len() as u64)
            .is_none_or(|end| end > self.1)
        {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let start = offset.min(self.0.len() as u64) as usize;
        let stored = buf.len().min(self.0.len() - start);
        buf[..stored].copy_from_slice(&self.0[start..start + stored]);
        buf[stored..].fill(0);
        Ok(())
    }
}

/// A file whose disk has `disk_len` bytes and whose BAT region, at 3 MiB, has `bat_len`.
fn file(disk_len: u64, bat_len: u32, len: u64) -> Long {
    let mut image = Image::new(MIB, 1 << 20);
    image.blocks.insert(0, Block::Zero);
    let mut bytes = image.build();
    let size = (2 * MIB + (64 << 10) + 8) as usize;
    bytes[size..size + 8].copy_from_slice(&disk_len.to_le_bytes());
    for at in [192 << 10, 256 << 10] {
        let table = &mut bytes[at..at + (64 << 10)];
        table[16 + 24..16 + 28].copy_from_slice(&bat_len.to_le_bytes());
        seal(table);
    }
    Long(bytes, len)
}

/// A VHD that claims to hold blocks of 128 KiB, one behind the other, of which there is none.
struct Crowded {
    head: Vec<u8>,
    bat: u64,
    blocks: u64,
    /// The number of the block that the last entry names instead of its own.
    last: u64,
}

const BLOCK: u64 = 128 << 10;
const SECTORS: u64 = BLOCK / 512 + 1;

impl Crowded {
    fn new(blocks: u64, last: u64) -> Self {
        let file = std::sync::Arc::new(MemFile::default());
        let params = VhdParams {
            len: BLOCK,
            layout: VhdLayout::Dynamic {
                block_size: BLOCK as u32,
            },
            unique_id: uuid::Uuid::from_u128(1),
            timestamp: 0,
        };
        let writer = VhdWriter::create(file.clone(), &params).expect("good parameters");
        Box::new(writer).finish().expect("in memory");
        let mut head = file.bytes();
        let number = |bytes: &[u8]| bytes.iter().fold(0u64, |sum, b| sum << 8 | u64::from(*b));
        let (header, bat) = (
            number(&head[16..24]) as usize,
            number(&head[512 + 16..512 + 24]),
        );
        head[48..56].copy_from_slice(&(blocks * BLOCK).to_be_bytes());
        head[header + 28..header + 32].copy_from_slice(&(blocks as u32).to_be_bytes());
        for (part, sum) in [(0..512, 64), (header..header + 1024, 36)] {
            let part = &mut head[part];
            part[sum..sum + 4].fill(0);
            let total: u32 = part.iter().map(|byte| u32::from(*byte)).sum();
            part[sum..sum + 4].copy_from_slice(&(!total).to_be_bytes());
        }
        Self {
            head,
            bat,
            blocks,
            last,
        }
    }

    fn first(&self) -> u64 {
        (self.bat + self.blocks * 4).div_ceil(512)
    }
}

impl ReadAt for Crowded {
    fn len(&self) -> io::Result<u64> {
        Ok((self.first() + self.blocks * SECTORS) * 512 + 512)
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = self.len()? - 512;
        for (byte, at) in buf.iter_mut().zip(offset..) {
            *byte = match at {
                at if at < self.bat => self.head[at as usize],
                at if at >= end => self.head[(at - end) as usize],
                at if at < self.bat + self.blocks * 4 => {
                    let index = (at - self.bat) / 4;
                    let index = match index + 1 == self.blocks {
                        true => self.last,
                        false => index,
                    };
                    let sector = (self.first() + index * SECTORS) as u32;
                    sector.to_be_bytes()[((at - self.bat) % 4) as usize]
                }
                _ => 0,
            };
        }
        Ok(())
    }
}

/// One test: others at the same time would be counted too.
#[test]
fn memory_is_bounded_whatever_a_file_claims() {
    let largest = file(64 << 40, 513 << 20, 600 * MIB);
    let used = peak(|| {
        let disk = VhdxImage::open(largest).expect("an empty disk of 64 TiB");
        assert_eq!(disk.len(), 64 << 40);
        let mut holes = 0;
        for window in windows(disk.len(), 1 << 40) {
            for extent in disk.extents(window).expect("extents") {
                assert_ne!(extent.content, Content::Data);
                holes += extent.range.len();
            }
        }
        assert_eq!(holes, disk.len());
    });
    assert!(used < 8 << 20, "{used} bytes for an empty disk of 64 TiB");

    for (what, lying) in [
        (
            "a BAT that the file does not have",
            file(64 << 40, 513 << 20, 4 * MIB),
        ),
        (
            "a BAT that is too short",
            file(64 << 40, 1 << 20, 600 * MIB),
        ),
        (
            "a BAT of 4 GiB in a short file",
            file(1 << 40, 0xFFF0_0000, 4 * MIB),
        ),
    ] {
        let used = peak(|| assert!(VhdxImage::open(lying).is_err(), "{what}"));
        assert!(used < 2 << 20, "{used} bytes for {what}");
    }

    // Of the most blocks there can be, each is held twice: where it is, and sorted, to see that
    // none shares bytes with another.
    let blocks = 16_000_000;
    let used = peak(|| {
        let disk = VhdImage::open(Crowded::new(blocks, blocks - 1)).expect("no block is wrong");
        assert_eq!(disk.len(), blocks * BLOCK);
    });
    assert!(used < 130 << 20, "{used} bytes for a VHD of 2 TiB");
    let used = peak(|| {
        let lying = VhdImage::open(Crowded::new(blocks, 12_345));
        let error = lying.err().expect("two blocks in one place").to_string();
        assert!(error.contains("overlap"), "{error}");
    });
    assert!(used < 130 << 20, "{used} bytes for a lying VHD of 2 TiB");
}
