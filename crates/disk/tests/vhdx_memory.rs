//! Memory does not follow what a file claims: the largest disks, true and lying, in little.
//!
//! A program of its own, because it counts every allocation of its process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyperkeep_disk::block::windows;
use hyperkeep_disk::vhdx::VhdxImage;
use hyperkeep_disk::{BlockRead, Content, ReadAt};
use testkit::vhdx::{Block, Image, seal};

const MIB: u64 = 1 << 20;

/// The system's allocator, with an account.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came; the account only adds numbers.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

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

/// The most memory that `work` had beyond what was there before.
fn peak(work: impl FnOnce()) -> usize {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    work();
    PEAK.load(Ordering::Relaxed).saturating_sub(before)
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
}
