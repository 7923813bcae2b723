//! Packs: many sealed chunks in one object.
//!
//! ```text
//! header | sealed chunk | sealed chunk | … | sealed directory | trailer
//! ```
//!
//! A *data* pack holds chunks of disks and files, sealed under a random data key that is wrapped
//! to the vault's public data key: who only holds [`Access::Write`](crate::Access::Write) cannot
//! open even what it wrote a moment ago. A *map* pack holds nodes of disk maps, sealed under the
//! map key. The directory of either is sealed under the map key, and it and the header are signed
//! by the writer.
//!
//! Everything sealed has its own offset in the pack as nonce and the whole header as associated
//! data, so `(offset, stored length)` and the header are all that opening a chunk takes. A pack
//! is named by the SHA-256 of its bytes; the trailer is its last thing, so that a pack that was
//! cut short is recognised without a key. `docs/format/pack.md` has the tables.

mod build;
mod directory;
mod header;
mod open;
mod trailer;

pub use build::{PackBuilder, SealedPack};
pub use directory::{Directory, DirectoryEntry};
pub use header::{PackHeader, PackKind};
pub use open::PackOpener;
pub use trailer::{TRAILER_LEN, Trailer};

/// Size at which a writer should finish a pack; packs may be smaller or larger.
pub const PACK_TARGET: u64 = 32 << 20;
/// Largest pack that is read or written, in bytes.
pub const MAX_PACK_LEN: u64 = 1 << 30;
/// Largest chunk or node, in plain bytes.
pub const MAX_CHUNK_LEN: usize = 16 << 20;
/// Most chunks in one pack.
pub const MAX_CHUNKS: usize = 1 << 20;

const SIGNATURE_DOMAIN: &str = "hyperkeep/v1 pack";

#[cfg(test)]
mod tests;
