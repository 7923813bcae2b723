//! A file whose large reads and writes go past the system's page cache.
//!
//! Gigabytes that pass once gain nothing from the cache: taking them through it costs more than
//! everything else that a restore does, and a quarter of a first backup's seconds where packs are
//! written that way; and it pushes out what the host's other programs need. So
//! large reads, and the middle of large writes, go to the medium directly, in whole pages; the
//! rest goes the usual way. Which way is taken makes no difference to what a reader sees: the
//! system keeps both coherent.
//!
//! Where the system or the file system has no such thing, everything goes the usual way.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{read_exact_at, write_all_at};

/// What offsets, lengths and memory are multiples of: enough for every sector size.
const PAGE: usize = 4096;
/// Smallest read or write that is worth it.
const LARGE: usize = 64 << 10;
/// Bytes read or written at once.
const STAGE: usize = 1 << 20;

/// A file; see the [module](self).
#[derive(Debug)]
pub struct DirectFile {
    file: Arc<File>,
    direct: Option<File>,
    /// The file system takes direct calls when a file is opened, and not afterwards.
    refused: AtomicBool,
}

thread_local! {
    /// Aligned memory; the caller's seldom is. Of the thread and not of the file: a VM may have
    /// hundreds of layers open, of which one is read at a time.
    static ALIGNED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl DirectFile {
    /// Reads `file`, which must be open for reading.
    pub fn reading(file: Arc<File>) -> Self {
        Self::over(file, false)
    }

    /// Writes and reads `file`, which must be open for both.
    pub fn writing(file: Arc<File>) -> Self {
        Self::over(file, true)
    }

    fn over(file: Arc<File>, write: bool) -> Self {
        Self {
            direct: reopen(&file, write).ok(),
            file,
            refused: AtomicBool::new(false),
        }
    }

    /// Calls `f` with the other handle and aligned memory, if `len` bytes are worth it. `None`
    /// also when the file system refuses: nothing is certain then, do it the usual way.
    fn directly<T>(
        &self,
        len: usize,
        f: impl FnOnce(&File, &mut [u8]) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        let direct = match &self.direct {
            Some(direct) if len >= LARGE && !self.refused.load(Ordering::Relaxed) => direct,
            _ => return Ok(None),
        };
        let done = ALIGNED.with_borrow_mut(|stage| {
            stage.resize(STAGE + PAGE, 0);
            let start = stage.as_ptr().align_offset(PAGE);
            match stage.get_mut(start..start.saturating_add(STAGE)) {
                Some(aligned) => f(direct, aligned),
                None => Err(io::ErrorKind::Unsupported.into()),
            }
        });
        match done {
            Err(e) if is_refusal(&e) => {
                self.refused.store(true, Ordering::Relaxed);
                Ok(None)
            }
            done => done.map(Some),
        }
    }
}

/// Whether the file system says that it does not do this, and not that something failed.
fn is_refusal(e: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, Unsupported};
    matches!(e.kind(), InvalidInput | Unsupported)
}

