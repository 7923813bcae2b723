//! Any hosts: what the inventory says is what was put on the host.

use hyperkeep_hyperv::inventory::take;
use proptest::prelude::*;

use crate::support::{Disk, Host, Machine};

fn disks() -> impl Strategy<Value = Vec<Disk>> {
    let disk = (any::<bool>(), 0_u32..2, 0_u32..4)
        .prop_map(|(scsi, number, place)| (scsi, number, if scsi { place } else { place % 2 }));
    prop::collection::btree_set(disk, 0..6).prop_map(|places| {
        let disk = |(at, (scsi, number, place)): (usize, (bool, u32, u32))| Disk {
            scsi,
            number,
            place,
            path: format!("D:\\disk{at}.vhdx"),
        };
        places.into_iter().enumerate().map(disk).collect()
    })
}

fn machine() -> impl Strategy<Value = Machine> {
    let numbers = (1_u128..1000, 0_u16..12, 1_u8..=2);
    (numbers, disks(), any::<bool>()).prop_map(|((id, state, generation), disks, windows)| {
        let mut vm = Machine::new(id, &format!("vm{id}"));
        vm.state = state;
        vm.generation = generation;
        vm.disks = disks;
        vm.windows = Some(windows);
        vm
    })
}

proptest! {
    #[test]
    fn every_disk_of_every_machine_is_found_where_it_is(
        machines in prop::collection::vec(machine(), 0..5),
        untyped in any::<bool>(),
        turn in 0_usize..40,
    ) {
        let mut machines = machines;
        machines.sort_by_key(|m| m.id);
        machines.dedup_by_key(|m| m.id);
        let mut host = Host::new();
        host.untyped = untyped;
        // Rows of different machines come in any order; those of one machine as they are.
        let len = machines.len().max(1);
        for at in 0..machines.len() {
            machines[(at + turn) % len].install(&mut host);
        }
        let inventory = take(&host).unwrap();
        prop_assert_eq!(inventory.machines.len(), machines.len());
        for expected in &machines {
            let found = inventory.machine(expected.id()).unwrap();
            prop_assert_eq!(found.findings.len(), 0, "{:?}", &found.findings);
            let numbers: std::collections::BTreeSet<u32> =
                expected.disks.iter().filter(|d| d.scsi).map(|d| d.number).collect();
            let mut wanted: Vec<(String, String)> = expected
                .disks
                .iter()
                .map(|d| {
                    // Controllers count from 0 in the order in which they are told.
                    let number = match d.scsi {
                        true => numbers.iter().position(|n| *n == d.number).unwrap() as u32,
                        false => d.number,
                    };
                    let kind = if d.scsi { "SCSI" } else { "IDE" };
                    (format!("{kind} {number}:{}", d.place), d.path.clone())
                })
                .collect();
            wanted.sort();
            let disks = found.config().virtual_disks();
            let mut disks: Vec<_> = disks.map(|(l, p)| (l.to_string(), p.to_owned())).collect();
            disks.sort();
            prop_assert_eq!(&disks, &wanted);
            let mut media: Vec<_> =
                found.settings.media.iter().map(|m| (m.location.to_string(), m.path.clone())).collect();
            media.sort();
            prop_assert_eq!(media, wanted);
        }
    }
}
