//! A vault that the program wrote when version 1 of the format was new comes back, with the program
//! of today and with a reader that shares no code.
//!
//! `golden/v1` is never written again, see `examples/make_golden.rs`. It holds a VM with a checkpoint,
//! saved memory and a virtual TPM, one with VHDs, one whose checkpoints have no known order, a raw disk
//! with an incremental by changed ranges, and two packs with the same chunks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use disk::BlockRead;
use disk::resolve::{Folders, open_chain};
use serde_json::{Value, json};
use testkit::vhd::oracle::{self, Python};
use vault_format::ObjectHash;

use crate::bench::{Bench, files_below};

/// A copy of a golden vault, and what must come out of it.
struct Golden {
    bench: Bench,
    expected: Value,
}

fn folder(golden: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(golden)
}

impl Golden {
    fn new() -> Self {
        Self::of("tests/golden/v1")
    }

    fn of(golden: &str) -> Self {
        let (folder, bench) = (folder(golden), Bench::bare());
        let vault = folder.join("vault");
        for file in files_below(&vault) {
            let copy = bench.path("vault").join(file.strip_prefix(&vault).unwrap());
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(&file, copy).unwrap();
        }
        let expected = fs::read(folder.join("expected.json")).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        let passphrase = expected["passphrase"].as_str().unwrap();
        fs::write(bench.path("passphrase"), passphrase).unwrap();
        Self { bench, expected }
    }

    fn points(&self) -> impl Iterator<Item = (&str, &Value)> {
        let points = self.expected["points"].as_array().unwrap();
        points
            .iter()
            .map(|point| (point["id"].as_str().unwrap(), point))
    }
}

fn hash(file: &Path) -> String {
    ObjectHash::of(&fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display())))
        .to_string()
}

/// The hash of what a guest reads from an image and its parents.
fn contents(image: &Path) -> String {
    let chain = open_chain(&Folders::new(), image).unwrap();
    let mut bytes = vec![0; chain.len() as usize];
    chain.read_at(0, &mut bytes).unwrap();
    ObjectHash::of(&bytes).to_string()
}

/// The hashes of all files below a folder by their places in it.
fn hashes(folder: &Path, hash: fn(&Path) -> String) -> Value {
    let place = |file: &Path| {
        let parts = file.strip_prefix(folder).unwrap().iter();
        parts
            .map(|part| part.to_str().unwrap())
            .collect::<Vec<_>>()
            .join("/")
    };
    let files = files_below(folder);
    files
        .iter()
        .map(|file| (place(file), json!(hash(file))))
        .collect()
}

#[test]
fn the_golden_vault_is_whole_and_every_command_knows_it() {
    let golden = Golden::new();
    let bench = &golden.bench;
    let checked = bench
        .run(&["check", "--read-data", "--json"])
        .ends(0)
        .json();
    assert_eq!(checked["points"], golden.points().count());
    assert_eq!(checked["findings"], json!([]));
    assert!(checked["duplicate_chunks"].as_u64() > Some(0), "{checked}");

    let listed = bench.run(&["points", "--json"]).ends(0).json();
    assert_eq!(
        (&listed["unreadable"], &listed["findings"]),
        (&json!([]), &json!([]))
    );
    let told = |point: &Value, name: &str| {
        ["id", name, "level"].map(|member| point[member].as_str().unwrap().to_owned())
    };
    let listed = listed["points"].as_array().unwrap().iter();
    let listed: BTreeSet<_> = listed.map(|point| told(point, "vm_name")).collect();
    let expected: BTreeSet<_> = golden
        .points()
        .map(|(_, point)| told(point, "vm"))
        .collect();
    assert_eq!(listed, expected);

    let mut readings = BTreeSet::new();
    for (id, point) in golden.points() {
        let shown = bench.run(&["show", id, "--json"]).ends(0).json();
        for layer in shown["layers"].as_array().unwrap() {
            readings.insert(layer["reading"]["how"].as_str().unwrap().to_owned());
        }
        let checkpoints = shown["holds"]["checkpoints"].as_array().unwrap();
        let names: BTreeSet<_> = checkpoints
            .iter()
            .map(|c| c["name"].as_str().unwrap())
            .collect();
        let expected = point["checkpoints"].as_object().unwrap();
        assert_eq!(names, expected.keys().map(String::as_str).collect());
        let order = if point["vm"] == "Unordered" {
            "unknown"
        } else {
            "root"
        };
        assert!(
            checkpoints.iter().all(|c| c["parent"]["is"] == order),
            "{shown:#}"
        );
        assert_eq!(shown["config"].is_object(), point["files"] != json!({}));
        assert_eq!(shown["holds"]["missing"], json!([]));
    }
    assert_eq!(
        readings,
        ["full", "ranges", "reused"].map(String::from).into()
    );

    let code = golden.expected["recovery"].as_str().unwrap();
    fs::write(bench.path("code"), code).unwrap();
    bench
        .run(&["points", "--recovery-code-file", "code"])
        .ends(0);
}

