//! How fast a vault takes and gives data, next to the bare work that this cannot do without.
//!
//! `cargo run --release -p hyperkeep-vault --example throughput -- [FILE [THREADS]]`
//!
//! Without a file, half a gibibyte is made up: noise, text and zeros. Each step prints its wall
//! clock and CPU seconds (Linux) and its speed in non-zero bytes.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hyperkeep_vault::cutter::{Cutter, Piece};
use hyperkeep_vault::*;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use store::{LocalStore, Store};
use vault_format::payload::Encoder;

type Any<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
const SEGMENT: usize = 4 << 20;

fn main() -> Any<()> {
    let mut args = std::env::args().skip(1);
    let data = match args.next() {
        Some(path) => std::fs::read(path)?,
        None => made_up(512 << 20),
    };
    let threads: usize = args.next().map_or(Ok(2), |n| n.parse())?;
    let cutter = Cutter::new(1, 32 << 10, 64 << 10, 256 << 10).ok_or("sizes")?;
    let dir = tempfile::tempdir()?;
    let used: usize = cutter
        .cut(&data, 0)
        .map(|p| if let Piece::Chunk(n) = p { n } else { 0 })
        .sum();
    println!(
        "{} MiB, of which {} MiB are not zero; {threads} threads",
        data.len() >> 20,
        used >> 20
    );

    step("cut and identify", used, || {
        let all = AtomicU64::new(0);
        by_segments(&data, threads, |_, segment, _| {
            let mut at = 0;
            for piece in cutter.cut(segment, 0) {
                if let Piece::Chunk(len) = piece {
                    let id = blake3::keyed_hash(&[7; 32], &segment[at..at + len]);
                    all.fetch_add(u64::from(id.as_bytes()[0]), Ordering::Relaxed);
                }
                at += piece.len();
            }
            Ok(())
        })
    })?;
    let bare = step("bare pipeline", used, || {
        bare(&data, threads, &cutter, dir.path())
    })?;

    let store: Arc<dyn Store> = Arc::new(LocalStore::create(dir.path().join("vault"))?);
    let env = Env::system().with_cache(dir.path().join("cache"));
    let options = InitOptions {
        passphrase: Some(b"x"),
        cost: Argon2Cost::LEAST,
        ..InitOptions::default()
    };
    let (vault, _) = Vault::init(store, &options, env)?;
    let session = vault.session(Compression::Default)?;
    let layout = Layout {
        kind: MapKind::Disk,
        len: data.len() as u64,
        logical_sector: 512,
        physical_sector: 4096,
    };
    let mut root = None;
    let full = step("full into the vault", used, || {
        let disk = session.disk(layout, None)?;
        by_segments(&data, threads, |index, segment, buf| {
            buf.clear();
            buf.push_data(segment);
            Ok(disk.put_segment(index, buf)?)
        })?;
        root = Some(disk.finish()?);
        Ok(session.checkpoint()?)
    })?;
    println!(
        "  {:.2} times the CPU of the bare pipeline; {:?}",
        full / bare,
        session.progress()
    );
    let root = root.ok_or("no root")?;
    step("the same again, all known", used, || {
        let disk = session.disk(layout, None)?;
        by_segments(&data, threads, |index, segment, buf| {
            buf.clear();
            buf.push_data(segment);
            Ok(disk.put_segment(index, buf)?)
        })?;
        Ok(session.checkpoint()?)
    })?;
    incremental(&data, &session, layout, root)?;
    let disk = vault.disk(&root)?;
    step("read all of it", used, || {
        by_segments(&data, threads, |index, segment, buf| {
            disk.read_segment(index, buf)?;
            if buf.bytes() != segment {
                return Err("other bytes came back".into());
            }
            Ok(())
        })
    })?;
    let reads = 2000u64;
    let start = Instant::now();
    let mut page = [0; 4096];
    for n in 0..reads {
        let at = (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (data.len() as u64 / 4096 - 1)) * 4096;
        disk.read_at(at, &mut page)?;
    }
    println!(
        "random 4 KiB read: {:.3} ms",
        start.elapsed().as_secs_f64() * 1e3 / reads as f64
    );
    Ok(())
}

