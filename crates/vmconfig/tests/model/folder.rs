//! Folders in memory, and what is looked for in them.

use hyperkeep_vmconfig::layout::{DiskGraph, Inventory, Layer, MemFolder, Options, inventory};
use hyperkeep_vmconfig::model::DriveKind;
use testkit::vm::{Layout, Vm};

#[path = "../fuzz/counted.rs"]
mod counted;
use counted::counted;

pub(crate) type Files = Vec<(String, Vec<u8>)>;

pub(crate) fn disk(path: &str) -> (String, Vec<u8>) {
    (path.to_owned(), vec![1])
}

/// A graph of chains, youngest first; a path may occur in several.
pub(crate) fn graph(chains: &[&[&str]]) -> DiskGraph {
    let mut graph = DiskGraph::default();
    for chain in chains {
        for pair in chain.windows(2) {
            graph
                .layers
                .insert(pair[0].to_owned(), Layer::ChildOf(pair[1].to_owned()));
        }
        graph
            .layers
            .insert(chain.last().unwrap().to_string(), Layer::Base);
    }
    graph
}

pub(crate) fn look(files: Files, graph: &DiskGraph) -> Inventory {
    let count = files.len();
    let found = inventory(&MemFolder::new(files), graph, &Options::default());
    assert_eq!(
        count,
        counted(&found),
        "every file is in one place: {found:#?}"
    );
    found
}

pub(crate) const DISKS: &str = "Web/Virtual Hard Disks";

pub(crate) fn web(file: &str) -> String {
    format!("{DISKS}/{file}")
}

/// base ← 1 ← 2 (now); one checkpoint froze the base, the second one file 1.
pub(crate) fn web_vm() -> (Files, DiskGraph) {
    let vm = Vm::generation2("Web", 1)
        .disk("web_2.avhdx")
        .medium(DriveKind::Iso, Some(r"D:\iso\setup.iso".into()))
        .checkpoint("first", &["web.vhdx"])
        .checkpoint("second", &["web_1.avhdx"]);
    let mut files = vm.files(Layout::Export);
    for file in [
        "web.vhdx",
        "web_1.avhdx",
        "web_2.avhdx",
        "web.vhdx.rct",
        "web.vhdx.mrt",
    ] {
        files.push(disk(&web(file)));
    }
    let chain = [web("web_2.avhdx"), web("web_1.avhdx"), web("web.vhdx")];
    (files, graph(&[&chain.each_ref().map(String::as_str)]))
}
