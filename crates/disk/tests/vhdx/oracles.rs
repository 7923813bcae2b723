//! Tools that we did not write: qemu-img for single files and dirty logs, dissect.hypervisor and
//! libvhdi for chains. `docs/oracles.md` says where each of them is itself wrong.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use hyperkeep_disk::raw::RawDisk;
use hyperkeep_disk::resolve::{Folders, open_chain};
use hyperkeep_disk::vhdx::VhdxImage;
use hyperkeep_disk::{BlockRead, Format, Layer};
use proptest::strategy::{Strategy, ValueTree};
use testkit::crash::Random;
use testkit::vary;
use testkit::vhd::oracle;
use testkit::vhdx::{Block, Dirty, Image, dirty};

use crate::compare::{assert_reads_like_qemu, assert_same};
use crate::model::{Shape, flat, shapes};

const MIB: u64 = 1 << 20;

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut rng = Random(seed);
    let words = (0..len.div_ceil(8)).flat_map(|_| rng.number().to_le_bytes());
    words.take(len).collect()
}

#[test]
fn files_that_qemu_makes_read_as_they_were_given() {
    let name = "files_that_qemu_makes_read_as_they_were_given";
    let Some(qemu) = oracle::qemu_img(name) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let raw = folder.path().join("disk.raw");
    let mut bytes = vec![0; 37 * MIB as usize + 512];
    for (at, len) in [
        (0, 100),
        (3 * MIB, 5 * MIB),
        (20 * MIB - 7, 70_000),
        (37 * MIB, 512),
    ] {
        let place = at as usize..(at + len) as usize;
        bytes[place].copy_from_slice(&noise(at, len as usize));
    }
    fs::write(&raw, &bytes).expect("writing");
    let ours = RawDisk::open(bytes).expect("a raw disk");
    for options in [
        "subformat=dynamic",
        "subformat=fixed",
        "subformat=dynamic,block_size=1048576",
        "subformat=dynamic,block_size=2097152,log_size=4194304,block_state_zero=off",
    ] {
        let image = folder.path().join("disk.vhdx");
        qemu.run(
            &["convert", "-f", "raw", "-O", "vhdx", "-o", options],
            &[&raw, &image],
        )
        .expect("qemu-img makes it");
        let opened = VhdxImage::open(File::open(&image).expect("the file")).expect("an image");
        assert_same(&opened, &ours, options);
        let Format::Vhdx(info) = &opened.info().format else {
            panic!("not VHDX");
        };
        assert_eq!(info.fixed, options.contains("fixed"));
        assert!(info.creator.starts_with("QEMU"), "{info:?}");
        assert!(!info.dirty_log);
    }
}

/// A disk of 9 blocks in most states, and where its metadata is in the file.
fn sample() -> (Image, Vec<(u64, u64)>) {
    let mut image = Image::new(9 * MIB - 512, 1 << 20);
    image.blocks.insert(0, Block::Full(noise(1, 1 << 20)));
    image.blocks.insert(1, Block::Zero);
    image.blocks.insert(3, Block::Full(noise(2, 4096)));
    image.blocks.insert(4, Block::Unmapped { anchor: false });
    image.blocks.insert(7, Block::Full(noise(3, 1 << 19)));
    // At the end of the file, so that it can be cut off.
    image.blocks.insert(8, Block::Full(Vec::new()));
    let metadata = vec![
        (192 << 10, 200 << 10),
        (256 << 10, 264 << 10),
        (2 * MIB, 2 * MIB + 4096),
        (2 * MIB + (64 << 10), 2 * MIB + (72 << 10)),
        (3 * MIB, 3 * MIB + (64 << 10)),
    ];
    (image, metadata)
}

/// Logs, and whether qemu-img replays them.
fn logs() -> Vec<(Dirty, bool)> {
    let plain = Dirty {
        start: 0,
        per_entry: 100,
        sequence: 7,
        torn: false,
        stale: false,
        shortened: false,
    };
    let torn = Dirty {
        torn: true,
        ..plain.clone()
    };
    vec![
        (
            Dirty {
                sequence: (1 << 32) - 1,
                per_entry: 3,
                ..plain.clone()
            },
            true,
        ),
        (
            Dirty {
                start: 250,
                ..plain.clone()
            },
            true,
        ),
        (
            Dirty {
                start: 30,
                per_entry: 1,
                ..torn.clone()
            },
            true,
        ),
        (
            Dirty {
                start: 30,
                stale: true,
                ..torn.clone()
            },
            true,
        ),
        // It replays no sequence of several entries that goes around the log's end…
        (
            Dirty {
                start: 255,
                per_entry: 1,
                ..torn.clone()
            },
            false,
        ),
        (
            Dirty {
                start: 250,
                per_entry: 2,
                stale: true,
                ..torn.clone()
            },
            false,
        ),
        // …and none that lengthens the file.
        (
            Dirty {
                shortened: true,
                ..plain.clone()
            },
            false,
        ),
        (plain, true),
        (torn, true),
    ]
}

