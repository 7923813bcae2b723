//! A folder with files of all sizes and names of all kinds, as FAT and exFAT can hold them.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use testkit::image::noise;

use crate::support::Tree;

/// Files of all sizes, deep folders and names of all kinds.
pub(crate) fn fill(folder: &Path, files: u64) {
    let put = |path: &Path, bytes: &[u8], seconds: u64| {
        fs::write(path, bytes).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(time)
            .unwrap();
    };
    let many = folder.join("many files in one folder");
    fs::create_dir(&many).unwrap();
    for number in 0..files {
        let name = match number % 4 {
            0 => format!("F{number}.TXT"),
            1 => format!("small{number}"),
            2 => format!("A long name with a number, {number}.text"),
            _ => format!("Ünïcode ☃ {number}"),
        };
        let len = number as usize * 37 % 1300;
        put(
            &many.join(name),
            &noise(number, len),
            400_000_000 + number * 2_345_678,
        );
    }
    let mut deep = folder.to_owned();
    for depth in 0..12 {
        deep.push(format!("Folder {depth}"));
        fs::create_dir(&deep).unwrap();
        put(
            &deep.join("in it"),
            &noise(depth, 700),
            1_000_000_000 + depth,
        );
    }
    put(&folder.join("empty"), &[], 315_532_800);
    put(&folder.join("last.day"), &[1], 4_354_819_198);
    put(&folder.join("big"), &noise(99, 130_000), 4_107_542_400);
    put(&folder.join("long".repeat(60)), b"long", 951_782_400);
    for name in [
        "lower.up",
        "UPPER.low",
        "x.tar.gz",
        ".hidden",
        "with space",
        "☃ and ☂",
        "a+b,c;d=[e]",
    ] {
        put(&folder.join(name), name.as_bytes(), 1_600_000_000);
    }
}

/// What FAT and exFAT do not keep, taken away; times in steps of two seconds.
pub(crate) fn kept(mut tree: Tree) -> Tree {
    for seen in tree.values_mut() {
        seen.owner = None;
        seen.xattrs = Some([].into());
        seen.links = seen.links.map(|_| 1);
        seen.modified = seen
            .modified
            .filter(|_| seen.kind == "file")
            .map(|(seconds, _)| (seconds & !1, 0));
    }
    tree
}
