//! What holds for any bytes that are opened as a VHDX for writing.
//!
//! A VHDX has at least 4 MiB, so the input is not the file but a recipe: which small image to
//! begin with, where to damage it, and what to do to it then.

use std::io;
use std::sync::OnceLock;

use hyperkeep_disk::layer::{ParentLink, ParentPath, PathKind};
use hyperkeep_disk::vhdx::{EditIds, VhdxEditor, VhdxImage, VhdxLayout, VhdxParams, VhdxWriter};
use hyperkeep_disk::{BlockRead, ByteRange, DiskWrite, Geometry, MemFile, ReadAt, WriteAt};
use uuid::Uuid;

const SECTORS: u64 = 5000;

/// A medium of 32 MiB: a file that is told to grow beyond it fails, as on a real one.
struct Small(MemFile);

const MEDIUM: u64 = 32 << 20;

impl ReadAt for Small {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, offset)
    }
}

impl WriteAt for Small {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        match offset.checked_add(buf.len() as u64) {
            Some(end) if end <= MEDIUM => self.0.write_all_at(buf, offset),
            _ => Err(io::ErrorKind::StorageFull.into()),
        }
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        match len <= MEDIUM {
            true => self.0.set_len(len),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

fn ids(n: u128) -> EditIds {
    EditIds {
        file_write_guid: Uuid::from_u128(0xF000 + n),
        data_write_guid: Uuid::from_u128(0xD000 + n),
        log_guid: Uuid::from_u128(0x1000 + n),
    }
}

fn new_image(layout: VhdxLayout) -> Vec<u8> {
    let params = VhdxParams {
        geometry: Geometry {
            len: SECTORS * 512,
            logical_sector: 512,
            physical_sector: 4096,
        },
        block_size: 1 << 20,
        layout,
        disk_id: Uuid::from_u128(1),
        data_write_guid: Uuid::from_u128(2),
        file_write_guid: Uuid::from_u128(3),
        creator: "fuzz".into(),
        metadata: vec![],
    };
    let file = std::sync::Arc::new(MemFile::default());
    let mut writer = Box::new(VhdxWriter::create(file.clone(), &params).expect("good parameters"));
    writer.write_at(512, &[1; 4096]).expect("in memory");
    writer
        .write_zeros(ByteRange::new(1 << 20, 2 << 20))
        .expect("in memory");
    writer.finish().expect("in memory");
    file.bytes()
}

/// Dynamic and differencing images, each clean and with a log in use.
fn seeds() -> &'static [Vec<u8>; 4] {
    static SEEDS: OnceLock<[Vec<u8>; 4]> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let parent = VhdxLayout::Differencing(ParentLink {
            identities: vec![Uuid::from_u128(9)],
            paths: vec![ParentPath {
                kind: PathKind::Relative,
                path: "p".into(),
            }],
            other: vec![],
            timestamp: None,
        });
        let dirty = |bytes: &[u8]| {
            let file = std::sync::Arc::new(MemFile::new(bytes.to_vec()));
            let mut editor = VhdxEditor::open(file.clone(), ids(100)).expect("a good image");
            editor.write_at(2 << 20, &[2; 512]).expect("in memory");
            editor.sync().expect("in memory");
            file.bytes()
        };
        let (base, child) = (new_image(VhdxLayout::Dynamic), new_image(parent));
        let (base_dirty, child_dirty) = (dirty(&base), dirty(&child));
        [base, child, base_dirty, child_dirty]
    })
}

/// CRC-32C as a loop over bits, independent of the one under test.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82F6_3B78 & 0u32.wrapping_sub(crc & 1))
        })
    })
}

/// Repairs checksums, so that damage gets past them.
fn seal(file: &mut [u8], at: usize, len: usize) {
    if let Some(part) = file.get_mut(at..at + len) {
        part[4..8].fill(0);
        let crc = crc32c(part);
        part[4..8].copy_from_slice(&crc.to_le_bytes());
    }
}

/// The input as numbers; zeros once it has ended.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> u64 {
        (0..4).fold(0, |n, _| n << 8 | u64::from(self.byte()))
    }
}

/// Follows the recipe in `data`.
///
/// # Panics
/// When a file that could be opened for writing and was closed again cannot be read.
pub(crate) fn check(data: &[u8]) {
    let mut input = Input(data);
    let mut bytes = seeds()[usize::from(input.byte() % 4)].clone();
    // Damage.
    for _ in 0..input.byte() % 16 {
        let at = input.number() as usize % bytes.len();
        match input.byte() % 4 {
            0 => bytes[at] = input.byte(),
            1 => {
                let value = input.number().to_le_bytes();
                let end = bytes.len().min(at + 8);
                bytes[at..end].copy_from_slice(&value[..end - at]);
            }
            2 => bytes.truncate(at.max(1)),
            _ => {
                for at in [64 << 10, 128 << 10] {
                    seal(&mut bytes, at, 4096);
                }
                for at in [192 << 10, 256 << 10] {
                    seal(&mut bytes, at, 64 << 10);
                }
            }
        }
    }
    // Use.
    let file = Small(MemFile::new(bytes));
    let Ok(mut editor) = VhdxEditor::open(&file, ids(0)) else {
        return;
    };
    let mut whole = true;
    for _ in 0..input.byte() % 16 {
        let len = editor.geometry().len;
        let start = (input.number() % SECTORS * 512).min(len);
        let end = (start + u64::from(input.byte()) * 16 * 512).min(len);
        let range = ByteRange::new(start, end);
        let result = match input.byte() % 4 {
            0 => editor.write_at(start, &vec![input.byte(); range.len() as usize]),
            1 => editor.write_zeros(range),
            2 => editor.unmap(range),
            _ => editor.sync(),
        };
        whole &= result.is_ok();
    }
    if editor.close().is_ok() && whole {
        let disk = VhdxImage::open(&file).expect("a file that was closed can be opened");
        let window = ByteRange::new(0, disk.len().min(SECTORS * 512));
        disk.extents(window).expect("its extents can be listed");
        disk.read_at(0, &mut vec![0; window.len() as usize])
            .expect("it can be read");
    }
}
