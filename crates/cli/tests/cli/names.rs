//! Names as bad as names can be.

use std::fs;

use testkit::image::noise;

use crate::bench::{Bench, vm};

/// Names of files that are hard on shells and patterns, and that every system can hold.
const HARD: [&str; 8] = [
    "with space.raw",
    "“quotes” 'n' ‘such’.raw",
    "a & b %PATH% $HOME `id`.raw",
    "(x) [y] {z}; !#^~=+,.raw",
    "数据盘 データ 디스크.raw",
    "💾🦀.raw",
    "at@latest.raw",
    "-dash.raw",
];
/// One that Windows cannot hold.
const NOT_ON_WINDOWS: &str = "\"such\" <x>|*?.raw";

#[test]
fn every_name_goes_in_and_comes_out() {
    let bench = Bench::new();
    let long = format!("{}.raw", "long name ".repeat(25).trim_end());
    assert!(long.len() > 250);
    let mut names: Vec<&str> = HARD.to_vec();
    names.push(&long);
    if cfg!(unix) {
        names.push(NOT_ON_WINDOWS);
    }
    for (number, name) in names.iter().enumerate() {
        bench.disk(name, &noise(number as u64, 70_000));
    }
    // Longer than old programs of Windows can open.
    let deep = format!("{}/deep.raw", "folder with a name/".repeat(15));
    assert!(deep.len() > 260);
    bench.disk(&deep, &noise(99, 70_000));

    let report = bench.backup(0);
    assert_eq!(report["vms"].as_array().unwrap().len(), names.len() + 1);
    for (number, name) in names.iter().enumerate() {
        let to = bench.restore(&format!("{name}@latest"), &[]);
        assert!(
            fs::read(to.join(name)).unwrap() == noise(number as u64, 70_000),
            "{name}"
        );
    }
    let to = bench.restore("deep.raw@latest", &[]);
    assert!(fs::read(to.join("deep.raw")).unwrap() == noise(99, 70_000));
}

/// A name that would steer the terminal is shown as what it is.
#[cfg(unix)]
#[test]
fn a_name_cannot_steer_the_terminal() {
    let bench = Bench::new();
    let name = "\x1b[2Jgone\n.raw";
    bench.disk(name, &noise(1, 5000));
    for args in [
        &["backup", "folder:source"][..],
        &["points"],
        &["ls", "folder:source"],
    ] {
        let answer = bench.run(args).ends(0);
        assert!(
            !answer.out.contains('\x1b') && !answer.err.contains('\x1b'),
            "{answer:?}"
        );
    }
    let points = bench.run(&["points", "--json"]).ends(0).json();
    assert_eq!(points["points"][0]["vm_name"], name, "JSON tells the truth");
}

#[test]
fn two_vms_of_one_name_are_two_and_are_never_guessed_apart() {
    let bench = Bench::new();
    bench.disk("one/twin.raw", &noise(1, 70_000));
    bench.disk("two/twin.raw", &noise(2, 70_000));
    let report = bench.backup(0);
    let vms = report["vms"].as_array().unwrap();
    assert_eq!(vms.len(), 2);
    let refused = bench.run(&["show", "twin.raw@latest", "--json"]).ends(1);
    let error = refused.json();
    let message = error["error"]["message"].as_str().unwrap();
    let mut contents = Vec::new();
    for vm in vms {
        let id = vm["id"].as_str().unwrap();
        assert!(message.contains(id), "{message}");
        let to = bench.restore(&format!("{id}@latest"), &[]);
        contents.push(fs::read(to.join("twin.raw")).unwrap());
    }
    contents.sort();
    let mut expected = vec![noise(1, 70_000), noise(2, 70_000)];
    expected.sort();
    assert!(contents == expected);
}

#[test]
fn patterns_choose_and_the_last_one_decides() {
    let bench = Bench::new();
    for name in ["web-1.raw", "web-old.raw", "db.raw"] {
        bench.disk(name, &noise(1, 5000));
    }
    let args = [
        "backup",
        "folder:source",
        "--vm",
        "WEB*",
        "--exclude",
        "*old*",
        "--json",
    ];
    let report = bench.run(&args).ends(0).json();
    assert_eq!(report["vms"].as_array().unwrap().len(), 1);
    vm(&report, "web-1.raw");
    // Nothing to do is not all well.
    bench
        .run(&["backup", "folder:source", "--vm", "nothing*"])
        .ends(4);
    bench
        .run(&["backup", "folder:source", "--vm", "a["])
        .ends(2);
}

/// VMs as a host has them: each with a name that is hard on shells, XML and file systems, one with a
/// longer one than any file can have, and two with the same.
#[test]
fn machines_of_any_name_and_of_the_same_name_come_back_each_as_itself() {
    use testkit::vm::{Layout, Vm};
    let bench = Bench::new();
    let long = "long name ".repeat(40);
    assert!(long.trim_end().len() > 260);
    let names = [
        "with space",
        "\"q\" 'q' & <x>",
        "数据 💾",
        long.trim_end(),
        "twin",
        "twin",
    ];
    for (number, name) in names.iter().enumerate() {
        let mut machine = Vm::generation2(name, number as u64 + 1).disk("disk.vhdx");
        // No folder could have every one of these names.
        machine.folder = "export".to_owned();
        let root = bench.path("source").join(number.to_string());
        machine.write_to(&root, Layout::Export).unwrap();
        let disks = root.join(machine.disk_folder(Layout::Export));
        testkit::image::Image::new(testkit::image::Kind::Vhdx, 16 << 20, number as u64 + 1)
            .data(0, &noise(number as u64, 70_000))
            .write(&disks.join("disk.vhdx"));
    }
    let report = bench.backup(0);
    let vms = report["vms"].as_array().unwrap();
    assert_eq!(vms.len(), names.len());
    bench.run(&["show", "twin@latest"]).ends(1);
    for (number, name) in names.iter().enumerate() {
        let mut same = vms.iter().filter(|vm| vm["name"] == *name);
        // Which of the twins is which, their disks tell.
        let found = same.any(|vm| {
            assert_eq!(vm["outcome"], "ok");
            let point = vm["point"].as_str().unwrap();
            let to = bench.restore(point, &["--flatten", "--format", "raw"]);
            fs::read(to.join("disk.raw")).unwrap()[..70_000] == noise(number as u64, 70_000)
        });
        assert!(found, "{name}");
        if *name != "twin" {
            let to = bench.path(&format!("export {number}"));
            let point = format!("{name}@latest");
            bench
                .run(&["restore", "folder", &point, "--to", to.to_str().unwrap()])
                .ends(0);
            let source = format!("folder:{}", to.display());
            let look = bench.run(&["ls", &source, "--json"]).ends(0).json();
            assert_eq!(look["vms"][0]["vm_name"], *name);
        }
    }
}
