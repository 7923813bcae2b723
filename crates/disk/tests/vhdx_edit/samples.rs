//! Files that Windows made, changed in place.

use std::sync::Arc;

use hyperkeep_disk::vhdx::{VhdxEditor, VhdxImage};
use hyperkeep_disk::{BlockRead, ByteRange, Content, MemFile};
use testkit::vhd::oracle;

use crate::model::ids;

#[test]
fn a_file_made_by_windows_takes_changes() {
    let Some(dir) = oracle::samples("changed VHDX samples") else {
        return;
    };
    let Some(qemu) = oracle::qemu_img("changed VHDX samples") else {
        return;
    };
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("changed.vhdx");
    for name in ["swap", "btrfs"] {
        let bytes = oracle::gunzip(&dir.join(format!("{name}.vhdx.gz"))).unwrap();
        let before = VhdxImage::open(&bytes[..]).unwrap();
        let len = before.len();
        let file = Arc::new(MemFile::new(bytes.clone()));
        let mut editor = VhdxEditor::open(file.clone(), ids(1)).unwrap();
        let places = [0, len / 3 / 512 * 512, len - 4096];
        for (n, at) in places.into_iter().enumerate() {
            editor.write_at(at, &[n as u8 + 1; 4096]).unwrap();
            editor.sync().unwrap();
        }
        let zeros = ByteRange::new(len / 2 / 512 * 512, len / 2 / 512 * 512 + 65536);
        editor.write_zeros(zeros).unwrap();
        editor.close().unwrap();

        let after = VhdxImage::open(file.bytes()).unwrap();
        for window in hyperkeep_disk::block::windows(len, 4 << 20) {
            let extents = after.extents(window).unwrap();
            if before.extents(window).unwrap() == extents
                && extents.iter().all(|extent| extent.content == Content::Hole)
            {
                continue;
            }
            let mut expected = vec![0; window.len() as usize];
            before.read_at(window.start, &mut expected).unwrap();
            let changes = places.into_iter().enumerate();
            let changes = changes.map(|(n, at)| (ByteRange::new(at, at + 4096), n as u8 + 1));
            for (range, byte) in changes.chain([(zeros, 0)]) {
                if let Some(part) = range.intersect(&window) {
                    let start = (part.start - window.start) as usize;
                    expected[start..start + part.len() as usize].fill(byte);
                }
            }
            let mut found = vec![1; window.len() as usize];
            after.read_at(window.start, &mut found).unwrap();
            assert!(found == expected, "{name} {window:?}");
        }
        std::fs::write(&path, file.bytes()).unwrap();
        qemu.run(&["check", "-f", "vhdx"], &[&path]).unwrap();
    }
}
