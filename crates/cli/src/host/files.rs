//! The way to a host's files. A further one, such as a share, is one more arm here.

use std::sync::Arc;

use hyperv::files::{HostFiles, HostPath, MappedFiles, PathMap};

use super::HostAddress;
use crate::args::HostArgs;
use crate::failure::{Failure, Result};

/// The way to the files of a host.
///
/// # Errors
/// When the command line names none: a backup without disks is none.
pub(crate) fn files(address: &HostAddress, args: &HostArgs) -> Result<Arc<dyn HostFiles>> {
    if args.map.is_empty() {
        return Err(
            Failure::usage(format!("{address}: nothing says how its files are reached"))
                .hint(r"mount its disks here and map them: --map 'C:\VMs=/mnt/vms'"),
        );
    }
    let map = args.map.iter().try_fold(PathMap::new(), |map, rule| {
        let (folder, here) = mapping(rule)?;
        Ok::<_, Failure>(map.with(folder, here))
    })?;
    Ok(Arc::new(MappedFiles::new(map)))
}

/// A folder of the host and where it is found here.
fn mapping(rule: &str) -> Result<(HostPath, &str)> {
    let bad = |why: String| {
        Failure::usage(format!("--map {rule}: {why}")).hint(r"write FOLDER=HERE: 'C:\VMs=/mnt/vms'")
    };
    let (folder, here) = rule
        .split_once('=')
        .ok_or_else(|| bad("it says not where the folder is found here".to_owned()))?;
    if here.is_empty() {
        return Err(bad("it says not where the folder is found here".to_owned()));
    }
    let folder = HostPath::parse(folder).map_err(|error| bad(error.to_string()))?;
    // What is not there now would look like a host without disks.
    if !std::path::Path::new(here).is_dir() {
        return Err(
            Failure::new(format!("{here}: is not a folder that is there"))
                .hint("mount the host's disk or share there, or see to --map"),
        );
    }
    Ok((folder, here))
}
