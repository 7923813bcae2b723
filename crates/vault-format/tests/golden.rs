//! Vaults that earlier versions wrote are read by this one, and by a reader that shares no code.
//!
//! `golden/v1` was written by the first version of the format and is never written again. A vault
//! made now holds the same things, so the two can only differ where the format allows it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hyperkeep_vault_format::{
    Access, NodeId, ObjectHash, ObjectName, RecipientSecret, RecoveryCode, Slot, Unlock,
};
use serde_json::Value;
use testkit::vhd::oracle;

#[path = "common/restore.rs"]
mod restore;
#[path = "common/sample.rs"]
mod sample;

type Objects = BTreeMap<String, Vec<u8>>;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

fn load(folder: &Path, below: &Path, objects: &mut Objects) {
    for entry in std::fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            load(folder, &path, objects);
        } else {
            let parts: Vec<_> = path
                .strip_prefix(folder)
                .unwrap()
                .iter()
                .map(|part| part.to_str().unwrap())
                .collect();
            objects.insert(parts.join("/"), std::fs::read(&path).unwrap());
        }
    }
}

fn golden_objects() -> Objects {
    let mut objects = Objects::new();
    let folder = golden().join("vault");
    load(&folder, &folder, &mut objects);
    assert_eq!(objects.len(), 15, "the golden vault is complete");
    objects
}

fn expected() -> Value {
    serde_json::from_slice(&std::fs::read(golden().join("expected.json")).unwrap()).unwrap()
}

/// Restores everything and gives, for each point, the hashes of base, whole disk and file.
fn restored(objects: &Objects, with: Unlock<'_>) -> BTreeMap<String, [String; 3]> {
    let reader = restore::Reader::open(objects, with);
    assert_eq!(reader.keys.access(), Access::Full);
    let mut all = BTreeMap::new();
    for (outline, details) in reader.points() {
        assert_eq!(details.vm.id, sample::VM);
        let [base, difference]: [NodeId; 2] = [outline.layers[0].root, outline.layers[1].root];
        let mut disk = Vec::new();
        reader.restore(base, &mut disk);
        let base = ObjectHash::of(&disk);
        reader.restore(difference, &mut disk);
        let mut file = Vec::new();
        reader.restore(outline.files[0].root, &mut file);
        let hashes =
            [base, ObjectHash::of(&disk), ObjectHash::of(&file)].map(|hash| hash.to_string());
        all.insert(outline.point.to_string(), hashes);
    }
    all
}

#[test]
fn the_golden_vault_opens_with_every_secret_and_comes_back() {
    let (objects, expected) = (golden_objects(), expected());
    let text = |name: &str| expected[name].as_str().unwrap();
    let recovery = RecoveryCode::parse(text("recovery")).unwrap();
    let reader = RecipientSecret::parse(text("reader")).unwrap();
    for with in [
        Unlock::Passphrase(text("passphrase").as_bytes()),
        Unlock::Recovery(&recovery),
        Unlock::Recipient(&reader),
    ] {
        let restored = restored(&objects, with);
        assert_eq!(restored.len(), 2);
        for (point, hashes) in restored {
            let names = ["base", "whole", "file"];
            for (name, hash) in names.iter().zip(hashes) {
                assert_eq!(expected["points"][&point][name], hash, "{point} {name}");
            }
        }
    }
    let host = RecipientSecret::parse(text("host")).unwrap();
    let keys = objects
        .iter()
        .filter(|(name, _)| matches!(name.parse(), Ok(ObjectName::Slot(_))))
        .find_map(|(_, bytes)| {
            Slot::decode(bytes)
                .unwrap()
                .open(Unlock::Recipient(&host))
                .ok()
        })
        .unwrap();
    assert_eq!(keys.access(), Access::Write);
}

#[test]
fn a_vault_made_now_comes_back() {
    let vault = sample::make();
    let hash = |bytes: &Vec<u8>| ObjectHash::of(bytes).to_string();
    let expected: BTreeMap<String, [String; 3]> = vault
        .points
        .iter()
        .map(|(point, disks)| (point.to_string(), disks.each_ref().map(hash)))
        .collect();
    assert_eq!(
        restored(&vault.objects, Unlock::Recovery(&vault.recovery)),
        expected
    );
    assert_eq!(
        restored(&vault.objects, Unlock::Recipient(&vault.reader)),
        expected
    );
    assert_eq!(vault.objects.len(), golden_objects().len());
    assert_ne!(vault.host, vault.reader);
}

/// Runs `docs/format/reader.py`, which was written from the documents alone.
struct Independent {
    python: oracle::Python,
    vault: PathBuf,
}

impl Independent {
    fn run(&self, secret: [&str; 2], args: &[&str]) -> Result<String, String> {
        let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format/reader.py");
        let vault = self.vault.to_str().unwrap();
        let all = [&[vault][..], &secret, args].concat();
        self.python.run_program(&reader, &all)
    }
}

fn independent(test: &str, vault: PathBuf) -> Option<Independent> {
    let python = oracle::python(test, "cryptography, argon2, zstandard")?;
    Some(Independent { python, vault })
}

#[test]
fn an_independent_reader_restores_the_golden_vault() {
    let Some(reader) = independent("an_independent_reader", golden().join("vault")) else {
        return;
    };
    let expected = expected();
    let text = |name: &str| expected[name].as_str().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    let secrets = [
        ["--passphrase", text("passphrase")],
        ["--recovery", text("recovery")],
        ["--recipient", text("reader")],
    ];
    for secret in secrets {
        reader.run(secret, &["check"]).unwrap();
    }
    for (n, point) in expected["points"].as_object().unwrap().keys().enumerate() {
        let commands = [
            ("layer", "0", "base"),
            ("disk", "system", "whole"),
            ("file", "0", "file"),
        ];
        for (command, what, name) in commands {
            let args = [command, point, what, out.to_str().unwrap()];
            reader.run(secrets[n % secrets.len()], &args).unwrap();
            let hash = ObjectHash::of(&std::fs::read(&out).unwrap()).to_string();
            assert_eq!(expected["points"][point][name], hash, "{point} {name}");
        }
    }
    // A host that can only write reads the outlines, and no data.
    let host = ["--recipient", text("host")];
    reader.run(host, &["check"]).unwrap();
    let args = ["layer", "01", "0", out.to_str().unwrap()];
    assert!(
        reader
            .run(host, &args)
            .unwrap_err()
            .contains("this slot can only write")
    );
    assert!(reader.run(["--passphrase", "wrong"], &["check"]).is_err());
}

#[test]
fn an_independent_reader_verifies_a_vault_made_now_and_notices_damage() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(reader) = independent("an_independent_reader (new)", scratch.path().into()) else {
        return;
    };
    let vault = sample::make();
    for (name, bytes) in &vault.objects {
        let path = scratch.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let code = vault.recovery.to_text();
    let secret = ["--recovery", code.as_str()];
    reader.run(secret, &["check"]).unwrap();
    for (name, bytes) in &vault.objects {
        let mut bad = bytes.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        std::fs::write(scratch.path().join(name), &bad).unwrap();
        // A damaged slot is passed over when another one opens; here it is another holder's.
        let checked = reader.run(secret, &["check"]);
        let slot = matches!(name.parse(), Ok(ObjectName::Slot(_)));
        assert!(checked.is_err() || slot, "{name}");
        std::fs::write(scratch.path().join(name), bytes).unwrap();
    }
}
