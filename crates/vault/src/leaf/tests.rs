#![allow(clippy::single_range_in_vec_init)] // Lists of ranges, some of which have one.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

const PAGES: usize = 256;
const SEGMENT: u32 = 1 << 20;

/// Contents by page: `None` is a hole, 0 zeros, other numbers noise.
type Pages = Vec<Option<u8>>;

#[derive(Default)]
struct Chunks(HashMap<ChunkId, Vec<u8>>, usize);

impl Chunks {
    fn put(&mut self, bytes: &[u8]) -> Result<ChunkId> {
        let id = ChunkId(*blake3::hash(bytes).as_bytes());
        if self.0.insert(id, bytes.to_vec()).is_none() {
            self.1 += bytes.len();
        }
        Ok(id)
    }

    fn lens(&self) -> HashMap<ChunkId, u32> {
        self.0
            .iter()
            .map(|(id, bytes)| (*id, bytes.len() as u32))
            .collect()
    }

    /// No window needs chunks of more than twice its length.
    fn expect_little(&self, leaf: &Leaf, len: u32) {
        let lens = self.lens();
        let chunk_len = |id: &ChunkId| lens.get(id).copied();
        let old = OldLeaf::new(leaf, len, &chunk_len);
        for window in &old.windows {
            let pieces = leaf.pieces(window.start, window.end);
            let places = pieces
                .iter()
                .filter_map(|p| old.place(p.offset, p.len, p.target));
            let needed: HashSet<_> = places.map(|p| (p.id, p.range.start)).collect();
            let needed: u32 = needed.iter().map(|(id, _)| lens[id]).sum();
            let length = window.end - window.start;
            assert!(needed <= 2 * length, "{window:?} needs {needed}");
        }
    }

    /// The segment as its leaf tells it: bytes where stored, zeros, or nothing.
    fn read(&self, leaf: &Leaf, len: u32) -> Vec<Option<u8>> {
        let mut out = Vec::new();
        for piece in leaf.pieces(0, len) {
            match piece.target {
                None => out.extend(std::iter::repeat_n(None, piece.len as usize)),
                Some(Target::Zero) => out.extend(std::iter::repeat_n(Some(0), piece.len as usize)),
                Some(Target::Chunk { id, within }) => {
                    let bytes = &self.0[&id][within as usize..][..piece.len as usize];
                    out.extend(bytes.iter().map(|b| Some(*b)));
                }
            }
        }
        out
    }
}

fn page(number: u8) -> Vec<u8> {
    match number {
        0 => vec![0; PAGE],
        n => {
            let mut x = u64::from(n) << 32 | 1;
            let mut next = || {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                x as u8
            };
            (0..PAGE).map(|_| next()).collect()
        }
    }
}

fn fill(pages: &Pages, len: u32, range: Range<u32>, buf: &mut SegmentBuf) {
    let mut at = range.start;
    assert!(range.end <= len);
    while at < range.end {
        let i = at as usize / PAGE;
        let end = ((i + 1) * PAGE).min(range.end as usize) as u32;
        let within = at as usize % PAGE;
        match pages[i] {
            None => buf.push(Content::Hole, (end - at) as usize),
            Some(n) => buf.push_data(&page(n)[within..within + (end - at) as usize]),
        }
        at = end;
    }
}

fn cutter() -> Cutter {
    Cutter::new(1, 16 << 10, 32 << 10, 128 << 10).unwrap()
}

fn maker(cutter: &Cutter, kind: MapKind) -> LeafMaker<'_> {
    LeafMaker {
        cutter,
        kind,
        segment: SEGMENT,
    }
}

fn expected(pages: &Pages, len: u32, kind: MapKind) -> Vec<Option<u8>> {
    let mut out = Vec::new();
    for p in pages {
        match p {
            None if kind == MapKind::Difference => out.extend(std::iter::repeat_n(None, PAGE)),
            None => out.extend(std::iter::repeat_n(Some(0), PAGE)),
            Some(n) => out.extend(page(*n).into_iter().map(Some)),
        }
    }
    out.truncate(len as usize);
    out
}

