//! Archives as Python's zipfile and `unzip` read them.

use std::io::Cursor;

use guestfs::{Node, NodeId, Owner, Time, Times};
use testkit::image::noise;
use testkit::vhd::oracle;

use super::*;

/// Contents in memory, of which nothing behind `good` can be read.
struct Bytes<'a> {
    bytes: &'a [u8],
    good: u64,
}

impl Content for Bytes<'_> {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> guestfs::Result<()> {
        if offset + buf.len() as u64 > self.good {
            return Err(guestfs::Error::NotFound("a chunk".to_owned()));
        }
        buf.copy_from_slice(&self.bytes[offset as usize..][..buf.len()]);
        Ok(())
    }

    fn next_data(&mut self, from: u64) -> guestfs::Result<Option<disk::ByteRange>> {
        let len = self.len();
        Ok((from < len).then(|| disk::ByteRange::new(from, len)))
    }
}

fn found(names: &[&[u8]], kind: Kind, seconds: i64, nanos: u32) -> Found {
    let mut path = GuestPath::root("d0p1");
    path.names = names.iter().map(|name| Name::new(*name)).collect();
    let modified = Some(Time { seconds, nanos });
    let node = Node {
        id: NodeId(7),
        kind,
        len: 0,
        links: 1,
        owner: Some(Owner {
            uid: 70_000,
            gid: 5,
            mode: 0o4751,
        }),
        times: Times {
            modified,
            ..Times::default()
        },
        attributes: None,
        obstacle: None,
    };
    Found { path, node }
}

fn target() -> ZipTarget<Vec<u8>> {
    ZipTarget::new(Vec::new(), PathBuf::from("test.zip"), &Cancel::new())
}

fn put(target: &mut ZipTarget<Vec<u8>>, found: &Found, bytes: &[u8]) -> Result<(), NotWritten> {
    let good = bytes.len() as u64;
    let mut content = Bytes { bytes, good };
    let entry = (about::FILE, !content.is_empty());
    let cancel = Cancel::new();
    let mut reading = Reading::new(&mut content, &cancel);
    target.entry(found, entry, &Extras::default(), &mut reading)?;
    reading.end()
}

fn whole(mut target: ZipTarget<Vec<u8>>) -> (Vec<u8>, Vec<Finding>) {
    let findings = target.finish().unwrap();
    (target.into_inner().unwrap(), findings)
}

/// What Python reads of each entry: name, kind and mode, length, sum of the contents, fields.
const LIST: &str = "
import sys, zipfile, zlib
with zipfile.ZipFile(sys.argv[1]) as z:
    assert z.testzip() is None
    for i in z.infolist():
        print(ascii(i.filename), oct(i.external_attr >> 16), i.file_size, zlib.crc32(z.read(i)), i.date_time, i.extra.hex())
";

fn listed(bytes: &[u8]) -> Option<String> {
    let python = oracle::python("zip archives", "zipfile")?;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("test.zip");
    std::fs::write(&file, bytes).unwrap();
    Some(python.run(LIST, &[&file]).unwrap())
}

