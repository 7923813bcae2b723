//! How consistent volumes are told to be, and what two moments of a small disk differ in, on any system.

use serde_json::{Value, json};
use testkit::image::{Image, Kind};
use testkit::vm::{Layout, Vm};

use crate::bench::Bench;
use crate::floppy::floppy;

/// Where the second table of clusters lies.
const TABLE: usize = 10 * 512;
/// Where the file's only cluster lies.
const FILE: usize = 33 * 512;

fn point(bench: &Bench, name: &str, bytes: &[u8]) -> String {
    bench.disk(name, bytes);
    bench.run(&["backup", "folder:source"]).ends(0);
    let name = format!("{name}@latest");
    let shown = bench.run(&["show", &name, "--json"]).ends(0).json();
    shown["point"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn since_when_a_volume_is_damaged_is_told() {
    let bench = Bench::new();
    let whole = floppy();
    let mut changed = whole.clone();
    changed[FILE] = b'J';
    let mut damaged = changed.clone();
    damaged[TABLE + 3] = 0x12;
    let mut later = damaged.clone();
    later[FILE] = b'K';
    let points: Vec<String> = [whole, changed, damaged, later]
        .iter()
        .map(|bytes| point(&bench, "a.raw", bytes))
        .collect();
    let report = bench.run(&["verify", "a.raw", "--json"]).ends(3).json();
    let verdicts: Vec<&Value> = report["points"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| &point["evidence"][0]["volumes"][0]["verdict"])
        .collect();
    assert_eq!(verdicts, ["clean", "clean", "damaged", "damaged"]);
    let course = &report["volumes"][0];
    assert_eq!(course["verdict"], "damaged");
    assert_eq!(course["since"], json!(points[2]), "{report:#}");
    assert_eq!(course["last_good"], json!(points[1]));
    let message = report["findings"][0]["message"].as_str().unwrap();
    assert!(message.contains(&points[2]), "{message}");
    // Up to a point that is named.
    let before = bench.run(&["verify", &points[1], "--json"]).ends(0).json();
    assert_eq!(before["points"].as_array().unwrap().len(), 2);
    assert_eq!(before["volumes"][0]["verdict"], "clean");
    let text = bench.run(&["verify", "a.raw@latest"]).ends(3);
    assert!(text.out.contains("damaged"), "{text:?}");
    let shown = bench.run(&["show", &points[2]]).ends(0).out;
    assert!(shown.contains("damaged"), "{shown}");
    assert!(
        bench
            .run(&["verify", "nobody"])
            .ends(1)
            .err
            .contains("no VM")
    );
    assert!(
        bench
            .run(&["verify", "nobody@latest"])
            .ends(1)
            .err
            .contains("nobody")
    );
}

/// What is dirty is a finding and not the last good point, what is not proven is told, and `show` says who knows more.
#[test]
fn what_is_dirty_or_not_proven_is_told() {
    let bench = Bench::new();
    let clean = point(&bench, "a.raw", &floppy());
    let mut in_use = floppy();
    in_use[37] = 1;
    let dirty = point(&bench, "a.raw", &in_use);
    let report = bench.run(&["verify", "a.raw", "--json"]).ends(3).json();
    let course = &report["volumes"][0];
    assert_eq!(course["verdict"], "dirty", "{report:#}");
    assert_eq!(course["since"], json!(dirty));
    assert_eq!(course["last_good"], json!(clean));
    assert_eq!(course["checkpoint"], Value::Null);
    assert_eq!(report["findings"][0]["severity"], "warning");
    let shown = bench.run(&["show", &dirty]).ends(0).out;
    assert!(shown.contains("`hyperkeep verify`"), "{shown}");
    let shown = bench.run(&["show", &clean]).ends(0).out;
    assert!(!shown.contains("`hyperkeep verify`"), "{shown}");

    let mut refs = vec![0; 1 << 20];
    refs[3..7].copy_from_slice(b"ReFS");
    refs[16..20].copy_from_slice(b"FSRS");
    let named = point(&bench, "b.raw", &refs);
    let shown = bench.run(&["show", &named, "--json"]).ends(0).json();
    let volume = &shown["evidence"][0]["volumes"][0];
    assert_eq!(volume["verdict"], "unknown");
    let unproven = volume["unproven"][0].as_str().unwrap();
    assert!(unproven.starts_with("that it is ReFS"), "{volume:#}");
    let shown = bench.run(&["show", &named]).ends(0).out;
    assert!(shown.contains("not proven is that it is ReFS"), "{shown}");
}

#[test]
fn changes_of_a_small_disk_are_told() {
    let bench = Bench::new();
    let old = point(&bench, "a.raw", &floppy());
    let mut disk = floppy();
    disk[FILE] = b'J';
    let new = point(&bench, "a.raw", &disk);
    let document = bench.run(&["diff", &old, &new, "--json"]).ends(0).json();
    let changes = document["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1, "{document:#}");
    assert_eq!(changes[0]["path"], "d0/HELLO.TXT");
    assert_eq!(changes[0]["what"], json!(["contents"]));
    assert_eq!(changes[0]["by"], "read");
    assert_eq!(document["before"]["point"], json!(old));
    let text = bench
        .run(&["diff", &old, &new, "/d0/hello.txt"])
        .ends(0)
        .out;
    assert!(text.contains("d0/hello.txt (contents)"), "{text}");
    let none = bench.run(&["diff", &new, &new]).ends(0).out;
    assert!(
        none.starts_with("0 added, 0 removed, 0 renamed, 0 changed\n"),
        "{none}"
    );
    for path in ["/d0/nothing", "/d7", "/d7/nothing"] {
        let answer = bench.run(&["diff", &old, &new, path]).ends(1);
        assert!(answer.err.contains("at neither moment"), "{answer:?}");
    }
    bench.run(&["diff", &old, &new, "/"]).ends(2);

    let other = point(&bench, "b.raw", &floppy());
    let answer = bench.run(&["diff", &old, &other]).ends(1);
    assert!(answer.err.contains("of two VMs"), "{answer:?}");
    let document = bench.run(&["diff", &old, &other, "--json"]).ends(1).json();
    assert_eq!(document["kind"], "error");
}

#[test]
fn what_changed_since_a_checkpoint_is_told() {
    let bench = Bench::new();
    let source = bench.path("source");
    let machine = Vm::generation2("web", 1)
        .disk("web_1.avhdx")
        .checkpoint("before", &["web.vhdx"]);
    machine.write_to(&source, Layout::Export).unwrap();
    let disks = source.join(machine.disk_folder(Layout::Export));
    let base = Image::new(Kind::Vhdx, 16 << 20, 1)
        .data(0, &floppy())
        .write(&disks.join("web.vhdx"));
    let mut later = [0; 512];
    later[..6].copy_from_slice(b"later\n");
    Image::child(&base, "web.vhdx", 2)
        .data(FILE as u64, &later)
        .write(&disks.join("web_1.avhdx"));
    bench.backup(0);
    let since = ["diff", "web@latest", "web@latest", "--checkpoint", "before"];
    let document = bench
        .run(&[&since[..], &["--json"]].concat())
        .ends(0)
        .json();
    assert_eq!(document["before"]["checkpoint"], "before");
    assert_eq!(document["after"]["checkpoint"], Value::Null);
    assert_eq!(document["counts"]["changed"], 1, "{document:#}");
    let same = bench
        .run(&[&since[..], &["--checkpoint", "before"]].concat())
        .ends(0);
    assert!(same.out.starts_with("0 added"), "{same:?}");
    let more = ["--checkpoint", "before", "--checkpoint", "before"];
    bench.run(&[&since[..], &more].concat()).ends(2);
    // Each is told for itself.
    let shown = bench.run(&["show", "web@latest", "--json"]).ends(0).json();
    assert_eq!(shown["evidence"].as_array().unwrap().len(), 2);
    assert_eq!(shown["evidence"][1]["checkpoint"], "before");
    let report = bench.run(&["verify", "web", "--json"]).ends(0).json();
    let courses = report["volumes"].as_array().unwrap().iter();
    let of: Vec<&Value> = courses.map(|one| &one["checkpoint"]).collect();
    assert_eq!(of, [&Value::Null, &json!("before")], "{report:#}");
}