fn told(read: Vec<Option<u8>>, kind: MapKind) -> Vec<Option<u8>> {
    match kind {
        MapKind::Difference => read,
        _ => read.into_iter().map(|b| Some(b.unwrap_or(0))).collect(),
    }
}

fn content() -> impl Strategy<Value = Option<u8>> {
    prop_oneof![1 => Just(None), 2 => Just(Some(0)), 12 => (1u8..=255).prop_map(Some)]
}

fn runs() -> impl Strategy<Value = Pages> {
    prop::collection::vec((content(), 1usize..40, any::<bool>()), 8..40).prop_map(|runs| {
        let mut pages = Pages::new();
        for (c, n, same) in runs {
            for i in 0..n {
                pages.push(match c {
                    Some(x) if x > 0 && !same => Some((x as usize + i * 7) as u8 | 1),
                    other => other,
                });
            }
        }
        pages.resize(PAGES, None);
        pages
    })
}

proptest! {
    #![proptest_config(testkit::vary::config(96))]
    #[test]
    fn changed_equals_read_again(
        old in runs(),
        edits in prop::collection::vec((0usize..PAGES, 1usize..12, content()), 0..10),
        slack in prop::collection::vec((0u32..SEGMENT, 1u32..70_000), 0..4),
        kind in prop_oneof![Just(MapKind::Disk), Just(MapKind::Difference)],
        cut_off in 0u32..PAGE as u32,
        rounds in 1usize..8,
        back in any::<bool>(),
    ) {
        let cutter = cutter();
        let maker = maker(&cutter, kind);
        let mut chunks = Chunks::default();
        let len = SEGMENT - cut_off;
        let mut buf = SegmentBuf::new();
        fill(&old, len, 0..len, &mut buf);
        let mut base = maker.whole(&buf, &mut |b| chunks.put(b)).unwrap();
        prop_assert_eq!(told(chunks.read(&base, len), kind), expected(&old, len, kind));

        let mut new = old.clone();
        for round in 0..rounds {
            let slack = slack.iter().filter(|_| round < 2);
            let mut changed: Vec<_> = slack.map(|(at, n)| *at..at.saturating_add(*n)).collect();
            // Different ones in each round, and some of them again and again.
            for (i, (at, n, content)) in edits.iter().enumerate() {
                if i > 2 && i % 3 != round % 3 {
                    continue;
                }
                let end = (at + n).min(PAGES);
                match back && round % 2 == 1 {
                    true => new[*at..end].copy_from_slice(&old[*at..end]),
                    false => new[*at..end].fill(content.map(|c| c.wrapping_add(round as u8))),
                }
                changed.push((at * PAGE) as u32..(end * PAGE) as u32);
            }
            let lens = chunks.lens();
            let chunk_len = |id: &ChunkId| lens.get(id).copied();
            let planned = plan(&base, &changed, len, &chunk_len);
            let mut reads = Vec::new();
            let leaf = maker.changed(&base, &changed, len, &chunk_len, &mut buf, &mut |range, buf| {
                reads.push(range.clone());
                fill(&new, len, range, buf);
                Ok(())
            }, &mut |b| chunks.put(b)).unwrap();
            prop_assert_eq!(told(chunks.read(&leaf, len), kind), expected(&new, len, kind));
            chunks.expect_little(&leaf, len);
            // What was planned is read, and nothing twice.
            let mut seen = vec![0u8; SEGMENT as usize / PAGE];
            let pages = |r: &Range<u32>| r.start as usize / PAGE..(r.end as usize).div_ceil(PAGE);
            for r in &reads {
                seen[pages(r)].iter_mut().for_each(|n| *n += 1);
            }
            prop_assert!(seen.iter().all(|n| *n <= 1), "{:?}", reads);
            for r in &planned {
                prop_assert!(seen[pages(r)].iter().all(|n| *n == 1));
            }
            base = leaf;
        }
    }
}

