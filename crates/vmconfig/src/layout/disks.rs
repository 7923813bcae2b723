//! From the Windows path in a configuration to a file of the listing.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::classify::{join, parent};
use super::index::{Index, fold};
use super::{AttachedDisk, DiskGraph, Options, Resolution};
use crate::model::VmConfig;

/// The folder in which Hyper-V keeps disks.
const DISKS: &str = "Virtual Hard Disks";

/// How a disk was found, the strongest way first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// In the configuration's own folder.
    BesideConfiguration,
    /// In a folder `Virtual Hard Disks` in or beside the configuration's folder.
    DiskFolder,
    /// At its absolute path, by a mapping that the caller gave.
    Mapped,
    /// By the last two or more parts of its path, which no other file shares.
    PathEnd,
    /// By its name, which no other file has.
    UniqueName,
}

impl Found {
    /// Whether the place itself ties the file to this VM, rather than its name only.
    fn is_strong(self) -> bool {
        self <= Found::Mapped
    }
}

/// Finds the files of a configuration's virtual disks.
pub(super) fn attached(
    config_path: &str,
    config: &VmConfig,
    index: &Index<'_>,
    options: &Options,
) -> Vec<AttachedDisk> {
    let disks = config.virtual_disks();
    disks
        .map(|(location, configured)| AttachedDisk {
            location,
            configured: configured.to_owned(),
            file: resolve(parent(config_path), configured, index, options),
            chain: None,
        })
        .collect()
}

fn resolve(folder: &str, configured: &str, index: &Index<'_>, options: &Options) -> Resolution {
    let configured = plain(configured);
    let Some(name) = parts(configured).next_back() else {
        return Resolution::Missing;
    };
    let mut places = vec![
        (Found::BesideConfiguration, join(folder, name)),
        (Found::DiskFolder, join(folder, &format!("{DISKS}/{name}"))),
    ];
    if !folder.is_empty() {
        places.push((
            Found::DiskFolder,
            join(parent(folder), &format!("{DISKS}/{name}")),
        ));
    }
    for (windows, here) in &options.mounts {
        if let Some(rest) = below(windows, configured) {
            places.push((Found::Mapped, join(here.trim_matches('/'), &rest)));
        }
    }
    for (by, place) in places {
        match index.at(&place).as_slice() {
            [] => {}
            [path] => {
                return Resolution::Found {
                    path: (*path).to_owned(),
                    by,
                };
            }
            several => return ambiguous(several),
        }
    }
    let named = index.named(name);
    let shared = |path: &str| shared_end(path, configured);
    let best = named.iter().map(|path| shared(path)).max().unwrap_or(0);
    let nearest: Vec<&str> = named
        .iter()
        .copied()
        .filter(|path| shared(path) == best)
        .collect();
    match nearest.as_slice() {
        [] => Resolution::Missing,
        [path] if best >= 2 => Resolution::Found {
            path: (*path).to_owned(),
            by: Found::PathEnd,
        },
        [path] if named.len() == 1 => Resolution::Found {
            path: (*path).to_owned(),
            by: Found::UniqueName,
        },
        _ => ambiguous(named),
    }
}

/// A path without the prefix with which paths longer than 260 characters may be written.
fn plain(configured: &str) -> &str {
    configured.strip_prefix(r"\\?\").unwrap_or(configured)
}

fn parts(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split(['\\', '/']).filter(|part| !part.is_empty())
}

/// How many parts a path of the listing and a configured path have in common from the end.
fn shared_end(path: &str, configured: &str) -> usize {
    let here = path.rsplit('/').map(fold);
    here.zip(parts(plain(configured)).rev().map(fold))
        .take_while(|(a, b)| a == b)
        .count()
}

fn ambiguous(paths: &[&str]) -> Resolution {
    Resolution::Ambiguous {
        candidates: paths.iter().map(|path| (*path).to_owned()).collect(),
    }
}

/// The rest of a Windows path below a folder, with `/`.
fn below(folder: &str, path: &str) -> Option<String> {
    let normal = |text: &str| text.replace('/', "\\");
    let folder = normal(folder);
    let folder = folder.trim_end_matches('\\');
    let path = normal(path);
    // Compared part by part, so that folding cannot shift what is cut off.
    let mut rest = path.split('\\');
    for part in folder.split('\\') {
        if fold(rest.next()?) != fold(part) {
            return None;
        }
    }
    let rest: Vec<&str> = rest.collect();
    (!rest.is_empty()).then(|| rest.join("/"))
}

/// One configuration's disks, with what tells its VM from another.
pub(super) struct Claim<'a> {
    /// The VM: its checkpoints have the same number.
    pub(super) owner: usize,
    pub(super) disks: &'a mut Vec<AttachedDisk>,
}

