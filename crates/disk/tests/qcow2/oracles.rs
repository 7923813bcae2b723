//! `qemu-img` finds nothing wrong with what we write, and reads the same bytes.

use std::fs;

use hyperkeep_disk::DiskWrite;
use hyperkeep_disk::qcow2::{CLUSTER, Qcow2Writer};
use proptest::prelude::*;
use testkit::ops::ops;
use testkit::vary;
use testkit::vhd::oracle;

use crate::model::image;

const SECTORS: u64 = 20_001;

#[test]
fn qemu_reads_our_images() {
    let Some(qemu) = oracle::qemu_img("QCOW2 writer against qemu-img") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (path, raw) = (dir.path().join("disk.qcow2"), dir.path().join("disk.raw"));
    vary::runner(12)
        .run(&ops(SECTORS, 2000), |ops| {
            let mut model = vec![0; SECTORS as usize * 512];
            let (bytes, _) = image(&ops, &mut model);
            fs::write(&path, bytes).unwrap();
            fs::write(&raw, &model).unwrap();
            let check = qemu.run(&["check", "-f", "qcow2"], &[&path]);
            let told = check.map_err(TestCaseError::fail)?;
            prop_assert!(told.contains("No errors were found"), "{}", told);
            let compare = ["compare", "-f", "qcow2", "-F", "raw"];
            qemu.run(&compare, &[&path, &raw])
                .map_err(TestCaseError::fail)?;
            Ok(())
        })
        .unwrap();
}

/// Data at both ends of the largest disk, and in the middle.
#[test]
fn qemu_reads_the_largest_image() {
    let Some(qemu) = oracle::qemu_img("the largest QCOW2 against qemu-img") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.qcow2");
    let file = fs::File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    let len = 64u64 << 40;
    let mut writer = Box::new(Qcow2Writer::create(file, len).unwrap());
    for at in [0, len / 2 - 3, len - 5000] {
        writer.write_at(at, &[0xA5; 5000]).unwrap();
    }
    writer.finish().unwrap();
    let told = qemu.run(&["check", "-f", "qcow2"], &[&path]).unwrap();
    assert!(told.contains("No errors were found"), "{told}");
    let info = qemu.run(&["info", "--output=json"], &[&path]).unwrap();
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["virtual-size"], len);
    assert_eq!(info["format"], "qcow2");
    assert_eq!(info["format-specific"]["data"]["lazy-refcounts"], false);
    let map = qemu.run(&["map", "--output=json"], &[&path]).unwrap();
    let map: serde_json::Value = serde_json::from_str(&map).unwrap();
    // Within a cluster `qemu-img` looks at the file's own holes as well.
    let data = map.as_array().unwrap().iter();
    let data = data.filter(|part| part["present"] == true);
    let mut data: Vec<_> = data
        .map(|part| part["start"].as_u64().unwrap() / CLUSTER * CLUSTER)
        .collect();
    data.dedup();
    let middle = len / 2;
    assert_eq!(data, [0, middle - CLUSTER, middle, len - CLUSTER]);
}
