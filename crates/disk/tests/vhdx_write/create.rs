//! Other tools read our files.

use std::fs;

use hyperkeep_disk::vhdx::{EditIds, VhdxEditor, VhdxImage, VhdxLayout, VhdxWriter};
use hyperkeep_disk::{BlockRead, ByteRange, Content, DiskWrite, Error, MemFile};
use proptest::prelude::*;
use testkit::ops::{Op, ops};
use testkit::vary;
use testkit::vhd::oracle;
use uuid::Uuid;

use crate::images::{image, over, params};

/// A disk's length, its block size, and changes. At most 4.5 MB in units of `unit` bytes.
fn shape(sector: u64, unit: u64) -> impl Strategy<Value = (u64, u32, Vec<Op>)> {
    let block = prop::sample::select(vec![1u32 << 20, 2 << 20, 8 << 20]);
    (1u64..4_500_000, block).prop_flat_map(move |(len, block)| {
        let len = len.next_multiple_of(unit);
        (Just(len), Just(block), ops(len / sector, 4000))
    })
}

#[test]
fn qemu_finds_nothing_wrong_and_reads_the_same_bytes() {
    let Some(qemu) = oracle::qemu_img("VHDX writer against qemu-img") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.vhdx");
    // QEMU knows no logical sectors of 4096 bytes.
    vary::runner(24)
        .run(
            &(shape(512, 512), any::<bool>()),
            |((len, block, ops), fixed)| {
                let layout = match fixed {
                    true => VhdxLayout::Fixed,
                    false => VhdxLayout::Dynamic,
                };
                let mut model = vec![0; len as usize];
                let (bytes, _) = image(&params(len, block, 512, layout), &ops, &mut model);
                fs::write(&path, bytes).unwrap();
                qemu.run(&["check", "-f", "vhdx"], &[&path])
                    .map_err(TestCaseError::fail)?;
                let seen = qemu.read("vhdx", &path).map_err(TestCaseError::fail)?;
                prop_assert!(seen == model, "qemu-img reads something else");
                Ok(())
            },
        )
        .unwrap();
}

#[test]
fn dissect_reads_our_chains() {
    let Some(python) = oracle::python("VHDX writer against dissect", "dissect.hypervisor") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (base, child) = (dir.path().join("base.vhdx"), dir.path().join("child.avhdx"));
    // Three slips of dissect's own must be kept out of the way: it loses the end of a disk that is
    // not a multiple of its read-ahead, misreads bitmaps from the middle of a byte, and reads
    // across the end of a parent's block that is smaller than the child's.
    let strategy = prop::sample::select(vec![512u64, 4096]).prop_flat_map(|sector| {
        shape(sector, 64 << 10).prop_flat_map(move |(len, block, below)| {
            let child_block = prop::sample::select(vec![1u32 << 20, block]);
            let above = ops(len / sector, 4000);
            (Just((sector as u32, len, block, below)), child_block, above)
        })
    });
    vary::runner(16)
        .run(
            &strategy,
            |((sector, len, block, below), child_block, above)| {
                let mut model = vec![0; len as usize];
                let params_base = params(len, block, sector, VhdxLayout::Dynamic);
                let (bytes, _) = image(&params_base, &below, &mut model);
                fs::write(&base, bytes).unwrap();
                let params_child = params(len, child_block, sector, over("base.vhdx"));
                let (bytes, _) = image(&params_child, &above, &mut model);
                fs::write(&child, bytes).unwrap();
                let seen = python.dissect_vhdx(&child).map_err(TestCaseError::fail)?;
                prop_assert!(seen == model, "dissect reads something else");
                Ok(())
            },
        )
        .unwrap();
}

#[test]
fn blocks_of_every_size_up_to_256_mib_are_accepted() {
    let Some(qemu) = oracle::qemu_img("VHDX block sizes") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.vhdx");
    for block in [32u32, 256] {
        let params = params(600 << 20, block << 20, 512, VhdxLayout::Dynamic);
        let op = Op {
            at: 700_000,
            sectors: 3,
            byte: Some(5),
        };
        let (bytes, _) = image(&params, &[op], &mut vec![0; 600 << 20]);
        assert_eq!(bytes.len() as u64, (4 + u64::from(block)) << 20);
        fs::write(&path, bytes).unwrap();
        qemu.run(&["check", "-f", "vhdx"], &[&path]).unwrap();
        let map = qemu
            .run(&["map", "--output=json", "-f", "vhdx"], &[&path])
            .unwrap();
        assert!(map.contains("\"data\": true"), "{map}");
    }
}

