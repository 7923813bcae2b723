//! How much room restored disks take, and how much there is: told before anything is written.

use std::fs::Metadata;
use std::io;
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
    /// Bytes that are free; `None` where this system is not asked, or its file system does not tell.
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
fn allocated(file: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(file).saturating_mul(512)
}

#[cfg(not(unix))]
fn allocated(file: &Metadata) -> u64 {
    file.len()
}

/// Bytes that this user may still write below `folder`, or below what is there of its path; `None` where
/// that is not known.
#[cfg(unix)]
pub(crate) fn free(folder: &Path) -> io::Result<Option<u64>> {
    let absolute = std::path::absolute(folder)?;
    let there = absolute.ancestors().find(|above| above.exists());
    let found = rustix::fs::statvfs(there.unwrap_or(folder))?;
    // A file system without blocks, as some of network and memory are, keeps no account of its room.
    let told = found.f_blocks > 0;
    Ok(told.then(|| found.f_bavail.saturating_mul(found.f_frsize)))
}

/// Bytes that this user may still write below `folder`: this system is not asked.
#[cfg(not(unix))]
pub(crate) fn free(_: &Path) -> io::Result<Option<u64>> {
    Ok(None)
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn who_keeps_no_account_of_its_room_is_not_full() {
        assert_eq!(free(Path::new("/proc")).unwrap(), None);
        assert!(free(&std::env::temp_dir()).unwrap().is_some());
        let room = Room {
            needed: 1 << 40,
            free: None,
        };
        assert_eq!(room.judged(Path::new("/proc")).unwrap().code, Code::Other);
    }
}
