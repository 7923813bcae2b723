//! The log (MS-VHDX 2.3): changes to metadata on their way into place.
//!
//! A ring of 4 KiB sectors. An entry is a header sector with descriptors, further sectors of
//! descriptors, then one sector for each data descriptor. [`entry`] turns these into values and
//! back.
//!
//! A file whose header names a log GUID was not closed: its structures are only right once the
//! log's active sequence has been applied. A reader must not write, so [`replay()`] applies it to
//! an overlay in memory, which remembers where in the log each new sector is, not its bytes: a
//! log of 1 GiB costs megabytes.

pub mod entry;
mod overlay;
mod replay;
mod ring;

pub use overlay::View;
pub use replay::replay;
