//! VMs in a folder: an export, a copied VM, a share, a bunch of disks. No hypervisor is asked.
//!
//! Every disk image below the folder belongs to exactly one VM. Those that a VM's configuration
//! names, and what they stand on, belong to it; what is left is *loose*: each family of images
//! that share a base is a VM of its own, named by the base's file and known by its place. Images in
//! formats that are not read are told (see [`unread`]).
//!
//! Nothing is frozen, for nothing can be: a file holds still or it does not. So each one is looked
//! at before and after (see [`fingerprint`]), and what moved is a finding and makes the point
//! [torn](crate::source::Consistency::Torn).

mod catalog;
mod chosen;
mod fingerprint;
mod frozen;
mod guest_state;
mod machine;
mod machines;
mod open;
mod parents;
mod unread;
mod walk;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::iter;
use std::path::{Path, PathBuf};

use disk::ByteRanges;
use uuid::Uuid;
use vmconfig::layout::Finding as LayoutFinding;

use crate::finding::{Code, Finding, Severity};
use crate::source::folder::catalog::Catalog;
use crate::source::folder::frozen::freeze_loose;
use crate::source::folder::machine::{freeze_machine, freeze_unreadable};
use crate::source::folder::machines::{Machines, identity, name_or_file};
use crate::source::folder::walk::{FoundFile, safe_names, walk};
use crate::source::{FrozenVm, Listing, RelPath, Request, Source, SourceError, VmKind, VmRef};

/// See the [module](self).
pub struct FolderSource {
    /// As it was given.
    given: PathBuf,
    /// The folder, in the one spelling that the system has for it.
    root: PathBuf,
    /// Only this disk, where a file was given.
    only: Option<PathBuf>,
    changed: Option<ByteRanges>,
    /// Further folders in which parents may lie.
    parents: Vec<PathBuf>,
    found: Option<Found>,
}

/// What a look at the folder found.
struct Found {
    files: Vec<FoundFile>,
    catalog: Catalog,
    machines: Option<Machines>,
    vms: Vec<(VmRef, What)>,
    /// The VMs by their keys.
    by_key: HashMap<String, usize>,
    findings: Vec<Finding>,
}

