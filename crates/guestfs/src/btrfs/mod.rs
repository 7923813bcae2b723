//! btrfs, of one device.
//!
//! ```text
//! superblock ─► tree of chunks (addresses ─► places) ─► tree of trees ─► subvolumes, checksums
//! ```
//!
//! Each commit leaves all trees as they are and writes new ones, so what the newest superblock leads to
//! belongs together, whenever the disk was frozen. Only what was fsynced since the last commit is in a log
//! that is not replayed; [`State`] says so.
//!
//! A [`NodeId`] is the subvolume's number in its upper 24 bits, and the inode's in the 40 below. Both are
//! counted up and not used again: that is enough for a new snapshot every minute of 30 years, and a thousand
//! new files every second of as many. What is beyond is refused by name.
//!
//! Invariants:
//!
//! - No block of a tree is used whose checksum, place, owner, generation, level and first key do not fit;
//!   no data is given whose checksum does not fit. Of several copies the first that fits is taken.
//! - Memory is bounded: tree blocks of 8 MiB, and one unpacked extent for each open file.
//!
//! Sources: the on-disk format in the documentation of btrfs (`btrfs.readthedocs.io`), and
//! `docs/guest-disks.md` on how it was shown.

mod chunk;
mod content;
mod cursor;
mod items;
mod lzo;
mod raw;
mod sums;
mod superblock;
mod tree;
mod unpack;
mod volume;

use std::ops::ControlFlow;

use uuid::Uuid;

use self::content::Contents;
use self::items::{DIR_INDEX, DIR_ITEM, INODE, Inode, Named, ROOT, ROOT_REF, RootItem, XATTR};
use self::raw::Raw;
use self::sums::name_hash;
use self::tree::{Key, Tree};
use self::volume::Volume;
use crate::error::{Error, Result};
use crate::fs::{About, Content, Device, FileSystem};
use crate::name::Name;
use crate::node::{Entry, Extras, Kind, Node, NodeId, Owner, Times};
use crate::state::{How, State};

/// Bits of a [`NodeId`] for the inode.
const INODE_BITS: u32 = 40;
/// The inode that stands for a subvolume which is elsewhere: in a snapshot, subvolumes within what it was
/// made of are empty folders.
const ELSEWHERE: u64 = 2;
/// The folder of the tree of trees.
const ROOTS_FOLDER: u64 = 6;
/// Bytes of a symbolic link's target that are read.
const MOST_TARGET: u64 = 64 << 10;

/// A btrfs.
pub struct Btrfs {
    volume: Volume,
    about: About,
    root: NodeId,
}

impl Btrfs {
    /// Opens the one on `device`. Its root is the default subvolume, which the guest would mount.
    ///
    /// # Errors
    /// [`Error::NotThis`] of anything else, [`Error::Unsupported`] of what asks for a feature that is not
    /// known, [`Error::Damaged`].
    pub fn open(device: Device) -> Result<Self> {
        let volume = Volume::open(device)?;
        let default = default_subvolume(&volume)?;
        Self::of(volume, default)
    }

    /// Opens the one on `device` with the subvolume as root that all others are in. [`State`] says whether
    /// that is another one.
    ///
    /// # Errors
    /// As of [`open`](Self::open).
    pub fn open_top(device: Device) -> Result<Self> {
        Self::of(Volume::open(device)?, Tree::TOP)
    }

    fn of(volume: Volume, subvolume: u64) -> Result<Self> {
        let root = subvolume_root(&volume, subvolume)?;
        let superblock = &volume.superblock;
        let about = About {
            format: "btrfs",
            label: superblock.label.clone(),
            id: Uuid::from_bytes(superblock.fsid).to_string(),
            len: superblock.device_len,
            block: superblock.sector,
            state: state(&volume, subvolume),
        };
        let root = node_id(subvolume, root.folder)?;
        Ok(Self {
            volume,
            about,
            root,
        })
    }

    /// The tree and number of an inode.
    fn place(&self, id: NodeId) -> Result<(Tree, u64)> {
        let subvolume = id.0 >> INODE_BITS;
        let root = subvolume_root(&self.volume, subvolume)?;
        Ok((root.tree, id.0 & ((1 << INODE_BITS) - 1)))
    }

