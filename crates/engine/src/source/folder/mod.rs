//! VMs in a folder: an export, a copied VM, a share, a bunch of disks. No hypervisor is asked.
//!
//! Every disk image below the folder belongs to exactly one VM. Those that a VM's configuration
//! names, and what they stand on, belong to it; what is left is *loose*: each family of images
//! that share a base is a VM of its own, named by the base's file and known by its place.
//!
//! Nothing is frozen, for nothing can be: a file holds still or it does not. So each one is looked
//! at before and after (see [`fingerprint`]), and what moved is a finding and makes the point
//! [torn](crate::source::Consistency::Torn).

mod catalog;
mod fingerprint;
mod frozen;
mod open;
mod walk;

use std::fs;
use std::path::{Path, PathBuf};

use disk::ByteRanges;
use uuid::Uuid;

use crate::finding::{Code, Finding, Severity};
use crate::source::folder::catalog::Catalog;
use crate::source::folder::frozen::freeze_loose;
use crate::source::folder::walk::{FoundFile, safe_name, walk};
use crate::source::{FrozenVm, Listing, RelPath, Request, Source, SourceError, VmRef};

/// See the [module](self).
pub struct FolderSource {
    /// As it was given.
    given: PathBuf,
    /// The folder, in the one spelling that the system has for it.
    root: PathBuf,
    /// Only this disk, where a file was given.
    only: Option<PathBuf>,
    changed: Option<ByteRanges>,
    found: Option<Found>,
}

/// What a look at the folder found.
struct Found {
    catalog: Catalog,
    vms: Vec<(VmRef, What)>,
    findings: Vec<Finding>,
}

/// What a VM is made of.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// Loose images, by index.
    Loose(Vec<usize>),
    /// An image that could not be opened, by index.
    Bad(usize),
}

impl FolderSource {
    /// The folder or the one disk at `path`.
    ///
    /// # Errors
    /// When there is nothing at `path`, or it is neither folder nor file.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let fail = |error: &dyn std::fmt::Display| {
            SourceError::new(path.display().to_string(), error.to_string()).hint(
                "give an existing folder with VMs or disks in it, or one disk, as folder:PATH",
            )
        };
        let real = fs::canonicalize(path).map_err(|e| fail(&e))?;
        let meta = fs::metadata(&real).map_err(|e| fail(&e))?;
        let (root, only) = if meta.is_dir() {
            (real, None)
        } else if meta.is_file() {
            let folder = real
                .parent()
                .map_or_else(|| real.clone(), Path::to_path_buf);
            (folder, Some(real))
        } else {
            return Err(fail(&"neither a folder nor a file"));
        };
        Ok(Self {
            given: path.to_path_buf(),
            root,
            only,
            changed: None,
            found: None,
        })
    }

    /// Says what changed on the one disk since its last restore point. It is believed: a range
    /// that is missing is a change that is not saved.
    #[must_use]
    pub fn with_changed_ranges(mut self, ranges: ByteRanges) -> Self {
        self.changed = Some(ranges);
        self
    }

    fn look(&self) -> Result<Found, SourceError> {
        let (files, findings) = match &self.only {
            None => walk(&self.root),
            Some(path) => (beside(path), Vec::new()),
        };
        let also = self
            .only
            .as_ref()
            .and_then(|only| files.iter().find(|file| file.path == *only));
        let catalog = Catalog::read(&files, also);
        let mut vms = Vec::new();
        self.loose(&catalog, &mut vms);
        Ok(Found {
            catalog,
            vms,
            findings,
        })
    }

    /// Families of images that no configuration claims.
    fn loose(&self, catalog: &Catalog, vms: &mut Vec<(VmRef, What)>) {
        for base in 0..catalog.images.len() {
            if catalog.images[base].parent.is_some() {
                continue;
            }
            let family = catalog.family(base);
            let wanted = |only: &PathBuf| {
                family
                    .iter()
                    .any(|image| catalog.images[*image].file.path == *only)
            };
            if self.only.as_ref().is_none_or(wanted) {
                let vm = self.place(&catalog.images[base].file);
                vms.push((vm, What::Loose(family)));
            }
        }
        for (index, (file, _)) in catalog.bad.iter().enumerate() {
            if self.only.as_ref().is_none_or(|only| file.path == *only) {
                vms.push((self.place(file), What::Bad(index)));
            }
        }
    }

    /// The VM that a loose disk is: known by where it lies, so that the next run finds it again.
    fn place(&self, file: &FoundFile) -> VmRef {
        VmRef {
            key: file.rel.to_string(),
            id: derived_id("loose disk", &file.path),
            name: file.rel.file_name().to_owned(),
        }
    }
}

