//! Volumes that mkntfs makes and ntfs-3g writes.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};

use testkit::vhd::oracle;

use crate::support::{Tree, image, kernel};
use hyperkeep_guestfs::ntfs::Ntfs;

/// An image with a new volume.
pub(crate) struct Volume {
    folder: tempfile::TempDir,
}

impl Volume {
    /// Makes a volume of some MiB; `None` skips the test by name.
    pub(crate) fn made(test: &str, mib: u64, words: &[&str]) -> Option<Self> {
        let volume = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let path = volume.path();
        File::create(&path).unwrap().set_len(mib << 20).unwrap();
        let output = Command::new("mkntfs")
            .args(["-F", "-Q"])
            .args(words)
            .arg(&path)
            .output();
        match output {
            Err(error) => {
                oracle::skip(test, &format!("mkntfs: {error}"));
                None
            }
            Ok(output) => {
                let told = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{words:?}: {told}");
                Some(volume)
            }
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("ntfs.img")
    }

    /// Mounts it by ntfs-3g, for writing.
    pub(crate) fn mount(&self, test: &str, options: &str) -> Option<Mounted> {
        Mounted::new(test, &self.path(), options)
    }

    /// Opens it by our reader.
    pub(crate) fn open(&self) -> Ntfs {
        Ntfs::open(image(&self.path())).unwrap()
    }
}

/// A volume that is mounted until this goes; then all is written.
pub(crate) struct Mounted {
    folder: tempfile::TempDir,
    /// Ends when the driver does.
    driver: ChildStdout,
}

impl Mounted {
    pub(crate) fn new(test: &str, image: &Path, options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        // The driver goes into the background with its own standard output closed, so it is given another
        // one that tells when it has ended.
        let mut driver = Command::new("sh")
            .args([
                "-c",
                "exec ntfs-3g \"$@\" 3>&1 >/dev/null 2>&1",
                "sh",
                "-o",
                options,
            ])
            .args([image, folder.path()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let status = driver.wait().unwrap();
        match status.code() {
            Some(0) => Some(Self {
                folder,
                driver: driver.stdout.take().unwrap(),
            }),
            Some(127) => {
                oracle::skip(test, "no ntfs-3g");
                None
            }
            _ => {
                oracle::forbidden(test, &format!("ntfs-3g: {status}"));
                None
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What ntfs-3g sees of it.
    pub(crate) fn tree(&self) -> Tree {
        compared(kernel::tree(self.path()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.folder.path()).status();
        if unmounted.is_ok_and(|status| status.success()) {
            let _ = self.driver.read_to_end(&mut Vec::new());
        }
    }
}

/// A tree without what one side alone has: ntfs-3g makes up owners and modes, and gives what we call extras
/// by names of its own.
pub(crate) fn compared(mut tree: Tree) -> Tree {
    for seen in tree.values_mut() {
        seen.owner = None;
        if let Some(xattrs) = &mut seen.xattrs {
            xattrs.retain(|name, _| name.starts_with("user."));
        }
    }
    tree
}
