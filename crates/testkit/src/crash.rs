//! Crashes at every moment: a file that remembers its writes, and the files that a power cut
//! could have left behind.
//!
//! [`CrashFile`] is a file in memory that records what is done to it. [`CrashFile::crashes`] then
//! goes through the record and, at every point, builds what a disk may hold if the power fails
//! there, under the contract of [`WriteAt`]: everything before the last sync is there; of the
//! writes after it any may be there or not, or only some of their sectors, in any order; a change
//! of length that was not synced may be lost, too.
//!
//! A crash is an ordinary file. Tests open it like any other and compare with what was promised;
//! [`CrashFile::promise`] puts such promises into the record.

use std::io;
use std::sync::{Arc, Mutex};

use disk::write::Rehearsal;
use disk::{DiskWrite, MemFile, ReadAt, WriteAt};

use crate::ops::{self, Op};
use crate::vary;

/// Writes a disk of 3 MiB and cuts the power at every moment: what `open` reads then must be the
/// whole disk, or be refused, and never refused once the writer has finished. `samples` are those of
/// an ordinary run (see [`vary`]).
///
/// # Panics
/// When it is not, or too few of both kinds were met to tell.
pub fn assert_whole_or_refused<W: DiskWrite>(
    create: impl FnOnce(CrashFile, u64) -> W,
    samples: u32,
    open: impl Fn(&[u8]) -> disk::Result<Vec<u8>>,
) {
    let len = 3 << 20;
    let file = CrashFile::default();
    let mut writer = Box::new(create(file.clone(), len));
    let ops = [(0, 9), (4000, 300), (2000, 130), (3, 1), (6143, 1)].map(|(at, sectors)| Op {
        at,
        sectors,
        byte: Some(at as u8 | 1),
    });
    let mut model = vec![0; len as usize];
    ops::apply(&ops, writer.as_mut(), &mut model);
    writer.finish().expect("in memory");
    file.promise(1);

    let (mut refused, mut complete) = (0, 0);
    let samples = vary::cases(samples) as usize;
    file.crashes(vary::seed(42), samples, |crash| match open(&crash.bytes) {
        Ok(bytes) => {
            assert!(bytes == model, "{}", crash.story);
            complete += 1;
        }
        Err(_) => {
            assert_eq!(crash.promised, None, "{}", crash.story);
            refused += 1;
        }
    });
    assert!(
        refused > 20 && complete > 2,
        "{refused} refused, {complete} complete"
    );
}

/// Writes a disk of 3 MiB in ascending order with a checkpoint after each change, cuts the power at
/// every moment, and goes on from the last checkpoint that was reached: the file must become the same
/// as without a power cut, to the byte. `samples` as for [`assert_whole_or_refused`].
///
/// # Panics
/// When it does not.
pub fn assert_goes_on<W: DiskWrite>(
    create: impl Fn(Arc<Rehearsal<CrashFile>>, u64) -> W,
    samples: u32,
) {
    let len = 3 << 20;
    let changes = [
        (0, 9, true),
        (20, 30, false),
        (70, 1, true),
        (71, 2010, true),
        (2081, 15, false),
        (3000, 1500, true),
        (6143, 1, true),
    ];
    let ops = changes.map(|(at, sectors, data)| Op {
        at,
        sectors,
        byte: data.then_some(at as u8 | 1),
    });
    let write = |file: &CrashFile, done: usize| {
        let rehearsal = Arc::new(Rehearsal::begin(file.clone()));
        if done == 0 {
            rehearsal.perform();
        }
        let mut writer = Box::new(create(Arc::clone(&rehearsal), len));
        let mut model = vec![0; len as usize];
        for (n, op) in ops.iter().enumerate() {
            if n == done && n > 0 {
                writer.checkpoint().expect("in memory");
                rehearsal.perform();
            }
            op.apply_to(ops::SECTOR, &mut model);
            match n < done {
                // What the bytes are makes no difference.
                true => op.write(ops::SECTOR, writer.as_mut(), &vec![7; len as usize]),
                false => op.write(ops::SECTOR, writer.as_mut(), &model),
            }
            if n >= done {
                writer.checkpoint().expect("in memory");
                file.promise(n as u64 + 1);
            }
        }
        if done == ops.len() {
            writer.checkpoint().expect("in memory");
            rehearsal.perform();
        }
        writer.finish().expect("in memory");
    };
    let file = CrashFile::default();
    write(&file, 0);
    let whole = file.bytes();
    let mut went_on = 0;
    let samples = vary::cases(samples) as usize;
    file.crashes(vary::seed(43), samples, |crash| {
        if let Some(done) = crash.promised {
            let left = CrashFile::new(crash.bytes);
            write(&left, done as usize);
            assert!(left.bytes() == whole, "{}", crash.story);
            went_on += 1;
        }
    });
    assert!(went_on > 20, "{went_on}");
}

