//! The tree of checkpoints is what the chains of disks tell, and unknown otherwise.

mod model;

use hyperkeep_vmconfig::layout::{
    DiskGraph, Evidence, Finding, Layer, ParentCheckpoint, UnknownOrder,
};
use hyperkeep_vmconfig::model::to_tree;
use hyperkeep_vmconfig::{Value, hvs};
use model::folder::{Files, disk, graph, look, web, web_vm};
use testkit::vm::{Layout, Vm};

#[test]
fn a_branch() {
    let vm = Vm::generation2("Web", 1)
        .disk("web_3.avhdx")
        .checkpoint("first", &["web.vhdx"])
        .checkpoint("second", &["web_1.avhdx"])
        .checkpoint("third", &["web_2.avhdx"]);
    let mut files = vm.files(Layout::Export);
    files.extend(["web.vhdx", "web_1.avhdx", "web_2.avhdx", "web_3.avhdx"].map(|f| disk(&web(f))));
    let (base, one, two, three) = (
        &web("web.vhdx"),
        &web("web_1.avhdx"),
        &web("web_2.avhdx"),
        &web("web_3.avhdx"),
    );
    let found = look(files, &graph(&[&[two, one, base], &[three, base]]));
    let vm = &found.machines[0];
    let of = |checkpoint| ParentCheckpoint::Of {
        checkpoint,
        evidence: Evidence::Disks,
    };
    let parents: Vec<_> = vm.checkpoints.iter().map(|c| c.parent.clone()).collect();
    assert_eq!(parents, [ParentCheckpoint::None, of(0), of(1)]);
    assert_eq!(vm.parent, of(0));
}

#[test]
fn disks_of_different_age() {
    let vm = Vm::generation1("Web", 1)
        .disk("a_2.avhdx")
        .disk("b_1.avhdx");
    let mut vm = vm.checkpoint("first", &["a.vhdx", "b.vhdx"]);
    vm.checkpoints[0].controllers[0].drives.pop();
    let vm = vm.checkpoint("second", &["a_1.avhdx", "b.vhdx"]);
    let mut files = vm.files(Layout::Export);
    let names = ["a.vhdx", "a_1.avhdx", "a_2.avhdx", "b.vhdx", "b_1.avhdx"].map(web);
    files.extend(names.iter().map(|path| disk(path)));
    let [a, a1, a2, b, b1] = names.each_ref().map(String::as_str);
    let found = look(files, &graph(&[&[a2, a1, a], &[b1, b]]));
    let vm = &found.machines[0];
    let of = |checkpoint| ParentCheckpoint::Of {
        checkpoint,
        evidence: Evidence::Disks,
    };
    assert_eq!(vm.checkpoints[0].parent, ParentCheckpoint::None);
    assert_eq!(vm.checkpoints[1].parent, of(0));
    assert_eq!(vm.parent, of(1));
}

#[test]
fn an_order_that_nothing_tells_is_unknown() {
    let (files, _) = web_vm();
    let found = look(files.clone(), &DiskGraph::default());
    let vm = &found.machines[0];
    let unknown = |why| ParentCheckpoint::Unknown { why };
    assert_eq!(vm.parent, unknown(UnknownOrder::BrokenChain));
    assert!(
        vm.checkpoints
            .iter()
            .all(|c| c.parent == unknown(UnknownOrder::BrokenChain))
    );
    assert!(
        vm.findings
            .iter()
            .any(|f| matches!(f, Finding::BrokenChain { .. }))
    );

    // Two checkpoints of one file.
    let vm = Vm::generation2("Web", 1)
        .disk("web_1.avhdx")
        .checkpoint("first", &["web.vhdx"])
        .checkpoint("second", &["web.vhdx"]);
    let mut files = vm.files(Layout::Export);
    files.extend(["web.vhdx", "web_1.avhdx"].map(|file| disk(&web(file))));
    let found = look(files, &graph(&[&[&web("web_1.avhdx"), &web("web.vhdx")]]));
    let vm = &found.machines[0];
    assert!(
        vm.checkpoints
            .iter()
            .all(|c| c.parent == unknown(UnknownOrder::Contradiction))
    );
    assert_eq!(vm.parent, unknown(UnknownOrder::Contradiction));

    // No disks at all.
    let vm = Vm::generation2("Web", 1).checkpoint("first", &[]);
    let found = look(vm.files(Layout::Export), &DiskGraph::default());
    assert_eq!(
        found.machines[0].checkpoints[0].parent,
        unknown(UnknownOrder::NoDisks)
    );
}

