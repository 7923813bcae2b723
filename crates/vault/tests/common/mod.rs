//! A vault in memory with a clock and randomness that are the same in every run, and disks that
//! are plain vectors.
#![allow(dead_code, unreachable_pub)] // Each test file uses a part of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use hyperkeep_vault::*;
use store::Store;

/// Moves only when someone sleeps.
#[derive(Default)]
pub struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + self.monotonic()
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
    fn sleep(&self, time: Duration) {
        self.0.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }
}

pub fn env(seed: u64) -> Env {
    let mut n = 0u64;
    let random = move |out: &mut [u8]| {
        for part in out.chunks_mut(32) {
            n += 1;
            let hash = blake3::hash(&[seed.to_le_bytes(), n.to_le_bytes()].concat());
            part.copy_from_slice(&hash.as_bytes()[..part.len()]);
        }
    };
    Env::new(Arc::new(TestClock::default()), random)
}

pub const SEGMENT: usize = 256 << 10;

/// A small segment, so that small disks have many.
pub fn options() -> InitOptions<'static> {
    InitOptions {
        passphrase: Some(b"open sesame"),
        cost: Argon2Cost::LEAST,
        segment: SEGMENT as u32,
        cutter: CutterSizes {
            min: 16 << 10,
            average: 32 << 10,
            max: 64 << 10,
            ..CutterSizes::default()
        },
        writer: "test",
    }
}

pub fn init(store: Arc<dyn Store>) -> Vault {
    Vault::init(store, &options(), env(1)).unwrap().0
}

pub fn open(store: Arc<dyn Store>, seed: u64) -> Vault {
    Vault::open(store, Unlock::Passphrase(b"open sesame"), env(seed)).unwrap()
}

pub fn layout(len: usize) -> Layout {
    Layout {
        kind: MapKind::Disk,
        len: len as u64,
        logical_sector: 512,
        physical_sector: 4096,
    }
}

/// Bytes that do not compress, the same for a seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut out);
    out
}

/// Writes all of a disk with `threads` threads.
pub fn write_full(session: &Session, data: &[u8], threads: u64) -> Result<NodeId> {
    let disk = session.disk(layout(data.len()), None)?;
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    let mut buf = SegmentBuf::new();
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= disk.segments() {
                            return Ok(());
                        }
                        let start = index as usize * SEGMENT;
                        buf.clear();
                        buf.push_data(&data[start..start + disk.segment_len(index) as usize]);
                        disk.put_segment(index, &buf)?;
                    }
                })
            })
            .collect();
        workers.into_iter().try_for_each(|w| w.join().unwrap())
    })?;
    disk.finish()
}

/// Writes the changed ranges of a disk, over a base.
pub fn write_changed(
    session: &Session,
    data: &[u8],
    base: NodeId,
    changed: &[std::ops::Range<usize>],
) -> Result<(NodeId, usize)> {
    let disk = session.disk(layout(data.len()), Some(base))?;
    let mut buf = SegmentBuf::new();
    let mut read = 0;
    for index in 0..disk.segments() {
        let start = index as usize * SEGMENT;
        let end = start + disk.segment_len(index) as usize;
        let inside: Vec<_> = changed
            .iter()
            .map(|r| r.start.clamp(start, end)..r.end.clamp(start, end))
            .filter(|r| !r.is_empty())
            .map(|r| (r.start - start) as u32..(r.end - start) as u32)
            .collect();
        if inside.is_empty() {
            continue;
        }
        disk.put_changed(index, &inside, &mut buf, |range, buf| {
            read += range.len();
            buf.push_data(&data[start + range.start as usize..start + range.end as usize]);
            Ok(())
        })?;
    }
    Ok((disk.finish()?, read))
}

pub fn read_full(vault: &Vault, root: &NodeId) -> Result<Vec<u8>> {
    let disk = vault.disk(root)?;
    let mut out = Vec::new();
    let mut buf = SegmentBuf::new();
    for index in 0..disk.segments() {
        disk.read_segment(index, &mut buf)?;
        out.extend_from_slice(buf.bytes());
    }
    Ok(out)
}

/// A manifest of one VM whose disks have these maps.
pub fn manifest(
    vault: &Vault,
    vm: &str,
    point: u8,
    roots: &[NodeId],
) -> (point::Outline, point::Details) {
    let lens: Vec<_> = roots.iter().map(|r| vault.disk(r).unwrap().len()).collect();
    let layers: Vec<_> = roots
        .iter()
        .zip(lens)
        .enumerate()
        .map(|(i, (root, len))| {
            serde_json::json!({"id": i, "identity": null, "root": root, "len": len})
        })
        .collect();
    let details: Vec<_> = (0..roots.len())
        .map(|i| serde_json::json!({"id": i, "path": format!("disk{i}.vhdx"), "info": {}}))
        .collect();
    let outline = serde_json::json!({
        "required": [], "point": PointId([point; 16]), "vm": vault.vm_key(vm), "taken": 1,
        "written": 0, "level": "full", "mode": "test", "consistency": "offline",
        "partial": false, "layers": layers, "files": [],
    });
    let details = serde_json::json!({
        "required": [], "vm": {"id": vm, "name": vm}, "configuration": {}, "disks": [],
        "layers": details, "files": [],
    });
    (
        serde_json::from_value(outline).unwrap(),
        serde_json::from_value(details).unwrap(),
    )
}

/// Publishes a point of VM `vm` with these disks.
pub fn commit(session: &Session, vm: &str, point: u8, roots: &[NodeId]) -> Result<PointRef> {
    session.checkpoint()?;
    let (outline, details) = manifest(session.vault(), vm, point, roots);
    session.commit(outline, &details)
}

pub fn small_packs() -> SessionOptions {
    SessionOptions {
        compression: Compression::Fast,
        pack_size: 200 << 10,
    }
}

pub fn check(vault: &Vault, read_data: bool) -> Report {
    let options = CheckOptions {
        read_data,
        threads: 2,
    };
    vault.check(options, &|_, _| {}).unwrap()
}
