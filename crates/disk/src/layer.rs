//! One image file on its own, and all there is to say about it as plain data.
//!
//! A chain of checkpoints is a stack of layers. Each layer is one file; what it does not store is
//! a [`Hole`](crate::Content::Hole), which reads as zeros here and is looked up in the parent only
//! by a [`Chain`](crate::chain::Chain).
//!
//! [`LayerInfo`] is what a backup keeps beside the contents: from it, and the contents, a writer
//! makes a file that hypervisors take for the same one. It never holds what merely describes the
//! old file's layout (offsets, order of blocks, sequence numbers).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::block::{BlockRead, Geometry};

/// One image file, opened.
pub trait Layer: BlockRead {
    /// What the file says about itself.
    fn info(&self) -> &LayerInfo;

    /// What is wrong with the file although it could be opened, in sentences for people.
    fn findings(&self) -> &[String] {
        &[]
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: Layer + ?Sized> Layer for $pointer {
            fn info(&self) -> &LayerInfo {
                (**self).info()
            }
            fn findings(&self) -> &[String] {
                (**self).findings()
            }
        }
    )*};
}
forward!(&T, Box<T>, Arc<T>);

/// What one image file says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerInfo {
    /// Size and sector sizes of the disk.
    pub geometry: Geometry,
    /// The format, with everything that only this format has.
    pub format: Format,
    /// Where the rest of the disk is; `None` for an image that stands alone.
    pub parent: Option<ParentLink>,
}

impl LayerInfo {
    /// What names this exact content, and what a child refers to: a VHDX's data write GUID, a
    /// VHD's unique id. A raw image has no such name.
    pub fn identity(&self) -> Option<Uuid> {
        match &self.format {
            Format::Raw => None,
            Format::Vhd(vhd) => Some(vhd.unique_id),
            Format::Vhdx(vhdx) => Some(vhdx.data_write_guid),
        }
    }
}

/// An image format with its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// The disk's bytes and nothing else.
    Raw,
    /// VHD, version 1.
    Vhd(VhdInfo),
    /// VHDX; an AVHDX is the same.
    Vhdx(VhdxInfo),
}

impl Format {
    /// The name that people use.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Vhd(_) => "VHD",
            Self::Vhdx(_) => "VHDX",
        }
    }
}

/// What only a VHDX has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VhdxInfo {
    /// Bytes of one payload block: a power of two, 1 to 256 MiB.
    pub block_size: u32,
    /// Whether all blocks are to stay allocated. Means nothing when there is a parent.
    pub fixed: bool,
    /// The disk's id as the guest sees it (SCSI VPD page 0x83); the same along a chain.
    pub disk_id: Uuid,
    /// Names the content that a guest sees; changes with it.
    pub data_write_guid: Uuid,
    /// Names the file's bytes; changes with every opening for writing.
    pub file_write_guid: Uuid,
    /// The program that made the file.
    pub creator: String,
    /// Metadata items that this crate does not interpret, in the order of the table: the user's,
    /// CHS and PMEM parameters, and anything unknown that a reader may ignore.
    pub metadata: Vec<MetadataItem>,
    /// Whether the file's log held changes that were not yet in place.
    pub dirty_log: bool,
}

/// A metadata item of a VHDX, carried as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataItem {
    /// What it is.
    pub id: Uuid,
    /// A user's item, not the format's.
    pub user: bool,
    /// Belongs to the virtual disk, not to the file.
    pub virtual_disk: bool,
    /// A reader that does not know it must refuse the file.
    pub required: bool,
    /// Its bytes, at most 1 MiB.
    pub data: Vec<u8>,
}

/// What only a VHD has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VhdInfo {
    /// Fixed, dynamic or differencing.
    pub kind: VhdKind,
    /// Names the file; what a child refers to.
    pub unique_id: Uuid,
    /// Seconds since 2000-01-01 00:00 UTC.
    pub timestamp: u32,
    /// Four characters, such as `win ` or `vpc `.
    pub creator_app: [u8; 4],
    /// Version of that program.
    pub creator_version: u32,
    /// Four characters, such as `Wi2k`.
    pub creator_os: [u8; 4],
    /// Size at creation, in bytes.
    pub original_len: u64,
    /// Cylinders, heads, sectors per track.
    pub chs: (u16, u8, u8),
    /// Feature bits of the footer.
    pub features: u32,
    /// Whether the machine was saved while it used the disk.
    pub saved_state: bool,
    /// Bytes of one block; `None` for a fixed disk.
    pub block_size: Option<u32>,
}

/// The types of a VHD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VhdKind {
    /// All of the disk in order.
    Fixed,
    /// Blocks as they are written.
    Dynamic,
    /// Blocks as they are written, over a parent.
    Differencing,
}

/// How a child names its parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentLink {
    /// The parent must have one of these identities. A VHDX names one, or two while a merge into
    /// the parent is under way; a VHD names one.
    pub identities: Vec<Uuid>,
    /// Where the parent may be, in the order in which to look.
    pub paths: Vec<ParentPath>,
    /// Other entries of a VHDX's parent locator, as they are.
    pub other: Vec<(String, String)>,
    /// The parent's timestamp as a VHD child states it, in seconds since 2000-01-01 00:00 UTC.
    pub timestamp: Option<u32>,
}

impl ParentLink {
    /// Whether `identity` is the parent that this link means.
    pub fn accepts(&self, identity: Option<Uuid>) -> bool {
        identity.is_some_and(|id| self.identities.contains(&id))
    }
}

/// One path to a parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentPath {
    /// What the path starts from.
    pub kind: PathKind,
    /// The path as the child spells it. Half a surrogate pair, which no UTF-8 can spell, has
    /// become U+FFFD.
    pub path: String,
}

/// What a path to a parent starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathKind {
    /// The child's folder: `..\base.vhdx`.
    Relative,
    /// A volume's GUID: `\\?\Volume{…}\dir\base.vhdx`.
    Volume,
    /// A drive or share: `\\?\C:\dir\base.vhdx`, `\\server\share\base.vhdx`.
    Absolute,
    /// A `file:` URL, of a VHD that a Mac wrote.
    Url,
    /// A file name that stands alone: the parent name in a VHD's header.
    Name,
}