/// Opens the file that `file` is, whatever its name is by now, for direct reading or writing.
///
/// A share is not written that way: each piece would wait for the server's medium, and a lock
/// taken with the one handle may keep the other from writing.
#[cfg(target_os = "linux")]
fn reopen(file: &File, write: bool) -> io::Result<File> {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;
    if write && is_share(rustix::fs::fstatfs(file)?.f_type) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    std::fs::OpenOptions::new()
        .read(true)
        .write(write)
        .custom_flags(rustix::fs::OFlags::DIRECT.bits().cast_signed())
        .open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Whether the type of a file system, as `statfs(2)` lists them, is one of a server's files. One in
/// user space may be that, and counts as such.
#[cfg(target_os = "linux")]
fn is_share(kind: rustix::fs::FsWord) -> bool {
    const SMB: u32 = 0x517B;
    const CIFS: u32 = 0xFF53_4D42;
    const SMB2: u32 = 0xFE53_4D42;
    const NFS: u32 = 0x6969;
    const CEPH: u32 = 0x00C3_6400;
    const V9FS: u32 = 0x0102_1997;
    const AFS: u32 = 0x5346_414F;
    const FUSE: u32 = 0x6573_5546;
    // A magic is 32 bits, whatever the word's size and sign.
    let kind = (kind & 0xFFFF_FFFF) as u32;
    [SMB, CIFS, SMB2, NFS, CEPH, V9FS, AFS, FUSE].contains(&kind)
}

#[cfg(not(target_os = "linux"))]
fn reopen(_: &File, _: bool) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

impl DirectFile {
    /// Number of bytes in the file.
    pub fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Whether the file has no bytes.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `buf` with the bytes from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before; what the system says.
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let done = self.directly(buf.len(), |direct, stage| {
            let mut done = 0;
            while done < buf.len() {
                let at = offset.saturating_add(done as u64);
                let lead = (at % PAGE as u64) as usize;
                let len = (lead + buf.len() - done).next_multiple_of(PAGE).min(STAGE);
                // Less than was asked for is the end of the file, or something is in the way.
                let page = at - lead as u64;
                let got = uninterrupted(|| read_at(direct, &mut stage[..len], page))?;
                let found = stage[..got].get(lead..).unwrap_or_default();
                let take = found.len().min(buf.len() - done);
                if take == 0 {
                    break;
                }
                buf[done..done + take].copy_from_slice(&found[..take]);
                done += take;
                if got < len {
                    break;
                }
            }
            Ok(done)
        })?;
        // What could not be read directly, and whether the file ends there, the usual way tells.
        let done = done.unwrap_or(0);
        read_exact_at(&self.file, &mut buf[done..], offset + done as u64)
    }

    /// Writes `buf` from `offset` on; the file grows as needed.
    ///
    /// # Errors
    /// What the system says; part of it may have been written then.
    pub fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        // Less than a page.
        let lead = (offset.wrapping_neg() % PAGE as u64) as usize;
        let (head, rest) = buf.split_at(lead.min(buf.len()));
        let (pages, tail) = rest.split_at(rest.len() / PAGE * PAGE);
        let start = offset + head.len() as u64;
        let written = self.directly(pages.len(), |direct, stage| {
            let mut at = start;
            for part in pages.chunks(STAGE) {
                let room = &mut stage[..part.len()];
                room.copy_from_slice(part);
                write_all_at(direct, room, at)?;
                at += part.len() as u64;
            }
            Ok(at)
        });
        // Whatever is wrong, it may be so for direct writes alone, as under the lock of a share's
        // other handle. Written again the usual way, the same bytes come to the same places, or
        // the true error comes out.
        let done = written.unwrap_or_else(|_| {
            self.refused.store(true, Ordering::Relaxed);
            None
        });
        match done {
            Some(end) => {
                write_all_at(&self.file, head, offset)?;
                write_all_at(&self.file, tail, end)
            }
            None => write_all_at(&self.file, buf, offset),
        }
    }

    /// Cuts the file short, or lets it grow by zeros.
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    /// All that was written, either way, is on the medium when this returns.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

/// Does it again when a signal came in between.
fn uninterrupted<T>(mut f: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match f() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[cfg(unix)]
fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, offset)
}

