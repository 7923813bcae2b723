//! What is compared of a VM, where the lab's host does not differ by itself.

use vmconfig::model::NetworkAdapter;

use super::super::tests::{point, target};
use super::super::{Request, Tree, plan};
use super::*;
use crate::inventory::{Checkpoint, CheckpointKind, Medium, Parent};

/// What a plan with these checkpoints makes, if the host does as it is told.
fn made(tree: Tree) -> (Point, Plan, Machine) {
    let point = point();
    let request = Request {
        tree,
        ..Request::default()
    };
    let plan = plan(&point, &request, &target());
    assert!(plan.is_possible(), "{:?}", plan.findings);
    let mut machine = Machine {
        id: Uuid::from_u128(77),
        state: PowerState::Off,
        ..Machine::default()
    };
    machine.settings.config = point.config.clone();
    machine.settings.config.data_roots.configuration = Some(plan.folder.clone());
    let adapter = &mut machine.settings.config.network_adapters[0];
    (adapter.mac, adapter.mac_static) = (None, Some(false));
    adapter.connected = Some(false);
    machine.settings.media = vec![medium(&plan, 0)];
    if tree == Tree::Whole {
        let mut settings = machine.settings.clone();
        settings.media = vec![medium(&plan, 1)];
        settings.config.name = "base".to_owned();
        machine.parent = Parent::Of(Uuid::from_u128(4));
        machine.checkpoints = vec![Checkpoint {
            id: Uuid::from_u128(4),
            kind: CheckpointKind::User,
            parent: Parent::None,
            automatic: None,
            settings,
        }];
    }
    (point, plan, machine)
}

fn medium(plan: &Plan, at: usize) -> Medium {
    Medium {
        location: plan.disks[at].location,
        instance_id: String::new(),
        path: plan.disks[at].to.clone(),
    }
}

fn differs((point, plan, machine): &(Point, Plan, Machine), gone: bool) -> Vec<String> {
    let all = compare(point, plan, machine, &|_| gone);
    all.into_iter().map(|difference| difference.what).collect()
}

#[test]
fn a_base_is_no_disk_while_what_stands_on_it_is_there() {
    let mut made = made(Tree::Flat);
    assert_eq!(differs(&made, false), [""; 0]);
    made.2.settings.media = vec![medium(&made.1, 1)];
    assert_eq!(differs(&made, false), ["the disk at SCSI 0:0"]);
    // The host has merged it.
    assert_eq!(differs(&made, true), [""; 0]);
}

#[test]
fn checkpoints_have_no_disk_and_no_connection_of_others() {
    let mut made = made(Tree::Whole);
    assert_eq!(differs(&made, false), [""; 0]);
    let checkpoint = &mut made.2.checkpoints[0].settings;
    checkpoint.media[0].path = r"D:\VMs\web\a.vhdx".to_owned();
    checkpoint.config.network_adapters.push(NetworkAdapter {
        name: "removed since".to_owned(),
        instance: Some(Uuid::from_u128(99)),
        connected: Some(true),
        switch_name: Some("LAN".to_owned()),
        ..NetworkAdapter::default()
    });
    assert_eq!(
        differs(&made, false),
        [
            "the disk at SCSI 0:0 in the checkpoint \"base\"",
            "the adapter \"removed since\" in the checkpoint \"base\""
        ]
    );
    // One that is connected to nothing is nobody's.
    let checkpoint = &mut made.2.checkpoints[0].settings;
    checkpoint.config.network_adapters[1].connected = Some(false);
    assert_eq!(differs(&made, false).len(), 1);
}

#[test]
fn a_vm_in_another_folder_is_not_what_was_planned() {
    let mut made = made(Tree::Flat);
    let roots = &mut made.2.settings.config.data_roots;
    roots.configuration = Some(r"D:\VMs\elsewhere".to_owned());
    assert_eq!(differs(&made, false), ["the folder of its configuration"]);
    made.2.settings.config.data_roots.configuration = None;
    assert_eq!(differs(&made, false), ["the folder of its configuration"]);
}