#[test]
fn every_disk_of_the_golden_vault_comes_back() {
    let golden = Golden::new();
    for (id, point) in golden.points() {
        let flat = golden.bench.restore(id, &["--flatten", "--format", "raw"]);
        assert_eq!(hashes(&flat, hash), point["flat"], "{}", point["vm"]);
        for (name, disks) in point["checkpoints"].as_object().unwrap() {
            let args = ["--checkpoint", name, "--format", "raw"];
            let then = golden.bench.restore(id, &args);
            assert_eq!(&hashes(&then, hash), disks, "{} at {name}", point["vm"]);
        }
        // As they were: chains of files in their own formats.
        let kept = golden.bench.restore(id, &[]);
        let images = point["images"].as_object().unwrap();
        let names = images.iter().map(|(path, hash)| {
            let name = path.rsplit('/').next().unwrap();
            (name.to_owned(), hash.clone())
        });
        assert_eq!(
            hashes(&kept, contents),
            names.collect::<Value>(),
            "{}",
            point["vm"]
        );
    }
}

#[test]
fn every_vm_of_the_golden_vault_comes_back_as_a_folder() {
    let golden = Golden::new();
    let machines = golden
        .points()
        .filter(|(_, point)| point["files"] != json!({}));
    let mut restored = 0;
    for (id, point) in machines {
        let to = golden.bench.path(id);
        let args = ["restore", "folder", id, "--to", to.to_str().unwrap()];
        golden.bench.run(&args).ends(0);
        let (images, files) = (point["images"].as_object(), point["files"].as_object());
        let (images, files) = (images.unwrap(), files.unwrap());
        assert_eq!(files_below(&to).len(), images.len() + files.len());
        for (path, expected) in images {
            assert_eq!(&contents(&to.join(path)), expected, "{path}");
        }
        for (path, expected) in files {
            // There the paths of the disks are changed, for the import.
            let rewritten = cfg!(windows) && path.ends_with(".vmcx");
            assert!(rewritten || hash(&to.join(path)) == *expected, "{path}");
        }
        restored += 1;
    }
    assert_eq!(restored, 4);
}

/// The format's own golden vault has points of no program: they are there, and they are told so.
#[test]
fn points_that_are_not_understood_are_told_as_being_there() {
    let golden = Golden::of("../vault-format/tests/golden/v1");
    let bench = &golden.bench;
    let points = bench.run(&["points"]).ends(3).out;
    assert!(
        points.starts_with("2 restore points, none readable\n"),
        "{points}"
    );
    assert!(points.contains("does not understand: layer 0"), "{points}");
    let unreadable = bench.run(&["points", "--json"]).ends(3).json()["unreadable"].clone();
    assert_eq!(unreadable.as_array().unwrap().len(), 2);
    for args in [
        &["show", "0101"][..],
        &["ls", "0101"],
        &["restore", "disks", "0101", "--to", "x"],
        &["restore", "folder", "0101", "--to", "x"],
    ] {
        let answer = bench.run(args).ends(1);
        for part in [
            "is there, but cannot be read",
            "does not understand",
            "newer hyperkeep",
        ] {
            assert!(answer.err.contains(part), "{part}: {answer:#?}");
        }
    }
    let both = bench.run(&["show", "0"]).ends(1).err;
    assert!(both.contains("the beginning of 2 ids"), "{both}");
    let by_name = bench.run(&["show", "any@latest"]).ends(1).err;
    assert!(
        by_name.contains("no restore point that can be read"),
        "{by_name}"
    );
    let none = bench.run(&["show", "ff"]).ends(1).err;
    assert!(
        none.contains("there is no such restore point: ff"),
        "{none}"
    );
}

/// `docs/format/reader.py`, which was written from the documents alone.
struct Reader<'a> {
    python: Python,
    golden: &'a Golden,
}

impl<'a> Reader<'a> {
    fn of(golden: &'a Golden, test: &str) -> Option<Self> {
        let python = oracle::python(test, "cryptography, argon2, zstandard")?;
        Some(Self { python, golden })
    }

    fn run(&self, args: &[&str]) -> Result<String, String> {
        let code = self.golden.expected["recovery"].as_str().unwrap();
        self.run_with(["--recovery", code], args)
    }

    fn run_with(&self, secret: [&str; 2], args: &[&str]) -> Result<String, String> {
        let vault = self.golden.bench.path("vault");
        let all = [&[vault.to_str().unwrap()][..], &secret, args].concat();
        self.python
            .run_program(&folder("../../docs/format/reader.py"), &all)
    }