/// Where nothing is opened for direct reading.
#[cfg(not(unix))]
fn read_at(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_system_that_refuses_is_asked_once_and_a_failure_is_told() {
        use io::ErrorKind::{InvalidInput, Other, Unsupported};
        for (kind, refusal) in [(InvalidInput, true), (Unsupported, true), (Other, false)] {
            let file = DirectFile {
                direct: Some(tempfile::tempfile().unwrap()),
                ..DirectFile::writing(Arc::new(tempfile::tempfile().unwrap()))
            };
            let failed = file.directly(LARGE, |_, _| io::Result::<()>::Err(kind.into()));
            assert_eq!(failed.is_ok(), refusal, "{kind:?}");
            let again = file.directly(LARGE, |_, _| Ok(())).unwrap();
            assert_eq!(again.is_none(), refusal, "{kind:?}");
        }
    }

    #[test]
    fn what_cannot_be_written_directly_is_written_the_usual_way() {
        use std::io::Read;
        let whole = tempfile::NamedTempFile::new().unwrap();
        // A handle that writes nothing.
        let direct = Some(File::open(whole.path()).unwrap());
        let file = DirectFile {
            direct,
            ..DirectFile::writing(Arc::new(whole.reopen().unwrap()))
        };
        let data = vec![7; 3 * LARGE + 5];
        file.write_all_at(&data, 1).unwrap();
        let mut found = Vec::new();
        whole.reopen().unwrap().read_to_end(&mut found).unwrap();
        assert_eq!(found[1..], data);
        assert!(file.refused.load(Ordering::Relaxed));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn shares_are_known_by_their_type() {
        let (ext4, xfs, btrfs, tmpfs) = (0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994);
        assert!(![ext4, xfs, btrfs, tmpfs].into_iter().any(is_share));
        assert!(
            [0x6969, 0xFE53_4D42, 0x6573_5546]
                .map(is_share)
                .iter()
                .all(|share| *share)
        );
    }

    #[test]
    fn a_read_that_a_signal_interrupts_is_done_again() {
        let mut answers = [Err(io::ErrorKind::Interrupted.into()), Ok(5)].into_iter();
        assert_eq!(uninterrupted(|| answers.next().unwrap()).unwrap(), 5);
        uninterrupted(|| io::Result::<()>::Err(io::ErrorKind::Other.into())).unwrap_err();
    }

    proptest! {
        #![proptest_config(testkit::vary::config(32))]
        /// Small and large, aligned and not, over each other: as in memory.
        #[test]
        fn every_way_of_writing_and_reading_gives_the_same_bytes(
            pieces in prop::collection::vec(
                (0u64..64, prop_oneof![Just(0u64), 0u64..4096], 0usize..700, prop_oneof![Just(0usize), 0usize..4096], any::<u8>()),
                1..12,
            ),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let file = File::options().read(true).write(true).create_new(true).open(dir.path().join("disk")).unwrap();
            let (file, mut model) = (DirectFile::writing(Arc::new(file)), Vec::new());
            let place = |(page, within, pages, tail, _): &(u64, u64, usize, usize, u8)| {
                (page * PAGE as u64 + within, pages * PAGE + tail)
            };
            for piece in &pieces {
                let (offset, len) = place(piece);
                let data: Vec<u8> = (0..len).map(|i| piece.4.wrapping_add((i / 100) as u8)).collect();
                file.write_all_at(&data, offset).unwrap();
                let (start, end) = (offset as usize, offset as usize + len);
                if len > 0 {
                    model.resize(model.len().max(end), 0);
                    model[start..end].copy_from_slice(&data);
                }
            }
            file.sync().unwrap();
            let reader = DirectFile::reading(Arc::new(File::open(dir.path().join("disk")).unwrap()));
            let all = (0, model.len());
            // Behind one's own writes, and beyond the end, which both refuse.
            let places = pieces.iter().map(place).flat_map(|(at, len)| [(at, len), (at + 4000, len)]);
            for (offset, len) in places.chain([all, (1, all.1)]) {
                let mut found = vec![1; len];
                let expected = model.get(offset as usize..offset as usize + len);
                let fine = expected.is_some() || len == 0;
                for file in [&file, &reader] {
                    let read = file.read_exact_at(&mut found, offset);
                    prop_assert_eq!(read.is_ok(), fine);
                    prop_assert!(expected.is_none_or(|expected| found == expected));
                    if let Err(e) = read {
                        prop_assert_eq!(e.kind(), io::ErrorKind::UnexpectedEof);
                    }
                }
            }
        }
    }
}