    fn inode(&self, id: NodeId) -> Result<(Tree, u64, Inode)> {
        let (tree, number) = self.place(id)?;
        let found = self.volume.find(tree, Key::new(number, INODE, 0))?;
        let found = found.ok_or_else(|| Error::NotFound(name_of(id)))?;
        Ok((tree, number, Inode::parse(found.bytes())?))
    }

    fn of_kind(&self, id: NodeId, kind: Kind, is: &'static str) -> Result<(Tree, u64, Inode)> {
        let found = self.inode(id)?;
        if found.2.kind() != kind {
            let what = name_of(id);
            return Err(Error::WrongKind { what, is });
        }
        Ok(found)
    }

    /// What a name leads to that is in `folder` of `tree`.
    fn leads_to(&self, tree: Tree, folder: u64, named: &Named<'_>) -> Result<NodeId> {
        let key = named.leads_to;
        match key.kind {
            INODE => node_id(tree.id, key.id),
            ROOT => {
                let reference = Key::new(tree.id, ROOT_REF, key.id);
                let roots = self.volume.superblock.roots;
                let here = match self.volume.find(roots, reference)? {
                    Some(found) => {
                        let raw = Raw::new("root reference", found.bytes());
                        let len = usize::from(raw.le16(16)?);
                        raw.le64(0)? == folder && raw.part(18, len)? == named.name
                    }
                    None => false,
                };
                if !here {
                    return node_id(tree.id, ELSEWHERE);
                }
                node_id(key.id, subvolume_root(&self.volume, key.id)?.folder)
            }
            other => {
                let why = format!("\"{}\" leads to {other}", named.name.escape_ascii());
                Err(Error::damaged("btrfs folder entry", why))
            }
        }
    }

    /// The folder with this id; `None` for one that stands for a subvolume elsewhere.
    fn folder(&self, id: NodeId) -> Result<Option<(Tree, u64)>> {
        let (tree, number) = self.place(id)?;
        if number == ELSEWHERE {
            return Ok(None);
        }
        self.of_kind(id, Kind::Folder, "no folder")?;
        Ok(Some((tree, number)))
    }
}

impl FileSystem for Btrfs {
    fn about(&self) -> &About {
        &self.about
    }

    fn root(&self) -> NodeId {
        self.root
    }

    fn node(&self, id: NodeId) -> Result<Node> {
        if self.place(id)?.1 == ELSEWHERE {
            return Ok(Node {
                id,
                kind: Kind::Folder,
                len: 0,
                links: 1,
                owner: None,
                times: Times::default(),
                attributes: None,
                obstacle: None,
            });
        }
        let (_, _, inode) = self.inode(id)?;
        let kind = inode.kind();
        Ok(Node {
            id,
            kind,
            len: match kind {
                Kind::File | Kind::Link => inode.size,
                _ => 0,
            },
            links: inode.links,
            owner: Some(Owner {
                uid: inode.uid,
                gid: inode.gid,
                mode: (inode.mode & 0o7777) as u16,
            }),
            times: inode.times,
            attributes: None,
            obstacle: None,
        })
    }

