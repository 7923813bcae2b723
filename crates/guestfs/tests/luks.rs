//! LUKS as qemu-img and cryptsetup write it: right and wrong keys, damage, and headers that ask for too much.

extern crate disk as hyperkeep_disk;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use hyperkeep_disk::raw::RawDisk;
use hyperkeep_disk::{BlockRead, ByteRange, Content, MemFile};
use hyperkeep_guestfs::luks::{Luks, Unlocked};
use hyperkeep_guestfs::probe::{What, what};
use hyperkeep_guestfs::{Device, Error};
use testkit::image::noise;
use testkit::vhd::oracle;
use testkit::{corpus, vary};

#[path = "fuzz/luks.rs"]
mod model;

#[test]
fn guestfs_luks() {
    corpus::replay("guestfs_luks", model::check);
}

const MIB: usize = 1 << 20;
/// What cryptsetup takes for itself when it encrypts what is there.
const TAKEN: usize = 32 * MIB;

fn memory(bytes: Vec<u8>) -> Device {
    Arc::new(RawDisk::open(MemFile::new(bytes)).unwrap())
}

/// Runs a program; `None` where there is none.
fn run(test: &str, program: &str, words: &[&str], files: &[&Path]) -> Option<()> {
    match Command::new(program).args(words).args(files).output() {
        Err(error) => {
            oracle::skip(test, &format!("{program}: {error}"));
            None
        }
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program} {words:?}: {why}");
            Some(())
        }
    }
}

struct Made {
    _folder: tempfile::TempDir,
    image: PathBuf,
    plain: Vec<u8>,
}

/// LUKS1 by qemu-img, with the passphrase “pass”.
fn by_qemu(test: &str, options: &str) -> Option<Made> {
    let folder = tempfile::tempdir().unwrap();
    let (image, from) = (folder.path().join("image"), folder.path().join("plain"));
    let plain = noise(5, MIB + 512);
    fs::write(&from, &plain).unwrap();
    let secret = ["--object", "secret,id=key,data=pass"];
    let options = format!("key-secret=key,iter-time=10,{options}");
    let size = plain.len().to_string();
    let make = [
        "create", "-q", secret[0], secret[1], "-f", "luks", "-o", &options,
    ];
    let words = [&make[..], &[image.to_str().unwrap(), &size]].concat();
    run(test, "qemu-img", &words, &[])?;
    let target = format!(
        "driver=luks,key-secret=key,file.filename={}",
        image.display()
    );
    let from = from.to_str().unwrap();
    let fill = [
        "convert",
        "-n",
        secret[0],
        secret[1],
        "-f",
        "raw",
        from,
        "--target-image-opts",
        &target,
    ];
    run(test, "qemu-img", &fill, &[])?;
    let _folder = folder;
    Some(Made {
        _folder,
        image,
        plain,
    })
}

/// LUKS2 by cryptsetup, which encrypts what is there, with the passphrase “pass”.
fn by_cryptsetup(test: &str, options: &[&str]) -> Option<Made> {
    let folder = tempfile::tempdir().unwrap();
    let (image, key) = (folder.path().join("image"), folder.path().join("key"));
    let plain = noise(6, MIB);
    fs::write(&image, &plain).unwrap();
    let file = File::options().write(true).open(&image).unwrap();
    file.set_len((MIB + TAKEN) as u64).unwrap();
    fs::write(&key, "pass").unwrap();
    let key = key.to_str().unwrap();
    let words = [
        "reencrypt",
        "--encrypt",
        "-q",
        "--type",
        "luks2",
        "--reduce-device-size",
        "32M",
    ];
    let words = [&words[..], &["--key-file", key], options].concat();
    run(test, "cryptsetup", &words, &[&image])?;
    let _folder = folder;
    Some(Made {
        _folder,
        image,
        plain,
    })
}

fn unlock(bytes: Vec<u8>, secret: &[u8]) -> Result<Unlocked, Error> {
    Luks::read(memory(bytes))?.unlock(secret)
}

