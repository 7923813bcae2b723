//! Cut, identify, seal, pack, index, map, commit and read.

mod claims;
pub mod cutter;
mod disk_writer;
pub mod env;
pub mod error;
mod index;
mod keys;
mod leaf;
mod lru;
mod objects;
mod packer;
mod packs;
mod reader;
mod segment;
mod session;
mod tree;
mod vault;

pub use disk_writer::{DiskWriter, Layout};
pub use env::{Clock, Env, SystemClock};
pub use error::{Error, Result, Warning};
pub use packer::Stored;
pub use reader::{DiskReader, Extent, StreamReader};
pub use segment::{Content, SegmentBuf};
pub use session::{Compression, Progress, Session};
pub use vault::{InitOptions, Vault};
pub use vault_format::description::Cutter as CutterSizes;
pub use vault_format::map::MapKind;
pub use vault_format::{
    Access, Argon2Cost, Lock, NodeId, RecipientPublic, RecipientSecret, RecoveryCode, Slot, SlotId,
    Unlock, VaultId,
};
