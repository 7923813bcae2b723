//! `docs/json.md` and the program tell the same: each documented member is there, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};
use testkit::image::{Image, Kind, noise};
use testkit::vm::{Layout, Vm};

use crate::bench::Bench;
use crate::floppy::floppy;
use crate::lab::{Lab, scenario, texts};

type Words = BTreeSet<String>;

/// Words in backticks or in quotes within them, by section. The first section, of what all
/// documents share, has the name "".
fn documented() -> BTreeMap<String, Words> {
    let text = include_str!("../../../../docs/json.md");
    let mut sections: BTreeMap<String, Words> = BTreeMap::new();
    let mut kinds = vec![String::new()];
    for line in text.lines() {
        let code: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        if line.starts_with("## ") {
            kinds = code.iter().map(|kind| (*kind).to_owned()).collect();
            if kinds.is_empty() {
                kinds.push(String::new());
            }
            continue;
        }
        let words = code.iter().flat_map(|code| {
            let word = |c: char| !(c.is_ascii_lowercase() || c == '_' || c == '-');
            code.split(word).filter(|word| !word.is_empty())
        });
        let words: Vec<String> = words.map(str::to_owned).collect();
        for kind in &kinds {
            let section = sections.entry(kind.clone()).or_default();
            section.extend(words.iter().cloned());
        }
    }
    sections
}

/// Names of members and, apart, texts that occur as values.
fn told(value: &Value, names: &mut Words, values: &mut Words) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                names.insert(name.clone());
                // A VM's configuration is described by its own model, and a host's by the host.
                if name != "config" && name != "host_settings" {
                    told(value, names, values);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| told(item, names, values)),
        Value::String(text) => {
            values.insert(text.clone());
        }
        _ => {}
    }
}