    fn list(&self, folder: NodeId, each: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> Result<()> {
        let Some((tree, number)) = self.folder(folder)? else {
            return Ok(());
        };
        let mut cursor = self.volume.from(tree, Key::new(number, DIR_INDEX, 0))?;
        while let Some(found) = cursor.next_of(number, DIR_INDEX)? {
            for named in Named::parse(found.bytes())? {
                let entry = Entry {
                    name: Name::new(named.name),
                    node: self.leads_to(tree, number, &named)?,
                    kind: named.kind(),
                };
                if each(entry).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn entry(&self, folder: NodeId, name: &Name) -> Result<Option<Entry>> {
        let Some((tree, number)) = self.folder(folder)? else {
            return Ok(None);
        };
        let hash = u64::from(name_hash(name.as_bytes()));
        let Some(found) = self.volume.find(tree, Key::new(number, DIR_ITEM, hash))? else {
            return Ok(None);
        };
        let all = Named::parse(found.bytes())?;
        let named = all.iter().find(|named| named.name == name.as_bytes());
        let Some(named) = named else {
            return Ok(None);
        };
        Ok(Some(Entry {
            name: name.clone(),
            node: self.leads_to(tree, number, named)?,
            kind: None,
        }))
    }

    fn open(&self, id: NodeId, stream: Option<&Name>) -> Result<Box<dyn Content + '_>> {
        if let Some(stream) = stream {
            return Err(Error::NotFound(format!("{}:{stream}", name_of(id))));
        }
        let (tree, number, inode) = self.of_kind(id, Kind::File, "no file")?;
        let summed = inode.summed();
        let contents = Contents::new(&self.volume, tree, number, inode.size, summed);
        Ok(Box::new(contents))
    }

    fn target(&self, id: NodeId) -> Result<Name> {
        let (tree, number, inode) = self.of_kind(id, Kind::Link, "no symbolic link")?;
        let len = inode.size;
        if len > MOST_TARGET {
            let why = format!("inode {number} has a target of {len} bytes");
            return Err(Error::damaged("btrfs symbolic link", why));
        }
        let mut target = vec![0; len as usize];
        let mut contents = Contents::new(&self.volume, tree, number, len, inode.summed());
        contents.read_at(0, &mut target)?;
        Ok(Name::new(target))
    }

    fn extras(&self, id: NodeId) -> Result<Extras> {
        let (tree, number) = self.place(id)?;
        let mut extras = Extras::default();
        if number == ELSEWHERE {
            return Ok(extras);
        }
        let mut cursor = self.volume.from(tree, Key::new(number, XATTR, 0))?;
        while let Some(found) = cursor.next_of(number, XATTR)? {
            for named in Named::parse(found.bytes())? {
                let value = named.value.to_vec();
                extras.xattrs.push((Name::new(named.name), value));
            }
        }
        extras.xattrs.sort();
        Ok(extras)
    }
}

fn name_of(id: NodeId) -> String {
    let (subvolume, inode) = (id.0 >> INODE_BITS, id.0 & ((1 << INODE_BITS) - 1));
    format!("inode {inode} of subvolume {subvolume}")
}

fn node_id(subvolume: u64, inode: u64) -> Result<NodeId> {
    if subvolume >> (64 - INODE_BITS) != 0 || inode >> INODE_BITS != 0 {
        let why = format!(
            "inode {inode} of btrfs subvolume {subvolume}: numbers too large for this reader"
        );
        return Err(Error::Unsupported(why));
    }
    Ok(NodeId(subvolume << INODE_BITS | inode))
}

fn subvolume_root(volume: &Volume, id: u64) -> Result<RootItem> {
    let gone = || Error::NotFound(format!("btrfs subvolume {id}"));
    if !Tree::is_subvolume(id) {
        return Err(gone());
    }
    let root = volume.root(id)?;
    if root.alive { Ok(root) } else { Err(gone()) }
}

/// The subvolume that is mounted where none is named.
fn default_subvolume(volume: &Volume) -> Result<u64> {
    let hash = u64::from(name_hash(b"default"));
    let key = Key::new(ROOTS_FOLDER, DIR_ITEM, hash);
    let Some(found) = volume.find(volume.superblock.roots, key)? else {
        return Ok(Tree::TOP);
    };
    let all = Named::parse(found.bytes())?;
    let default = all.iter().find(|named| named.name == b"default");
    let id = default.map_or(Tree::TOP, |named| named.leads_to.id);
    // Images that mkfs made name it by a number that stands for the first one.
    Ok(if Tree::is_subvolume(id) {
        id
    } else {
        Tree::TOP
    })
}

fn state(volume: &Volume, subvolume: u64) -> State {
    let superblock = &volume.superblock;
    let mut state = State::of(How::Clean);
    if superblock.log {
        state.note(
            How::NotReplayed,
            "it has a log of what was fsynced after the last commit, which is not replayed: these newest \
             changes are missing",
        );
    }
    for oddity in &superblock.oddities {
        state.note(How::Damaged, oddity);
    }
    if superblock.device_len > volume.device_len() {
        let (len, is) = (superblock.device_len, volume.device_len());
        let note = format!("it takes {len} bytes, and its device has {is}");
        state.note(How::Damaged, note);
    }
    if superblock.devices > 1 {
        let (count, this) = (superblock.devices, superblock.device);
        let note = format!(
            "it lies on {count} devices, of which this is number {this}: what is not on this one alone is \
             not read"
        );
        state.note(How::Clean, note);
    }
    if subvolume != Tree::TOP {
        let note = format!(
            "its default subvolume is {subvolume}: what lies outside of it is not in this tree, but in that \
             of its uppermost subvolume"
        );
        state.note(How::Clean, note);
    }
    state
}
