//! The corpora of fuzz targets whose other tests need tools of Unix.
#![allow(clippy::duplicate_mod, reason = "models share what they walk with")]

extern crate disk as hyperkeep_disk;

use testkit::corpus;

#[allow(dead_code, reason = "other tests need more of it")]
#[path = "fuzz/exfat.rs"]
mod exfat;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "fuzz/fat.rs"]
mod fat;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "fuzz/lvm.rs"]
mod lvm;

#[test]
fn guestfs_exfat() {
    corpus::replay("guestfs_exfat", exfat::check);
}

#[test]
fn guestfs_fat() {
    corpus::replay("guestfs_fat", fat::check);
}

#[test]
fn guestfs_lvm() {
    corpus::replay("guestfs_lvm", lvm::check);
}
