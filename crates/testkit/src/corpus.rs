//! Replays a committed fuzz corpus in an ordinary test.
//!
//! The fuzzers themselves need a C++ compiler and unstable compiler flags; what they once found
//! must not. Every target therefore keeps a small corpus in `fuzz/corpus/<target>/`, and a test
//! of the crate that it belongs to gives each file to the same function that the fuzzer calls.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the corpus of a fuzz target lies.
pub fn dir(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target)
}

/// Calls `check` with the bytes of every file in the corpus of `target`, in order of their names.
///
/// # Panics
/// When the corpus is missing or empty, since a replay of nothing proves nothing; and when `check`
/// panics, after the file's name was printed.
pub fn replay(target: &str, check: impl Fn(&[u8])) {
    let dir = dir(target);
    let listing = fs::read_dir(&dir)
        .unwrap_or_else(|e| panic!("the corpus {} cannot be listed: {e}", dir.display()));
    let mut files: Vec<PathBuf> = listing
        .map(|entry| entry.expect("a folder entry").path())
        .collect();
    files.sort();
    assert!(
        !files.is_empty(),
        "the corpus {} is empty: commit at least one input",
        dir.display()
    );
    for file in files {
        let bytes = fs::read(&file)
            .unwrap_or_else(|e| panic!("the input {} cannot be read: {e}", file.display()));
        // Shown only when the test fails, and then it is the line that matters.
        println!("replaying {}", file.display());
        check(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn every_input_is_given_once() {
        let seen = Cell::new(0);
        replay("disk_byte_ranges", |_| seen.set(seen.get() + 1));
        let files = fs::read_dir(dir("disk_byte_ranges")).expect("listing");
        assert_eq!(seen.get(), files.count());
    }

    #[test]
    #[should_panic(expected = "cannot be listed")]
    fn a_missing_corpus_is_a_failure() {
        replay("no_such_target", |_| ());
    }
}
