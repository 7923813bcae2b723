//! What each tool makes is recognised, and what was formatted over is not; libblkid is asked as well.
#![cfg(unix)]

extern crate disk as hyperkeep_disk;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use hyperkeep_guestfs::probe::{self, What};
use testkit::vhd::oracle;

mod support;

const MIB: u64 = 1 << 20;

/// A tool that makes something on an image, what it is, and what blkid calls it.
struct Maker(&'static str, &'static [&'static str], What, &'static str);

const MAKERS: [Maker; 22] = [
    Maker("mkntfs", &["-q", "-F", "-Q"], What::Ntfs, "ntfs"),
    Maker(
        "mkntfs",
        &["-q", "-F", "-Q", "-s", "4096", "-c", "65536"],
        What::Ntfs,
        "ntfs",
    ),
    Maker("mkfs.ext2", &["-q", "-F"], What::Ext, "ext2"),
    Maker("mkfs.ext3", &["-q", "-F", "-b", "1024"], What::Ext, "ext3"),
    Maker("mkfs.ext4", &["-q", "-F"], What::Ext, "ext4"),
    Maker("mkfs.xfs", &["-q", "-f"], What::Xfs, "xfs"),
    Maker(
        "mkfs.xfs",
        &["-q", "-f", "-b", "size=1024", "-m", "crc=0"],
        What::Xfs,
        "xfs",
    ),
    Maker("mkfs.btrfs", &["-q", "-f"], What::Btrfs, "btrfs"),
    Maker(
        "mkfs.fat",
        &["-F", "12", "-S", "1024", "-s", "128"],
        What::Fat,
        "vfat",
    ),
    Maker("mkfs.fat", &["-F", "16"], What::Fat, "vfat"),
    Maker("mkfs.fat", &["-F", "32"], What::Fat, "vfat"),
    Maker("mkfs.fat", &["-F", "32", "-S", "4096"], What::Fat, "vfat"),
    Maker(
        "mkfs.fat",
        &["-F", "16", "-f", "1", "-M", "0xf0"],
        What::Fat,
        "vfat",
    ),
    Maker("mkfs.exfat", &[], What::ExFat, "exfat"),
    Maker("mkfs.exfat", &["-c", "1M"], What::ExFat, "exfat"),
    Maker("mkswap", &["-q"], What::Swap, "swap"),
    Maker("mkswap", &["-q", "-f", "-p", "65536"], What::Swap, "swap"),
    Maker("mkfs.f2fs", &["-q", "-f"], What::Other("F2FS"), "f2fs"),
    Maker("mkfs.jfs", &["-q"], What::Other("JFS"), "jfs"),
    Maker(
        "mkfs.reiserfs",
        &["-q", "-f", "-f"],
        What::Other("ReiserFS"),
        "reiserfs",
    ),
    Maker("mkfs.udf", &["-b", "512"], What::Other("UDF"), "udf"),
    Maker("mkfs.udf", &["-b", "2048"], What::Other("UDF"), "udf"),
];

impl Maker {
    /// Makes it; whether the tool is there.
    fn make(&self, test: &str, image: &Path) -> bool {
        match Command::new(self.0).args(self.1).arg(image).output() {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{} {:?}: {said}", self.0, self.1);
                true
            }
            Err(error) => {
                oracle::skip(test, &format!("{}: {error}", self.0));
                false
            }
        }
    }
}

fn what(image: &Path) -> What {
    probe::what(&support::image(image)).unwrap()
}

/// What libblkid calls it; empty if it sees nothing, `None` if it sees several things.
fn by_blkid(image: &Path) -> Option<String> {
    let output = Command::new("blkid")
        .args(["-p", "-o", "value", "-s", "TYPE"])
        .arg(image)
        .output()
        .unwrap();
    match output.status.code() {
        Some(8) => None,
        _ => Some(String::from_utf8(output.stdout).unwrap().trim().to_owned()),
    }
}

