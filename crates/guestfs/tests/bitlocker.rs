//! BitLocker volumes that a writer of the tests makes: read by us, by dissect.fve and, as to their keys, by
//! cryptsetup. No volume that Windows has written was at hand: `docs/guest-disks.md`.

extern crate disk as hyperkeep_disk;

use std::fs;
use std::process::Command;
use std::sync::Arc;

use hyperkeep_disk::raw::RawDisk;
use hyperkeep_disk::{BlockRead as _, MemFile};
use hyperkeep_guestfs::bitlocker::{BitLocker, Secret};
use hyperkeep_guestfs::probe::{What, what};
use hyperkeep_guestfs::volumes::{Key, Keys, find_with};
use hyperkeep_guestfs::{Device, Error};
use testkit::image::noise;
use testkit::vhd::oracle;
use testkit::{corpus, vary};

#[path = "bitlocker/maker.rs"]
mod maker;
#[path = "fuzz/bitlocker.rs"]
mod model;

use self::maker::{COPIES, MOVED, Maker, seen};

const LEN: usize = 2 << 20;
const GROUPS: [u16; 8] = [1, 65535, 300, 4000, 50_000, 6, 7777, 0];
const METHODS: [u16; 6] = [0x8000, 0x8001, 0x8002, 0x8003, 0x8004, 0x8005];

#[test]
fn guestfs_bitlocker() {
    corpus::replay("guestfs_bitlocker", model::check);
}

fn memory(bytes: Vec<u8>) -> Device {
    Arc::new(RawDisk::open(MemFile::new(bytes)).unwrap())
}

fn made(method: u16) -> Maker<'static> {
    Maker {
        method,
        sector: 512,
        recovery: None,
        passphrase: None,
        clear: true,
        encrypted: None,
    }
}

fn recovery() -> String {
    let groups = GROUPS.map(|group| format!("{:06}", u32::from(group) * 11));
    groups.join("-")
}

fn all_of(volume: Vec<u8>, secret: &Secret) -> Result<Vec<u8>, Error> {
    let unlocked = BitLocker::read(memory(volume))?.unlock(secret)?;
    let mut all = vec![0; unlocked.len() as usize];
    for (number, part) in all.chunks_mut(70_001).enumerate() {
        unlocked.read_at(number as u64 * 70_001, part)?;
    }
    Ok(all)
}

#[test]
fn all_methods_are_read() {
    let plain = noise(1, LEN);
    for method in METHODS {
        for sector in [512, 4096] {
            let volume = Maker {
                sector,
                ..made(method)
            }
            .volume(&plain);
            assert_eq!(what(&*memory(volume.clone())).unwrap(), What::BitLocker);
            let all = all_of(volume, &Secret::nothing()).unwrap();
            assert!(all == seen(&plain), "{method:#x} {sector}");
        }
    }
}

#[test]
fn protectors_open_with_what_they_ask_for() {
    let plain = noise(2, LEN);
    let maker = Maker {
        recovery: Some(GROUPS),
        passphrase: Some("pässword"),
        clear: false,
        ..made(0x8004)
    };
    let volume = maker.volume(&plain);
    let bitlocker = BitLocker::read(memory(volume.clone())).unwrap();
    assert_eq!(bitlocker.protectors(), ["recovery password", "passphrase"]);
    assert_eq!((bitlocker.id().len(), bitlocker.oddities().len()), (36, 0));
    let with = |secret: Secret| all_of(volume.clone(), &secret);
    assert!(with(Secret::recovery(&recovery()).unwrap()).unwrap() == seen(&plain));
    assert!(with(Secret::passphrase("pässword")).unwrap() == seen(&plain));
    assert!(matches!(
        with(Secret::passphrase("password")),
        Err(Error::WrongKey(_))
    ));
    let error = with(Secret::nothing()).unwrap_err();
    assert!(
        matches!(&error, Error::Unsupported(why) if why.contains("recovery password, passphrase"))
    );
    for (text, named) in [
        ("", "eight groups"),
        (
            "000011-000011-000011-000011-000011-000011-000011",
            "eight groups",
        ),
        (
            "000011-000012-000011-000011-000011-000011-000011-000011",
            "group 2",
        ),
        (
            "000011-000011-000011-720896-000011-000011-000011-000011",
            "group 4",
        ),
        (
            "000011-000011-000011-000011-000011-00011-000011-000011",
            "group 6",
        ),
    ] {
        let error = Secret::recovery(text).map(|_| ()).unwrap_err();
        assert!(
            matches!(&error, Error::WrongKey(why) if why.contains(named)),
            "{text}: {error}"
        );
    }
}

