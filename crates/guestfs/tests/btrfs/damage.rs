//! Damage: an error or the other copy, and never other bytes.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use hyperkeep_guestfs::btrfs::Btrfs;
use hyperkeep_guestfs::{Error, FileSystem as _, How, Name, by_path};
use testkit::image::noise;

use crate::support;
use crate::written::Image;

/// Turns a bit in the first of the places where `bytes` are.
fn flip(image: &Path, bytes: &[u8]) {
    let all = fs::read(image).unwrap();
    let mut sectors = all.chunks(512);
    let place = sectors.position(|sector| sector == bytes).unwrap() * 512 + 5;
    patch(image, place, &[all[place] ^ 0x40]);
}

fn patch(image: &Path, at: usize, bytes: &[u8]) {
    let file = fs::File::options().write(true).open(image).unwrap();
    file.write_all_at(bytes, at as u64).unwrap();
}

fn read(image: &Path, name: &str) -> Result<Vec<u8>, Error> {
    let fs = Btrfs::open(support::image(image))?;
    let node = by_path(&fs, &[Name::from(name)])?;
    let mut content = fs.open(node, None)?;
    let mut bytes = vec![0; content.len() as usize];
    content.read_at(0, &mut bytes)?;
    Ok(bytes)
}

#[test]
fn damaged_data_is_an_error_or_the_other_copy() {
    let test = "damaged_data_is_an_error_or_the_other_copy";
    for (mib, profile) in [(128, "single"), (256, "dup")] {
        let Some(image) = Image::new(test, mib, &["-d", profile]) else {
            return;
        };
        let Some(writing) = image.mounted(test, "rw") else {
            return;
        };
        let bytes = noise(1, 3_000_000);
        fs::write(writing.path().join("file"), &bytes).unwrap();
        drop(writing);
        assert!(read(&image.path, "file").unwrap() == bytes);
        flip(&image.path, &bytes[1 << 20..][..512]);
        let now = read(&image.path, "file");
        if profile == "single" {
            let error = now.unwrap_err().to_string();
            assert!(
                error.starts_with("damaged btrfs data at ") && error.contains("checksum"),
                "{error}"
            );
        } else {
            assert!(now.unwrap() == bytes);
            flip(&image.path, &bytes[1 << 20..][..512]);
            read(&image.path, "file").unwrap_err();
        }
    }
}

#[test]
fn damaged_superblocks_and_metadata_are_told() {
    let test = "damaged_superblocks_and_metadata_are_told";
    let Some(image) = Image::new(
        test,
        128,
        &["-m", "single", "-U", "11111111-2222-3333-4444-555555555555"],
    ) else {
        return;
    };
    let whole = fs::read(&image.path).unwrap();
    let open = || Btrfs::open(support::image(&image.path));
    // Opens it with some bytes changed, and puts them back.
    let changed = |changes: &[(usize, &[u8])]| {
        for (at, bytes) in changes {
            patch(&image.path, *at, bytes);
        }
        let fs = open();
        let listed = fs.and_then(|fs| {
            fs.list(fs.root(), &mut |_| ControlFlow::Continue(()))?;
            Ok(fs)
        });
        for (at, bytes) in changes {
            patch(&image.path, *at, &whole[*at..*at + bytes.len()]);
        }
        listed
    };
    let fs = open().unwrap();
    assert_eq!(fs.about().id, "11111111-2222-3333-4444-555555555555");
    let first: (usize, &[u8]) = ((64 << 10) + 300, &[0xee]);
    let fs = changed(&[first]).unwrap();
    assert_eq!(fs.about().state.how, How::Damaged);
    assert!(
        fs.about().state.notes[0].contains("a copy is used"),
        "{:?}",
        fs.about().state
    );
    let both = changed(&[first, ((64 << 20) + 300, &[0xee])]);
    assert!(matches!(both, Err(Error::Damaged { .. })));
    assert!(
        changed(&[((64 << 10) + 64, &[0])]).is_ok(),
        "the copy is there"
    );
    let none = changed(&[((64 << 10) + 64, &[0]), ((64 << 20) + 64, &[0])]);
    assert!(matches!(none, Err(Error::NotThis(_))));
    // Features from a newer time, with a checksum that fits.
    for (at, bit, name) in [(0xbc + 3, 0x80, "0x80000000"), (0xbc + 1, 0x10, "ZONED")] {
        let newer: Vec<_> = [64 << 10, 64 << 20]
            .map(|place| {
                let mut bytes = whole[place..place + 4096].to_vec();
                bytes[at] |= bit;
                let sum = crc32c::crc32c(&bytes[32..]);
                bytes[..4].copy_from_slice(&sum.to_le_bytes());
                (place, bytes)
            })
            .into();
        let newer: Vec<_> = newer
            .iter()
            .map(|(place, bytes)| (*place, &bytes[..]))
            .collect();
        let error = changed(&newer).map(|_| ()).unwrap_err().to_string();
        assert!(
            error.starts_with("unsupported") && error.contains(name),
            "{error}"
        );
    }
    // Every tree block in turn.
    let blocks = (1 << 20..whole.len()).step_by(16384);
    let blocks = blocks.filter(|at| whole[at + 32..at + 48] == whole[(64 << 10) + 32..][..16]);
    let mut errors = 0;
    for at in blocks {
        if let Err(error) = changed(&[(at + 200, &[whole[at + 200] ^ 2])]) {
            let text = error.to_string();
            assert!(text.starts_with("damaged btrfs tree block "), "{text}");
            errors += 1;
        }
    }
    assert!(errors >= 3, "{errors}: chunks, trees and files");
    fs::File::options()
        .write(true)
        .open(&image.path)
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    assert!(matches!(open(), Err(Error::Disk(_))));
    fs::File::options()
        .write(true)
        .open(&image.path)
        .unwrap()
        .set_len(4096)
        .unwrap();
    assert!(matches!(open(), Err(Error::NotThis(_))));
}

#[test]
fn several_devices_are_named() {
    let test = "several_devices_are_named";
    let folder = tempfile::tempdir().unwrap();
    let second = folder.path().join("second");
    fs::File::create(&second)
        .unwrap()
        .set_len(128 << 20)
        .unwrap();
    for profile in ["raid1", "raid0"] {
        let second = second.to_str().unwrap();
        let Some(image) = Image::new(test, 128, &["-f", "-m", profile, "-d", "single", second])
        else {
            return;
        };
        let error = Btrfs::open(support::image(&image.path))
            .map(|_| ())
            .unwrap_err()
            .to_string();
        let name = profile.to_uppercase();
        assert!(
            error.contains("over several devices") && error.contains(&name),
            "{error}"
        );
    }
}
