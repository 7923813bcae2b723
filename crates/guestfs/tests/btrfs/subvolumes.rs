//! Subvolumes, snapshots, the default one; and images of file systems that are in use.

use std::fs;
use std::path::Path;

use hyperkeep_guestfs::btrfs::Btrfs;
use hyperkeep_guestfs::{FileSystem as _, How};
use testkit::image::noise;
use testkit::vary;

use crate::support::{self, Tree, kernel, same};
use crate::written::{Image, script};

#[test]
fn subvolumes_are_folders_where_they_are() {
    let test = "subvolumes_are_folders_where_they_are";
    let Some(image) = Image::new(test, 256, &[]) else {
        return;
    };
    let Some(writing) = image.mounted(test, "compress=zstd") else {
        return;
    };
    let text = crate::written::text(1_000_000);
    fs::write(writing.path().join("text"), &text).unwrap();
    script(
        &writing.path(),
        "btrfs subvolume create @; btrfs subvolume create @/inner; btrfs subvolume create @home
        cp --reflink=always text @/shared; cp text @/inner/; echo one > @/one; mkdir @/folder
        btrfs subvolume create @/folder/inner; echo two > @/folder/inner/two
        btrfs subvolume snapshot -r @ snapshot-1
        echo three > @/three; rm @/one; echo changed >> @/shared
        btrfs subvolume snapshot @ @/snapshot-2; echo four > @/snapshot-2/four
        btrfs subvolume create gone; echo x > gone/x; btrfs subvolume delete gone
        mkdir away; mv @home away/home; echo five > away/home/five
        btrfs subvolume set-default $(btrfs inspect-internal rootid @) .",
    );
    drop(writing);
    let device = || support::image(&image.path);
    let fs = Btrfs::open(device()).unwrap();
    let default = support::read(&fs);
    let told = fs.about().state.notes.join("");
    assert!(told.contains("its default subvolume is 25"), "{told}");
    assert_eq!(fs.about().state.how, How::Clean);
    let Some(mounted) = image.mounted(test, "ro") else {
        return;
    };
    same(&default, &theirs(&mounted.path(), ""));
    drop(mounted);
    assert!(default.contains_key("/snapshot-2/four") && default.contains_key("/inner/text"));
    let top = support::read(&Btrfs::open_top(device()).unwrap());
    let Some(mounted) = image.mounted(test, "ro,subvolid=5") else {
        return;
    };
    same(&top, &theirs(&mounted.path(), "/@"));
    assert!(top.contains_key("/away/home/five") && !top.contains_key("/gone"));
    assert!(top.contains_key("/snapshot-1/one") && !top.contains_key("/@/one"));
}

/// The kernel's tree. What stands for a subvolume elsewhere has an owner and times of the moment there.
fn theirs(root: &Path, before: &str) -> Tree {
    let mut tree = kernel::tree(root);
    let mut count = 0;
    for (path, seen) in &mut tree {
        let path = path.strip_prefix(before).unwrap_or(path);
        let elsewhere = ["/snapshot-2", "/snapshot-1"].into_iter().any(|snapshot| {
            let rest = path.strip_prefix(snapshot);
            rest.is_some_and(|rest| matches!(rest, "/inner" | "/folder/inner" | "/snapshot-2"))
        });
        if elsewhere {
            (seen.owner, seen.modified) = (None, None);
            count += 1;
        }
    }
    assert!(count >= 2, "{tree:?}");
    tree
}

/// A copy of the image as it is between two commits; none, if there was one meanwhile.
fn frozen(image: &Path, copy: &Path) -> bool {
    let superblock = || {
        let mut bytes = vec![0; 4096];
        let file = fs::File::open(image).unwrap();
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 64 << 10).unwrap();
        bytes
    };
    let before = superblock();
    let folder = copy.parent().unwrap();
    script(
        folder,
        &format!("cp --sparse=always {} {}", image.display(), copy.display()),
    );
    before == superblock()
}

/// A mounted file system is copied as a host's checkpoint would: what was committed is there, and what was
/// fsynced since is told to be missing.
#[test]
fn images_in_use_are_read_as_of_the_last_commit() {
    let test = "images_in_use_are_read_as_of_the_last_commit";
    let Some(image) = Image::new(test, 128, &["-m", "single"]) else {
        return;
    };
    let Some(writing) = image.mounted(test, "commit=300") else {
        return;
    };
    let root = writing.path();
    let mut copies = Vec::new();
    for round in 0..u64::from(vary::cases(8)).min(40) {
        let name = |number: u64| root.join(format!("file {}", number % 40));
        for number in 0..30 {
            let seed = vary::seed(round * 100 + number);
            let file = name(seed);
            match seed % 5 {
                0 => drop(fs::remove_file(file)),
                1 => drop(fs::rename(name(seed / 7), file)),
                _ => fs::write(file, noise(seed, (seed % 50_000) as usize)).unwrap(),
            }
        }
        match round % 3 {
            0 => script(&root, "sync -f ."),
            1 => {
                fs::write(root.join("fsynced"), noise(round, 10_000)).unwrap();
                script(&root, "sync fsynced");
            }
            _ => {}
        }
        let copy = image.path.with_file_name(format!("copy-{round}"));
        if frozen(&image.path, &copy) {
            copies.push(copy);
        }
    }
    // Two mounts of one file system are not possible.
    drop(writing);
    let (mut logs, mut clean) = (0, 0);
    for copy in copies {
        let fs = Btrfs::open(support::image(&copy)).unwrap();
        let ours = support::read(&fs);
        let state = &fs.about().state;
        match state.how {
            How::Clean => clean += 1,
            How::NotReplayed => logs += 1,
            _ => panic!("{state:?}"),
        }
        let options = "ro,rescue=nologreplay";
        let Some(mounted) = kernel::Mounted::kernel(test, &copy, "btrfs", options) else {
            return;
        };
        same(&ours, &kernel::tree(&mounted.path()));
        drop(mounted);
        // What bears another id than its blocks is read as well.
        if state.how == How::Clean {
            let id = fs.about().id.clone();
            script(
                copy.parent().unwrap(),
                &format!("btrfstune -fm {}", copy.display()),
            );
            let fs = Btrfs::open(support::image(&copy)).unwrap();
            assert!(fs.about().id != id);
            same(&support::read(&fs), &ours);
        }
    }
    assert!(logs > 0 && clean > 0, "{logs} {clean}");
}
