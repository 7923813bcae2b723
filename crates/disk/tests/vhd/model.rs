//! Random writes against a flat array.

pub(crate) use testkit::ops::{Op, apply, ops, read};

use hyperkeep_disk::layer::{Layer, ParentLink, ParentPath, PathKind};
use hyperkeep_disk::vhd::{VhdImage, VhdLayout, VhdParams, VhdWriter};
use hyperkeep_disk::{BlockRead, ByteRange, Content, DiskWrite, MemFile};
use proptest::prelude::*;
use uuid::Uuid;

pub(crate) const PARENT: Uuid = Uuid::from_u128(0xAAAA);
pub(crate) const CHILD: Uuid = Uuid::from_u128(0xBBBB);

pub(crate) fn params(len: u64, layout: VhdLayout, unique_id: Uuid) -> VhdParams {
    VhdParams {
        len,
        unique_id,
        timestamp: 0x1234_5678,
        layout,
    }
}

pub(crate) fn child_of_base(block_size: u32, absolute: Option<String>) -> VhdLayout {
    let path = |kind, path| ParentPath { kind, path };
    let mut paths = vec![path(PathKind::Relative, r".\base.vhd".into())];
    paths.extend(absolute.map(|absolute| path(PathKind::Absolute, absolute)));
    VhdLayout::Differencing {
        block_size,
        parent: ParentLink {
            identities: vec![PARENT],
            paths,
            other: vec![],
            timestamp: Some(0),
        },
    }
}

/// Writes an image into memory.
pub(crate) fn image(params: &VhdParams, ops: &[Op], model: &mut [u8]) -> (Vec<u8>, Vec<bool>) {
    let file = std::sync::Arc::new(MemFile::default());
    let mut writer = Box::new(VhdWriter::create(file.clone(), params).unwrap());
    let mentioned = apply(ops, writer.as_mut(), model);
    writer.finish().unwrap();
    (file.bytes(), mentioned)
}

proptest! {
    #![proptest_config(testkit::vary::config(48))]

    #[test]
    fn base_images_read_back_what_was_written(
        ops in ops(1001, 200), block_shift in 12u32..18, fixed: bool, unaligned in (0u64..500_000, 1usize..999),
    ) {
        let len = 1001 * 512;
        let layout = match fixed {
            true => VhdLayout::Fixed,
            false => VhdLayout::Dynamic { block_size: 1 << block_shift },
        };
        let mut model = vec![0; len];
        let file = std::sync::Arc::new(MemFile::default());
        let mut writer = Box::new(
            VhdWriter::create(file.clone(), &params(len as u64, layout, PARENT)).unwrap(),
        );
        apply(&ops, writer.as_mut(), &mut model);
        // Base images take any alignment.
        let (at, n) = unaligned;
        writer.write_at(at, &vec![0xEE; n]).unwrap();
        model[at as usize..at as usize + n].fill(0xEE);
        writer.finish().unwrap();

        let disk = VhdImage::open(file.bytes()).unwrap();
        prop_assert!(disk.findings().is_empty());
        prop_assert_eq!(disk.len(), len as u64);
        prop_assert!(read(&disk) == model);
        for extent in disk.extents(ByteRange::new(0, len as u64)).unwrap() {
            if extent.content != Content::Data {
                let part = &model[extent.range.start as usize..extent.range.end as usize];
                prop_assert!(part.iter().all(|byte| *byte == 0));
            }
        }
        // Reads at odd places see the same bytes.
        let mut part = vec![0; n];
        disk.read_at(at, &mut part).unwrap();
        prop_assert!(part == model[at as usize..at as usize + n]);
    }

    #[test]
    fn a_differencing_image_holds_exactly_the_sectors_that_were_mentioned(
        ops in ops(1001, 200), block_shift in 12u32..18,
    ) {
        let len = 1001 * 512;
        let mut model = vec![0; len];
        let params = params(len as u64, child_of_base(1 << block_shift, None), CHILD);
        let (bytes, mentioned) = image(&params, &ops, &mut model);
        let disk = VhdImage::open(bytes).unwrap();
        let mut sectors = Vec::new();
        for extent in disk.extents(ByteRange::new(0, len as u64)).unwrap() {
            for _ in 0..extent.range.len() / 512 {
                sectors.push(extent.content == Content::Data);
            }
        }
        prop_assert_eq!(sectors, mentioned);
        prop_assert!(read(&disk) == model, "unmentioned sectors are zero in the model, too");
    }
}

#[test]
fn a_differencing_image_refuses_half_sectors() {
    let mut writer = VhdWriter::create(
        MemFile::default(),
        &params(1 << 20, child_of_base(4096, None), CHILD),
    )
    .unwrap();
    assert!(writer.write_at(1, &[0; 512]).is_err());
    assert!(writer.write_at(512, &[0; 511]).is_err());
    assert!(writer.write_at(1 << 20, &[0; 512]).is_err());
    writer.write_at(512, &[0; 512]).unwrap();
}

#[test]
fn blocks_are_laid_out_as_windows_does() {
    let params = params(
        64 << 20,
        VhdLayout::Dynamic {
            block_size: 2 << 20,
        },
        PARENT,
    );
    let ops: Vec<_> = [1, 30000, 100_000]
        .map(|at| Op {
            at,
            sectors: 1,
            byte: Some(1),
        })
        .into();
    let (bytes, _) = image(&params, &ops, &mut vec![0; 64 << 20]);
    let disk = VhdImage::open(&bytes[..]).unwrap();
    let bat = disk.header().unwrap().table_offset as usize;
    assert_eq!(bat, 1536);
    let mut blocks = 0;
    for entry in bytes[bat..bat + 32 * 4].chunks_exact(4) {
        let sector = u32::from_be_bytes(entry.try_into().unwrap());
        if sector != u32::MAX {
            assert_eq!((sector + 1) % 8, 0, "data on 4 KiB");
            let at = sector as usize * 512;
            assert!(bytes[at..at + 512].iter().all(|byte| *byte == 0xFF));
            blocks += 1;
        }
    }
    assert_eq!(blocks, 3);
    assert_eq!(bytes[..512], bytes[bytes.len() - 512..]);
    assert_eq!(disk.footer().current_size, 64 << 20);
}
