//! A disk file that is to be changed in place: whether it may be, and how it is read and written.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use disk::layer::VhdKind;
use disk::raw::{RawDisk, RawEditor};
use disk::resolve::{Finder, Folders, resolve};
use disk::vhdx::{EditIds, VhdxEditor};
use disk::{BlockRead, Chain, DiskWrite, Format, Layer, LayerInfo, OpenAs, ReadAt, WriteAt};
use uuid::Uuid;
use vault_format::Entropy;
use vault_format::entropy::random;

use super::RollbackError;
use super::undo::{FileId, Stamp};
use crate::point::Details;

/// A disk file of which nobody else is told to be using it.
pub(super) struct Image {
    path: PathBuf,
    pub(super) file: Arc<File>,
}

impl Image {
    /// Opens a file for writing, and keeps others from doing so as far as the system does.
    pub(super) fn open(path: &Path) -> Result<Self, RollbackError> {
        let found = path.symlink_metadata().map_err(RollbackError::Image)?;
        if !found.is_file() {
            return Err(RollbackError::Refused(
                "it is no regular file".to_owned(),
                "name the disk file itself",
            ));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        #[cfg(windows)]
        std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, 0);
        let file = options.open(path).map_err(|error| match is_use(&error) {
            true => RollbackError::InUse,
            false => RollbackError::Image(error),
        })?;
        lock(&file)?;
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(file),
        })
    }

    /// Says that it was changed now, so that a change by anybody later is one: systems may put off telling
    /// of writes.
    pub(super) fn settle(&self) -> io::Result<Stamp> {
        self.file.set_modified(SystemTime::now())?;
        self.file.sync_all()?;
        self.stamp()
    }

    pub(super) fn stamp(&self) -> io::Result<Stamp> {
        let found = self.file.metadata()?;
        let since = found.modified()?.duration_since(SystemTime::UNIX_EPOCH);
        let since = since.map_err(io::Error::other)?.as_nanos();
        Ok(Stamp {
            len: found.len(),
            modified: u64::try_from(since).map_err(io::Error::other)?,
        })
    }

    pub(super) fn id(&self) -> Result<FileId, RollbackError> {
        FileId::of(&self.file).map_err(RollbackError::Image)
    }

    /// The disk as its guest sees it, as it is at this moment.
    pub(super) fn disk(&self) -> Result<Chain, RollbackError> {
        let mut layers: Vec<Arc<dyn Layer>> = Vec::new();
        if OpenAs::by_name(&self.path) == OpenAs::Raw {
            let raw = RawDisk::open(Arc::clone(&self.file))?;
            layers.push(Arc::new(raw.with_probe(Arc::clone(&self.file))));
        } else {
            let found = resolve(&Here(self, Folders::new()), &self.path)?;
            layers.extend(found.into_iter().map(|found| found.layer));
        }
        Ok(Chain::new(layers)?)
    }

    /// A writer of the disk over `file`, which is this one.
    pub(super) fn writer<F: WriteAt + 'static>(
        &self,
        info: &LayerInfo,
        file: F,
        rng: &mut dyn Entropy,
    ) -> Result<Box<dyn DiskWrite>, RollbackError> {
        writable(info)?;
        Ok(match &info.format {
            Format::Vhdx(_) => {
                let mut id = || uuid::Builder::from_random_bytes(random(rng)).into_uuid();
                let ids = EditIds {
                    file_write_guid: id(),
                    data_write_guid: id(),
                    log_guid: id(),
                };
                Box::new(VhdxEditor::open(file, ids)?)
            }
            Format::Raw | Format::Vhd(_) => Box::new(RawEditor::open(file, info.geometry)?),
        })
    }

    /// Whether the disk may become that of the point, before anything of it is changed.
    pub(super) fn judge(
        &self,
        disk: &Chain,
        details: &Details,
        top: usize,
    ) -> Result<(), RollbackError> {
        let refused = |why: String, hint| Err(RollbackError::Refused(why, hint));
        let Some(recorded) = details.layers.get(top) else {
            return refused("the point has no such disk".to_owned(), ANEW);
        };
        let (here, there) = (disk.geometry(), recorded.info.geometry);
        if (here.len, here.logical_sector) != (there.len, there.logical_sector) {
            return refused(
                format!(
                    "it has {} bytes in sectors of {}, and had {} in sectors of {} at the restore point",
                    here.len, here.logical_sector, there.len, there.logical_sector
                ),
                ANEW,
            );
        }
        let info = self.info(disk)?;
        writable(&info)?;
        let known: Vec<Uuid> = details
            .chain(top)
            .into_iter()
            .filter_map(|layer| details.layers.get(layer)?.info.identity())
            .collect();
        let strange = disk.layers().iter().skip(1).find(|below| {
            let identity = below.info().identity();
            identity.is_none_or(|identity| !known.contains(&identity))
        });
        if strange.is_some() || disk.layers().len() > known.len().max(1) {
            return refused(
                "it stands on another file than at the restore point: a checkpoint was made since"
                    .to_owned(),
                CHECKPOINTS,
            );
        }
        match self.child(&info)? {
            Some(child) => refused(
                format!(
                    "{} stands on it: a checkpoint was made since, and would be lost",
                    child.display()
                ),
                CHECKPOINTS,
            ),
            None => Ok(()),
        }
    }

    /// What the file itself says.
    pub(super) fn info(&self, disk: &Chain) -> Result<LayerInfo, RollbackError> {
        let top = disk.layer(0);
        let top = top.ok_or_else(|| disk::Error::BrokenChain("no layers".to_owned()))?;
        Ok(top.info().clone())
    }

    /// A disk file in the same folder that stands on this one. One of which that cannot be told is refused.
    /// On Windows one that is in use is none: whoever uses a child has all that it stands on open, and this
    /// file is open nowhere else.
    fn child(&self, info: &LayerInfo) -> Result<Option<PathBuf>, RollbackError> {
        let identity = info.identity();
        let Some(folder) = self.path.parent().filter(|_| identity.is_some()) else {
            return Ok(None);
        };
        let folder = match folder.as_os_str().is_empty() {
            true => Path::new("."),
            false => folder,
        };
        for entry in fs::read_dir(folder).map_err(RollbackError::Image)? {
            let path = entry.map_err(RollbackError::Image)?.path();
            let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
            let is_image = ["vhdx", "avhdx", "vhd", "avhd"]
                .iter()
                .any(|e| ending == *e);
            if !is_image || path.file_name() == self.path.file_name() {
                continue;
            }
            let unknown = |why: String| {
                let path = path.display();
                let why = format!("whether {path} stands on it cannot be told: {why}");
                RollbackError::Refused(why, BESIDE)
            };
            let file = match Folders::new().open(&path) {
                Ok(Some(file)) => file,
                Ok(None) => continue,
                Err(error) if is_use(&error) => continue,
                Err(error) => return Err(unknown(error.to_string())),
            };
            let layer = disk::open(file, OpenAs::ByContent);
            let layer = layer.map_err(|error| unknown(error.to_string()))?;
            let link = layer.info().parent.as_ref();
            if link.is_some_and(|link| link.accepts(identity)) {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }
}

const ANEW: &str = "restore the disk as a new file, with --overwrite or into another folder";
const BESIDE: &str = "make that file readable, or move it to another folder if no disk of this VM needs it; \
                      restore the disk into another folder otherwise";
const CHECKPOINTS: &str = "apply or delete the checkpoints that were made since on their host, or \
                           restore the disk into another folder";

/// Whether files like this one can be changed in place safely.
fn writable(info: &LayerInfo) -> Result<(), RollbackError> {
    match &info.format {
        Format::Vhd(vhd) if vhd.kind != VhdKind::Fixed => Err(RollbackError::Refused(
            "it is a VHD that grows, which has no log: a crash while it is changed could destroy it"
                .to_owned(),
            ANEW,
        )),
        _ => Ok(()),
    }
}

/// Finds parents; the file itself is open already, and on Windows nobody else may open it.
struct Here<'a>(&'a Image, Folders);

