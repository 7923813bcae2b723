//! `doctor`: what can be done with a host, and what a killed run has left there.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::lab::{Lab, scenario, texts};
use crate::start::Start as _;

fn disk(vm: &str) -> Value {
    json!([{"path": format!("D:\\VMs\\{vm}\\{vm}.vhdx"), "size": 4 << 20}])
}

fn doctor(lab: &Lab, more: &[&str]) -> Vec<String> {
    let mut args = vec!["doctor".to_owned()];
    args.extend(lab.reach());
    args.extend(more.iter().map(|arg| (*arg).to_owned()));
    args
}

#[test]
fn what_a_killed_run_left_is_removed_and_what_others_made_is_told() {
    let bench = Bench::new();
    // Somebody else's backup is under way on one of them.
    let theirs = json!([{"name": "theirs", "kind": "recovery"}]);
    let vms = json!([{"name": "db", "disks": disk("db"), "checkpoints": theirs},
                     {"name": "web", "disks": disk("web")}]);
    // The host is busy when the checkpoint is to end: so it is there for a while.
    let busy = json!({"mishaps": [{"on": "ConvertToReferencePoint", "times": 8,
                                   "does": {"returns": 32775}}]});
    let lab = Lab::start(&bench, &scenario(vms, busy));
    let left = |web| [("db".to_owned(), 1, 0, 0), ("web".to_owned(), web, 0, 0)];
    assert_eq!(lab.left(), left(0));

    let args = lab.backup(&["--vm", "web"]);
    let mut child = bench
        .command(&texts(&args))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .start();
    while child.try_wait().unwrap().is_none() && lab.left()[1].1 == 0 {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    assert!(
        !child.wait().unwrap().success(),
        "killed while it held the VM"
    );
    assert_eq!(lab.left(), left(1));

    // Without a vault it looks, and that is all.
    let args = doctor(&lab, &["--json"]);
    let mut look = bench.command(&texts(&args));
    look.env_remove("HYPERKEEP_VAULT");
    let seen = crate::bench::Answer::of(&look.output().unwrap())
        .ends(0)
        .json();
    assert_eq!(seen["put_right"], Value::Null);
    assert_eq!(seen["there"].as_array().unwrap().len(), 2, "{seen:#}");
    assert_eq!(lab.left(), left(1));

    let seen = bench.run(&texts(&args)).ends(0).json();
    let done: Vec<&Value> = seen["put_right"].as_array().unwrap().iter().collect();
    assert_eq!(done.len(), 2, "{seen:#}");
    assert!(done.iter().any(|found| found["code"] == "put-right"));
    assert!(done.iter().any(|found| found["code"] == "left-on-host"));
    let there = seen["there"].as_array().unwrap();
    assert_eq!(
        (there.len(), &there[0]["vm"]),
        (1, &json!("db")),
        "{seen:#}"
    );
    assert_eq!(lab.left(), left(0));
}

#[test]
fn ways_and_folders_are_told_with_what_is_in_the_way() {
    let bench = Bench::new();
    let vms = json!([{"name": "new", "disks": disk("new")},
                     {"name": "old", "version": "5.0", "disks": disk("old")}]);
    let lab = Lab::start(&bench, &scenario(vms, json!({})));
    let map = format!("D:\\VMs\\new={}", lab.file("VMs/new").display());
    let args = doctor(&lab, &["--map", &map, "--json"]);
    // A folder that cannot be read is a warning.
    let seen = bench.run(&texts(&args)).ends(3).json();
    let cbt = &seen["ways"][0];
    assert_eq!(
        (&cbt["possible"], &cbt["of"]),
        (&json!(1), &json!(2)),
        "{seen:#}"
    );
    assert_eq!(cbt["obstacles"][0]["example"], "old");
    let folders = seen["folders"].as_array().unwrap();
    let lengths: Vec<bool> = folders.iter().map(|at| at["len"].is_number()).collect();
    assert_eq!(lengths, [true, false], "{seen:#}");
    assert!(folders[1]["hint"].as_str().unwrap().contains("map"));

    let text = bench.run(&texts(&args[..args.len() - 1])).ends(3).out;
    assert!(
        text.contains("1 of 2") && text.contains("hint: old:"),
        "{text}"
    );
    let script = bench.run(&texts(&doctor(&lab, &["--set-up", "LAB\\o'neill"])));
    let script = script.ends(0).out;
    assert!(script.contains("$account = 'LAB\\o''neill'"), "{script}");
    let told = bench.run(&texts(&doctor(&lab, &["--set-up", "backup", "--json"])));
    let told = told.ends(0).json();
    for rule in told["rules"].as_array().unwrap() {
        let rule = rule.as_str().unwrap();
        assert!(rule.contains(r"=\\127.0.0.1\hyperkeep-"), "{rule}");
        assert!(told["script"].as_str().unwrap().contains(rule));
        // It is what the option takes.
        let share = [
            "--share",
            rule,
            "--smb",
            "encrypted",
            "--smb-port",
            "1",
            "--json",
        ];
        let mut args = doctor(&lab, &share);
        args.retain(|arg| arg != "off");
        let at = args.iter().position(|arg| arg == "--smb").unwrap();
        args.remove(at);
        bench.run(&texts(&args)).ends(3);
    }
    bench
        .run(&texts(&doctor(&lab, &["--set-up", "a;b"])))
        .ends(2);
}

#[test]
fn reference_points_are_told_with_the_vault_that_asks_by_them() {
    let bench = Bench::new();
    let lab = Lab::start(
        &bench,
        &scenario(json!([{"name": "web", "disks": disk("web")}]), json!({})),
    );
    bench.run(&texts(&lab.backup(&[]))).ends(0);
    let there = |vault: Option<&str>| {
        let args = doctor(&lab, &["--json"]);
        let mut command = bench.command(&texts(&args));
        match vault {
            Some(vault) => command.env("HYPERKEEP_VAULT", vault),
            None => command.env_remove("HYPERKEEP_VAULT"),
        };
        let answer = crate::bench::Answer::of(&command.output().unwrap());
        let there = answer.ends(0).json()["there"].clone();
        let [one] = there.as_array().unwrap().as_slice() else {
            panic!("{there:#}");
        };
        assert_eq!(
            (&one["kind"], &one["vm"]),
            (&json!("reference-point"), &json!("web"))
        );
        one["vault"].clone()
    };
    assert_eq!(there(None), Value::Null);
    assert_eq!(there(Some("vault")), "asks");
    // A vault that was thrown away cannot tell, and others know nothing of it.
    bench.run(&["--vault", "other", "init"]).ends(0);
    assert_eq!(there(Some("other")), "no");
    let text = bench.run(&texts(&doctor(&lab, &[]))).ends(0).out;
    assert!(
        text.contains("the next backup into this vault asks by it"),
        "{text}"
    );
}

#[test]
fn all_else_is_told_while_another_run_is_at_work() {
    let bench = Bench::new();
    let lab = Lab::start(
        &bench,
        &scenario(json!([{"name": "web", "disks": disk("web")}]), json!({})),
    );
    let args = doctor(&lab, &["--json"]);
    bench.run(&texts(&args)).ends(0);
    // As the other run holds it.
    let folders = std::fs::read_dir(bench.path("state/hosts")).unwrap();
    let folder = folders.map(|entry| entry.unwrap().path()).next().unwrap();
    let lock = std::fs::File::options()
        .write(true)
        .open(folder.join("lock"))
        .unwrap();
    lock.lock().unwrap();
    let seen = bench.run(&texts(&args)).ends(0).json();
    let told = seen["put_right"].as_array().unwrap();
    assert_eq!(told.len(), 1, "{seen:#}");
    let message = told[0]["message"].as_str().unwrap();
    assert!(message.contains("another run is at work"), "{message}");
    assert_eq!(seen["ways"][0]["possible"], 1);
    // A backup does not go on beside it.
    bench.run(&texts(&lab.backup(&[]))).ends(1);
}
