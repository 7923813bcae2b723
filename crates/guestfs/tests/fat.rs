//! FAT as mkfs.fat and mtools write it, compared with what was put there and with dissect.fat.
#![cfg(unix)]

extern crate disk as hyperkeep_disk;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use hyperkeep_guestfs::fat::Fat;
use hyperkeep_guestfs::{Device, Error, FileSystem, How, Kind, Name, by_path};
use support::kernel;
use testkit::image::noise;
use testkit::vary;
use testkit::vhd::oracle;

#[path = "support/filled.rs"]
mod filled;
#[path = "fuzz/fat.rs"]
mod model;
mod support;

const MIB: u64 = 1 << 20;

/// Runs a tool on an image; `None` where it is not there.
fn tool(test: &str, program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(words)
        .env("MTOOLS_SKIP_CHECK", "1")
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC")
        .output();
    match output {
        Ok(output) => {
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program} {words:?}: {error}");
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(error) => {
            oracle::skip(test, &format!("{program}: {error}"));
            None
        }
    }
}

/// How a volume is made.
#[derive(Clone, Copy, Debug)]
struct Form {
    bits: u32,
    sector: u32,
    per_cluster: u32,
    mib: u64,
    files: u64,
}

const FORMS: [Form; 9] = [
    form(12, 512, 1, 1, 20),
    form(12, 512, 8, 8, 100),
    form(12, 4096, 1, 8, 100),
    form(16, 512, 1, 16, 200),
    form(16, 512, 16, 100, 100),
    form(16, 2048, 1, 32, 100),
    form(32, 512, 2, 70, 400),
    form(32, 512, 8, 300, 100),
    form(32, 4096, 1, 300, 100),
];

const fn form(bits: u32, sector: u32, per_cluster: u32, mib: u64, files: u64) -> Form {
    Form {
        bits,
        sector,
        per_cluster,
        mib,
        files,
    }
}

fn made(test: &str, image: &Path, form: Form) -> Option<()> {
    File::create(image)
        .unwrap()
        .set_len(form.mib * MIB)
        .unwrap();
    let [bits, sector, per] = [form.bits, form.sector, form.per_cluster].map(|n| n.to_string());
    let image = image.to_str().unwrap();
    let words = [
        "-F", &bits, "-S", &sector, "-s", &per, "-n", "Daten 1", "-i", "1234abcd", image,
    ];
    tool(test, "mkfs.fat", &words).map(drop)
}

/// Writes all that is in a folder into a volume, with holes in the heap between.
fn copied(test: &str, image: &Path, folder: &Path) -> Option<()> {
    let image = image.to_str().unwrap();
    let holes = tempfile::tempdir().unwrap();
    let hole = holes.path().join("hole");
    fs::write(&hole, noise(5, 9000)).unwrap();
    for number in 0..8 {
        let to = format!("::hole{number}");
        tool(test, "mcopy", &["-i", image, hole.to_str().unwrap(), &to])?;
    }
    for number in [1, 3, 6] {
        tool(test, "mdel", &["-i", image, &format!("::hole{number}")])?;
    }
    let mut words = vec!["-i".to_owned(), image.to_owned(), "-smQ".to_owned()];
    let mut all: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|one| one.unwrap().path())
        .collect();
    all.sort();
    words.extend(all.iter().map(|path| path.to_str().unwrap().to_owned()));
    words.push("::".to_owned());
    tool(
        test,
        "mcopy",
        &words.iter().map(String::as_str).collect::<Vec<_>>(),
    )?;
    for number in [0, 2, 4, 5, 7] {
        tool(test, "mdel", &["-i", image, &format!("::hole{number}")])?;
    }
    Some(())
}

/// Paths, lengths, checksums and times as dissect.fat reads them. It does not know the bits for small
/// letters, so all letters are great ones.
const DISSECT: &str = "\
import sys, calendar, zlib
from dissect.fat import FATFS
out = open(sys.argv[2], 'w', encoding='utf-8', errors='surrogatepass', newline='')
def walk(folder, path):
    for entry in folder.iterdir():
        name = entry.name.split('\\0')[0].rstrip('\\uffff')
        if name in ('.', '..') or entry.is_volume_id(): continue
        here = path + '/' + name
        if entry.is_directory():
            out.write(f'{here.upper()}\\t\\n')
            walk(entry, here)
        else:
            data = entry.open().read(entry.size) if entry.size else b''
            out.write(f'{here.upper()}\\t{zlib.crc32(data):08x}-{len(data)} {calendar.timegm(entry.mtime.timetuple())}\\n')
