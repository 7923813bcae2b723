//! The disk images of a folder and how they hang together.
//!
//! Parents are found by identity, as the formats mean it, not by path: an exported or copied chain
//! has paths that lead nowhere, and a renamed parent is still the parent. Paths only decide
//! between several files of one identity, that is, copies.

use std::collections::{HashMap, HashSet};
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
        let images = self.images.iter().map(|image| &image.file);
        let files = images.chain(self.bad.iter().map(|(file, _)| file));
        let known: HashSet<String> = files
            .map(|file| file.rel.file_name().to_lowercase())
            .collect();
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
            match self.choose(child, &candidates, &known) {
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
    /// `known` are the names of all files, in lower case.
    fn choose(
        &self,
        child: usize,
        candidates: &[usize],
        known: &HashSet<String>,
    ) -> Result<usize, Finding> {
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
            let same_name = names.iter().any(|name| known.contains(name));
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

    /// Of images that name each other as parents one has none.
    fn cut_cycles(&mut self) {
        // In which walk upwards each was met, so that none is walked over twice.
        let mut met: Vec<Option<usize>> = vec![None; self.images.len()];
        for start in 0..self.images.len() {
            let mut at = start;
            while met[at].is_none() {
                met[at] = Some(start);
                match self.images[at].parent {
                    Some(parent) => at = parent,
                    None => break,
                }
            }
            if met[at] != Some(start) || self.images[at].parent.is_none() {
                continue;
            }
            let round = iter::successors(self.images[at].parent, |i| self.images[*i].parent);
            let first = round.take_while(|i| *i != at).min();
            let cut = &mut self.images[first.map_or(at, |first| first.min(at))];
            cut.parent = None;
            cut.orphan = Some(
                Finding::new(
                    Code::DiskDamaged,
                    Severity::Partial,
                    cut.file.path.display().to_string(),
                    "it is, by way of its parents, its own parent",
                )
                .hint("copy the disks again from where they came from"),
            );
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

    /// For each base, what of the source stands on it, with it, and the lent images that it stands
    /// on. Those join no families: many disks are made from one master that have nothing else in
    /// common.
    pub(crate) fn families(&self) -> HashMap<usize, Vec<usize>> {
        // Once it is known of an image, those above it need not ask further down.
        let mut bases: Vec<Option<usize>> = vec![None; self.images.len()];
        let mut families: HashMap<usize, Vec<usize>> = HashMap::new();
        for image in (0..self.images.len()).filter(|i| !self.images[*i].file.lent) {
            let mut walked = Vec::new();
            let mut at = image;
            let base = loop {
                if let Some(base) = bases[at] {
                    break base;
                }
                walked.push(at);
                match self.own_parent(at) {
                    Some(parent) => at = parent,
                    None => break at,
                }
            };
            for above in walked {
                bases[above] = Some(base);
            }
            families.entry(base).or_default().push(image);
        }
        for (base, family) in &mut families {
            let below = self.images[*base].parent;
            family.extend(iter::successors(below, |i| self.images[*i].parent));
        }
        families
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use testkit::image::{Image as TestImage, Kind};

    use super::*;
    use crate::source::RelPath;

    fn image(number: u64, parent: Option<u64>) -> Image {
        let name = format!("{number}.vhdx");
        let of = |number| TestImage::new(Kind::Vhdx, 1 << 20, number).info;
        let info = match parent {
            None => of(number),
            Some(parent) => {
                let name = format!("{parent}.vhdx");
                TestImage::child(&of(parent), &name, number).info
            }
        };
        Image {
            file: FoundFile {
                path: PathBuf::from(&name),
                rel: RelPath::new(name).unwrap(),
                lent: false,
            },
            info,
            parent: None,
            orphan: None,
            interior: false,
        }
    }

    fn linked(parents: &[Option<u64>]) -> Catalog {
        let images = (0..)
            .zip(parents)
            .map(|(number, parent)| image(number, *parent));
        let mut catalog = Catalog {
            images: images.collect(),
            bad: Vec::new(),
        };
        catalog.link();
        catalog
    }

    /// Asking about each by way of all others would take many minutes.
    #[test]
    fn very_many_disks_find_their_families() {
        const MANY: u64 = 1 << 15;
        // Loose disks, then as many whose parents are missing, then one chain.
        let loose = (0..MANY).map(|_| None);
        let orphans = (0..MANY).map(|n| Some(10 * MANY + n));
        let chain = (0..MANY).map(|n| (n > 0).then_some(2 * MANY + n - 1));
        let parents: Vec<_> = loose.chain(orphans).chain(chain).collect();
        let catalog = linked(&parents);
        let families = catalog.families();
        let many = MANY as usize;
        assert_eq!(families.len(), 2 * many + 1);
        assert_eq!(families[&7], [7]);
        assert_eq!(families[&(many + 7)], [many + 7]);
        assert_eq!(families[&(2 * many)].len(), many);
        let orphans = catalog.images.iter().filter(|i| i.orphan.is_some());
        assert_eq!(orphans.count(), many);
    }

    #[test]
    fn a_round_is_cut_once_wherever_it_is_entered() {
        // 0 and 5 lead into the round 3 → 1 → 4 → 3; 2 is its own parent.
        let catalog = linked(&[Some(3), Some(4), Some(2), Some(1), Some(3), Some(0)]);
        let cut = |i: &usize| catalog.images[*i].parent.is_none();
        assert_eq!((0..6).filter(cut).collect::<Vec<_>>(), [1, 2]);
        let families = catalog.families();
        assert_eq!(families[&1], [0, 1, 3, 4, 5]);
        assert_eq!(families[&2], [2]);
    }
}
