//! Journals that debugfs writes, whole and damaged; and e2fsck, which replays them.

use std::fs;
use std::path::Path;

use hyperkeep_guestfs::{FileSystem as _, How, Name};

use crate::make::{Image, image, run};
use crate::support::{self, same};
use crate::variants::open;

const BLOCK: usize = 1024;

/// An image with one file of twenty blocks, and the first block of it.
fn with_file(test: &str, words: &str) -> Option<(Image, u64)> {
    let source = tempfile::tempdir().unwrap();
    fs::write(source.path().join("file"), vec![b'o'; 20 * BLOCK]).unwrap();
    let from = source.path().to_str().unwrap();
    let image = image(test, 8, &format!("-t ext4 -b 1024 -N 64 {words} -d {from}"))?;
    let blocks = debugfs(&image.path(), "blocks /file");
    let first = blocks.split_whitespace().next().unwrap().parse().unwrap();
    Some((image, first))
}

fn debugfs(image: &Path, command: &str) -> String {
    run("debugfs", &["-w", "-R", command, image.to_str().unwrap()])
}

fn script(image: &Image, commands: &str) {
    let script = image.path().with_file_name("script");
    fs::write(&script, commands).unwrap();
    let path = image.path();
    run(
        "debugfs",
        &["-w", "-f", script.to_str().unwrap(), path.to_str().unwrap()],
    );
}

/// The first byte of each block of the file.
fn marks(path: &Path) -> String {
    let fs = open(path);
    let id = fs.find(fs.root(), &Name::from("file")).unwrap().unwrap();
    let bytes = support::bytes(fs.open(id, None).unwrap().as_mut());
    bytes
        .chunks(BLOCK)
        .map(|block| char::from(block[0]))
        .collect()
}

#[test]
fn what_is_revoked_or_not_committed_is_not_taken() {
    let test = "what_is_revoked_or_not_committed_is_not_taken";
    for features in [
        "",
        "-O ^64bit",
        "-O ^metadata_csum",
        "-O ^metadata_csum,^64bit",
    ] {
        for sums in ["", "-c", "-c -v 2", "-c -v 3"] {
            // What debugfs then writes for a list of revoked blocks, e2fsck takes for damaged as well.
            if !sums.is_empty() && features.contains("^metadata_csum") {
                continue;
            }
            let Some((image, first)) = with_file(test, features) else {
                return;
            };
            let path = image.path();
            for (name, byte) in [("new", b'n'), ("later", b'l')] {
                fs::write(path.with_file_name(name), vec![byte; 4 * BLOCK]).unwrap();
            }
            let magic = [&[0xc0, 0x3b, 0x39, 0x98][..], &[b'm'; 1020]].concat();
            fs::write(path.with_file_name("magic"), magic).unwrap();
            let at = |name: &str| path.with_file_name(name).to_str().unwrap().to_owned();
            let [new, later, magic] = ["new", "later", "magic"].map(at);
            let block = |at: u64| first + at;
            let commands = [
                format!("jo {sums}"),
                format!("jw -b {}-{} {new}", block(0), block(3)),
                format!("jw -b {}-{} {later}", block(8), block(11)),
                format!("jw -r {},{}", block(1), block(9)),
                // Written again behind the revocation.
                format!("jw -b {}-{} {later}", block(2), block(5)),
                format!("jw -b {} {magic}", block(7)),
                format!("jw -r {}", block(13)),
                // Without its commit block.
                format!("jw -c -b {}-{} {new}", block(14), block(17)),
                "jc".into(),
            ];
            script(&image, &(commands.join("\n") + "\n"));
            let state = open(&path).about().state.clone();
            assert_eq!(state.how, How::Replayed, "{features} {sums}: {state:?}");
            let marks = marks(&path);
            assert_eq!(marks, "nollllo\u{c0}lolloooooooo", "{features} {sums}");
            let replayed = image.copy("replayed");
            let text = replayed.to_str().unwrap();
            run("e2fsck", &["-E", "journal_only", "-y", text]);
            let theirs = open(&replayed);
            assert_eq!(theirs.about().state.how, How::Clean);
            same(&support::read(&open(&path)), &support::read(&theirs));
        }
    }
}

/// Where some bytes are in an image.
fn find(image: &[u8], what: &[u8]) -> Vec<usize> {
    let places = 0..image.len() / BLOCK;
    places
        .map(|at| at * BLOCK)
        .filter(|at| image[*at..].starts_with(what))
        .collect()
}