impl Source for FolderSource {
    fn describe(&self) -> String {
        format!("folder:{}", self.given.display())
    }

    fn list(&mut self) -> Result<Listing, SourceError> {
        let found = self.look()?;
        let mut listing = Listing {
            vms: found.vms.iter().map(|(vm, _)| vm.clone()).collect(),
            findings: found.findings.clone(),
        };
        if let (Some(_), false) = (&self.changed, self.one_disk(&found)) {
            listing.findings.push(
                Finding::new(
                    Code::ReadInFull,
                    Severity::Warning,
                    self.given.display().to_string(),
                    "changed ranges are for one disk that stands alone; they were not used",
                )
                .hint("give the disk itself as folder:PATH"),
            );
        }
        self.found = Some(found);
        Ok(listing)
    }

    fn freeze(&mut self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        let found = match self.found.take() {
            Some(found) => found,
            None => self.look()?,
        };
        let result = self.freeze_found(&found, vm, request);
        self.found = Some(found);
        result
    }
}

impl FolderSource {
    fn one_disk(&self, found: &Found) -> bool {
        matches!(found.vms.as_slice(), [(_, What::Loose(family))] if family.len() == 1)
    }

    fn freeze_found(
        &self,
        found: &Found,
        vm: &VmRef,
        request: &Request,
    ) -> Result<Box<dyn FrozenVm>, SourceError> {
        let gone = || {
            SourceError::new(vm.name.clone(), "it is no longer in the folder")
                .hint("run the backup again")
        };
        let (_, what) = found
            .vms
            .iter()
            .find(|(listed, _)| listed.key == vm.key)
            .ok_or_else(gone)?;
        match what {
            What::Loose(family) => {
                let changed = self.changed.as_ref().filter(|_| self.one_disk(found));
                freeze_loose(&found.catalog, family, vm, request, changed)
            }
            What::Bad(index) => Err(found
                .catalog
                .bad
                .get(*index)
                .map_or_else(gone, |(_, finding)| as_error(finding))),
        }
    }
}

/// The files beside a given one, for its parents; not those in folders below.
fn beside(path: &Path) -> Vec<FoundFile> {
    let folder = path.parent().unwrap_or(path);
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files: Vec<FoundFile> = entries
        .filter_map(|entry| entry.ok())
        .filter(|entry| fs::metadata(entry.path()).is_ok_and(|meta| meta.is_file()))
        .filter_map(|entry| {
            let name = entry.file_name();
            Some(FoundFile {
                rel: RelPath::new(safe_name(&name.to_string_lossy())).ok()?,
                // In the spelling of the given path.
                path: folder.join(name),
            })
        })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// An id for something that has none: the same for the same place.
fn derived_id(kind: &str, path: &Path) -> Uuid {
    let mut hasher = blake3::Hasher::new_derive_key("hyperkeep folder source, id of a place");
    hasher.update(kind.as_bytes());
    hasher.update(&[0]);
    hasher.update(path.as_os_str().as_encoded_bytes());
    let mut id = [0; 16];
    hasher.finalize_xof().fill(&mut id);
    uuid::Builder::from_custom_bytes(id).into_uuid()
}

fn as_error(finding: &Finding) -> SourceError {
    SourceError {
        object: finding.object.clone(),
        message: finding.message.clone(),
        hint: finding.hint.clone(),
        cancelled: false,
    }
}

#[cfg(test)]
mod tests;
