//! What was about to be done to a host, on disk before it is done.
//!
//! A program that is killed leaves behind what it had made: a checkpoint that grows until
//! somebody removes it. So each call that changes a host is written to a file and made durable
//! first ([`Journal::begin`]), and how it ended after it ([`Journal::end`]). The next run reads
//! the files of those that are gone ([`dead`]), looks at the host, and decides.
//!
//! A reference point is meant to outlive its run: the next backup needs it. It stays in the journal
//! until somebody else is known to remember it ([`Journal::release`]).
//!
//! Invariants:
//!
//! - One file for each run, written by nobody else and only at its end. Whoever writes it holds a
//!   lock on it, so that a run that is alive is never taken for a dead one.
//! - When `begin` has returned, the entry survives a power cut.
//! - Each line has a checksum. A line that is torn or damaged is told and skipped; it never hides
//!   another one.
//! - It never holds a secret, and nothing of a guest.

mod entry;
mod file;
mod read;

pub use entry::{Call, Entry, Export, Intent, Outcome};
pub use file::{Journal, JournalError, RunState, dead, dead_that, run_state};
pub use read::{Open, Reading, read};
