//! Power cuts between an image and its undo file: at every moment the image can be put back.

use std::fs;
use std::io;
use std::sync::{Arc, Mutex};

use disk::{MemFile, ReadAt, WriteAt};
use proptest::prelude::*;
use testkit::crash::Random;

use super::image::Image;
use super::kept::Kept;
use super::undo::{Begun, FileId, Stamp, State, Undo, UndoError};
use super::{RollbackError, confirm, undo, undo_path};

/// What was done to which of two files, in the order of both.
#[derive(Clone)]
enum Event {
    Write(usize, u64, Vec<u8>),
    SetLen(usize, u64),
    Sync(usize),
}

type Log = Arc<Mutex<Vec<Event>>>;

/// One of two files whose writes are recorded.
struct Recorded {
    which: usize,
    now: Arc<MemFile>,
    log: Log,
}

impl ReadAt for Recorded {
    fn len(&self) -> io::Result<u64> {
        ReadAt::len(&*self.now)
    }
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.now.read_exact_at(buf, offset)
    }
}

impl Recorded {
    fn note(&self, event: Event) {
        self.log.lock().unwrap().push(event);
    }
}

impl WriteAt for Recorded {
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.note(Event::Write(self.which, offset, buf.to_vec()));
        self.now.write_all_at(buf, offset)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.note(Event::SetLen(self.which, len));
        self.now.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        self.note(Event::Sync(self.which));
        Ok(())
    }
}

fn begun() -> Begun {
    Begun {
        file: FileId {
            created: Some(1),
            number: None,
        },
        vault: "vault".to_owned(),
        point: "point".to_owned(),
        disk: "disk".to_owned(),
    }
}

fn apply(file: &MemFile, event: &Event, random: &mut Random, whole: bool) {
    match event {
        Event::Write(_, at, bytes) if whole => file.write_all_at(bytes, *at).unwrap(),
        // Sectors survive one by one.
        Event::Write(_, at, bytes) => {
            for (n, part) in bytes.chunks(512).enumerate() {
                if random.below(3) > 0 {
                    file.write_all_at(part, at + n as u64 * 512).unwrap();
                }
            }
        }
        Event::SetLen(_, len) => file.set_len(*len).unwrap(),
        Event::Sync(_) => {}
    }
}

/// What the power leaves of both files if it fails after so many events.
fn left(events: &[Event], first: [&[u8]; 2], random: &mut Random) -> [MemFile; 2] {
    [0, 1].map(|which| {
        let file = MemFile::new(first[which].to_vec());
        let mine: Vec<&Event> = events
            .iter()
            .filter(|event| match event {
                Event::Write(of, ..) | Event::SetLen(of, _) | Event::Sync(of) => *of == which,
            })
            .collect();
        let synced = mine.iter().rposition(|e| matches!(e, Event::Sync(_)));
        for (n, event) in mine.iter().enumerate() {
            let durable = synced.is_some_and(|synced| n < synced);
            match (durable, random.below(3)) {
                (true, _) | (false, 1) => apply(&file, event, random, true),
                (false, 2) => apply(&file, event, random, false),
                _ => {}
            }
        }
        file
    })
}

fn op() -> impl Strategy<Value = (u64, usize, u8, u8)> {
    (0u64..40_000, 1usize..9000, any::<u8>(), 0u8..8)
}