#[test]
fn a_dirty_file_reads_as_qemu_reads_it_once_replayed() {
    let name = "a_dirty_file_reads_as_qemu_reads_it_once_replayed";
    let (image, metadata) = sample();
    let clean = image.build();
    let want = VhdxImage::open(clean.clone()).expect("a clean image");
    let qemu = oracle::qemu_img(name);
    let folder = tempfile::tempdir().expect("a folder");
    for (how, replays) in logs() {
        let bytes = dirty(&clean, &metadata, &how);
        if how.shortened {
            assert!(bytes.len() < clean.len());
        }
        let what = format!("{how:?}");
        let ours = VhdxImage::open(bytes.clone()).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_same(&ours, &want, &what);
        let Format::Vhdx(info) = &ours.info().format else {
            panic!("not VHDX");
        };
        assert!(info.dirty_log);
        let Some(qemu) = &qemu else { continue };
        if !replays {
            continue;
        }
        let path = folder.path().join("dirty.vhdx");
        fs::write(&path, &bytes).expect("writing");
        let refused = qemu.run(&["info", "-f", "vhdx"], &[&path]);
        assert!(
            refused.is_err(),
            "qemu-img replays nothing unless told to: {what}"
        );
        qemu.run(&["check", "-r", "all", "-f", "vhdx"], &[&path])
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_reads_like_qemu(qemu, &ours, &path);
    }
}

fn partial(block: &Block) -> bool {
    matches!(block, Block::Partial { .. })
}

fn full() -> Option<Block> {
    Some(Block::Full(noise(9, 70_000)))
}

/// A few chains of disks of one size, in an ordinary run always the same ones, after `adapt` was applied to each
/// layer, counted from the base, and `take` chose among them.
fn some_chains(
    folder: &Path,
    take: impl Fn(&[Shape]) -> bool,
    adapt: impl Fn(Shape, bool) -> Shape,
) -> Vec<(Vec<Shape>, Vec<PathBuf>)> {
    let mut runner = vary::runner(1);
    let strategy = shapes(true);
    let trees = std::iter::repeat_with(|| strategy.new_tree(&mut runner).expect("a chain"));
    let chains = trees
        .map(|tree| tree.current())
        .filter(|shapes| take(shapes));
    chains
        .take(vary::cases(8) as usize)
        .enumerate()
        .map(|(i, shapes)| {
            let leaf = shapes.len() - 1;
            let shapes = shapes.into_iter().enumerate().map(|(depth, shape)| {
                // Neither tool takes a partial block without a parent for a whole one.
                let shape = match depth {
                    0 => shape.without(partial, full()),
                    _ => shape,
                };
                adapt(shape, depth == leaf)
            });
            let shapes: Vec<_> = shapes.collect();
            let folder = folder.join(i.to_string());
            fs::create_dir(&folder).expect("a folder");
            let files = shapes.iter().enumerate().map(|(depth, shape)| {
                let path = folder.join(format!("layer{depth}.vhdx"));
                fs::write(&path, shape.image(depth, depth > 0).build()).expect("writing");
                path
            });
            let mut files: Vec<_> = files.collect();
            files.reverse();
            (shapes, files)
        })
        .collect()
}

fn assert_chain_like(shapes: &[Shape], files: &[PathBuf], theirs: &Path, who: &str) {
    let chain = open_chain(&Folders::new(), &files[0]).expect("a chain");
    assert_eq!(chain.layers().len(), shapes.len());
    assert_eq!(
        chain.len(),
        flat(shapes).len() as u64 * u64::from(shapes[0].logical)
    );
    let raw = RawDisk::open(File::open(theirs).expect("their file")).expect("a raw disk");
    assert_same(&chain, &raw, &format!("{who}, {}", files[0].display()));
}

#[test]
fn chains_read_as_dissect_reads_them() {
    let name = "chains_read_as_dissect_reads_them";
    let Some(python) = oracle::python(name, "dissect.hypervisor") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    // dissect miscounts the bits of a partial block when it is asked for sectors from within a
    // byte of them, as it asks itself for a parent's.
    let adapt = |shape: Shape, leaf| match leaf {
        true => shape,
        false => shape.without(partial, full()),
    };
    for (shapes, files) in some_chains(folder.path(), |_| true, adapt) {
        let raw = files[0].with_extension("raw");
        python
            .run(
                include_str!("../../../testkit/oracles/vhdx_dissect.py"),
                &[&files[0], &raw],
            )
            .expect("dissect reads it");
        assert_chain_like(&shapes, &files, &raw, "dissect");
    }
}

#[test]
fn chains_read_as_libvhdi_reads_them() {
    let name = "chains_read_as_libvhdi_reads_them";
    let Some(python) = oracle::python(name, "pyvhdi") else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    // libvhdi asks the parent for blocks that a child declares to be zero, reads parents with
    // sectors of 4096 bytes at the wrong place, and reads the header of a child for its first
    // block, where that is the parent's and no block of the child has a sector bitmap.
    let zero = |block: &Block| {
        matches!(
            block,
            Block::Zero | Block::Undefined { .. } | Block::Unmapped { .. }
        )
    };
    let adapt = |shape: Shape, _| shape.without(zero, None);
    let take = |shapes: &[Shape]| {
        shapes[0].logical == 512 && shapes[1..].iter().all(|child| child.has(partial))
    };
    for (shapes, files) in some_chains(folder.path(), take, adapt) {
        let raw = files[0].with_extension("raw");
        let args: Vec<&Path> = [&raw]
            .into_iter()
            .chain(&files)
            .map(PathBuf::as_path)
            .collect();
        python
            .run(
                include_str!("../../../testkit/oracles/vhdx_libvhdi.py"),
                &args,
            )
            .expect("libvhdi reads it");
        assert_chain_like(&shapes, &files, &raw, "libvhdi");
    }
}