/// Every legal block size with both sector sizes, in a file that keeps bits for its sectors: at the
/// beginning and the end of the second of three blocks.
#[test]
fn every_legal_block_size_reads_back() {
    for block in (20..=28).map(|shift| 1u64 << shift) {
        for sector in [512u32, 4096] {
            let unit = u64::from(sector);
            let len = 2 * block + unit;
            let file = std::sync::Arc::new(MemFile::default());
            let params = params(len, block as u32, sector, over("base.vhdx"));
            let mut writer = Box::new(VhdxWriter::create(file.clone(), &params).unwrap());
            let parts = [(block + unit, 3 * unit), (2 * block - unit, unit)];
            let bytes = |at: u64, len: u64| -> Vec<u8> {
                (at..at + len).map(|n| (n / 512 % 251) as u8 + 1).collect()
            };
            for (at, len) in parts {
                writer.write_at(at, &bytes(at, len)).unwrap();
            }
            writer.finish().unwrap();
            let disk = VhdxImage::open(file.as_ref()).unwrap();
            let stored: Vec<_> = disk
                .extents(ByteRange::new(0, len))
                .unwrap()
                .into_iter()
                .filter(|extent| extent.content != Content::Hole)
                .map(|extent| (extent.range.start, extent.range.len()))
                .collect();
            assert_eq!(
                stored, parts,
                "blocks of {block} bytes, sectors of {sector}"
            );
            for (at, len) in parts {
                let mut seen = vec![0; len as usize];
                disk.read_at(at, &mut seen).unwrap();
                assert!(seen == bytes(at, len), "{at} in blocks of {block} bytes");
            }
        }
    }
}

#[test]
fn the_largest_disk_is_written_changed_and_read_by_qemu() {
    let len = 64u64 << 40;
    let file = std::sync::Arc::new(MemFile::default());
    let params = params(len, 32 << 20, 512, VhdxLayout::Dynamic);
    let mut writer = Box::new(VhdxWriter::create(file.clone(), &params).unwrap());
    writer.write_at(len - 512, &[7; 512]).unwrap();
    writer.finish().unwrap();
    let ids = EditIds {
        file_write_guid: Uuid::from_u128(1),
        data_write_guid: Uuid::from_u128(2),
        log_guid: Uuid::from_u128(3),
    };
    let mut editor = VhdxEditor::open(file.clone(), ids).unwrap();
    editor.write_at(len / 2, &[8; 512]).unwrap();
    editor.close().unwrap();
    let disk = VhdxImage::open(file.as_ref()).unwrap();
    for (at, byte) in [(0, 0), (len / 2, 8), (len - 512, 7)] {
        let mut sector = [9; 512];
        disk.read_at(at, &mut sector).unwrap();
        assert_eq!(sector, [byte; 512]);
    }
    let Some(qemu) = oracle::qemu_img("the largest VHDX against qemu-img") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.vhdx");
    fs::write(&path, file.bytes()).unwrap();
    qemu.run(&["check", "-f", "vhdx"], &[&path]).unwrap();
    let info = qemu.run(&["info", "--output=json", "-f", "vhdx"], &[&path]);
    let info = info.unwrap();
    assert!(info.contains(&format!("\"virtual-size\": {len}")), "{info}");
}

#[test]
fn what_the_format_cannot_express_is_refused() {
    let bad = [
        params(0, 1 << 20, 512, VhdxLayout::Dynamic),
        params(1000, 1 << 20, 512, VhdxLayout::Dynamic),
        params((64 << 40) + 512, 1 << 20, 512, VhdxLayout::Dynamic),
        params(1 << 20, 3 << 20, 512, VhdxLayout::Dynamic),
        params(1 << 20, 512 << 20, 512, VhdxLayout::Dynamic),
        params(1 << 20, 1 << 20, 520, VhdxLayout::Fixed),
    ];
    for params in bad {
        let error = VhdxWriter::create(MemFile::default(), &params).err();
        assert!(matches!(error, Some(Error::Invalid(_))), "{params:?}");
    }
    let good = params(1 << 20, 1 << 20, 512, VhdxLayout::Dynamic);
    assert!(VhdxWriter::create(MemFile::new(vec![0]), &good).is_err());
}