proptest! {
    #![proptest_config(testkit::vary::config(24))]

    /// Whatever is written, whenever the power fails: what is kept is a beginning of the truth, and
    /// the image that is put back is the one that there was.
    #[test]
    fn at_every_moment_the_image_can_be_put_back(
        ops in prop::collection::vec(op(), 1..12),
        len in 1usize..30_000,
        seed in any::<u64>(),
    ) {
        let before: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
        let log = Log::default();
        let recorded = |which, bytes: Vec<u8>| Recorded {
            which,
            now: Arc::new(MemFile::new(bytes)),
            log: Arc::clone(&log),
        };
        let image = recorded(0, before.clone());
        let now = Arc::clone(&image.now);
        let undo_file = recorded(1, Vec::new());
        let undo_now = Arc::clone(&undo_file.now);
        let undo = Undo::begin(undo_file, [7; 16], &begun()).unwrap();
        // The file appears with its beginning.
        let first = undo_now.bytes();
        log.lock().unwrap().clear();

        let mut model = before.clone();
        let kept = Kept::new(image, undo);
        for (at, count, byte, what) in ops {
            match what {
                0 => kept.sync().unwrap(),
                1 => {
                    let longer = model.len() + count;
                    kept.set_len(longer as u64).unwrap();
                    model.resize(longer, 0);
                }
                _ => {
                    kept.write_all_at(&vec![byte; count], at).unwrap();
                    let end = at as usize + count;
                    if model.len() < end {
                        model.resize(end, 0);
                    }
                    model[at as usize..end].fill(byte);
                }
            }
            // Whoever writes reads what it wrote.
            prop_assert_eq!(ReadAt::len(&kept).unwrap(), model.len() as u64);
            let mut read = vec![0; model.len()];
            kept.read_exact_at(&mut read, 0).unwrap();
            prop_assert!(read == model);
        }
        kept.sync().unwrap();
        prop_assert!(now.bytes() == model);
        kept.note_done(Stamp { len: 1, modified: 2 }).unwrap();

        let events = log.lock().unwrap().clone();
        let mut random = Random(seed);
        for cut in 0..=events.len() {
            let [image, undo] = left(&events[..cut], [&before, &first], &mut random);
            let undo = Undo::open(undo).unwrap();
            if cut == events.len() {
                prop_assert_eq!(undo.state(), State::Done(Stamp { len: 1, modified: 2 }));
            }
            // Putting back is killed, too, and begun again.
            let log = Log::default();
            let torn = image.bytes();
            let again = Recorded { which: 0, now: Arc::new(image), log: Arc::clone(&log) };
            undo.put_back(&again).unwrap();
            prop_assert!(again.now.bytes() == before, "after {} events", cut);
            let events = log.lock().unwrap().clone();
            let half = random.below(events.len() as u64 + 1) as usize;
            let [image, _] = left(&events[..half], [&torn, &[]], &mut random);
            undo.put_back(&image).unwrap();
            prop_assert!(image.bytes() == before, "after {} events and {}", cut, half);
        }
    }

    /// No byte of the file can be changed without being noticed, but in its last part, which may be torn.
    #[test]
    fn damage_is_noticed(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let file = MemFile::default();
        let mut undo = Undo::begin(&file, [1; 16], &begun()).unwrap();
        for n in 0..3u8 {
            undo.keep(9000, &[(u64::from(n) * 100, vec![n; 5000])]).unwrap();
        }
        let good = file.bytes();
        let mut bytes = good.clone();
        let last = bytes.len() - 2 * 4096;
        let at = at.index(last);
        bytes[at] ^= flip;
        let opened = Undo::open(MemFile::new(bytes));
        match opened {
            Err(UndoError::Damaged(_)) => {}
            Err(error) => prop_assert!(false, "{error}"),
            // What fills a page up says nothing.
            Ok(undo) => {
                let image = MemFile::new(vec![9; 9000]);
                undo.put_back(&image).unwrap();
                let mut wanted = vec![9; 9000];
                for n in [2u8, 1, 0] {
                    wanted[usize::from(n) * 100..][..5000].fill(n);
                }
                prop_assert!(image.bytes() == wanted);
            }
        }
    }
}

#[test]
fn what_is_no_undo_file_is_told() {
    for bytes in [vec![0; 50], vec![0; 10_000]] {
        let opened = Undo::open(MemFile::new(bytes));
        assert!(matches!(opened, Err(UndoError::Damaged(_))));
    }
}

/// What was kept of a disk is never put into another one that took its name.
#[test]
fn another_file_of_its_name_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.raw");
    fs::write(&path, [1; 9000]).unwrap();
    let file = fs::File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(undo_path(&path));
    let begun = Begun {
        file: FileId::of(&fs::File::open(&path).unwrap()).unwrap(),
        ..begun()
    };
    let mut kept = Undo::begin(file.unwrap(), [7; 16], &begun).unwrap();
    kept.keep(9000, &[(0, vec![1; 5000])]).unwrap();
    let other = dir.path().join("other");
    for undoing in [false, true] {
        if undoing {
            kept.note_undoing().unwrap();
        }
        fs::write(&other, [2; 9000]).unwrap();
        let theirs = dir.path().join("theirs");
        fs::rename(&path, &theirs).unwrap();
        fs::rename(&other, &path).unwrap();
        let refused = undo(&path);
        assert!(
            matches!(refused, Err(RollbackError::Replaced)),
            "{refused:?}"
        );
        assert!(fs::read(&path).unwrap() == [2; 9000]);
        fs::rename(&theirs, &path).unwrap();
    }
    fs::write(&path, [3; 9000]).unwrap();
    drop(kept);
    assert_eq!(undo(&path).unwrap(), 5000);
    assert!(fs::read(&path).unwrap()[..5000] == [1; 5000]);
}

/// After a loss of power the undo file of a rollback that was ended may be back: it puts nothing back.
#[test]
fn an_undo_file_that_is_back_keeps_nothing() {
    for undone in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk.raw");
        fs::write(&path, [1; 9000]).unwrap();
        let image = Image::open(&path).unwrap();
        let file = fs::File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(undo_path(&path));
        let begun = Begun {
            file: image.id().unwrap(),
            ..begun()
        };
        let mut kept = Undo::begin(file.unwrap(), [7; 16], &begun).unwrap();
        kept.keep(9000, &[(0, vec![1; 5000])]).unwrap();
        kept.note_done(image.settle().unwrap()).unwrap();
        drop((kept, image));
        // Whatever is still found under another name is what a folder that was not durable has.
        let back = dir.path().join("back");
        fs::hard_link(undo_path(&path), &back).unwrap();
        match undone {
            true => assert_eq!(undo(&path).unwrap(), 5000),
            false => confirm(&path).unwrap(),
        }
        assert!(!undo_path(&path).exists());
        fs::rename(&back, undo_path(&path)).unwrap();
        fs::write(&path, [2; 9000]).unwrap();
        assert!(matches!(undo(&path), Err(RollbackError::Ended)));
        assert!(matches!(confirm(&path), Err(RollbackError::Ended)));
        assert!(fs::read(&path).unwrap() == [2; 9000]);
    }
}
