//! A host's files over SMB 3.1.1, for reading only.
//!
//! ```text
//! HostFiles::open, len, list        ReadAt::read_exact_at from several threads
//!      │                                 │
//!      ▼                                 ▼
//!  place: which share of which server   file: pieces, several under way
//!      └──────────────┬──────────────────┘
//!                     ▼
//!  server: one connection each, and another when it is lost
//!                     ▼
//!  conn: logon, requests and replies, credits      crypt: keys, signatures, encryption
//!                     ▼
//!  wire: messages as bytes
//! ```
//!
//! Invariants:
//!
//! - Nothing is ever created, changed or locked. Files are opened so that nobody is kept out: the
//!   host's own VM workers read, write and delete as before.
//! - SMB 3.1.1 and nothing earlier; each message is signed or encrypted, and what a server says is
//!   believed only so. A logon as a guest or as nobody is refused.
//! - Nothing is returned that was not read completely. When a connection is lost the file is
//!   opened again and must be the same as far as the server tells: identity on its volume (or time
//!   of creation), time of the last write, length. Else reading ends with
//!   [`FileProblem::Replaced`](hyperv::files::FileProblem::Replaced).
//! - A server that refused a logon is not asked again: accounts are locked by that.
//! - What a server sends is hostile: bounded, checked, never a panic.

mod budget;
mod conn;
mod crypt;
mod fault;
mod file;
mod files;
mod place;
mod server;
mod settings;
pub mod wire;

pub use files::ShareFiles;
pub use place::{BadShareMap, ShareMap};
pub use settings::{Encryption, Outage, Settings};
