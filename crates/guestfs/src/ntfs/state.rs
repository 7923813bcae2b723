//! In what state a volume was: what `$Volume` and `$LogFile` say, and whether Windows is asleep on it.
//!
//! The log is not replayed here. While a volume is in use its log is never closed, so an image that was
//! frozen without being shut down is [`How::NotReplayed`] as a rule: the newest changes to names, sizes
//! and attributes may be missing or half there. A log that nobody can replay, and a volume that is marked, want
//! Windows' check: they are [`How::Dirty`].
//!
//! Sources: the public descriptions of the Linux-NTFS project and of libfsntfs; hibernation files as
//! Volatility's documentation has them.

use super::attribute::{DATA, VOLUME_INFORMATION, VOLUME_NAME};
use super::file::File;
use super::fixup;
use super::le::{le16, le64, units};
use super::stored::{Body, Stored};
use super::volume::{Via, Volume};
use crate::error::Result;
use crate::state::{How, State};

const LOG: u64 = 2;
const VOLUME: u64 = 3;

/// Of the volume's flags: Windows will check it.
const DIRTY: u16 = 1;
/// Of a restart area's flags: the volume was closed.
const CLOSED: u16 = 2;
/// No client has the log open.
const NOBODY: u16 = 0xffff;
/// Bytes of a page of the log.
const PAGE: usize = 4096;

/// What a volume says of itself, and in what state it is.
pub(super) fn read(volume: &Volume) -> (String, State) {
    let mut state = State::of(How::Clean);
    let boot = volume.boot();
    if volume.device_len() + boot.cluster < boot.len {
        let (is, has) = (boot.len, volume.device_len());
        let note = format!("the volume has {is} bytes and its partition {has}: its end is missing");
        state.note(How::Damaged, note);
    }
    for number in volume.copied() {
        let note = format!("MFT record {number} is damaged: its copy in $MFTMirr is read");
        state.note(How::Damaged, note);
    }
    let label = about(volume, &mut state).unwrap_or_else(|error| {
        state.note(How::Damaged, format!("$Volume cannot be read: {error}"));
        String::new()
    });
    match log(volume) {
        Ok(None) => (),
        Ok(Some((how, note))) => state.note(how, note),
        Err(error) => state.note(How::Dirty, format!("$LogFile cannot be read: {error}")),
    }
    (label, state)
}

/// The label; whether the volume is marked is noted.
fn about(volume: &Volume, state: &mut State) -> Result<String> {
    let Some(file) = File::find(volume, VOLUME)? else {
        state.note(How::Damaged, "there is no $Volume");
        return Ok(String::new());
    };
    let flags = file
        .value(volume, VOLUME_INFORMATION)?
        .map_or(0, |info| le16(&info, 10));
    if flags & DIRTY != 0 {
        let note = "the volume is marked as dirty: Windows checks it when it next starts";
        state.note(How::Dirty, note);
    }
    let name = file.value(volume, VOLUME_NAME)?.unwrap_or_default();
    Ok(String::from_utf16_lossy(&units(&name)))
}

/// Why the log would have to be replayed, or cannot be; `None` if it was closed.
fn log(volume: &Volume) -> Result<Option<(How, &'static str)>> {
    let file = File::find(volume, LOG)?;
    let stored = file
        .map(|file| file.stored(volume, DATA, &[]))
        .transpose()?
        .flatten();
    let Some(stored) = stored.filter(|stored| stored.len() >= 2 * PAGE as u64) else {
        return Ok(Some((How::Dirty, "there is no log")));
    };
    let mut newest: Option<(u64, bool)> = None;
    let mut empty = true;
    for page in 0..2 {
        let mut bytes = vec![0; PAGE];
        head(volume, &stored, page * PAGE as u64, &mut bytes)?;
        empty &= bytes.iter().all(|byte| *byte == 0xff);
        let Some((number, closed)) = restart(bytes) else {
            continue;
        };
        if newest.is_none_or(|(newest, _)| number > newest) {
            newest = Some((number, closed));
        }
    }
    Ok(match newest {
        Some((_, true)) => None,
        Some((_, false)) => {
            let note = "the log was not closed: the volume was in use, and the log is not replayed \
                        here, so the newest names, sizes and attributes may be missing or half there";
            Some((How::NotReplayed, note))
        }
        // Programs that wrote without the log leave it like this.
        None if empty => None,
        None => {
            let note = "the log has no restart page that is whole: nobody can replay it";
            Some((How::Dirty, note))
        }
    })
}

/// The number of a restart page, and whether the log was closed then; `None` if it is no whole one.
fn restart(mut bytes: Vec<u8>) -> Option<(u64, bool)> {
    let signature: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
    // CHKD is what Windows' check leaves.
    if ![*b"RSTR", *b"CHKD"].contains(&signature) {
        return None;
    }
    fixup::mend(&mut bytes, &signature, &|| "$LogFile".into()).ok()?;
    let area = bytes.get(usize::from(le16(&bytes, 0x18))..)?;
    let (in_use, flags) = (le16(area.get(..0x10)?, 0xc), le16(area, 0xe));
    Some((le64(area, 0), in_use == NOBODY || flags & CLOSED != 0))
}

/// Fills `buf` with a part of a file.
fn head(volume: &Volume, stored: &Stored, offset: u64, buf: &mut [u8]) -> Result<()> {
    match &stored.body {
        Body::Clusters(clusters) => clusters.read(volume, Via::Kept, offset, buf),
        Body::Resident(value) => {
            let part = value.get(offset as usize..).unwrap_or_default();
            let len = part.len().min(buf.len());
            let (now, behind) = buf.split_at_mut(len);
            now.copy_from_slice(part.get(..len).unwrap_or_default());
            behind.fill(0);
            Ok(())
        }
    }
}

/// Notes whether Windows is asleep on the volume, by its `hiberfil.sys`.
pub(super) fn asleep(volume: &Volume, file: &File, state: &mut State) -> Result<()> {
    let mut bytes = [0; 4];
    let Some(stored) = file
        .stored(volume, DATA, &[])?
        .filter(|stored| stored.len() >= 4096)
    else {
        return Ok(());
    };
    head(volume, &stored, 0, &mut bytes)?;
    if bytes.eq_ignore_ascii_case(b"hibr") || bytes.eq_ignore_ascii_case(b"rstr") {
        let note = "Windows is hibernated, or was shut down for a fast start: what it had in memory is in \
                    hiberfil.sys, and may be missing in files";
        state.note(How::Hibernated, note);
    }
    Ok(())
}