#[test]
fn hints_in_the_configuration() {
    let vm = Vm::generation2("Web", 1)
        .checkpoint("first", &[])
        .checkpoint("second", &[]);
    let mut files = vm.files(Layout::Export);
    let ids: Vec<_> = vm
        .checkpoints
        .iter()
        .map(|c| c.id.unwrap().to_string())
        .collect();
    let hint = |files: &mut Files, at: usize, id: &str| {
        let mut tree = to_tree(&vm.checkpoints[at]);
        let path = ["configuration", "properties", "some_parent_key"];
        tree.set(&path, Value::String(id.to_owned()));
        let name = format!("{}.vmcx", ids[at].to_uppercase());
        let file = files
            .iter_mut()
            .find(|(path, _)| path.ends_with(&name))
            .unwrap();
        file.1 = hvs::write_tree(&tree, 0).unwrap();
    };
    hint(&mut files, 1, &ids[0]);
    let found = look(files.clone(), &DiskGraph::default());
    let hinted = ParentCheckpoint::Of {
        checkpoint: 0,
        evidence: Evidence::Hint,
    };
    assert_eq!(found.machines[0].checkpoints[1].parent, hinted);
    // Two hints that contradict each other.
    hint(&mut files, 0, &ids[1]);
    let found = look(files, &DiskGraph::default());
    let unknown = ParentCheckpoint::Unknown {
        why: UnknownOrder::Contradiction,
    };
    assert!(
        found.machines[0]
            .checkpoints
            .iter()
            .all(|c| c.parent == unknown)
    );
}

#[test]
fn a_chain_that_returns_to_itself() {
    let vm = Vm::generation2("Web", 1)
        .disk("a.avhdx")
        .checkpoint("one", &["b.avhdx"]);
    let mut files = vm.files(Layout::Export);
    let [a, b] = ["a.avhdx", "b.avhdx"].map(web);
    files.extend([disk(&a), disk(&b), disk("x.avhdx")]);
    let mut graph = DiskGraph::default();
    graph.layers.insert(a.clone(), Layer::ChildOf(b.clone()));
    graph.layers.insert(b, Layer::ChildOf(a));
    graph
        .layers
        .insert("x.avhdx".into(), Layer::ChildOf("x.avhdx".into()));
    let found = look(files, &graph);
    let vm = &found.machines[0];
    assert!(
        vm.findings
            .iter()
            .any(|f| matches!(f, Finding::CyclicChain { .. }))
    );
    assert!(matches!(
        vm.checkpoints[0].parent,
        ParentCheckpoint::Unknown { .. }
    ));
    assert_eq!(found.loose.len(), 1);
}

/// A backup of a running VM holds the checkpoint that was taken for it, where a VM's own
/// configuration belongs.
#[test]
fn a_checkpoint_in_the_place_of_a_vm_stands_for_it() {
    let vm = Vm::generation2("Web", 1)
        .disk("web_1.avhdx")
        .checkpoint("of a user", &["web.vhdx"])
        .checkpoint("for the backup", &["web_1.avhdx"]);
    let id = vm.config.id;
    let own = |path: &str| path.contains("/Virtual Machines/");
    let backup = vm.checkpoints[1].id.unwrap().to_string().to_uppercase();
    let moved = |(path, bytes): (String, Vec<u8>)| match path.contains(&backup) {
        true => Some((path.replace("/Snapshots/", "/Virtual Machines/"), bytes)),
        false if own(&path) => None,
        false => Some((path, bytes)),
    };
    let mut files: Files = vm
        .files(Layout::Export)
        .into_iter()
        .filter_map(moved)
        .collect();
    files.extend(["web.vhdx", "web_1.avhdx"].map(|f| disk(&web(f))));
    let chain = graph(&[&[&web("web_1.avhdx"), &web("web.vhdx")]]);
    let found = look(files.clone(), &chain);
    let [machine] = found.machines.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(machine.config.machine_id(), id);
    assert!(machine.path.contains(&backup), "{}", machine.path);
    assert_eq!(machine.checkpoints.len(), 1);
    assert!(found.orphans.is_empty(), "{:?}", found.orphans);

    // Of two nobody knows which one it is.
    let again: Files = files
        .iter()
        .filter(|(path, _)| path.contains(&backup))
        .map(|(path, bytes)| {
            (
                path.replace(&backup, &id.unwrap().to_string()),
                bytes.clone(),
            )
        })
        .collect();
    files.extend(again);
    assert!(look(files, &chain).machines.is_empty());
}