/// Scattered pages change, and are told in ranges of 64 KiB, as a hypervisor does.
fn incremental(data: &[u8], session: &Session, layout: Layout, root: NodeId) -> Any<()> {
    let mut new = data.to_vec();
    let mut changed = vec![Vec::new(); data.len().div_ceil(SEGMENT)];
    let (mut ranges, mut x) = (0, 1u64);
    for window in 0..data.len() / (64 << 10) {
        x = x
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        if (x >> 33) % 50 != 0 {
            continue;
        }
        let start = window * (64 << 10);
        let page = start + ((x >> 50) as usize % 16) * 4096;
        new[page..page + 4096]
            .iter_mut()
            .step_by(3)
            .for_each(|b| *b = b.wrapping_add(1));
        let within = (start % SEGMENT) as u32;
        changed[start / SEGMENT].push(within..within + (64 << 10));
        ranges += 64 << 10;
    }
    let before = session.progress();
    let mut read = 0;
    step("incremental of scattered changes", ranges, || {
        let disk = session.disk(layout, Some(root))?;
        let mut buf = SegmentBuf::new();
        for (index, changed) in changed.iter().enumerate().filter(|(_, c)| !c.is_empty()) {
            disk.put_changed(index as u64, changed, &mut buf, |range, buf| {
                read += range.len();
                let start = index * SEGMENT;
                buf.push_data(&new[start + range.start as usize..start + range.end as usize]);
                Ok(())
            })?;
        }
        disk.finish()?;
        Ok(session.checkpoint()?)
    })?;
    let now = session.progress();
    println!(
        "  ranges {} MiB, read {:.2} times, new chunks {:.2} times, stored {} KiB with maps and index",
        ranges >> 20,
        read as f64 / ranges as f64,
        (now.new_data - before.new_data) as f64 / ranges as f64,
        (now.stored.bytes - before.stored.bytes) >> 10
    );
    Ok(())
}

/// What every backup of this kind must do: cut, identify, look up, compress, seal, write.
fn bare(data: &[u8], threads: usize, cutter: &Cutter, dir: &std::path::Path) -> Any<()> {
    let seen = Mutex::new(HashSet::new());
    let file = Mutex::new(File::create(dir.join("bare"))?);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).map_err(|_| "key")?);
    let encoders = Mutex::new(Vec::new());
    by_segments(data, threads, |index, segment, _| {
        let taken = encoders.lock().map_err(|_| "lock")?.pop();
        let mut encoder = taken.unwrap_or_else(|| Encoder::new(3));
        let mut at = 0;
        for piece in cutter.cut(segment, 0) {
            let plain = &segment[at..at + piece.len()];
            at += piece.len();
            let Piece::Chunk(_) = piece else { continue };
            let id = *blake3::keyed_hash(&[7; 32], plain).as_bytes();
            if !seen.lock().map_err(|_| "lock")?.insert(id) {
                continue;
            }
            let payload = encoder.encode(plain);
            // Only its size matters here: seal as many bytes.
            let mut sealed = plain[..(payload.stored_len() - 16).min(plain.len())].to_vec();
            let mut nonce = [0; 12];
            nonce[..8].copy_from_slice(&(index << 32 | at as u64).to_le_bytes());
            key.seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::empty(),
                &mut sealed,
            )
            .map_err(|_| "seal")?;
            file.lock().map_err(|_| "lock")?.write_all(&sealed)?;
        }
        encoders.lock().map_err(|_| "lock")?.push(encoder);
        Ok(())
    })?;
    Ok(file.lock().map_err(|_| "lock")?.sync_all()?)
}

fn by_segments(
    data: &[u8],
    threads: usize,
    work: impl Fn(u64, &[u8], &mut SegmentBuf) -> Any<()> + Sync,
) -> Any<()> {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let worker = || -> Any<()> {
            let mut buf = SegmentBuf::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let start = index as usize * SEGMENT;
                if start >= data.len() {
                    return Ok(());
                }
                work(
                    index,
                    &data[start..(start + SEGMENT).min(data.len())],
                    &mut buf,
                )?;
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .try_for_each(|w| w.join().map_err(|_| "a worker panicked")?)
    })
}

fn step(name: &str, bytes: usize, work: impl FnOnce() -> Any<()>) -> Any<f64> {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    work()?;
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let speed = bytes as f64 / 1e6 / wall;
    println!(
        "{name:34} {wall:7.2} s wall {cpu:7.2} s CPU {speed:8.0} MB/s {:8.0} MB/CPU s",
        bytes as f64 / 1e6 / cpu
    );
    Ok(cpu)
}

/// User and system time of this process; 0 where the system does not tell it in this way.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace();
    let ticks: f64 = fields
        .skip(11)
        .take(2)
        .filter_map(|t| t.parse::<f64>().ok())
        .sum();
    ticks / 100.0
}

fn made_up(len: usize) -> Vec<u8> {
    let mut data = Vec::with_capacity(len);
    let mut x = 1u64;
    while data.len() < len {
        x = x
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let run = 64 << 10;
        match x >> 61 {
            0 => data.resize(data.len() + run, 0),
            1 => {
                let end = data.len() + run;
                while data.len() < end {
                    x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    data.extend_from_slice(&(x >> 32).to_le_bytes()[..4]);
                }
            }
            _ => {
                let end = data.len() + run;
                while data.len() < end {
                    x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let word = [
                        "vault ", "chunk ", "of ", "the ", "disk ", "pack\n", "seal ", "map ",
                    ];
                    data.extend_from_slice(word[(x >> 61) as usize].as_bytes());
                    data.extend_from_slice(&(x >> 56).to_le_bytes()[..1]);
                }
                data.truncate(end);
            }
        }
    }
    data.truncate(len);
    data
}
