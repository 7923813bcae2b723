//! Other tools read what we write, and we read what they write.

use std::fs;

use hyperkeep_disk::layer::{Layer, PathKind};
use hyperkeep_disk::vhd::{VhdImage, VhdLayout};
use hyperkeep_disk::{BlockRead, ByteRange, Content};
use proptest::prelude::*;
use testkit::vary;
use testkit::vhd::oracle;

use crate::model::{CHILD, PARENT, child_of_base, image, ops, params, read};

const SECTORS: u64 = 20_000;

#[test]
fn qemu_reads_our_fixed_and_dynamic_images() {
    let Some(qemu) = oracle::qemu_img("VHD writer against qemu-img") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.vhd");
    let strategy = (ops(SECTORS, 200), 19u32..22, any::<bool>());
    vary::runner(12)
        .run(&strategy, |(ops, block_shift, fixed)| {
            let len = SECTORS as usize * 512;
            let layout = match fixed {
                true => VhdLayout::Fixed,
                false => VhdLayout::Dynamic {
                    block_size: 1 << block_shift,
                },
            };
            let mut model = vec![0; len];
            let (bytes, _) = image(&params(len as u64, layout, PARENT), &ops, &mut model);
            fs::write(&path, bytes).unwrap();
            let seen = qemu.read("vpc", &path).map_err(TestCaseError::fail)?;
            prop_assert!(seen == model, "qemu-img reads something else");
            Ok(())
        })
        .unwrap();
}

#[test]
fn fattools_reads_our_chains() {
    let Some(python) = oracle::python("VHD writer against FATtools", "FATtools.vhdutils") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("base.vhd");
    let child = dir.path().join("child.vhd");
    let strategy = (ops(2000, 200), ops(2000, 200), 19u32..22);
    vary::runner(6)
        .run(&strategy, |(below, above, block_shift)| {
            let len = 2000 * 512;
            let mut model = vec![0; len];
            let layout = VhdLayout::Dynamic {
                block_size: 2 << 20,
            };
            let (bytes, _) = image(&params(len as u64, layout, PARENT), &below, &mut model);
            fs::write(&base, bytes).unwrap();
            // FATtools takes a locator's text as a path of this system.
            let layout = child_of_base(1 << block_shift, Some(base.display().to_string()));
            let (bytes, _) = image(&params(len as u64, layout, CHILD), &above, &mut model);
            fs::write(&child, bytes).unwrap();
            let seen = python.fattools_vhd(&child).map_err(TestCaseError::fail)?;
            prop_assert!(seen == model, "FATtools reads something else");
            Ok(())
        })
        .unwrap();
}

/// Lays `child`'s data over `parent`, as a chain does.
fn overlay(parent: &dyn BlockRead, child: &dyn BlockRead) -> Vec<u8> {
    let mut bytes = read(parent);
    for extent in child.extents(ByteRange::new(0, child.len())).unwrap() {
        if extent.content == Content::Data {
            let (start, end) = (extent.range.start as usize, extent.range.end as usize);
            child
                .read_at(extent.range.start, &mut bytes[start..end])
                .unwrap();
        }
    }
    bytes
}

#[test]
fn we_read_chains_that_fattools_made() {
    let Some(python) = oracle::python("VHD reader against FATtools", "FATtools.vhdutils") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (base, child) = (dir.path().join("base.vhd"), dir.path().join("child.vhd"));
    python
        .run(
            "import sys\n\
             from FATtools import vhdutils\n\
             base, child = sys.argv[1:]\n\
             vhdutils.mk_dynamic(base, 8 << 20)\n\
             image = vhdutils.Image(base, 'r+b')\n\
             image.seek(1 << 20); image.write(bytes(range(256)) * 40); image.close()\n\
             vhdutils.mk_diff(child, base)\n\
             image = vhdutils.Image(child, 'r+b')\n\
             image.seek((1 << 20) + 512); image.write(b'child' * 1000)\n\
             image.seek(5 << 20); image.write(b'x' * 512); image.close()",
            &[&base, &child],
        )
        .unwrap();
    let parent = VhdImage::open(fs::File::open(&base).unwrap()).unwrap();
    let disk = VhdImage::open(fs::File::open(&child).unwrap()).unwrap();
    assert_eq!(disk.header().unwrap().parent_id, parent.footer().unique_id);
    assert!(overlay(&parent, &disk) == python.fattools_vhd(&child).unwrap());
}

#[test]
fn we_read_what_qemu_writes() {
    let Some(qemu) = oracle::qemu_img("VHD reader against qemu-img") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("disk.raw");
    let mut model = vec![0u8; 10 << 20];
    for (n, sector) in model.chunks_exact_mut(512).enumerate() {
        if n % 5000 > 4000 {
            sector.fill(n as u8 | 1);
        }
    }
    fs::write(&raw, &model).unwrap();
    for subformat in ["fixed", "dynamic"] {
        for force_size in ["on", "off"] {
            let path = dir.path().join(format!("{subformat}-{force_size}.vhd"));
            let options = format!("subformat={subformat},force_size={force_size}");
            let args = ["convert", "-f", "raw", "-O", "vpc", "-o", &options];
            qemu.run(&args, &[&raw, &path]).unwrap();
            let disk = VhdImage::open(fs::File::open(&path).unwrap()).unwrap();
            assert!(disk.findings().is_empty(), "{:?}", disk.findings());
            let bytes = read(&disk);
            // Without force_size qemu rounds the disk up to whole cylinders.
            assert_eq!(force_size == "on", bytes.len() == model.len());
            assert!(bytes[..model.len()] == model);
            assert!(bytes[model.len()..].iter().all(|byte| *byte == 0));
            assert_eq!(bytes, qemu.read("vpc", &path).unwrap());
        }
    }
}

#[test]
fn locators_carry_paths_of_any_script() {
    let absolute = r"C:\Диски\основа 磁盘 💾.vhd".to_owned();
    let layout = child_of_base(2 << 20, Some(absolute.clone()));
    let (bytes, _) = image(&params(4 << 20, layout, CHILD), &[], &mut vec![0; 4 << 20]);
    let disk = VhdImage::open(bytes).unwrap();
    let link = disk.info().parent.as_ref().unwrap();
    assert_eq!(link.identities, [PARENT]);
    let paths: Vec<_> = link
        .paths
        .iter()
        .map(|p| (p.kind, p.path.as_str()))
        .collect();
    let expected = [
        (PathKind::Relative, r".\base.vhd"),
        (PathKind::Absolute, &absolute),
        (PathKind::Name, &absolute),
    ];
    assert_eq!(paths, expected);
}
