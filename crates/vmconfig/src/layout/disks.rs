//! From the Windows path in a configuration to a file of the listing.

use serde::{Deserialize, Serialize};

use super::classify::{join, parent};
use super::index::{Index, fold};
use super::{AttachedDisk, DiskGraph, Options, Resolution};
use crate::model::VmConfig;

/// The folder in which Hyper-V keeps disks.
pub(super) const DISKS: &str = "Virtual Hard Disks";

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
    pub(super) fn is_strong(self) -> bool {
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
pub(super) fn plain(configured: &str) -> &str {
    configured.strip_prefix(r"\\?\").unwrap_or(configured)
}

fn parts(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split(['\\', '/']).filter(|part| !part.is_empty())
}

/// How many parts a path of the listing and a configured path have in common from the end.
pub(super) fn shared_end(path: &str, configured: &str) -> usize {
    let here = path.rsplit('/').map(fold);
    here.zip(parts(plain(configured)).rev().map(fold))
        .take_while(|(a, b)| a == b)
        .count()
}

pub(super) fn ambiguous(paths: &[&str]) -> Resolution {
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

/// Adds the chains of all files that were found.
pub(super) fn add_chains(disks: &mut [AttachedDisk], graph: &DiskGraph) {
    for disk in disks {
        disk.chain = disk.file.path().map(|path| graph.chain(path));
    }
}