#[track_caller]
fn holds(unlocked: &dyn BlockRead, plain: &[u8], sector: u32) {
    assert!(unlocked.len() >= plain.len() as u64);
    assert_eq!(unlocked.geometry().logical_sector, sector);
    let mut read = vec![0; plain.len()];
    unlocked.read_at(0, &mut read).unwrap();
    assert!(read == plain);
    for (offset, len) in [
        (0, 1),
        (511, 2),
        (5, 100_000),
        (4095, 8194),
        (plain.len() - 3, 3),
    ] {
        let mut read = vec![0; len];
        unlocked.read_at(offset as u64, &mut read).unwrap();
        assert!(read == plain[offset..offset + len], "{len} at {offset}");
    }
    assert!(unlocked.read_at(unlocked.len() - 1, &mut [0; 2]).is_err());
    let extents = unlocked.extents(ByteRange::new(0, unlocked.len())).unwrap();
    assert_eq!((extents.len(), extents[0].content), (1, Content::Data));
}

#[test]
fn what_qemu_writes_is_read() {
    for options in [
        "cipher-alg=aes-256,cipher-mode=xts,ivgen-alg=plain64,hash-alg=sha256",
        "cipher-alg=aes-128,cipher-mode=xts,ivgen-alg=plain,hash-alg=sha1",
        "cipher-alg=aes-256,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256,hash-alg=sha512",
        "cipher-alg=aes-256,cipher-mode=cbc,ivgen-alg=plain64,hash-alg=sha256",
        "cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256,hash-alg=sha256",
    ] {
        let Some(made) = by_qemu("what_qemu_writes_is_read", options) else {
            return;
        };
        let bytes = fs::read(&made.image).unwrap();
        let luks = Luks::read(memory(bytes.clone())).unwrap();
        assert_eq!(
            (luks.version(), luks.memory(), luks.uuid().len()),
            (1, 0, 36)
        );
        let unlocked = luks.unlock(b"pass").unwrap();
        holds(&unlocked, &made.plain, 512);
        assert_eq!(unlocked.len(), made.plain.len() as u64);
        assert_eq!(what(&*memory(bytes.clone())).unwrap(), What::Luks(1));
        let wrong = luks.unlock(b"word").map(|_| ()).unwrap_err();
        assert!(matches!(&wrong, Error::WrongKey(why) if why.contains("none of the 1 key slots")));
    }
}

#[test]
fn what_cryptsetup_writes_is_read() {
    let argon = |kind| {
        [
            "--pbkdf",
            kind,
            "--pbkdf-memory",
            "64",
            "--pbkdf-parallel",
            "2",
        ]
    };
    let rounds = ["--pbkdf-force-iterations", "4"];
    let pbkdf2 = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"];
    for (options, sector, memory_bytes) in [
        (
            [&argon("argon2id")[..], &rounds, &["--sector-size", "4096"]].concat(),
            4096,
            64 << 10,
        ),
        (
            [
                &argon("argon2i")[..],
                &rounds,
                &["-s", "256", "--hash", "sha512"],
            ]
            .concat(),
            512,
            64 << 10,
        ),
        (
            [&pbkdf2[..], &["-c", "aes-cbc-essiv:sha256", "-s", "256"]].concat(),
            512,
            0,
        ),
        (
            [
                &pbkdf2[..],
                &[
                    "-c",
                    "aes-xts-plain64",
                    "--hash",
                    "sha1",
                    "--sector-size",
                    "1024",
                ],
            ]
            .concat(),
            1024,
            0,
        ),
    ] {
        let Some(made) = by_cryptsetup("what_cryptsetup_writes_is_read", &options) else {
            return;
        };
        let bytes = fs::read(&made.image).unwrap();
        let luks = Luks::read(memory(bytes.clone())).unwrap();
        assert_eq!(
            (luks.version(), luks.memory()),
            (2, memory_bytes),
            "{options:?}"
        );
        assert!(luks.oddities().is_empty(), "{:?}", luks.oddities());
        holds(&luks.unlock(b"pass").unwrap(), &made.plain, sector);
        assert!(matches!(luks.unlock(b"word"), Err(Error::WrongKey(_))));
        assert_eq!(what(&*memory(bytes)).unwrap(), What::Luks(2));
    }
}

