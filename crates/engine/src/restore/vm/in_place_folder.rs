//! Folders of a host that are reached here, and files in them.
//!
//! A rule says which folder here is which of the host's, and a rule may be wrong: nothing is written to a
//! disk before its folder is proven to be the host's own.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use hyperv::files::{HostPath, MappedFiles};
use vault_format::{Entropy, random};

use super::VmError;
use crate::restore::rollback::{UNDO_SUFFIX, undo_path};
use crate::restore::target::{TEMP_PREFIX, TEMP_SUFFIX};
use crate::source::SourceError;
use crate::source::hyperv::HostSource;

const ELSEWHERE: &str = "map the folder that the host has: --map 'D:\\VMs=/mnt/vms'";
const UNSEEN: &str = "files on a share, and without the right to look at them, cannot be proven to be the host's: \
                      turn the VM off, and use `restore disks --in-place` with its folder";

/// A file of a host, and where it is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HereFile {
    /// As the host spells it.
    pub path: HostPath,
    /// Where it is here, or was.
    pub file: PathBuf,
}

/// Where files of a host are here. One that neither the host nor this machine has any more, with nothing
/// kept of it, is left out.
///
/// # Errors
/// When one of them should be here and is not, or the host does not tell.
pub fn here(
    source: &HostSource,
    files: &MappedFiles,
    paths: &[String],
) -> Result<Vec<HereFile>, SourceError> {
    let wrong = |path: &str, what: String| SourceError::new(path.to_owned(), what, ELSEWHERE);
    let mut found = Vec::new();
    for text in paths {
        let path = HostPath::parse(text).map_err(|error| wrong(text, error.to_string()))?;
        let file = files.place(&path);
        let file = file.map_err(|error| wrong(text, VmError::from(error).to_string()))?;
        let is_there = |file: &Path| file.symlink_metadata().is_ok();
        if is_there(&file) || is_there(&undo_path(&file)) {
            found.push(HereFile { path, file });
        } else if source.has_file(text)? || source.has_file(&format!("{text}{UNDO_SUFFIX}"))? {
            let what = format!(
                "the host has it, or what is kept of it, and {} is not there",
                file.display()
            );
            return Err(wrong(text, what));
        }
    }
    Ok(found)
}

/// Looks whether the folders of these files here are those of the host: what is made in one of them is
/// seen there.
///
/// # Errors
/// When it is not, or the host does not tell.
pub(super) fn are_the_hosts<'a>(
    source: &HostSource,
    files: impl Iterator<Item = (&'a str, &'a Path)>,
    rng: &mut dyn Entropy,
) -> Result<(), SourceError> {
    // Two folders of the host may be said to be one here.
    let folders: BTreeMap<(String, &Path), &str> = files
        .filter_map(|(path, file)| {
            let theirs = HostPath::parse(path).ok()?.parent()?.to_string();
            Some(((theirs, file.parent()?), path))
        })
        .collect();
    let id = uuid::Builder::from_random_bytes(random(rng)).into_uuid();
    let name = format!("{TEMP_PREFIX}{}{TEMP_SUFFIX}", id.simple());
    for ((theirs, folder), path) in folders {
        let here = folder.join(&name);
        let wrong =
            |what: String, hint: &str| SourceError::new(folder.display().to_string(), what, hint);
        let made = OpenOptions::new().write(true).create_new(true).open(&here);
        made.map_err(|error| wrong(format!("nothing can be made there: {error}"), ELSEWHERE))?;
        let there = HostPath::parse(&theirs).and_then(|theirs| theirs.join(&name));
        let seen = there.map_or(Ok(false), |there| source.has_file(&there.to_string()));
        let removed = fs::remove_file(&here);
        if !seen? {
            // One that the host surely has, and its undo file, tell whether it tells of any.
            let tells =
                source.has_file(path)? || source.has_file(&format!("{path}{UNDO_SUFFIX}"))?;
            return Err(match tells {
                true => wrong(
                    format!(
                        "the host does not see what is made there: it is not its folder {theirs}"
                    ),
                    ELSEWHERE,
                ),
                false => wrong(
                    format!("the host does not tell of files in its folder {theirs}"),
                    UNSEEN,
                ),
            });
        }
        removed.map_err(|error| {
            wrong(
                format!("{name} could not be removed: {error}"),
                "remove it by hand",
            )
        })?;
    }
    Ok(())
}