    /// The hash of what a command writes.
    fn hash(&self, command: &str, point: &str, what: &str) -> String {
        let out = self.golden.bench.path("out");
        self.run(&[command, point, what, out.to_str().unwrap()])
            .unwrap();
        hash(&out)
    }
}

#[test]
fn an_independent_reader_restores_the_golden_vault() {
    let golden = Golden::new();
    let Some(reader) = Reader::of(&golden, "an_independent_reader_restores_the_golden_vault")
    else {
        return;
    };
    let listed: Value = serde_json::from_str(&reader.run(&["list", "--json"]).unwrap()).unwrap();
    let details: BTreeMap<&str, &Value> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|found| {
            (
                found["outline"]["point"].as_str().unwrap(),
                &found["details"],
            )
        })
        .collect();
    assert_eq!(details.len(), golden.points().count());
    for (id, point) in golden.points() {
        let list = |name: &str| details[id][name].as_array().unwrap();
        // Below the folder that has the VM's name, if it is more than a disk.
        let below = format!("{}/", point["vm"].as_str().unwrap());
        let place = |item: &Value| item["path"].as_str().unwrap().replacen(&below, "", 1);
        let layers = list("layers");
        for disk in list("disks") {
            let head = layers
                .iter()
                .find(|layer| layer["id"] == disk["head"])
                .unwrap();
            let found = reader.hash("disk", id, disk["name"].as_str().unwrap());
            assert_eq!(point["images"][place(head)], found, "{head}");
        }
        for base in layers.iter().filter(|layer| layer.get("parent").is_none()) {
            let found = reader.hash("layer", id, &base["id"].to_string());
            assert_eq!(point["images"][place(base)], found, "{base}");
        }
        let files = list("files");
        assert_eq!(files.len(), point["files"].as_object().unwrap().len());
        for file in files {
            let found = reader.hash("file", id, &file["id"].to_string());
            assert_eq!(point["files"][place(file)], found, "{file}");
        }
    }
}

#[test]
fn an_independent_reader_checks_the_golden_vault_by_the_documents() {
    let golden = Golden::new();
    let Some(reader) = Reader::of(&golden, "an_independent_reader_checks_the_golden_vault") else {
        return;
    };
    let passphrase = [
        "--passphrase",
        golden.expected["passphrase"].as_str().unwrap(),
    ];
    reader.run_with(passphrase, &["check"]).unwrap();

    // Of what is in two packs one may go, and what the index says of it is passed over; nothing else.
    let packs = files_below(&golden.bench.path("vault/packs"));
    let away = golden.bench.path("away");
    let spare = packs.iter().filter(|pack| {
        fs::rename(pack, &away).unwrap();
        let checked = reader.run(&["check"]);
        fs::rename(&away, pack).unwrap();
        let lost = |why: &String| why.contains("is in no pack");
        assert!(checked.as_ref().err().is_none_or(lost), "{checked:?}");
        checked.is_ok()
    });
    let spare = spare.count();
    assert!(
        spare >= 2 && spare < packs.len(),
        "{spare} of {}",
        packs.len()
    );

    // A slot that would cost too much is refused before it is computed.
    let slots = files_below(&golden.bench.path("vault/keys"));
    let slot =
        |path: &&PathBuf| fs::read_to_string(path).is_ok_and(|text| text.contains("argon2id"));
    let slot = slots.iter().find(slot).unwrap();
    let good = fs::read(slot).unwrap();
    for (member, value) in [("lanes", 17), ("passes", 65), ("memory_kib", (1 << 20) + 1)] {
        let mut bad: Value = serde_json::from_slice(&good).unwrap();
        bad["argon2id"][member] = json!(value);
        fs::write(slot, bad.to_string()).unwrap();
        let refused = reader.run_with(passphrase, &["check"]).unwrap_err();
        assert!(refused.contains("more than a slot may cost"), "{refused}");
    }
    let mut bad: Value = serde_json::from_slice(&good).unwrap();
    bad["argon2id"] = json!({"memory_kib": 1 << 20, "passes": 5, "lanes": 1});
    fs::write(slot, bad.to_string()).unwrap();
    let refused = reader.run_with(passphrase, &["check"]).unwrap_err();
    assert!(refused.contains("more than a slot may cost"), "{refused}");
    fs::write(slot, good).unwrap();

    // Without its writer's certificate everything is readable, and is reported.
    for writer in slots.iter().filter(|path| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("writer-")
    }) {
        fs::remove_file(writer).unwrap();
    }
    let reported = reader.run(&["check"]).unwrap_err();
    assert!(
        reported.contains("signed by a writer without certificate: points/"),
        "{reported}"
    );
    let (id, point) = golden
        .points()
        .find(|(_, point)| point["vm"] == "twin-a.raw")
        .unwrap();
    assert_eq!(point["images"]["twin-a.raw"], reader.hash("layer", id, "0"));
}
