//! The host's files: Windows paths, and where they really lie.
//!
//! `D:\VMs\web\disk.vhdx` is `D/VMs/web/disk.vhdx` in the lab's folder, `\\nas\vms\a.vhdx` is
//! `UNC/nas/vms/a.vhdx`; the volumes of a cluster (`C:\ClusterStorage\…`) may lie in a folder that
//! several hosts have. Nothing outside that folder is ever touched: a path with `..`, with an
//! empty part or with a colon elsewhere than behind the drive is refused.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use disk::layer::{ParentPath, PathKind};
use disk::vhdx::{EditIds, MergeIds, VhdxEditor, VhdxLayout, VhdxParams, VhdxWriter};
use disk::{ByteRange, DiskWrite, Format, Geometry, Layer, LayerInfo, OpenAs, ParentLink};
use uuid::Uuid;

use super::vhd::{self, is_vhd};
use crate::clock::Ids;

/// Bytes of a block of the disks that the lab makes: small, so that small disks have several.
const BLOCK: u32 = 1 << 20;

/// What goes wrong with a file of the host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The text is no path of a Windows host that the lab accepts.
    #[error("{0:?} is no full path of a file on a Windows host")]
    Path(String),
    /// There is no such file.
    #[error("{0} is not on the host")]
    Missing(String),
    /// The system refuses.
    #[error("{path}: {error}")]
    Io {
        /// The path on the host.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// The image is damaged, or cannot do what is asked.
    #[error("{path}: {error}")]
    Disk {
        /// The path on the host.
        path: String,
        /// What the reader or writer says.
        error: disk::Error,
    },
    /// A configuration cannot be written.
    #[error("the configuration of {vm}: {error}")]
    Configuration {
        /// The name of the VM or checkpoint.
        vm: String,
        /// What the writer says.
        error: String,
    },
    /// There is no room for what a guest writes.
    #[error("there is no room for {0}")]
    Full(String),
    /// The lab cannot do that with an image of this format.
    #[error("{path} is a {format}, which the lab cannot {what}")]
    Format {
        /// The path on the host.
        path: String,
        /// Its format.
        format: &'static str,
        /// What was asked.
        what: &'static str,
    },
}

/// The host's files, in a folder.
#[derive(Clone, Debug)]
pub struct Files {
    root: PathBuf,
    /// Where the volumes of a cluster lie, if not there too.
    shared: Option<PathBuf>,
}

