//! Whether a VM and its checkpoints have saved memory is told wherever they are shown.

use std::fs;

use serde_json::{Value, json};
use testkit::image::{Image, Kind, noise};
use testkit::vm::{Layout, Vm};

use crate::bench::{Bench, files_below};

#[test]
fn saved_memory_is_told_by_ls_and_show() {
    let bench = Bench::new();
    let machine = Vm::generation2("web", 1)
        .disk("web.vhdx")
        .checkpoint("production", &["web.vhdx"])
        .saved()
        .checkpoint("standard", &["web.vhdx"]);
    let source = bench.path("source");
    machine.write_to(&source, Layout::Export).unwrap();
    let disks = source.join(machine.disk_folder(Layout::Export));
    Image::new(Kind::Vhdx, 16 << 20, 1)
        .data(0, &noise(1, 10_000))
        .write(&disks.join("web.vhdx"));

    let holds = |args: &[&str]| -> Value {
        let document = bench.run(&[args, &["--json"]].concat()).ends(0).json();
        match args[0] {
            "ls" => document["vms"][0]["holds"].clone(),
            _ => document["holds"].clone(),
        }
    };
    let said = |holds: &Value, name: &str| -> Value {
        let mut all = holds["checkpoints"].as_array().unwrap().iter();
        all.find(|c| c["name"] == name).unwrap()["saved_memory"].clone()
    };
    let line = |text: &str, start: &str| -> String {
        let mut lines = text.lines().map(str::trim);
        lines
            .find(|line| line.starts_with(start))
            .unwrap()
            .to_owned()
    };
    let everywhere = |vm: Value, text: &str| {
        for args in [
            &["ls", "folder:source"][..],
            &["ls", "web@latest"],
            &["show", "web@latest"],
        ] {
            let holds = holds(args);
            assert_eq!(holds["saved_memory"], vm, "{args:?}");
            assert_eq!(said(&holds, "production"), json!(false));
            assert_eq!(said(&holds, "standard"), json!(true));
            // Beside memory a disk is as after a power cut; what nobody can tell is not told.
            let disks = holds["disks"].as_array().unwrap().iter();
            let levels: Vec<&Value> = disks.map(|disk| &disk["consistency"]).collect();
            let own = if vm == json!(true) {
                "crash"
            } else {
                "offline"
            };
            assert_eq!(levels, [&json!(own), &Value::Null, &json!("crash")]);
            let out = bench.run(args).ends(0).out;
            assert!(out.contains(&format!("Saved memory\n  {text}\n")), "{out}");
            assert!(line(&out, "standard ").contains("  with saved memory"));
            assert!(!line(&out, "production ").contains("memory"));
        }
    };
    bench.backup(0);
    everywhere(json!(true), "yes");

    // A runtime state that was cut off tells nothing, and the memory of the checkpoint stays.
    let states = files_below(&source.join("web/Virtual Machines"));
    let mut states = states
        .iter()
        .filter(|p| p.extension().is_some_and(|e| e == "vmrs"));
    let state = states.next().unwrap();
    let bytes = fs::read(state).unwrap();
    fs::write(state, &bytes[..5000]).unwrap();
    bench.backup(0);
    everywhere(Value::Null, "cannot be told");

    // A disk without configuration has no memory to speak of.
    fs::create_dir(bench.path("loose")).unwrap();
    fs::copy(disks.join("web.vhdx"), bench.path("loose/web.vhdx")).unwrap();
    let loose = bench.run(&["ls", "folder:loose"]).ends(0).out;
    assert!(!loose.contains("memory"), "{loose}");
}
