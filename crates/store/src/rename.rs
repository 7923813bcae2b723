//! Giving a file its name, which replaces nothing.
//!
//! Every file here is written under another name and gets its own when it is whole. In between
//! somebody may have put another file there, and that one must stay: looking first would leave a
//! gap, so the system is asked to refuse.

use std::io;
use std::path::Path;

/// Renames `from` to `to`, in the same file system, unless something is at `to`.
///
/// Making the name durable is left to the caller where folders can be synced; on Windows the
/// rename is written through.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] when something is at `to`; both files are as they were.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // The file system (NFS, some FUSE) or the kernel does not know the flag.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            done => return done.map_err(Into::into),
        }
    }
    #[cfg(windows)]
    return move_new(from, to);
    #[cfg(not(windows))]
    link_new(from, to)
}

/// For systems without such a rename: a hard link is refused where the name exists. Without hard
/// links (FAT, exFAT) only looking first remains.
#[cfg(not(windows))]
fn link_new(from: &Path, to: &Path) -> io::Result<()> {
    use std::fs;
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Err(e),
        Err(_) if to.symlink_metadata().is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(from, to),
    }
}

/// Windows' own rename replaces only when told to, which the standard library does.
#[cfg(windows)]
fn move_new(from: &Path, to: &Path) -> io::Result<()> {
    use windows_sys::Win32::Storage::FileSystem::{MOVEFILE_WRITE_THROUGH, MoveFileExW};
    let (from, to) = (hostfile::verbatim(from)?, hostfile::verbatim(to)?);
    // SAFETY: both are UTF-16 texts that end with a NUL and outlive the call, which only reads
    // them.
    let done = unsafe { MoveFileExW(from.as_ptr(), to.as_ptr(), MOVEFILE_WRITE_THROUGH) };
    match done {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn nothing_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&a, b"a").unwrap();
        fs::write(&b, b"b").unwrap();
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        for rename in [
            rename_new,
            #[cfg(not(windows))]
            link_new,
        ] {
            for there in [&b, &folder] {
                let refused = rename(&a, there).unwrap_err();
                assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists, "{refused}");
            }
            assert_eq!(fs::read(&b).unwrap(), b"b");
            let new = dir.path().join("new");
            rename(&a, &new).unwrap();
            assert!(!a.exists());
            rename(&new, &a).unwrap();
            assert_eq!(fs::read(&a).unwrap(), b"a");
        }
    }

    #[test]
    fn of_many_at_once_one_wins_and_the_others_keep_their_file() {
        const WRITERS: usize = 4;
        let dir = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let to = dir.path().join(format!("to {round}"));
            let start = Barrier::new(WRITERS);
            let won: Vec<usize> = thread::scope(|scope| {
                let writers: Vec<_> = (0..WRITERS)
                    .map(|writer| {
                        let from = dir.path().join(format!("from {round} {writer}"));
                        fs::write(&from, [writer as u8]).unwrap();
                        let (start, to) = (&start, &to);
                        scope.spawn(move || {
                            start.wait();
                            let won = rename_new(&from, to).is_ok();
                            assert_eq!(from.exists(), !won);
                            won.then_some(writer)
                        })
                    })
                    .collect();
                let done = writers.into_iter().map(|writer| writer.join().unwrap());
                done.flatten().collect()
            });
            assert_eq!(won.len(), 1);
            assert_eq!(fs::read(&to).unwrap(), [won[0] as u8]);
        }
    }

    #[test]
    fn a_long_path_is_no_obstacle() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = dir.path().to_path_buf();
        for _ in 0..3 {
            folder.push("n".repeat(200));
        }
        fs::create_dir_all(&folder).unwrap();
        let (from, to) = (folder.join("a"), folder.join("數 💾"));
        fs::write(&from, b"a").unwrap();
        rename_new(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"a");
        fs::write(&from, b"b").unwrap();
        let refused = rename_new(&from, &to).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
    }
}
