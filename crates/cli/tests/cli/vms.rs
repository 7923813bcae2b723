//! `vms`: what a backup of each VM would be, and what the last one was.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};
use testkit::image::{Image, Kind};

use crate::bench::{Bench, vm};
use crate::lab::{Lab, scenario, texts};

fn vms(lab: &Lab, more: &[&str]) -> Vec<String> {
    let mut args = vec!["vms".to_owned()];
    args.extend(lab.reach());
    args.extend(more.iter().map(|arg| (*arg).to_owned()));
    args
}

fn disk(path: &str) -> Value {
    json!([{"path": path, "size": 2 << 20}])
}

/// Whether each condition of a VM is met, by name.
fn met(vm: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = vm["conditions"].as_array().unwrap();
    all.iter()
        .map(|one| (text(&one["condition"]), text(&one["met"])))
        .collect()
}

#[test]
fn each_condition_is_met_or_not_or_cannot_be_told() {
    let bench = Bench::new();
    let windows = json!({"name": "Windows Server 2022", "version": "10.0.20348", "platform": 2});
    let listed = json!([
        {"name": "well", "guest": windows, "disks": disk("D:\\VMs\\well\\a.vhdx")},
        // No service, no SCSI controller, a disk that no checkpoint holds.
        {"name": "bare", "guest": windows, "generation": 1, "scsi-controllers": 0,
         "disks": [{"path": "D:\\VMs\\bare\\a.vhdx", "size": 2 << 20,
                    "place": {"controller": 0, "slot": 0}}],
         "backup-service": false, "pass-through": [1]},
        // It does not answer, and nobody knows what it is.
        {"name": "mute", "backup-status": 13, "disks": disk("D:\\VMs\\mute\\a.vhdx")},
        {"name": "off", "state": "off", "disks": disk("D:\\VMs\\off\\a.vhdx")},
    ]);
    let lab = Lab::start(&bench, &scenario(listed, json!({})));
    let seen = bench.run(&texts(&vms(&lab, &["--json"]))).ends(0).json();
    let (well, bare) = (met(vm(&seen, "well")), met(vm(&seen, "bare")));
    let (mute, off) = (met(vm(&seen, "mute")), met(vm(&seen, "off")));
    for (name, met) in &well {
        let expected = match name.as_str() {
            "guest-volumes" => "unknown",
            _ => "yes",
        };
        assert_eq!(met, expected, "{name}");
    }
    assert_eq!(well.len(), 10);
    for name in ["service-offered", "scsi-controller", "disks-freezable"] {
        assert_eq!(bare[name], "no", "{name}");
    }
    assert_eq!(bare["running"], "yes");
    assert_eq!(mute["service-offered"], "yes");
    assert_eq!(mute["service-answers"], "no");
    assert_eq!(mute["guest-applications"], "unknown");
    assert_eq!(off["running"], "no");

    // Under the table: those that are not met by a VM that runs.
    let text = bench.run(&texts(&vms(&lab, &[]))).ends(0).out;
    let told: Vec<&str> = text.lines().filter(|l| l.contains("not met")).collect();
    let names: Vec<&str> = told.iter().filter_map(|l| l.split(':').next()).collect();
    assert_eq!(names, ["bare", "mute"], "{text}");
    assert!(told[0].contains("scsi-controller"), "{text}");
    assert!(told[1].contains("cannot be told: guest-"), "{text}");
    // And each of each VM if that is wanted.
    let text = bench.run(&texts(&vms(&lab, &["--conditions"]))).ends(0).out;
    let rows = text.lines().filter(|line| line.contains("guest-volumes"));
    assert_eq!(rows.count(), 4, "{text}");
    assert!(text.contains("the VM has a SCSI controller"), "{text}");

    // For all VMs together.
    let mut args = vec!["doctor".to_owned()];
    args.extend(lab.reach());
    args.push("--json".to_owned());
    let mut doctor = bench.command(&texts(&args));
    doctor.env_remove("HYPERKEEP_VAULT");
    let seen = crate::bench::Answer::of(&doctor.output().unwrap())
        .ends(0)
        .json();
    let all = seen["conditions"].as_array().unwrap();
    let of = |name: &str| all.iter().find(|one| one["condition"] == name).unwrap();
    assert_eq!(of("scsi-controller")["not"], json!(["bare"]), "{seen:#}");
    assert_eq!(of("scsi-controller")["met"], 3);
    assert_eq!(of("guest-volumes")["unknown"].as_array().unwrap().len(), 4);
    let silent = json!(["bare", "mute", "off"]);
    assert_eq!(of("service-answers")["not"], silent, "{seen:#}");
    args.pop();
    let mut doctor = bench.command(&texts(&args));
    doctor.env_remove("HYPERKEEP_VAULT");
    let text = crate::bench::Answer::of(&doctor.output().unwrap()).out;
    let row = text
        .lines()
        .find(|l| l.contains("has a SCSI controller"))
        .unwrap();
    assert!(row.contains("3 of 4") && row.contains("bare"), "{text}");
}

