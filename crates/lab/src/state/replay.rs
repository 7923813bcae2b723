//! Guests that write by themselves: images of real file systems, replayed.
//!
//! A disk's guest has a row of images of its whole disk, made beforehand with the tools of a real
//! file system: one, then the same with more files in it, and so on. As time passes it writes what
//! the next image has otherwise, piece by piece, and after the last image goes on to the first.
//!
//! A guest that settles for an application-consistent checkpoint finishes what it is at, so the
//! frozen disk equals one of the images. At any other moment it is between two of them; pieces come
//! in the order of the disk and not in that of the file system, so what a journal would repair then
//! is not simulated.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use disk::ByteRange;
use jiff::Timestamp;
use uuid::Uuid;

use super::files::FileError;
use super::host::Host;
use super::vm::{Medium, Power};

/// Bytes by which images are compared.
const PAGE: usize = 4096;
/// Bytes that are written at once, at most.
const PIECE: u64 = 64 << 10;
/// Pieces do not come faster than this.
const FASTEST: Duration = Duration::from_millis(1);

/// What a guest goes on with.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    pub(super) vm: Uuid,
    drive: usize,
    images: Vec<PathBuf>,
    /// What differs between each image and the one behind it; behind the last is the first.
    steps: Vec<Vec<ByteRange>>,
    every: Duration,
    next: Timestamp,
    /// The image that it comes from, and how many pieces of the next it has written.
    at: (usize, usize),
}

impl Replay {
    /// The next piece, with the image that it is from. Images that are alike are passed over.
    fn piece(&mut self) -> Option<(ByteRange, PathBuf)> {
        for _ in 0..self.steps.len() {
            let (from, done) = self.at;
            if let Some(range) = self.steps.get(from)?.get(done) {
                let to = (from + 1) % self.images.len();
                return Some((*range, self.images.get(to)?.clone()));
            }
            self.at = ((from + 1) % self.steps.len(), 0);
        }
        None
    }

    fn wrote(&mut self) {
        let (from, done) = self.at;
        let last = self
            .steps
            .get(from)
            .is_none_or(|step| done + 1 >= step.len());
        self.at = match last {
            true => ((from + 1) % self.steps.len().max(1), 0),
            false => (from, done + 1),
        };
    }
}

impl Host {
    /// Lets the guest of a VM go on through images of one of its disks, a piece at a time. The
    /// disk has the content of the first image at once.
    pub fn replay(
        &mut self,
        vm: Uuid,
        drive: usize,
        images: Vec<PathBuf>,
        every: Duration,
    ) -> Result<(), FileError> {
        let missing = || FileError::Missing(format!("a disk at drive {drive}"));
        let path = self.disk_of(vm, drive).ok_or_else(missing)?;
        let len = self.files.info(&path)?.geometry.len;
        let first = images.first().ok_or_else(missing)?;
        for range in parts(first, None, len)? {
            let data = read(first, &range)?;
            self.files.write(&path, range.start, &data, &mut self.ids)?;
        }
        let mut steps = Vec::new();
        for (from, image) in images.iter().enumerate() {
            let next = images.get((from + 1) % images.len()).unwrap_or(image);
            steps.push(parts(next, Some(image), len)?);
        }
        let every = every.max(FASTEST);
        self.replays.push(Replay {
            vm,
            drive,
            images,
            steps,
            every,
            next: self.now().checked_add(every).unwrap_or(Timestamp::MAX),
            at: (0, 0),
        });
        Ok(())
    }

    /// The next piece that is due.
    pub(super) fn due_piece(&self, now: Timestamp) -> Option<(Timestamp, usize)> {
        let all = self.replays.iter().enumerate();
        let due = all.map(|(which, replay)| (replay.next, which));
        due.filter(|(at, _)| *at <= now).min()
    }

