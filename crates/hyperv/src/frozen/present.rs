//! Whether the files at hand are the host's own.
//!
//! A host's folder can be mapped to a copy of it, to yesterday's snapshot of a file server, or to
//! the folder of another host whose VMs are named alike: then everything can be read, and nothing of
//! it is what the checkpoint holds still. The checkpoint gives a proof: since then the VM writes to
//! a file that did not exist before, under a name that nobody uses twice, and where that one is not,
//! the present is not.

use std::time::Duration;

use cim::job::Pace;

use crate::files::{FileProblem, HostFiles, HostPath};
use crate::ids;

/// How long a name that is new may be unknown: file servers and mounts remember for some seconds
/// what is not there.
const MOST_WAIT: Duration = Duration::from_secs(15);
const WAIT: Duration = Duration::from_secs(1);

/// Why the file of a frozen disk is not the host's own, if that is so. `now` is the file that the
/// disk is written to since the checkpoint.
///
/// Where nothing can be told, as when that file is in a folder that nobody maps, nothing is.
pub(super) fn stale(
    pace: &dyn Pace,
    files: &dyn HostFiles,
    frozen: &str,
    now: &str,
) -> Option<String> {
    if ids::fold(frozen) == ids::fold(now) {
        return None;
    }
    let path = HostPath::parse(now).ok()?;
    let begun = pace.now();
    loop {
        match files.len(&path) {
            Err(error) if matches!(error.problem, FileProblem::NotFound) => {}
            _ => return None,
        }
        if pace.now().saturating_sub(begun) >= MOST_WAIT || pace.cancelled() {
            return Some(format!(
                "it was found where {now} is not, which the VM writes to by now: that folder is a \
                 copy, or another host's"
            ));
        }
        pace.sleep(WAIT);
    }
}
