//! Which files of a listing belong to somebody.

use std::collections::BTreeMap;

use super::OwnedFile;
use super::classify::{self, Role, join, parent, stem};
use super::index::fold;
use super::listing::FileItem;

/// The listing, and which of it is spoken for.
pub(super) struct Files<'a> {
    items: &'a [FileItem],
    by_path: BTreeMap<&'a str, usize>,
    /// Files by folded folder and name without ending.
    by_stem: BTreeMap<(String, String), Vec<usize>>,
    /// Files by folded folder.
    by_folder: BTreeMap<String, Vec<usize>>,
    /// Files by folded path.
    folded: BTreeMap<String, usize>,
    claimed: Vec<bool>,
}

impl<'a> Files<'a> {
    pub(super) fn new(items: &'a [FileItem]) -> Self {
        let mut files = Files {
            items,
            by_path: BTreeMap::new(),
            by_stem: BTreeMap::new(),
            by_folder: BTreeMap::new(),
            folded: BTreeMap::new(),
            claimed: vec![false; items.len()],
        };
        for (at, item) in items.iter().enumerate() {
            let folder = fold(parent(&item.path));
            files.by_path.insert(&item.path, at);
            files.folded.insert(fold(&item.path), at);
            let stem = fold(stem(&item.path));
            files
                .by_stem
                .entry((folder.clone(), stem))
                .or_default()
                .push(at);
            files.by_folder.entry(folder).or_default().push(at);
        }
        files
    }

    pub(super) fn claim(&mut self, path: &str) {
        if let Some(claimed) = self
            .by_path
            .get(path)
            .and_then(|at| self.claimed.get_mut(*at))
        {
            *claimed = true;
        }
    }

    /// Claims a configuration with the state files beside it and in the folder of its name.
    pub(super) fn claim_state(&mut self, config: &FileItem) -> Vec<OwnedFile> {
        let folder = fold(parent(&config.path));
        let stem = fold(stem(&config.path));
        let inner = join(&folder, &stem);
        let beside = self.by_stem.get(&(folder, stem)).into_iter().flatten();
        let inside = self.by_folder.get(&inner).into_iter().flatten();
        let near: Vec<usize> = beside.chain(inside).copied().collect();
        let len = config.len;
        let role = Role::Configuration;
        let mut files = vec![OwnedFile {
            path: config.path.clone(),
            len,
            role,
        }];
        self.claim(&config.path);
        for at in near {
            let (Some(item), Some(claimed)) = (self.items.get(at), self.claimed.get_mut(at)) else {
                continue;
            };
            let role = classify::role(&item.path).filter(|role| *role != Role::Configuration);
            if let (Some(role), false) = (role, *claimed) {
                *claimed = true;
                files.push(OwnedFile {
                    path: item.path.clone(),
                    len: item.len,
                    role,
                });
            }
        }
        files
    }

    /// Claims a disk, and gives the change tracking files beside it to `files`.
    pub(super) fn claim_disk(&mut self, disk: &str, files: &mut Vec<OwnedFile>) {
        self.claim(disk);
        for ending in ["rct", "mrt"] {
            let at = self.folded.get(&fold(&format!("{disk}.{ending}"))).copied();
            let item = at.and_then(|at| self.items.get(at));
            let claimed = at.and_then(|at| self.claimed.get_mut(at));
            if let (Some(item), Some(claimed @ false)) = (item, claimed) {
                *claimed = true;
                let (path, len) = (item.path.clone(), item.len);
                files.push(OwnedFile {
                    path,
                    len,
                    role: Role::ChangeTracking,
                });
            }
        }
    }

    pub(super) fn unclaimed(&self) -> impl Iterator<Item = &'a FileItem> + '_ {
        let claimed = self.claimed.iter();
        self.items
            .iter()
            .zip(claimed)
            .filter(|(_, claimed)| !**claimed)
            .map(|(item, _)| item)
    }
}
