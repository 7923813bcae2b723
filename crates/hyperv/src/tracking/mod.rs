//! Change tracking: what changed on a disk since a reference point, and whether to believe it.
//!
//! A change that is missed is data that is lost without a word, so everything errs towards
//! reading. [`decide`] says disk by disk whether the host may be asked at all; [`changes()`] asks it
//! and takes no answer that does not cover the disk. Whatever is doubtful has a name, which
//! belongs into the restore point, and means that the disk is read in full.

mod changes;
mod power;
mod token;

pub use changes::{NoChanges, changes};
pub use power::{Power, Uptime};
pub(crate) use power::{power, uptime};
pub use token::{Applied, Decision, Doubt, Now, NowDisk, Token, TokenDisk, TokenLayer, decide};
