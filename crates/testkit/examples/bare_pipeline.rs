//! The least work that any backup with these building blocks must do, as a yardstick.
//!
//! Read, find zeros, hash pages, cut, hash chunks with a key, look each one up, compress, seal,
//! write: on a few threads, with nothing else. No vault, no index on disk, no disk map, no format
//! to parse, no error but the end of the program. `make bench` runs it on the same disks in the
//! same run as Hyperkeep, whose CPU time is then told as a multiple of it.
//!
//! ```text
//! bare_pipeline OUT IDS IMAGE [--ranges FILE] [--threads N] [--level N]
//! ```
//! Packs are written to the folder OUT. IDS is a file with the ids stored by earlier runs; this
//! run's are added. With `--ranges`, only those parts (`offset length` a line) are read.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use disk::DirectFile;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use xxhash_rust::xxh3::xxh3_64_with_seed;

const PAGE: usize = 4096;
const SEGMENT: u64 = 4 << 20;
const MIN: usize = 32 << 10;
const MAX: usize = 256 << 10;
/// After the minimum, one page in eight ends a chunk: 64 KiB on average.
const THRESHOLD: u64 = u64::MAX / 8;
const SEED: u64 = 0x5eed;
const ID_KEY: [u8; 32] = [1; 32];
const DATA_KEY: [u8; 32] = [2; 32];

type Id = [u8; 32];

struct Args {
    out: PathBuf,
    ids: PathBuf,
    image: PathBuf,
    ranges: Option<PathBuf>,
    threads: usize,
    level: i32,
}

#[derive(Default)]
struct Totals {
    read: AtomicU64,
    data: AtomicU64,
    unique: AtomicU64,
    stored: AtomicU64,
    chunks: AtomicU64,
}

fn main() -> io::Result<()> {
    let args = parse_args();
    let image = Arc::new(File::open(&args.image)?);
    let len = image.metadata()?.len();
    let work = match &args.ranges {
        Some(file) => listed(&fs::read_to_string(file)?),
        None => allocated(&image, len)?,
    };
    let segments = split(&work);
    let old = fs::read(&args.ids).unwrap_or_default();
    let known: HashSet<Id> = old.as_chunks::<32>().0.iter().copied().collect();
    let known = Mutex::new(known);
    let (next, totals) = (AtomicUsize::new(0), Totals::default());
    fs::create_dir_all(&args.out)?;

    let new: Vec<io::Result<Vec<Id>>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..args.threads)
            .map(|_| scope.spawn(|| worker(&args, &image, &segments, &next, &known, &totals)))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("no worker panics"))
            .collect()
    });

    let mut ids = BufWriter::new(File::options().append(true).create(true).open(&args.ids)?);
    for id in new.into_iter().collect::<io::Result<Vec<_>>>()?.concat() {
        ids.write_all(&id)?;
    }
    ids.flush()?;
    let of = |total: &AtomicU64| total.load(Ordering::Relaxed);
    println!(
        "read {} data {} unique {} stored {} chunks {}",
        of(&totals.read),
        of(&totals.data),
        of(&totals.unique),
        of(&totals.stored),
        of(&totals.chunks)
    );
    Ok(())
}

/// Takes segment after segment until there are none, into one pack file of its own.
fn worker(
    args: &Args,
    image: &Arc<File>,
    segments: &[(u64, u64)],
    next: &AtomicUsize,
    known: &Mutex<HashSet<Id>>,
    totals: &Totals,
) -> io::Result<Vec<Id>> {
    let key = UnboundKey::new(&AES_256_GCM, &DATA_KEY).expect("a key of 32 bytes");
    let key = LessSafeKey::new(key);
    let mut zstd = zstd::bulk::Compressor::new(args.level)?;
    // Past the page cache, as the product reads: otherwise its cost would flatter the product.
    let image = DirectFile::reading(Arc::clone(image));
    let mut buffer = vec![0; SEGMENT as usize];
    let mut sealed = Vec::with_capacity(2 * MAX);
    let (mut new, mut pack, mut counter) = (Vec::new(), None, 0_u64);
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(&(offset, len)) = segments.get(index) else {
            break;
        };
        let segment = &mut buffer[..len as usize];
        image.read_exact_at(segment, offset)?;
        totals.read.fetch_add(len, Ordering::Relaxed);
        let mut rest = &*segment;
        while let Some((chunk, tail)) = cut(rest) {
            rest = tail;
            let Some(chunk) = chunk else { continue };
            totals.data.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            totals.chunks.fetch_add(1, Ordering::Relaxed);
            let id: Id = *blake3::keyed_hash(&ID_KEY, chunk).as_bytes();
            if !known.lock().expect("no worker panics").insert(id) {
                continue;
            }
            new.push(id);
            totals
                .unique
                .fetch_add(chunk.len() as u64, Ordering::Relaxed);
            sealed.clear();
            zstd.compress_to_buffer(chunk, &mut sealed)?;
            let mut nonce = [0; NONCE_LEN];
            nonce[..8].copy_from_slice(&counter.to_le_bytes());
            counter += 1;
            let nonce = Nonce::assume_unique_for_key(nonce);
            key.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed)
                .expect("sealing");
            totals
                .stored
                .fetch_add(sealed.len() as u64, Ordering::Relaxed);
            if pack.is_none() {
                pack = Some(new_pack(args)?);
            }
            if let Some(pack) = &mut pack {
                pack.push(&sealed)?;
            }
        }
    }
    if let Some(pack) = pack {
        pack.finish()?;
    }
    Ok(new)
}

