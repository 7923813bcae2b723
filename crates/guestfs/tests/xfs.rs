//! XFS as the kernel reads it: all kinds of files in all kinds of file systems, closed, cut off and frozen.

extern crate disk as hyperkeep_disk;

use testkit::corpus;
use testkit::crash::Random;

#[path = "fuzz/xfs.rs"]
mod model;
mod support;

#[cfg(unix)]
#[path = "xfs/dirty.rs"]
mod dirty;
#[cfg(unix)]
#[path = "xfs/hostile.rs"]
mod hostile;
#[cfg(unix)]
#[path = "xfs/made.rs"]
mod made;
#[cfg(unix)]
#[path = "xfs/proto.rs"]
mod proto;
#[cfg(unix)]
#[path = "xfs/whole.rs"]
mod whole;

#[test]
fn guestfs_xfs() {
    corpus::replay("guestfs_xfs", model::check);
}

/// Bytes of metadata that flip, one or several, where there are some.
#[test]
fn damage_is_an_error_and_never_a_panic() {
    let mut random = Random(testkit::vary::seed(5));
    for file in std::fs::read_dir(corpus::dir("guestfs_xfs")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let sectors = (bytes.len() as u64 - 8) / (4 + model::SECTOR as u64);
        for _ in 0..testkit::vary::cases(150) {
            let mut damaged = bytes.clone();
            for _ in 0..=random.number() % 4 {
                let sector = 8 + random.number() % sectors * (4 + model::SECTOR as u64) + 4;
                // Most of what matters is at the start.
                let most = [16, 100, 200, 512][random.number() as usize % 4];
                let at = (sector + random.number() % most) as usize;
                damaged[at] = match random.number() % 4 {
                    0 => damaged[at] ^ (1 << (random.number() % 8)),
                    1 => 0,
                    2 => 0xff,
                    _ => random.number() as u8,
                };
            }
            model::check(&damaged);
        }
    }
}
