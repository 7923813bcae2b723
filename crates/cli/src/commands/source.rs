//! Where VMs come from, as the command line names it.

use std::path::{Path, PathBuf};

use engine::select::{Rule, Selection};
use engine::source::SourceError;
use engine::source::folder::FolderSource;

use crate::failure::{Failure, Result};

/// Opens `folder:PATH`, with further folders in which parents may lie.
///
/// # Errors
/// For every other kind of source.
pub(crate) fn open(source: &str, parents: &[PathBuf]) -> Result<FolderSource> {
    if let Some(path) = source.strip_prefix("folder:") {
        if path.is_empty() {
            return Err(Failure::usage("folder: names no folder").hint("write folder:PATH"));
        }
        let folder = FolderSource::open(Path::new(path));
        let with = |source: FolderSource, more: &PathBuf| source.with_parents(more);
        return folder
            .and_then(|folder| parents.iter().try_fold(folder, with))
            .map_err(failure);
    }
    if source == "local" || source.starts_with("vss:") {
        return Err(Failure::usage(format!(
            "{source}: backing up on the Hyper-V host itself is not available in this version"
        ))
        .hint("name the host: winrm://USER@HOST"));
    }
    let source = crate::host::without_password(source);
    Err(Failure::usage(format!("“{source}” is no source"))
        .hint("write folder:DIR, folder:DISK or winrm://USER@HOST"))
}

/// An error of a source.
pub(crate) fn failure(error: SourceError) -> Failure {
    let hint = error.hint.clone();
    let cancelled = error.cancelled;
    let mut failure = Failure::from(anyhow::Error::new(error));
    if cancelled {
        failure = failure.outcome(engine::Outcome::Cancelled);
    }
    failure.hint(hint)
}

/// Rules as they were typed.
pub(crate) fn selection(rules: impl IntoIterator<Item = (Rule, String)>) -> Result<Selection> {
    Selection::new(rules).map_err(|error| {
        Failure::usage(error).hint("patterns are globs: `*`, `?`, `[abc]`, `{a,b}`")
    })
}
