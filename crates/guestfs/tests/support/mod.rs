//! Trees as they were read by us and by somebody else, so that they can be compared.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each kind of file system has its own need of it"
)]

extern crate disk as hyperkeep_disk;

#[cfg(unix)]
pub mod kernel;
#[cfg(unix)]
pub mod times;

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use hyperkeep_disk::raw::RawDisk;
use hyperkeep_guestfs::{Content, Device, FileSystem, Kind, Lies, NodeId};

/// What is compared of a file or folder. What a file system, or the one who read it, does not tell is
/// `None` in both.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Seen {
    /// `file`, `folder`, `link`, `junction`, `fifo`, `socket`, `char`, `block` or `other`.
    pub kind: String,
    /// Bytes of a file.
    pub len: u64,
    /// A checksum of a file's contents, or where a link leads to.
    pub what: String,
    /// Names that lead to it, of a file.
    pub links: Option<u32>,
    /// uid, gid and mode.
    pub owner: Option<(u32, u32, u16)>,
    /// When it was last written: seconds and nanoseconds.
    pub modified: Option<(i64, u32)>,
    /// Extended attributes, and streams by the name that ntfs-3g gives them, with their checksums.
    pub xattrs: Option<BTreeMap<String, String>>,
}

/// Paths as bytes that are escaped where they are no printable ASCII, so that no two are one.
pub type Tree = BTreeMap<String, Seen>;

/// A path's part as it is written in a [`Tree`].
pub fn escaped(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}

/// An image as a device.
pub fn image(path: &Path) -> Device {
    Arc::new(RawDisk::open(File::open(path).unwrap()).unwrap())
}

/// A checksum that is the same for the same bytes.
pub fn sum(bytes: &[u8]) -> String {
    format!("{:08x}-{}", crc32fast::hash(bytes), bytes.len())
}

/// All bytes of some contents, read in pieces of an odd size; and what is told of holes is compared with
/// what is read.
pub fn bytes(content: &mut dyn Content) -> Vec<u8> {
    let len = usize::try_from(content.len()).unwrap();
    let mut all = vec![0; len];
    let mut at = 0;
    for part in all.chunks_mut(70_001) {
        content.read_at(at, part).unwrap();
        at += part.len() as u64;
    }
    let mut dense = vec![0; len];
    let mut from = 0;
    while let Some(range) = content.next_data(from).unwrap() {
        assert!(
            range.start >= from && range.start < range.end,
            "{range:?} behind {from}"
        );
        assert!(range.end <= len as u64, "{range:?} of {len}");
        let there = range.start as usize..range.end as usize;
        dense[there.clone()].copy_from_slice(&all[there]);
        from = range.end;
    }
    assert!(dense == all, "what is no hole is all that is not zero");
    assert!(content.read_at(len as u64, &mut [0]).is_err());
    all
}

/// The whole tree as our reader sees it.
pub fn read(fs: &dyn FileSystem) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![(String::new(), fs.root())];
    while let Some((path, folder)) = folders.pop() {
        let mut entries = Vec::new();
        fs.list(folder, &mut |entry| {
            entries.push(entry);
            ControlFlow::Continue(())
        })
        .unwrap_or_else(|error| panic!("{path}: {error}"));
        for entry in entries {
            let path = format!("{path}/{}", escaped(entry.name.as_bytes()));
            let found = fs.entry(folder, &entry.name).unwrap();
            let found = found.unwrap_or_else(|| panic!("{path} is not found"));
            assert_eq!((&found.name, found.node), (&entry.name, entry.node));
            let seen = see(fs, entry.node, &path);
            if let Some(kind) = entry.kind {
                assert_eq!(word(kind), seen.kind, "{path}");
            }
            if seen.kind == "folder" {
                folders.push((path.clone(), entry.node));
            }
            assert!(
                tree.insert(path.clone(), seen).is_none(),
                "{path} is there twice"
            );
        }
    }
    tree
}

