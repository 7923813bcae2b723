//! Cut, identify, seal, pack, index, map, commit and read.

pub mod check;
mod claims;
pub mod cutter;
mod disk_writer;
pub mod env;
pub mod error;
mod heartbeat;
mod index;
mod keys;
mod leaf;
mod lru;
mod objects;
mod packer;
mod packs;
mod points;
mod reader;
mod segment;
mod session;
mod tree;
mod vault;

pub use check::{CheckOptions, Finding, Report};
pub use disk_writer::{DiskWriter, Layout};
pub use env::{Clock, Env, SystemClock};
pub use error::{Error, Result, Warning};
pub use packer::Stored;
pub use points::{Point, PointRef, SignedBy};
pub use reader::{DiskReader, Extent, StreamReader};
pub use segment::{Content, SegmentBuf};
pub use session::{Compression, Progress, Session, SessionOptions};
pub use vault::{InitOptions, Vault};
pub use vault_format::description::Cutter as CutterSizes;
pub use vault_format::map::MapKind;
pub use vault_format::point;
pub use vault_format::{
    Access, Argon2Cost, Lock, NodeId, ObjectName, PointId, RecipientPublic, RecipientSecret,
    RecoveryCode, Slot, SlotId, Unlock, VaultId, VmKey, WriterId,
};
