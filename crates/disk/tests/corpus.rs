//! Replays the committed fuzz corpora of this crate, so that every input that once mattered is
//! tried on each run of the tests.

use testkit::corpus;

#[path = "model/byte_ranges.rs"]
mod byte_ranges;

#[test]
fn disk_byte_ranges() {
    corpus::replay("disk_byte_ranges", byte_ranges::check);
}

#[path = "model/vhd_open.rs"]
mod vhd_open;

#[test]
fn disk_vhd_open() {
    corpus::replay("disk_vhd_open", vhd_open::check);
}

#[path = "model/vhdx_inplace.rs"]
mod vhdx_inplace;

#[test]
fn disk_vhdx_inplace() {
    corpus::replay("disk_vhdx_inplace", vhdx_inplace::check);
}

proptest::proptest! {
    #![proptest_config(testkit::vary::config(200))]

    /// A little fuzzing on every run, whose damage lands where the structures are.
    #[test]
    fn random_recipes_for_changing_files(
        kind: u8,
        damage in proptest::collection::vec((
            proptest::sample::select(vec![0u32, 64 << 10, 128 << 10, 192 << 10, 256 << 10, 1 << 20,
                (1 << 20) + 4096, 2 << 20, (2 << 20) + (64 << 10), 3 << 20]),
            0u32..200, 0u8..4, proptest::prelude::any::<[u8; 4]>(),
        ), 0..5),
        uses in proptest::collection::vec(proptest::prelude::any::<[u8; 7]>(), 0..8),
    ) {
        let mut recipe = vec![kind, damage.len() as u8 + 1];
        for (base, offset, action, value) in &damage {
            recipe.extend((base + offset).to_be_bytes());
            recipe.push(*action);
            match action {
                0 => recipe.push(value[0]),
                1 => recipe.extend(value),
                _ => {}
            }
        }
        recipe.extend([0, 0, 0, 0, 3, uses.len() as u8]);
        recipe.extend(uses.iter().flatten());
        vhdx_inplace::check(&recipe);
    }
}

#[path = "model/vhdx_file.rs"]
mod vhdx_file;

#[path = "model/vhdx_open.rs"]
mod vhdx_open;

#[test]
fn disk_vhdx_open() {
    corpus::replay("disk_vhdx_open", vhdx_open::check);
}

#[path = "model/vhdx_log.rs"]
mod vhdx_log;

#[test]
fn disk_vhdx_log() {
    corpus::replay("disk_vhdx_log", vhdx_log::check);
}

proptest::proptest! {
    #![proptest_config(testkit::vary::config(200))]

    /// A little fuzzing of the reader on every run: bytes of good inputs replaced.
    #[test]
    fn random_changes_to_vhdx_files(
        changes in proptest::collection::vec(
            (proptest::prelude::any::<proptest::sample::Index>(), proptest::prelude::any::<u8>()),
            1..8,
        ),
        sealed: bool,
    ) {
        let changed = |data: &[u8]| {
            let mut data = data.to_vec();
            for (place, value) in &changes {
                let place = place.index(data.len());
                data[place] = *value;
            }
            data[0] = sealed.into();
            data
        };
        corpus::replay("disk_vhdx_open", |data| vhdx_open::check(&changed(data)));
        corpus::replay("disk_vhdx_log", |data| vhdx_log::check(&changed(data)));
    }
}
