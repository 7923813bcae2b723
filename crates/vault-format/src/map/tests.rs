use proptest::prelude::*;

use super::*;
use crate::ChunkId;

const SEGMENT: u32 = 64 << 10;
/// The model maps this many units of 512 bytes at the start of a segment.
const UNITS: u32 = 24;
const UNIT: u32 = 512;

/// The model: for each unit, where it comes from.
type Model = Vec<Option<Target>>;

fn target() -> impl Strategy<Value = Option<Target>> {
    prop_oneof![
        Just(None),
        Just(Some(Target::Zero)),
        (0u8..3, 0u32..4).prop_map(|(id, unit)| Some(Target::Chunk {
            id: ChunkId([id; 32]),
            within: unit * UNIT
        })),
    ]
}

fn models() -> impl Strategy<Value = Model> {
    // Runs that continue each other, as real maps have, and not only noise.
    prop::collection::vec((target(), 1usize..6), 1..12).prop_map(|runs| {
        let mut model: Model = runs
            .into_iter()
            .flat_map(|(target, len)| {
                (0..len).map(move |i| match target {
                    Some(Target::Chunk { id, within }) => Some(Target::Chunk {
                        id,
                        within: within + i as u32 * UNIT,
                    }),
                    other => other,
                })
            })
            .collect();
        model.resize(UNITS as usize, None);
        model
    })
}

fn leaf(model: &Model) -> Leaf {
    let entries = (0..)
        .zip(model)
        .filter_map(|(i, target)| {
            Some(Entry {
                offset: i * UNIT,
                len: UNIT,
                target: (*target)?,
            })
        })
        .collect();
    Leaf::new(entries, SEGMENT).unwrap()
}

fn model(leaf: &Leaf) -> Model {
    (0..UNITS)
        .map(|i| match leaf.pieces(i * UNIT, (i + 1) * UNIT)[..] {
            [piece] => piece.target,
            _ => panic!("a unit has one source"),
        })
        .collect()
}

fn node(i: u8) -> NodeId {
    NodeId([i; 32])
}

proptest! {
    #![proptest_config(testkit::vary::config(256))]
    #[test]
    fn leaves_behave_like_arrays_of_units(units in models()) {
        let leaf = leaf(&units);
        prop_assert_eq!(model(&leaf), units);
        if !leaf.is_empty() {
            let back = Node::decode(&leaf.encode(), SEGMENT).unwrap().into_leaf().unwrap();
            prop_assert_eq!(back, leaf);
        }
    }

    #[test]
    fn a_delta_makes_the_new_leaf_out_of_the_old(a in models(), b in models()) {
        let (old, new) = (leaf(&a), leaf(&b));
        let delta = LeafDelta::between(node(1), &old, &new, SEGMENT);
        prop_assert_eq!(delta.apply(&old), new.clone());
        prop_assert_eq!(delta.changes().is_empty(), old == new);
        let back = Node::decode(&delta.encode(), SEGMENT).unwrap().into_delta().unwrap();
        prop_assert_eq!(&back, &delta);
        let changed = (0..UNITS).filter(|i| a[*i as usize] != b[*i as usize]).count() as u32;
        prop_assert_eq!(delta.changes().iter().map(|c| c.len).sum::<u32>(), changed * UNIT);
    }

    #[test]
    fn pieces_cover_any_window(units in models(), a in 0..SEGMENT, b in 0..SEGMENT) {
        let (start, end) = (a.min(b), a.max(b));
        let pieces = leaf(&units).pieces(start, end);
        let mut at = start;
        for piece in pieces {
            prop_assert_eq!(piece.offset, at);
            prop_assert!(piece.len > 0);
            at += piece.len;
        }
        prop_assert_eq!(at, end);
    }

    #[test]
    fn damaged_nodes_are_refused_or_canonical(units in models(), at in any::<prop::sample::Index>(), bit in 0u8..8, delta in any::<bool>()) {
        let leaf = leaf(&units);
        let bytes = if delta {
            LeafDelta::between(node(1), &Leaf::default(), &leaf, SEGMENT).encode()
        } else {
            leaf.encode()
        };
        let mut bad = bytes.clone();
        bad[at.index(bytes.len())] ^= 1 << bit;
        if let Ok(node) = Node::decode(&bad, SEGMENT) {
            // Changed ids or offsets can be well-formed; then the encoding is the one it has.
            prop_assert_eq!(node.encode(), bad);
        }
        prop_assert!(Node::decode(&bytes[..at.index(bytes.len())], SEGMENT).is_err());
    }

    #[test]
    fn any_bytes_are_a_node_or_an_error(kind in 0u8..6, rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [&[kind, 1][..], &rest].concat();
        if let Ok(node) = Node::decode(&bytes, SEGMENT) {
            prop_assert_eq!(node.encode(), bytes);
        }
    }

    #[test]
    fn inner_nodes_come_back(places in prop::collection::btree_set(any::<u8>(), 1..256), height in 1u8..=5) {
        let children: Vec<_> = places.iter().map(|place| (*place, node(*place))).collect();
        let inner = Inner::new(height, children).unwrap();
        for place in 0..=255 {
            prop_assert_eq!(inner.child(place), places.contains(&place).then(|| node(place)));
        }
        prop_assert_eq!(Node::decode(&inner.encode(), SEGMENT).unwrap().into_inner().unwrap(), inner);
    }

    #[test]
    fn paths_name_every_segment_once(len in 1u64..1 << 50, segment in 16u32..=24, picks in prop::collection::vec(any::<prop::sample::Index>(), 2)) {
        let root = Root { len, segment: 1 << segment, ..disk() };
        let indices: Vec<u64> = picks.iter().map(|pick| pick.index(usize::MAX) as u64 % root.segments()).collect();
        let paths: Vec<Vec<u8>> = indices.iter().map(|i| root.path(*i).collect()).collect();
        for (path, index) in paths.iter().zip(&indices) {
            prop_assert_eq!(path.len(), usize::from(root.height()));
            prop_assert_eq!(path.iter().fold(0, |acc, place| acc << 8 | u64::from(*place)), *index);
        }
        prop_assert_eq!(paths[0] < paths[1], indices[0] < indices[1]);
        prop_assert!(root.segment_len(root.segments() - 1) > 0);
        prop_assert_eq!(root.segment_len(root.segments()), 0);
    }
}

