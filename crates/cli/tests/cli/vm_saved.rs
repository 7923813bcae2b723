//! Saved memory of a VM that is restored: kept on its own host, dropped on another one, and as somebody
//! wants it.

use std::fs;

use hyperv::inventory::PowerState;
use serde_json::json;

use crate::bench::Bench;
use crate::lab::{Lab, scenario, texts};
use crate::vm_plan::other;
use crate::vm_restore::{machine, restore};

#[test]
fn memory_comes_back_where_it_fits() {
    let bench = Bench::new();
    let vms = json!([{"name": "web", "memory": 64, "writes": [{"length": 65536, "seed": 7}],
                      "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": 4 << 20}]}]);
    let lab = Lab::start(&bench, &scenario(vms, json!({"rules": {"export-ms": 40}})));
    fs::create_dir(lab.file("Staging")).unwrap();
    let args = lab.backup(&["--memory", "--staging", "D:\\Staging"]);
    bench.run(&texts(&args)).ends(0);
    let state = |lab: &Lab, wanted: &str, name: &str| {
        let args = ["--yes", "--name", name, "--saved-state", wanted];
        let told = restore(&bench, lab, &args).ends(0).json();
        assert_eq!(told["vm"]["differences"], json!([]), "{told:#}");
        machine(&lab.inventory(), name).state
    };
    assert_eq!(state(&lab, "auto", "auto"), PowerState::Saved);
    assert_eq!(state(&lab, "discard", "off"), PowerState::Off);
    // One that is saved goes on from where it was.
    let args = ["--yes", "--name", "goes on", "--start"];
    restore(&bench, &lab, &args).ends(0);
    let inventory = lab.inventory();
    assert_eq!(machine(&inventory, "goes on").state, PowerState::Running);
    drop(lab);
    let hv02 = json!({"host": {"name": "HV02", "seed": 9}});
    let lab = other(&bench, &json!([]), hv02.clone());
    assert_eq!(state(&lab, "auto", "auto"), PowerState::Off);
    assert_eq!(state(&lab, "keep", "kept"), PowerState::Saved);
    drop(lab);
    // One that says that it does not fit has its way, and nothing stays.
    let mut refuses = hv02;
    refuses["rules"] = json!({"foreign-state-refused": true});
    let lab = other(&bench, &json!([]), refuses);
    let args = ["--yes", "--name", "kept", "--saved-state", "keep"];
    let told = restore(&bench, &lab, &args).ends(1).json();
    assert!(told["vm"].is_null(), "{told:#}");
    assert!(lab.inventory().machines.is_empty() && lab.inventory().planned.is_empty());
    assert_eq!(state(&lab, "auto", "auto"), PowerState::Off);
}