/// What was done to a file.
#[derive(Debug, Clone)]
enum Event {
    Write { offset: u64, data: Vec<u8> },
    SetLen(u64),
    Sync,
    Promise(u64),
}

/// A file in memory that records its writes. Clones are the same file.
#[derive(Debug, Clone, Default)]
pub struct CrashFile(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    before: Vec<u8>,
    now: MemFile,
    events: Mutex<Vec<Event>>,
}

/// What a power cut left behind.
#[derive(Debug, Clone)]
pub struct Crash {
    /// The file.
    pub bytes: Vec<u8>,
    /// The last promise that was made before the power failed, if any.
    pub promised: Option<u64>,
    /// When it happened and what was lost, for messages.
    pub story: String,
}

impl CrashFile {
    /// A file that holds `bytes` durably; recording begins now.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Inner {
            now: MemFile::new(bytes.clone()),
            before: bytes,
            events: Mutex::default(),
        }))
    }

    /// What the file holds now, as its writer sees it.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.now.bytes()
    }

    /// Records that whatever `number` stands for was promised to be durable by now.
    pub fn promise(&self, number: u64) {
        self.record(Event::Promise(number));
    }

    fn record(&self, event: Event) {
        self.0
            .events
            .lock()
            .expect("no panic while recording")
            .push(event);
    }

    /// Gives `check` the crashes: for every point of the record the file with all writes so far,
    /// the file with no write since the last sync, and `samples` random ones between. Equal
    /// seeds give equal crashes.
    pub fn crashes(&self, seed: u64, samples: usize, mut check: impl FnMut(Crash)) {
        let events = self
            .0
            .events
            .lock()
            .expect("no panic while recording")
            .clone();
        let mut random = Random(seed);
        let mut durable = self.0.before.clone();
        let mut all = durable.clone();
        let mut pending: Vec<&Event> = Vec::new();
        let mut promised = None;
        let mut report = |bytes: &[u8], promised, story: String| {
            check(Crash {
                bytes: bytes.to_vec(),
                promised,
                story,
            })
        };
        report(&durable, None, "before the first write".into());
        for (n, event) in events.iter().enumerate() {
            match event {
                Event::Promise(number) => {
                    promised = Some(*number);
                    // Only what is durable counts towards a promise.
                    report(&durable, promised, format!("event {n}: promise {number}"));
                    continue;
                }
                Event::Sync => {
                    pending.clear();
                    durable.clone_from(&all);
                    report(&durable, promised, format!("event {n}: after a sync"));
                    continue;
                }
                Event::Write { .. } | Event::SetLen(_) => {
                    apply(&mut all, event, |_| true);
                    pending.push(event);
                }
            }
            report(&all, promised, format!("event {n}: nothing lost"));
            for sample in 0..samples {
                let mut bytes = durable.clone();
                let sector = if random.below(2) == 0 { 512 } else { 4096 };
                let mut lost = Vec::new();
                for (i, event) in pending.iter().enumerate() {
                    match random.below(3) {
                        0 => lost.push(i),
                        1 => apply(&mut bytes, event, |_| true),
                        _ => {
                            // Sectors survive one by one; with odd chances, so that nearly
                            // complete and nearly lost writes both occur.
                            let chance = 1 + random.below(15);
                            apply(&mut bytes, event, |at| {
                                random.stable(at / sector) % 16 < chance
                            });
                            random.number();
                        }
                    }
                }
                let story = format!(
                    "event {n}, sample {sample}: {} pending, sectors of {sector}, lost {lost:?}",
                    pending.len()
                );
                report(&bytes, promised, story);
            }
        }
    }

    /// How many writes, changes of length and syncs were recorded.
    pub fn recorded(&self) -> usize {
        self.0
            .events
            .lock()
            .expect("no panic while recording")
            .len()
    }
}

