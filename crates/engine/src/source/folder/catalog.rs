//! The disk images of a folder and how they hang together.
//!
//! Parents are found by identity, as the formats mean it, not by path: an exported or copied chain
//! has paths that lead nowhere, and a renamed parent is still the parent. Paths only decide
//! between several files of one identity, that is, copies.

use std::collections::HashMap;
use std::iter;

use disk::LayerInfo;
use disk::layer::PathKind;
use uuid::Uuid;

use crate::finding::{Code, Finding, Severity};
use crate::source::folder::open::{is_image, open};
use crate::source::folder::walk::FoundFile;

/// The images of a folder. Nothing is held open.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) images: Vec<Image>,
    /// Images that could not be opened, with why.
    pub(crate) bad: Vec<(FoundFile, Finding)>,
}

/// One image.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) file: FoundFile,
    pub(crate) info: LayerInfo,
    /// Its parent among the images.
    pub(crate) parent: Option<usize>,
    /// What is in the way when it should have a parent and has none.
    pub(crate) orphan: Option<Finding>,
    /// Others have it as their parent.
    pub(crate) interior: bool,
}

impl Catalog {
    /// Opens every image among `files` once and links them. `also` are images whatever their name.
    pub(crate) fn read<'a>(
        files: impl IntoIterator<Item = &'a FoundFile>,
        also: Option<&FoundFile>,
    ) -> Self {
        let mut catalog = Self::default();
        for file in files {
            let wanted = also.is_some_and(|one| one.path == file.path);
            if !wanted && !is_image(&file.path) {
                continue;
            }
            match open(&file.path) {
                Ok(opened) => catalog.images.push(Image {
                    file: file.clone(),
                    info: opened.info,
                    parent: None,
                    orphan: None,
                    interior: false,
                }),
                Err(finding) => catalog.bad.push((file.clone(), finding)),
            }
        }
        catalog.link();
        catalog
    }

    fn link(&mut self) {
        let mut by_identity: HashMap<Uuid, Vec<usize>> = HashMap::new();
        for (index, image) in self.images.iter().enumerate() {
            if let Some(id) = image.info.identity() {
                by_identity.entry(id).or_default().push(index);
            }
        }
        for child in 0..self.images.len() {
            let Some(link) = &self.images[child].info.parent else {
                continue;
            };
            let candidates: Vec<usize> = link
                .identities
                .iter()
                .filter_map(|id| by_identity.get(id))
                .flatten()
                .copied()
                .filter(|parent| *parent != child)
                .collect();
            match self.choose(child, &candidates) {
                Ok(parent) => {
                    self.images[child].parent = Some(parent);
                    self.images[parent].interior = true;
                }
                Err(finding) => self.images[child].orphan = Some(finding),
            }
        }
        self.cut_cycles();
    }

    /// The one candidate, or of several the one that a path names, or the one beside the child.
    fn choose(&self, child: usize, candidates: &[usize]) -> Result<usize, Finding> {
        let image = &self.images[child];
        let wrong = |message: String, hint: &str| {
            Finding::new(
                Code::ParentMissing,
                Severity::Partial,
                image.file.path.display().to_string(),
                message,
            )
            .hint(hint)
        };
        let names = parent_names(&image.info);
        // A copy that lies with the source goes before one that is lent.
        let own = |c: &usize| !self.images[*c].file.lent;
        let own: Vec<usize> = candidates.iter().copied().filter(own).collect();
        let candidates = if own.is_empty() { candidates } else { &own };
        if let [one] = candidates {
            return Ok(*one);
        }
        if candidates.is_empty() {
            let name = names.first().map_or("of unknown name", String::as_str);
            let same_name = self
                .images
                .iter()
                .any(|other| names.contains(&other.file.rel.file_name().to_lowercase()))
                || self
                    .bad
                    .iter()
                    .any(|(file, _)| names.contains(&file.rel.file_name().to_lowercase()));
            return Err(if same_name {
                wrong(
                    format!(
                        "its parent {name} is there but is not the disk it was made from, or cannot be opened"
                    ),
                    "the parent was changed after the checkpoint was taken, or it is another disk of that name",
                )
            } else {
                wrong(
                    format!("its parent {name} is missing"),
                    "put the parent into the folder, or name the folder that it lies in with --parents",
                )
            });
        }
        let folder = |index: usize| {
            let rel = self.images[index].file.rel.as_str();
            rel.rsplit_once('/')
                .map_or("", |(folder, _)| folder)
                .to_owned()
        };
        let near: Vec<usize> = candidates
            .iter()
            .copied()
            .filter(|c| folder(*c) == folder(child))
            .collect();
        let named = |among: &[usize]| -> Vec<usize> {
            let is_named =
                |c: &usize| names.contains(&self.images[*c].file.rel.file_name().to_lowercase());
            among.iter().copied().filter(is_named).collect()
        };
        for chosen in [named(&near), near, named(candidates)] {
            if let [one] = chosen.as_slice() {
                return Ok(*one);
            }
        }
        Err(wrong(
            format!("{} files are equally its parent", candidates.len()),
            "keep one copy of the parent in the folder",
        ))
    }

    /// Images that name each other as parents have none.
    fn cut_cycles(&mut self) {
        for start in 0..self.images.len() {
            let mut at = start;
            for _ in 0..self.images.len() {
                match self.images[at].parent {
                    None => break,
                    Some(parent) if parent == start => {
                        self.images[start].parent = None;
                        self.images[start].orphan = Some(Finding::new(
                            Code::DiskDamaged,
                            Severity::Partial,
                            self.images[start].file.path.display().to_string(),
                            "it is, by way of its parents, its own parent",
                        ));
                        break;
                    }
                    Some(parent) => at = parent,
                }
            }
        }
    }

    /// The parent of an image, unless it is lent.
    pub(crate) fn own_parent(&self, image: usize) -> Option<usize> {
        let parent = self.images[image].parent?;
        (!self.images[parent].file.lent).then_some(parent)
    }

    /// Whether a family begins with this image: it is the source's own, and stands on none of its.
    pub(crate) fn is_base(&self, image: usize) -> bool {
        !self.images[image].file.lent && self.own_parent(image).is_none()
    }

    /// What of the source stands on `base`, with it, and the lent images that `base` stands on.
    /// Those join no families: many disks are made from one master that have nothing else in common.
    pub(crate) fn family(&self, base: usize) -> Vec<usize> {
        let own = |image: &usize| {
            let mut chain = iter::successors(Some(*image), |i| self.own_parent(*i));
            !self.images[*image].file.lent && chain.any(|i| i == base)
        };
        let lent = iter::successors(self.images[base].parent, |i| self.images[*i].parent);
        (0..self.images.len()).filter(own).chain(lent).collect()
    }
}

/// File names, in lower case, under which an image knows its parent.
fn parent_names(info: &LayerInfo) -> Vec<String> {
    let paths = info.parent.iter().flat_map(|link| &link.paths);
    paths
        .filter(|path| path.kind != PathKind::Url)
        .filter_map(|path| path.path.rsplit(['\\', '/']).next())
        .map(str::to_lowercase)
        .collect()
}