impl Finder for Here<'_> {
    fn open(&self, path: &Path) -> io::Result<Option<Arc<dyn ReadAt>>> {
        match path == self.0.path {
            true => Ok(Some(Arc::clone(&self.0.file) as Arc<dyn ReadAt>)),
            false => self.1.open(path),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.1.list(folder)
    }

    fn locate(&self, windows_path: &str) -> Option<(PathBuf, String)> {
        self.1.locate(windows_path)
    }

    fn search_path(&self) -> Vec<PathBuf> {
        self.1.search_path()
    }
}

fn is_use(error: &io::Error) -> bool {
    use io::ErrorKind::{ExecutableFileBusy, ResourceBusy};
    // ERROR_SHARING_VIOLATION and ERROR_LOCK_VIOLATION.
    let sharing = cfg!(windows) && matches!(error.raw_os_error(), Some(32 | 33));
    sharing || matches!(error.kind(), ResourceBusy | ExecutableFileBusy)
}

/// Locks a file. Where there are no locks it cannot be known who uses it.
fn lock(file: &File) -> Result<(), RollbackError> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Err(RollbackError::InUse),
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    #[cfg(unix)]
    {
        use rustix::fs::{FlockOperation, fcntl_lock};
        use rustix::io::Errno;
        // QEMU and what is built on it lock bytes of a file, and not the file.
        if let Err(Errno::AGAIN | Errno::ACCESS) =
            fcntl_lock(file, FlockOperation::NonBlockingLockExclusive)
        {
            return Err(RollbackError::InUse);
        }
    }
    Ok(())
}
