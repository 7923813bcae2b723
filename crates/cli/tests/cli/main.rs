//! The real program, driven as people and scripts drive it.

mod allow_damaged;
mod bench;
mod browse;
#[cfg(unix)]
mod browse_screen;
mod damage;
mod doctor;
mod documented;
#[cfg(unix)]
mod each_step;
mod elsewhere;
mod estimate;
mod exported;
mod golden;
mod guest_checkpoints;
#[cfg(unix)]
mod guest_diff;
#[cfg(unix)]
mod guest_diff_within;
#[cfg(unix)]
mod guest_driver;
#[cfg(unix)]
mod guest_files;
#[cfg(unix)]
mod guest_keys;
#[cfg(unix)]
mod guest_locked;
#[cfg(unix)]
mod guest_metadata;
#[cfg(unix)]
mod guest_names;
#[cfg(unix)]
mod guest_zip;
#[cfg(unix)]
mod hooks;
mod host;
mod host_vhd;
mod hosts;
mod import;
mod in_place;
mod in_place_left;
mod installations;
mod killed;
mod lab;
mod memory;
mod names;
mod nodes;
#[cfg(unix)]
mod orders;
mod overwrite;
mod parents;
mod patterns;
mod roundtrip;
mod secrets;
mod simulate;
#[cfg(unix)]
mod smb;
#[cfg(unix)]
mod stage;
mod start;
mod verified;
mod vm_clashes;
mod vm_folder;
mod vm_in_place;
#[cfg(unix)]
mod vm_killed;
mod vm_plan;
mod vm_plan_findings;
mod vm_replace;
mod vm_restore;
mod vm_saved;
mod vm_tree;
mod vms;
mod words;

use testkit::floppy;
