//! Whether a file is still what it was when it was opened.
//!
//! Nothing freezes a plain file: a VM may start and write while it is being read. What gives that
//! away is looked at before and after: length, modification time, on Unix also the change time,
//! and the few places that a program rewrites when it works on an image: both VHDX headers (each
//! writer begins by giving them a new sequence number) and the last sector, where a VHD keeps its
//! footer. The same before and after does not prove that nothing happened, since a mapped file's
//! times may lag behind; different proves that something did.

use std::fs::File;
use std::io;
use std::time::SystemTime;

use disk::ReadAt;

/// Where VHDX headers lie.
const HEADERS: [u64; 2] = [64 << 10, 128 << 10];
/// How much of each is looked at.
const HEADER: usize = 4096;
/// Size of a VHD footer.
const FOOTER: usize = 512;

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    len: u64,
    modified: Option<SystemTime>,
    changed: Option<(i64, i64)>,
    telltale: blake3::Hash,
}

impl Fingerprint {
    /// Looks at an open file.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        let len = meta.len();
        let mut hasher = blake3::Hasher::new();
        let mut look = |offset: u64, size: usize| -> io::Result<()> {
            let mut buf = [0; HEADER];
            let buf = &mut buf[..size];
            file.read_exact_at(buf, offset)?;
            hasher.update(buf);
            Ok(())
        };
        for offset in HEADERS {
            if offset + HEADER as u64 <= len {
                look(offset, HEADER)?;
            }
        }
        if let Some(offset) = len.checked_sub(FOOTER as u64) {
            look(offset, FOOTER)?;
        }
        Ok(Self {
            len,
            modified: meta.modified().ok(),
            changed: change_time(&meta),
            telltale: hasher.finalize(),
        })
    }

    /// In what way a later look differs, in words; `None` when it does not.
    pub(crate) fn difference(&self, later: &Self) -> Option<&'static str> {
        if self.len != later.len {
            Some("its length changed")
        } else if self.telltale != later.telltale {
            Some("its header or footer changed")
        } else if self.modified != later.modified {
            Some("its modification time changed")
        } else if self.changed != later.changed {
            Some("its change time changed")
        } else {
            None
        }
    }
}

#[cfg(unix)]
fn change_time(meta: &std::fs::Metadata) -> Option<(i64, i64)> {
    use std::os::unix::fs::MetadataExt;
    Some((meta.ctime(), meta.ctime_nsec()))
}

#[cfg(not(unix))]
fn change_time(_: &std::fs::Metadata) -> Option<(i64, i64)> {
    None
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use disk::WriteAt;

    use super::*;

    #[test]
    fn every_kind_of_change_shows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        std::fs::write(&path, vec![0; 256 << 10]).unwrap();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        let before = Fingerprint::of(&file).unwrap();
        assert_eq!(before.difference(&Fingerprint::of(&file).unwrap()), None);

        for offset in [64 << 10, (128 << 10) + 8, (256 << 10) - 1] {
            file.write_all_at(&[1], offset).unwrap();
            let after = Fingerprint::of(&file).unwrap();
            assert_eq!(
                before.difference(&after),
                Some("its header or footer changed")
            );
            file.write_all_at(&[0], offset).unwrap();
        }
        // Put back byte for byte, but not in time.
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let after = Fingerprint::of(&file).unwrap();
        assert_eq!(
            before.difference(&after),
            Some("its modification time changed")
        );
        disk::WriteAt::set_len(&file, 10).unwrap();
        let after = Fingerprint::of(&file).unwrap();
        assert_eq!(before.difference(&after), Some("its length changed"));
    }
}
