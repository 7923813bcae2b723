//! Files that Windows wrote, read by us and by qemu-img.

use std::fs::{self, File};
use std::process::Command;

use hyperkeep_disk::vhdx::VhdxImage;
use hyperkeep_disk::{Format, Layer};
use testkit::vhd::oracle;

use crate::compare::assert_reads_like_qemu;

#[test]
fn files_that_windows_wrote_read_as_qemu_reads_them() {
    let name = "files_that_windows_wrote_read_as_qemu_reads_them";
    let (Some(samples), Some(qemu)) = (oracle::samples(name), oracle::qemu_img(name)) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let mut count = 0;
    for entry in fs::read_dir(samples).expect("the samples") {
        let path = entry.expect("a sample").path();
        if !path.to_string_lossy().ends_with(".vhdx.gz") {
            continue;
        }
        let plain = folder.path().join(path.file_stem().expect("a name"));
        // By way of a pipe into the file: the largest has 675 MB.
        let status = Command::new("gzip")
            .arg("-dc")
            .arg(&path)
            .stdout(File::create(&plain).expect("a file"))
            .status();
        assert!(status.expect("gzip").success());
        let image = VhdxImage::open(File::open(&plain).expect("the file")).expect("an image");
        assert_reads_like_qemu(&qemu, &image, &plain);
        let Format::Vhdx(info) = &image.info().format else {
            panic!("not VHDX");
        };
        assert!(info.creator.starts_with("Microsoft Windows"), "{info:?}");
        assert_eq!(image.findings(), [""; 0], "{}", plain.display());
        fs::remove_file(plain).expect("removing");
        count += 1;
    }
    assert!(count > 0, "no *.vhdx.gz among the samples");
}
