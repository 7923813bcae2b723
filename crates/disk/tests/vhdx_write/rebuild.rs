//! Files made again from what was recorded about them, and our own reader's view of new files.

use std::sync::Arc;

use hyperkeep_disk::layer::{Format, Layer, LayerInfo, MetadataItem, ParentPath, PathKind};
use hyperkeep_disk::raw::RawDisk;
use hyperkeep_disk::vhd::{VhdImage, VhdLayout, VhdParams, VhdWriter};
use hyperkeep_disk::vhdx::{VhdxImage, VhdxLayout};
use hyperkeep_disk::{BlockRead, ByteRange, Content, DiskWrite, MemFile, rebuild};
use proptest::prelude::*;
use testkit::ops::{Op, apply, ops, read};
use testkit::vhd::oracle;
use uuid::Uuid;

use crate::images::{image, over, params};

/// Writes the contents of `from` into a new file that is to be its equal, as a restore does.
fn copy(from: &dyn BlockRead, info: &LayerInfo, paths: Option<&[ParentPath]>) -> Vec<u8> {
    let file = Arc::new(MemFile::default());
    let mut writer = rebuild(file.clone(), info, paths).unwrap();
    for extent in from.extents(ByteRange::new(0, from.len())).unwrap() {
        match extent.content {
            Content::Hole => {}
            Content::Zero => writer.write_zeros(extent.range).unwrap(),
            Content::Data => {
                let mut bytes = vec![0; extent.range.len() as usize];
                from.read_at(extent.range.start, &mut bytes).unwrap();
                writer.write_at(extent.range.start, &bytes).unwrap();
            }
        }
    }
    writer.finish().unwrap();
    file.bytes()
}

fn extents(disk: &dyn BlockRead) -> Vec<(ByteRange, Content)> {
    let extents = disk.extents(ByteRange::new(0, disk.len())).unwrap();
    extents.iter().map(|e| (e.range, e.content)).collect()
}

proptest! {
    #![proptest_config(testkit::vary::config(40))]

    #[test]
    fn a_new_vhdx_shows_what_was_written_and_so_does_its_rebuilt_equal(
        ops in ops(1000, 600), kind in 0..3u8, sector in prop::sample::select(vec![512u32, 4096]),
        shift in 20..23u32, item in prop::collection::vec(any::<u8>(), 0..100), user: bool,
    ) {
        let layout = match kind {
            0 => VhdxLayout::Fixed,
            1 => VhdxLayout::Dynamic,
            _ => over("base.vhdx"),
        };
        let len = 1000 * u64::from(sector);
        let mut params = params(len, 1 << shift, sector, layout);
        params.metadata.push(MetadataItem {
            id: Uuid::from_u128(0x1234),
            user,
            virtual_disk: true,
            required: false,
            data: item,
        });
        let mut model = vec![0; len as usize];
        let (bytes, mentioned) = image(&params, &ops, &mut model);
        let disk = VhdxImage::open(&bytes[..]).unwrap();
        prop_assert!(disk.findings().is_empty(), "{:?}", disk.findings());
        prop_assert!(read(&disk) == model);
        prop_assert_eq!(disk.geometry(), params.geometry);
        let Format::Vhdx(info) = &disk.info().format else { panic!() };
        prop_assert_eq!(&info.metadata, &params.metadata);
        prop_assert_eq!(info.data_write_guid, params.data_write_guid);
        if kind == 2 {
            let mut own = Vec::new();
            for (range, content) in extents(&disk) {
                own.resize(range.end as usize / 512, content != Content::Hole);
            }
            prop_assert_eq!(own, mentioned);
        }

        let again = copy(&disk, disk.info(), None);
        let again = VhdxImage::open(again).unwrap();
        prop_assert_eq!(again.info(), disk.info());
        prop_assert!(read(&again) == model);
        prop_assert_eq!(extents(&again), extents(&disk));
    }
}