fn disk() -> Root {
    Root {
        kind: MapKind::Disk,
        segment: SEGMENT,
        len: 10 << 20,
        logical_sector: 512,
        physical_sector: 4096,
        top: Some(node(9)),
    }
}

#[test]
fn roots_come_back_and_odd_ones_are_refused() {
    for root in [
        disk(),
        Root {
            kind: MapKind::Difference,
            top: None,
            ..disk()
        },
        Root {
            kind: MapKind::File,
            logical_sector: 0,
            physical_sector: 0,
            len: 7,
            ..disk()
        },
        Root {
            len: 64 << 40,
            ..disk()
        },
    ] {
        root.check().unwrap();
        assert_eq!(
            Node::decode(&root.encode(), SEGMENT)
                .unwrap()
                .into_root()
                .unwrap(),
            root
        );
    }
    for root in [
        Root {
            segment: 2 * SEGMENT,
            ..disk()
        },
        Root {
            segment: 0,
            ..disk()
        },
        Root {
            len: u64::MAX,
            ..disk()
        },
        Root { len: 0, ..disk() },
        Root {
            logical_sector: 0,
            ..disk()
        },
        Root {
            kind: MapKind::File,
            ..disk()
        },
    ] {
        assert!(Node::decode(&root.encode(), SEGMENT).is_err(), "{root:?}");
    }
}

#[test]
fn heights_are_the_least_that_fit() {
    let segment = u64::from(DEFAULT_SEGMENT);
    for (segments, height) in [
        (0, 0),
        (1, 0),
        (2, 1),
        (256, 1),
        (257, 2),
        (65536, 2),
        (65537, 3),
    ] {
        assert_eq!(
            height_for(segments * segment, DEFAULT_SEGMENT),
            height,
            "{segments}"
        );
    }
    assert_eq!(height_for(64 << 40, DEFAULT_SEGMENT), 3);
    assert!(height_for(MAX_DISK_LEN, MIN_SEGMENT) <= 5);
}

#[test]
fn hand_made_violations_are_refused() {
    let chunk = |i: u8, within: u32| Target::Chunk {
        id: ChunkId([i; 32]),
        within,
    };
    let entry = |offset, len, target| Entry {
        offset,
        len,
        target,
    };
    for bad in [
        vec![entry(0, 0, Target::Zero)],
        vec![entry(0, SEGMENT + 1, Target::Zero)],
        vec![entry(SEGMENT, 1, Target::Zero)],
        vec![entry(u32::MAX, 2, Target::Zero)],
        vec![entry(10, 10, Target::Zero), entry(19, 1, chunk(1, 0))],
        vec![entry(10, 10, Target::Zero), entry(0, 1, chunk(1, 0))],
        vec![entry(0, 10, chunk(1, u32::MAX))],
        vec![entry(0, 10, chunk(1, 16 << 20))],
    ] {
        assert!(Leaf::new(bad.clone(), SEGMENT).is_err(), "{bad:?}");
    }
    assert!(
        Node::decode(&Leaf::default().encode(), SEGMENT).is_err(),
        "an empty leaf is absent"
    );

    let good = Leaf::new(vec![entry(0, 10, chunk(1, 5))], SEGMENT).unwrap();
    assert!(good.check_chunks(|_| Some(15)).is_ok() && good.check_chunks(|_| None).is_ok());
    assert!(good.check_chunks(|_| Some(14)).is_err());

    // A count that would take gigabytes is refused by the bytes that are there.
    let mut huge = good.encode();
    huge[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(Node::decode(&huge, SEGMENT).is_err());
    let mut version = good.encode();
    version[1] = 2;
    assert!(
        Node::decode(&version, SEGMENT)
            .unwrap_err()
            .to_string()
            .contains("version 2")
    );
}

/// The delta of a delta cannot be read as a leaf, so chains are impossible.
#[test]
fn a_delta_is_not_accepted_as_a_base() {
    let delta = LeafDelta::between(node(1), &Leaf::default(), &Leaf::default(), SEGMENT);
    let decoded = Node::decode(&delta.encode(), SEGMENT).unwrap();
    assert_eq!(decoded.nodes(), [node(1)]);
    assert!(decoded.into_leaf().is_err());
}
