//! What goes into a vault comes out again, in full and by changes.

#![allow(clippy::single_range_in_vec_init)] // Lists of ranges, some of which have one.

mod common;

use std::io::Read;
use std::sync::Arc;

use common::*;
use hyperkeep_vault::*;
use proptest::prelude::*;
use store::MemoryStore;

/// A disk of about 1.3 MiB with noise, text, zeros and repetition.
fn disk() -> impl Strategy<Value = Vec<u8>> {
    let run = (0u64..5, 1usize..60, 0u64..1000).prop_map(|(kind, pages, seed)| match kind {
        0 => vec![0; pages * 4096],
        1 => noise(7, pages * 4096),
        2 => format!("line {seed} of a log\n")
            .into_bytes()
            .into_iter()
            .cycle()
            .take(pages * 4096)
            .collect(),
        _ => noise(seed, pages * 4096),
    });
    (prop::collection::vec(run, 1..12), 0usize..5000).prop_map(|(runs, tail)| {
        let mut disk = runs.concat();
        disk.extend(noise(3, tail));
        disk
    })
}

fn segments_as_seen(vault: &Vault, root: &NodeId, data: &[u8]) {
    let disk = vault.disk(root).unwrap();
    assert_eq!(disk.len(), data.len() as u64);
    // Whatever is no data is zeros, and extents cover everything in order.
    let mut at = 0;
    for extent in disk.extents(0..disk.len()).unwrap() {
        assert_eq!(extent.range.start, at);
        at = extent.range.end;
        if extent.content != Content::Data {
            let range = extent.range.start as usize..extent.range.end as usize;
            assert!(data[range].iter().all(|b| *b == 0));
        }
    }
    assert_eq!(at, disk.len());
}

proptest! {
    #![proptest_config(testkit::vary::config(24))]
    #[test]
    fn disks_come_back(
        data in disk(),
        writes in prop::collection::vec((any::<prop::sample::Index>(), 1usize..90_000, any::<u64>()), 1..8),
        reads in prop::collection::vec((any::<prop::sample::Index>(), 0usize..600_000), 8),
    ) {
        let store = Arc::new(MemoryStore::new());
        let vault = init(store.clone());
        let session = vault.session(Compression::Fast).unwrap();
        let full = write_full(&session, &data, 3).unwrap();
        session.checkpoint().unwrap();
        prop_assert!(read_full(&vault, &full).unwrap() == data);
        segments_as_seen(&vault, &full, &data);

        let mut new = data.clone();
        let mut changed = Vec::new();
        for (at, len, seed) in &writes {
            let at = at.index(new.len());
            let end = (at + len).min(new.len());
            match seed % 4 {
                0 => new[at..end].fill(0),
                _ => new[at..end].copy_from_slice(&noise(*seed, end - at)),
            }
            changed.push(at..end);
        }
        let (root, _) = write_changed(&session, &new, full, &changed).unwrap();
        let (_, again) = (session.checkpoint().unwrap(), session.progress());
        let same = write_full(&session, &new, 2).unwrap();
        // The bytes are equal; a full read may cut a few chunks elsewhere after zeros.
        prop_assert!(session.progress().new_data - again.new_data <= 64 * 1024 * changed.len() as u64);
        session.checkpoint().unwrap();
        drop(session);

        let vault = open(store, 2);
        prop_assert!(read_full(&vault, &full).unwrap() == data);
        prop_assert!(read_full(&vault, &root).unwrap() == new);
        prop_assert!(read_full(&vault, &same).unwrap() == new);
        let disk = vault.disk(&root).unwrap();
        for (at, len) in reads {
            let at = at.index(new.len());
            let len = len.min(new.len() - at);
            let mut buf = vec![1; len];
            disk.read_at(at as u64, &mut buf).unwrap();
            prop_assert!(buf == new[at..at + len]);
        }
        prop_assert!(disk.read_at(new.len() as u64, &mut [0]).is_err());
    }
}

#[test]
fn equal_contents_are_stored_once() {
    let store = Arc::new(MemoryStore::new());
    let vault = init(store.clone());
    let data = noise(1, 3 << 20);
    let session = vault.session(Compression::Default).unwrap();
    let roots: Vec<_> = (0..3)
        .map(|n| write_full(&session, &data, n + 1).unwrap())
        .collect();
    session.checkpoint().unwrap();
    assert!(roots.iter().all(|root| *root == roots[0]));
    assert_eq!(session.progress().new_data, data.len() as u64);
    session.finish().unwrap();
    let before = store.total();

    let again = open(store.clone(), 2)
        .session(Compression::Default)
        .unwrap();
    assert_eq!(write_full(&again, &data, 2).unwrap(), roots[0]);
    again.checkpoint().unwrap();
    assert_eq!(again.progress().new_chunks, 0);
    again.finish().unwrap();
    assert_eq!(store.total(), before);
}

