//! Fast commits: what the guest noted after the last whole transaction, as changes to files and names and
//! not as blocks.
//!
//! They are a list of records, from a head to a tail that has a checksum of all between them; what has no
//! tail was never promised. They are kept as they are and laid over what is read: fields of inodes, ranges
//! of files, names of folders. All of it is small, as the area for it is.

use std::collections::{BTreeMap, BTreeSet};

use super::log::Log;
use crate::error::{Error, Result};
use crate::ext::bytes::{le16, le32};
use crate::ext::inode::{BLOCK, Inode, OLD_SIZE, flag};
use crate::ext::map::{Leaf, Run};
use crate::ext::sum::crc32c;
use crate::ext::superblock::Super;

/// Bytes that are read of fast commits.
const MOST_BYTES: u64 = 64 << 20;

/// All of them, as the last of them left things.
#[derive(Default)]
pub(in crate::ext) struct FastCommits {
    inodes: BTreeMap<u32, Newer>,
    ranges: BTreeMap<u32, Vec<Change>>,
    names: BTreeMap<u32, Names>,
    made: BTreeSet<u32>,
    /// How many of them there are.
    pub(in crate::ext) count: u32,
}

/// The newest fields of an inode.
pub(in crate::ext) struct Newer(Vec<u8>);

/// A range of a file that lies elsewhere, or is no longer there.
struct Change {
    start: u64,
    len: u64,
    place: Option<u64>,
}

/// Names that came to a folder or left it.
#[derive(Default)]
pub(in crate::ext) struct Names(BTreeMap<Vec<u8>, Name>);

enum Name {
    Added(u32),
    Removed(u32),
}

impl Names {
    /// Whether what is stored in the folder does not hold any more.
    pub(in crate::ext) fn hides(&self, name: &[u8], inode: u32) -> bool {
        match self.0.get(name) {
            Some(Name::Added(_)) => true,
            Some(Name::Removed(removed)) => *removed == inode,
            None => false,
        }
    }

    /// What came to it.
    pub(in crate::ext) fn added(&self) -> impl Iterator<Item = (&[u8], u32)> {
        self.0.iter().filter_map(|(name, change)| match change {
            Name::Added(inode) => Some((name.as_slice(), *inode)),
            Name::Removed(_) => None,
        })
    }
}

impl Newer {
    /// The newest fields over what is on the disk: all but where its contents are, which ranges tell.
    pub(in crate::ext) fn over(
        &self,
        number: u32,
        on_disk: Result<Inode>,
        sb: &Super,
    ) -> Result<Inode> {
        let mut raw = match on_disk {
            Ok(inode) if !inode.is_free() => inode.raw,
            // It was free then, whatever is there.
            Ok(_) | Err(Error::Damaged { .. }) => vec![0; sb.inode_size as usize],
            Err(error) => return Err(error),
        };
        for (at, (old, new)) in raw.iter_mut().zip(&self.0).enumerate() {
            if !BLOCK.contains(&at) {
                *old = *new;
            }
        }
        let inode = Inode::new(number, raw, sb.seed);
        let (old, new) = (inode.block(), self.0.get(BLOCK).unwrap_or_default());
        let block: Vec<u8> = if !inode.has(flag::EXTENTS) {
            new.to_vec()
        } else if le16(old, 0) == 0xf30a {
            return Ok(inode);
        } else {
            let mut empty = vec![0; BLOCK.len()];
            empty[..2].copy_from_slice(&0xf30a_u16.to_le_bytes());
            empty[4..6].copy_from_slice(&4_u16.to_le_bytes());
            empty
        };
        let mut raw = inode.raw;
        for (old, new) in raw.iter_mut().skip(BLOCK.start).zip(&block) {
            *old = *new;
        }
        Ok(Inode::new(number, raw, sb.seed))
    }
}

impl FastCommits {
    pub(in crate::ext) fn inode(&self, number: u32) -> Option<&Newer> {
        self.inodes.get(&number)
    }

    pub(in crate::ext) fn changes(&self, folder: u32) -> Option<&Names> {
        self.names.get(&folder)
    }

    /// Whether a folder is new, and has no names but those that came to it.
    pub(in crate::ext) fn made(&self, folder: u32) -> bool {
        self.made.contains(&folder)
    }

