//! Makes a golden vault with the `hyperkeep` program, and beside it `expected.json`, which says what
//! opens it and what must come out.
//!
//! ```text
//! cargo run -p hyperkeep-cli --example make_golden -- target/debug/hyperkeep DIR
//! ```
//!
//! The vaults under `tests/golden/` were made by it, one for each version of the format; they are
//! never made again: a vault that can be made anew proves nothing about those that people have.
//! What must come out is told from what went in, not from what the program restores.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use testkit::image::{Image, Kind, noise};
use testkit::vm::{Layout, Vm};
use vault_format::ObjectHash;

const PASSPHRASE: &str = "golden ü 数 💾";
const MIB: usize = 1 << 20;

fn main() {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [program, out] = args.as_slice() else {
        eprintln!("usage: make_golden PROGRAM DIR");
        std::process::exit(2);
    };
    fs::create_dir(out).expect("a folder that is not there yet");
    let work = tempfile::Builder::new()
        .prefix("hyperkeep-golden-")
        .tempdir()
        .expect("a temporary folder");
    let golden = Golden {
        program: fs::canonicalize(program).expect("the program"),
        out: fs::canonicalize(out).expect("the folder"),
        work: work.path().to_owned(),
    };
    let expected = golden.make();
    let text = serde_json::to_string_pretty(&expected).expect("plain data") + "\n";
    fs::write(golden.out.join("expected.json"), text).expect("room for it");
}

struct Golden {
    program: PathBuf,
    out: PathBuf,
    work: PathBuf,
}

/// What must come out of every restore point of a VM, by the names that it must have.
#[derive(Default)]
struct Wanted {
    /// What a guest reads from each image, chains put together, by its place in the VM's folder.
    images: BTreeMap<String, Vec<u8>>,
    /// Every other file, by its place in the VM's folder.
    files: BTreeMap<String, Vec<u8>>,
    /// The disks, flattened.
    flat: BTreeMap<String, Vec<u8>>,
    /// The same as of each checkpoint.
    checkpoints: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
}

impl Wanted {
    fn to_json(&self) -> Value {
        let hashes = |files: &BTreeMap<String, Vec<u8>>| -> BTreeMap<String, String> {
            let hash = |bytes: &Vec<u8>| ObjectHash::of(bytes).to_string();
            files
                .iter()
                .map(|(name, b)| (name.clone(), hash(b)))
                .collect()
        };
        let checkpoints: BTreeMap<&String, _> = self
            .checkpoints
            .iter()
            .map(|(name, disks)| (name, hashes(disks)))
            .collect();
        json!({
            "images": hashes(&self.images),
            "files": hashes(&self.files),
            "flat": hashes(&self.flat),
            "checkpoints": checkpoints,
        })
    }
}

impl Golden {
    fn make(&self) -> Value {
        let source = self.work.join("source");
        fs::create_dir(&source).expect("a new folder");
        fs::write(self.work.join("passphrase"), PASSPHRASE).expect("room for it");
        let vault = self.run(&["init"]);
        let mut wanted =
            BTreeMap::from([chain(&source), old_formats(&source), unknown_order(&source)]);
        let mut raw = pages(8 * MIB);
        fs::write(source.join("data.raw"), &raw).expect("room for it");
        wanted.insert("data.raw".into(), loose("data.raw", &raw));
        let mut points = Vec::new();
        let backup = |args: &[&str]| self.run(&[&["backup"], args].concat());
        told(&backup(&["folder:source"]), &wanted, &mut points);
        told(
            &backup(&["folder:source", "--vm", "Web*"]),
            &wanted,
            &mut points,
        );

        // Two small changes: patches, and leaves that are deltas of the old ones.
        let mut ranges = String::new();
        for (offset, len) in [(1_000_000, 5000), (6_300_000, 700)] {
            raw[offset..][..len].copy_from_slice(&noise(offset as u64, len));
            ranges.push_str(&format!("{offset} {len}\n"));
        }
        fs::write(source.join("data.raw"), &raw).expect("room for it");
        fs::write(self.work.join("ranges"), ranges).expect("room for it");
        wanted.insert("data.raw".into(), loose("data.raw", &raw));
        let incremental = ["folder:source/data.raw", "--changed-ranges", "ranges"];
        told(&backup(&incremental), &wanted, &mut points);

        self.twins(&mut wanted, &mut points);
        remove_empty_folders(&self.out.join("vault"));
        json!({
            "passphrase": PASSPHRASE,
            "recovery": vault["recovery_code"],
            "points": points,
        })
    }