#[test]
fn files_of_any_length_come_back() {
    let store = Arc::new(MemoryStore::new());
    let vault = init(store.clone());
    let session = vault.session(Compression::Default).unwrap();
    for len in [
        0,
        1,
        4095,
        4096,
        SEGMENT - 1,
        SEGMENT,
        SEGMENT + 1,
        3 * SEGMENT + 77,
    ] {
        let data = noise(len as u64, len);
        let (root, stored) = session.put_stream(&mut &data[..]).unwrap();
        session.checkpoint().unwrap();
        assert_eq!(stored, len as u64);
        let mut back = Vec::new();
        let reader = vault.disk(&root).unwrap();
        assert_eq!(reader.layout(), Layout::file(stored));
        reader.into_read().read_to_end(&mut back).unwrap();
        assert!(back == data, "{len}");
    }
}

#[test]
fn a_large_blank_disk_costs_next_to_nothing() {
    let store = Arc::new(MemoryStore::new());
    let vault = init(store.clone());
    let session = vault.session(Compression::Default).unwrap();
    let len = 10usize << 40;
    let blank = session.disk(layout(len), None).unwrap().finish().unwrap();
    session.checkpoint().unwrap();
    let disk = session.disk(layout(len), Some(blank)).unwrap();
    let far = (7u64 << 40) / SEGMENT as u64 + 3;
    let mut buf = SegmentBuf::new();
    disk.put_changed(far, &[4096..8192], &mut buf, |range, buf| {
        buf.push_data(&noise(1, range.len()));
        Ok(())
    })
    .unwrap();
    let root = disk.finish().unwrap();
    session.checkpoint().unwrap();
    assert!(session.progress().stored.bytes < 20 << 10);
    let disk = vault.disk(&root).unwrap();
    let extents = disk.extents(0..len as u64).unwrap();
    let start = far * SEGMENT as u64 + 4096;
    assert_eq!(extents.len(), 3);
    assert_eq!(extents[1].range, start..start + 4096);
    assert_eq!(extents[1].content, Content::Data);
    let mut page = vec![0; 4096];
    disk.read_at(start, &mut page).unwrap();
    assert_eq!(page, noise(1, 4096));
    assert_eq!(
        vault
            .disk(&blank)
            .unwrap()
            .extents(0..len as u64)
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_difference_layer_tells_zeros_from_holes() {
    let vault = init(Arc::new(MemoryStore::new()));
    let session = vault.session(Compression::Default).unwrap();
    let layer = Layout {
        kind: MapKind::Difference,
        ..layout(SEGMENT)
    };
    let disk = session.disk(layer, None).unwrap();
    let mut buf = SegmentBuf::new();
    buf.push_data(&noise(1, 512));
    buf.push(Content::Hole, 512);
    buf.push(Content::Zero, 1024);
    buf.push_data(&[0; 2048]);
    buf.push(Content::Hole, SEGMENT - 4096);
    disk.put_segment(0, &buf).unwrap();
    let root = disk.finish().unwrap();
    session.checkpoint().unwrap();
    let extents = vault
        .disk(&root)
        .unwrap()
        .extents(0..SEGMENT as u64)
        .unwrap();
    let told: Vec<_> = extents.iter().map(|e| (e.range.end, e.content)).collect();
    assert_eq!(
        told,
        [
            (512, Content::Data),
            (1024, Content::Hole),
            (4096, Content::Zero),
            (SEGMENT as u64, Content::Hole)
        ]
    );
}

#[test]
fn wrong_requests_are_refused() {
    let vault = init(Arc::new(MemoryStore::new()));
    let session = vault.session(Compression::Default).unwrap();
    let disk = session.disk(layout(2 * SEGMENT), None).unwrap();
    let mut buf = SegmentBuf::new();
    buf.push_data(&[1; 100]);
    assert!(disk.put_segment(0, &buf).is_err());
    assert!(disk.put_segment(2, &buf).is_err());
    buf.push(Content::Hole, SEGMENT - 100);
    disk.put_segment(0, &buf).unwrap();
    assert!(disk.put_segment(0, &buf).is_err());
    let root = disk.finish().unwrap();
    session.checkpoint().unwrap();
    assert!(session.disk(layout(SEGMENT), Some(root)).is_err());
    assert!(
        session
            .disk(Layout::file(2 * SEGMENT as u64), Some(root))
            .is_err()
    );
    assert!(
        session
            .disk(
                Layout {
                    logical_sector: 100,
                    ..layout(512)
                },
                None
            )
            .is_err()
    );
    let failing =
        |_: std::ops::Range<u32>, _: &mut SegmentBuf| Err(Error::source("the disk is gone"));
    let disk = session.disk(layout(2 * SEGMENT), Some(root)).unwrap();
    let e = disk.put_changed(1, &[0..1], &mut buf, failing).unwrap_err();
    assert!(e.to_string().contains("the disk is gone"));
}