/// Each block of a journal in turn: what was promised and is damaged ends the replay, and is told.
#[test]
fn damage_in_a_journal_is_told() {
    let test = "damage_in_a_journal_is_told";
    let Some((image, first)) = with_file(test, "") else {
        return;
    };
    let path = image.path();
    for (name, byte) in [("1", b'1'), ("2", b'2'), ("3", b'3')] {
        fs::write(path.with_file_name(name), vec![byte; BLOCK]).unwrap();
    }
    let write = |at: u64| {
        let file = path.with_file_name((at + 1).to_string());
        format!("jw -b {} {}\n", first + at, file.to_str().unwrap())
    };
    script(
        &image,
        &format!("jo -c\n{}{}{}jc\n", write(0), write(1), write(2)),
    );
    assert_eq!(marks(&path), "123".to_owned() + &"o".repeat(17));
    let whole = fs::read(&path).unwrap();
    let descriptors = find(&whole, &[0xc0, 0x3b, 0x39, 0x98, 0, 0, 0, 1]);
    let commits = find(&whole, &[0xc0, 0x3b, 0x39, 0x98, 0, 0, 0, 2]);
    assert_eq!((descriptors.len(), commits.len()), (3, 3));
    let damaged = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, bytes).unwrap();
        (marks(&path), open(&path).about().state.clone())
    };
    let rest = "o".repeat(17);
    // Of the second transaction: its descriptor, its block, its commit block.
    for at in [
        descriptors[1] + 20,
        descriptors[1] + BLOCK + 5,
        commits[1] + 57,
        commits[1] + 800,
    ] {
        let (marks, state) = damaged(at);
        assert_eq!(marks, format!("1oo{rest}"), "{at}");
        assert_eq!(state.how, How::Damaged, "{state:?}");
        assert!(
            state.notes.iter().any(|note| note.contains("transaction ")),
            "{state:?}"
        );
    }
    // A commit block that is none, and one of another turn: the end.
    for at in [commits[1] + 1, commits[1] + 9, descriptors[1] + 2] {
        let (marks, state) = damaged(at);
        assert_eq!(
            (marks, state.how),
            (format!("1oo{rest}"), How::Replayed),
            "{at}"
        );
    }
    // One that looks older than the one before it. (Seconds, of which debugfs writes the halves in turn.)
    let mut bytes = whole.clone();
    bytes[commits[1] + 48..][..8].fill(0);
    fs::write(&path, bytes).unwrap();
    let state = open(&path).about().state.clone();
    assert_eq!(
        (marks(&path), state.how),
        (format!("1oo{rest}"), How::Replayed)
    );
    assert!(
        state
            .notes
            .iter()
            .any(|note| note.contains("was not taken")),
        "{state:?}"
    );
    // The journal's superblock.
    let head = find(&whole, &[0xc0, 0x3b, 0x39, 0x98, 0, 0, 0, 4]);
    let (marks, state) = damaged(head[0] + 20);
    assert_eq!(
        (marks, state.how),
        (format!("ooo{rest}"), How::Damaged),
        "{state:?}"
    );
}

/// A journal that says that it is larger than the file system, in a file whose ranges all lie in one place.
#[test]
fn a_journal_larger_than_its_file_system_is_not_gone_through() {
    let test = "a_journal_larger_than_its_file_system_is_not_gone_through";
    let Some((image, first)) = with_file(test, "-O ^metadata_csum,^64bit") else {
        return;
    };
    let path = image.path();
    fs::write(path.with_file_name("new"), vec![b'n'; BLOCK]).unwrap();
    let new = path.with_file_name("new");
    script(
        &image,
        &format!("jo\njw -b {first} {}\njc\n", new.to_str().unwrap()),
    );
    let rest = "o".repeat(19);
    assert_eq!(marks(&path), format!("n{rest}"));
    // “Inode 8 is part of block group 0, located at block 165, offset 0x0380”
    let told = debugfs(&path, "imap <8>");
    let mut numbers = told
        .rsplit("located at block ")
        .next()
        .unwrap()
        .split(", offset 0x");
    let block: usize = numbers.next().unwrap().trim().parse().unwrap();
    let offset = usize::from_str_radix(numbers.next().unwrap().trim(), 16).unwrap();
    let inode = block * BLOCK + offset;
    let mut bytes = fs::read(&path).unwrap();
    let place = find(&bytes, &[0xc0, 0x3b, 0x39, 0x98, 0, 0, 0, 4])[0];
    let (each, all) = (4000_u32, 16_000_u32);
    bytes[inode + 4..][..4].copy_from_slice(&(all * BLOCK as u32).to_le_bytes());
    bytes[inode + 42] = 4;
    for number in 0..4 {
        let range = &mut bytes[inode + 52 + 12 * number as usize..][..12];
        range[..4].copy_from_slice(&(number * each).to_le_bytes());
        range[4..8].copy_from_slice(&each.to_le_bytes());
        let block = (place / BLOCK) as u32;
        range[8..].copy_from_slice(&block.to_le_bytes());
    }
    bytes[place + 16..][..4].copy_from_slice(&all.to_be_bytes());
    fs::write(&path, bytes).unwrap();
    let state = open(&path).about().state.clone();
    assert_eq!(
        (marks(&path), state.how),
        (format!("o{rest}"), How::Damaged)
    );
    let why = "16000 blocks in a file system of 8192";
    assert!(
        state.notes.iter().any(|note| note.contains(why)),
        "{state:?}"
    );
}
