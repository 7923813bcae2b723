//! Disks that stand on masters in another folder.

use std::fs;

use testkit::image::{Image, Kind, noise};
use testkit::vm::{Layout, Vm};

use crate::bench::{Bench, vm};
use crate::start::Start as _;

const LEN: usize = 8 << 20;

/// Two VMs and a loose disk made from one master; and another disk beside the master.
#[test]
fn parents_are_found_where_the_user_says_and_nothing_else_is_taken_from_there() {
    let bench = Bench::new();
    let masters = bench.path("masters");
    fs::create_dir(&masters).unwrap();
    let ground = noise(1, LEN);
    let master = Image::new(Kind::Vhdx, LEN as u64, 1)
        .data(0, &ground)
        .write(&masters.join("master.vhdx"));
    Image::new(Kind::Raw, 4096, 2).write(&masters.join("unrelated.raw"));
    let source = bench.path("source");
    let mut made = Vec::new();
    for (name, number) in [("web", 10), ("db", 20)] {
        let machine = Vm::generation2(name, number).disk(&format!("{name}.vhdx"));
        machine
            .write_to(&source.join(name), Layout::Export)
            .unwrap();
        let folder = source.join(name).join(machine.disk_folder(Layout::Export));
        made.push((folder, name, number));
    }
    made.push((source, "loose", 30));
    for (folder, name, number) in &made {
        Image::child(&master, "master.vhdx", *number)
            .data(1 << 20, &noise(*number, 4096))
            .write(&folder.join(format!("{name}.vhdx")));
    }

    let without = bench.backup(4);
    let missing = without["vms"][0]["findings"].to_string();
    assert!(missing.contains("--parents"), "{missing}");

    let args = ["folder:source", "--parents", "masters", "--json"];
    let listed = bench.run(&[&["ls"], &args[..]].concat()).ends(0).json();
    assert_eq!(listed["vms"].as_array().unwrap().len(), 3, "{listed:#}");
    let report = bench.run(&[&["backup"], &args[..]].concat()).ends(0).json();
    assert_eq!(report["vms"].as_array().unwrap().len(), 3, "{report:#}");
    for (name, number) in [("web", 10), ("db", 20), ("loose.vhdx", 30)] {
        let point = vm(&report, name)["point"].as_str().unwrap();
        let to = bench.restore(point, &["--flatten", "--format", "raw"]);
        let mut expected = ground.clone();
        expected[1 << 20..][..4096].copy_from_slice(&noise(number, 4096));
        let file = format!("{}.raw", name.trim_end_matches(".vhdx"));
        assert!(fs::read(to.join(&file)).unwrap() == expected, "{name}");
    }

    // As a chain and as a folder, it hangs together where it lands.
    let to = bench.restore("web@latest", &[]);
    let mut chain = bench.command(&["backup"]);
    chain.arg(format!("folder:{}", to.display()));
    chain.answer().ends(0);
    let args = ["restore", "folder", "db@latest", "--to", "db"];
    bench.run(&args).ends(0);
    bench.run(&["backup", "folder:db"]).ends(0);

    bench
        .run(&["backup", "folder:source", "--parents", "nowhere"])
        .ends(1);
    bench
        .run(&["ls", "web@latest", "--parents", "masters"])
        .ends(2);
}
