//! The log, replayed beside the disk.
//!
//! ```text
//! ring of sectors ─► records (checked, from tail to head) ─► operations ─► transactions that were
//! committed ─► items: parts of blocks, inodes, new inodes ─► Changes
//! ```
//!
//! It is gone through twice, as the kernel does: blocks that were freed are cancelled, which must be known
//! before anything older is put into them. Of a change only its place in the log is kept.

mod changes;
mod dinode;
mod head;
mod item;
mod record;
mod replay;
mod ring;
mod transaction;

pub(super) use changes::Changes;

use super::volume::Volume;
use crate::error::{Error, Result};
use crate::state::{How, State};
use head::Head;
use ring::Ring;

/// Features of a log that ask for more than is known here: attributes that are changed by intents are told
/// as such.
const KNOWN: u32 = 0x1;

/// Looks at the log, and says in what state it is. `None` when the disk is to be read as it lies.
pub(super) fn replay(volume: &Volume, state: &mut State) -> Result<Option<Changes>> {
    match attempt(volume, state) {
        Ok(changes) => Ok(changes),
        Err(error @ (Error::Damaged { .. } | Error::Unsupported(_))) => {
            // The guest does not mount one that is damaged either.
            let how = match error {
                Error::Damaged { .. } => How::Damaged,
                _ => How::NotReplayed,
            };
            state.note(how, format!("its log was not replayed: {error}"));
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

fn attempt(volume: &Volume, state: &mut State) -> Result<Option<Changes>> {
    let sb = &volume.sb;
    if sb.log_start == 0 {
        let why = "a log on another device";
        return Err(Error::Unsupported(why.into()));
    }
    let ring = Ring::of(volume)?;
    let head = match Head::find(volume, ring)? {
        Head::Closed => return Ok(None),
        head => head,
    };
    if sb.log_features & !KNOWN != 0 {
        let features = sb.log_features & !KNOWN;
        return Err(Error::Unsupported(format!(
            "features of its log: {features:#x}"
        )));
    }
    let Head::Open { tail, end, torn } = head else {
        return Ok(None);
    };
    let replayed = replay::replay(volume, ring, tail, end)?;
    if torn {
        let note = "the last records of its log are not whole, as after a power cut: what they had to tell \
                    is not there";
        state.note(How::Replayed, note);
    }
    if replayed.unfinished || !replayed.changes.is_empty() {
        state.how = state.how.max(How::Replayed);
    }
    if replayed.open > 0 {
        let note = format!(
            "{} steps of longer changes are open in its log, which the guest will take when it mounts \
             the file system",
            replayed.open
        );
        state.note(How::Replayed, note);
    }
    if replayed.halfway {
        let note = "some of these were moving contents or attributes of files: what a file has lost in one step \
                    it gets in the next, which is not taken here, and reads as zeros or as not there";
        state.note(How::NotReplayed, note);
    }
    Ok(Some(replayed.changes))
}