    /// Two backups of one content by hosts that do not see each other's, as when both run at one
    /// time: so its chunks are in two packs.
    fn twins(&self, wanted: &mut BTreeMap<String, Wanted>, points: &mut Vec<Value>) {
        let bytes = noise(77, 40_000);
        let (vault, before) = (self.out.join("vault"), self.work.join("before"));
        copy(&vault, &before);
        for (name, vault) in [("twin-a.raw", &vault), ("twin-b.raw", &before)] {
            fs::write(self.work.join(name), &bytes).expect("room for it");
            wanted.insert(name.to_owned(), loose(name, &bytes));
            let cache = self.work.join(format!("cache of {name}"));
            let source = format!("folder:{name}");
            let document = self.run_on(vault, &cache, &["backup", &source]);
            let stored = document["vms"][0]["stored"].as_u64();
            assert!(stored.is_some_and(|stored| stored > bytes.len() as u64));
            told(&document, wanted, points);
        }
        copy(&before, &vault);
    }

    fn run(&self, args: &[&str]) -> Value {
        self.run_on(&self.out.join("vault"), &self.work.join("cache"), args)
    }

    /// The document of a run of the program.
    fn run_on(&self, vault: &Path, cache: &Path, args: &[&str]) -> Value {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HYPERKEEP_") {
                command.env_remove(name);
            }
        }
        let output = command
            .env("HYPERKEEP_VAULT", vault)
            .env("HYPERKEEP_PASSPHRASE_FILE", self.work.join("passphrase"))
            .env("HYPERKEEP_CACHE_DIR", cache)
            // What the vault calls its writer.
            .env_remove("COMPUTERNAME")
            .env("HOSTNAME", "golden")
            .current_dir(&self.work)
            .args(args)
            .args(["--json", "--quiet"])
            .stderr(Stdio::inherit())
            .output()
            .expect("a program");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(matches!(output.status.code(), Some(0 | 3)), "{text}");
        serde_json::from_str(&text).expect("one document")
    }
}

/// Copies what is not there yet.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("room for it");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else if !to.exists() {
            fs::copy(from, to).expect("room for it");
        }
    }
}

/// Adds what is to be expected of the restore points of a backup.
fn told(document: &Value, wanted: &BTreeMap<String, Wanted>, points: &mut Vec<Value>) {
    for vm in document["vms"].as_array().expect("VMs") {
        let name = vm["name"].as_str().expect("a name");
        let mut point = wanted[name].to_json();
        point["id"] = vm["point"].clone();
        point["vm"] = vm["name"].clone();
        point["level"] = vm["level"].clone();
        assert!(vm["point"].is_string(), "{vm:#}");
        points.push(point);
    }
}

/// Pages that all differ and compress well.
fn pages(len: usize) -> Vec<u8> {
    let page = |number: u64| {
        let mut page = number
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .to_le_bytes()
            .to_vec();
        page.resize(4096, b'.');
        page
    };
    (0..len as u64 / 4096).flat_map(page).collect()
}

fn loose(name: &str, bytes: &[u8]) -> Wanted {
    let one = BTreeMap::from([(name.to_owned(), bytes.to_vec())]);
    Wanted {
        images: one.clone(),
        flat: one,
        ..Wanted::default()
    }
}

/// Writes a VM's configuration and state; the folder for its disks.
fn write(vm: &Vm, source: &Path) -> (PathBuf, Wanted) {
    vm.write_to(source, Layout::Export).expect("room for it");
    let below = format!("{}/", vm.folder);
    let files = vm.files(Layout::Export).into_iter();
    let files = files
        .map(|(path, bytes)| (path.replacen(&below, "", 1), bytes))
        .collect();
    let wanted = Wanted {
        files,
        ..Wanted::default()
    };
    (source.join(vm.disk_folder(Layout::Export)), wanted)
}

fn place(disk: &str) -> String {
    format!("Virtual Hard Disks/{disk}")
}

