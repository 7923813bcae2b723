//! Images that other programs wrote, where they are present: what is on them, beside what the kernel reads.
#![cfg(unix)]

extern crate disk as hyperkeep_disk;

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyperkeep_guestfs::Device;
use hyperkeep_guestfs::probe::What;
use hyperkeep_guestfs::volumes::{Found, find};
use testkit::vhd::oracle;

use support::kernel::{Mounted, tree};
use support::{image, read, same};

/// An image out of its archive, as the bytes that qemu-img reads of it.
struct Sample {
    folder: tempfile::TempDir,
}

impl Sample {
    fn new(name: &str) -> Option<Self> {
        let archive = oracle::samples(name)?.join(format!("{name}.gz"));
        if !archive.exists() {
            oracle::skip(name, "the sample is not there");
            return None;
        }
        let qemu = oracle::qemu_img(name)?;
        let folder = tempfile::tempdir().unwrap();
        let sample = Self { folder };
        std::fs::write(sample.path(), oracle::gunzip(&archive).unwrap()).unwrap();
        qemu.run(&["convert", "-O", "raw"], &[&sample.path(), &sample.flat()])
            .unwrap();
        Some(sample)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn flat(&self) -> PathBuf {
        self.folder.path().join("flat")
    }

    /// What is on it, as we read it without qemu-img.
    fn found(&self, open: impl Fn(&Path) -> Device) -> Found {
        let found = find(&[("d0".to_owned(), open(&self.path()))]);
        assert!(found.unreadable.is_empty() && found.oddities.is_empty());
        found
    }

    /// Fails unless the kernel reads the same tree of the part from a byte on.
    fn same_as_the_kernel(&self, found: &Found, kind: &str, options: &str) {
        let volume = &found.volumes[0];
        let at = volume.partition.as_ref().map_or(0, |one| one.range.start);
        let options = format!("ro,offset={at},sizelimit={}{options}", volume.len);
        let Some(mounted) = Mounted::kernel(kind, &self.flat(), kind, &options) else {
            return;
        };
        same(&read(&*volume.open().unwrap()), &tree(&mounted.path()));
    }
}

fn vhdx(path: &Path) -> Device {
    let file = std::fs::File::open(path).unwrap();
    Arc::new(hyperkeep_disk::vhdx::VhdxImage::open(file).unwrap())
}

fn vhd(path: &Path) -> Device {
    let file = std::fs::File::open(path).unwrap();
    Arc::new(hyperkeep_disk::vhd::VhdImage::open(file).unwrap())
}

fn kinds(found: &Found) -> Vec<(&str, What)> {
    let volumes = found.volumes.iter();
    volumes.map(|one| (one.name.as_str(), one.what)).collect()
}

#[test]
fn btrfs_in_a_partition() {
    let Some(sample) = Sample::new("btrfs.vhdx") else {
        return;
    };
    let found = sample.found(vhdx);
    assert_eq!(kinds(&found), [("d0p1", What::Btrfs)]);
    sample.same_as_the_kernel(&found, "btrfs", "");
}

#[test]
fn xfs_in_a_partition() {
    let Some(sample) = Sample::new("xfs.vhdx") else {
        return;
    };
    let found = sample.found(vhdx);
    assert_eq!(kinds(&found), [("d0p1", What::Xfs)]);
    sample.same_as_the_kernel(&found, "xfs", ",norecovery");
}

#[test]
fn ext2_on_a_whole_disk() {
    let Some(sample) = Sample::new("ext2.vhd") else {
        return;
    };
    let found = sample.found(vhd);
    assert_eq!(kinds(&found), [("d0", What::Ext)]);
    sample.same_as_the_kernel(&found, "ext4", "");
    // The same file system in the bytes that qemu-img reads.
    let flat = find(&[("d0".to_owned(), image(&sample.flat()))]);
    let ours = read(&*found.volumes[0].open().unwrap());
    assert!(!ours.is_empty());
    same(&ours, &read(&*flat.volumes[0].open().unwrap()));
}

#[test]
fn swap_on_a_whole_disk() {
    let Some(sample) = Sample::new("swap.vhdx") else {
        return;
    };
    let found = sample.found(vhdx);
    assert_eq!(kinds(&found), [("d0", What::Swap)]);
    assert!(found.volumes[0].open().is_err());
}
