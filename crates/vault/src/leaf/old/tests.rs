use super::*;

const CHUNK: u32 = 100;
const LEN: u32 = 1000;

fn part(offset: u32, len: u32, chunk: u8, within: u32) -> Entry {
    Entry {
        offset,
        len,
        target: Target::Chunk {
            id: ChunkId([chunk; 32]),
            within,
        },
    }
}

fn zero(offset: u32, len: u32) -> Entry {
    Entry {
        offset,
        len,
        target: Target::Zero,
    }
}

/// The seams of a leaf; chunks up to 9 are 100 bytes long, others are 10, and 99 is unknown.
fn seams(entries: Vec<Entry>) -> Vec<u32> {
    let leaf = Leaf::new(entries, LEN).unwrap();
    let chunk_len = |id: &ChunkId| match id.0[0] {
        0..10 => Some(CHUNK),
        99 => None,
        _ => Some(10),
    };
    let old = OldLeaf {
        leaf: &leaf,
        len: LEN,
        chunk_len: &chunk_len,
    };
    let seams: Vec<u32> = (0..=LEN)
        .step_by(10)
        .filter(|at| old.is_seam(*at))
        .collect();
    for at in 0..=LEN {
        let before = seams.iter().rfind(|s| **s <= at).copied();
        let behind = seams.iter().find(|s| **s >= at).copied();
        // Every place is a seam where nothing is stored and a whole chunk is next to it.
        let inside = old.is_seam(at) && at % 10 != 0;
        assert_eq!(
            Some(old.seam_before(at)),
            if inside { Some(at) } else { before }
        );
        assert_eq!(
            Some(old.seam_behind(at)),
            if inside { Some(at) } else { behind }
        );
    }
    seams
}

fn every_ten(range: std::ops::RangeInclusive<u32>) -> impl Iterator<Item = u32> {
    range.step_by(10)
}

#[test]
fn whole_chunks_meet_on_seams() {
    let found = seams((0..10).map(|n| part(n * 100, 100, n as u8, 0)).collect());
    assert_eq!(found, (0..=10).map(|n| n * 100).collect::<Vec<_>>());
}

#[test]
fn no_seam_is_within_a_split_chunk() {
    // A patch in the middle, one at the beginning, one at the end, and one over two chunks.
    let found = seams(vec![
        part(0, 50, 0, 0),
        part(50, 10, 50, 0),
        part(60, 40, 0, 60),
        part(100, 10, 51, 0),
        part(110, 90, 1, 10),
        part(200, 90, 2, 0),
        part(290, 10, 52, 0),
        part(300, 95, 3, 0),
        part(395, 10, 53, 0),
        part(405, 95, 4, 5),
        part(500, 500, 99, 0),
    ]);
    assert_eq!(found, [0, 100, 200, 300, 500, 1000]);
}

#[test]
fn what_is_not_stored_is_a_seam_beside_a_whole_chunk() {
    // A hole in a chunk; then one, and zeros, between whole chunks.
    let found = seams(vec![
        part(0, 40, 0, 0),
        part(60, 40, 0, 60),
        part(100, 100, 1, 0),
        zero(250, 50),
        part(300, 100, 2, 0),
    ]);
    let open: Vec<u32> = [0, 100].into_iter().chain(every_ten(200..=300)).collect();
    let open: Vec<u32> = open.into_iter().chain(every_ten(400..=1000)).collect();
    assert_eq!(found, open);
}

#[test]
fn nobody_knows_where_an_unknown_chunk_ends() {
    let found = seams(vec![
        part(0, 100, 0, 0),
        part(100, 100, 99, 0),
        part(200, 100, 1, 0),
        part(300, 700, 99, 0),
    ]);
    assert_eq!(found, [0, 100, 300, 1000]);
}
