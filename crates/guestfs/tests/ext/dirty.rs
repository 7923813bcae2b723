//! Images that were copied while they were mounted, against the kernel that replays their journals.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::Path;

use hyperkeep_guestfs::{FileSystem as _, How};
use testkit::image::noise;

use crate::make::{Image, Room, fill, image, run};
use crate::support::kernel::{Mounted, tree};
use crate::support::{self, same};
use crate::variants::open;

/// Copies the image as a power cut would leave it, and compares what we read of it with what the kernel
/// makes of another copy. Answers with how it was, and what was told.
fn cut(test: &str, image: &Image) -> (How, String) {
    let ours = image.copy("ours");
    let theirs = image.copy("theirs");
    let read = open(&ours);
    let state = read.about().state.clone();
    let mut tree_of_ours = support::read(&read);
    support::placed(&read, &support::image(&ours));
    let mounted = Mounted::kernel(test, &theirs, "ext4", "rw,noatime").unwrap();
    let mut tree_of_theirs = tree(&mounted.path());
    if image.fast {
        // Fast commits do not have the times of folders: the kernel takes those at which it replays.
        for tree in [&mut tree_of_ours, &mut tree_of_theirs] {
            let folders = tree.values_mut().filter(|seen| seen.kind == "folder");
            folders.for_each(|folder| folder.modified = None);
        }
    }
    same(&tree_of_ours, &tree_of_theirs);
    (state.how, state.notes.join("\n"))
}

fn synced(path: &Path, bytes: &[u8]) {
    let mut file = File::create(path).unwrap();
    file.write_all(bytes).unwrap();
    file.sync_all().unwrap();
}

/// Works in a file system and cuts it off several times.
fn worked(test: &str, words: &str, options: &str) {
    let Some(image) = image(test, 20, words) else {
        return;
    };
    // Nothing is committed but by what asks for it.
    let options = format!("rw,commit=3600,{options}");
    let Some(mounted) = Mounted::kernel(test, &image.path(), "ext4", &options) else {
        return;
    };
    let root = mounted.path();
    let (how, notes) = cut(test, &image);
    assert!(how <= How::Replayed, "{notes}");
    let room = Room {
        names: 300,
        xattr: 200,
    };
    fill(&root, room);
    run("sync", &["-f", root.to_str().unwrap()]);
    let mut replayed = Vec::new();
    for turn in 0..2_u64 {
        let folder = root.join(format!("turn {turn}"));
        fs::create_dir(&folder).unwrap();
        for at in 0..60 {
            fs::write(folder.join(format!("{at}")), noise(at + turn, 3000)).unwrap();
        }
        synced(&folder.join("promised"), &noise(turn, 40_000));
        // The journal's own magic at the start of blocks.
        synced(
            &folder.join("magic"),
            &[0xc0, 0x3b, 0x39, 0x98].repeat(5000),
        );
        replayed.push(cut(test, &image));
        // Folders become files in the same blocks.
        fs::remove_dir_all(&folder).unwrap();
        let file = OpenOptions::new()
            .write(true)
            .open(root.join("file"))
            .unwrap();
        file.write_all_at(&noise(turn + 50, 9000), 5000 * turn)
            .unwrap();
        file.sync_all().unwrap();
        synced(
            &root.join(format!("in its place {turn}")),
            &noise(turn, 300_000),
        );
        replayed.push(cut(test, &image));
        fs::rename(root.join("file"), root.join("file of another name")).unwrap();
        fs::rename(root.join("file of another name"), root.join("file")).unwrap();
        let many = root.join("many");
        for at in 0..40 {
            fs::write(many.join(format!("new {turn} {at}")), b"new").unwrap();
        }
        symlink("somewhere", root.join(format!("link {turn}"))).unwrap();
        run("sync", &["-f", root.to_str().unwrap()]);
        fs::write(root.join("not promised"), noise(turn, 100_000)).unwrap();
        replayed.push(cut(test, &image));
    }
    let all = replayed.iter().all(|(how, _)| *how == How::Replayed);
    assert!(all, "{replayed:?}");
    drop(mounted);
    let (how, notes) = cut(test, &image);
    assert_eq!(how, How::Clean, "{notes}");
}

#[test]
fn a_journal_of_ext4() {
    worked("a_journal_of_ext4", "-t ext4 -b 4096", "");
}

#[test]
fn a_journal_of_ext3() {
    worked("a_journal_of_ext3", "-t ext3 -b 1024", "");
}

#[test]
fn a_journal_without_sums() {
    worked(
        "a_journal_without_sums",
        "-t ext4 -b 2048 -O ^metadata_csum",
        "",
    );
}

#[test]
fn a_journal_with_sums_of_the_first_form() {
    let words = "-t ext4 -b 1024 -O ^metadata_csum";
    worked(
        "a_journal_with_sums_of_the_first_form",
        words,
        "journal_checksum",
    );
}

#[test]
fn a_journal_that_commits_in_any_order() {
    worked(
        "a_journal_that_commits_in_any_order",
        "-t ext4 -b 4096",
        "journal_async_commit",
    );
}

#[test]
fn a_journal_with_contents() {
    worked("a_journal_with_contents", "-t ext4 -b 1024", "data=journal");
}

#[test]
fn a_small_journal_goes_round() {
    worked(
        "a_small_journal_goes_round",
        "-t ext4 -b 1024 -J size=1",
        "",
    );
}

/// Short records behind the last transaction.
#[test]
fn fast_commits() {
    let test = "fast_commits";
    let Some(image) = image(test, 20, "-t ext4 -b 4096 -O fast_commit") else {
        return;
    };
    let Some(mounted) = Mounted::kernel(test, &image.path(), "ext4", "rw,commit=3600") else {
        return;
    };
    let root = mounted.path();
    let room = Room {
        names: 100,
        xattr: 100,
    };
    fill(&root, room);
    synced(&root.join("grows"), &noise(1, 10_000));
    run("sync", &["-f", root.to_str().unwrap()]);
    let mut counted = Vec::new();
    for turn in 0..12_u64 {
        let file = OpenOptions::new()
            .write(true)
            .open(root.join("grows"))
            .unwrap();
        match turn % 6 {
            0 => file
                .write_all_at(&noise(turn, 7000), 6000 * (turn + 1))
                .unwrap(),
            1 => {
                let name = format!("made {turn}");
                synced(&root.join(&name), &noise(turn, 5000));
                fs::hard_link(root.join(&name), root.join("few").join(&name)).unwrap();
            }
            2 => fs::rename(root.join("file"), root.join("few/moved")).unwrap(),
            3 => {
                fs::create_dir(root.join(format!("folder {turn}"))).unwrap();
                synced(&root.join(format!("folder {turn}/in it")), b"in it");
            }
            4 => {
                fs::rename(root.join("few/moved"), root.join("file")).unwrap();
                fs::remove_file(root.join(format!("made {}", turn - 3))).unwrap();
                symlink("to", root.join(format!("link {turn}"))).unwrap();
            }
            _ => file.set_len(3000 * turn).unwrap(),
        }
        file.sync_all().unwrap();
        let (how, notes) = cut(test, &image);
        assert!(how <= How::Replayed, "{notes}");
        counted.push(notes);
    }
    let some = counted
        .iter()
        .filter(|notes| !notes.contains(" 0 fast commits"))
        .count();
    assert!(some > 3, "{counted:?}");
}
