//! Other paths for the same configuration.
//!
//! A restore puts disks elsewhere and must tell the configuration so. Only the paths of drives
//! and the data roots change; every other value, known or not, stays exactly as it was.

use crate::io::ReadAt;
use crate::tree::{Entry, Tree, Value};
use crate::{hvs, xml};

/// What to change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// Disk, ISO and floppy paths: old path (whatever its case) to new path.
    pub media: Vec<(String, String)>,
    /// New configuration folder.
    pub data_root: Option<String>,
    /// New checkpoint folder.
    pub checkpoint_root: Option<String>,
}

/// What was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// Number of drives whose path changed.
    pub drives: usize,
    /// Old paths of [`Rewrite::media`] that no drive has.
    pub unused: Vec<String>,
}

/// Why a configuration file cannot be rewritten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The container cannot be read, or a tree with the new paths not be written.
    #[error(transparent)]
    Hvs(#[from] hvs::Error),
    /// The XML cannot be read.
    #[error(transparent)]
    Xml(#[from] xml::Error),
    /// The XML with the new paths cannot be written.
    #[error(transparent)]
    Unwritable(#[from] xml::Unwritable),
    /// The file is damaged: writing what can be read of it would make the damage look whole.
    #[error("the configuration is damaged and not rewritten: {0}")]
    Damaged(String),
}

/// Changes the paths of a configuration file and writes it afresh, in its own format.
///
/// A file that was not closed cleanly comes out with its outstanding changes made.
///
/// # Errors
/// [`Error::Damaged`] if reading gave warnings; the file can still be restored byte for byte.
pub fn rewrite_file(file: &[u8], rewrite: &Rewrite) -> Result<(Vec<u8>, Rewritten), Error> {
    let damaged = |warning: &dyn ToString| Error::Damaged(warning.to_string());
    if !hvs::is_hvs(file) {
        let (mut tree, warnings) = xml::read_tree(file)?;
        if let Some(warning) = warnings.first() {
            return Err(damaged(warning));
        }
        let done = rewrite_paths(&mut tree, rewrite);
        return Ok((xml::write_tree(&tree)?, done));
    }
    let source: &dyn ReadAt = &file;
    let open = hvs::HvsFile::open(source, hvs::Limits::CONFIGURATION)?;
    if let Some(warning) = open
        .warnings()
        .iter()
        .find(|warning| !warning.is_harmless())
    {
        return Err(damaged(warning));
    }
    let data_version = open.data_version();
    let (mut tree, _) = open.into_parts();
    let done = rewrite_paths(&mut tree, rewrite);
    Ok((hvs::write_tree(&tree, data_version)?, done))
}

/// Changes the paths of a configuration.
///
/// Data roots are changed only where the configuration has them.
pub fn rewrite_paths(tree: &mut Tree, rewrite: &Rewrite) -> Rewritten {
    let mut used = vec![false; rewrite.media.len()];
    let mut drives = 0;
    let root = tree
        .get_mut(&["configuration"])
        .and_then(Entry::children_mut);
    // `controllerN/driveD/pathname` below whatever node: controllers of unknown type count too.
    for device in root
        .into_iter()
        .flatten()
        .filter(|entry| entry.name.starts_with('_'))
    {
        for controller in below(device, "controller") {
            for drive in below(controller, "drive") {
                let children = drive.children_mut().into_iter().flatten();
                for entry in children.filter(|entry| entry.is_named("pathname")) {
                    let Value::String(path) = &mut entry.value else {
                        continue;
                    };
                    let rule = rewrite
                        .media
                        .iter()
                        .position(|(old, _)| same_path(old, path));
                    if let Some(rule) = rule {
                        used[rule] = true;
                        drives += 1;
                        path.clone_from(&rewrite.media[rule].1);
                    }
                }
            }
        }
    }
    let mut root = |path: &[&str], new: &Option<String>| {
        if let (Some(new), Some(entry)) = (new, tree.get_mut(path))
            && let Value::String(text) = &mut entry.value
        {
            text.clone_from(new);
        }
    };
    root(
        &["configuration", "global_settings", "data_root"],
        &rewrite.data_root,
    );
    let snapshots = ["configuration", "global_settings", "snapshots", "data_root"];
    root(&snapshots, &rewrite.checkpoint_root);
    let unused = rewrite.media.iter().zip(&used).filter(|(_, used)| !**used);
    Rewritten {
        drives,
        unused: unused.map(|((old, _), _)| old.clone()).collect(),
    }
}

fn below<'a>(entry: &'a mut Entry, prefix: &'a str) -> impl Iterator<Item = &'a mut Entry> {
    let children = entry.children_mut().into_iter().flatten();
    children.filter(move |child| {
        child
            .name
            .get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    })
}

/// Whether two Windows paths are spelled alike but for case and the kind of slash.
fn same_path(a: &str, b: &str) -> bool {
    let fold = |path: &str| path.replace('/', "\\").to_lowercase();
    a == b || fold(a) == fold(b)
}