#[test]
fn partly_encrypted_volumes_and_damaged_copies() {
    let plain = noise(3, LEN);
    let partly = Maker {
        encrypted: Some(0x150200),
        ..made(0x8005)
    };
    let volume = partly.volume(&plain);
    let told = BitLocker::read(memory(volume.clone())).unwrap();
    assert!(
        told.oddities()[0].contains("in the middle"),
        "{:?}",
        told.oddities()
    );
    assert!(all_of(volume, &Secret::nothing()).unwrap() == seen(&plain));
    // Where encryption has not come to the place to which the volume's start was moved, that is plain.
    let hardly = Maker {
        encrypted: Some(0x10000),
        ..made(0x8004)
    };
    let volume = hardly.volume(&plain);
    assert!(volume[MOVED..MOVED + 512] == plain[..512]);
    assert!(all_of(volume, &Secret::nothing()).unwrap() == seen(&plain));
    let whole = made(0x8000).volume(&plain);
    let mut volume = whole.clone();
    // A checksum, a signature, then all copies.
    volume[COPIES[0] + 200] ^= 1;
    volume[COPIES[1]] ^= 1;
    let told = BitLocker::read(memory(volume.clone())).unwrap();
    assert_eq!(told.oddities().len(), 2, "{:?}", told.oddities());
    assert!(all_of(volume.clone(), &Secret::nothing()).unwrap() == seen(&plain));
    volume[COPIES[0]] ^= 1;
    volume[COPIES[2]] ^= 1;
    assert!(matches!(
        all_of(volume, &Secret::nothing()),
        Err(Error::Damaged { .. })
    ));
    // The volume key itself, in all copies: authenticated, so never used.
    let mut volume = whole.clone();
    let key = whole[COPIES[0]..]
        .windows(8)
        .position(|part| part[2..8] == [3, 0, 5, 0, 1, 0]);
    for copy in COPIES {
        volume[copy + key.unwrap() + 40] ^= 1;
    }
    assert!(matches!(
        all_of(volume, &Secret::nothing()),
        Err(Error::Damaged { .. })
    ));
    let mut vista = whole.clone();
    vista[160] ^= 1;
    assert!(matches!(
        all_of(vista, &Secret::nothing()),
        Err(Error::Unsupported(_))
    ));
    assert!(matches!(
        all_of(plain, &Secret::nothing()),
        Err(Error::NotThis(_))
    ));
}

/// Bits anywhere in the metadata.
#[test]
fn damaged_metadata_opens_rightly_or_not_at_all() {
    let plain = noise(4, LEN);
    let whole = made(0x8004).volume(&plain);
    let mut random = testkit::crash::Random(vary::seed(3));
    for _ in 0..vary::cases(100) {
        let at = random.number() as usize % 450;
        let mut volume = whole.clone();
        for copy in COPIES {
            volume[copy + at] ^= 1 << (random.number() % 8);
        }
        model::open(memory(volume));
    }
}

