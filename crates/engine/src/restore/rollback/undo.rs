//! What a disk file held before it was changed in place, kept in a file beside it.
//!
//! ```text
//! batch ─► batch ─► …      each: magic, id, kind, number, length, where the last one is, hash, body
//! begun    kept            kept: the length that the image had, and bytes with where they were
//!          done            the image is at the restore point: how it was left
//!          undoing         from here on it can only be put back
//! ```
//!
//! - What an image held is durable here before it is overwritten there: [`Kept`](super::kept::Kept).
//! - Batches are put back from the last to the first, so that of what was kept twice the oldest stays.
//!   Doing so again, from the beginning, comes to the same.
//! - The last batch may be torn: then nothing of it was overwritten, and it counts for nothing. Where
//!   one that is whole follows what is not, the file is damaged and nothing is put back from it.
//! - A batch begins at a multiple of 4 KiB and names the file's own random id, so that the contents of a
//!   disk are never taken for one.

use std::fs::File;
use std::io;
use std::time::SystemTime;

use disk::{ReadAt, WriteAt};
use serde::{Deserialize, Serialize};

const MAGIC: [u8; 8] = *b"HKUNDO\x00\x01";
const HEAD: usize = 96;
/// What batches begin at multiples of.
const PAGE: u64 = 4096;
/// A longer body is not read; none is written that is nearly as long.
const MOST: u64 = 128 << 20;

/// What is rolled back to what; the first batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// The image.
    pub(crate) file: FileId,
    /// The vault's id.
    pub(crate) vault: String,
    /// The restore point's id.
    pub(crate) point: String,
    /// The path of the disk's topmost file in the point.
    pub(crate) disk: String,
}

impl Begun {
    /// Whether the same is to become of the image, whichever file that is.
    pub(crate) fn wants(&self, other: &Self) -> bool {
        let ends = |begun: &Self| (begun.vault.clone(), begun.point.clone(), begun.disk.clone());
        ends(self) == ends(other)
    }
}

/// Tells a file from another one that has its name by now, also after the system was started anew: a
/// device's number may be another one then. Windows gives a file that takes a name within seconds the
/// moment at which the one before it was made, and never the same number: there the number is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileId {
    /// When it was made, in nanoseconds since 1970, where the file system keeps that.
    pub(crate) created: Option<u64>,
    /// Its number in its file system, where the system tells it.
    pub(crate) number: Option<u64>,
}

impl FileId {
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let number = hostfile::number(file)?;
        let enough = cfg!(windows) && number.is_some();
        let created = file.metadata()?.created().ok().filter(|_| !enough);
        let since = created.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        Ok(Self {
            created: since.and_then(|since| u64::try_from(since.as_nanos()).ok()),
            number,
        })
    }

    /// Whether both are of one file. A number may be given again, and two files may be made in one moment:
    /// all that is known must agree. Where nothing is known it is not the same.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let agree = |ours: Option<u64>, theirs: Option<u64>| Some(ours? == theirs?);
        let created = agree(self.created, other.created);
        let number = agree(self.number, other.number);
        let known = created.is_some() || number.is_some();
        known && created.unwrap_or(true) && number.unwrap_or(true)
    }
}

/// How an image was when somebody looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) len: u64,
    /// Nanoseconds since 1970 of its last change.
    pub(crate) modified: u64,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The image may be anything between what it was and the restore point.
    Under,
    /// The image was left so at the restore point.
    Done(Stamp),
    /// It is being put back.
    Undoing,
}

/// Why there is nothing to be had of such a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UndoError {
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It appears with its beginning, and is emptied when it is ended.
    #[error("it is empty")]
    Empty,
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Begun = 1,
    Kept = 2,
    Done = 3,
    Undoing = 4,
}

/// See the [module](self).
pub(crate) struct Undo<F> {
    file: F,
    id: [u8; 16],
    pub(crate) begun: Begun,
    state: State,
    /// Where the next batch goes, and its number.
    end: u64,
    next: u64,
    /// Where the last one is.
    last: u64,
}

struct Batch {
    kind: Kind,
    number: u64,
    before: u64,
    body: Vec<u8>,
}