/// What a VM is made of.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// A VM with a configuration, by index.
    Machine(usize),
    /// A configuration that cannot be understood, by index.
    Unreadable(usize),
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
            SourceError::new(
                path.display().to_string(),
                error.to_string(),
                "give an existing folder with VMs or disks in it, or one disk, as folder:PATH",
            )
        };
        let real = fs::canonicalize(path).map_err(|e| fail(&e))?;
        let meta = fs::metadata(&real).map_err(|e| fail(&e))?;
        let (root, only) = if meta.is_dir() {
            (real, None)
        } else if meta.is_file() && is_configuration(&real) {
            return Err(fail(
                &"a configuration is not a disk: give the folder that the VM lies in",
            ));
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
            parents: Vec::new(),
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

    /// Looks for the parents of the source's disks in the folder `path` as well, and below it. Nothing
    /// else of that folder is backed up.
    ///
    /// # Errors
    /// When `path` is no folder.
    pub fn with_parents(mut self, path: &Path) -> Result<Self, SourceError> {
        let real = fs::canonicalize(path).and_then(|real| match real.is_dir() {
            true => Ok(real),
            false => Err(io::ErrorKind::NotADirectory.into()),
        });
        let real = real.map_err(|e| {
            SourceError::new(
                path.display().to_string(),
                e.to_string(),
                "give an existing folder with the disks that others stand on",
            )
        })?;
        self.parents.push(real);
        Ok(self)
    }

    fn look(&self) -> Result<Found, SourceError> {
        let (files, mut findings) = match &self.only {
            None => walk(&self.root),
            Some(path) => (beside(path), Vec::new()),
        };
        let also = self
            .only
            .as_ref()
            .and_then(|only| files.iter().find(|file| file.path == *only));
        let lent = parents::lent(&self.parents, &files, &mut findings);
        let catalog = Catalog::read(files.iter().chain(&lent), also);
        let machines = match &self.only {
            None => Some(Machines::find(&files, &catalog)),
            Some(_) => None,
        };
        match (&machines, &self.only) {
            (Some(machines), _) => findings.extend(unread::strays(&files, machines)),
            (None, only) => findings.extend(only.as_deref().and_then(unread::given)),
        }
        let mut found = Found {
            files,
            catalog,
            machines,
            vms: Vec::new(),
            by_key: HashMap::new(),
            findings,
        };
        self.configured(&mut found);
        self.loose(&mut found);
        let keys = found.vms.iter().map(|(vm, _)| vm.key.clone());
        found.by_key = keys.zip(0..).collect();
        Ok(found)
    }

    /// VMs with a configuration.
    fn configured(&self, found: &mut Found) {
        let Some(machines) = &found.machines else {
            return;
        };
        let inventory = &machines.inventory;
        let mut vms: Vec<(VmRef, What)> = Vec::new();
        let mut taken: HashSet<Uuid> = HashSet::new();
        let mut add = |path: &str, id: Option<Uuid>, name: String, what: What| {
            let vm = VmRef {
                key: path.to_owned(),
                id: identity(id, &self.root.join(path), &taken),
                name,
                kind: VmKind::Vm,
            };
            taken.insert(vm.id);
            vms.push((vm, what));
        };
        for (index, machine) in inventory.machines.iter().enumerate() {
            let name = name_or_file(&machine.config.name, &machine.path);
            let id = machine.config.machine_id();
            add(&machine.path, id, name, What::Machine(index));
        }
        for (index, unreadable) in inventory.unreadable.iter().enumerate() {
            let name = name_or_file("", &unreadable.path);
            add(
                &unreadable.path,
                unreadable.id,
                name,
                What::Unreadable(index),
            );
        }
        let warn = |code, severity, object: &str, message: String| {
            Finding::new(code, severity, object, message)
        };
        for orphan in &inventory.orphans {
            found.findings.push(
                warn(
                    Code::NotCovered,
                    Severity::Partial,
                    &orphan.path,
                    "belongs to a VM that is not here, and is not backed up".to_owned(),
                )
                .hint("put the VM's own configuration into the folder"),
            );
        }
        for duplicate in &inventory.findings {
            if let LayoutFinding::DuplicateId { .. } = duplicate {
                found.findings.push(
                    warn(
                        Code::DuplicateId,
                        Severity::Warning,
                        &self.given.display().to_string(),
                        format!("{duplicate}; each is backed up as a VM of its own"),
                    )
                    .hint("only the first keeps the id; if one is a leftover copy, move it away"),
                );
            }
        }
        found.vms = vms;
    }

    /// Families of images that no configuration claims.
    fn loose(&self, found: &mut Found) {
        let catalog = &found.catalog;
        let machines = found.machines.as_ref();
        let claimed = |image: usize| machines.is_some_and(|machines| machines.has(image));
        let mut families = catalog.families();
        for base in 0..catalog.images.len() {
            // What stands on a machine's disk is the machine's.
            if !catalog.is_base(base) || claimed(base) {
                continue;
            }
            let family = families.remove(&base).unwrap_or_default();
            let wanted = |only: &PathBuf| {
                family
                    .iter()
                    .any(|image| catalog.images[*image].file.path == *only)
            };
            if self.only.as_ref().is_none_or(wanted) {
                let vm = self.place(&catalog.images[base].file);
                found.vms.push((vm, What::Loose(family)));
            }
        }
        for (index, (file, _)) in catalog.bad.iter().enumerate() {
            if file.lent {
                continue;
            }
            let named = machines.is_some_and(|machines| machines.names(file));
            if !named && self.only.as_ref().is_none_or(|only| file.path == *only) {
                found.vms.push((self.place(file), What::Bad(index)));
            }
        }
    }

    /// The VM that a loose disk is: known by where it lies, so that the next run finds it again.
    fn place(&self, file: &FoundFile) -> VmRef {
        VmRef {
            key: file.rel.to_string(),
            id: derived_id("loose disk", &file.path),
            name: file.rel.file_name().to_owned(),
            kind: VmKind::Disk,
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

    fn freeze(&self, vm: &VmRef, request: &Request) -> Result<Box<dyn FrozenVm>, SourceError> {
        match &self.found {
            Some(found) => self.freeze_found(found, vm, request),
            None => self.freeze_found(&self.look()?, vm, request),
        }
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
            SourceError::new(
                vm.name.clone(),
                "it is no longer in the folder",
                "run the backup again",
            )
        };
        let place = found.by_key.get(&vm.key).ok_or_else(gone)?;
        let (_, what) = found.vms.get(*place).ok_or_else(gone)?;
        let machines = found.machines.as_ref().ok_or_else(gone);
        match what {
            What::Machine(index) => {
                let what = (machines?, *index);
                freeze_machine(what, &found.files, &found.catalog, vm, &request.disks)
            }
            What::Unreadable(index) => freeze_unreadable(machines?, *index, &found.files, vm),
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
    let names: Vec<OsString> = entries
        .filter_map(|entry| entry.ok())
        .filter(|entry| fs::metadata(entry.path()).is_ok_and(|meta| meta.is_file()))
        .map(|entry| entry.file_name())
        .collect();
    let safe = safe_names(&names);
    let mut files: Vec<FoundFile> = iter::zip(names, safe)
        .filter_map(|(name, safe)| {
            Some(FoundFile {
                rel: RelPath::new(safe).ok()?,
                // In the spelling of the given path.
                path: folder.join(name),
                lent: false,
            })
        })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn is_configuration(path: &Path) -> bool {
    let extension = path
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default();
    ["vmcx", "xml", "vmrs", "vmgs"].contains(&extension.to_ascii_lowercase().as_str())
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
        code: finding.code,
        object: finding.object.clone(),
        message: finding.message.clone(),
        hint: finding
            .hint
            .clone()
            .unwrap_or_else(|| "look at it, and run the backup again".to_owned()),
        cancelled: false,
        not_now: false,
    }
}

#[cfg(test)]
pub(crate) mod tests;
