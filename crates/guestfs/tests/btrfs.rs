//! btrfs as the kernel writes and reads it, and as its own tools do; whole, in use, and damaged.

extern crate disk as hyperkeep_disk;

#[cfg(unix)]
#[path = "btrfs/damage.rs"]
mod damage;
#[path = "fuzz/btrfs.rs"]
mod model;
#[cfg(unix)]
#[path = "btrfs/kernel.rs"]
mod reads;
#[cfg(unix)]
#[path = "btrfs/subvolumes.rs"]
mod subvolumes;
mod support;
#[cfg(unix)]
#[path = "btrfs/written.rs"]
mod written;

use testkit::{corpus, vary};

#[test]
fn guestfs_btrfs() {
    corpus::replay("guestfs_btrfs", model::check);
}

/// Changes anywhere in metadata, with checksums made right behind them.
#[test]
fn damaged_metadata_is_no_panic_and_no_loop() {
    for case in 0..u64::from(vary::cases(400)) {
        let seed = vary::seed(1).wrapping_add(case);
        let noise = testkit::image::noise(seed, 8 * (1 + case as usize % 5));
        model::check(&noise);
    }
}
