//! ext2, ext3 and ext4 as the kernel, debugfs and e2fsck read them.
extern crate disk as hyperkeep_disk;

#[cfg(unix)]
mod support;

#[cfg(unix)]
#[path = "ext/damage.rs"]
mod damage;
#[cfg(unix)]
#[path = "ext/dirty.rs"]
mod dirty;
#[cfg(unix)]
#[path = "ext/journals.rs"]
mod journals;
#[cfg(unix)]
#[path = "ext/make.rs"]
mod make;
#[path = "fuzz/ext.rs"]
mod model;
#[cfg(unix)]
#[path = "ext/states.rs"]
mod states;
#[cfg(unix)]
#[path = "ext/variants.rs"]
mod variants;

#[test]
fn guestfs_ext() {
    testkit::corpus::replay("guestfs_ext", model::check);
}
