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
    let old = OldLeaf::new(&leaf, LEN, &chunk_len);
    let seams: Vec<u32> = (0..=LEN)
        .step_by(10)
        .filter(|at| old.is_seam(*at))
        .collect();
    for at in 0..=LEN {
        let before = seams.iter().rfind(|s| **s <= at).copied();
        let behind = seams.iter().find(|s| **s >= at).copied();
        // Where nothing lies, every place is a seam.
        let (before, behind) = match old.is_seam(at) {
            true => (Some(at), Some(at)),
            false => (before, behind),
        };
        assert_eq!(Some(old.seam_before(at)), before);
        assert_eq!(Some(old.seam_behind(at)), behind);
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
fn several_chunks_of_one_patch_have_no_seam_between_them() {
    let found = seams(vec![
        part(0, 20, 0, 0),
        part(20, 10, 50, 0),
        part(30, 10, 51, 0),
        part(40, 60, 0, 40),
        part(100, 100, 1, 0),
    ]);
    let open: Vec<u32> = [0, 100].into_iter().chain(every_ten(200..=1000)).collect();
    assert_eq!(found, open);
}

#[test]
fn what_is_not_stored_is_a_seam_unless_a_chunk_has_been_there() {
    // A hole in a chunk; one at a chunk's end; then one, and zeros, between whole chunks; one at
    // a chunk's beginning.
    let found = seams(vec![
        part(0, 40, 0, 0),
        part(60, 40, 0, 60),
        part(100, 40, 1, 0),
        part(200, 100, 2, 0),
        zero(350, 50),
        part(400, 100, 3, 0),
        part(650, 50, 4, 50),
    ]);
    let open = [0, 100, 200].into_iter().chain(every_ten(300..=400));
    let open = open
        .chain(every_ten(500..=600))
        .chain(every_ten(700..=1000));
    assert_eq!(found, open.collect::<Vec<_>>());
}

#[test]
fn an_unknown_chunk_is_taken_to_end_where_its_use_ends() {
    let found = seams(vec![
        part(0, 100, 0, 0),
        part(100, 50, 99, 0),
        part(200, 100, 1, 0),
        part(400, 600, 99, 30),
    ]);
    let open = [0, 100].into_iter().chain(every_ten(150..=200));
    let open = open.chain(every_ten(300..=370)).chain([1000]);
    assert_eq!(found, open.collect::<Vec<_>>());
}
