//! Every `.vmcx` that the writer makes is read equally by dissect.hypervisor, and by ourselves.

mod model;

use std::path::Path;

use hyperkeep_vmconfig::{Entry, Tree, Value, hvs};
use model::tree::{any_tree, handmade};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::json;
use testkit::vhd::oracle;

/// Random trees, the same in every run.
fn random_trees(count: usize) -> Vec<Tree> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[17; 32]);
    let mut runner = TestRunner::new_with_rng(Default::default(), rng);
    (0..count)
        .map(|_| any_tree().new_tree(&mut runner).unwrap().current())
        .collect()
}

fn as_json(entries: &[Entry]) -> serde_json::Value {
    let one = |entry: &Entry| match &entry.value {
        Value::Node(children) => json!([entry.name, "node", as_json(children)]),
        Value::Int(n) => json!([entry.name, "int", n.to_string()]),
        Value::UInt(n) => json!([entry.name, "uint", n.to_string()]),
        Value::Double(n) => json!([entry.name, "double", format!("{:016x}", n.to_bits())]),
        Value::String(text) => {
            let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            json!([entry.name, "string", hex(&bytes)])
        }
        Value::Bytes(bytes) => json!([entry.name, "bytes", hex(bytes)]),
        Value::Bool(b) => json!([entry.name, "bool", b]),
        Value::WideString(_) | Value::Blob(_) => unreachable!("not made here"),
    };
    entries.iter().map(one).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn we_read_what_we_wrote() {
    for tree in handmade().into_iter().chain(random_trees(300)) {
        let file = hvs::write_tree(&tree, 7).unwrap();
        assert_eq!(hvs::read_tree(&file).unwrap(), (tree, vec![]));
    }
}

#[test]
fn dissect_reads_what_we_wrote() {
    let test = "dissect_reads_what_we_wrote";
    let Some(python) = oracle::python(test, "dissect.hypervisor") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let trees: Vec<Tree> = handmade().into_iter().chain(random_trees(120)).collect();
    let mut files = Vec::new();
    for (n, tree) in trees.iter().enumerate() {
        let path = folder.path().join(format!("{n}.vmcx"));
        std::fs::write(&path, hvs::write_tree(tree, n as u32).unwrap()).unwrap();
        files.push(path);
    }
    let args: Vec<&Path> = files.iter().map(|file| file.as_path()).collect();
    let out = python
        .run(include_str!("../../testkit/oracles/hvs_tree.py"), &args)
        .unwrap();
    assert_eq!(out.lines().count(), trees.len());
    for (n, (line, tree)) in out.lines().zip(&trees).enumerate() {
        let read: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(
            read == as_json(&tree.entries),
            "tree {n} is read differently: {tree:?}"
        );
    }
}

/// The multi-table cases really are what they are named after.
#[test]
fn the_handmade_trees_need_several_tables() {
    let files: Vec<_> = handmade()
        .iter()
        .map(|t| hvs::write_tree(t, 0).unwrap())
        .collect();
    let object_tables = |file: &[u8]| {
        file.chunks(4096)
            .filter(|page| page.starts_with(&[1, 0, 0x11, 1]))
            .count()
    };
    assert!(files.iter().any(|file| object_tables(file) >= 3));
}