    /// What is known of a range of a file, with what changed in it.
    pub(in crate::ext) fn over(&self, number: u32, mut leaf: Leaf) -> Leaf {
        for change in self.ranges.get(&number).into_iter().flatten() {
            let start = change.start.max(leaf.range.start);
            let end = (change.start + change.len).min(leaf.range.end);
            if start >= end {
                continue;
            }
            let mut runs = Vec::with_capacity(leaf.runs.len() + 2);
            for run in &leaf.runs {
                if run.start < start {
                    let len = run.len.min(start - run.start);
                    runs.push(Run { len, ..*run });
                }
                if run.end() > end {
                    let cut = end.saturating_sub(run.start);
                    runs.push(Run {
                        start: run.start + cut,
                        len: run.len - cut,
                        place: run.place + cut,
                    });
                }
            }
            if let Some(place) = change.place {
                runs.push(Run {
                    start,
                    len: end - start,
                    place: place + (start - change.start),
                });
            }
            runs.sort_by_key(|run| run.start);
            leaf.runs = runs;
        }
        leaf
    }

    /// Takes in a record; `None` if it is not understood.
    fn take(&mut self, kind: u16, value: &[u8], sb: &Super) -> Option<()> {
        let (first, second) = (le32(value, 0), le32(value, 4));
        match kind {
            1 if value.len() == 16 => {
                let len = u64::from(le16(value, 8));
                let (len, written) = match len {
                    0..=32768 => (len, true),
                    len => (len - 32768, false),
                };
                let place = u64::from(le32(value, 12)) | u64::from(le16(value, 10)) << 32;
                if !sb.holds(place, len) {
                    return None;
                }
                self.ranges.entry(first).or_default().push(Change {
                    start: second.into(),
                    len,
                    place: written.then_some(place),
                });
            }
            2 if value.len() == 12 => self.ranges.entry(first).or_default().push(Change {
                start: second.into(),
                len: le32(value, 8).into(),
                place: None,
            }),
            3..=5 if value.len() > 8 => {
                let names = &mut self.names.entry(first).or_default().0;
                let name = value[8..].to_vec();
                if kind != 5 {
                    names.insert(name, Name::Added(second));
                } else if !matches!(names.get(&name), Some(Name::Added(other)) if *other != second)
                {
                    names.insert(name, Name::Removed(second));
                }
                if kind == 3 {
                    let folder = |newer: &Newer| le16(&newer.0, 0) & 0xf000 == 0x4000;
                    if self.inodes.get(&second).is_some_and(folder) {
                        self.made.insert(second);
                        self.names.remove(&second);
                    }
                }
            }
            6 if value.len() >= 4 + OLD_SIZE => {
                self.inodes.insert(first, Newer(value[4..].to_vec()));
            }
            7 => {}
            _ => return None,
        }
        Some(())
    }
}

/// The fast commits that follow the last whole transaction, and why they were left out if so.
pub(super) fn read(
    log: &mut Log<'_>,
    sequence: u32,
    sb: &Super,
) -> Result<(FastCommits, Option<String>)> {
    let size = log.block_size();
    if (log.fast.end.saturating_sub(log.fast.start)).saturating_mul(size as u64) > MOST_BYTES {
        let why = format!("there is room for more than {MOST_BYTES} bytes of them");
        return Ok((FastCommits::default(), Some(why)));
    }
    let mut commits = FastCommits::default();
    let (mut open, mut sum) = (Vec::new(), 0);
    'all: for number in log.fast.clone() {
        let (_, block) = log.block(number)?;
        let mut at = 0;
        while at + 4 <= size {
            let (kind, len) = (le16(&block, at), usize::from(le16(&block, at + 2)));
            let Some(value) = block.get(at + 4..at + 4 + len) else {
                break 'all;
            };
            if number == log.fast.start && at == 0 && kind != 9 {
                break 'all;
            }
            match kind {
                9 if len >= 8 && le32(value, 4) == sequence => {
                    if le32(value, 0) != 0 {
                        let why = format!("they have the features {:#x}", le32(value, 0));
                        return Ok((FastCommits::default(), Some(why)));
                    }
                    sum = crc32c(sum, &block[at..at + 4 + len]);
                }
                8 if len >= 8 => {
                    sum = crc32c(sum, &block[at..at + 8]);
                    if le32(value, 0) != sequence || le32(value, 4) != sum {
                        break 'all;
                    }
                    for (kind, value) in open.drain(..) {
                        let value: Vec<u8> = value;
                        if commits.take(kind, &value, sb).is_none() {
                            let why = format!("a record of kind {kind} is not understood");
                            return Ok((FastCommits::default(), Some(why)));
                        }
                    }
                    commits.count += 1;
                    sum = 0;
                }
                1..=7 => {
                    sum = crc32c(sum, &block[at..at + 4 + len]);
                    open.push((kind, value.to_vec()));
                }
                _ => break 'all,
            }
            at += 4 + len;
        }
    }
    Ok((commits, None))
}
