//! Names and contents of volumes of all sorts.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use hyperkeep_disk::{BlockRead, ByteRange, Extent, Geometry};
use hyperkeep_guestfs::ntfs::Ntfs;
use hyperkeep_guestfs::{Device, FileSystem, How, Kind, Name, by_path};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, makedev, mknodat, setxattr};
use testkit::image::noise;

use crate::mount::{Volume, compared};
use crate::support::{image, placed, read, same, sum};
use crate::{model, states};

const OPTIONS: &str = "streams_interface=xattr,compression,special_files=wsl";

/// A little of everything that ntfs-3g can make.
fn populate(root: &Path) {
    let write = |name: &str, bytes: &[u8]| fs::write(root.join(name), bytes).unwrap();
    write("empty", b"");
    write("resident", b"some bytes that fit into the record");
    write("clusters", &noise(1, 300_000));
    write("Ünïcödé 名前 😀", b"named");
    write(&"long".repeat(63), b"252 units");
    write("ends with a dot.", b"dot");
    fs::hard_link(root.join("clusters"), root.join("another name")).unwrap();
    let sparse = File::create(root.join("sparse")).unwrap();
    sparse.write_all_at(b"in the middle", 5_000_000).unwrap();
    sparse.set_len(9_000_001).unwrap();
    let mut deep = root.to_owned();
    for depth in 0..30 {
        deep.push(format!("depth {depth}"));
        fs::create_dir(&deep).unwrap();
    }
    fs::write(deep.join("bottom"), b"deep").unwrap();
    let names = root.join("many");
    fs::create_dir(&names).unwrap();
    for number in 0..300 {
        fs::write(
            names.join(format!("{} {number}", "name".repeat(number % 20))),
            number.to_string(),
        )
        .unwrap();
    }
    for number in (0..300).step_by(3) {
        fs::remove_file(names.join(format!("{} {number}", "name".repeat(number % 20)))).unwrap();
    }
    for (name, target) in [
        ("short link", "resident"),
        ("long link", &*"far/".repeat(200)),
    ] {
        symlink(target, root.join(name)).unwrap();
    }
    for (name, kind, number) in [
        ("fifo", FileType::Fifo, 0),
        ("socket", FileType::Socket, 0),
        ("char", FileType::CharacterDevice, makedev(5, 1)),
        ("block", FileType::BlockDevice, makedev(259, 70_000)),
    ] {
        mknodat(
            CWD,
            root.join(name),
            kind,
            Mode::from_bits_retain(0o640),
            number,
        )
        .unwrap();
    }
    for (name, stream, bytes) in [
        ("resident", "small", &b"a stream"[..]),
        ("resident", "large", &noise(2, 60_000)),
        ("many", "of a folder", b"also"),
    ] {
        let stream = format!("user.{stream}");
        setxattr(root.join(name), &*stream, bytes, XattrFlags::empty()).unwrap();
    }
    for (name, seconds) in [("empty", -5_000_000_000_i64), ("resident", 20_000_000_000)] {
        let shift = Duration::from_secs(seconds.unsigned_abs());
        let epoch = SystemTime::UNIX_EPOCH;
        let time = if seconds < 0 {
            epoch - shift
        } else {
            epoch + shift
        };
        // ntfs-3g tells times before 1970 rightly only if they are whole seconds.
        let nanos = if seconds < 0 { 0 } else { 123_456_700 };
        let time = time + Duration::from_nanos(nanos);
        let file = OpenOptions::new()
            .write(true)
            .open(root.join(name))
            .unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    }
}

#[test]
fn volumes_of_all_sizes_of_sectors_and_clusters() {
    for (sector, cluster, mib) in [
        (512, 512, 24),
        (512, 1024, 24),
        (512, 4096, 24),
        (512, 65536, 100),
        (1024, 2048, 24),
        (4096, 4096, 24),
        (4096, 2 << 20, 1500),
    ] {
        let test = "volumes_of_all_sizes_of_sectors_and_clusters";
        let (sector_word, cluster_word) = (sector.to_string(), cluster.to_string());
        let words = ["-s", &sector_word, "-c", &cluster_word, "-L", "Läbel"];
        let Some(volume) = Volume::made(test, mib, &words) else {
            return;
        };
        let Some(mounted) = volume.mount(test, OPTIONS) else {
            return;
        };
        populate(mounted.path());
        let theirs = mounted.tree();
        drop(mounted);
        let ours = volume.open();
        let about = ours.about();
        assert_eq!(
            (about.format, about.block, about.label.as_str()),
            ("ntfs", cluster, "Läbel")
        );
        assert_eq!(about.len, mib << 20);
        assert_eq!(about.state.how, How::Clean, "{about:?}");
        same(&compared(read(&ours)), &theirs);
    }
}