#[test]
fn others_read_names_modes_times_and_contents() {
    let mut target = target();
    let folder = found(&[b"deep"], Kind::Folder, 1_600_000_001, 0);
    target.folder(&folder).unwrap();
    let large = noise(3, 3 << 20);
    let text = b"all the same words, ".repeat(50_000);
    for (names, bytes) in [
        (&[&b"large"[..]][..], &large[..]),
        (&[b"deep", b"text"], &text),
        (&[b"empty"], b""),
        (&["ünï".as_bytes()], b"u"),
        (&[b"a:b", b"c"], b"colon"),
        (&["ü:x".as_bytes()], b"both"),
        (&[b"\xff\\..\n"], b"odd"),
    ] {
        put(
            &mut target,
            &found(names, Kind::File, 1_600_000_001, 5),
            bytes,
        )
        .unwrap();
    }
    let link = found(&[b"link"], Kind::Link, 1_600_000_001, 0);
    target
        .link(&link, &Name::from("../x y"), &Extras::default())
        .unwrap();
    let (bytes, findings) = whole(target);
    assert!(
        bytes.len() < large.len() + text.len() / 10,
        "the text is compressed"
    );
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(
        findings[0].message.contains("a name that is none"),
        "{findings:?}"
    );

    let Some(list) = listed(&bytes) else { return };
    let lines: Vec<Vec<&str>> = list.lines().map(|line| line.split(' ').collect()).collect();
    let names: Vec<&str> = lines.iter().map(|line| line[0]).collect();
    assert_eq!(
        names[..6],
        [
            "'d0p1/deep/'",
            "'d0p1/large'",
            "'d0p1/deep/text'",
            "'d0p1/empty'",
            "'d0p1/\\xfcn\\xef'",
            "'d0p1/a%3Ab/c'"
        ]
    );
    assert_eq!(
        names[6..],
        ["'d0p1/\\xfc%3Ax'", "'d0p1/%FF%5C..%0A'", "'d0p1/link'"]
    );
    let modes: Vec<&str> = lines.iter().map(|line| line[1]).collect();
    assert!(
        modes[1..8].iter().all(|mode| *mode == "0o104751"),
        "{modes:?}"
    );
    assert_eq!([modes[0], modes[8]], ["0o44751", "0o124751"]);
    let sum = |bytes: &[u8]| rawzip::crc32(bytes).to_string();
    assert_eq!(lines[1][3], sum(&large));
    assert_eq!(lines[2][3], sum(&text));
    assert!(
        list.contains("(2020, 9, 13, 12, 26, 40)"),
        "DOS counts in two seconds: {list}"
    );
    // Unix' time, and owner and group.
    let seconds = 1_600_000_001_u32
        .to_le_bytes()
        .map(|byte| format!("{byte:02x}"))
        .concat();
    assert!(lines.iter().all(|line| {
        line.last()
            .unwrap()
            .contains(&format!("5554050001{seconds}"))
    }));
    assert!(
        list.contains("75780b00010470110100040500000000".get(..30).unwrap()),
        "{list}"
    );

    #[cfg(unix)]
    unzipped(&bytes, &large);
}

/// What `unzip` makes of it on a system with modes and links.
#[cfg(unix)]
fn unzipped(bytes: &[u8], large: &[u8]) {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::path::Path;
    use std::process::Command;

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("test.zip");
    std::fs::write(&file, bytes).unwrap();
    let run = Command::new("unzip")
        .arg("-q")
        .arg(&file)
        .current_dir(dir.path())
        .env("LC_ALL", "C.UTF-8")
        .output();
    let Ok(output) = run else {
        return oracle::skip("zip archives", "no unzip");
    };
    assert!(output.status.success(), "{output:?}");
    let at = |name: &str| dir.path().join("d0p1").join(name);
    let about = |path: &Path| std::fs::symlink_metadata(path).unwrap();
    assert!(std::fs::read(at("large")).unwrap() == large);
    for (name, expected) in [
        ("ünï", &b"u"[..]),
        ("a%3Ab/c", b"colon"),
        ("ü%3Ax", b"both"),
        ("empty", b""),
    ] {
        assert_eq!(std::fs::read(at(name)).unwrap(), expected, "{name}");
        let told = about(&at(name));
        assert_eq!(told.mtime(), 1_600_000_001, "{name}");
        assert_eq!(told.permissions().mode() & 0o777, 0o751, "{name}");
    }
    assert_eq!(std::fs::read_link(at("link")).unwrap(), Path::new("../x y"));
    assert_eq!(about(&at("deep")).mtime(), 1_600_000_001);
}