impl Files {
    /// The files in a folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            shared: None,
        }
    }

    /// The same with the volumes of a cluster (`C:\\ClusterStorage`) in a folder that all nodes
    /// have.
    pub fn with_shared(self, shared: impl Into<PathBuf>) -> Self {
        Self {
            shared: Some(shared.into()),
            ..self
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a file of the host really lies. It need not be there.
    pub fn local(&self, path: &str) -> Result<PathBuf, FileError> {
        let bad = || FileError::Path(path.chars().take(300).collect());
        let parts: Vec<&str> = match path.strip_prefix("\\\\") {
            Some(rest) => std::iter::once("UNC").chain(rest.split('\\')).collect(),
            None => {
                let (drive, rest) = path.split_once(":\\").ok_or_else(bad)?;
                if drive.len() != 1 || !drive.bytes().all(|b| b.is_ascii_alphabetic()) {
                    return Err(bad());
                }
                std::iter::once(drive).chain(rest.split('\\')).collect()
            }
        };
        let proper = |part: &&str| {
            !part.is_empty()
                && !matches!(*part, "." | "..")
                && !part.contains(|c: char| c.is_control() || "/:*?\"<>|".contains(c))
        };
        if parts.len() < 2 || path.len() > 1024 || !parts.iter().all(proper) {
            return Err(bad());
        }
        let cluster = match parts.as_slice() {
            [drive, first, ..] => {
                drive.eq_ignore_ascii_case("C") && first.eq_ignore_ascii_case("ClusterStorage")
            }
            _ => false,
        };
        let mut local = match &self.shared {
            Some(shared) if cluster => shared.clone(),
            _ => self.root.clone(),
        };
        for (at, part) in parts.iter().enumerate() {
            // Drives in one case, so that `d:` and `D:` are the same.
            match at {
                0 => local.push(part.to_ascii_uppercase()),
                1 if cluster => local.push("ClusterStorage"),
                _ => local.push(part),
            }
        }
        Ok(local)
    }

    /// Whether the file is there.
    pub fn exists(&self, path: &str) -> bool {
        self.local(path).is_ok_and(|local| local.is_file())
    }

    /// Makes a dynamic VHDX, or a VHD if it is called one, that reads as zeros.
    pub fn create(&self, path: &str, geometry: Geometry, ids: &mut Ids) -> Result<(), FileError> {
        if is_vhd(path) {
            let made = vhd::create(self.new_file(path)?, geometry.len, ids());
            return made.map_err(disk(path));
        }
        self.make(path, geometry, VhdxLayout::Dynamic, ids(), ids)
    }

    /// Makes an empty child of a VHDX, with the same disk id, or of a VHD.
    pub fn create_child(&self, parent: &str, child: &str, ids: &mut Ids) -> Result<(), FileError> {
        let info = self.info(parent)?;
        let vhdx = match &info.format {
            Format::Vhdx(vhdx) => vhdx,
            Format::Vhd(vhd) => {
                let link = link_to(parent, child, vhd.unique_id);
                let made = vhd::create_child(self.new_file(child)?, (&info, vhd), link, ids());
                return made.map_err(disk(child));
            }
            Format::Raw => {
                return Err(FileError::Format {
                    path: parent.to_owned(),
                    format: info.format.name(),
                    what: "make a differencing disk of",
                });
            }
        };
        let link = link_to(parent, child, vhdx.data_write_guid);
        let layout = VhdxLayout::Differencing(link);
        self.make(child, info.geometry, layout, vhdx.disk_id, ids)
    }

    fn make(
        &self,
        path: &str,
        geometry: Geometry,
        layout: VhdxLayout,
        disk_id: Uuid,
        ids: &mut Ids,
    ) -> Result<(), FileError> {
        let params = VhdxParams {
            geometry,
            block_size: BLOCK,
            layout,
            disk_id,
            data_write_guid: ids(),
            file_write_guid: ids(),
            creator: "Hyperkeep lab".to_owned(),
            metadata: Vec::new(),
        };
        let writer = VhdxWriter::create(self.new_file(path)?, &params).map_err(disk(path))?;
        Box::new(writer).finish().map_err(disk(path))
    }

    fn new_file(&self, path: &str) -> Result<File, FileError> {
        let local = self.local(path)?;
        if let Some(folder) = local.parent() {
            fs::create_dir_all(folder).map_err(io(path))?;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(&local);
        file.map_err(io(path))
    }

    /// What an image says about itself.
    pub fn info(&self, path: &str) -> Result<LayerInfo, FileError> {
        Ok(self.open(path)?.info().clone())
    }

    /// Opens one image for reading, alone.
    pub fn open(&self, path: &str) -> Result<std::sync::Arc<dyn Layer>, FileError> {
        let local = self.present(path)?;
        let file = File::open(&local).map_err(io(path))?;
        disk::open(file, OpenAs::by_name(&local)).map_err(disk(path))
    }

    /// Bytes that the file takes.
    pub fn size(&self, path: &str) -> Result<u64, FileError> {
        let found = fs::metadata(self.local(path)?).map_err(io(path))?;
        Ok(found.len())
    }

    /// Bytes of all files below a folder or on a drive.
    pub fn used(&self, folder: &str) -> Result<u64, FileError> {
        let name = folder.trim_end_matches('\\');
        let local = match name.strip_suffix(':') {
            // A drive has no name of a file behind it.
            Some(_) => self.local(&format!("{name}\\x"))?.with_file_name(""),
            None => self.local(name)?,
        };
        let mut sum = 0_u64;
        let mut folders = vec![local];
        while let Some(next) = folders.pop() {
            let entries = match fs::read_dir(&next) {
                Ok(entries) => entries,
                // Nothing was ever written there.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(io(folder)(error)),
            };
            for entry in entries {
                let entry = entry.map_err(io(folder))?;
                let found = entry.metadata().map_err(io(folder))?;
                match found.is_dir() {
                    true => folders.push(entry.path()),
                    false => sum = sum.saturating_add(found.len()),
                }
            }
        }
        Ok(sum)
    }

    /// Writes to the disk that an image holds, as a guest does. In a differencing image only
    /// whole sectors can be written.
    pub fn write(
        &self,
        path: &str,
        offset: u64,
        data: &[u8],
        ids: &mut Ids,
    ) -> Result<(), FileError> {
        if is_vhd(path) {
            let local = self.present(path)?;
            return vhd::remake(path, &local, |_| (), |new| new.write_at(offset, data));
        }
        let mut editor =
            VhdxEditor::open(self.writable(path)?, edit_ids(ids)).map_err(disk(path))?;
        editor.write_at(offset, data).map_err(disk(path))?;
        editor.close().map_err(disk(path))
    }

    /// Merges a child into its parent and removes it.
    pub fn merge(&self, parent: &str, child: &str, ids: &mut Ids) -> Result<(), FileError> {
        if is_vhd(parent) {
            let (local, above) = (self.present(parent)?, self.open(child)?);
            vhd::remake(parent, &local, |_| (), |new| vhd::copy(&*above, new))?;
            drop(above);
            return self.remove(child);
        }
        let merge = MergeIds {
            child: edit_ids(ids),
            parent: edit_ids(ids),
        };
        let (below, above) = (self.writable(parent)?, self.writable(child)?);
        disk::vhdx::merge(below, above, &merge).map_err(disk(child))?;
        self.remove(child)
    }

    /// Says where the parent of a child is now.
    pub fn set_parent(&self, child: &str, parent: &str, ids: &mut Ids) -> Result<(), FileError> {
        let parent_info = self.info(parent)?;
        let link = link_to(parent, child, parent_info.identity().unwrap_or_default());
        if let Format::Vhd(vhd) = &parent_info.format {
            let link = ParentLink {
                timestamp: Some(vhd.timestamp),
                ..link
            };
            let restate = |info: &mut LayerInfo| info.parent = Some(link);
            return vhd::remake(child, &self.present(child)?, restate, |_| Ok(()));
        }
        let mut editor =
            VhdxEditor::open(self.writable(child)?, edit_ids(ids)).map_err(disk(child))?;
        editor.set_parent(&link).map_err(disk(child))?;
        editor.close().map_err(disk(child))
    }

    /// Writes a file that is no disk, whatever was there.
    pub(super) fn put(&self, path: &str, bytes: &[u8]) -> Result<(), FileError> {
        let local = self.local(path)?;
        if let Some(folder) = local.parent() {
            fs::create_dir_all(folder).map_err(io(path))?;
        }
        fs::write(local, bytes).map_err(io(path))
    }

    /// Reads a file that is no disk.
    pub(super) fn get(&self, path: &str) -> Result<Vec<u8>, FileError> {
        fs::read(self.local(path)?).map_err(io(path))
    }

    /// The names of the files of a folder; none if it is not there.
    pub(super) fn names(&self, folder: &str) -> Result<Vec<String>, FileError> {
        let folder = folder.trim_end_matches('\\');
        let entries = match fs::read_dir(self.local(folder)?) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io(folder)(error)),
        };
        let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
        let names: Result<Vec<_>, _> = names.collect();
        let mut names: Vec<String> = names.map_err(io(folder))?.into_iter().flatten().collect();
        names.sort();
        Ok(names)
    }

    /// Copies a file, to a name that is free.
    pub(super) fn copy(&self, from: &str, to: &str) -> Result<(), FileError> {
        self.copy_out(from, self, to)
    }

    /// Copies a file among others, to a name that is free there.
    pub(super) fn copy_out(&self, from: &str, others: &Self, to: &str) -> Result<(), FileError> {
        let (source, target) = (self.local(from)?, others.local(to)?);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(io(to))?;
        }
        let mut options = OpenOptions::new();
        let copy = options.write(true).create_new(true).open(&target);
        let mut copy = copy.map_err(io(to))?;
        let mut original = File::open(source).map_err(io(from))?;
        std::io::copy(&mut original, &mut copy).map_err(io(to))?;
        Ok(())
    }

    /// Removes a file that is there.
    pub fn remove(&self, path: &str) -> Result<(), FileError> {
        fs::remove_file(self.local(path)?).map_err(io(path))
    }

    /// Where a file lies that is there.
    fn present(&self, path: &str) -> Result<PathBuf, FileError> {
        let local = self.local(path)?;
        match local.is_file() {
            true => Ok(local),
            false => Err(FileError::Missing(path.to_owned())),
        }
    }

    fn writable(&self, path: &str) -> Result<File, FileError> {
        let local = self.present(path)?;
        let file = OpenOptions::new().read(true).write(true).open(local);
        file.map_err(io(path))
    }
}