impl<F: WriteAt> Undo<F> {
    /// Begins an empty file. It is durable when the caller has made it so.
    pub(crate) fn begin(file: F, id: [u8; 16], begun: &Begun) -> io::Result<Self> {
        let mut undo = Self {
            file,
            id,
            begun: begun.clone(),
            state: State::Under,
            end: 0,
            next: 0,
            last: 0,
        };
        undo.append(Kind::Begun, &serde_json::to_vec(begun)?)?;
        Ok(undo)
    }

    /// Opens a file that was begun, and cuts off a torn end.
    pub(crate) fn open(file: F) -> Result<Self, UndoError> {
        let undo = Self::look(file)?;
        if undo.file.len()? > undo.end {
            undo.file.set_len(undo.end)?;
            undo.file.sync()?;
        }
        Ok(undo)
    }

    /// As [`open`](Self::open), and changes nothing.
    pub(crate) fn look(file: F) -> Result<Self, UndoError> {
        let mut head = [0; HEAD];
        let len = file.len()?;
        if len == 0 {
            return Err(UndoError::Empty);
        }
        if len < HEAD as u64 {
            return Err(UndoError::Damaged("it is shorter than its beginning"));
        }
        file.read_exact_at(&mut head, 0)?;
        let id: [u8; 16] = array(&head, 8);
        let first = read(&file, &id, 0, len)?
            .filter(|batch| batch.kind == Kind::Begun && batch.number == 0)
            .ok_or(UndoError::Damaged("its beginning is none"))?;
        let begun = serde_json::from_slice(&first.body)
            .map_err(|_| UndoError::Damaged("its beginning is not understood"))?;
        let mut undo = Self {
            file,
            id,
            begun,
            state: State::Under,
            end: following(0, &first),
            next: 1,
            last: 0,
        };
        while let Some(batch) = read(&undo.file, &id, undo.end, len)? {
            if batch.number != undo.next || batch.before != undo.last {
                return Err(UndoError::Damaged("a part of it is in the wrong place"));
            }
            undo.state = match batch.kind {
                Kind::Begun => return Err(UndoError::Damaged("it begins twice")),
                Kind::Kept => State::Under,
                Kind::Undoing => State::Undoing,
                Kind::Done => serde_json::from_slice(&batch.body)
                    .map(State::Done)
                    .map_err(|_| UndoError::Damaged("its end is not understood"))?,
            };
            undo.last = undo.end;
            undo.end = following(undo.end, &batch);
            undo.next += 1;
        }
        let mut behind = undo.end.saturating_add(PAGE);
        while behind < len {
            if read(&undo.file, &id, behind, len)?.is_some() {
                return Err(UndoError::Damaged("a part in the middle cannot be read"));
            }
            behind += PAGE;
        }
        Ok(undo)
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Keeps what an image of this length holds, durably. Each `held` is where it is, and what.
    pub(crate) fn keep(&mut self, image: u64, held: &[(u64, Vec<u8>)]) -> io::Result<()> {
        let mut body = image.to_le_bytes().to_vec();
        for (at, bytes) in held {
            body.extend_from_slice(&at.to_le_bytes());
            body.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            body.extend_from_slice(bytes);
        }
        self.append(Kind::Kept, &body)?;
        self.state = State::Under;
        self.file.sync()
    }

    /// Notes durably that the image is at the restore point.
    pub(crate) fn note_done(&mut self, stamp: Stamp) -> io::Result<()> {
        self.append(Kind::Done, &serde_json::to_vec(&stamp)?)?;
        self.state = State::Done(stamp);
        self.file.sync()
    }

    /// Notes durably that the image is about to be put back.
    pub(crate) fn note_undoing(&mut self) -> io::Result<()> {
        self.append(Kind::Undoing, &[])?;
        self.state = State::Undoing;
        self.file.sync()
    }

    fn append(&mut self, kind: Kind, body: &[u8]) -> io::Result<()> {
        if body.len() as u64 > MOST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&MAGIC);
        head[8..24].copy_from_slice(&self.id);
        head[24..32].copy_from_slice(&(kind as u64).to_le_bytes());
        head[32..40].copy_from_slice(&self.next.to_le_bytes());
        head[40..48].copy_from_slice(&(body.len() as u64).to_le_bytes());
        head[48..56].copy_from_slice(&self.last.to_le_bytes());
        let sum = sum(&head[..64], body);
        head[64..].copy_from_slice(&sum);
        let mut bytes = head.to_vec();
        bytes.extend_from_slice(body);
        bytes.resize(bytes.len().next_multiple_of(PAGE as usize), 0);
        self.file.write_all_at(&bytes, self.end)?;
        self.last = self.end;
        self.end += bytes.len() as u64;
        self.next += 1;
        Ok(())
    }