/// Checks that the contents of all files lie where that is told; gives how many bytes were found there.
pub fn placed(fs: &dyn FileSystem, device: &Device) -> u64 {
    let mut found = 0;
    let mut folders = vec![fs.root()];
    while let Some(folder) = folders.pop() {
        let mut nodes = Vec::new();
        fs.list(folder, &mut |entry| {
            nodes.push(entry.node);
            ControlFlow::Continue(())
        })
        .unwrap();
        for node in nodes {
            match fs.node(node).unwrap() {
                node if node.kind == Kind::Folder => folders.push(node.id),
                node if node.kind == Kind::File && node.obstacle.is_none() => {
                    found += content_placed(fs.open(node.id, None).unwrap().as_mut(), device);
                }
                _ => {}
            }
        }
    }
    found
}

fn content_placed(content: &mut dyn Content, device: &Device) -> u64 {
    let all = bytes(content);
    let (mut at, mut found) = (0, 0);
    while at < all.len() as u64 {
        // Also from the middle of a row.
        let from = at + (all.len() as u64 - at) / 3;
        for from in [from, at] {
            let Some(place) = content.place(from).unwrap() else {
                return found;
            };
            assert_eq!(place.range.start, from);
            assert!(place.range.end > from && place.range.end <= all.len() as u64);
            let told = &all[from as usize..place.range.end as usize];
            match place.lies {
                Lies::Nowhere => assert!(told.iter().all(|byte| *byte == 0)),
                Lies::Apart => {}
                Lies::At(there) => {
                    let mut read = vec![0; told.len()];
                    device.read_at(there, &mut read).unwrap();
                    assert!(read == told, "{from} of {place:?}");
                    found += told.len() as u64;
                }
            }
            at = place.range.end;
        }
    }
    found
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Folder => "folder",
        Kind::Link => "link",
        Kind::Junction => "junction",
        Kind::Device { block: true, .. } => "block",
        Kind::Device { block: false, .. } => "char",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
        Kind::Other => "other",
    }
}

fn see(fs: &dyn FileSystem, id: NodeId, path: &str) -> Seen {
    let node = fs
        .node(id)
        .unwrap_or_else(|error| panic!("{path}: {error}"));
    let what = match node.kind {
        Kind::File => {
            let mut content = fs
                .open(id, None)
                .unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(content.len(), node.len, "{path}");
            sum(&bytes(content.as_mut()))
        }
        Kind::Link | Kind::Junction => escaped(fs.target(id).unwrap().as_bytes()),
        Kind::Device { major, minor, .. } => format!("{major}:{minor}"),
        _ => String::new(),
    };
    let extras = fs
        .extras(id)
        .unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut xattrs: BTreeMap<_, _> = extras
        .xattrs
        .iter()
        .map(|(name, value)| (escaped(name.as_bytes()), sum(value)))
        .collect();
    for stream in &extras.streams {
        let mut content = fs.open(id, Some(&stream.name)).unwrap();
        assert_eq!(content.len(), stream.len, "{path}:{}", stream.name);
        let name = format!("user.{}", escaped(stream.name.as_bytes()));
        xattrs.insert(name, sum(&bytes(content.as_mut())));
    }
    Seen {
        kind: word(node.kind).to_owned(),
        len: if node.kind == Kind::File { node.len } else { 0 },
        what,
        links: (node.kind == Kind::File).then_some(node.links),
        owner: node.owner.map(|owner| (owner.uid, owner.gid, owner.mode)),
        modified: node.times.modified.map(|time| (time.seconds, time.nanos)),
        xattrs: Some(xattrs),
    }
}

/// Fails with the first places where two trees differ.
#[track_caller]
pub fn same(ours: &Tree, theirs: &Tree) {
    let paths: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
    let differ: Vec<_> = paths
        .into_iter()
        .filter(|path| ours.get(*path) != theirs.get(*path))
        .map(|path| {
            format!(
                "{path}:\n  ours   {:?}\n  theirs {:?}",
                ours.get(path),
                theirs.get(path)
            )
        })
        .collect();
    assert!(
        differ.is_empty(),
        "{} of {} differ:\n{}",
        differ.len(),
        theirs.len(),
        differ[..differ.len().min(10)].join("\n")
    );
}
