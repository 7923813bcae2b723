//! VHD and VHDX files are written without holes: Windows attaches none whose file is sparse.

use std::fs::File;
use std::sync::Arc;

use hyperkeep_disk::raw::AllocationProbe;
use hyperkeep_disk::vhd::{VhdLayout, VhdParams, VhdWriter};
use hyperkeep_disk::vhdx::{VhdxLayout, VhdxParams, VhdxWriter};
use hyperkeep_disk::{ByteRange, DiskWrite, Geometry, ReadAt};
use testkit::vhd::oracle;
use uuid::Uuid;

const LEN: u64 = 40 << 20;

fn vhdx(file: Arc<File>, layout: VhdxLayout) -> Box<dyn DiskWrite> {
    let params = VhdxParams {
        geometry: Geometry {
            len: LEN,
            logical_sector: 512,
            physical_sector: 4096,
        },
        block_size: 8 << 20,
        layout,
        disk_id: Uuid::from_u128(1),
        data_write_guid: Uuid::from_u128(2),
        file_write_guid: Uuid::from_u128(3),
        creator: "test".into(),
        metadata: vec![],
    };
    Box::new(VhdxWriter::create(file, &params).unwrap())
}

fn vhd(file: Arc<File>, layout: VhdLayout) -> Box<dyn DiskWrite> {
    let params = VhdParams {
        len: LEN,
        unique_id: Uuid::from_u128(1),
        timestamp: 0,
        layout,
    };
    Box::new(VhdWriter::create(file, &params).unwrap())
}

#[test]
fn no_image_that_windows_attaches_has_holes() {
    let dir = tempfile::tempdir().unwrap();
    let block_size = 2 << 20;
    type Start = Box<dyn Fn(Arc<File>) -> Box<dyn DiskWrite>>;
    let starts: [Start; 4] = [
        Box::new(|file| vhdx(file, VhdxLayout::Dynamic)),
        Box::new(|file| vhdx(file, VhdxLayout::Fixed)),
        Box::new(move |file| vhd(file, VhdLayout::Dynamic { block_size })),
        Box::new(|file| vhd(file, VhdLayout::Fixed)),
    ];
    for (number, start) in starts.iter().enumerate() {
        let path = dir.path().join(format!("{number}"));
        let file = File::options();
        let file = file
            .clone()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path);
        let file = Arc::new(file.unwrap());
        let mut writer = start(file.clone());
        // Little in each of two blocks, and much that nobody writes.
        for at in [3 << 20, 20 << 20] {
            writer.write_at(at, &[7; 5000]).unwrap();
        }
        writer.finish().unwrap();
        let whole = ByteRange::new(0, ReadAt::len(&*file).unwrap());
        let nothing = File::create_new(dir.path().join(format!("{number} hole"))).unwrap();
        nothing.set_len(whole.end).unwrap();
        if nothing.allocated(whole).unwrap().total() > 0 {
            oracle::skip("no_image_has_holes", "this system does not tell holes");
            return;
        }
        assert_eq!(
            file.allocated(whole).unwrap().total(),
            whole.end,
            "{number}"
        );
    }
}
