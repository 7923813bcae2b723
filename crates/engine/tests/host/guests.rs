//! What guests have on their disks.

use super::*;

#[test]
fn dynamic_disks_of_a_guest_are_named() {
    let place = Place::new(SCENARIO);
    let first = place.id("first");
    {
        // The table of a dynamic disk: one partition over all of it.
        let mut table = [0; 66];
        table[..16].copy_from_slice(&[0, 0, 1, 0, 0x42, 0, 0, 0, 63, 0, 0, 0, 0, 0x10, 0, 0]);
        table[64..].copy_from_slice(&[0x55, 0xaa]);
        let mut service = place.lab.server.service();
        let host = &mut service.repository.host;
        host.guest_writes(first, 0, 446, &table).unwrap();
    }
    let report = place.run();
    assert_eq!(report.outcome, Outcome::Ok, "{report:#?}");
    let of = |vm: usize| -> Vec<&Finding> {
        let all = report.vms[vm].findings.iter();
        all.filter(|one| one.code == Code::GuestVolumes).collect()
    };
    let [told] = of(0)[..] else {
        panic!("{report:#?}");
    };
    assert_eq!(told.object, "D:\\VMs\\a.vhdx");
    assert!(
        told.message.starts_with("SCSI 0:0 is a dynamic disk"),
        "{told:?}"
    );
    assert!(of(1).is_empty());
}
