//! Memory does not follow what stored bytes claim: every input of the corpora of the fuzz targets,
//! with large numbers in the place of each of its bytes.
//!
//! A program of its own, because it counts every allocation of its process. What Zstandard takes for
//! itself is not counted; it is told beforehand how much may come out.

use std::fs;

use hyperkeep_vault_format::fuzz;
use testkit::corpus;
use testkit::memory::{Counting, peak};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What the longest input there is needs by far: each has less than 1 KiB.
const MOST: usize = 256 << 10;

/// Numbers that no input has room for; the last ones are within the bounds of the format.
const LIES: [u64; 5] = [u64::MAX, i64::MAX as u64, 0xffff, 1 << 24, 1 << 19];

fn lie(target: &str, check: fn(&[u8])) {
    let files = fs::read_dir(corpus::dir(target)).unwrap();
    let mut worst = 0;
    for file in files {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        assert!(bytes.len() < 1024, "{}", path.display());
        let used = peak(|| check(&bytes));
        worst = worst.max(used);
        for at in 0..bytes.len() {
            for (lie, len) in LIES.iter().flat_map(|lie| [(lie, 4), (lie, 8)]) {
                let mut bytes = bytes.clone();
                let end = bytes.len().min(at + len);
                bytes[at..end].copy_from_slice(&lie.to_le_bytes()[..end - at]);
                let used = peak(|| check(&bytes));
                worst = worst.max(used);
                let name = path.display();
                assert!(used < MOST, "{used} bytes: {lie} at {at} of {name}");
            }
        }
    }
    println!("{target}: {worst} bytes at most");
    assert!(worst > 0, "{target} was not counted");
}

/// One test: others at the same time would be counted too.
#[test]
fn memory_is_bounded_whatever_an_object_claims() {
    lie("vault_index", fuzz::index);
    lie("vault_manifest", fuzz::manifest);
    lie("vault_node", fuzz::node);
    lie("vault_pack", fuzz::pack);
    lie("vault_slot", fuzz::slot);
}
