//! Every form of the file system that mke2fs makes, against the kernel.

use std::fs;
use std::path::Path;

use hyperkeep_guestfs::{Ext, FileSystem as _, How};

use crate::make::{Room, fill, image, run};
use crate::support::kernel::{Mounted, tree};
use crate::support::{self, Tree, same};

pub(crate) fn open(path: &Path) -> Ext {
    Ext::open(support::image(path)).unwrap()
}

/// What the kernel reads of a file system that was closed.
pub(crate) fn theirs(test: &str, path: &Path) -> Option<Tree> {
    let mounted = Mounted::kernel(test, path, "ext4", "ro,noload")?;
    Some(tree(&mounted.path()))
}

const ROOM: Room = Room {
    names: 600,
    xattr: 300,
};

/// Makes, fills and compares; `more` does something to the image before it is read.
fn variant(name: &str, mib: u64, words: &str, room: Room, more: &[&[&str]]) {
    let Some(image) = image(name, mib, words) else {
        return;
    };
    let path = image.path();
    {
        let Some(mounted) = Mounted::kernel(name, &path, "ext4", "rw") else {
            return;
        };
        fill(&mounted.path(), room);
    }
    for command in more {
        let words = [&command[1..], &[path.to_str().unwrap()]].concat();
        run(command[0], &words);
    }
    let theirs = theirs(name, &path).unwrap();
    let fs = open(&path);
    let mounted = Mounted::kernel(name, &path, "ext4", "ro,noload").unwrap();
    support::times::same(
        &support::times::read(&fs),
        &support::times::theirs(&mounted.path()),
    );
    drop(mounted);
    assert_eq!(fs.about().state.how, How::Clean, "{:?}", fs.about());
    same(&support::read(&fs), &theirs);
    assert!(support::placed(&fs, &support::image(&path)) > 100_000);
    let format = fs.about().format;
    assert_eq!(
        format,
        run(
            "blkid",
            &["-p", "-o", "value", "-s", "TYPE", path.to_str().unwrap()]
        )
        .trim()
    );
    let id = run(
        "blkid",
        &["-p", "-o", "value", "-s", "UUID", path.to_str().unwrap()],
    );
    assert_eq!(fs.about().id, id.trim());
}

macro_rules! variants {
    ($($name:ident: $mib:literal, $words:literal;)*) => {$(
        #[test]
        fn $name() {
            variant(stringify!($name), $mib, $words, ROOM, &[]);
        }
    )*};
}
variants! {
    ext2_of_1k: 24, "-t ext2 -b 1024";
    ext2_of_4k: 24, "-t ext2 -b 4096";
    ext3_of_2k: 32, "-t ext3 -b 2048";
    ext4_of_1k: 32, "-t ext4 -b 1024";
    ext4_of_2k: 32, "-t ext4 -b 2048 -O ^64bit";
    ext4_of_4k: 32, "-t ext4 -b 4096 -I 256";
    ext4_small_inodes: 32, "-t ext4 -b 4096 -I 128";
    ext4_large_inodes: 32, "-t ext4 -b 4096 -I 1024";
    ext4_without_extents: 32, "-t ext4 -b 1024 -O ^extents,^64bit,^flex_bg";
    ext4_meta_groups: 40, "-t ext4 -b 1024 -g 1024 -O meta_bg,^resize_inode";
    ext4_inline: 32, "-t ext4 -b 4096 -I 512 -O inline_data";
    ext4_clusters: 64, "-t ext4 -b 4096 -O bigalloc";
    ext4_clusters_of_1k: 64, "-t ext4 -b 1024 -O bigalloc -C 8192";
    ext4_old_sums: 32, "-t ext4 -b 4096 -O ^metadata_csum,uninit_bg";
    ext4_no_sums: 32, "-t ext4 -b 4096 -O ^metadata_csum,^uninit_bg";
    ext4_two_copies: 32, "-t ext4 -b 1024 -O sparse_super2";
    ext4_no_kinds: 32, "-t ext4 -b 1024 -O ^filetype";
    ext4_no_index: 32, "-t ext4 -b 1024 -O ^dir_index";
    ext4_no_journal: 32, "-t ext4 -b 4096 -O ^has_journal";
}

#[test]
fn ext4_values_in_inodes() {
    let room = Room {
        names: 50,
        xattr: 30_000,
    };
    variant(
        "ext4_values_in_inodes",
        32,
        "-t ext4 -b 4096 -O ea_inode",
        room,
        &[],
    );
}

#[test]
fn ext4_another_seed() {
    variant(
        "ext4_another_seed",
        32,
        "-t ext4 -b 4096 -O metadata_csum_seed",
        ROOM,
        &[&["tune2fs", "-U", "12345678-9abc-def0-1234-56789abcdef0"]],
    );
}

/// Hashes of names, with characters that have a sign and such that have none.
#[test]
fn ext4_hashes() {
    for hash in ["legacy", "half_md4", "tea"] {
        for flags in ["1", "2"] {
            let name = format!("ext4_hashes {hash} {flags}");
            let Some(image) = image(&name, 24, "-t ext4 -b 1024 -N 4096") else {
                return;
            };
            let path = image.path();
            let path_text = path.to_str().unwrap();
            run("tune2fs", &["-E", &format!("hash_alg={hash}"), path_text]);
            run(
                "debugfs",
                &["-w", "-R", &format!("ssv flags {flags}"), path_text],
            );
            {
                let Some(mounted) = Mounted::kernel(&name, &path, "ext4", "rw") else {
                    return;
                };
                let root = mounted.path();
                for at in 0..700_u32 {
                    let mut bytes = format!("ü{at}-{}", "é".repeat(at as usize % 30)).into_bytes();
                    bytes.push(0x80 | (at % 127) as u8);
                    let file = std::os::unix::ffi::OsStrExt::from_bytes(&bytes[..]);
                    fs::write(root.join::<&std::ffi::OsStr>(file), b"").unwrap();
                }
            }
            same(&support::read(&open(&path)), &theirs(&name, &path).unwrap());
        }
    }
}

/// A folder whose index has three levels, and with `large_dir` more of them.
#[test]
fn a_folder_of_thirty_thousand_names() {
    let name = "a_folder_of_thirty_thousand_names";
    let Some(image) = image(name, 64, "-t ext4 -b 1024 -N 1000 -O large_dir") else {
        return;
    };
    let path = image.path();
    {
        let Some(mounted) = Mounted::kernel(name, &path, "ext4", "rw") else {
            return;
        };
        let root = mounted.path();
        let folder = root.join("folder");
        fs::create_dir(&folder).unwrap();
        fs::write(root.join("file"), b"").unwrap();
        // Hard links are cheap, and a name of a quarter of a block makes many blocks.
        for at in 0..30_000 {
            let name = format!("{at}-{}", "n".repeat(200));
            fs::hard_link(root.join("file"), folder.join(name)).unwrap();
        }
    }
    let theirs = theirs(name, &path).unwrap();
    let last = format!("/folder/29999-{}", "n".repeat(200));
    assert_eq!(theirs[&last].links, Some(30_001));
    same(&support::read(&open(&path)), &theirs);
}