#[test]
fn a_rebuilt_child_keeps_its_parents_identity_under_new_paths() {
    let (bytes, _) = image(
        &params(4 << 20, 1 << 20, 512, over("base.vhdx")),
        &[],
        &mut vec![0; 4 << 20],
    );
    let disk = VhdxImage::open(bytes).unwrap();
    let path = |kind, path: &str| ParentPath {
        kind,
        path: path.into(),
    };
    let paths = [
        path(PathKind::Relative, r"..\新しい\base.vhdx"),
        path(PathKind::Absolute, r"\\?\D:\新しい\base.vhdx"),
    ];
    let again = VhdxImage::open(copy(&disk, disk.info(), Some(&paths))).unwrap();
    let (old, new) = (
        disk.info().parent.as_ref().unwrap(),
        again.info().parent.as_ref().unwrap(),
    );
    assert_eq!(new.identities, old.identities);
    assert_eq!(new.paths, paths);
    assert_eq!(again.info().format, disk.info().format);
}

#[test]
fn vhd_and_raw_images_are_rebuilt_too() {
    let len = 3 << 20;
    let op = |at, sectors, byte| Op { at, sectors, byte };
    let ops = [op(1, 700, Some(1)), op(5000, 3, Some(2)), op(100, 50, None)];
    let link = match over("base.vhd") {
        VhdxLayout::Differencing(link) => link,
        other => panic!("{other:?}"),
    };
    let block_size = 512 << 10;
    for layout in [
        VhdLayout::Fixed,
        VhdLayout::Dynamic { block_size },
        VhdLayout::Differencing {
            block_size,
            parent: link,
        },
    ] {
        let file = Arc::new(MemFile::default());
        let params = VhdParams {
            len,
            unique_id: Uuid::from_u128(77),
            timestamp: 88,
            layout,
        };
        let mut writer = Box::new(VhdWriter::create(file.clone(), &params).unwrap());
        let mut model = vec![0; len as usize];
        apply(&ops, writer.as_mut(), &mut model);
        writer.finish().unwrap();
        let disk = VhdImage::open(file.bytes()).unwrap();
        let mut info = disk.info().clone();
        if let Format::Vhd(vhd) = &mut info.format {
            vhd.creator_app = *b"vpc ";
            vhd.original_len = 1 << 20;
            vhd.features = 3;
            vhd.chs = (9, 8, 7);
        }
        let again = VhdImage::open(copy(&disk, &info, None)).unwrap();
        assert_eq!(again.info(), &info);
        assert!(read(&again) == model);
        assert_eq!(extents(&again), extents(&disk));
    }

    let raw = RawDisk::open(vec![5; 1001]).unwrap();
    let info = LayerInfo {
        geometry: raw.geometry(),
        format: Format::Raw,
        parent: None,
    };
    assert_eq!(copy(&raw, &info, None), vec![5; 1001]);
}

#[test]
fn images_made_by_windows_are_rebuilt_to_what_qemu_reads_the_same() {
    let Some(dir) = oracle::samples("rebuilt VHDX samples") else {
        return;
    };
    let Some(qemu) = oracle::qemu_img("rebuilt VHDX samples") else {
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    for name in ["swap", "btrfs"] {
        let bytes = oracle::gunzip(&dir.join(format!("{name}.vhdx.gz"))).unwrap();
        let disk = VhdxImage::open(&bytes[..]).unwrap();
        let again = copy(&disk, disk.info(), None);
        let image = VhdxImage::open(&again[..]).unwrap();
        let mut info = disk.info().clone();
        if let Format::Vhdx(vhdx) = &mut info.format {
            vhdx.dirty_log = false;
        }
        assert_eq!(image.info(), &info);
        let (old, new) = (
            temp.path().join(format!("{name}-old.vhdx")),
            temp.path().join(format!("{name}-new.vhdx")),
        );
        std::fs::write(&old, &bytes).unwrap();
        std::fs::write(&new, &again).unwrap();
        qemu.run(&["check", "-f", "vhdx"], &[&new]).unwrap();
        qemu.run(&["compare", "-f", "vhdx", "-F", "vhdx"], &[&old, &new])
            .unwrap();
    }
}