/// Applies those bytes of an event for whose offset `keep` holds; it is asked once per byte run
/// of at most 512 bytes.
fn apply(bytes: &mut Vec<u8>, event: &Event, keep: impl Fn(u64) -> bool) {
    match event {
        Event::Write { offset, data } => {
            let mut at = *offset as usize;
            let mut rest = &data[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(512 - at % 512));
                if keep(at as u64) {
                    if bytes.len() < at + now.len() {
                        bytes.resize(at + now.len(), 0);
                    }
                    bytes[at..at + now.len()].copy_from_slice(now);
                }
                at += now.len();
                rest = later;
            }
        }
        Event::SetLen(len) if keep(0) => bytes.resize(*len as usize, 0),
        Event::SetLen(_) | Event::Sync | Event::Promise(_) => {}
    }
}

impl ReadAt for CrashFile {
    fn len(&self) -> io::Result<u64> {
        self.0.now.len()
    }

    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.now.read_exact_at(buf, offset)
    }
}

impl WriteAt for CrashFile {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.record(Event::Write {
            offset,
            data: buf.to_vec(),
        });
        self.0.now.write_all_at(buf, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.record(Event::SetLen(len));
        self.0.now.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.record(Event::Sync);
        Ok(())
    }
}

/// SplitMix64: small, seeded, the same everywhere.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `bound`.
    ///
    /// # Panics
    /// If `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// A number that depends on the present state and on `of` only.
    fn stable(&self, of: u64) -> u64 {
        mix(self.0 ^ mix(of))
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn synced_writes_survive_and_others_may_or_may_not() {
        let file = CrashFile::new(vec![0; 1024]);
        file.write_all_at(&[1; 512], 0).unwrap();
        file.sync().unwrap();
        file.promise(1);
        file.write_all_at(&[2; 1024], 512).unwrap();
        file.write_all_at(&[3; 512], 512).unwrap();
        let mut seen = HashSet::new();
        file.crashes(7, 50, |crash| {
            let sector = |n: usize| crash.bytes.get(n * 512).copied();
            if crash.promised == Some(1) {
                assert_eq!(sector(0), Some(1), "{}", crash.story);
            }
            if crash.promised.is_some() {
                seen.insert((sector(1), sector(2)));
            }
        });
        for possible in [
            (Some(0), None),
            (Some(0), Some(2)),
            (Some(2), None),
            (Some(2), Some(2)),
            (Some(3), None),
            (Some(3), Some(2)),
        ] {
            assert!(seen.contains(&possible), "{possible:?} in {seen:?}");
        }
    }

    #[test]
    fn equal_seeds_give_equal_crashes() {
        let file = CrashFile::new(Vec::new());
        file.write_all_at(&[1; 5000], 100).unwrap();
        file.set_len(9000).unwrap();
        let all = |seed| {
            let mut all = Vec::new();
            file.crashes(seed, 5, |crash| all.push(crash.bytes));
            all
        };
        assert_eq!(all(1), all(1));
        assert_ne!(all(1), all(2));
    }
}
