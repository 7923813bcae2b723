//! Every byte a vault stores, and nothing that does I/O.
//!
//! A vault is a set of immutable objects. This crate turns values into the bytes of such objects
//! and back; `docs/format/` specifies the same bytes in words and tables, and a reader written
//! from those documents alone is one of this crate's tests.
//!
//! | object | module | readable with |
//! |---|---|---|
//! | `vault.json` | [`description`] | nothing; its proof with the map key |
//! | `keys/<slot>`, `keys/writer-<id>` | [`slot`], [`writer`] | a passphrase, a recovery code or a recipient's key |
//! | `packs/ab/<sha256>` | [`pack`] | directory: map key; chunks: data key (data packs) or map key (map packs) |
//! | `index/<sha256>` | [`index`] | map key |
//! | nodes of disk maps, inside map packs | [`map`] | map key |
//! | `points/<vm>/<random>-<sha256>` | [`point`] | outline: map key; details: data key |
//! | `tokens/…`, `sessions/…`, `retire/…` | [`record`] | map key |
//!
//! Invariants:
//! - Bytes from outside are hostile: every decoder answers with [`Error`], never with a panic,
//!   and checks a number against its bound before it allocates by it.
//! - What can be written can be read: encoders check with the decoders' own rules.
//! - Pure: no I/O, no clock, no randomness of its own ([`Entropy`] is passed in), no unsafe.
//! - All integers are little-endian; all keys are single-purpose, derived by HKDF-SHA256.

#![forbid(unsafe_code)]

mod bytes;
mod crypto;
mod document;

pub mod description;
pub mod entropy;
pub mod error;
#[doc(hidden)]
pub mod fuzz;
pub mod id;
pub mod index;
pub mod keys;
pub mod map;
pub mod name;
pub mod pack;
pub mod payload;
pub mod point;
pub mod prefix;
pub mod recipient;
pub mod record;
pub mod recovery;
pub mod secret;
pub mod slot;
#[cfg(test)]
mod testing;
pub mod writer;

pub use description::Description;
pub use document::MAX_DOCUMENT_LEN;
pub use entropy::{Entropy, random};
pub use error::{Error, Result};
pub use id::{
    ChunkId, NodeId, ObjectHash, PointId, RetireId, SessionId, SlotId, VaultId, VmKey, WriterId,
};
pub use keys::{Access, VaultKeys, WriterKey, WriterPublic};
pub use name::ObjectName;
pub use recipient::{RecipientPublic, RecipientSecret};
pub use recovery::RecoveryCode;
pub use secret::Secret;
pub use slot::{Argon2Cost, Lock, Slot, Unlock, seal_slot};
pub use writer::Writer;