/// The next chunk of `data`, or `None` inside when it begins with zeros, and what follows.
fn cut(data: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let zeros = zero_pages(data) * PAGE;
    if zeros > 0 {
        return Some((None, &data[zeros.min(data.len())..]));
    }
    let mut at = 0;
    while at < data.len().min(MAX) {
        let page = &data[at..(at + PAGE).min(data.len())];
        if is_zero(page) && zero_pages(&data[at..]) * PAGE >= MIN {
            break;
        }
        at += page.len();
        if at >= MIN && xxh3_64_with_seed(page, SEED) <= THRESHOLD {
            break;
        }
    }
    (at > 0).then(|| (Some(&data[..at]), &data[at..]))
}

fn zero_pages(data: &[u8]) -> usize {
    data.chunks(PAGE).take_while(|page| is_zero(page)).count()
}

fn is_zero(page: &[u8]) -> bool {
    static ZEROS: [u8; PAGE] = [0; PAGE];
    page == &ZEROS[..page.len()]
}

/// A file written from its beginning, past the page cache.
struct Pack {
    file: DirectFile,
    /// Where what is in `held` goes.
    at: u64,
    held: Vec<u8>,
}

impl Pack {
    const PIECE: usize = 1 << 20;

    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= Self::PIECE {
            let (piece, rest) = self.held.split_at(Self::PIECE);
            self.file.write_all_at(piece, self.at)?;
            self.at += Self::PIECE as u64;
            let rest = rest.len();
            self.held.drain(..self.held.len() - rest);
        }
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        self.file.write_all_at(&self.held, self.at)?;
        self.file.sync()
    }
}

fn new_pack(args: &Args) -> io::Result<Pack> {
    let number = fs::read_dir(&args.out)?.count();
    let mut new = File::options();
    new.read(true).write(true).create_new(true);
    for number in number.. {
        match new.open(args.out.join(format!("{number}"))) {
            Ok(file) => {
                return Ok(Pack {
                    file: DirectFile::writing(Arc::new(file)),
                    at: 0,
                    held: Vec::with_capacity(2 * Pack::PIECE),
                });
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => (),
            Err(e) => return Err(e),
        }
    }
    unreachable!("there are more numbers than files")
}

/// The parts of the file that are not holes; the whole of it where the system cannot tell.
#[cfg(windows)]
fn allocated(_: &File, len: u64) -> io::Result<Vec<(u64, u64)>> {
    Ok(vec![(0, len)])
}

/// The parts of the file that are not holes; the whole of it where the system cannot tell.
#[cfg(unix)]
fn allocated(file: &File, len: u64) -> io::Result<Vec<(u64, u64)>> {
    use rustix::fs::{SeekFrom, seek};
    let mut parts = Vec::new();
    let mut at = 0;
    while at < len {
        let Ok(start) = seek(file, SeekFrom::Data(at)) else {
            break;
        };
        let end = seek(file, SeekFrom::Hole(start))?;
        parts.push((start, end - start));
        at = end;
    }
    Ok(parts)
}

fn listed(text: &str) -> Vec<(u64, u64)> {
    text.lines()
        .filter_map(|line| {
            let (offset, len) = line.split_once(' ')?;
            Some((offset.parse().ok()?, len.parse().ok()?))
        })
        .collect()
}

/// The parts cut at multiples of the segment.
fn split(parts: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut segments = Vec::new();
    for &(start, len) in parts {
        let (mut at, end) = (start, start + len);
        while at < end {
            let stop = end.min((at / SEGMENT + 1) * SEGMENT);
            segments.push((at, stop - at));
            at = stop;
        }
    }
    segments
}

fn parse_args() -> Args {
    let usage = "usage: bare_pipeline OUT IDS IMAGE [--ranges FILE] [--threads N] [--level N]";
    let mut plain = Vec::new();
    // The level is the product's default.
    let (mut ranges, mut threads, mut level) = (None, 2, 2);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().expect(usage);
        match word.as_str() {
            "--ranges" => ranges = Some(PathBuf::from(value())),
            "--threads" => threads = value().parse().expect(usage),
            "--level" => level = value().parse().expect(usage),
            _ => plain.push(PathBuf::from(word)),
        }
    }
    let [out, ids, image] = plain.try_into().expect(usage);
    Args {
        out,
        ids,
        image,
        ranges,
        threads,
        level,
    }
}