/// The range that a write touches.
pub(super) fn range(offset: u64, data: &[u8]) -> Option<ByteRange> {
    ByteRange::at(offset, u64::try_from(data.len()).ok()?)
}

fn edit_ids(ids: &mut Ids) -> EditIds {
    EditIds {
        file_write_guid: ids(),
        data_write_guid: ids(),
        log_guid: ids(),
    }
}

/// As Hyper-V names parents: relative when they lie together, and in full.
fn link_to(parent: &str, child: &str, identity: Uuid) -> ParentLink {
    let split = |path: &str| {
        let (folder, name) = path.rsplit_once('\\').unwrap_or(("", path));
        (folder.to_lowercase(), name.to_owned())
    };
    let ((parent_folder, name), (child_folder, _)) = (split(parent), split(child));
    let relative = (parent_folder == child_folder).then(|| ParentPath {
        kind: PathKind::Relative,
        path: format!(".\\{name}"),
    });
    let absolute = ParentPath {
        kind: PathKind::Absolute,
        path: parent.to_owned(),
    };
    ParentLink {
        identities: vec![identity],
        paths: relative.into_iter().chain([absolute]).collect(),
        other: Vec::new(),
        timestamp: None,
    }
}

pub(super) fn io(path: &str) -> impl FnOnce(std::io::Error) -> FileError {
    let path = path.to_owned();
    move |error| FileError::Io { path, error }
}

pub(super) fn disk(path: &str) -> impl FnOnce(disk::Error) -> FileError {
    let path = path.to_owned();
    move |error| FileError::Disk { path, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_within_the_folder() {
        let files = Files::new("/lab");
        let local = |path: &str| files.local(path).ok();
        assert_eq!(
            local("D:\\VMs\\a b.vhdx"),
            Some("/lab/D/VMs/a b.vhdx".into())
        );
        assert_eq!(local("d:\\a"), Some("/lab/D/a".into()));
        assert_eq!(local("\\\\nas\\vms\\a"), Some("/lab/UNC/nas/vms/a".into()));
        for bad in [
            "",
            "a.vhdx",
            "D:",
            "D:\\",
            "D:a",
            "D:\\..\\x",
            "D:\\a\\\\b",
            "DD:\\a",
            "D:\\a/../b",
            "\\\\",
            "\\\\nas",
            "\\\\?\\D:\\a",
            "\\\\..\\..\\etc",
            "D:\\a:stream",
            "D:\\a\0b",
        ] {
            // A server's name alone is no file, but a share's is within the folder all the same.
            assert!(local(bad).is_none() || bad == "\\\\nas", "{bad:?}");
        }
    }
}