/// A saved VM with virtual TPM, and a checkpoint: a VHDX with a differencing one above it.
fn chain(source: &Path) -> (String, Wanted) {
    let vm = Vm::generation2("Web & 数据 💾", 1)
        .disk("web_1.avhdx")
        .checkpoint("before the update", &["web.vhdx"])
        .virtual_tpm()
        .saved();
    let (disks, mut wanted) = write(&vm, source);
    let mut old = vec![0; 8 * MIB];
    old[..MIB].copy_from_slice(&pages(MIB));
    old[5 * MIB..][..20_480].copy_from_slice(&noise(1, 20_480));
    let base = Image::new(Kind::Vhdx, 8 << 20, 1)
        .data(0, &old[..MIB])
        .data(5 << 20, &old[5 * MIB..][..20_480])
        .write(&disks.join("web.vhdx"));
    let mut new = old.clone();
    new[MIB / 2..][..8192].copy_from_slice(&noise(2, 8192));
    new[5 * MIB..][..4096].fill(0);
    Image::child(&base, "web.vhdx", 2)
        .data(512 << 10, &new[MIB / 2..][..8192])
        .zeros(5 << 20, 4096)
        .write(&disks.join("web_1.avhdx"));
    wanted.images = BTreeMap::from([
        (place("web.vhdx"), old.clone()),
        (place("web_1.avhdx"), new.clone()),
    ]);
    wanted.flat = BTreeMap::from([("web.raw".to_owned(), new)]);
    let then = BTreeMap::from([("web.raw".to_owned(), old)]);
    wanted.checkpoints = BTreeMap::from([("before the update".to_owned(), then)]);
    (vm.config.name, wanted)
}

/// A generation 1 VM with a fixed and a dynamic VHD.
fn old_formats(source: &Path) -> (String, Wanted) {
    let vm = Vm::generation1("Legacy", 2)
        .disk("fixed.vhd")
        .disk("dynamic.vhd");
    let (disks, mut wanted) = write(&vm, source);
    for (name, kind, number) in [("fixed", Kind::VhdFixed, 3), ("dynamic", Kind::Vhd, 4)] {
        let mut bytes = vec![0; 4 * MIB];
        let data = noise(number, 9 * 1024);
        bytes[2 * MIB..][..data.len()].copy_from_slice(&data);
        let file = format!("{name}.vhd");
        Image::new(kind, 4 << 20, number)
            .data(2 << 20, &data)
            .write(&disks.join(&file));
        wanted.images.insert(place(&file), bytes.clone());
        wanted.flat.insert(format!("{name}.raw"), bytes);
    }
    (vm.config.name, wanted)
}

/// Two checkpoints of one file: nothing tells which came first.
fn unknown_order(source: &Path) -> (String, Wanted) {
    let vm = Vm::generation2("Unordered", 3)
        .disk("u_1.avhdx")
        .checkpoint("first", &["u.vhdx"])
        .checkpoint("second", &["u.vhdx"]);
    let (disks, mut wanted) = write(&vm, source);
    let mut old = vec![0; 4 * MIB];
    old[..5120].copy_from_slice(&noise(5, 5120));
    let base = Image::new(Kind::Vhdx, 4 << 20, 5)
        .data(0, &old[..5120])
        .write(&disks.join("u.vhdx"));
    let mut new = old.clone();
    new[512..][..1024].copy_from_slice(&noise(6, 1024));
    Image::child(&base, "u.vhdx", 6)
        .data(512, &new[512..][..1024])
        .write(&disks.join("u_1.avhdx"));
    wanted.images = BTreeMap::from([
        (place("u.vhdx"), old.clone()),
        (place("u_1.avhdx"), new.clone()),
    ]);
    wanted.flat = BTreeMap::from([("u.raw".to_owned(), new)]);
    for name in ["first", "second"] {
        let then = BTreeMap::from([("u.raw".to_owned(), old.clone())]);
        wanted.checkpoints.insert(name.to_owned(), then);
    }
    (vm.config.name, wanted)
}

/// Git keeps none, and a vault needs none.
fn remove_empty_folders(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            remove_empty_folders(&path);
        }
    }
    // One that holds something stays.
    let _ = fs::remove_dir(folder);
}
