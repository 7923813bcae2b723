//! What keeps a VM from a host, or makes it less there, on hosts that are so: room, memory of another host,
//! TPMs; and what a VM that is made anew does not have.

use std::fs;

use serde_json::{Value, json};

use crate::bench::{Answer, Bench, files_below};
use crate::lab::{Lab, scenario, texts};
use crate::vm_plan::other;
use crate::vm_restore::{machine, restore};

const SIZE: usize = 4 << 20;

fn told<'a>(document: &'a Value, weight: &str) -> Vec<&'a str> {
    let all = document["told"].as_array().unwrap().iter();
    all.filter(|finding| finding["weight"] == weight)
        .map(|finding| finding["finding"].as_str().unwrap())
        .collect()
}

fn plan(bench: &Bench, lab: &Lab, more: &[&str]) -> Answer {
    restore(bench, lab, &[&["--plan"], more].concat())
}

/// A vault with a restore point of what `web` was on its host.
fn backed_up(web: Value, more: &[&str]) -> Bench {
    let bench = Bench::new();
    let lab = Lab::start(&bench, &scenario(json!([web]), json!({})));
    fs::create_dir(lab.file("Staging")).unwrap();
    let args = lab.backup(&[&["--vm", "web"], more].concat());
    bench.run(&texts(&args)).ends(0);
    bench
}

fn hv02(more: Value) -> Value {
    let mut all = json!({"host": {"name": "HV02", "seed": 9}});
    let own = all.as_object_mut().unwrap();
    own.extend(more.as_object().unwrap().clone());
    all
}

#[test]
fn what_all_disks_of_a_volume_need_is_summed() {
    let disk = |name: &str| json!({"path": format!("D:\\VMs\\web\\{name}.vhdx"), "size": SIZE});
    let web = json!({"name": "web", "state": "off", "disks": [disk("a"), disk("b")]});
    let bench = backed_up(web, &[]);
    let with = |capacity: u64| {
        let volume = json!({"volumes": [{"name": "D:\\", "capacity": capacity}]});
        other(&bench, &json!([]), hv02(volume))
    };
    let lab = with(1 << 40);
    let all = plan(&bench, &lab, &[]).ends(0).json();
    drop(lab);
    let disks = all["plan"]["disks"].as_array().unwrap().iter();
    let needs: Vec<u64> = disks.map(|disk| disk["bytes"].as_u64().unwrap()).collect();
    let sum: u64 = needs.iter().sum();
    assert!(needs.len() == 2 && needs.iter().all(|bytes| *bytes < sum));
    // Each of them alone has room.
    let lab = with(sum - 1);
    let short = plan(&bench, &lab, &[]).ends(1).json();
    assert_eq!(told(&short, "blocks"), ["no-room"]);
    let findings = short["plan"]["findings"].as_array().unwrap();
    let room = findings.iter().find(|one| one["finding"] == "no-room");
    assert_eq!(room.unwrap()["needed"], sum, "{short:#}");
    drop(lab);
    let lab = with(sum);
    plan(&bench, &lab, &[]).ends(0);
}

/// Memory that was saved on one host, and a TPM whose keys another one does not have.
#[test]
fn memory_and_a_tpm_of_another_host_are_told() {
    let web = json!({"name": "web", "state": "saved", "memory": 32, "tpm": true,
                     "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": SIZE}]});
    let bench = backed_up(web, &["--memory", "--staging", "D:\\Staging"]);
    let lab = other(
        &bench,
        &json!([]),
        hv02(json!({"rules": {"foreign-state-refused": true}})),
    );
    let dropped = plan(&bench, &lab, &[]).ends(0).json();
    let limits = told(&dropped, "limits");
    assert!(
        limits.contains(&"saved-state-dropped") && limits.contains(&"tpm"),
        "{limits:?}"
    );
    let kept = plan(&bench, &lab, &["--saved-state", "keep"])
        .ends(0)
        .json();
    let limits = told(&kept, "limits");
    assert!(limits.contains(&"saved-state-may-not-fit"), "{limits:?}");
    // No host tells the features of its processors: it says so when it is asked to take it.
    let before = files_below(&lab.file(""));
    let args = ["--yes", "--keep-id", "--saved-state", "keep"];
    let refused = restore(&bench, &lab, &args).ends(1).json();
    assert_eq!(
        (&refused["vm"], &refused["may_be_there"]),
        (&Value::Null, &json!(false))
    );
    assert_eq!(
        (lab.inventory().machines.len(), files_below(&lab.file(""))),
        (0, before)
    );
    restore(&bench, &lab, &["--yes", "--keep-id"]).ends(0);
    assert!(lab.inventory().machines.len() == 1);
}

/// What one that is made anew lacks is told by its plan, and the rest is compared.
#[test]
fn what_is_not_carried_over_is_told_before() {
    let web = json!({"name": "web", "state": "off", "tpm": true, "boot-file": true, "version": "8.0",
                     "disks": [{"path": "D:\\VMs\\web\\a.vhdx", "size": SIZE}], "dvds": [null],
                     "adapters": [{}]});
    let bench = backed_up(web, &[]);
    let lab = other(&bench, &json!([]), hv02(json!({})));
    let told = plan(&bench, &lab, &["--define"]).ends(0).json();
    let findings = told["plan"]["findings"].as_array().unwrap();
    let defined = findings.iter().find(|one| one["finding"] == "defined");
    let lost = defined.unwrap()["lost"].to_string();
    for what in [
        "its id",
        "the version 8.0",
        "virtual TPM",
        "the boot loaders in them",
    ] {
        assert!(lost.contains(what), "{what}: {lost}");
    }
    let steps = told["plan"]["steps"].as_array().unwrap();
    let boots = steps
        .iter()
        .find(|step| step["step"] == "boot-from")
        .unwrap();
    assert_eq!(
        boots["order"],
        json!(["SCSI 0:0", "SCSI 0:1", "adapter \"Netzwerkkarte\""])
    );
    let done = restore(&bench, &lab, &["--yes", "--define"]).ends(0).json();
    assert_eq!(done["vm"]["differences"], json!([]), "{done:#}");
    let now = lab.inventory();
    let firmware = &machine(&now, "web").config().firmware;
    assert_eq!(firmware.boot_sources.len(), 3);
    assert!(firmware.secure_boot_template.is_some());
}