/// What one drive says of the file that was found for it.
struct Wish {
    config: usize,
    owner: usize,
    by: Found,
    /// The configured path, spelled alike for all who mean the same.
    configured: String,
    /// How many of its parts, from the end, the file's path has.
    parts: usize,
}

impl Wish {
    /// How much speaks for this drive's right to the file, where all were led to it by its place.
    fn weight(&self) -> (bool, bool, usize) {
        (self.by.is_strong(), self.by == Found::Mapped, self.parts)
    }

    /// Whether both cannot be right: two drives of one configuration, or of two VMs, that name
    /// different files and were led to one by its place. What was found by name gives way anyhow.
    fn contradicts(&self, other: &Self) -> bool {
        let by_place = self.by.is_strong() && other.by.is_strong();
        self.configured != other.configured
            && (self.config == other.config || self.owner != other.owner && by_place)
    }
}

/// Takes back what was found by name only where another VM has a better claim, or an equal one,
/// and a file that drives with different paths were led to from all but the one whose path fits
/// it best: a missing disk must not be replaced by another disk of the same name.
pub(super) fn settle(claims: &mut [Claim<'_>], graph: &DiskGraph) {
    // Who claims a file, and on whose other disks it is a parent.
    let mut wishes = BTreeMap::<String, Vec<Wish>>::new();
    let mut parents = BTreeMap::<String, BTreeSet<usize>>::new();
    for (config, claim) in claims.iter().enumerate() {
        for disk in claim.disks.iter() {
            if let Resolution::Found { path, by } = &disk.file {
                let wish = Wish {
                    config,
                    owner: claim.owner,
                    by: *by,
                    configured: fold(&plain(&disk.configured).replace('/', "\\")),
                    parts: shared_end(path, &disk.configured),
                };
                wishes.entry(path.clone()).or_default().push(wish);
                for layer in graph.chain(path).layers.into_iter().skip(1) {
                    parents.entry(layer).or_default().insert(claim.owner);
                }
            }
        }
    }
    for (config, claim) in claims.iter_mut().enumerate() {
        for disk in claim.disks.iter_mut() {
            let Resolution::Found { path, by } = &disk.file else {
                continue;
            };
            let all = wishes.get(path).map(Vec::as_slice).unwrap_or_default();
            let configured = fold(&plain(&disk.configured).replace('/', "\\"));
            let own = all
                .iter()
                .find(|wish| wish.config == config && wish.configured == configured);
            let rival = own.and_then(|own| {
                let rivals = all.iter().filter(|other| own.contradicts(other));
                Some((own.weight(), rivals.map(Wish::weight).max()?))
            });
            match rival {
                Some((ours, theirs)) if ours < theirs => {
                    disk.file = Resolution::Missing;
                    continue;
                }
                Some((ours, theirs)) if ours == theirs => {
                    disk.file = ambiguous(&[path]);
                    continue;
                }
                _ => {}
            }
            let owners = parents.get(path);
            let is_parent = owners.is_some_and(|owners| !owners.contains(&claim.owner));
            // The name of the usual disk folder ties a file to nobody.
            let usual = fold(parent(path)).ends_with(&fold(DISKS));
            let by_name =
                !by.is_strong() && shared_end(path, &disk.configured) < 2 + usize::from(usual);
            if by_name && is_parent {
                disk.file = Resolution::Missing;
                continue;
            }
            let others = all.iter().filter(|other| other.owner != claim.owner);
            let Some(theirs) = others.map(|other| other.by).min() else {
                continue;
            };
            if by.is_strong() {
                continue;
            }
            let ours = all.iter().filter(|other| other.owner == claim.owner);
            let ours = ours.map(|wish| wish.by).min();
            // A sibling configuration of this VM may hold the file by its place.
            disk.file = match ours {
                Some(ours) if ours < theirs => continue,
                Some(ours) if ours == theirs => ambiguous(&[path]),
                _ => Resolution::Missing,
            };
        }
    }
}

/// Adds the chains of all files that were found.
pub(super) fn add_chains(disks: &mut [AttachedDisk], graph: &DiskGraph) {
    for disk in disks {
        disk.chain = disk.file.path().map(|path| graph.chain(path));
    }
}
