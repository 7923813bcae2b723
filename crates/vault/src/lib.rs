//! Cut, identify, seal, pack, index, map, commit and read.
//!
//! A [`Vault`] lives in any [`store`]. Writing:
//!
//! ```text
//! Vault::session ─► Session::disk ─► DiskWriter::put_segment | put_changed   (many threads)
//!                        │               cut ─► id ─► known? ──no──► compress ─► pack ─► store
//!                        │                              └──yes─► leaf of the disk map
//!                        └─► DiskWriter::finish ─► root of the map
//! Session::commit(outline with roots, details) ─► restore point     Vault::put_token afterwards
//! ```
//!
//! Reading: [`Vault::points`], [`Vault::point`], [`Vault::disk`] with a root of its outline, and
//! then [`DiskReader`]. [`Vault::check`] tells what is damaged and whom that concerns.
//!
//! What holds at every moment, whoever is killed and whatever fails:
//!
//! - A restore point is visible only when all that it needs is durable.
//! - What a session stored before it died is taken over by the next one, not stored again.
//! - Bytes that come out are the bytes that went in: every chunk is authenticated and has its id
//!   checked, or the read is an error that names the object.
//! - Everything in a store may be hostile; everything in the cache folder may vanish.
//! - Memory does not grow with disks or vaults, but for less than 2 bytes for each chunk of the vault
//!   if there is a cache folder. Writing holds three packs of data and one of maps (104 MiB), and 256
//!   Ki index entries on their way into a run. Reading holds 16 MiB of map nodes, up to 64 MiB of
//!   chunks that parts were read of, and 5 MiB at once for each segment that the caller asks for. A
//!   check of all data holds five packs. What callers hand in and take out is theirs to bound.

mod base;
pub mod check;
mod claims;
mod compare;
pub mod cutter;
mod differ;
mod disk_writer;
pub mod env;
pub mod error;
pub mod fuzz;
mod heartbeat;
mod index;
mod keys;
mod leaf;
mod losses;
mod lru;
mod noise;
mod objects;
mod packer;
mod packs;
mod points;
mod reader;
mod segment;
mod session;
mod tree;
mod vault;

pub use base::{Base, Held, Piece};
pub use check::{CheckOptions, Finding, Report};
pub use disk_writer::{DiskWriter, Layout, Written};
pub use env::{Clock, Env, SystemClock};
pub use error::{Error, Result, Warning};
pub use losses::{Losses, Lost};
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
    Access, Argon2Cost, ChunkId, Lock, NodeId, ObjectName, PointId, RecipientPublic,
    RecipientSecret, RecoveryCode, Slot, SlotId, Unlock, VaultId, VmKey, WriterId,
};