#[test]
fn a_last_point_that_lacks_a_disk_does_not_look_like_a_whole_one() {
    let bench = Bench::new();
    let two = json!([{"path": "D:\\VMs\\web\\a.vhdx", "size": 2 << 20},
                     {"path": "D:\\Data\\b.vhdx", "size": 2 << 20}]);
    let lab = Lab::start(
        &bench,
        &scenario(json!([{"name": "web", "disks": two}]), json!({})),
    );
    let backup = |map: String, code| {
        let mut args = vec!["backup".to_owned()];
        args.extend(lab.reach());
        args.extend(["--map".to_owned(), map, "--json".to_owned()]);
        bench.run(&texts(&args)).ends(code).json()
    };
    let last = || {
        let seen = bench.run(&texts(&vms(&lab, &["--json"]))).ends(0).json();
        let web = vm(&seen, "web");
        ["last_point", "last_outcome", "last_whole"].map(|name| web[name].clone())
    };
    assert_eq!(last(), [Value::Null, Value::Null, Value::Null]);
    // One of its disks cannot be had.
    let folder = lab.file("VMs").display().to_string();
    backup(format!("D:\\VMs={folder}"), 4);
    let [taken, outcome, whole] = last();
    assert!(taken.is_string());
    assert_eq!((outcome, whole), (json!("partial"), Value::Null));
    let text = bench.run(&texts(&vms(&lab, &[]))).ends(0).out;
    assert!(text.contains("(partial)"), "{text}");

    let drive = lab.file("").display().to_string();
    backup(format!("D:\\={drive}"), 0);
    let [taken, outcome, whole] = last();
    assert_eq!((outcome, &whole), (json!("ok"), &taken));
    let text = bench.run(&texts(&vms(&lab, &[]))).ends(0).out;
    assert!(!text.contains("(partial"), "{text}");

    backup(format!("D:\\VMs={folder}"), 4);
    let [_, outcome, still] = last();
    assert_eq!((outcome, &still), (json!("partial"), &whole));
    let text = bench.run(&texts(&vms(&lab, &[]))).ends(0).out;
    let expected = format!("(partial; whole: {})", whole.as_str().unwrap());
    assert!(text.contains(&expected), "{text}");
}

/// Nobody but the guest knows its volumes, until a backup has seen its disks.
#[test]
fn dynamic_disks_that_the_last_backup_has_seen_are_named_beforehand() {
    let bench = Bench::new();
    // The table of a dynamic disk: one partition over all of it.
    let mut table = [0; 66];
    table[..16].copy_from_slice(&[0, 0, 1, 0, 0x42, 0, 0, 0, 63, 0, 0, 0, 0, 0x10, 0, 0]);
    table[64..].copy_from_slice(&[0x55, 0xaa]);
    let folder = bench.path("host/D/VMs");
    fs::create_dir_all(&folder).unwrap();
    let disk = Image::new(Kind::Vhdx, 4 << 20, 1).data(446, &table);
    disk.write(&folder.join("a.vhdx"));
    let windows = json!({"name": "Windows Server 2022", "version": "10.0.20348", "platform": 2});
    let listed = json!([{"name": "web", "guest": windows,
                         "disks": [{"path": "D:\\VMs\\a.vhdx"}]}]);
    let lab = Lab::start(&bench, &scenario(listed, json!({})));
    let look = || {
        let seen = bench.run(&texts(&vms(&lab, &["--json"]))).ends(0).json();
        let web = vm(&seen, "web").clone();
        let all = web["findings"].as_array().unwrap();
        let named = |name: &str| all.iter().find(|one| one["finding"] == name).cloned();
        let (dynamic, unknown) = (named("guest-dynamic-disks"), named("guest-volumes-unknown"));
        let levels = web["consistency"].as_str().unwrap().to_owned();
        (
            dynamic,
            unknown.is_some(),
            levels,
            met(&web)["guest-volumes"].clone(),
        )
    };
    let (dynamic, unknown, level, met) = look();
    assert!(dynamic.is_none() && unknown);
    assert_eq!((level.as_str(), met.as_str()), ("application", "unknown"));

    bench.run(&texts(&lab.backup(&[]))).ends(0);
    let (dynamic, unknown, level, met) = look();
    let dynamic = dynamic.unwrap();
    assert_eq!(dynamic["weight"], "limits");
    assert!(
        dynamic["message"]
            .as_str()
            .unwrap()
            .contains("D:\\VMs\\a.vhdx")
    );
    assert!(!unknown);
    assert_eq!((level.as_str(), met.as_str()), ("crash", "no"));

    let mut args = vec!["doctor".to_owned()];
    args.extend(lab.reach());
    args.push("--json".to_owned());
    let seen = bench.run(&texts(&args)).json();
    let all = seen["conditions"].as_array().unwrap();
    let of = all.iter().find(|one| one["condition"] == "guest-volumes");
    assert_eq!(of.unwrap()["not"], json!(["web"]), "{seen:#}");
}
