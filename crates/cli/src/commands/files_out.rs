//! Where files of a guest go: a folder, or an archive in a file or on standard output.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use engine::Cancel;
use engine::guest::restore::{FilesReport, FolderTarget, TarTarget, Target, ZipTarget};
use engine::restore::target::{NewFile, TargetError};

use crate::args::{Global, OutArgs};
use crate::failure::{Failure, Result};
use crate::{apart, open};

/// A place for files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Out {
    /// Below a folder.
    Folder(PathBuf),
    /// In an archive.
    Archive(Kind, Where),
}

/// A kind of archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tar,
    Zip,
}

/// Where an archive goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    File(PathBuf),
    Output,
}

/// What brings files into a target.
pub(crate) type Fill<'a> = &'a mut dyn FnMut(&mut dyn Target) -> FilesReport;

impl Out {
    /// As the command line says, if it does.
    pub(crate) fn of(args: &OutArgs) -> Result<Option<Self>> {
        let archive = |kind, file: &PathBuf| Self::archive(kind, file.clone());
        let folder = args.to.clone().map(Self::Folder);
        let tar = args.tar.as_ref().map(|file| archive(Kind::Tar, file));
        let zip = args.zip.as_ref().map(|file| archive(Kind::Zip, file));
        let out = folder.or(tar).or(zip);
        let named = |out: &Self| out.path().is_none_or(|path| !path.as_os_str().is_empty());
        match out.as_ref().is_none_or(named) {
            true => Ok(out),
            false => Err(Failure::usage("the target has no name").hint("name a folder or file")),
        }
    }

    /// An archive; `-` is standard output.
    pub(crate) fn archive(kind: Kind, file: PathBuf) -> Self {
        match file == Path::new("-") {
            true => Self::Archive(kind, Where::Output),
            false => Self::Archive(kind, Where::File(file)),
        }
    }

    fn path(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) | Self::Archive(_, Where::File(path)) => Some(path),
            Self::Archive(_, Where::Output) => None,
        }
    }

    /// Whether it is standard output, on which nothing else may be then.
    pub(crate) fn is_output(&self) -> bool {
        self.path().is_none()
    }

    /// As somebody would type it: `to DIR`, `tar FILE`, `zip FILE`.
    pub(crate) fn typed(&self) -> String {
        let word = match self {
            Self::Folder(_) => "to",
            Self::Archive(Kind::Tar, _) => "tar",
            Self::Archive(Kind::Zip, _) => "zip",
        };
        let path = self.path().map(|path| path.display().to_string());
        let path = path.unwrap_or_else(|| "-".to_owned());
        format!("{word} '{}'", path.replace('\'', "'\\''"))
    }

    /// Refuses what lies in the vault.
    pub(crate) fn apart(&self, global: &Global) -> Result<()> {
        match self.path() {
            Some(path) => apart::target(open::location(global)?, path),
            None => Ok(()),
        }
    }

    /// Makes it, has it filled, and brings it to its end.
    pub(crate) fn fill(&self, cancel: &Cancel, fill: Fill<'_>) -> Result<FilesReport> {
        let done = match self {
            Self::Folder(to) => FolderTarget::new(to, cancel).map(|mut target| fill(&mut target)),
            Self::Archive(kind, Where::File(path)) => into_file(*kind, path, cancel, fill),
            Self::Archive(kind, Where::Output) => {
                let name = Path::new("standard output");
                let out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
                archive((*kind, name), out, cancel, fill).map(|(report, _)| report)
            }
        };
        done.map_err(|error| {
            let hint = error.hint();
            Failure::from(anyhow::Error::new(error)).hint(hint)
        })
    }
}

/// An archive that appears whole or not at all.
fn into_file(
    kind: Kind,
    path: &Path,
    cancel: &Cancel,
    fill: Fill<'_>,
) -> std::result::Result<FilesReport, TargetError> {
    let new = NewFile::create(path)?;
    let out = BufWriter::with_capacity(1 << 20, Sequential::new(&new));
    let (mut report, whole) = archive((kind, path), out, cancel, fill)?;
    match whole && !cancel.is_cancelled() {
        true => new.place()?,
        false => report.came_to_nothing(),
    }
    Ok(report)
}

/// An archive, and whether it is whole.
fn archive<W: Write>(
    (kind, name): (Kind, &Path),
    out: W,
    cancel: &Cancel,
    fill: Fill<'_>,
) -> std::result::Result<(FilesReport, bool), TargetError> {
    let (report, out) = match kind {
        Kind::Tar => {
            let mut target = TarTarget::new(out, name.to_owned(), cancel);
            (fill(&mut target), target.into_inner()?)
        }
        Kind::Zip => {
            let mut target = ZipTarget::new(out, name.to_owned(), cancel);
            (fill(&mut target), target.into_inner())
        }
    };
    let Some(mut out) = out else {
        return Ok((report, false));
    };
    let flushed = out.flush();
    flushed.map_err(|error| TargetError::io(name, "writing the archive", error))?;
    Ok((report, true))
}

/// A new file from its start to its end.
struct Sequential<'a> {
    new: &'a NewFile,
    at: u64,
}

impl<'a> Sequential<'a> {
    fn new(new: &'a NewFile) -> Self {
        Self { new, at: 0 }
    }
}

impl Write for Sequential<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.new.file().write_all_at(buf, self.at)?;
        self.at += buf.len() as u64;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