    /// Puts back into an image what it held, durably. Bytes that were written.
    pub(crate) fn put_back(&self, image: &impl WriteAt) -> Result<u64, UndoError> {
        let (len, mut at, mut written) = (self.file.len()?, self.last, 0);
        // Each batch is before the last one: this ends at the first, which is the only one at 0.
        while at > 0 {
            let batch = read(&self.file, &self.id, at, len)?
                .filter(|batch| batch.before < at)
                .ok_or(UndoError::Damaged("a part that was there is not"))?;
            if batch.kind == Kind::Kept {
                written += put(&batch.body, image)?;
            }
            at = batch.before;
        }
        image.sync()?;
        Ok(written)
    }
}

/// Puts one batch back.
fn put(body: &[u8], image: &impl WriteAt) -> Result<u64, UndoError> {
    let torn = || UndoError::Damaged("a part of it contradicts itself");
    let mut rest = body;
    let len = number(&mut rest).ok_or_else(torn)?;
    let mut written = 0;
    while !rest.is_empty() {
        let at = number(&mut rest).ok_or_else(torn)?;
        let count = number(&mut rest).and_then(|count| usize::try_from(count).ok());
        let (bytes, behind) = count
            .and_then(|count| rest.split_at_checked(count))
            .ok_or_else(torn)?;
        let end = at.checked_add(bytes.len() as u64).ok_or_else(torn)?;
        if end > len {
            return Err(torn());
        }
        image.write_all_at(bytes, at)?;
        written += bytes.len() as u64;
        rest = behind;
    }
    if image.len()? != len {
        image.set_len(len)?;
    }
    Ok(written)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let (number, behind) = rest.split_first_chunk::<8>()?;
    *rest = behind;
    Some(u64::from_le_bytes(*number))
}

/// The batch at `at` of a file of `len` bytes, if a whole one is there.
fn read(file: &impl ReadAt, id: &[u8; 16], at: u64, len: u64) -> io::Result<Option<Batch>> {
    let Some(room) = len.checked_sub(at).and_then(|r| r.checked_sub(HEAD as u64)) else {
        return Ok(None);
    };
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, at)?;
    let field = |at: usize| u64::from_le_bytes(array(&head, at));
    let kind = match field(24) {
        1 => Kind::Begun,
        2 => Kind::Kept,
        3 => Kind::Done,
        4 => Kind::Undoing,
        _ => return Ok(None),
    };
    let body_len = field(40);
    if head[..8] != MAGIC || head[8..24] != *id || body_len > MOST.min(room) {
        return Ok(None);
    }
    // At most MOST.
    let mut body = vec![0; body_len as usize];
    file.read_exact_at(&mut body, at + HEAD as u64)?;
    let good = sum(&head[..64], &body) == head[64..];
    Ok(good.then(|| Batch {
        kind,
        number: field(32),
        before: field(48),
        body,
    }))
}

/// Where the batch behind this one begins.
fn following(at: u64, batch: &Batch) -> u64 {
    let len = HEAD as u64 + batch.body.len() as u64;
    at.saturating_add(len.next_multiple_of(PAGE))
}

fn sum(head: &[u8], body: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(head);
    hasher.update(body);
    *hasher.finalize().as_bytes()
}

/// Bytes of a header at a fixed place within it.
fn array<const N: usize>(head: &[u8; HEAD], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&head[at..at + N]);
    out
}
