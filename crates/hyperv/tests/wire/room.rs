//! A volume that fills: noticed before a backup, and on its way.

use hyperkeep_hyperv::frozen::Frozen;
use hyperkeep_hyperv::inventory;
use hyperkeep_hyperv::plan::{NoPlan, Policy, plan};
use hyperkeep_hyperv::space::Floor;
use lab::state::{Accident, CheckpointKind};

use crate::support::{Lab, MARK};

const SCENARIO: &str = r#"{
    "volumes": [{"name": "D:\\", "capacity": 107374182400}],
    "vms": [{"name": "a", "guest": {"name": "Windows", "version": "10.0", "platform": 2},
             "disks": [{"path": "D:\\VMs\\a\\a.vhdx", "size": 4194304}]}]
}"#;

#[test]
fn a_volume_that_fills_ends_the_backup_and_keeps_the_next_from_beginning() {
    let lab = Lab::start(SCENARIO);
    lab.user_checkpoint();
    let policy = Policy::default();
    let plan_now = || {
        let inventory = inventory::take(&lab.session()).unwrap();
        plan(
            inventory.machine(lab.vm()).unwrap(),
            &inventory.host,
            &policy,
        )
    };
    let plan = plan_now().unwrap();
    lab.with(|control| {
        let request = plan.request(MARK, None, false);
        let frozen = Frozen::take(control, &lab.files(), &request).unwrap();
        let room = frozen.room(policy.floor).unwrap();
        assert_eq!((room.short.len(), room.untold.len()), (0, 0), "{room:?}");
        let full = Accident::Space("D:\\".to_owned(), 5 << 30);
        lab.server.service().repository.host.suffer(&full).unwrap();
        let room = frozen.room(policy.floor).unwrap();
        assert_eq!((room.short.len(), room.short[0].free), (1, 5 << 30));
        assert!(room.short[0].volume.starts_with("D:"));
        assert!(frozen.room(Floor::NONE).unwrap().short.is_empty());
        frozen.abandon().unwrap();
    });
    let (kinds, points, _) = lab.rest();
    assert_eq!((kinds, points), (vec![CheckpointKind::User], 0));
    assert!(matches!(plan_now(), Err(NoPlan::Blocked(_))));
}
