//! What the editor does not do, and what it does with files that are not quite right.

use hyperkeep_disk::layer::Layer;
use hyperkeep_disk::vhdx::{EditIds, VhdxEditor, VhdxImage, VhdxLayout};
use hyperkeep_disk::{BlockRead, ByteRange, Error, MemFile, ReadAt, WriteAt};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::crash::CrashFile;
use testkit::vary;
use uuid::Uuid;

use crate::images::{image, over, params};
use crate::model::ids;

fn small(layout: VhdxLayout) -> Vec<u8> {
    let params = params(4 << 20, 1 << 20, 512, layout);
    image(&params, &[], &mut vec![0; 4 << 20]).0
}

#[test]
fn requests_outside_the_disk_or_of_half_sectors() {
    let bytes = small(over("base.vhdx"));
    let mut editor = VhdxEditor::open(MemFile::new(bytes), ids(1)).unwrap();
    assert!(matches!(
        editor.write_at((4 << 20) - 512, &[0; 1024]),
        Err(Error::OutOfBounds { .. })
    ));
    assert!(matches!(
        editor.write_at(1, &[0; 512]),
        Err(Error::Invalid(_))
    ));
    assert!(matches!(
        editor.unmap(ByteRange::new(0, 5 << 20)),
        Err(Error::OutOfBounds { .. })
    ));
}

#[test]
fn nil_ids_and_a_parent_for_a_base() {
    let bytes = small(VhdxLayout::Dynamic);
    let nil = EditIds {
        log_guid: Uuid::nil(),
        ..ids(1)
    };
    assert!(VhdxEditor::open(MemFile::new(bytes.clone()), nil).is_err());
    let child = small(over("base.vhdx"));
    let child = VhdxEditor::open(MemFile::new(child), ids(1)).unwrap();
    let link = child.info().parent.clone().unwrap();
    let mut base = VhdxEditor::open(MemFile::new(bytes), ids(1)).unwrap();
    assert!(matches!(base.set_parent(&link), Err(Error::Invalid(_))));
}

/// A file whose syncs fail from a certain one on.
struct Failing {
    file: MemFile,
    left: AtomicUsize,
}

impl ReadAt for Failing {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }
}

impl WriteAt for Failing {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(buf, offset)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        match self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
        {
            Ok(_) => Ok(()),
            Err(_) => Err(io::Error::other("the medium is gone")),
        }
    }
}

#[test]
fn going_on_after_a_failed_sync() {
    for left in 0..6 {
        let file = Arc::new(Failing {
            file: MemFile::new(small(VhdxLayout::Dynamic)),
            left: left.into(),
        });
        let mut editor = VhdxEditor::open(file.clone(), ids(1)).unwrap();
        let first = editor.write_at(0, &[1; 512]).and_then(|()| editor.sync());
        if first.is_ok() {
            assert!(left > 3);
            continue;
        }
        file.left.store(100, Ordering::SeqCst);
        assert!(editor.write_at(0, &[2; 512]).is_err());
        assert!(editor.sync().is_err());
        assert!(editor.close().is_err());
        // Opening again is the way out.
        let mut editor = VhdxEditor::open(file.clone(), ids(2)).unwrap();
        editor.write_at(0, &[3; 512]).unwrap();
        editor.close().unwrap();
    }
}

/// An entry of a trimmed block may still name its old space, and Windows uses that again.
#[test]
fn space_that_a_trimmed_block_reserves_is_not_given_to_another() {
    let file = Arc::new(MemFile::new(small(VhdxLayout::Dynamic)));
    let mut editor = VhdxEditor::open(Arc::clone(&file), ids(1)).unwrap();
    for block in [0, 1] {
        editor.write_at(block << 20, &[7; 512]).unwrap();
    }
    editor.close().unwrap();
    // Behind the log and the metadata is the BAT.
    let (bat, mut entry) = (3 << 20, [0; 8]);
    file.read_exact_at(&mut entry, bat).unwrap();
    let anchor = u64::from_le_bytes(entry) & !7;
    file.write_all_at(&(anchor | 3).to_le_bytes(), bat).unwrap();

    let mut editor = VhdxEditor::open(Arc::clone(&file), ids(2)).unwrap();
    editor.write_at(2 << 20, &[8; 512]).unwrap();
    editor.write_at(0, &[9; 512]).unwrap();
    editor.close().unwrap();
    for block in [0, 1, 2] {
        file.read_exact_at(&mut entry, bat + 8 * block).unwrap();
        let raw = u64::from_le_bytes(entry);
        assert_eq!(raw & 7, 6, "block {block} is stored");
        assert_ne!(raw & !7, anchor, "block {block}");
    }
}