/// Of every kind of document some that have as much in them as can be.
fn documents() -> Vec<Value> {
    let bench = Bench::bare();
    let mut all = Vec::new();
    let mut run = |args: &[&str]| {
        let answer = bench.run(&[args, &["--json"]].concat());
        let document = answer.json();
        all.push(document.clone());
        document
    };
    run(&["init", "--sheet", "sheet"]);
    let source = bench.path("source/web");
    let machine = Vm::generation2("web", 1)
        .disk("web_1.avhdx")
        .disk("gone.vhdx")
        .checkpoint("before", &["web.vhdx", "gone.vhdx"]);
    machine.write_to(&source, Layout::Export).unwrap();
    let disks = source.join(machine.disk_folder(Layout::Export));
    let base = Image::new(Kind::Vhdx, 16 << 20, 1)
        .data(0, &noise(1, 100_000))
        .write(&disks.join("web.vhdx"));
    Image::child(&base, "web.vhdx", 2)
        .data(512 << 10, &noise(2, 10_240))
        .write(&disks.join("web_1.avhdx"));
    bench.disk("a.raw", &noise(3, 100_000));
    fs::write(bench.path("none"), "").unwrap();
    fs::write(bench.path("second"), "another").unwrap();
    fs::create_dir(bench.path("man")).unwrap();

    run(&["ls", "folder:source"]);
    run(&["backup", "folder:source"]);
    run(&["backup", "folder:source"]);
    run(&["backup", "folder:source", "--exclude", "web/gone.vhdx"]);
    run(&["backup", "folder:source/a.raw", "--changed-ranges", "none"]);
    run(&["points"]);
    run(&["show", "a.raw@latest"]);
    run(&["show", "web@latest"]);
    run(&["ls", "web@latest"]);
    run(&["ls", "web@latest:web"]);
    bench.disk("floppy.raw", &floppy());
    run(&["backup", "folder:source/floppy.raw"]);
    run(&["ls", "floppy.raw@latest:/"]);
    run(&["ls", "floppy.raw@latest:/d0"]);
    let mut changed = floppy();
    changed[33 * 512] = b'J';
    bench.disk("floppy.raw", &changed);
    run(&["backup", "folder:source/floppy.raw"]);
    let now = "floppy.raw@latest";
    let points = run(&["points", "--vm", "floppy.raw"]);
    run(&["diff", points["points"][0]["id"].as_str().unwrap(), now]);
    run(&["verify", now]);
    run(&[
        "restore",
        "files",
        "floppy.raw@latest",
        "/d0",
        "--to",
        "files",
    ]);
    let disks = ["restore", "disks", "web@latest", "--to", "disks"];
    run(&disks);
    run(&disks);
    run(&[&disks[..], &["--overwrite", "rename"]].concat());
    run(&[&disks[..], &["--overwrite", "always", "--simulate"]].concat());
    run(&["restore", "folder", "web@latest", "--to", "folder"]);
    fs::write(bench.path("source/a.raw"), noise(4, 100_000)).unwrap();
    let in_place = [
        "restore",
        "disks",
        "a.raw@latest",
        "--to",
        "source",
        "--in-place",
    ];
    run(&[&in_place[..], &["--simulate"]].concat());
    for end in ["undo", "confirm"] {
        run(&in_place);
        run(&in_place);
        run(&["restore", end, "source"]);
    }
    run(&in_place);
    run(&["check", "--read-data"]);
    let vm = json!({"name": "legacy", "generation": 1, "version": "5.0", "pass-through": [2], 
        "disks": [{"path": "D:\\VMs\\legacy\\c.vhdx", "size": 4 << 20}],
        "adapters": [{"switch": "LAN", "vlan": 5}]});
    let lab = Lab::start(&bench, &scenario(json!([vm]), json!({})));
    let backup = lab.backup(&[]);
    let backup: Vec<&str> = texts(&backup)
        .into_iter()
        .filter(|arg| *arg != "--json")
        .collect();
    let backed = run(&backup);
    assert_eq!(backed["vms"][0]["outcome"], "partial", "{backed:#}");
    run(&texts(&[&["vms".to_owned()], &lab.reach()[..]].concat()));
    run(&texts(
        &[&["estimate".to_owned()], &lab.reach()[..]].concat(),
    ));
    run(&texts(
        &[
            &["vms", "--describe", "described"].map(str::to_owned),
            &lab.reach()[..],
        ]
        .concat(),
    ));
    let plan = [
        "restore",
        "vm",
        "legacy@latest",
        "--plan",
        "--switch",
        "same",
    ];
    run(&[&plan[..], &["--description", "described"]].concat());
    let reach = lab.reach();
    run(&[&plan[..], &["--name", "new", "--host"], &texts(&reach)].concat());
    let script = ["restore", "vm", "legacy@latest", "--script"];
    run(&[&script[..], &["--description", "described"]].concat());
    let doctor = [&["doctor".to_owned()], &lab.reach()[..]].concat();
    run(&[&texts(&doctor)[..], &["--map", "D:\\VMs=vault"]].concat());
    run(&[&texts(&doctor)[..], &["--set-up", "LAB\\backup"]].concat());
    drop(lab);
    // One that can have configurations as old.
    let other = json!({"host": {"name": "HV02", "seed": 6, "os": "10.0.14393"},
        "switches": ["DMZ"]});
    let lab = Lab::start(&bench, &scenario(json!([]), other));
    let show = ["show", "legacy@latest", "--compare"].map(str::to_owned);
    run(&texts(&[&show, &lab.reach()[..]].concat()));
    let map = format!("D:\\={}", lab.file("").display());
    let reach = lab.reach();
    let restore = [
        "restore",
        "vm",
        "legacy@latest",
        "--yes",
        "--map",
        &map,
        "--host",
    ];
    let restored = run(&[&restore[..], &texts(&reach)].concat());
    assert!(restored["vm"].is_object(), "{restored:#}");
    let plan = ["restore", "vm", "legacy@latest", "--plan", "--host"];
    run(&[&plan[..], &texts(&reach)].concat());
    drop(lab);
    replaced(&bench, &mut run);
    run(&["secret", "show"]);
    run(&["keys", "list"]);
    let new = ["--new-passphrase-file", "second"];
    let added = run(&[&["keys", "add-passphrase", "--label", "x"][..], &new].concat());
    run(&["keys", "remove", added["added"].as_str().unwrap()]);
    run(&["keys", "add-recovery-code", "--sheet", "sheet 2"]);
    run(&["man", "man"]);
    run(&["completions", "fish"]);
    run(&["show", "nobody@latest"]);
    run(&["nonsense"]);
    // What is damaged is told, too.
    let packs = crate::bench::files_below(&bench.path("vault/packs"));
    let large = |pack: &&std::path::PathBuf| fs::metadata(pack).unwrap().len() > 50_000;
    let data = packs.iter().filter(large);
    data.for_each(|pack| fs::remove_file(pack).unwrap());
    run(&[
        "restore",
        "disks",
        "a.raw@latest",
        "--to",
        "rest",
        "--allow-damaged",
    ]);
    let packs = crate::bench::files_below(&bench.path("vault/packs"));
    packs.iter().for_each(|pack| fs::remove_file(pack).unwrap());
    run(&["check"]);
    all
}

