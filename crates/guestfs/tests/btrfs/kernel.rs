//! What the kernel and the file system's own tools read, and we too.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::process::Command;

use hyperkeep_guestfs::btrfs::Btrfs;
use hyperkeep_guestfs::{FileSystem as _, How, Name};

use crate::support::{self, kernel, same};
use crate::written::{Image, fill};

/// Fills an image under `mount`, and compares what is then read.
fn compare(test: &str, make: &[&str], mount: &str) -> Option<()> {
    let image = Image::new(test, 256, make)?;
    let writing = image.mounted(test, mount)?;
    fill(&writing.path());
    drop(writing);
    let fs = Btrfs::open(support::image(&image.path)).unwrap();
    let ours = support::read(&fs);
    let mounted = image.mounted(test, "ro")?;
    same(&ours, &kernel::tree(&mounted.path()));
    support::times::same(
        &support::times::read(&fs),
        &support::times::theirs(&mounted.path()),
    );
    drop(mounted);
    assert!(ours.len() > 380, "{make:?}");
    assert_eq!(
        (fs.about().state.how, fs.about().len),
        (How::Clean, 256 << 20)
    );
    Some(())
}

#[test]
fn whatever_it_is_made_with_is_read() {
    let variants: [(&[&str], &str); 9] = [
        (&["-L", "a label"], "rw"),
        (
            &["-O", "^no-holes,^skinny-metadata,^extref", "-m", "single"],
            "compress-force=zlib",
        ),
        (&["-n", "65536", "--csum", "xxhash"], "compress-force=lzo"),
        (
            &["-n", "4096", "--mixed", "--csum", "sha256"],
            "compress-force=zstd:3",
        ),
        (&["--csum", "blake2", "-d", "dup"], "compress=zstd"),
        (&["-n", "32768", "-R", "quota"], "nodatasum,max_inline=0"),
        (
            &["-n", "4096", "-O", "^no-holes", "-R", "^free-space-tree"],
            "nodatacow",
        ),
        (
            &["-n", "4096", "--mixed", "-O", "^no-holes"],
            "compress-force=lzo",
        ),
        (
            &["-n", "8192", "--csum", "crc32c"],
            "compress-force=zlib:1,max_inline=4000",
        ),
    ];
    for (make, mount) in variants {
        if compare("whatever_it_is_made_with_is_read", make, mount).is_none() {
            return;
        }
    }
}

#[test]
fn a_folder_of_20_000_names_is_found_in() {
    let test = "a_folder_of_20_000_names_is_found_in";
    let Some(image) = Image::new(test, 256, &["-n", "4096", "-L", "names"]) else {
        return;
    };
    let Some(writing) = image.mounted(test, "rw") else {
        return;
    };
    for number in 0..20_000 {
        let name = format!("a name that is somewhat longer, {number}");
        fs::write(writing.path().join(name), number.to_string()).unwrap();
    }
    drop(writing);
    let fs = Btrfs::open(support::image(&image.path)).unwrap();
    assert_eq!(
        (fs.about().label.as_str(), fs.about().block),
        ("names", 4096)
    );
    let mut names = BTreeMap::new();
    fs.list(fs.root(), &mut |entry| {
        names.insert(entry.name, entry.node);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(names.len(), 20_000);
    for (name, node) in names.iter().step_by(7) {
        assert_eq!(fs.find(fs.root(), name).unwrap(), Some(*node), "{name}");
        let number = name
            .to_str()
            .unwrap()
            .rsplit(' ')
            .next()
            .unwrap()
            .as_bytes();
        let bytes = support::bytes(fs.open(*node, None).unwrap().as_mut());
        assert_eq!(bytes, number);
    }
    assert_eq!(fs.find(fs.root(), &Name::from("none")).unwrap(), None);
    let mut count = 0;
    fs.list(fs.root(), &mut |_| {
        count += 1;
        if count == 10 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
    .unwrap();
    assert_eq!(count, 10);
}

/// Sectors that this kernel may not mount: written by mkfs.btrfs, read by `btrfs restore`.
#[test]
fn large_sectors_are_read() {
    let test = "large_sectors_are_read";
    let folder = tempfile::tempdir().unwrap();
    let from = folder.path().join("from");
    fs::create_dir(&from).unwrap();
    for (number, len) in [10, 3000, 16384, 70_000, 400_000].into_iter().enumerate() {
        let bytes = testkit::image::noise(number as u64, len);
        fs::write(from.join(format!("file {number}")), bytes).unwrap();
    }
    let from = from.to_str().unwrap();
    let make = ["-s", "16384", "-n", "16384", "--rootdir", from];
    let Some(image) = Image::new(test, 256, &make) else {
        return;
    };
    let to = folder.path().join("to");
    fs::create_dir(&to).unwrap();
    let mut command = Command::new("btrfs");
    let output = command
        .args(["restore", "-xmS"])
        .args([&image.path, &to])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let fs = Btrfs::open(support::image(&image.path)).unwrap();
    assert_eq!(fs.about().block, 16384);
    let ours = support::read(&fs);
    assert_eq!(ours.len(), 5);
    same(&ours, &kernel::tree(&to));
}