#[test]
fn several_slots_key_files_and_damaged_headers() {
    let test = "several_slots_key_files_and_damaged_headers";
    let cheap = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"];
    let Some(made) = by_cryptsetup(test, &[&cheap[..], &["--label", "a label"]].concat()) else {
        return;
    };
    let second = made.image.with_file_name("second");
    let secret = noise(9, 3000);
    fs::write(&second, &secret).unwrap();
    let first = made.image.with_file_name("key");
    let words = ["luksAddKey", "-q", "--key-file", first.to_str().unwrap()];
    run(
        test,
        "cryptsetup",
        &[&words[..], &cheap].concat(),
        &[&made.image, &second],
    )
    .unwrap();
    let bytes = fs::read(&made.image).unwrap();
    let luks = Luks::read(memory(bytes.clone())).unwrap();
    assert_eq!(luks.label(), "a label");
    holds(&luks.unlock(b"pass").unwrap(), &made.plain, 512);
    holds(&luks.unlock(&secret).unwrap(), &made.plain, 512);
    let wrong = luks
        .unlock(&secret[1..])
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(wrong.contains("none of the 2 key slots"), "{wrong}");
    // Either copy of the header will do.
    let len = 16 << 10;
    for (at, told) in [
        (8, true),
        (4096 + 100, true),
        (len + 4096 + 100, true),
        (3 << 20, false),
    ] {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        let luks = Luks::read(memory(bytes)).unwrap();
        assert_eq!(
            !luks.oddities().is_empty(),
            told,
            "{at}: {:?}",
            luks.oddities()
        );
        holds(&luks.unlock(b"pass").unwrap(), &made.plain, 512);
    }
    let mut both = bytes.clone();
    both[4096 + 100] ^= 1;
    both[len + 4096 + 100] ^= 1;
    let error = Luks::read(memory(both))
        .map(|_| ())
        .unwrap_err()
        .to_string();
    assert!(error.contains("checksum does not fit"), "{error}");
    // A slot's stripes are damaged: its passphrase is wrong then, and the other is not.
    let mut stripes = bytes.clone();
    stripes[32768 + 70_000] ^= 1;
    assert!(matches!(
        unlock(stripes.clone(), b"pass"),
        Err(Error::WrongKey(_))
    ));
    assert!(unlock(stripes, &secret).is_ok());
    let cut = unlock(bytes[..17 << 20].to_vec(), b"pass").unwrap();
    assert_eq!(cut.len(), 1 << 20);
    assert!(matches!(
        unlock(bytes[..10 << 10].to_vec(), b"pass"),
        Err(Error::NotThis(_) | Error::Damaged { .. })
    ));
}

/// Puts other text into both copies of a LUKS2 header, with checksums that fit.
fn with_text(bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    edited(bytes, |text| {
        assert!(text.contains(from), "{text}");
        text.replace(from, to)
    })
}

fn edited(mut bytes: Vec<u8>, edit: impl Fn(&str) -> String) -> Vec<u8> {
    let len = 16 << 10;
    for at in [0, len] {
        let text = &bytes[at + 4096..at + len];
        let end = text.iter().position(|byte| *byte == 0).unwrap();
        let text = std::str::from_utf8(&text[..end]).unwrap();
        let mut text = edit(text).into_bytes();
        assert!(text.len() < len - 4096);
        text.resize(len - 4096, 0);
        bytes[at + 4096..at + len].copy_from_slice(&text);
        bytes[at + 448..at + 512].fill(0);
        let sum = ring::digest::digest(&ring::digest::SHA256, &bytes[at..at + len]);
        bytes[at + 448..at + 480].copy_from_slice(sum.as_ref());
    }
    bytes
}

