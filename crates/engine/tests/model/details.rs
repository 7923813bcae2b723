//! A point's details: whatever they say, an answer; and what is taken from them leads nowhere that
//! it should not.

use std::collections::HashSet;

use hyperkeep_engine::point::Details;
use hyperkeep_engine::point::format::from_format;
use hyperkeep_engine::restore::plan::{DisksWanted, Holds, plan_disks};

/// What the details say, if they are details at all.
pub(crate) fn read(data: &[u8]) -> Option<Details> {
    let sealed = serde_json::from_slice(data).ok()?;
    from_format(&sealed).ok()
}

pub(crate) fn check(data: &[u8]) {
    let Some(details) = read(data) else {
        return;
    };
    for top in 0..details.layers.len() {
        let chain = details.chain(top);
        assert!(chain.windows(2).all(|pair| pair[1] < pair[0]));
    }
    for flatten in [false, true] {
        let plan = plan_disks(
            &details,
            &DisksWanted {
                flatten,
                ..DisksWanted::default()
            },
        );
        let mut names = HashSet::new();
        for (index, file) in plan.files.iter().enumerate() {
            assert!(names.insert(file.name.to_lowercase()), "{}", file.name);
            assert!(!file.name.contains(['/', '\\', '\0']) && file.name != "..");
            match file.holds {
                Holds::Layer { layer, parent } => {
                    assert!(layer < details.layers.len());
                    assert!(parent.is_none_or(|parent| parent < index));
                }
                Holds::Chain { top } => assert!(details.complete(top)),
            }
        }
    }
}
