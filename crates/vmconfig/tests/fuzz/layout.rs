//! What holds for any listing of files and any graph of disks.
//!
//! The input is text, a thing a line, its fields separated by `|`:
//!
//! ```text
//! F|path                          a file
//! B|path                          a disk without parent
//! P|child|parent                  a disk and its parent
//! M|path|text                     a disk whose parent is missing
//! C|path|id|logical id|disk;disk  a configuration; ids are digits
//! V|windows folder|folder         a mapping
//! ```

use std::collections::{BTreeMap, BTreeSet};

use hyperkeep_vmconfig::export;
use hyperkeep_vmconfig::layout::{
    DiskGraph, Layer, MemFolder, Options, ParentCheckpoint, inventory,
};
use hyperkeep_vmconfig::names::Names;
use hyperkeep_vmconfig::{Tree, Value, hvs};

#[path = "counted.rs"]
mod counted;

/// Looks through the folder that `data` describes, and plans an export of every VM.
///
/// # Panics
/// When a file is lost or counted twice, the checkpoints are no tree, or two files of an export
/// have the same name.
pub(crate) fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut files = BTreeMap::new();
    let mut graph = DiskGraph::default();
    let mut options = Options::default();
    for line in text.lines().take(100) {
        let fields: Vec<&str> = line.split('|').collect();
        match fields[..] {
            ["F", path] => drop(files.insert(path.to_owned(), vec![1])),
            ["B", path] => drop(graph.layers.insert(path.into(), Layer::Base)),
            ["P", child, parent] => {
                graph
                    .layers
                    .insert(child.into(), Layer::ChildOf(parent.into()));
            }
            ["M", path, expected] => {
                let expected = expected.to_owned();
                graph
                    .layers
                    .insert(path.into(), Layer::ParentMissing { expected });
            }
            ["C", path, id, logical, disks] => {
                files.insert(path.to_owned(), config(id, logical, disks));
            }
            ["V", windows, here] => options.mounts.push((windows.into(), here.into())),
            _ => {}
        }
    }
    // Disks are there or not: a caller's graph speaks of files of the listing only.
    graph.layers.retain(|path, layer| {
        let parent = match layer {
            Layer::ChildOf(parent) => Some(&*parent),
            _ => None,
        };
        files.contains_key(path) && parent.is_none_or(|parent| files.contains_key(parent))
    });
    let count = files.len();
    let found = inventory(&MemFolder::new(files), &graph, &options);
    assert_eq!(counted::counted(&found), count, "{found:#?}");
    let mut names = Names::default();
    for machine in &found.machines {
        for start in 0..machine.checkpoints.len() {
            let mut at = Some(start);
            let mut steps = 0;
            while let Some(here) = at {
                at = match machine.checkpoints[here].parent {
                    ParentCheckpoint::Of { checkpoint, .. } => Some(checkpoint),
                    _ => None,
                };
                steps += 1;
                assert!(steps <= machine.checkpoints.len(), "a cycle: {machine:#?}");
            }
        }
        let folder = names.folder(&machine.config.name);
        let drive = r"D:\".parse().unwrap();
        let plan = export::plan(machine, &folder, Some(&drive));
        let disks = plan.files.iter().filter(|file| file.role.is_none());
        let mut seen = BTreeSet::new();
        for file in disks {
            assert!(seen.insert(file.target.to_lowercase()), "{plan:#?}");
        }
    }
}

fn config(id: &str, logical: &str, disks: &str) -> Vec<u8> {
    let guid = |digits: &str| format!("00000000-0000-4000-8000-{digits:0>12}");
    let mut tree = Tree::default();
    let mut put = |path: &[&str], text: String| {
        let path: Vec<&str> = ["configuration"].iter().chain(path).copied().collect();
        tree.set(&path, Value::String(text));
    };
    put(&["properties", "global_id"], guid(id));
    put(&["properties", "parent"], guid(logical));
    put(&["settings", "global", "logical_id"], guid(logical));
    let scsi = "d422512d-2bf2-4752-809d-7b82b5fcb1b4";
    put(&["manifest", "vdev001", "device"], scsi.into());
    for (n, path) in disks.split(';').take(8).enumerate() {
        let drive = format!("drive{n}");
        let node = format!("_{scsi}_");
        put(&[&node, "controller0", &drive, "pathname"], path.to_owned());
        put(&[&node, "controller0", &drive, "type"], "VHD".into());
    }
    hvs::write_tree(&tree, 0).expect("a small tree")
}