    /// The guest writes a piece, if its VM runs.
    pub(super) fn write_piece(&mut self, which: usize) {
        let Some(replay) = self.replays.get_mut(which) else {
            return;
        };
        let next = replay.next.checked_add(replay.every);
        let next = next.unwrap_or(Timestamp::MAX);
        let vm = replay.vm;
        let runs = self.vm(vm).is_some_and(|vm| vm.power == Power::Running);
        let begun = self.now();
        // What cannot be written, for want of space or of its image, is tried again.
        if runs {
            let _ = self.write_next(which);
        }
        // Where writing takes longer than the guest waits, it does not catch up: the host would be at
        // work on nothing else.
        let ended = self.now();
        if let Some(replay) = self.replays.get_mut(which) {
            replay.next = match ended > begun {
                true => next.max(ended),
                false => next,
            };
        }
    }

    fn write_next(&mut self, which: usize) -> Result<bool, FileError> {
        let Some(replay) = self.replays.get_mut(which) else {
            return Ok(false);
        };
        let (vm, drive) = (replay.vm, replay.drive);
        let Some((range, image)) = replay.piece() else {
            return Ok(false);
        };
        let missing = || FileError::Missing(format!("a disk at drive {drive}"));
        let path = self.disk_of(vm, drive).ok_or_else(missing)?;
        let data = read(&image, &range)?;
        self.room_to_write(vm, &path, data.len())?;
        self.write_disk(&path, range.start, &data)?;
        if let Some(replay) = self.replays.get_mut(which) {
            replay.wrote();
        }
        Ok(true)
    }

    /// The guest of a VM finishes what it is at: its disks are as whole images.
    pub(super) fn settle_guest(&mut self, vm: Uuid) -> Result<(), FileError> {
        for which in 0..self.replays.len() {
            let midway = |host: &Self| {
                let replay = host.replays.get(which);
                replay.is_some_and(|replay| replay.vm == vm && replay.at.1 > 0)
            };
            while midway(self) && self.write_next(which)? {}
        }
        Ok(())
    }

    fn disk_of(&self, vm: Uuid, drive: usize) -> Option<String> {
        match &self.vm(vm)?.settings.drives.get(drive)?.medium {
            Medium::Disk { path, .. } => Some(path.clone()),
            Medium::PassThrough(_) | Medium::Dvd(_) | Medium::Empty => None,
        }
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> FileError {
    let path = path.display().to_string();
    move |error| FileError::Io {
        path: path.clone(),
        error,
    }
}

fn read(image: &Path, range: &ByteRange) -> Result<Vec<u8>, FileError> {
    let failed = failed(image);
    let mut file = File::open(image).map_err(&failed)?;
    file.seek(SeekFrom::Start(range.start)).map_err(&failed)?;
    let mut data = vec![0; usize::try_from(range.len()).unwrap_or(0)];
    file.read_exact(&mut data).map_err(&failed)?;
    Ok(data)
}

/// Where an image differs from another one, or from zeros, in pieces. Both are as long as the disk.
fn parts(image: &Path, from: Option<&Path>, len: u64) -> Result<Vec<ByteRange>, FileError> {
    let open = |path: &Path| {
        let file = File::open(path).map_err(failed(path))?;
        let own = file.metadata().map_err(failed(path))?.len();
        match own == len && len.is_multiple_of(PAGE as u64) {
            true => Ok(io::BufReader::with_capacity(1 << 20, file)),
            false => Err(failed(path)(io::Error::other(format!(
                "it has {own} bytes and its disk {len}, and whole pages are needed"
            )))),
        }
    };
    let mut new = open(image)?;
    let mut old = from.map(open).transpose()?;
    let mut pieces: Vec<ByteRange> = Vec::new();
    let (mut page, mut before) = ([0; PAGE], [0; PAGE]);
    let mut offset = 0;
    while offset < len {
        new.read_exact(&mut page).map_err(failed(image))?;
        if let (Some(old), Some(from)) = (&mut old, from) {
            old.read_exact(&mut before).map_err(failed(from))?;
        }
        let end = offset + PAGE as u64;
        if page != before {
            match pieces.last_mut() {
                Some(last) if last.end == offset && last.len() < PIECE => last.end = end,
                _ => pieces.push(ByteRange::new(offset, end)),
            }
        }
        offset = end;
    }
    Ok(pieces)
}