/// Where the tests' images have their BAT.
const BAT: u64 = 3 << 20;

fn entry(file: &MemFile, index: u64) -> u64 {
    let mut entry = [0; 8];
    file.read_exact_at(&mut entry, BAT + 8 * index).unwrap();
    u64::from_le_bytes(entry)
}

fn set_entry(file: &MemFile, index: u64, entry: u64) {
    let bytes = entry.to_le_bytes();
    file.write_all_at(&bytes, BAT + 8 * index).unwrap();
}

/// After a disk was made smaller, entries behind its end may still name blocks.
#[test]
fn space_that_an_entry_behind_the_disk_s_end_names_is_not_given_away() {
    for layout in [VhdxLayout::Dynamic, over("base.vhdx")] {
        let file = Arc::new(MemFile::new(small(layout)));
        let named = file.len().unwrap();
        file.set_len(named + (2 << 20)).unwrap();
        set_entry(&file, 4, named | 6);
        let before = file.bytes();
        let mut editor = VhdxEditor::open(Arc::clone(&file), ids(1)).unwrap();
        for block in 0..4 {
            editor.write_at(block << 20, &[8; 512]).unwrap();
        }
        editor.close().unwrap();
        assert_eq!(entry(&file, 4), named | 6);
        for block in 0..4 {
            assert_ne!(entry(&file, block) & !7, named, "block {block}");
        }
        let place = named as usize..named as usize + (1 << 20);
        assert!(file.bytes()[place.clone()] == before[place]);
    }
}

#[test]
fn a_partial_block_without_a_bitmap() {
    let file = Arc::new(MemFile::new(small(over("base.vhdx"))));
    let mut editor = VhdxEditor::open(Arc::clone(&file), ids(1)).unwrap();
    editor.write_at(0, &[8; 512]).unwrap();
    editor.close().unwrap();
    assert_eq!(entry(&file, 0) & 7, 7);
    // 4096 blocks of 1 MiB make a chunk.
    set_entry(&file, 4096, 0);
    let before = file.bytes();
    let opened = VhdxEditor::open(Arc::clone(&file), ids(2));
    assert!(matches!(opened.err(), Some(Error::Damaged { .. })));
    assert!(file.bytes() == before);
}

/// Both copies of the region table.
fn tables(bytes: &[u8]) -> [&[u8]; 2] {
    [192 << 10, 256 << 10].map(|at| &bytes[at..at + (64 << 10)])
}

/// Damages one copy of the region table: makes it another good one, or breaks it.
fn second_opinion(bytes: &mut [u8], copy: usize, good: bool) {
    let at = [192 << 10, 256 << 10][copy];
    let table = &mut bytes[at..at + (64 << 10)];
    // The place of the first region, some MiB on.
    table[16 + 16 + 2] += 0x40;
    if good {
        testkit::vhdx::seal(table);
    }
}

#[test]
fn the_other_copy_of_the_region_table_is_mended_with_the_first_change() {
    for (copy, good) in [(0, false), (1, false), (1, true)] {
        let whole = small(VhdxLayout::Dynamic);
        let mut bytes = whole.clone();
        second_opinion(&mut bytes, copy, good);
        assert_ne!(tables(&bytes)[0], tables(&bytes)[1]);
        let file = CrashFile::new(bytes.clone());

        VhdxEditor::open(file.clone(), ids(1))
            .unwrap()
            .close()
            .unwrap();
        assert!(file.bytes() == bytes, "opening alone changes nothing");
        let mut editor = VhdxEditor::open(file.clone(), ids(2)).unwrap();
        editor.write_at(0, &[8; 512]).unwrap();
        editor.close().unwrap();
        file.promise(1);
        assert_eq!(tables(&file.bytes()), tables(&whole));
        let disk = VhdxImage::open(file.bytes()).unwrap();
        assert!(disk.findings().is_empty(), "{:?}", disk.findings());

        // No power cut leaves a file that reads otherwise than before or after.
        file.crashes(vary::seed(7), vary::cases(5) as usize, |crash| {
            let disk = VhdxImage::open(&crash.bytes[..])
                .unwrap_or_else(|e| panic!("{e}: {}", crash.story));
            let mut sector = [0; 512];
            disk.read_at(0, &mut sector).unwrap();
            assert!(sector == [0; 512] || sector == [8; 512], "{}", crash.story);
            assert!(
                crash.promised.is_none() || sector == [8; 512],
                "{}",
                crash.story
            );
        });
    }
}
