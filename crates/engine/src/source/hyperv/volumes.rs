//! What a VM's disks tell of its guest's volumes.
//!
//! Whether a guest can settle for a backup hangs on its volumes, which its host knows nothing of. The
//! partition tables of the frozen disks tell of one reason why it does not: dynamic disks.

use guestfs::partitions::Table;
use hyperv::frozen::FrozenDisk;

use crate::finding::{Code, Finding};

/// Names dynamic disks. A disk that cannot be read is told by who reads all of it.
pub(super) fn told(disks: &[FrozenDisk]) -> Vec<Finding> {
    let dynamic = disks.iter().filter(|disk| {
        let table = Table::read(&disk.chain);
        table.is_ok_and(|table| table.is_dynamic())
    });
    let tell = |disk: &FrozenDisk| {
        let message = format!(
            "{} is a dynamic disk of its guest: guests with dynamic disks do not settle for a backup, \
             and a volume of it may lie on other disks as well",
            disk.medium.location
        );
        Finding::note(Code::GuestVolumes, disk.medium.path.clone(), message).hint(
            "back up all dynamic disks of the VM together; have the guest use basic disks or storage \
             spaces if its applications are to take part",
        )
    };
    dynamic.map(tell).collect()
}
