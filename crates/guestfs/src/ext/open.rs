//! Opening a file system: in what state it is, and with which journal before it.

use std::sync::Arc;

use super::ROOT;
use super::feature::{compat, incompat, ro_compat};
use super::journal::{Log, Overlay, scan};
use super::superblock::{self, Super};
use super::volume::Volume;
use crate::cache::Cached;
use crate::error::{Error, Result};
use crate::fs::{About, Device};
use crate::state::{How, State};

/// The file system on a device, with its journal replayed, and what is told of it.
pub(super) fn open(device: Device) -> Result<(Volume, About)> {
    let found = superblock::find(&Cached::new(device.clone()))?;
    let mut state = State::of(How::Clean);
    if let Some(why) = &found.why {
        state.note(
            How::Damaged,
            format!(
                "the first superblock is not used ({why}): the copy of group {} is",
                found.group
            ),
        );
    }
    // What is odd there may be right in the journal: it is told when that has been replayed.
    let group = copy_of_descriptors(&found.sb, &device, found.group, &mut State::of(How::Clean))?;
    let before = Volume::new(found.sb, device, group);
    let mut volume = replayed(before, found.group, &mut state)?;
    volume.copy = copy_of_descriptors(&volume.sb, volume.device(), found.group, &mut state)?;
    let sb = &volume.sb;
    odd(sb, &mut state);
    let root = volume.inode(ROOT)?;
    if !root.is_folder() {
        return Err(Error::damaged("inode 2", "the root is no folder"));
    }
    let about = About {
        format: sb.format(),
        label: sb.label(),
        id: uuid::Uuid::from_bytes(sb.uuid()).to_string(),
        len: sb.all_blocks.saturating_mul(sb.block),
        block: sb.block as u32,
        state,
    };
    Ok((volume, about))
}

/// The group whose copy of the group descriptors is read: the first with whole ones.
fn copy_of_descriptors(sb: &Super, device: &Device, first: u64, state: &mut State) -> Result<u64> {
    let whole = |group| Volume::new(sb.clone(), device.clone(), group).inode(ROOT);
    let why = match whole(first) {
        Ok(_) => return Ok(first),
        Err(error @ Error::Disk(_)) => return Err(error),
        Err(why) => why,
    };
    for group in [1, 3, 5, 7, 9, 25, 27, 49] {
        if group != first && whole(group).is_ok() {
            state.note(
                How::Damaged,
                format!(
                    "the first group descriptors are not used ({why}): the copy of group {group} is"
                ),
            );
            return Ok(group);
        }
    }
    // The journal may have what is missing.
    Ok(first)
}

/// The volume behind its journal. Its superblock was found in a group.
fn replayed(before: Volume, group: u64, state: &mut State) -> Result<Volume> {
    let sb = &before.sb;
    if !sb.has_compat(compat::HAS_JOURNAL) {
        if sb.state() & 1 == 0 {
            state.note(How::InUse, "it has no journal, and was not closed");
        }
        return Ok(before);
    }
    // The guest does not look into the journal either without this mark. Copies of the superblock do
    // not have it.
    let wanted = sb.has_incompat(incompat::RECOVER);
    if group == 0 && !wanted {
        return Ok(before);
    }
    if sb.journal_inode() == 0 {
        if wanted {
            state.note(
                How::NotReplayed,
                "its journal is on another device and was not replayed: the newest changes may be missing \
                 or half there",
            );
        }
        return Ok(before);
    }
    let scanned = Log::open(&before).and_then(|mut log| {
        if log.error != 0 {
            let note = format!("the guest gave its journal up with error {}", log.error);
            state.note(How::Damaged, note);
        }
        match log.is_empty() {
            true => Ok(None),
            false => scan(&mut log, sb).map(Some),
        }
    });
    let scanned = match scanned {
        Ok(Some(scanned)) => scanned,
        Ok(None) => return Ok(before),
        Err(error @ Error::Disk(_)) => return Err(error),
        Err(why) => {
            // The guest does not mount one that is damaged either, but checks it.
            let how = match why {
                Error::Unsupported(_) => How::NotReplayed,
                _ => How::Damaged,
            };
            state.note(how, format!("its journal was not replayed: {why}"));
            return Ok(before);
        }
    };
    state.note(
        How::Replayed,
        format!(
            "its journal was replayed beside the disk: {} blocks of {} transactions, and {} fast commits",
            scanned.blocks.len(),
            scanned.transactions,
            scanned.fast.count
        ),
    );
    if let Some(why) = scanned.damaged {
        state.note(
            How::Damaged,
            format!("its journal is damaged, and was replayed up to there: {why}"),
        );
    }
    if let Some(why) = scanned.unfinished {
        state.note(
            How::Replayed,
            format!("its journal ends in what was not taken, as it seems never to have been whole: {why}"),
        );
    }
    if let Some(why) = scanned.fast_left_out {
        state.note(
            How::NotReplayed,
            format!("the newest changes, its fast commits, are left out: {why}"),
        );
    }
    let overlay = Arc::new(Overlay::new(
        before.device().clone(),
        sb.block,
        scanned.blocks,
    ));
    let device: Device = overlay.clone();
    let found = superblock::find(&device)?;
    let mut volume = Volume::new(found.sb, device, before.copy);
    volume.overlay = Some(overlay);
    volume.fast = scanned.fast;
    Ok(volume)
}

/// What the superblock says of its own state.
fn odd(sb: &Super, state: &mut State) {
    let (count, function, inode) = sb.errors();
    if sb.state() & 2 != 0 || count != 0 {
        let mut note = format!("the guest has found errors in it ({count}");
        if !function.is_empty() {
            note.push_str(&format!(", the last in {function}, inode {inode}"));
        }
        note.push(')');
        let how = if sb.state() & 2 != 0 {
            How::Damaged
        } else {
            How::Clean
        };
        state.note(how, note);
    }
    if sb.last_orphan() != 0 || sb.ro_compat & ro_compat::ORPHAN_PRESENT != 0 {
        state.note(
            How::Clean,
            "files that were removed or cut while they were open are still to be cleaned up by the guest: \
             they have no names",
        );
    }
    if sb.all_blocks > sb.blocks {
        state.note(
            How::Damaged,
            format!(
                "it has {} blocks, and its device only {}",
                sb.all_blocks, sb.blocks
            ),
        );
    }
    if sb.has_incompat(incompat::ENCRYPT) {
        state.note(
            How::Clean,
            "it may have folders that are encrypted by fscrypt: their names are shown as they are stored",
        );
    }
    if sb.has_incompat(incompat::CASEFOLD) {
        state.note(
            How::Clean,
            "it may have folders that do not tell cases apart: beyond ASCII, names are compared there by \
             simpler rules than the guest's",
        );
    }
}
