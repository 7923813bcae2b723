//! Look-ups of paths, ignoring case.

use std::collections::BTreeMap;

use super::classify::name;
use super::listing::FileItem;

/// An index over a listing. Case is folded as in Unicode, which is close to, though not exactly,
/// what NTFS does.
pub(super) struct Index<'a> {
    by_path: BTreeMap<String, Vec<&'a str>>,
    by_name: BTreeMap<String, Vec<&'a str>>,
}

impl<'a> Index<'a> {
    pub(super) fn new(files: &'a [FileItem]) -> Self {
        let mut index = Index {
            by_path: BTreeMap::new(),
            by_name: BTreeMap::new(),
        };
        for file in files {
            index
                .by_path
                .entry(fold(&file.path))
                .or_default()
                .push(&file.path);
            index
                .by_name
                .entry(fold(name(&file.path)))
                .or_default()
                .push(&file.path);
        }
        index
    }

    /// Files with this path: the one spelled alike, else all that differ in case only.
    pub(super) fn at(&self, path: &str) -> Vec<&'a str> {
        let found = self
            .by_path
            .get(&fold(path))
            .map(Vec::as_slice)
            .unwrap_or_default();
        match found.iter().find(|file| **file == path) {
            Some(file) => vec![file],
            None => found.to_vec(),
        }
    }

    /// Files with this name, anywhere.
    pub(super) fn named(&self, name: &str) -> &[&'a str] {
        self.by_name
            .get(&fold(name))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }
}

pub(super) fn fold(text: &str) -> String {
    text.to_lowercase()
}
