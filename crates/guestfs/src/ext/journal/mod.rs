//! The journal (jbd2): what the guest had promised and not yet put in its place.
//!
//! It is replayed beside the disk: [`scan()`] finds which blocks have a newer version in the journal, and
//! [`Overlay`] is the device on which they are in their places. What is kept is where each of them is,
//! never its bytes. [`fast`] has the short records behind the last whole transaction.
//!
//! Source: the kernel's documentation of ext4's data structures; shown against what the kernel and
//! `debugfs` replay.

mod fast;
mod log;
mod overlay;
mod scan;

pub(super) use fast::FastCommits;
pub(super) use log::Log;
pub(super) use overlay::Overlay;
pub(super) use scan::scan;

/// Blocks of which it is kept where they are in the journal: more is no journal of this world.
const MOST: usize = 4 << 20;
