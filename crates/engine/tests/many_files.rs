//! A disk with many files in a vault: one folder and one file of it cost a number of reads of the store that does
//! not grow with the disk.
#![cfg(unix)]

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use engine::backup::{Job, Options, backup};
use engine::guest::{Guest, GuestPath, list};
use engine::pipeline::Limits;
use engine::progress::Quiet;
use engine::restore::Opened;
use engine::source::Owner;
use engine::source::folder::FolderSource;
use engine::{Cancel, SystemClock};
use hyperkeep_engine as engine;
use store::{MemoryStore, Op, RecordingStore};
use testkit::image::noise;
use testkit::vary;
use testkit::vhd::oracle;
use vault::{Env, InitOptions, Vault};

/// Files of a folder, folders of the root, and files of the smaller disk.
const FILES: usize = 100;
const FOLDERS: usize = 10;
const FEW: usize = 1000;
const LIMITS: Limits = Limits {
    workers: 2,
    in_flight: 16 << 20,
    results: 16 << 20,
};

/// A disk that is an ext4 with so many files; `None` without the tool.
fn disk(image: &Path, files: usize) -> Option<()> {
    let folder = tempfile::tempdir().unwrap();
    for one in 0..FOLDERS {
        for two in 0..files / FILES / FOLDERS {
            let folder = folder.path().join(format!("a{one}/b{two}"));
            fs::create_dir_all(&folder).unwrap();
            for file in 0..FILES {
                // What compresses to nothing would lie in few chunks, however many files there are.
                let bytes = noise((one * 1000 + two * FILES + file) as u64, 2000);
                fs::write(folder.join(format!("file{file}")), bytes).unwrap();
            }
        }
    }
    File::create(image).unwrap().set_len(1 << 30).unwrap();
    let from = folder.path().to_str().unwrap();
    let words = ["-q", "-F", "-t", "ext4", "-N", "150000", "-d", from];
    match Command::new("mke2fs").args(words).arg(image).output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(error) => {
            oracle::skip("many files in a vault", &format!("mke2fs: {error}"));
            return None;
        }
    }
    Some(())
}

/// How often the store is read, and how many bytes, from the opening of the guest on.
fn cost(files: usize) -> Option<(usize, u64)> {
    let folder = tempfile::tempdir().unwrap();
    disk(&folder.path().join("data.raw"), files)?;
    let store = Arc::new(RecordingStore::new(MemoryStore::default()));
    let options = InitOptions {
        writer: "test",
        ..InitOptions::default()
    };
    let (vault, _) = Vault::init(store.clone(), &options, Env::system()).unwrap();
    let clock = SystemClock::new();
    let job = Job {
        vault: &vault,
        clock: &clock,
        sink: &Quiet,
        cancel: &Cancel::new(),
        limits: LIMITS,
    };
    let mut source = FolderSource::open(folder.path()).unwrap();
    let mut seed = 0;
    let mut rng = |out: &mut [u8]| {
        seed += 1000;
        out.copy_from_slice(&noise(seed, out.len()));
    };
    backup(&job, &mut source, &Options::default(), &mut rng).unwrap();
    let reference = vault.points(None).unwrap().remove(0);
    let point = Opened::open(&vault.point(&reference).unwrap()).unwrap();
    drop(store.take());

    let guest = Guest::open(&vault, &point, &Owner::Vm);
    let middle = files / FILES / FOLDERS / 2;
    let path = GuestPath::parse(&format!("d0/a7/b{middle}")).unwrap();
    let (lines, findings) = list::folder(&guest, &path).unwrap();
    assert_eq!((lines.len(), findings.len()), (FILES, 0));
    let fs = guest.file_system("d0").unwrap();
    let file = GuestPath::parse(&format!("d0/a7/b{middle}/file50")).unwrap();
    let node = guestfs::by_path(fs.as_ref(), &file.names).unwrap();
    let mut bytes = vec![0; 2000];
    let mut content = fs.open(node, None).unwrap();
    content.read_at(0, &mut bytes).unwrap();
    assert!(bytes == noise((7000 + middle * FILES + 50) as u64, 2000));
    let reads = store.take().into_iter();
    let reads: Vec<u64> = reads
        .filter_map(|op| match op {
            Op::Get { len, .. } => Some(len),
            _ => None,
        })
        .collect();
    Some((reads.len(), reads.iter().sum()))
}

#[test]
fn one_file_of_many_is_read_by_few_chunks() {
    let many = vary::cases(5000) as usize;
    let (Some(few), Some(lots)) = (cost(FEW), cost(many)) else {
        return;
    };
    println!("{few:?} reads and bytes for {FEW} files, {lots:?} for {many}");
    assert!(few.0 > 0);
    // The map of the disk in the vault may have become higher.
    assert!(
        lots.0 <= 2 * few.0 + 20,
        "{lots:?} reads, and {few:?} for {FEW} files"
    );
    assert!(
        lots.1 <= 2 * few.1 + (4 << 20),
        "{lots:?} bytes, and {few:?} for {FEW} files"
    );
}
