//! The search for one parent after another.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use uuid::Uuid;

use crate::chain::{belongs, or_list};
use crate::error::{Error, Result};
use crate::layer::{ParentLink, ParentPath, PathKind};
use crate::open::{OpenAs, identity, open};
use crate::resolve::{Finder, Found, Tried};

/// Extensions of files that may be parents.
const IMAGES: [&str; 4] = ["vhdx", "avhdx", "vhd", "avhd"];

/// What is known of the places that were searched so far.
pub(super) struct Search<'a> {
    finder: &'a dyn Finder,
    /// Images by identity, of the folders in `indexed`.
    index: HashMap<Uuid, Vec<PathBuf>>,
    indexed: HashSet<PathBuf>,
}

impl<'a> Search<'a> {
    pub(super) fn new(finder: &'a dyn Finder) -> Self {
        Self {
            finder,
            index: HashMap::new(),
            indexed: HashSet::new(),
        }
    }

    /// The parent of `child`, which has one.
    pub(super) fn parent(&mut self, child: &Found) -> Result<Found> {
        let Some(link) = &child.layer.info().parent else {
            return Err(Error::BrokenChain("an image that stands alone".into()));
        };
        let folder = child.path.parent().unwrap_or(Path::new("")).to_owned();
        let mut tried = Vec::new();
        for path in &link.paths {
            if let Some(found) = self.by_path(child, &folder, path, &mut tried) {
                return Ok(found);
            }
        }
        for path in &link.paths {
            let name = path.path.rsplit(['\\', '/']).next().unwrap_or_default();
            if let Some(found) = self.within(child, &folder, name, name, &mut tried) {
                return Ok(found);
            }
        }
        if let Some(found) = self.by_identity(child, folder, link, &mut tried) {
            return Ok(found);
        }
        Err(Error::ParentMissing {
            child: child.path.display().to_string(),
            identity: or_list(&link.identities),
            tried,
        })
    }

    fn by_path(
        &self,
        child: &Found,
        folder: &Path,
        path: &ParentPath,
        tried: &mut Vec<Tried>,
    ) -> Option<Found> {
        let text = &path.path;
        let absolute = match path.kind {
            PathKind::Relative => false,
            PathKind::Volume | PathKind::Absolute => true,
            // A VHD's header has a bare name or a whole path there.
            PathKind::Name => text.starts_with('\\') || text.get(1..2) == Some(":"),
            // Of the disks of a Mac only the file name helps here.
            PathKind::Url => return None,
        };
        if !absolute {
            return self.within(child, folder, text, text, tried);
        }
        match self.finder.locate(text) {
            Some((root, rest)) => self.within(child, &root, &rest, text, tried),
            None => {
                let outcome = "not reachable from here".into();
                tried.push(Tried {
                    path: text.clone(),
                    outcome,
                });
                None
            }
        }
    }

    /// Follows a Windows path from `folder`; `spelled` is how the child has it.
    fn within(
        &self,
        child: &Found,
        folder: &Path,
        path: &str,
        spelled: &str,
        tried: &mut Vec<Tried>,
    ) -> Option<Found> {
        let at = self.follow(folder, path);
        if at == child.path {
            return None;
        }
        let shown = match at.display().to_string() {
            at if at == spelled => at,
            at => format!("{spelled} ({at})"),
        };
        self.candidate(child, &at, shown, tried)
    }

    /// Where a Windows path leads from `folder`: each name as it is, or in other case, and as it
    /// is when there is neither.
    fn follow(&self, folder: &Path, path: &str) -> PathBuf {
        let mut at = folder.to_owned();
        for name in path
            .split(['\\', '/'])
            .filter(|name| !matches!(*name, "" | "."))
        {
            if name == ".." {
                // Above the root there is nothing; what is above ".." or an empty path can only be
                // spelled, not cut off.
                match at.components().next_back() {
                    Some(Component::Normal(_)) => {
                        at.pop();
                    }
                    Some(Component::RootDir | Component::Prefix(_)) => {}
                    Some(Component::ParentDir | Component::CurDir) | None => at.push(".."),
                }
                continue;
            }
            let names = self.finder.list(&at).unwrap_or_default();
            let other_case = || {
                let wanted = name.to_lowercase();
                let mut alike = names
                    .iter()
                    .filter(|n| n.to_string_lossy().to_lowercase() == wanted);
                alike.next()
            };
            match names
                .iter()
                .find(|n| n.as_os_str() == name)
                .or_else(other_case)
            {
                Some(actual) => at.push(actual),
                None => at.push(name),
            }
        }
        at
    }

    /// Opens what is at a path, if it is the parent.
    fn candidate(
        &self,
        child: &Found,
        path: &Path,
        shown: String,
        tried: &mut Vec<Tried>,
    ) -> Option<Found> {
        if tried.iter().any(|before| before.path == shown) {
            return None;
        }
        let outcome = match self.finder.open(path) {
            Err(e) => e.to_string(),
            Ok(None) => "not there".into(),
            Ok(Some(file)) => match open(file, OpenAs::ByContent) {
                Err(e) => e.to_string(),
                Ok(layer) => match belongs(&*child.layer, &*layer) {
                    Err(why) => why,
                    Ok(()) => {
                        let path = path.to_owned();
                        return Some(Found { path, layer });
                    }
                },
            },
        };
        tried.push(Tried {
            path: shown,
            outcome,
        });
        None
    }

    fn by_identity(
        &mut self,
        child: &Found,
        folder: PathBuf,
        link: &ParentLink,
        tried: &mut Vec<Tried>,
    ) -> Option<Found> {
        let mut folders = vec![folder];
        folders.extend(self.finder.search_path());
        for folder in &folders {
            self.index(folder);
        }
        let known = |id| self.index.get(id).into_iter().flatten();
        for path in link.identities.iter().flat_map(known) {
            let shown = path.display().to_string();
            if let Some(found) = self.candidate(child, path, shown, tried) {
                return Some(found);
            }
        }
        for folder in folders {
            tried.push(Tried {
                path: folder.display().to_string(),
                outcome: "no image there has the identity".into(),
            });
        }
        None
    }

    /// Notes the identity of every image in a folder. What cannot be read is no parent.
    fn index(&mut self, folder: &Path) {
        if !self.indexed.insert(folder.to_owned()) {
            return;
        }
        let mut names = self.finder.list(folder).unwrap_or_default();
        names.sort_unstable();
        for path in names.into_iter().map(|name| folder.join(name)) {
            let extension = path.extension().unwrap_or_default().to_string_lossy();
            if !IMAGES.contains(&extension.to_ascii_lowercase().as_str()) {
                continue;
            }
            if let Ok(Some(file)) = self.finder.open(&path)
                && let Ok(id) = identity(&file)
            {
                self.index.entry(id).or_default().push(path);
            }
        }
    }
}
