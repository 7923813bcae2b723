//! NTFS as ntfs-3g writes it and dissect.ntfs reads it; and damaged.

extern crate disk as hyperkeep_disk;

#[path = "../support/mod.rs"]
mod support;

#[path = "../fuzz/ntfs.rs"]
#[allow(dead_code, reason = "only some systems can compare")]
mod model;

mod codecs;
#[cfg(unix)]
mod extras;
#[cfg(unix)]
mod mount;
#[cfg(unix)]
mod states;
#[cfg(unix)]
mod volumes;
#[cfg(unix)]
mod wof;

use testkit::corpus;
use testkit::crash::Random;
use testkit::vary;

#[test]
fn guestfs_ntfs() {
    corpus::replay("guestfs_ntfs", model::check);
}

/// What the fuzz target changes is a volume of which all can be read.
#[test]
fn the_base_of_the_fuzz_target_is_whole() {
    model::walk(&model::base()).unwrap();
}

#[test]
fn random_damage_is_an_error() {
    let mut random = Random(vary::seed(11));
    for _ in 0..vary::cases(150) {
        let mut input = Vec::new();
        for _ in 0..=random.below(6) {
            input.extend((random.number() as u32).to_le_bytes());
            let len = 1 + random.below(4) as u8;
            input.push(len);
            let bytes = random.number().to_le_bytes();
            input.extend(&bytes[..usize::from(len)]);
        }
        model::check(&input);
    }
}