#[test]
fn a_folder_of_twenty_thousand_names() {
    let test = "a_folder_of_twenty_thousand_names";
    let Some(volume) = Volume::made(test, 64, &["-c", "4096"]) else {
        return;
    };
    let Some(mounted) = volume.mount(test, OPTIONS) else {
        return;
    };
    let folder = mounted.path().join("large");
    fs::create_dir(&folder).unwrap();
    let mut theirs = Vec::new();
    for number in 0..20_000_u32 {
        let name = format!("{:x}-Name-{number}", number.wrapping_mul(2_654_435_761));
        File::create(folder.join(&name)).unwrap();
        theirs.push(Name::from(&*name));
    }
    theirs.sort();
    drop(mounted);
    let ours = volume.open();
    let large = by_path(&ours, &[Name::from("LARGE")]).unwrap();
    let mut names = BTreeMap::new();
    ours.list(large, &mut |entry| {
        assert!(names.insert(entry.name, entry.node).is_none());
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(names.keys().eq(&theirs));
    for (name, node) in names.iter().step_by(7) {
        assert_eq!(ours.find(large, name).unwrap(), Some(*node));
        let other = Name::from(&*name.to_str().unwrap().to_uppercase());
        let found = ours.entry(large, &other).unwrap().unwrap();
        assert_eq!((&found.name, found.node), (name, *node));
        let missing = Name::from(&*format!("{name} "));
        assert_eq!(ours.find(large, &missing).unwrap(), None);
    }
    let mut first = 0;
    ours.list(large, &mut |_| {
        first += 1;
        if first < 5 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })
    .unwrap();
    assert_eq!(first, 5);
    // A volume that was just opened reads one way down the tree, and not the folder.
    let device = Arc::new(Counted::new(image(&volume.path())));
    let ours = Ntfs::open(device.clone()).unwrap();
    let opened = device.read.load(Ordering::Relaxed);
    let name = names.keys().nth(12_345).unwrap();
    let path = [Name::from("large"), name.clone()];
    assert!(ours.node(by_path(&ours, &path).unwrap()).is_ok());
    let looked = device.read.load(Ordering::Relaxed) - opened;
    assert!(
        opened < 1 << 20 && looked < 200_000,
        "{opened} and {looked} bytes were read"
    );
}

/// A device that counts the bytes that are read of it.
struct Counted {
    device: Device,
    read: AtomicU64,
}

impl Counted {
    fn new(device: Device) -> Self {
        let read = AtomicU64::new(0);
        Self { device, read }
    }
}

impl BlockRead for Counted {
    fn geometry(&self) -> Geometry {
        self.device.geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> hyperkeep_disk::Result<()> {
        self.read.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.device.read_at(offset, buf)
    }

    fn extents(&self, range: ByteRange) -> hyperkeep_disk::Result<Vec<Extent>> {
        self.device.extents(range)
    }
}

#[test]
fn names_that_differ_in_letters_alone_and_names_that_are_no_text() {
    let test = "names_that_differ_in_letters_alone_and_names_that_are_no_text";
    let Some(volume) = Volume::made(test, 16, &[]) else {
        return;
    };
    let Some(mounted) = volume.mount(test, OPTIONS) else {
        return;
    };
    for name in ["Name", "NAME", "name", "nAmE", "Other"] {
        fs::write(mounted.path().join(name), name).unwrap();
    }
    // Half of a pair, as the bytes that ntfs-3g takes and we give.
    let half = OsStr::from_bytes(b"half \xed\xa0\xbd pair");
    let made = fs::write(mounted.path().join(half), "half");
    let theirs = mounted.tree();
    drop(mounted);
    let ours = volume.open();
    same(&compared(read(&ours)), &theirs);
    for name in ["Name", "NAME", "name", "nAmE"] {
        let id = by_path(&ours, &[Name::from(name)]).unwrap();
        let mut bytes = [0; 4];
        ours.open(id, None).unwrap().read_at(0, &mut bytes).unwrap();
        assert_eq!(&bytes, name.as_bytes());
    }
    assert!(by_path(&ours, &[Name::from("nAME")]).is_ok());
    let other = by_path(&ours, &[Name::from("oTHER")]).unwrap();
    assert_eq!(ours.node(other).unwrap().kind, Kind::File);
    if made.is_ok() {
        let half = Name::new(half.as_bytes());
        assert!(by_path(&ours, &[half]).is_ok());
    }
    for own in ["$MFT", "$Extend", "$Secure", "."] {
        assert!(
            ours.find(ours.root(), &Name::from(own)).unwrap().is_none(),
            "{own}"
        );
    }
}

/// 12 000 pieces with holes between them: run lists over a hundred records and more.
#[test]
fn a_file_of_thousands_of_fragments() {
    let test = "a_file_of_thousands_of_fragments";
    let Some(volume) = Volume::made(test, 40, &["-c", "512"]) else {
        return;
    };
    let Some(mounted) = volume.mount(test, OPTIONS) else {
        return;
    };
    let pieces = noise(3, 12_000 * 512);
    let stripes = File::create(mounted.path().join("stripes")).unwrap();
    for (number, piece) in pieces.chunks(512).enumerate() {
        // Out of order, so that pieces that follow each other do not lie beside each other.
        let place = number as u64 * 7 % 12_000 * 1024;
        stripes.write_all_at(piece, place).unwrap();
    }
    drop(stripes);
    for number in 0..200 {
        let name = mounted.path().join(format!("name {number}"));
        fs::hard_link(mounted.path().join("stripes"), name).unwrap();
    }
    let theirs = mounted.tree();
    drop(mounted);
    let ours = volume.open();
    same(&compared(read(&ours)), &theirs);
    assert_eq!(theirs["/stripes"].links, Some(201));
}

/// A volume so full of small holes that the MFT's own run list does not fit into its record.
#[test]
fn an_mft_of_many_fragments() {
    let test = "an_mft_of_many_fragments";
    let Some(volume) = Volume::made(test, 12, &["-c", "512"]) else {
        return;
    };
    let Some(mounted) = volume.mount(test, OPTIONS) else {
        return;
    };
    let at = |name: String| mounted.path().join(name);
    let full =
        (0..).find(|number| fs::write(at(format!("{number}")), noise(*number, 2048)).is_err());
    let full = full.unwrap();
    for number in (0..full).step_by(2) {
        fs::remove_file(at(format!("{number}"))).unwrap();
    }
    for number in 0..full / 2 + 2000 {
        if File::create(at(format!("new {number}"))).is_err() {
            break;
        }
    }
    let theirs = mounted.tree();
    drop(mounted);
    let image = File::open(volume.path()).unwrap();
    states::attribute(&image, 0, 0x20).expect("the MFT has an attribute list");
    same(&compared(read(&volume.open())), &theirs);
}

/// All sorts of contents in a folder whose files ntfs-3g compresses.
#[test]
fn compressed_contents() {
    let test = "compressed_contents";
    for cluster in ["512", "1024", "4096"] {
        let Some(volume) = Volume::made(test, 64, &["-c", cluster]) else {
            return;
        };
        let Some(mounted) = volume.mount(test, OPTIONS) else {
            return;
        };
        let root = mounted.path();
        let compress = 0x800_u32.to_be_bytes();
        setxattr(
            root,
            "system.ntfs_attrib_be",
            &compress,
            XattrFlags::empty(),
        )
        .unwrap();
        let words: Vec<u8> = (0..400_000_u32)
            .flat_map(|number| format!("{} ", number.wrapping_mul(number) % 1013).into_bytes())
            .take(1_000_003)
            .collect();
        let mixed = [
            &words[..70_000],
            &noise(4, 200_000),
            &[0; 150_000],
            &words[..9],
        ]
        .concat();
        let cases: [(&str, &[u8]); 8] = [
            ("words", &words),
            ("noise", &noise(5, 300_001)),
            ("zeros", &[0; 500_000]),
            ("mixed", &mixed),
            ("one", b"1"),
            ("unit", &words[..65536]),
            ("more", &words[..65537]),
            ("repeated", &b"ab".repeat(100_000)),
        ];
        for (name, bytes) in cases {
            fs::write(root.join(name), bytes).unwrap();
        }
        let holes = File::create(root.join("holes")).unwrap();
        for place in [200_000, 1_000_000, 1_900_000] {
            holes.write_all_at(&words[..33_333], place).unwrap();
        }
        drop(holes);
        let theirs = mounted.tree();
        drop(mounted);
        for (name, bytes) in cases {
            assert_eq!(theirs[&format!("/{name}")].what, sum(bytes), "{name}");
        }
        let ours = volume.open();
        same(&compared(read(&ours)), &theirs);
        let words = by_path(&ours, &[Name::from("words")]).unwrap();
        assert_eq!(ours.node(words).unwrap().attributes.unwrap() & 0x800, 0x800);
    }
}

/// A volume copied while it is written: what is read may be an error, and is never a panic.
#[test]
fn volumes_that_were_in_use() {
    let test = "volumes_that_were_in_use";
    let Some(volume) = Volume::made(test, 16, &[]) else {
        return;
    };
    let Some(mounted) = volume.mount(test, OPTIONS) else {
        return;
    };
    let before = volume.path().with_extension("copy");
    let mut read_whole = 0;
    for round in 0..4 {
        for number in 0..60 {
            let name = mounted.path().join(format!("{round} {number}"));
            fs::write(&name, noise(number, 3000)).unwrap();
            if number % 3 == 0 {
                fs::remove_file(&name).unwrap();
            }
        }
        fs::copy(volume.path(), &before).unwrap();
        let bytes = fs::read(&before).unwrap();
        read_whole += u32::from(model::walk(&bytes).is_ok());
    }
    drop(mounted);
    read_whole += u32::from(model::walk(&fs::read(volume.path()).unwrap()).is_ok());
    assert!(read_whole > 0);
}

/// Another reader, of names, streams and all contents.
#[test]
fn dissect_reads_the_same() {
    let test = "dissect_reads_the_same";
    let Some(python) = testkit::vhd::oracle::python(test, "dissect.ntfs") else {
        return;
    };
    let Some(volume) = Volume::made(test, 24, &[]) else {
        return;
    };
    let Some(mounted) = volume.mount(test, OPTIONS) else {
        return;
    };
    populate(mounted.path());
    drop(mounted);
    let told = python.run(DISSECT, &[&volume.path()]).unwrap();
    let mut theirs: Vec<&str> = told.lines().collect();
    theirs.sort_unstable();
    let ours = read(&volume.open());
    assert!(placed(&volume.open(), &image(&volume.path())) > 100_000);
    let mut mine = Vec::new();
    for (path, seen) in &ours {
        if seen.kind == "file" {
            mine.push(format!("{path} {}", seen.what));
        }
        for (stream, sum) in seen.xattrs.iter().flatten() {
            if let Some(stream) = stream.strip_prefix("user.") {
                mine.push(format!("{path}:{stream} {sum}"));
            }
        }
    }
    mine.sort_unstable();
    assert_eq!(mine, theirs);
    assert!(mine.len() > 200);
}

const DISSECT: &str = r#"
import sys, zlib
from dissect.ntfs import NTFS

def escaped(text):
    out = ""
    for byte in text.encode("utf-8", "surrogatepass"):
        char = chr(byte)
        if char in "\\'\"":
            out += "\\" + char
        elif 0x20 <= byte < 0x7f:
            out += char
        else:
            out += "\\x%02x" % byte
    return out

def walk(folder, path):
    for entry in folder.iterdir(ignore_dos=True):
        record = entry.dereference()
        if record.segment < 16:
            continue
        name = path + "/" + escaped(entry.attribute.file_name)
        names = sorted({attr.name or "" for attr in record.attributes.DATA})
        special = record.is_reparse_point()
        for stream in names:
            if stream == "" and special:
                continue
            data = record.open(stream).read()
            told = name + (":" + escaped(stream) if stream else "")
            print("%s %08x-%d" % (told, zlib.crc32(data), len(data)))
        if record.is_dir() and not special:
            walk(record, name)

walk(NTFS(open(sys.argv[1], "rb")).mft.get(5), "")
"#;
