//! Storing what changed equals storing all of it again, whatever the list of changes looks like:
//! unaligned, overlapping, in no order, past the end; with holes and zeros of single sectors.

mod common;

use std::ops::Range;
use std::sync::Arc;

use common::*;
use hyperkeep_vault::*;
use proptest::prelude::*;
use store::MemoryStore;

const SECTOR: usize = 512;

/// Contents by sector: a hole, zeros, or noise of a kind.
type Sectors = Vec<Option<u8>>;

fn runs(sectors: usize) -> impl Strategy<Value = Sectors> {
    let content = prop_oneof![2 => Just(None), 2 => Just(Some(0)), 6 => (1u8..=255).prop_map(Some)];
    let run = (content, prop_oneof![1usize..20, 1usize..300]);
    prop::collection::vec(run, 1..40).prop_map(move |runs| {
        let runs = runs.into_iter();
        let mut out: Sectors = runs.flat_map(|(c, n)| std::iter::repeat_n(c, n)).collect();
        out.resize(sectors, Some(9));
        out
    })
}

fn sector(kind: u8, at: usize) -> Vec<u8> {
    match kind {
        0 => vec![0; SECTOR],
        kind => noise((u64::from(kind) << 32) | (at as u64 % 1000), SECTOR),
    }
}

fn push(disk: &Sectors, range: Range<usize>, buf: &mut SegmentBuf) {
    let mut at = range.start;
    while at < range.end {
        let i = at / SECTOR;
        let end = ((i + 1) * SECTOR).min(range.end);
        match disk[i] {
            None => buf.push(Content::Hole, end - at),
            Some(0) if i.is_multiple_of(3) => buf.push(Content::Zero, end - at),
            Some(kind) => {
                buf.push_data(&sector(kind, i)[at % SECTOR..at % SECTOR + end - at]);
            }
        }
        at = end;
    }
}

fn whole(session: &Session, layout: Layout, disk: &Sectors, base: Option<NodeId>) -> NodeId {
    let writer = session.disk(layout, base).unwrap();
    let mut buf = SegmentBuf::new();
    for index in 0..writer.segments() {
        let start = index as usize * SEGMENT;
        buf.clear();
        push(
            disk,
            start..start + writer.segment_len(index) as usize,
            &mut buf,
        );
        writer.put_segment(index, &buf).unwrap();
    }
    writer.finish().unwrap()
}

fn expect(vault: &Vault, root: &NodeId, disk: &Sectors) {
    let reader = vault.disk(root).unwrap();
    let difference = reader.layout().kind == MapKind::Difference;
    let len = reader.len() as usize;
    let mut buf = vec![7; len];
    reader.read_at(0, &mut buf).unwrap();
    let mut told = vec![Content::Hole; len];
    for extent in reader.extents(0..len as u64).unwrap() {
        told[extent.range.start as usize..extent.range.end as usize].fill(extent.content);
    }
    for at in (0..len).step_by(SECTOR) {
        let (kind, end) = (disk[at / SECTOR], (at + SECTOR).min(len));
        let bytes = sector(kind.unwrap_or(0), at / SECTOR);
        assert!(buf[at..end] == bytes[..end - at], "bytes at {at}");
        if difference {
            // Whether zeros are told as such or stored is free; a hole is a hole.
            let hole = told[at..end].iter().all(|c| *c == Content::Hole);
            let stored = told[at..end].iter().all(|c| *c != Content::Hole);
            assert!(if kind.is_none() { hole } else { stored }, "kind at {at}");
        }
    }
}

proptest! {
    #![proptest_config(testkit::vary::config(40))]
    #[test]
    fn changes_lead_to_what_reading_all_of_it_leads_to(
        (old, new) in (20usize..1200).prop_flat_map(|n| (runs(n), runs(n))),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0usize..9000), 1..14),
        rounds in 1usize..4,
        idle in prop::collection::vec((any::<u32>(), 0u32..5), 0..4),
        tail in 0usize..SECTOR,
        kind in prop_oneof![Just(MapKind::Disk), Just(MapKind::Difference), Just(MapKind::File)],
    ) {
        let store = Arc::new(MemoryStore::new());
        let vault = init(store.clone());
        let session = vault.session(Compression::Fast).unwrap();
        let len = old.len() * SECTOR - tail;
        let sectors = if kind == MapKind::File { 0 } else { 512 };
        let layout = Layout { kind, len: len as u64, logical_sector: sectors, physical_sector: sectors };
        let mut disk = old;
        let mut root = whole(&session, layout, &disk, None);
        for round in 0..rounds {
            // Sectors that changed are those that any byte of a range touches.
            let mut changed: Vec<Range<usize>> = Vec::new();
            for (at, n) in cuts.iter().skip(round) {
                let start = at.index(len);
                let end = (start + n).min(len);
                changed.push(start..end);
                if start < end {
                    let touched = start / SECTOR..end.div_ceil(SECTOR);
                    for i in touched {
                        disk[i] = if round == 1 { None } else { new[i] };
                    }
                }
            }
            session.checkpoint().unwrap();
            let writer = session.disk(layout, Some(root)).unwrap();
            let mut buf = SegmentBuf::new();
            for index in (0..writer.segments()).rev() {
                let start = index as usize * SEGMENT;
                let size = writer.segment_len(index) as usize;
                // Whole sectors, as a change tracker tells them; the last ones past the end.
                let mut inside: Vec<Range<u32>> = changed
                    .iter()
                    .filter(|r| r.start < r.end)
                    .map(|r| r.start / SECTOR * SECTOR..r.end.div_ceil(SECTOR) * SECTOR)
                    .filter(|r| r.end > start && r.start < start + size)
                    .map(|r| r.start.saturating_sub(start) as u32..(r.end - start) as u32)
                    .collect();
                if inside.is_empty() {
                    continue;
                }
                inside.extend(idle.iter().map(|(at, n)| *at..at.saturating_add(*n)));
                let mut got = Vec::new();
                let planned = writer.plan_reads(index, &inside).unwrap();
                writer.put_changed(index, &inside, &mut buf, |r, buf| {
                    assert!(r.end as usize <= size);
                    got.push(r.clone());
                    push(&disk, start + r.start as usize..start + r.end as usize, buf);
                    Ok(())
                }).unwrap();
                for r in planned {
                    let covered: usize = got.iter()
                        .map(|g| g.end.min(r.end).saturating_sub(g.start.max(r.start)) as usize)
                        .sum();
                    prop_assert!(covered >= r.len(), "{:?} of {:?}", r, got);
                }
            }
            root = writer.finish().unwrap();
        }
        session.checkpoint().unwrap();
        drop((session, vault));
        let vault = open(store, 2);
        expect(&vault, &root, &disk);
        let again = vault.session(Compression::Fast).unwrap();
        let full = whole(&again, layout, &disk, Some(root));
        again.checkpoint().unwrap();
        expect(&vault, &full, &disk);
    }
}
