//! Keeping the vault's folder apart from what is backed up, restored and printed.
//!
//! A restore into the vault would mix disks with objects, a backup of it would store the vault in
//! itself, and a recovery sheet beside what it opens is a key under the mat.

use std::path::{Component, Path, PathBuf};

use crate::args::Global;
use crate::failure::{Failure, Result};
use crate::open;

/// Refuses to write into the vault's folder.
pub(crate) fn target(location: &str, to: &Path) -> Result<()> {
    let Some(vault) = folder(location) else {
        return Ok(());
    };
    if real(to).starts_with(vault) {
        return Err(
            Failure::usage(format!("{}: lies in the vault {location}", to.display()))
                .hint("name a place outside the vault's folder"),
        );
    }
    Ok(())
}

/// Refuses to back up the vault's folder, a part of it, or a folder that it lies in.
pub(crate) fn source(global: &Global, source: &str) -> Result<()> {
    let location = open::location(global)?;
    let (Some(vault), Some(path)) = (folder(location), source.strip_prefix("folder:")) else {
        return Ok(());
    };
    let path = real(Path::new(path));
    if vault.starts_with(&path) {
        return Err(
            Failure::usage(format!("{source}: the vault {location} lies in it"))
                .hint("give the folder of the VMs alone, or move the vault out of it"),
        );
    }
    if path.starts_with(&vault) {
        return Err(
            Failure::usage(format!("{source}: lies in the vault {location}"))
                .hint("give the folder of the VMs; a vault is copied as plain files"),
        );
    }
    Ok(())
}

fn folder(location: &str) -> Option<PathBuf> {
    Some(real(&open::folder(location).ok()?))
}

/// The path in the one spelling that the system has for it, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            // All before it is without links, so this is what the system would do.
            Component::ParentDir => {
                out.pop();
            }
            component => {
                out.push(component);
                if let Ok(real) = std::fs::canonicalize(&out) {
                    out = real;
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_known_by_any_spelling() {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(dir.path()).unwrap();
        std::fs::create_dir_all(root.join("vault/packs")).unwrap();
        let location = root.join("vault").display().to_string();
        let refused = |to: &str| target(&location, &root.join(to)).is_err();
        assert!(refused("vault") && refused("vault/new/deeper") && refused("vault/../vault/x"));
        assert!(refused("nowhere/../vault/x"));
        assert!(!refused("vault 2") && !refused("vault/../beside") && !refused(""));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(root.join("vault"), root.join("link")).unwrap();
            assert!(refused("link/x"));
            assert!(!refused("link/../x"), "that is beside the vault");
        }
    }
}
