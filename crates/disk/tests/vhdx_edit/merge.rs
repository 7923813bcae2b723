//! Merging a child into its parent, with power cuts.

use hyperkeep_disk::layer::Layer;
use hyperkeep_disk::vhdx::{MergeIds, Merged, VhdxImage, VhdxLayout, identity, merge};
use hyperkeep_disk::{Error, MemFile};
use proptest::prelude::*;
use std::sync::Arc;
use testkit::crash::CrashFile;
use testkit::ops::{Op, ops};
use testkit::vary;

use crate::images::{BASE, CHILD, image, over, params};
use crate::model::{Shown, ids};

/// What a child shows over its parent: its own sectors, and the parent's elsewhere.
fn chain(parent: &[u8], child: &[u8]) -> Result<Shown, Error> {
    let (below, above) = (VhdxImage::open(parent)?, VhdxImage::open(child)?);
    let link = above.info().parent.as_ref().expect("a child");
    if !link.accepts(below.info().identity()) {
        return Err(Error::Invalid(
            "the child does not accept the parent".into(),
        ));
    }
    let (mut shown, above) = (Shown::of(&below), Shown::of(&above));
    for (n, own) in above.own.iter().enumerate().filter(|(_, own)| **own) {
        let sector = n * 512..(n + 1) * 512;
        shown.bytes[sector.clone()].copy_from_slice(&above.bytes[sector]);
        shown.own[n] = *own;
    }
    Ok(shown)
}

fn merge_ids(n: u128) -> MergeIds {
    MergeIds {
        child: ids(n * 2),
        parent: ids(n * 2 + 1),
    }
}

/// A parent, which may itself be a child, and a child.
fn pair(
    len: u64,
    layout: VhdxLayout,
    below: &[Op],
    above: &[Op],
    block: u32,
) -> (Vec<u8>, Vec<u8>) {
    let mut model = vec![0; len as usize];
    let mut parent = params(len, 1 << 20, 512, layout);
    parent.data_write_guid = BASE;
    let child = params(len, block, 512, over("base.vhdx"));
    assert_eq!(child.data_write_guid, CHILD);
    let parent = image(&parent, below, &mut model).0;
    (parent, image(&child, above, &mut model).0)
}

fn layouts() -> [VhdxLayout; 3] {
    [
        VhdxLayout::Fixed,
        VhdxLayout::Dynamic,
        over("grandparent.vhdx"),
    ]
}

proptest! {
    #![proptest_config(testkit::vary::config(32))]

    #[test]
    fn a_merged_parent_shows_what_the_chain_showed(
        below in ops(9000, 3000), above in ops(9000, 3000), kind in 0..3usize, shift in 20..22u32,
    ) {
        let len = 9000 * 512;
        let (parent, child) = pair(len, layouts()[kind].clone(), &below, &above, 1 << shift);
        let before = chain(&parent, &child).unwrap();
        let parent = Arc::new(MemFile::new(parent));
        let child = Arc::new(MemFile::new(child));
        prop_assert_eq!(merge(&parent, &child, &merge_ids(1)).unwrap(), Merged::Now);

        let disk = VhdxImage::open(parent.bytes()).unwrap();
        let after = Shown::of(&disk);
        prop_assert!(after.bytes == before.bytes);
        if kind == 2 {
            prop_assert!(after.own == before.own);
        }
        prop_assert_eq!(identity(&parent).unwrap(), CHILD, "the child's children accept it");
        prop_assert_eq!(merge(&parent, &child, &merge_ids(2)).unwrap(), Merged::Before);
    }
}

#[test]
fn a_power_cut_leaves_the_old_chain_or_the_merged_parent_and_merging_again_ends_the_same() {
    let op = |at, sectors, byte| Op { at, sectors, byte };
    let below = [op(0, 3000, Some(1)), op(6000, 100, Some(2))];
    let above = [
        op(5, 10, Some(3)),
        op(2040, 20, Some(4)),
        op(4096, 2048, None),
        op(6144, 50, Some(5)),
        op(8000, 192, Some(6)),
    ];
    for layout in layouts() {
        let (parent, child) = pair(4 << 20, layout, &below, &above, 1 << 20);
        let before = chain(&parent, &child).unwrap();

        // Both files fail at once: record into one, cut the other at the same moment.
        let files = [
            CrashFile::new(parent.clone()),
            CrashFile::new(child.clone()),
        ];
        merge(&files[0], &files[1], &merge_ids(1)).unwrap();
        let child_after = files[1].bytes();

        // The child is closed before the parent is touched.
        files[1].crashes(vary::seed(5), vary::cases(6) as usize, |crash| {
            let shown = chain(&parent, &crash.bytes).unwrap();
            assert!(
                shown.bytes == before.bytes && shown.own == before.own,
                "{}",
                crash.story
            );
            again(&parent, &crash.bytes, &before, &crash.story);
        });
        let mut merged = 0;
        files[0].crashes(vary::seed(6), vary::cases(3) as usize, |crash| {
            if identity(&crash.bytes).unwrap() == CHILD {
                merged += 1;
                let shown = Shown::of(&VhdxImage::open(&crash.bytes[..]).unwrap());
                assert!(shown.bytes == before.bytes, "{}", crash.story);
            } else {
                let shown = chain(&crash.bytes, &child_after).unwrap();
                assert!(shown.bytes == before.bytes, "{}", crash.story);
            }
            again(&crash.bytes, &child_after, &before, &crash.story);
        });
        assert!(merged > 1);
    }
}

/// Merges what a crash left, and expects the same end.
fn again(parent: &[u8], child: &[u8], before: &Shown, story: &str) {
    let parent = Arc::new(MemFile::new(parent.to_vec()));
    let child = Arc::new(MemFile::new(child.to_vec()));
    merge(&parent, &child, &merge_ids(9)).unwrap_or_else(|e| panic!("{e}: {story}"));
    let shown = Shown::of(&VhdxImage::open(parent.bytes()).unwrap());
    assert!(shown.bytes == before.bytes, "{story}");
    assert_eq!(identity(&parent).unwrap(), CHILD, "{story}");
}

#[test]
fn a_stranger_is_not_merged() {
    let (parent, child) = pair(4 << 20, VhdxLayout::Dynamic, &[], &[], 1 << 20);
    let (mut other, larger) = (
        params(4 << 20, 1 << 20, 512, VhdxLayout::Dynamic),
        params(8 << 20, 1 << 20, 512, VhdxLayout::Dynamic),
    );
    other.data_write_guid = uuid::Uuid::from_u128(5);
    let try_merge = |parent: Vec<u8>, child: Vec<u8>| {
        let files = [MemFile::new(parent.clone()), MemFile::new(child.clone())];
        let result = merge(&files[0], &files[1], &merge_ids(1));
        let changed = files[0].bytes() != parent || files[1].bytes() != child;
        (matches!(result, Err(Error::Invalid(_))), changed)
    };
    for base in [other, larger] {
        let base = image(&base, &[], &mut vec![0; base.geometry.len as usize]).0;
        assert_eq!(try_merge(base, child.clone()), (true, false));
    }
    assert_eq!(
        try_merge(child, parent),
        (true, false),
        "the wrong way round"
    );
}