walk(FATFS(open(sys.argv[1], 'rb')).get('/'), '')
";

fn by_dissect(test: &str, image: &Path) -> Option<Vec<String>> {
    let python = oracle::python(test, "dissect.fat")?;
    let out = image.with_extension("dissect");
    python.run(DISSECT, &[image, &out]).unwrap();
    let mut lines: Vec<_> = fs::read_to_string(out)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    Some(lines)
}

fn as_lines(fs: &dyn FileSystem) -> Vec<String> {
    let line = |(path, seen): (&String, &support::Seen)| {
        // Names are well-formed here.
        let path = unescaped(path).to_uppercase();
        match seen.modified {
            Some((seconds, _)) if seen.kind == "file" => format!("{path}\t{} {seconds}", seen.what),
            _ => format!("{path}\t"),
        }
    };
    let mut lines: Vec<_> = support::read(fs).iter().map(line).collect();
    lines.sort();
    lines
}

fn unescaped(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        match &rest[at + 1..at + 2] {
            "x" => {
                bytes.push(u8::from_str_radix(&rest[at + 2..at + 4], 16).unwrap());
                rest = &rest[at + 4..];
            }
            other => {
                bytes.extend_from_slice(other.as_bytes());
                rest = &rest[at + 2..];
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap()
}

fn opened(image: &Path) -> Fat {
    Fat::open(support::image(image)).unwrap()
}

#[test]
fn what_mtools_writes_is_read() {
    let test = "what_mtools_writes_is_read";
    for form in FORMS {
        let folder = tempfile::tempdir().unwrap();
        let (image, source) = (folder.path().join("image"), folder.path().join("source"));
        fs::create_dir(&source).unwrap();
        filled::fill(&source, form.files);
        let done = made(test, &image, form).and_then(|()| copied(test, &image, &source));
        if done.is_none() {
            return;
        }
        tool(test, "fsck.fat", &["-n", image.to_str().unwrap()]);
        let fat = opened(&image);
        let about = fat.about();
        assert_eq!(
            (about.format, about.label.as_str()),
            ("vfat", "Daten 1"),
            "{form:?}"
        );
        assert_eq!(about.id, "1234-ABCD");
        // mkfs.fat leaves out what fills no track.
        let len = form.mib * MIB;
        assert!(
            (len - 65_536..=len).contains(&about.len),
            "{form:?}: {}",
            about.len
        );
        assert_eq!(about.block, form.sector * form.per_cluster, "{form:?}");
        assert_eq!(
            (about.state.how, about.state.notes.len()),
            (How::Clean, 0),
            "{:?}",
            about.state
        );
        support::same(
            &filled::kept(support::read(&fat)),
            &filled::kept(kernel::tree(&source)),
        );
        assert!(support::placed(&fat, &support::image(&image)) > 100_000);
        if let Some(theirs) = by_dissect(test, &image) {
            assert_eq!(as_lines(&fat), theirs, "{form:?}");
        }
        // The letters' case makes no difference, and short names lead there too.
        let big = fat.find(fat.root(), &Name::from("BIG")).unwrap();
        assert_eq!(big, fat.find(fat.root(), &Name::from("big")).unwrap());
        let path = [Name::from("Folder 0"), Name::from("Folder 1")];
        let found = by_path(&fat, &path).unwrap();
        assert_eq!(
            fat.extras(found).unwrap().short_name,
            Some(Name::from("FOLDER~1"))
        );
        let short = [Name::from("folder~1"), Name::from("FOLDER~1")];
        assert_eq!(by_path(&fat, &short).unwrap(), found);
    }
}

#[test]
fn attributes_and_times_are_kept() {
    let test = "attributes_and_times_are_kept";
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    let file = folder.path().join("file");
    fs::write(&file, b"x").unwrap();
    if made(test, &image, FORMS[3]).is_none() {
        return;
    }
    let path = image.to_str().unwrap();
    let copy = ["-i", path, file.to_str().unwrap(), "::file"];
    if tool(test, "mcopy", &copy).is_none() {
        return;
    }
    tool(
        test,
        "mattrib",
        &["-i", path, "+r", "+h", "+s", "-a", "::file"],
    );
    let fat = opened(&image);
    let id = fat.find(fat.root(), &Name::from("file")).unwrap().unwrap();
    let node = fat.node(id).unwrap();
    assert_eq!((node.attributes, node.links), (Some(7), 1));
    assert_eq!(fat.node(fat.root()).unwrap().attributes, Some(0x10));
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64;
    for (time, within) in [
        (node.times.modified, 3600),
        (node.times.accessed, 90_000),
        (node.times.created, 3600),
    ] {
        let seconds = time.unwrap().seconds;
        assert!(
            (now - within..=now + 2).contains(&seconds),
            "{seconds} and {now}"
        );
    }
}

/// A volume of a seed with some bytes changed.
fn changed(seed: usize, change: impl FnOnce(&mut Vec<u8>)) -> Device {
    let device = model::walk::patched(model::walk::unpacked(model::SEEDS[seed]), &[]);
    let mut bytes = device.bytes.clone();
    change(&mut bytes);
    let read = 0.into();
    Arc::new(model::walk::Counted { bytes, read })
}

fn position(bytes: &[u8], of: &[u8]) -> usize {
    bytes.windows(of.len()).position(|all| all == of).unwrap()
}

/// How the seeds were made: `mkfs.fat -a -r 32 -s 1` (FAT32 without `-r`) of 128 KiB, 2200 KiB and 34 MiB; `Long folder name`
/// with `A file in a folder.txt` of 3000 bytes, and `PLAIN.TXT`, `nocase.txt`, `Grüße QZ.txt` beside it. mtools writes no pairs, so
/// they are put in the place of QZ.
#[test]
fn odd_names_are_read() {
    let names = |fat: &Fat| -> Vec<String> {
        let mut all = Vec::new();
        fat.list(fat.root(), &mut |entry| {
            all.push(entry.name.as_bytes().escape_ascii().to_string());
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        all
    };
    for seed in 0..3 {
        let pair = |second: u16| {
            changed(seed, |bytes| {
                let at = position(bytes, b"Q\0Z\0.\0");
                bytes[at..at + 2].copy_from_slice(&0xd83d_u16.to_le_bytes());
                bytes[at + 2..at + 4].copy_from_slice(&second.to_le_bytes());
            })
        };
        let whole = names(&Fat::open(pair(0xde00)).unwrap());
        let smile = "Gr\\xc3\\xbc\\xc3\\x9fe \\xf0\\x9f\\x98\\x80.txt";
        assert!(whole.contains(&smile.to_owned()), "{whole:?}");
        assert!(whole.contains(&"nocase.txt".to_owned()), "{whole:?}");
        // Half a pair is kept as it is.
        let half = pair(u16::from(b'x'));
        let half = names(&Fat::open(half).unwrap());
        assert!(
            half.contains(&smile.replace("\\xf0\\x9f\\x98\\x80", "\\xed\\xa0\\xbdx")),
            "{half:?}"
        );
        // A long name that belongs to another short one is none.
        let other = changed(seed, |bytes| {
            let at = position(bytes, b"LONGFO~1   ");
            bytes[at..at + 11].copy_from_slice(b"\x99THER   \x8e  ");
        });
        let other = names(&Fat::open(other).unwrap());
        assert!(
            other.contains(&"\\xc3\\x96THER.\\xc3\\x84".to_owned()),
            "{other:?}"
        );
        assert_eq!(other.len(), whole.len());
    }
}

#[test]
fn what_was_in_use_is_told() {
    for (seed, at, bits) in [(0, 0x25, 1), (1, 0x25, 1), (2, 0x41, 1)] {
        let device = changed(seed, |bytes| bytes[at] |= bits);
        assert_eq!(Fat::open(device).unwrap().about().state.how, How::InUse);
    }
    // The second entry of both tables: not unmounted, and errors met.
    for (seed, at, bit, how) in [
        (1, 3, 0x80, How::InUse),
        (1, 3, 0x40, How::Damaged),
        (2, 7, 0x08, How::InUse),
        (2, 7, 0x04, How::Damaged),
    ] {
        let device = changed(seed, |bytes| {
            for table in tables(bytes) {
                bytes[table + at] &= !bit;
            }
        });
        assert_eq!(
            Fat::open(device).unwrap().about().state.how,
            how,
            "{seed} {at} {bit}"
        );
    }
}

/// Where both tables are.
fn tables(bytes: &[u8]) -> [usize; 2] {
    let number = |at: usize| usize::from(bytes[at]) | usize::from(bytes[at + 1]) << 8;
    let sectors = match number(22) {
        0 => number(36),
        short => short,
    };
    [number(14) * 512, (number(14) + sectors) * 512]
}

#[test]
fn damaged_chains_end_and_are_told() {
    // FAT32, whose entries are the easiest to change: the file of 3000 bytes has six clusters.
    let path = ["Long folder name", "A file in a folder.txt"].map(Name::from);
    let read = |fat: &Fat| -> Result<Vec<u8>, Error> {
        let mut content = fat.open(by_path(fat, &path)?, None)?;
        let mut bytes = vec![0; content.len() as usize];
        content.read_at(0, &mut bytes)?;
        Ok(bytes)
    };
    let whole = read(&Fat::open(changed(2, |_| ())).unwrap()).unwrap();
    assert_eq!(whole.len(), 3000);
    let with = |links: &[(u32, u32)], copies: usize| {
        let device = changed(2, |bytes| {
            let at = position(bytes, b"AFILEI~1TXT");
            let first = u32::from(bytes[at + 26]);
            for table in &tables(bytes)[..copies] {
                for (from, to) in links {
                    let to = if *to < 100 { first + to } else { *to };
                    let place = table + 4 * (first + from) as usize;
                    bytes[place..place + 4].copy_from_slice(&to.to_le_bytes());
                }
            }
        });
        Fat::open(device).unwrap()
    };
    let free = |from| (from, 0x1000_0000);
    for links in [
        [(3, 1)],
        [(5, 0)],
        [(5, 5)],
        [(2, 0x0fff_ffff)],
        [free(2)],
        [(0, 0x0fff_fff7)],
        [(0, 0x00ff_ffff)],
    ] {
        let fat = with(&links, 2);
        let error = read(&fat).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{links:?}: {error}");
        // With sense in the second copy all is there, and told unless that is a matter of opinion.
        let fat = with(&links, 1);
        assert_eq!(fat.about().state.how, How::Damaged);
        match links[0].1 {
            0x0fff_fff7 | 0x00ff_ffff | 0x1000_0000 => assert_eq!(read(&fat).unwrap(), whole),
            _ => assert!(read(&fat).is_err()),
        }
    }
    // Clusters behind the last that is needed are no damage.
    assert_eq!(
        read(&with(&[(5, 90), (90, 0x0fff_ffff)], 2)).unwrap(),
        whole
    );
}

#[test]
fn folders_that_lead_elsewhere_are_refused() {
    for seed in 0..3 {
        let root = 2_u8;
        let device = changed(seed, |bytes| {
            let at = position(bytes, b"LONGFO~1   ");
            bytes[at + 26] = if seed == 2 { root } else { bytes[at + 26] + 1 };
        });
        let fat = Fat::open(device).unwrap();
        let folder = fat
            .find(fat.root(), &Name::from("Long folder name"))
            .unwrap()
            .unwrap();
        assert_eq!(fat.node(folder).unwrap().kind, Kind::Folder);
        let error = fat
            .list(folder, &mut |_| std::ops::ControlFlow::Continue(()))
            .unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
    }
    let fat = Fat::open(changed(0, |_| ())).unwrap();
    for id in [1, 7, 1 << 20, u64::MAX] {
        let error = fat.node(hyperkeep_guestfs::NodeId(id)).unwrap_err();
        assert!(matches!(error, Error::NotFound(_)), "{id}: {error}");
    }
}

#[test]
fn any_change_of_metadata_ends_well() {
    let mut random = testkit::crash::Random(vary::seed(12));
    for case in 0..vary::cases(600) {
        let mut input = vec![case as u8];
        for _ in 0..1 + random.number() % 12 {
            // Of all bytes mostly those at the start, where tables and the root are.
            let reach = [512, 4096, 40_000, 2_000_000][random.number() as usize % 4];
            let at = (random.number() % reach) as u32;
            input.extend_from_slice(&at.to_le_bytes()[..3]);
            input.push(random.number() as u8);
        }
        model::check(&input);
    }
}