#[test]
fn a_small_change_reads_and_stores_little() {
    let cutter = cutter();
    let maker = maker(&cutter, MapKind::Disk);
    let mut chunks = Chunks::default();
    let mut buf = SegmentBuf::new();
    let noise = |seed: u64| {
        let mut x = seed * 2 + 1;
        move || {
            x = x
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (x >> 56) as u8
        }
    };
    let mut next = noise(1);
    let mut data: Vec<u8> = (0..SEGMENT).map(|_| next()).collect();
    buf.push_data(&data);
    let base = maker.whole(&buf, &mut |b| chunks.put(b)).unwrap();
    let before = chunks.1;
    assert_eq!(before, SEGMENT as usize);
    let (mut read_bytes, mut new_bytes, rounds) = (0, 0, 64);
    for round in 0..rounds {
        let at = round as usize * (SEGMENT as usize / rounds as usize);
        let mut next = noise(100 + round);
        data[at..at + PAGE].fill_with(&mut next);
        let changed = [at as u32..(at + PAGE) as u32];
        let stored = chunks.1;
        let lens = chunks.lens();
        let leaf = maker
            .changed(
                &base,
                &changed,
                SEGMENT,
                &|id| lens.get(id).copied(),
                &mut buf,
                &mut |r, buf| {
                    read_bytes += r.len();
                    buf.push_data(&data[r.start as usize..r.end as usize]);
                    Ok(())
                },
                &mut |b| chunks.put(b),
            )
            .unwrap();
        new_bytes += chunks.1 - stored;
        assert_eq!(
            leaf.pieces(0, SEGMENT).iter().map(|p| p.len).sum::<u32>(),
            SEGMENT
        );
        data[at..at + PAGE].copy_from_slice(
            &chunks.read(&base, SEGMENT)[at..at + PAGE]
                .iter()
                .map(|b| b.unwrap())
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!((read_bytes, new_bytes), (64 * PAGE, 64 * PAGE));
}

#[test]
fn a_source_that_gives_too_little_is_an_error() {
    let cutter = cutter();
    let maker = maker(&cutter, MapKind::Disk);
    let result = maker.changed(
        &Leaf::default(),
        &[0..4096],
        SEGMENT,
        &|_| None,
        &mut SegmentBuf::new(),
        &mut |_, _| Ok(()),
        &mut |_| Ok(ChunkId([0; 32])),
    );
    assert!(matches!(result, Err(Error::Invalid(_))));
}

/// A segment of pages of noise in a vault of its own, changed page by page.
struct Lab {
    cutter: Cutter,
    chunks: Chunks,
    pages: Pages,
    leaf: Leaf,
}

impl Lab {
    fn new() -> Self {
        let mut lab = Self {
            cutter: cutter(),
            chunks: Chunks::default(),
            pages: (0..PAGES).map(|i| Some((i % 250) as u8 + 1)).collect(),
            leaf: Leaf::default(),
        };
        let mut buf = SegmentBuf::new();
        fill(&lab.pages, SEGMENT, 0..SEGMENT, &mut buf);
        lab.leaf = maker(&lab.cutter, MapKind::Disk)
            .whole(&buf, &mut |b| lab.chunks.put(b))
            .unwrap();
        lab
    }

    /// Sets pages; returns how many bytes were read and how many are new in the vault.
    fn set(&mut self, pages: &[(usize, u8)]) -> (usize, usize) {
        self.set_all(pages.iter().map(|(at, content)| (*at, Some(*content))))
    }

    fn set_all(&mut self, pages: impl Iterator<Item = (usize, Option<u8>)>) -> (usize, usize) {
        let mut changed = Vec::new();
        for (at, content) in pages {
            self.pages[at] = content;
            changed.push((at * PAGE) as u32..((at + 1) * PAGE) as u32);
        }
        let (lens, stored) = (self.chunks.lens(), self.chunks.1);
        let mut bytes = 0;
        let mut read = |range: Range<u32>, buf: &mut SegmentBuf| {
            bytes += range.len();
            fill(&self.pages, SEGMENT, range, buf);
            Ok(())
        };
        self.leaf = maker(&self.cutter, MapKind::Disk)
            .changed(
                &self.leaf,
                &changed,
                SEGMENT,
                &|id| lens.get(id).copied(),
                &mut SegmentBuf::new(),
                &mut read,
                &mut |b| self.chunks.put(b),
            )
            .unwrap();
        (bytes, self.chunks.1 - stored)
    }

    fn expect(&self) {
        let kind = MapKind::Disk;
        assert!(
            told(self.chunks.read(&self.leaf, SEGMENT), kind)
                == expected(&self.pages, SEGMENT, kind)
        );
    }
}

#[test]
fn what_changes_again_and_again_costs_what_changes() {
    let mut lab = Lab::new();
    let places: Vec<usize> = (0..PAGES).step_by(16).collect();
    for round in 0..100u8 {
        let pages: Vec<_> = places.iter().map(|at| (*at, 255 - round)).collect();
        let (read, stored) = lab.set(&pages);
        lab.expect();
        assert_eq!(read, places.len() * PAGE, "round {round}");
        // All pages are alike, and one that the first round's contents hold too is there.
        assert!(stored <= PAGE, "round {round}: {stored}");
    }
}

#[test]
fn what_is_cut_anew_as_it_was_is_not_stored_again() {
    let mut lab = Lab::new();
    let (before, first) = (lab.pages.clone(), lab.leaf.clone());
    let long = first.entries().iter().find(|e| e.len as usize > 16 * PAGE);
    let chunk = long.expect("a long chunk");
    let start = chunk.offset as usize / PAGE;
    // Its first page and every other one are changed, and back: patches, which stay patches.
    let places = (0..6).map(|n| start + 2 * n);
    for at in places.clone() {
        assert_eq!(lab.set(&[(at, 251)]).0, PAGE);
    }
    let back: Vec<_> = places.map(|at| (at, before[at].unwrap())).collect();
    assert_eq!(lab.set(&back).0, 6 * PAGE);
    // One more is too many, although it says what was there: what is there is cut as it was.
    let (read, stored) = lab.set(&[(start + 12, before[start + 12].unwrap())]);
    lab.expect();
    assert_eq!((read, stored), (chunk.len as usize, 0));
    assert_eq!(lab.leaf, first);
}

#[test]
fn a_segment_stays_in_few_pieces_and_needs_at_most_twice_its_bytes() {
    let mut lab = Lab::new();
    // No window is shorter than a chunk of the least size, but for the last one.
    let most = 12 * (SEGMENT as usize / (16 << 10) + 1);
    for round in 0..3000usize {
        lab.set(&[(round * 37 % PAGES, (round * round % 239) as u8 + 3)]);
        let entries = lab.leaf.entries().len();
        assert!(entries <= most, "{entries} entries");
        lab.chunks.expect_little(&lab.leaf, SEGMENT);
    }
    lab.expect();
}

#[test]
fn a_chunk_of_which_little_is_left_is_let_go() {
    let mut lab = Lab::new();
    let chunk = |lab: &Lab| lab.leaf.entries()[0];
    for _ in 0..10 {
        // All of the first chunk but its first page is trimmed, in steps, and written again.
        let pages = chunk(&lab).len as usize / PAGE;
        let third = (pages / 3).max(1);
        for from in (1..pages).step_by(third) {
            let to = (from + third).min(pages);
            lab.set_all((from..to).map(|at| (at, None)));
            lab.chunks.expect_little(&lab.leaf, SEGMENT);
        }
        lab.set_all((1..pages).map(|at| (at, Some((at % 200) as u8 + 40))));
        lab.chunks.expect_little(&lab.leaf, SEGMENT);
        lab.expect();
    }
}

#[test]
fn ranges_of_many_pages_leave_windows_that_need_little() {
    let mut lab = Lab::new();
    for round in 0..2000usize {
        let from = round * 37 % PAGES;
        let to = (from + 1 + round * 7 % 24).min(PAGES);
        let content = |at: usize| Some(((at * 31 + round) % 250) as u8 + 1);
        lab.set_all((from..to).map(|at| (at, content(at))));
        lab.chunks.expect_little(&lab.leaf, SEGMENT);
    }
    lab.expect();
}
