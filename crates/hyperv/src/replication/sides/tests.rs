use super::*;
use crate::inventory::{ClusterRole, Relationship, Replication};

const VM: Uuid = Uuid::from_u128(1);

/// A host that has a VM of this id on this side, in this state.
fn host(name: &str, id: Uuid, mode: u16, state: Option<u16>, health: Option<u16>) -> Inventory {
    let relationship = Relationship {
        instance_id: format!("Microsoft:{id}\\HVR\\0"),
        state,
        health,
    };
    let mut machine = Machine {
        id,
        replication: Replication {
            mode: ReplicationMode::from_number(mode),
            relationships: match mode {
                0 => Vec::new(),
                _ => vec![relationship],
            },
        },
        ..Machine::default()
    };
    machine.settings.config.name = format!("vm on {name}");
    let mut inventory = Inventory {
        machines: vec![machine],
        ..Inventory::default()
    };
    inventory.host.name = Some(name.to_owned());
    inventory
}

fn on_cluster(mut inventory: Inventory, owner: &str) -> Inventory {
    inventory.host.cluster = Some("CL1".to_owned());
    inventory.machines[0].cluster = Some(ClusterRole {
        owner: Some(owner.to_owned()),
        ..ClusterRole::default()
    });
    inventory
}

/// What is taken of hosts named A, B, …, and what is left out.
fn decide(all: &[Inventory], prefer: Prefer) -> (Vec<(&'static str, Why)>, usize) {
    const NAMES: [&str; 4] = ["A", "B", "C", "D"];
    let seen: Vec<Seen<'_>> = NAMES
        .iter()
        .zip(all)
        .map(|(host, inventory)| Seen { host, inventory })
        .collect();
    let [choice]: [Choice; 1] = sides(&seen, prefer).try_into().unwrap();
    let json = serde_json::to_string(&choice).unwrap();
    assert_eq!(serde_json::from_str::<Choice>(&json).unwrap(), choice);
    let name = |host: &str| *NAMES.iter().find(|name| **name == host).unwrap();
    let taken = choice.taken.into_iter();
    let taken = taken.map(|t| (name(&t.side.host), t.why)).collect();
    (taken, choice.left_out.len())
}

fn pair() -> [Inventory; 2] {
    [
        host("A", VM, 1, Some(3), Some(1)),
        host("B", VM, 2, Some(3), Some(1)),
    ]
}

use Prefer::{PreferPrimary, PreferReplica};

#[test]
fn a_vm_that_is_seen_on_both_sides_is_backed_up_once() {
    let [primary, replica] = pair();
    let extended = host("C", VM, 4, Some(3), Some(1));
    let (a, b) = (("A", Why::Preferred), ("B", Why::Preferred));
    assert_eq!(decide(&pair(), PreferPrimary), (vec![a.clone()], 1));
    assert_eq!(decide(&pair(), PreferReplica), (vec![b.clone()], 1));
    // Whichever host is listed first.
    let swapped = [replica.clone(), primary.clone()];
    assert_eq!(decide(&swapped, PreferPrimary), (vec![b.clone()], 1));
    // The first copy before the copy of the copy.
    let all = [primary.clone(), extended.clone(), replica.clone()];
    let c = ("C", Why::Preferred);
    assert_eq!(decide(&all, PreferReplica), (vec![c], 2));
    assert_eq!(decide(&all, PreferPrimary), (vec![a], 2));
    // One side alone is backed up whatever was preferred.
    assert_eq!(
        decide(std::slice::from_ref(&replica), PreferPrimary),
        (vec![("A", Why::Only)], 0)
    );
    assert_eq!(
        decide(&[primary], PreferReplica),
        (vec![("A", Why::Only)], 0)
    );
    assert_eq!(
        decide(&[extended, replica], PreferPrimary),
        (vec![("B", Why::Copy)], 1)
    );
}

#[test]
fn a_copy_that_is_behind_or_does_not_tell_is_not_preferred() {
    let behind = |state, health| {
        let [primary, _] = pair();
        let all = [primary, host("B", VM, 2, state, health)];
        decide(&all, PreferReplica)
    };
    for (state, health) in [
        (Some(2), Some(1)),
        (Some(7), Some(1)),
        (Some(8), Some(3)),
        (Some(3), Some(3)),
        (Some(3), None),
        (None, Some(1)),
    ] {
        let host = "B".to_owned();
        let why = Why::CopyIsBehind {
            host,
            state,
            health,
        };
        assert!(why.to_string().contains("copy on B"));
        assert_eq!(behind(state, health), (vec![("A", why)], 1));
    }
    for (state, health) in [(Some(3), Some(2)), (Some(4), Some(1))] {
        assert_eq!(behind(state, health).0, [("B", Why::Preferred)]);
    }
}

#[test]
fn what_is_not_surely_the_same_vm_is_not_left_out() {
    let both = |one: u16, other: u16| {
        let all = [
            host("A", VM, one, Some(3), Some(1)),
            host("B", VM, other, Some(3), Some(1)),
        ];
        decide(&all, PreferPrimary)
    };
    let odd = (vec![("A", Why::SameId), ("B", Why::SameId)], 0);
    // A restored VM beside its original; two that both claim to be the original.
    assert_eq!(both(0, 0), odd);
    assert_eq!(both(1, 1), odd);
    assert_eq!(both(0, 2), odd);
    // A copy that was made to try it is no copy that is kept.
    assert_eq!(both(1, 3), odd);
    let [primary, replica] = pair();
    let stranger = host("C", VM, 0, None, None);
    let (taken, left) = decide(&[primary, replica, stranger], PreferReplica);
    assert_eq!(
        (taken, left),
        (vec![("B", Why::Preferred), ("C", Why::SameId)], 1)
    );
}

#[test]
fn other_ids_are_other_vms() {
    let a = host("A", VM, 0, None, None);
    let b = host("B", Uuid::from_u128(2), 0, None, None);
    let seen = [
        Seen {
            host: "A",
            inventory: &a,
        },
        Seen {
            host: "B",
            inventory: &b,
        },
    ];
    let all = sides(&seen, PreferPrimary);
    assert_eq!(all.len(), 2);
    assert!(
        all.iter()
            .all(|c| c.taken[0].why == Why::Only && !c.is_odd())
    );
    assert_eq!(all[1].name, "vm on B");
}

#[test]
fn of_the_nodes_of_a_cluster_the_owner_has_the_vm() {
    let node = |name: &str, owner: &str| on_cluster(host(name, VM, 0, None, None), owner);
    let owner = |at| (vec![(at, Why::Owner)], 1);
    // A list taken before the VM moved, and one after it.
    let all = [node("HV01", "HV01"), node("hv02.lab.local", "HV02")];
    assert_eq!(
        decide(&[all[0].clone(), node("HV02", "HV01")], PreferPrimary),
        owner("A")
    );
    assert_eq!(
        decide(&[node("HV01", "HV02"), all[1].clone()], PreferPrimary),
        owner("B")
    );
    // Its copy outside the cluster is the same VM still.
    let mut nodes = [node("HV01", "HV02"), node("HV02", "HV02")];
    for node in &mut nodes {
        node.machines[0].replication.mode = ReplicationMode::Primary;
    }
    let [first, second] = nodes;
    let all = [first, second, host("C", VM, 2, Some(3), Some(1))];
    assert_eq!(
        decide(&all, PreferPrimary),
        (vec![("B", Why::Preferred)], 2)
    );
    assert_eq!(
        decide(&all, PreferReplica),
        (vec![("C", Why::Preferred)], 2)
    );
    // Two clusters are two clusters.
    let mut other = node("HV09", "HV09");
    other.host.cluster = Some("CL2".to_owned());
    let (taken, _) = decide(&[node("HV01", "HV01"), other], PreferPrimary);
    assert_eq!(taken.len(), 2);
}

#[test]
fn a_host_that_the_job_knows_by_two_names_is_one() {
    let one = host("HV01", VM, 0, None, None);
    let other = host("hv01.lab.local", VM, 0, None, None);
    let once = (vec![("A", Why::Only)], 1);
    assert_eq!(decide(&[one.clone(), other.clone()], PreferPrimary), once);
    // Another host of that name has other disks.
    let mut stranger = other;
    stranger.machines[0]
        .settings
        .media
        .push(crate::inventory::Medium {
            location: vmconfig::model::Location {
                controller: vmconfig::model::ControllerKind::Scsi,
                number: 0,
                position: 0,
            },
            instance_id: String::new(),
            path: "D:\\b.vhdx".to_owned(),
        });
    assert_eq!(decide(&[one, stranger], PreferPrimary).0.len(), 2);
}