/// Slots that would be tried each for itself, and take hours together: what is left when the first was tried is not
/// enough for another one. A test that runs for hours has found that the bound is gone.
#[test]
fn all_slots_together_are_bounded() {
    let test = "all_slots_together_are_bounded";
    let cheap = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"];
    let Some(made) = by_cryptsetup(test, &cheap) else {
        return;
    };
    let bytes = fs::read(&made.image).unwrap();
    let argon2 = serde_json::json!(
        {"type": "argon2id", "time": 64, "memory": 4 << 20, "cpus": 4, "salt": "AAAAAAAAAAAAAAAAAAAAAA=="}
    );
    let pbkdf2 = serde_json::json!(
        {"type": "pbkdf2", "hash": "sha512", "iterations": 256 << 20, "salt": "AAAAAAAAAAAAAAAAAAAAAA=="}
    );
    let hostile = edited(bytes, |text| {
        let mut header: serde_json::Value = serde_json::from_str(text).unwrap();
        let slot = header["keyslots"]["0"].clone();
        for number in 1..20 {
            let mut slot = slot.clone();
            slot["kdf"] = [&argon2, &pbkdf2][number % 2].clone();
            header["keyslots"][number.to_string()] = slot;
        }
        header.to_string()
    });
    let luks = Luks::read(memory(hostile)).unwrap();
    for secrets in [&[&b"word"[..]][..], &[b"word\n", b"word"]] {
        let error = luks.unlock_any(secrets).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{error:?}");
        let told = error.to_string();
        for words in [
            "none of the 1 key slots",
            "key slot 1: 268435456 rounds of PBKDF2",
            "key slot 18: 64 passes of Argon2 with 4194304 KiB",
            "restore the disk, and open it with cryptsetup",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }
    // What opens it is not kept from doing so.
    holds(&luks.unlock(b"pass").unwrap(), &made.plain, 512);
    holds(
        &luks.unlock_any(&[b"word", b"pass"]).unwrap(),
        &made.plain,
        512,
    );
}

#[test]
fn what_is_too_much_or_unknown_is_refused_by_name() {
    let test = "what_is_too_much_or_unknown_is_refused_by_name";
    let options = [
        "--pbkdf",
        "argon2id",
        "--pbkdf-memory",
        "64",
        "--pbkdf-force-iterations",
        "4",
    ];
    let Some(made) = by_cryptsetup(test, &options) else {
        return;
    };
    let bytes = fs::read(&made.image).unwrap();
    assert!(unlock(with_text(bytes.clone(), "argon2id", "argon2id"), b"pass").is_ok());
    let cases = [
        (r#""memory":64"#, r#""memory":4194305"#, "4194305 KiB"),
        (r#""time":4"#, r#""time":4000000000"#, "4000000000 passes"),
        (r#""cpus":"#, r#""cpus":99999"#, "lanes"),
        (
            r#""aes-xts-plain64""#,
            r#""serpent-xts-plain64""#,
            "serpent-xts-plain64",
        ),
        (
            r#""aes-xts-plain64""#,
            r#""aes-xts-benbi""#,
            "aes-xts-benbi",
        ),
        (r#""argon2id""#, r#""balloon""#, "balloon"),
        (
            r#""stripes":4000"#,
            r#""stripes":4000000"#,
            "4000000 stripes",
        ),
        (
            r#""config":{"#,
            r#""config":{"requirements":{"mandatory":["online-reencrypt-v2"]},"#,
            "online-reencrypt-v2",
        ),
        (
            r#""sector_size":512"#,
            r#""sector_size":512,"integrity":{"type":"hmac(sha256)"}"#,
            "integrity",
        ),
        (r#""type":"crypt""#, r#""type":"linear""#, "linear"),
    ];
    for (from, to, name) in cases {
        let error = unlock(with_text(bytes.clone(), from, to), b"pass")
            .map(|_| ())
            .unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{to}: {error:?}");
        assert!(error.to_string().contains(name), "{to}: {error}");
    }
}

/// Bits anywhere in the header of LUKS1 and in what LUKS2's text says. How often a passphrase is stretched is left
/// alone.
#[test]
fn damaged_headers_open_rightly_or_not_at_all() {
    let test = "damaged_headers_open_rightly_or_not_at_all";
    let Some(made) = by_qemu(test, "cipher-alg=aes-256,hash-alg=sha256") else {
        return;
    };
    let bytes = fs::read(&made.image).unwrap();
    let mut random = testkit::crash::Random(vary::seed(11));
    for _ in 0..vary::cases(60) {
        let at = random.number() as usize % 592;
        // Rounds, and where what they are for begins and ends.
        if (164..168).contains(&at) || at >= 208 && matches!((at - 208) % 48, 0..8) {
            continue;
        }
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (random.number() % 8);
        if let Ok(unlocked) = unlock(bytes, b"pass") {
            let mut read = [0; 16];
            // Where the data begin is not under the digest.
            if !(104..108).contains(&at) && !(8..72).contains(&at) && unlocked.len() > 16 {
                unlocked.read_at(0, &mut read).unwrap();
                assert!(read == made.plain[..16], "{at}");
            }
        }
    }
}
