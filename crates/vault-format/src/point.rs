//! Restore points: sealed, signed manifests, and the only roots of a vault.
//!
//! ```text
//! header | sealed outline | sealed details | signature
//! ```
//!
//! The [`Outline`] is sealed under the map key: what the next incremental needs, what a list
//! shows, and the root of *every* map that the point uses, so that whoever marks what is in use
//! needs no private key. The [`Details`] are sealed under a random data key, wrapped to the
//! public data key like a data pack's: names, configuration, checkpoints, findings.
//!
//! Both are JSON, compressed. Members that this program does not know are kept; what a reader
//! must know to restore rightly is listed under `required`, and refused by name if unknown.
//! `docs/format/point.md` has the tables.

mod details;
mod outline;
mod sealed;

pub use details::{
    Checkpoint, Details, DiskDetails, FileDetails, Finding, LayerDetails, NotCovered, Severity,
    VmIdentity,
};
pub use outline::{Consistency, FileRef, LayerRef, Level, Outline};
pub use sealed::{PointOpener, SealedPoint, seal_point};
pub(crate) use sealed::{parse_details, parse_outline};

/// Features of points that this program knows.
pub const POINT_FEATURES: &[&str] = &[];
/// Largest outline, and largest details, in bytes of JSON.
pub const MAX_SECTION_LEN: usize = 16 << 20;
/// Most layers, files, disks, checkpoints, findings … of one point.
pub const MAX_ITEMS: usize = 1 << 16;

use crate::error::{Error, Result, limit};

fn check_features(what: &'static str, required: &[String]) -> Result<()> {
    let names: Vec<String> = required
        .iter()
        .filter(|name| !POINT_FEATURES.contains(&name.as_str()))
        .cloned()
        .collect();
    if !names.is_empty() {
        return Err(Error::UnknownFeature {
            object: what,
            names,
        });
    }
    Ok(())
}

/// The ids of a list, each of which must be there once.
fn distinct<K: Ord + std::fmt::Display + Copy>(
    what: &'static str,
    items: &'static str,
    ids: impl ExactSizeIterator<Item = K>,
) -> Result<std::collections::BTreeSet<K>> {
    limit(what, items, ids.len() as u64, MAX_ITEMS as u64)?;
    let mut seen = std::collections::BTreeSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(Error::damaged(what, format!("two {items} with id {id}")));
        }
    }
    Ok(seen)
}

#[cfg(test)]
mod tests;