#[test]
fn what_each_tool_makes_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    for (number, maker) in MAKERS.iter().enumerate() {
        let image = folder.path().join(number.to_string());
        File::create(&image).unwrap().set_len(320 * MIB).unwrap();
        if maker.make("what_each_tool_makes_is_recognised", &image) {
            assert_eq!(what(&image), maker.2, "{} {:?}", maker.0, maker.1);
            assert_eq!(
                by_blkid(&image).as_deref(),
                Some(maker.3),
                "{} {:?}",
                maker.0,
                maker.1
            );
        }
        fs::remove_file(&image).unwrap();
    }
}

#[test]
fn what_was_formatted_over_is_not_what_it_was() {
    let test = "what_was_formatted_over_is_not_what_it_was";
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    // One of each kind, and both sizes of what lies before FAT's tables.
    let some = [0, 4, 5, 7, 9, 10, 13, 15].map(|at| &MAKERS[at]);
    let mut wrong = Vec::new();
    for before in some {
        for after in some.iter().filter(|after| after.2 != before.2) {
            File::create(&image).unwrap().set_len(320 * MIB).unwrap();
            if before.make(test, &image) && after.make(test, &image) {
                let is = what(&image);
                if is != after.2 {
                    let told = by_blkid(&image);
                    wrong.push(format!(
                        "{} over {}: {is:?}, blkid {told:?}",
                        after.0, before.0
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn containers_are_recognised() {
    let test = "containers_are_recognised";
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    for (version, words) in [(1, ["--type", "luks1"]), (2, ["--type", "luks2"])] {
        File::create(&image).unwrap().set_len(64 * MIB).unwrap();
        // An ext of before is no matter: what is encrypted is a container.
        MAKERS[4].make(test, &image);
        let key = folder.path().join("key");
        fs::write(&key, "a key for a test").unwrap();
        let output = Command::new("cryptsetup")
            .args([
                "luksFormat",
                "-q",
                "--pbkdf",
                "pbkdf2",
                "--pbkdf-force-iterations",
                "1000",
            ])
            .args(words)
            .args([&image, &key])
            .output();
        match output {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{said}");
                assert_eq!(what(&image), What::Luks(version));
                assert_eq!(by_blkid(&image).as_deref(), Some("crypto_LUKS"));
            }
            Err(error) => oracle::skip(test, &format!("cryptsetup: {error}")),
        }
    }
}

/// By its documented layout, since making one needs a kernel that has it: at each place of a superblock.
#[test]
fn members_of_raids_are_not_what_shows_through() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    File::create(&image).unwrap().set_len(64 * MIB).unwrap();
    if !MAKERS[4].make("members_of_raids_are_not_what_shows_through", &image) {
        return;
    }
    let bytes = fs::read(&image).unwrap();
    let with = |at: u64, version: u32, minor: u32, sector: u64| {
        let mut bytes = bytes.clone();
        let mut block = vec![0; 256];
        block[..4].copy_from_slice(&0xa92b_4efc_u32.to_le_bytes());
        block[4..8].copy_from_slice(&version.to_le_bytes());
        block[8..12].copy_from_slice(&minor.to_le_bytes());
        block[144..152].copy_from_slice(&sector.to_le_bytes());
        bytes[at as usize..][..256].copy_from_slice(&block);
        fs::write(&image, bytes).unwrap();
        what(&image)
    };
    let end = 64 * MIB;
    assert_eq!(with(0, 1, 0, 0), What::MdRaid);
    assert_eq!(with(4096, 1, 0, 8), What::MdRaid);
    assert_eq!(with(end - 8192, 1, 0, (end - 8192) / 512), What::MdRaid);
    assert_eq!(with(end - 65_536, 0, 90, 0), What::MdRaid);
    // Of a disk of another size, or none at all.
    assert_eq!(with(end - 8192, 1, 0, 77), What::Ext);
    assert_eq!(with(end - 65_536, 0, 0, 0), What::Ext);
}
