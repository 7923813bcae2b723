//! What an earlier run of a restore has written by now.

use std::collections::BTreeMap;

use super::VmPlan;
use super::write::{VmPlaces, folders, in_folder};
use crate::restore::journal::Journal;
use crate::restore::plan::DisksPlan;
use crate::restore::room::allocated;
use crate::restore::spots::told;
use crate::restore::{Opened, Task};

/// Bytes that the disks of a plan take by now which an earlier run of it has begun, by their paths on the
/// host.
pub fn written_earlier(
    task: &Task<'_>,
    opened: &Opened,
    planned: &VmPlan,
    places: &VmPlaces,
) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for (folder, which) in folders(places) {
        let plan = DisksPlan {
            files: in_folder(&planned.files, &which, places),
            findings: Vec::new(),
        };
        // What cannot be read tells nothing: then it is needed once more.
        let journal = Journal::look(folder, &told(task, opened, &plan))
            .ok()
            .flatten();
        let Some(journal) = journal else { continue };
        for (number, disk) in which.iter().enumerate() {
            let whole = journal.whole(number).map(|whole| whole.path(folder));
            // One that is whole takes no more, whatever it has of holes.
            let (file, is_whole) = match whole {
                Some(file) => (file, true),
                None => (journal.temp(number), false),
            };
            if let (Ok(about), Some(disk)) =
                (file.symlink_metadata(), planned.plan.disks.get(*disk))
            {
                let bytes = match is_whole {
                    true => disk.bytes,
                    false => allocated(&about),
                };
                all.insert(disk.to.clone(), bytes);
            }
        }
    }
    all
}
