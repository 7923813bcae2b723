//! What is told of a file system's state, and what is refused.

use std::fs;
use std::path::Path;
use std::process::Command;

use hyperkeep_guestfs::{Error, Ext, FileSystem as _, How, Name};

use crate::make::{Image, Room, fill, image, run};
use crate::support::kernel::{Mounted, tree};
use crate::support::{self, Tree, same};
use crate::variants::open;

fn debugfs(image: &Image, command: &str) {
    let path = image.path();
    run("debugfs", &["-w", "-R", command, path.to_str().unwrap()]);
}

fn patched(image: &Image, name: &str, patches: &[(usize, &[u8])]) -> std::path::PathBuf {
    let mut bytes = fs::read(image.path()).unwrap();
    for (at, patch) in patches {
        bytes[*at..at + patch.len()].copy_from_slice(patch);
    }
    let path = image.path().with_file_name(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn copies_are_taken_when_the_first_is_damaged() {
    let test = "copies_are_taken_when_the_first_is_damaged";
    for words in [
        "-t ext4 -b 1024",
        "-t ext4 -b 1024 -O meta_bg,^resize_inode -g 8192",
    ] {
        let Some(image) = image(test, 40, words) else {
            return;
        };
        {
            let Some(mounted) = Mounted::kernel(test, &image.path(), "ext4", "rw") else {
                return;
            };
            fs::write(mounted.path().join("file"), b"contents").unwrap();
        }
        let whole = support::read(&open(&image.path()));
        for (at, patch) in [
            (1024 + 0x38, &[0; 2][..]),
            (1024 + 4, &[0xff; 4]),
            (2048 + 8, &[1]),
        ] {
            let path = patched(&image, "patched", &[(at, patch)]);
            let fs = open(&path);
            same(&support::read(&fs), &whole);
            let state = &fs.about().state;
            assert_eq!(state.how, How::Damaged, "{at}: {state:?}");
            assert!(state.notes[0].contains("the copy of group"), "{state:?}");
        }
    }
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let test = "what_is_not_known_is_refused_by_name";
    let Some(image) = image(test, 8, "-t ext4 -O ^metadata_csum") else {
        return;
    };
    let incompat = 1024 + 0x60;
    let refused = |byte: usize, bits: u8| {
        let old = fs::read(image.path()).unwrap()[incompat + byte];
        let path = patched(&image, "patched", &[(incompat + byte, &[old | bits])]);
        match Ext::open(support::image(&path)) {
            Err(Error::Unsupported(why)) => why,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it was opened"),
        }
    };
    assert!(refused(0, 1).contains("compression"));
    assert!(refused(0, 8).contains("journal_dev"));
    assert!(refused(1, 0x10).contains("dirdata"));
    assert!(refused(3, 0x80).contains("FEATURE_I31"));
    let none = image.path().with_file_name("none");
    fs::write(&none, vec![0; 1 << 20]).unwrap();
    assert!(matches!(
        Ext::open(support::image(&none)),
        Err(Error::NotThis("ext"))
    ));
}

#[test]
fn what_the_superblock_says_is_told() {
    let test = "what_the_superblock_says_is_told";
    for (words, commands, how, note) in [
        (
            "-t ext4",
            &["ssv state 3"][..],
            How::Damaged,
            "found errors",
        ),
        ("-t ext4", &["ssv last_orphan 12"], How::Clean, "no names"),
        ("-t ext2", &["ssv state 0"], How::InUse, "no journal"),
        (
            "-t ext4",
            &[
                "feature needs_recovery",
                "ssv journal_inum 0",
                "ssv journal_dev 0x801",
            ],
            How::NotReplayed,
            "another device",
        ),
    ] {
        let Some(image) = image(test, 8, words) else {
            return;
        };
        commands.iter().for_each(|command| debugfs(&image, command));
        let state = open(&image.path()).about().state.clone();
        assert_eq!(state.how, how, "{commands:?} {state:?}");
        assert!(
            state.notes.iter().any(|told| told.contains(note)),
            "{state:?}"
        );
    }
}

/// Blocks that are larger than a page, which the kernel does not mount: debugfs is the other reader.
#[test]
fn large_blocks() {
    let test = "large_blocks";
    let source = tempfile::tempdir().unwrap();
    let room = Room {
        names: 300,
        xattr: 100,
    };

    fill(source.path(), room);
    for size in [8192, 16384, 65536] {
        let words = format!(
            "-t ext4 -b {size} -N 2000 -d {}",
            source.path().to_str().unwrap()
        );
        let Some(image) = image(test, 160, &words) else {
            return;
        };
        let dumped = tempfile::tempdir().unwrap();
        let to = dumped.path().to_str().unwrap();
        debugfs(&image, &format!("rdump / {to}"));
        let plain = |tree: Tree| -> Tree {
            let mut tree = tree;
            tree.retain(|_, seen| ["file", "folder", "link"].contains(&seen.kind.as_str()));
            for seen in tree.values_mut() {
                (seen.links, seen.xattrs) = (None, None);
                // mke2fs does not write the bits behind 2038 here.
                seen.modified = seen.modified.map(|(seconds, _)| (seconds & 0xffff_ffff, 0));
                // Its chown takes the bits away that a chown takes.
                seen.owner = seen.owner.map(|(uid, gid, mode)| (uid, gid, mode & 0o777));
                if seen.kind != "file" {
                    (seen.modified, seen.owner) = (None, None);
                }
            }
            tree
        };
        let ours = plain(support::read(&open(&image.path())));
        assert!(ours.len() > 300);
        same(&ours, &plain(tree(dumped.path())));
    }
}

/// Names that fscrypt has encrypted, as the kernel shows them without the key.
#[test]
fn encrypted_names() {
    let test = "encrypted_names";
    let Some(image) = image(test, 16, "-t ext4 -b 4096 -O encrypt") else {
        return;
    };
    let path = image.path();
    {
        let options = "rw,test_dummy_encryption";
        let Some(mounted) = Mounted::kernel(test, &path, "ext4", options) else {
            return;
        };
        let folder = mounted.path().join("secret");
        fs::create_dir(&folder).unwrap();
        for at in 0..300 {
            fs::write(
                folder.join(format!("{at} {}", "x".repeat(at % 90))),
                b"secret",
            )
            .unwrap();
        }
        std::os::unix::fs::symlink("somewhere", folder.join("link")).unwrap();
    }
    let fs = open(&path);
    let root = fs.root();
    // What is above all was there before, and is not encrypted.
    let secret = fs.find(root, &Name::from("secret")).unwrap();
    let secret = secret.unwrap();
    let mut ours = Vec::new();
    fs.list(secret, &mut |entry| {
        ours.push(entry);
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(ours.len(), 301);
    for entry in &ours {
        assert_eq!(fs.find(secret, &entry.name).unwrap(), Some(entry.node));
        let node = fs.node(entry.node).unwrap();
        assert!(node.obstacle.is_some());
        let refused = match node.kind {
            hyperkeep_guestfs::Kind::Link => fs.target(entry.node).err(),
            _ => fs.open(entry.node, None).err(),
        };
        assert!(matches!(refused, Some(Error::Obstacle(_))), "{refused:?}");
    }
    // The kernel's form is of the same bytes behind eight others.
    let mounted = Mounted::kernel(test, &path, "ext4", "ro,noload").unwrap();
    let mut names: Vec<Vec<u8>> = fs::read_dir(mounted.path().join("secret"))
        .unwrap()
        .map(|entry| {
            bytes_of(entry.unwrap().file_name().to_str().unwrap().as_bytes())[8..].to_vec()
        })
        .collect();
    let mut ours: Vec<Vec<u8>> = ours
        .iter()
        .map(|entry| bytes_of(entry.name.as_bytes()))
        .collect();
    names.sort();
    ours.sort();
    assert_eq!(ours, names);
}

/// The bytes of base64 for URLs.
fn bytes_of(text: &[u8]) -> Vec<u8> {
    let value = |letter: &u8| match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        other => panic!("{other}"),
    };
    let bits: Vec<bool> = text
        .iter()
        .flat_map(|letter| (0..6).rev().map(move |bit| value(letter) >> bit & 1 == 1))
        .collect();
    let byte = |bits: &[bool]| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    bits.chunks_exact(8).map(byte).collect()
}

/// A folder that does not tell cases apart, with the index that e2fsck makes for it.
#[test]
fn names_without_case() {
    let test = "names_without_case";
    let Some(image) = image(test, 16, "-t ext4 -b 1024 -O casefold") else {
        return;
    };
    let path = image.path();
    let names: Vec<String> = (0..300)
        .map(|at| format!("Name-{at}-{}", "Ab".repeat(at % 40)))
        .collect();
    let empty = path.with_file_name("empty");
    fs::write(&empty, b"").unwrap();
    let mut commands =
        "mkdir folder\nset_inode_field folder flags 0x40080000\ncd folder\n".to_owned();
    for name in names.iter().map(String::as_str).chain(["Größe", "ÄRGER"]) {
        commands.push_str(&format!("write {} {name}\n", empty.to_str().unwrap()));
    }
    let script = path.with_file_name("script");
    fs::write(&script, commands).unwrap();
    let [script, text] = [&script, &path].map(|path| path.to_str().unwrap());
    run("debugfs", &["-w", "-f", script, text]);
    // It says with 1 that it has changed something.
    let code = Command::new("e2fsck")
        .args(["-fyD", text])
        .output()
        .unwrap()
        .status
        .code();
    assert!(code.is_some_and(|code| code < 2), "{code:?}");
    let dump = run("debugfs", &["-R", "htree_dump folder", text]);
    assert!(dump.contains("Hash Version"), "no index: {dump}");
    let fs = open(Path::new(text));
    assert_eq!(fs.about().state.how, How::Clean);
    let folder = fs.find(fs.root(), &Name::from("folder")).unwrap().unwrap();
    for name in &names {
        let found = fs.find(folder, &Name::from(name.as_str())).unwrap();
        assert!(found.is_some(), "{name}");
        for other in [name.to_uppercase(), name.to_lowercase()] {
            let alike = fs.entry(folder, &Name::from(other.as_str())).unwrap();
            let alike = alike.unwrap();
            assert_eq!(Some(alike.node), found, "{other}");
            assert_eq!(alike.name, Name::from(name.as_str()));
        }
    }
    for (name, other) in [("Größe", "GRÖSSE"), ("ÄRGER", "ärger")] {
        let found = fs.find(folder, &Name::from(name)).unwrap();
        assert!(found.is_some());
        assert_eq!(fs.find(folder, &Name::from(other)).unwrap(), found);
    }
    assert_eq!(fs.find(folder, &Name::from("name")).unwrap(), None);
    assert_eq!(fs.find(fs.root(), &Name::from("FOLDER")).unwrap(), None);
}
