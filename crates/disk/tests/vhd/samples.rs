//! Images from elsewhere, where they are present.

use hyperkeep_disk::layer::{Layer, PathKind, VhdKind};
use hyperkeep_disk::vhd::{Checksums, VhdImage};
use hyperkeep_disk::{BlockRead, ByteRange, Content};
use testkit::vhd::oracle;

use crate::model::read;

#[test]
fn a_differencing_image_made_by_windows() {
    let Some(dir) = oracle::samples("fat-differential.vhd") else {
        return;
    };
    let bytes = oracle::gunzip(&dir.join("fat-differential.vhd.gz")).unwrap();
    let disk = VhdImage::open(&bytes[..]).unwrap();
    assert!(disk.findings().is_empty(), "{:?}", disk.findings());
    assert_eq!(disk.footer().kind, VhdKind::Differencing);
    assert_eq!(&disk.footer().creator_app, b"win ");
    let link = disk.info().parent.as_ref().unwrap();
    for kind in [PathKind::Relative, PathKind::Absolute] {
        let path = link.paths.iter().find(|path| path.kind == kind);
        assert!(
            path.is_some_and(|path| path.path.ends_with(".vhd")),
            "{link:?}"
        );
    }
    let extents = disk.extents(ByteRange::new(0, disk.len())).unwrap();
    let data: u64 = extents
        .iter()
        .filter(|extent| extent.content == Content::Data)
        .map(|extent| extent.range.len())
        .sum();
    assert!(data > 0 && data < disk.len(), "{data} of {}", disk.len());
}

#[test]
fn an_ordinary_image_reads_as_qemu_reads_it() {
    let Some(dir) = oracle::samples("ext2.vhd") else {
        return;
    };
    let Some(qemu) = oracle::qemu_img("ext2.vhd") else {
        return;
    };
    let bytes = oracle::gunzip(&dir.join("ext2.vhd.gz")).unwrap();
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("ext2.vhd");
    std::fs::write(&path, &bytes).unwrap();
    let disk = VhdImage::open(bytes).unwrap();
    let (ours, theirs) = (read(&disk), qemu.read("vpc", &path).unwrap());
    let common = ours.len().min(theirs.len());
    assert!(ours[..common] == theirs[..common]);
    assert!(ours.len().abs_diff(theirs.len()) <= disk.footer().chs.cylinder() as usize);
}

#[test]
fn images_with_wrong_checksums_open_only_on_request() {
    let Some(dir) = oracle::samples("image-differential.vhd") else {
        return;
    };
    let bytes = oracle::gunzip(&dir.join("image-differential.vhd.gz")).unwrap();
    assert!(VhdImage::open(&bytes[..]).is_err());
    let disk = VhdImage::open_with(&bytes[..], Checksums::Report).unwrap();
    assert!(!disk.findings().is_empty());
    read(&disk);
}
