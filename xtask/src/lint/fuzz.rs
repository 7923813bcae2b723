//! Every fuzz target is registered, has a corpus, and has a test that replays it.

use super::Finding;
use super::tree::Tree;
use crate::rules::MOST_CORPUS_BYTES;

const TARGETS: &str = "fuzz/fuzz_targets/";
const CORPUS: &str = "fuzz/corpus/";
const MANIFEST: &str = "fuzz/Cargo.toml";

/// Checks the targets, the manifest, the corpora and the tests against each other.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let targets: Vec<&str> = tree
        .under(TARGETS)
        .filter_map(|(name, _)| name.strip_suffix(".rs"))
        .filter(|name| !name.contains('/'))
        .collect();
    let manifest = tree.get(MANIFEST).and_then(|file| file.text.as_deref());
    let bins: Vec<&str> = manifest
        .unwrap_or_default()
        .split("[[bin]]")
        .skip(1)
        .filter_map(|block| block.split_once("name = \"")?.1.split('"').next())
        .collect();
    if !bins.is_sorted() {
        findings.push(Finding::new(MANIFEST, 0, "sort the [[bin]] blocks by name"));
    }
    for bin in bins.iter().filter(|bin| !targets.contains(bin)) {
        findings.push(Finding::new(
            MANIFEST,
            0,
            format!("{bin} has no {TARGETS}{bin}.rs"),
        ));
    }
    for target in &targets {
        let mut missing = |what: String| {
            findings.push(Finding::new(format!("{TARGETS}{target}.rs"), 0, what));
        };
        if !bins.contains(target) {
            missing(format!("is not registered in {MANIFEST}"));
        }
        if tree.under(&format!("{CORPUS}{target}/")).next().is_none() {
            missing(format!("has no corpus in {CORPUS}{target}/"));
        }
        if !replayed(tree, target) {
            missing("is replayed by no test: use testkit::corpus::replay".into());
        }
    }
    for (rest, file) in tree.under(CORPUS) {
        let owner = rest.split('/').next().unwrap_or_default();
        if !targets.contains(&owner) {
            findings.push(Finding::new(&file.path, 0, "belongs to no fuzz target"));
        }
        if file.len > MOST_CORPUS_BYTES {
            findings.push(Finding::new(
                &file.path,
                0,
                format!(
                    "has {} bytes; a committed input has {MOST_CORPUS_BYTES} at most",
                    file.len
                ),
            ));
        }
    }
    findings
}

/// Whether some Rust file of a crate names the target as a string or its corpus as a path.
fn replayed(tree: &Tree, target: &str) -> bool {
    let (string, path) = (format!("\"{target}\""), format!("corpus/{target}"));
    tree.under("crates/")
        .filter(|(name, _)| name.ends_with(".rs"))
        .filter_map(|(_, file)| file.text.as_deref())
        .any(|text| text.contains(&string) || text.contains(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[(&str, &str)] = &[
        (
            "fuzz/Cargo.toml",
            "[[bin]]\nname = \"a_x\"\n\n[[bin]]\nname = \"b_y\"\n",
        ),
        ("fuzz/fuzz_targets/a_x.rs", ""),
        ("fuzz/fuzz_targets/b_y.rs", ""),
        ("fuzz/corpus/a_x/one", "1"),
        ("fuzz/corpus/b_y/one", "1"),
        ("crates/a/tests/corpus.rs", "replay(\"a_x\", f)"),
        ("crates/b/src/lib.rs", "dir(\"../../fuzz/corpus/b_y\")"),
    ];

    fn without(path: &str) -> Vec<String> {
        let files: Vec<_> = GOOD.iter().copied().filter(|(p, _)| *p != path).collect();
        check(&Tree::of(&files))
            .into_iter()
            .map(|f| f.what)
            .collect()
    }

    #[test]
    fn a_complete_tree_is_fine() {
        assert_eq!(without("nothing"), Vec::<String>::new());
    }

    #[test]
    fn each_missing_piece_is_found() {
        for (piece, says) in [
            ("fuzz/corpus/a_x/one", "has no corpus"),
            ("crates/a/tests/corpus.rs", "is replayed by no test"),
            ("crates/b/src/lib.rs", "is replayed by no test"),
        ] {
            let found = without(piece);
            assert!(found.len() == 1 && found[0].starts_with(says), "{found:?}");
        }
        assert_eq!(without("fuzz/Cargo.toml").len(), 2);
        // Registered without a source, and a corpus of nobody.
        assert_eq!(without("fuzz/fuzz_targets/b_y.rs").len(), 2);
    }

    #[test]
    fn order_and_size_are_kept() {
        let big = "x".repeat(usize::try_from(MOST_CORPUS_BYTES).expect("small") + 1);
        let mut files = GOOD.to_vec();
        files[0].1 = "[[bin]]\nname = \"b_y\"\n\n[[bin]]\nname = \"a_x\"\n";
        files[3].1 = &big;
        assert_eq!(check(&Tree::of(&files)).len(), 2);
    }
}
