//! The files that git would commit, with their text.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

/// One file.
#[derive(Debug)]
pub(super) struct File {
    /// Path from the root, with `/`.
    pub(super) path: String,
    /// Bytes.
    pub(super) len: u64,
    /// The text, or `None` when it is not UTF-8.
    pub(super) text: Option<String>,
}

/// All files, by path.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) files: Vec<File>,
}

impl Tree {
    /// Lists the work tree: what is tracked, and what is new and not ignored.
    pub(super) fn open() -> anyhow::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask lies in the workspace")?;
        let listing = Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(root)
            .output()
            .context("running git ls-files")?;
        ensure!(
            listing.status.success(),
            "git ls-files failed: {}",
            String::from_utf8_lossy(&listing.stderr)
        );
        let mut files = Vec::new();
        for path in String::from_utf8(listing.stdout)?.split_terminator('\0') {
            let full = root.join(path);
            // Tracked but removed, or a link to nowhere: nothing to read.
            if !full.is_file() {
                continue;
            }
            let bytes = fs::read(&full).with_context(|| format!("reading {path}"))?;
            files.push(File {
                path: path.to_owned(),
                len: bytes.len() as u64,
                text: String::from_utf8(bytes).ok(),
            });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|a, b| a.path == b.path);
        Ok(Self { files })
    }

    /// The file at `path`.
    pub(super) fn get(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether `path` is a file or a folder with files in it.
    pub(super) fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        path.is_empty()
            || self.files.iter().any(|file| {
                file.path
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    }

    /// The files under the folder `dir` (which ends in `/`), each with the rest of its path.
    pub(super) fn under<'a>(&'a self, dir: &'a str) -> impl Iterator<Item = (&'a str, &'a File)> {
        self.files
            .iter()
            .filter_map(move |file| Some((file.path.strip_prefix(dir)?, file)))
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        Self {
            files: files
                .iter()
                .map(|(path, text)| File {
                    path: (*path).to_owned(),
                    len: text.len() as u64,
                    text: Some((*text).to_owned()),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_tree_holds_this_file_and_no_build_output() {
        let tree = Tree::open().expect("a work tree");
        assert!(tree.get("xtask/src/lint/tree.rs").is_some());
        assert!(tree.has("xtask/src/"));
        assert!(!tree.has("target"));
        assert!(!tree.has("xtask/src/lint/tre"));
    }
}
