//! Whether a `.vmrs` holds saved memory: what is said is what the whole tree says, of any size.

use hyperkeep_vmconfig::hvs::{self, Error, HvsFile, Limits};
use hyperkeep_vmconfig::{Entry, ReadAt, Tree, Value, VmConfig, vmrs};

fn has_memory(bytes: &[u8]) -> Result<bool, Error> {
    vmrs::has_memory(&bytes)
}

fn holds(tree: &Tree) -> bool {
    has_memory(&hvs::write_tree(tree, 0).unwrap()).unwrap()
}

#[test]
fn with_and_without_memory() {
    let state = |saved| testkit::vm::runtime_state(&VmConfig::default(), saved);
    assert!(has_memory(&state(true)).unwrap());
    assert!(!has_memory(&state(false)).unwrap());
    assert!(!holds(&Tree::default()));
    let with = |path: &[&str]| {
        let mut tree = Tree::default();
        assert!(tree.set(&["savedstate", "type"], Value::String("Normal".into())));
        assert!(tree.set(path, Value::Bytes(vec![1])));
        tree
    };
    assert!(holds(&with(&["SavedState", "RAMBLOCK7"])));
    assert!(holds(&with(&["savedstate", "SAVEDVM", "Partition_State"])));
    // The same names elsewhere, and others beside them.
    for path in [
        &["RamBlock0"][..],
        &["configuration", "savedstate", "RamBlock0"],
        &["savedstate", "partition_state"],
        &["savedstate", "savedVM", "RamBlock0"],
        &["savedstate", "RamMemoryBlock0"],
        &["savedstate", "Ram"],
        &["savedstate", "Ramblöck"],
    ] {
        assert!(!holds(&with(path)), "{path:?}");
    }
}

/// A VM with more memory than its keys could be held of.
#[test]
fn a_hundred_thousand_blocks_and_more() {
    let blocks = (0..200_000).map(|n| Entry::new(format!("RamBlock{n}"), Value::Bytes(vec![7])));
    let others = (0..1000).map(|n| Entry::new(format!("RamMemoryBlock{n}"), Value::Int(n)));
    let state = Entry::node("savedstate", others.chain(blocks).collect());
    let tree = Tree {
        entries: vec![state],
    };
    let file = hvs::write_tree(&tree, 0).unwrap();
    assert!(has_memory(&file).unwrap());
    let open: &dyn ReadAt = &file;
    let refused = HvsFile::open(open, Limits::RUNTIME);
    assert!(matches!(refused, Err(Error::TooMany { .. })));
}

/// A file that was cut off has the keys of memory that it lacks: nobody can say that there is none.
#[test]
fn memory_that_should_be_there_and_is_not() {
    let mut tree = Tree::default();
    for path in [["savedstate", "RamBlock0"], ["savedstate", "RamBlock1"]] {
        tree.set(&path, Value::Bytes(vec![7; 100_000]));
    }
    let file = hvs::write_tree(&tree, 0).unwrap();
    assert!(has_memory(&file).unwrap());
    // Behind the key table lie the first block, the second one and the log.
    let end = |blocks: usize| 4 * 4096 + blocks * 100_000usize.next_multiple_of(4096);
    assert!(has_memory(&file[..end(1)]).unwrap(), "one is there");
    let cut = has_memory(&file[..end(0)]);
    assert!(matches!(cut, Err(Error::OutOfBounds { what: "value", .. })));
    assert!(has_memory(&file[..5000]).is_err());
}
