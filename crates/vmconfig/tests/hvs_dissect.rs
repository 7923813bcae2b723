//! Every `.vmcx` that the writer makes is read equally by dissect.hypervisor, and by ourselves.

mod model;

use std::path::Path;

use hyperkeep_vmconfig::model::{DriveKind, to_tree};
use hyperkeep_vmconfig::rewrite::{Rewrite, rewrite_file};
use hyperkeep_vmconfig::{Entry, Tree, Value, hvs};
use model::tree::{any_tree, handmade};
use proptest::strategy::{Strategy, ValueTree};
use serde_json::json;
use testkit::vary;
use testkit::vhd::oracle;
use testkit::vm::{Layout, Vm};

/// Random trees, the same in every ordinary run.
fn random_trees(count: u32) -> Vec<Tree> {
    let mut runner = vary::runner(count);
    (0..vary::cases(count))
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

/// What dissect makes of files is what we make of them.
fn assert_dissect_reads_alike(python: &oracle::Python, files: &[Vec<u8>], trees: &[Tree]) {
    // A command line holds only so many names.
    for (files, trees) in files.chunks(100).zip(trees.chunks(100)) {
        let folder = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        for (n, file) in files.iter().enumerate() {
            let path = folder.path().join(format!("{n}.vmcx"));
            std::fs::write(&path, file).unwrap();
            paths.push(path);
        }
        let args: Vec<&Path> = paths.iter().map(|path| path.as_path()).collect();
        let script = include_str!("../../testkit/oracles/hvs_tree.py");
        let out = python.run(script, &args).unwrap();
        assert_eq!(out.lines().count(), trees.len());
        for (line, tree) in out.lines().zip(trees) {
            let read: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(
                read == as_json(&tree.entries),
                "a tree is read differently: {tree:?}"
            );
        }
    }
}

#[test]
fn dissect_reads_what_we_wrote() {
    let test = "dissect_reads_what_we_wrote";
    let Some(python) = oracle::python(test, "dissect.hypervisor") else {
        return;
    };
    let trees: Vec<Tree> = handmade().into_iter().chain(random_trees(120)).collect();
    let files: Vec<Vec<u8>> = trees
        .iter()
        .enumerate()
        .map(|(n, tree)| hvs::write_tree(tree, n as u32).unwrap())
        .collect();
    assert_dissect_reads_alike(&python, &files, &trees);
}

/// Not only random trees: those of VMs, and of configurations whose paths a restore changed.
#[test]
fn dissect_reads_configurations_and_rewritten_ones() {
    let test = "dissect_reads_configurations_and_rewritten_ones";
    let Some(python) = oracle::python(test, "dissect.hypervisor") else {
        return;
    };
    let vms = [
        Vm::generation2("Web & “数” 💾", 1)
            .disk("web_1.avhdx")
            .medium(DriveKind::Iso, Some(r"D:\iso\setup.iso".into()))
            .checkpoint("before <the> update", &["web.vhdx"])
            .virtual_tpm(),
        Vm::generation1("", 2).disk("a.vhdx").disk("b.vhdx").saved(),
        Vm::generation2("many", 3),
    ];
    let [first, second, many] = vms;
    let many = (0..60).fold(many, |vm, n| vm.disk(&format!("disk {n}.vhdx")));
    let (mut files, mut trees, mut drives) = (Vec::new(), Vec::new(), 0);
    for vm in [first, second, many] {
        for config in [&vm.config].into_iter().chain(&vm.checkpoints) {
            let tree = to_tree(config);
            files.push(hvs::write_tree(&tree, 1).unwrap());
            trees.push(tree);
        }
        let configs = vm.files(Layout::Export).into_iter();
        for (_, file) in configs.filter(|(path, _)| path.ends_with(".vmcx")) {
            let paths = vm.config.controllers.iter().flat_map(|c| &c.drives);
            let media = paths.filter_map(|drive| drive.path.clone());
            // Longer than what a key table holds by itself, and of a script with wide letters.
            let rewrite = Rewrite {
                media: media
                    .enumerate()
                    .map(|(n, old)| (old, format!(r"E:\{}\{n}.vhdx", "恢复".repeat(600))))
                    .collect(),
                data_root: Some(r"E:\restored".into()),
                checkpoint_root: Some(r"E:\restored".into()),
            };
            let (file, done) = rewrite_file(&file, &rewrite).unwrap();
            drives += done.drives;
            trees.push(hvs::read_tree(&file).unwrap().0);
            files.push(file);
        }
    }
    assert!(drives > 60, "{drives} paths were rewritten");
    assert_dissect_reads_alike(&python, &files, &trees);
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
