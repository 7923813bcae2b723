//! Random writes against a flat array.

use std::sync::Arc;

use hyperkeep_disk::qcow2::{CLUSTER, Qcow2Writer};
use hyperkeep_disk::{ByteRange, DiskWrite, MemFile};
use proptest::prelude::*;
use testkit::ops::{Op, apply, ops};

use crate::reader::read;

/// Writes an image into memory.
pub(crate) fn image(ops: &[Op], model: &mut [u8]) -> (Vec<u8>, Vec<bool>) {
    let file = Arc::new(MemFile::default());
    let mut writer = Box::new(Qcow2Writer::create(file.clone(), model.len() as u64).unwrap());
    let mentioned = apply(ops, writer.as_mut(), model);
    writer.finish().unwrap();
    (file.bytes(), mentioned)
}

proptest! {
    #![proptest_config(testkit::vary::config(48))]

    #[test]
    fn images_read_back_what_was_written(
        ops in ops(4001, 900), unaligned in (0u64..1_500_000, 1usize..99_999),
    ) {
        let mut model = vec![0; 4001 * 512];
        let file = Arc::new(MemFile::default());
        let mut writer = Box::new(Qcow2Writer::create(file.clone(), model.len() as u64).unwrap());
        apply(&ops, writer.as_mut(), &mut model);
        // Any alignment.
        let (at, n) = unaligned;
        writer.write_at(at, &vec![0xEE; n]).unwrap();
        let zeros = ByteRange::new(at + n as u64 / 3, at + n as u64 / 2);
        writer.write_zeros(zeros).unwrap();
        model[at as usize..at as usize + n].fill(0xEE);
        model[zeros.start as usize..zeros.end as usize].fill(0);
        writer.finish().unwrap();
        prop_assert!(read(&file.bytes()).unwrap().0 == model);
    }

    #[test]
    fn only_clusters_that_were_written_take_room(ops in ops(4001, 300)) {
        let mut model = vec![0; 4001 * 512];
        let (bytes, _) = image(&ops, &mut model);
        let (_, stored) = read(&bytes).unwrap();
        let mut wanted = vec![false; stored.len()];
        for op in ops.iter().filter(|op| op.byte.is_some()) {
            let range = op.range(512);
            let last = (range.end - 1) / CLUSTER;
            wanted[(range.start / CLUSTER) as usize..=last as usize].fill(true);
        }
        prop_assert_eq!(stored, wanted);
    }
}

/// More tables than are kept in memory, each met again after all the others.
#[test]
fn tables_that_left_memory_are_read_back() {
    const SPAN: u64 = 512 << 20;
    let file = Arc::new(MemFile::default());
    let mut writer = Box::new(Qcow2Writer::create(file.clone(), 40 * SPAN).unwrap());
    for round in 0..3u64 {
        for table in 0..40u64 {
            let at = table * SPAN + round * (CLUSTER + 700);
            writer.write_at(at, &[table as u8 + 1; 700]).unwrap();
        }
    }
    writer.write_zeros(ByteRange::new(0, 40 * SPAN)).unwrap();
    for table in 0..40u64 {
        writer
            .write_at(table * SPAN + 9, &[table as u8 + 1])
            .unwrap();
    }
    writer.finish().unwrap();
    let bytes = file.bytes();
    // A header, an L1 table, 40 L2 tables, 3 clusters each, a refcount block and a table.
    assert_eq!(bytes.len() as u64, CLUSTER * (2 + 40 + 120 + 2));
    let l1 = |table: usize| {
        let at = CLUSTER as usize + table * 8;
        u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap()) & !(1 << 63)
    };
    for table in 0..40 {
        let at = l1(table) as usize;
        let entry = u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap()) & !(1 << 63);
        let cluster = &bytes[entry as usize..][..CLUSTER as usize];
        assert_eq!(cluster[9], table as u8 + 1);
        assert_eq!(cluster.iter().filter(|byte| **byte != 0).count(), 1);
    }
}

#[test]
fn what_the_format_cannot_hold_is_refused() {
    for len in [0, 511, 513, (64 << 40) + 512] {
        assert!(
            Qcow2Writer::create(MemFile::default(), len).is_err(),
            "{len}"
        );
    }
    assert!(Qcow2Writer::create(MemFile::new(vec![0]), 512).is_err());
    let mut writer = Qcow2Writer::create(MemFile::default(), 1024).unwrap();
    assert!(writer.write_at(1000, &[0; 25]).is_err());
    assert!(writer.write_zeros(ByteRange::new(0, 1025)).is_err());
}
