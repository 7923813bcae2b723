//! Whether all disks can be read, and what will be overwritten of all of them be kept: what one of them takes
//! of a file system is not there for the next.
//!
//! So all are compared before one is written, as far as one comparison goes, which is nearly always the
//! whole disk: one that must fail keeps all from being written.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::folder_of;
use super::write::Ready;
use super::{AGAIN, RollbackError};
use crate::finding::Finding;
use crate::pipeline::Stop;
use crate::restore::disks::cancelled;
use crate::restore::{Opened, Task};

/// Looks at all of them. Those that may be written, and what is against that; then none may, if something
/// `writes` at all.
pub(super) fn looked(
    task: &Task<'_>,
    point: &Opened,
    mut ready: Vec<Ready>,
    writes: bool,
) -> Result<(Vec<Ready>, Vec<Finding>), Finding> {
    let mut against = Vec::new();
    for one in &mut ready {
        match one.look(task, point) {
            Ok(()) => {}
            Err(Stop::Cancelled) => return Err(cancelled(&point.details, AGAIN)),
            // Where nothing is written it is met again, and told then.
            Err(_) if !writes => {}
            Err(Stop::Failed(error)) => against.push(error.finding(one.file())),
            Err(stop) => {
                let error = RollbackError::NotReady(stop.to_string());
                against.push(error.finding(one.file()));
            }
        }
    }
    against.extend(short(&ready));
    if writes && !against.is_empty() {
        ready.clear();
    }
    Ok((ready, against))
}

fn short(ready: &[Ready]) -> Vec<Finding> {
    let mut parts = Vec::new();
    for one in ready {
        let folder = folder_of(one.file());
        let part = one.needs().and_then(|needed| {
            let volume = volume(folder).map_err(RollbackError::Image)?;
            let free = hostfile::free(folder).map_err(RollbackError::Image)?;
            Ok((volume, needed, free))
        });
        match part {
            Ok(part) => parts.push((folder, part)),
            Err(error) => return vec![error.finding(one.file())],
        }
    }
    let all = parts.iter().map(|(folder, part)| (*folder, part));
    let lacks = lacks(all).into_iter();
    let told =
        lacks.map(|(folder, needed, free)| RollbackError::Full { needed, free }.finding(folder));
    told.collect()
}

/// On which volumes less is free than all need together: the first folder on it, what is needed, what is
/// free.
fn lacks<'f>(
    parts: impl Iterator<Item = (&'f Path, &'f (String, u64, Option<u64>))>,
) -> Vec<(&'f Path, u64, u64)> {
    let mut volumes: BTreeMap<&str, (&Path, u64, Option<u64>)> = BTreeMap::new();
    for (folder, (volume, needed, free)) in parts {
        let all = volumes.entry(volume).or_insert((folder, 0, *free));
        all.1 = all.1.saturating_add(*needed);
    }
    let lacks = volumes.into_values();
    let lacks = lacks.filter_map(|(folder, needed, free)| Some((folder, needed, free?)));
    lacks.filter(|(_, needed, free)| needed > free).collect()
}

/// What the file systems of folders are told apart by.
#[cfg(unix)]
fn volume(folder: &Path) -> io::Result<String> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(folder.metadata()?.dev().to_string())
}

/// By the drive or share: one that is mounted in a folder of another counts as that.
#[cfg(not(unix))]
fn volume(folder: &Path) -> io::Result<String> {
    let whole = folder.canonicalize()?;
    let first = whole.components().next();
    let first = first.map(|first| first.as_os_str().to_string_lossy().into_owned());
    Ok(first.unwrap_or_default().to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_disks_of_one_volume_need_is_summed() {
        let part = |volume: &str, needed, free| (volume.to_owned(), needed, free);
        let of = |all: &[(String, u64, Option<u64>)]| -> Vec<(u64, u64)> {
            let all = all.iter().map(|part| (Path::new("f"), part));
            lacks(all)
                .into_iter()
                .map(|(_, needed, free)| (needed, free))
                .collect()
        };
        let two = [part("C", 6, Some(10)), part("C", 5, Some(10))];
        assert_eq!(of(&two), [(11, 10)]);
        assert_eq!(of(&two[..1]), []);
        // On two volumes, and where nothing is told.
        assert_eq!(of(&[part("C", 6, Some(10)), part("D", 5, Some(10))]), []);
        assert_eq!(of(&[part("C", 6, None), part("C", u64::MAX, None)]), []);
        assert_eq!(
            of(&[part("C", 6, Some(9)), part("C", u64::MAX, Some(9))]),
            [(u64::MAX, 9)]
        );
    }

    #[test]
    fn folders_of_one_file_system_are_one_volume() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("below");
        std::fs::create_dir(&below).unwrap();
        assert_eq!(volume(dir.path()).unwrap(), volume(&below).unwrap());
        assert!(volume(&dir.path().join("gone")).is_err());
    }
}