#[test]
fn others_read_the_same() {
    let test = "others_read_the_same";
    let folder = tempfile::tempdir().unwrap();
    let (image, out) = (folder.path().join("volume"), folder.path().join("out"));
    let plain = noise(5, LEN);
    let Some(python) = oracle::python(test, "dissect.fve") else {
        return;
    };
    let whole = METHODS.map(|method| (method, None));
    for (method, encrypted) in whole.into_iter().chain([(0x8005, Some(0x150200))]) {
        let maker = Maker {
            recovery: (method == 0x8004).then_some(GROUPS),
            passphrase: (method == 0x8004).then_some("password"),
            encrypted,
            ..made(method)
        };
        let volume = maker.volume(&plain);
        fs::write(&image, &volume).unwrap();
        let ways = match method {
            0x8004 => vec![
                format!("unlock_with_recovery_password('{}')", recovery()),
                "unlock_with_passphrase('password')".to_owned(),
            ],
            _ => vec!["unlock_with_clear_key()".to_owned()],
        };
        for way in ways {
            let script = format!(
                "import sys\n\
                 from dissect.fve.bde import BDE\n\
                 volume = BDE(open(sys.argv[1], 'rb'))\n\
                 volume.{way}\n\
                 open(sys.argv[2], 'wb').write(volume.open().read({LEN}))"
            );
            python.run(&script, &[&image, &out]).unwrap();
            let theirs = fs::read(&out).unwrap();
            let differ = theirs
                .iter()
                .zip(seen(&plain))
                .position(|(theirs, ours)| *theirs != ours);
            assert_eq!((theirs.len(), differ), (LEN, None), "{method:#x} {way}");
        }
    }
    // cryptsetup tells the volume key.
    for (method, secret) in [(0x8004, recovery()), (0x8005, "password".to_owned())] {
        let maker = Maker {
            recovery: Some(GROUPS),
            passphrase: Some("password"),
            clear: false,
            ..made(method)
        };
        fs::write(&image, maker.volume(&plain)).unwrap();
        let key_file = folder.path().join("key");
        fs::write(&key_file, secret).unwrap();
        let mut command = Command::new("cryptsetup");
        command
            .args(["bitlkDump", "-q", "--dump-volume-key", "--key-file"])
            .arg(&key_file)
            .arg(&image);
        let output = match command.output() {
            Ok(output) => output,
            Err(error) => return oracle::skip(test, &format!("cryptsetup: {error}")),
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}{told}");
        let digits: String = text
            .split_whitespace()
            .filter(|word| word.len() == 2)
            .collect();
        let key: String = maker
            .key()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert!(digits.contains(&key), "{text}");
    }
}

/// Where the volume's start is moved to is told twice; both are the same here.
#[test]
fn the_start_is_read_from_where_it_was_moved() {
    let plain = noise(6, LEN);
    let mut volume = made(0x8004).volume(&plain);
    volume[MOVED + 600] ^= 1;
    let all = all_of(volume, &Secret::nothing()).unwrap();
    assert!(all[..512] == plain[..512] && all[512..1024] != plain[512..1024]);
    assert!(all[1024..] == seen(&plain)[1024..]);
}

/// As one of a machine's volumes, with a FAT in it.
#[test]
fn a_volume_is_opened_by_its_key_and_named_without() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("fat");
    fs::write(&image, vec![0; LEN]).unwrap();
    let words = ["-F", "12", "-n", "LOCKED", image.to_str().unwrap()];
    match Command::new("mkfs.fat").args(words).output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(error) => return oracle::skip("BitLocker", &format!("mkfs.fat: {error}")),
    }
    let plain = fs::read(&image).unwrap();
    let volume = |clear| {
        let maker = Maker {
            recovery: Some(GROUPS),
            passphrase: Some("pass ü"),
            clear,
            ..made(0x8004)
        };
        maker.volume(&plain)
    };
    let found = |clear, key: Option<&str>| {
        let mut keys = Keys::default();
        if let Some(key) = key {
            keys.add("d0", Key::new(key.as_bytes().to_vec().into()));
        }
        let mut found = find_with(&[("d0".to_owned(), memory(volume(clear)))], &keys);
        found.volumes.remove(0)
    };
    for key in [
        format!("{}\n", recovery()),
        "pass ü\r\n".to_owned(),
        "pass ü".to_owned(),
    ] {
        let open = found(false, Some(&key));
        assert_eq!(
            (open.what, open.encrypted),
            (What::Fat, Some(What::BitLocker))
        );
        let fs = open.open().unwrap();
        assert_eq!(fs.about().label, "LOCKED");
        let notes = fs.about().state.notes.join("; ");
        assert!(
            notes.contains("no volume that Windows has encrypted"),
            "{notes}"
        );
    }
    let shut = found(false, None);
    assert!(shut.is_locked() && shut.refused().is_none());
    let error = shut.open().err().unwrap();
    assert!(matches!(error, Error::Locked { .. }), "{error:?}");
    for words in ["d0: ", "BitLocker", "recovery password or passphrase"] {
        assert!(error.to_string().contains(words), "{error}");
    }
    let misspelt = recovery().replacen('0', "1", 1);
    for (wrong, words) in [("another", "does not open"), (&*misspelt, "group 1")] {
        let error = found(false, Some(wrong)).open().err().unwrap();
        assert!(matches!(error, Error::WrongKey(_)), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(!error.to_string().contains(wrong), "{error}");
    }
    // Suspended, it needs none.
    let suspended = found(true, None).open().unwrap();
    assert!(suspended.about().state.notes[0].contains("suspended"));
}
