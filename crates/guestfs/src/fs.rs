//! A file system as one read-only tree.

use std::ops::ControlFlow;
use std::sync::Arc;

use disk::{BlockRead, ByteRange};

use crate::error::{Error, Result};
use crate::name::Name;
use crate::node::{Entry, Extras, Kind, Node, NodeId};
use crate::state::State;

/// What a file system is read from.
pub type Device = Arc<dyn BlockRead>;

/// What a file system says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// In the words of its own tools: "ntfs", "ext4", "vfat", "exfat", "xfs", "btrfs".
    pub format: &'static str,
    /// Its label; empty if it has none.
    pub label: String,
    /// What it is known by, as its own tools print it; empty if it has nothing.
    pub id: String,
    /// Bytes that it takes of its device.
    pub len: u64,
    /// Bytes of its unit of allocation.
    pub block: u32,
    /// In what state it was.
    pub state: State,
}

/// A file system.
///
/// Many threads may read at once. Nothing is kept that grows with the file system.
pub trait FileSystem: Send + Sync {
    /// What it says of itself.
    fn about(&self) -> &About;

    /// The folder above all.
    fn root(&self) -> NodeId;

    /// What is told of a file or folder.
    ///
    /// # Errors
    /// [`Error::NotFound`] for what was never given by [`list`](Self::list).
    fn node(&self, id: NodeId) -> Result<Node>;

    /// Calls `each` for every name in a folder, in the order in which they are stored, without “.” and
    /// “..”, without names of 8.3 characters beside long ones, and without what the file system keeps for
    /// itself; until it breaks.
    ///
    /// # Errors
    /// When the folder cannot be read: names were given until then.
    fn list(&self, folder: NodeId, each: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> Result<()>;

    /// A name in a folder as it is stored, by the file system's own rules of which names are the same.
    /// Where several are, the one that is spelt like `name`.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn entry(&self, folder: NodeId, name: &Name) -> Result<Option<Entry>> {
        let mut found = None;
        self.list(folder, &mut |entry| {
            if entry.name != *name {
                return ControlFlow::Continue(());
            }
            found = Some(entry);
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// What a name in a folder leads to, as [`entry`](Self::entry) finds it.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn find(&self, folder: NodeId, name: &Name) -> Result<Option<NodeId>> {
        Ok(self.entry(folder, name)?.map(|entry| entry.node))
    }

    /// The contents of a file, or a stream of it by name.
    ///
    /// # Errors
    /// [`Error::Obstacle`] when they are not to be had; [`Error::WrongKind`] of anything but a file, unless
    /// a stream is asked for.
    fn open(&self, id: NodeId, stream: Option<&Name>) -> Result<Box<dyn Content + '_>>;

    /// Where a [`Kind::Link`] or [`Kind::Junction`] leads, as it is stored; of Windows' links what would be
    /// printed.
    ///
    /// # Errors
    /// [`Error::WrongKind`] of anything else.
    fn target(&self, id: NodeId) -> Result<Name>;

    /// What few nodes have and listing does not need.
    ///
    /// # Errors
    /// When it cannot be read.
    fn extras(&self, id: NodeId) -> Result<Extras>;
}

/// The contents of a file.
pub trait Content: Send {
    /// Bytes.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// When the range does not lie within the contents, or they cannot be read.
    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<()>;

    /// The next range that is stored and not a hole, at or behind `from`, and within the contents. What lies
    /// before it is zeros.
    ///
    /// # Errors
    /// When it cannot be told.
    fn next_data(&mut self, from: u64) -> Result<Option<ByteRange>>;

    /// Where the byte at `from`, which is within the contents, lies, and how many behind it lie there in a
    /// row. `None` of contents that are not stored as they are, or of a reader that does not tell.
    ///
    /// # Errors
    /// When it cannot be told.
    fn place(&mut self, _from: u64) -> Result<Option<Place>> {
        Ok(None)
    }
}

/// Where a part of a file's contents lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The part; not empty, and within the contents.
    pub range: ByteRange,
    /// Where it is.
    pub lies: Lies,
}

/// Where bytes of a file lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lies {
    /// Nowhere: they are zeros.
    Nowhere,
    /// On the device of the file system, from this byte on.
    At(u64),
    /// Within metadata, or in a journal.
    Apart,
}

/// Follows names from the root. No link is followed.
///
/// # Errors
/// [`Error::NotFound`] and [`Error::WrongKind`] name the part of the path that they are about.
pub fn by_path(fs: &dyn FileSystem, path: &[Name]) -> Result<NodeId> {
    let mut at = fs.root();
    for (depth, name) in path.iter().enumerate() {
        let so_far = || {
            let names = path[..=depth].iter().map(ToString::to_string);
            format!("/{}", names.collect::<Vec<_>>().join("/"))
        };
        if depth > 0 && fs.node(at)?.kind != Kind::Folder {
            return Err(Error::WrongKind {
                what: so_far(),
                is: "in something that is no folder",
            });
        }
        let found = fs.find(at, name)?;
        at = found.ok_or_else(|| Error::NotFound(so_far()))?;
    }
    Ok(at)
}