#[test]
fn what_zip_has_no_place_for_is_told() {
    let mut target = target();
    let extras = Extras {
        xattrs: vec![(Name::from("user.x"), b"y".to_vec())],
        security: Some(vec![1]),
        ..Extras::default()
    };
    let mut late = found(&[b"late"], Kind::File, 5_000_000_000, 100);
    late.node.attributes = Some(2);
    target
        .entry(&late, (about::FILE, false), &extras, &mut io::empty())
        .unwrap();
    let early = found(&[b"early"], Kind::File, -86_400, 0);
    put(&mut target, &early, b"x").unwrap();
    assert!(!target.hard_link(&early, &early.path).unwrap());
    for (kind, word) in [
        (Kind::Socket, "sockets"),
        (Kind::Fifo, "pipes"),
        (
            Kind::Device {
                block: true,
                major: 1,
                minor: 1,
            },
            "devices",
        ),
    ] {
        let refused = target.special(&found(&[b"s"], kind, 0, 0), &Extras::default());
        assert!(refused.unwrap_err().to_string().contains(word));
    }
    let deep = vec![&b"name"[..]; 20_000];
    let refused = put(&mut target, &found(&deep, Kind::File, 0, 0), b"");
    assert!(matches!(refused, Err(NotWritten::NoSuchThing(_))));
    let (bytes, findings) = whole(target);
    let told: Vec<String> = findings
        .iter()
        .map(|finding| format!("{}: {}", finding.object, finding.message))
        .collect();
    for word in [
        "an extended attribute",
        "a security descriptor",
        "an attribute of Windows",
        "after 2038",
        "two names are one file",
    ] {
        assert!(
            told.iter().any(|told| told.contains(word)),
            "{word}: {told:?}"
        );
    }
    assert_eq!(told.len(), 5, "{told:?}");
    let Some(list) = listed(&bytes) else { return };
    // 100 ns since 1601, and seconds before 1970.
    let ticks = (5_000_000_000_u64 + TO_1970) * 10_000_000 + 1;
    let ticks = ticks
        .to_le_bytes()
        .map(|byte| format!("{byte:02x}"))
        .concat();
    assert!(list.lines().next().unwrap().contains(&ticks), "{list}");
    let seconds = (-86_400_i32)
        .to_le_bytes()
        .map(|byte| format!("{byte:02x}"))
        .concat();
    assert!(
        list.lines()
            .nth(1)
            .unwrap()
            .contains(&format!("5554050001{seconds}")),
        "{list}"
    );
}

const TO_1970: u64 = 11_644_473_600;

#[test]
fn what_cannot_be_read_is_zeros_and_told() {
    let mut target = target();
    let bytes = vec![9; 1 << 20];
    let mut content = Bytes {
        bytes: &bytes,
        good: 300 << 10,
    };
    let cancel = Cancel::new();
    let mut reading = Reading::new(&mut content, &cancel);
    let file = found(&[b"half"], Kind::File, 0, 0);
    target
        .entry(&file, (about::FILE, true), &Extras::default(), &mut reading)
        .unwrap();
    assert!(matches!(reading.end(), Err(NotWritten::Zeros { at, .. }) if at == PIECE as u64));
    let (archive, _) = whole(target);
    let Some(list) = listed(&archive) else { return };
    let mut expected = bytes;
    expected[PIECE..].fill(0);
    assert!(
        list.contains(&rawzip::crc32(&expected).to_string()),
        "{list}"
    );
}

#[test]
fn more_entries_than_the_old_end_counts() {
    let mut target = target();
    for number in 0..70_000_u32 {
        let name = number.to_string();
        put(
            &mut target,
            &found(&[name.as_bytes()], Kind::File, 0, 0),
            b"",
        )
        .unwrap();
    }
    let (archive, _) = whole(target);
    let Some(list) = listed(&archive) else { return };
    assert_eq!(list.lines().count(), 70_000);
}

/// One that was stopped does not look whole, and one that cannot be written is given up.
#[test]
fn an_archive_without_its_end_is_none() {
    let cancel = Cancel::new();
    let mut target = ZipTarget::new(Vec::new(), PathBuf::from("test.zip"), &cancel);
    put(&mut target, &found(&[b"a"], Kind::File, 0, 0), b"x").unwrap();
    cancel.cancel();
    target.finish().unwrap();
    assert!(target.into_inner().is_none());

    let mut room = [0; 50];
    let mut target = ZipTarget::new(
        Cursor::new(&mut room[..]),
        PathBuf::from("test.zip"),
        &Cancel::new(),
    );
    let file = found(&[b"a"], Kind::File, 0, 0);
    let what = (about::FILE, false);
    let failed = target.entry(&file, what, &Extras::default(), &mut Cursor::new([1; 100]));
    assert!(matches!(failed, Err(NotWritten::Broken(_))));
    assert!(target.finish().is_ok() && target.into_inner().is_none());
}
