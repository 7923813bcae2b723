//! How much room restored disks take, and how much there is: told before anything is written.

use std::fs::Metadata;
use std::path::Path;
use std::sync::Arc;

use disk::write::Rehearsal;
use disk::{DiskWrite, MemFile};
use serde::Serialize;

use crate::cancel::Cancel;
use crate::finding::{Code, Finding, Severity};
use crate::pipeline::Stop;
use crate::restore::contents::Contents;
use crate::restore::write::WriteError;

/// How large a file will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// Bytes of data in it.
    pub(crate) data: u64,
    /// Its length.
    pub(crate) len: u64,
    /// What it takes of a file system that keeps holes.
    pub(crate) room: u64,
}

/// What a restore needs of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Room {
    /// Bytes that are still to be written.
    pub needed: u64,
    /// Bytes that are free; `None` where the file system does not tell.
    pub free: Option<u64>,
}

impl Size {
    /// What a file with these contents will be, found out without reading them.
    pub(crate) fn of(contents: &Contents, cancel: &Cancel) -> Result<Self, Stop<WriteError>> {
        let write = |e| Stop::Failed(WriteError::Write(e));
        let file = nowhere();
        let mut writer = contents.writer(Arc::clone(&file)).map_err(write)?;
        let data = contents.rehearse(&mut *writer, u64::MAX, cancel)?;
        Self::ended(data, writer, &file).map_err(write)
    }

    /// What a rehearsed file is when its writer has finished.
    pub(crate) fn ended(
        data: u64,
        writer: Box<dyn DiskWrite>,
        file: &Rehearsal<MemFile>,
    ) -> disk::Result<Self> {
        writer.finish()?;
        let (len, room) = file.size();
        Ok(Self { data, len, room })
    }

    /// What is still needed where this much is there already.
    pub(crate) fn missing(&self, there: Option<&Metadata>) -> u64 {
        self.room.saturating_sub(there.map_or(0, allocated))
    }
}

/// A file to rehearse in that is never written.
pub(crate) fn nowhere() -> Arc<Rehearsal<MemFile>> {
    Arc::new(Rehearsal::begin(MemFile::default()))
}

#[cfg(unix)]
pub(crate) fn allocated(file: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(file).saturating_mul(512)
}

#[cfg(not(unix))]
pub(crate) fn allocated(file: &Metadata) -> u64 {
    file.len()
}

impl Room {
    /// What to say when there is too little, or when nobody knows.
    pub(crate) fn judged(self, folder: &Path) -> Option<Finding> {
        let object = folder.display().to_string();
        let needed = self.needed;
        match self.free {
            None => Some(Finding::note(
                Code::Other,
                object,
                format!(
                    "the restore takes {needed} bytes; whether the target has them free is not \
                     known"
                ),
            )),
            Some(free) if free < needed => Some(
                Finding::new(
                    Code::TargetFull,
                    Severity::Partial,
                    object,
                    format!(
                        "the restore takes {needed} bytes and the target has {free} free: nothing \
                         was written"
                    ),
                )
                .hint("free some space, restore elsewhere, or fewer disks at a time (--disk)"),
            ),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_keeps_no_account_of_its_room_is_not_full() {
        let judged = |free| {
            let room = Room {
                needed: 1 << 40,
                free,
            };
            room.judged(Path::new("x")).map(|finding| finding.code)
        };
        assert_eq!(judged(None), Some(Code::Other));
        assert_eq!(judged(Some(1 << 39)), Some(Code::TargetFull));
        assert_eq!(judged(Some(1 << 40)), None);
    }
}