/// A VM that is replaced, and what can be done then.
fn replaced(bench: &Bench, run: &mut dyn FnMut(&[&str]) -> Value) {
    let vm = json!({"name": "later", "state": "off",
        "disks": [{"path": "D:\\VMs\\later\\a.vhdx", "size": 4 << 20}]});
    let lab = Lab::start_in(bench, "later", &scenario(json!([vm]), json!({})));
    bench.run(&texts(&lab.backup(&[]))).ends(0);
    let map = format!("D:\\={}", lab.file("").display());
    let reach = lab.reach();
    let reach = texts(&reach);
    let args = ["restore", "vm", "later@latest", "--yes", "--map", &map];
    let restore = [&args[..], &["--replace", "--host"], &reach].concat();
    let in_place = [&args[..], &["--in-place", "--host"], &reach].concat();
    let plans = [
        "--plan",
        "--replace",
        "--checkpoint-folder",
        r"D:\Checkpoints",
        "--host",
    ];
    let planned = [&args[..3], &plans[..], &reach].concat();
    run(&[&args[..3], &["--plan", "--define", "--host"], &reach].concat());
    let told = run(&planned);
    assert!(told["plan"]["replaced_folder"].is_string(), "{told:#}");
    assert!(told["plan"]["checkpoint_folder"].is_string());
    let told = run(&in_place);
    assert_eq!(told["kind"], "restore-vm-in-place", "{told:#}");
    for end in ["undo", "confirm"] {
        let told = run(&restore);
        assert!(told["kept"].is_string(), "{told:#}");
        run(&["restore", "kept", "--state", "state"]);
        run(&[&["restore", end, "--vm", "later", "--host"][..], &reach].concat());
    }
}

/// Words of the document that are neither members nor values of what is made above: values that
/// something else would have, and commands.
const OTHER: &[&str] = &[
    "add-recovery-code",
    "added",
    "after",
    "application",
    "asks",
    "attributes",
    "blocks",
    "changed",
    "client",
    "confirm",
    "confirming",
    "count",
    "damaged",
    "device",
    "differential",
    "dirty",
    "disks",
    "domain-controller",
    "encrypted",
    "environment",
    "file-system",
    "find",
    "found",
    "in-use",
    "hibernated",
    "info",
    "is",
    "junction",
    "keyring",
    "keys",
    "length",
    "length-differs",
    "limits",
    "link",
    "list",
    "metadata",
    "mode",
    "needs-replay",
    "no-files",
    "not-looked-at",
    "not-replayed",
    "object-damaged",
    "older",
    "original-paths",
    "other",
    "pipe",
    "planned",
    "point-unreadable",
    "property",
    "protector",
    "recipient",
    "recovery-checkpoint",
    "reference-point",
    "reference-point-of-replication",
    "removed",
    "renamed",
    "reparse",
    "replaced",
    "replayed",
    "replica-server",
    "replica-source",
    "resource-pool",
    "role",
    "rolled-back",
    "root",
    "saved-memory",
    "security",
    "service",
    "short-name",
    "socket",
    "stage",
    "streams",
    "target",
    "terminal",
    "times",
    "torn",
    "undo",
    "undoing",
    "unfinished-import",
    "unknown",
    "unknown-writer",
    "untold",
    "usage",
    "used",
    "vault",
    "volume",
    "wait",
    "was",
    "what",
    "why",
    "write-only",
    "writing",
    "written",
    "xattrs",
];

#[test]
fn the_documents_are_as_documented() {
    let sections = documented();
    let mut kinds: BTreeMap<String, Words> = BTreeMap::new();
    let mut values = Words::new();
    for document in documents() {
        let kind = document["kind"].as_str().unwrap().to_owned();
        told(&document, kinds.entry(kind).or_default(), &mut values);
    }
    let is = |kind: &&String| !kind.is_empty();
    assert_eq!(
        kinds.keys().collect::<Vec<_>>(),
        sections.keys().filter(is).collect::<Vec<_>>(),
        "kinds that are printed, and kinds that are documented"
    );
    let mut wrong = Vec::new();
    for (kind, names) in &kinds {
        let words = &sections[kind];
        // What a section says is as in another one is documented there; and some share a section.
        let with =
            |other: &&String| words.contains(other.as_str()) || sections[other.as_str()] == *words;
        let others: Vec<&String> = kinds.keys().filter(with).collect();
        let known = |name: &str| {
            let mut sections = others.iter().map(|other| &sections[*other]);
            sections.any(|words| words.contains(name))
        };
        let undocumented: Vec<_> = names
            .iter()
            .filter(|name| !known(name) && !sections[""].contains(*name))
            .collect();
        if !undocumented.is_empty() {
            wrong.push(format!("`{kind}` has, undocumented: {undocumented:?}"));
        }
        let is_there = |word: &str| others.iter().any(|other| kinds[*other].contains(word));
        let missing: Vec<_> = words
            .iter()
            .filter(|word| !is_there(word) && !kinds.contains_key(*word))
            .filter(|word| !values.contains(*word) && !OTHER.contains(&word.as_str()))
            .collect();
        if !missing.is_empty() {
            wrong.push(format!(
                "documented of `{kind}`, and not there: {missing:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
