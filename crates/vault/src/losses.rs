//! What of a disk cannot be read any more, for whoever wants the rest all the same.
//!
//! A reader that [tolerates](DiskReader::tolerating) losses gives zeros for what is lost, and notes it:
//! chunks that are in no pack that is there, or that are not what their ids say, and whatever a part of
//! the map that is lost led to. A store that does not answer is no loss.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;
use crate::reader::DiskReader;

/// Reasons that are told; there may be as many as chunks.
const REASONS: usize = 10;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Losses(Mutex<Lost>);

/// What was lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lost {
    /// Where on the disk: ascending, disjoint, neighbours joined.
    pub ranges: Vec<Range<u64>>,
    /// Why, the first few reasons.
    pub reasons: Vec<String>,
}

impl Losses {
    /// What was lost since the last call.
    pub fn take(&self) -> Lost {
        let mut lost = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        lost.ranges.sort_unstable_by_key(|range| range.start);
        let mut joined: Vec<Range<u64>> = Vec::with_capacity(lost.ranges.len());
        for range in lost.ranges {
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        lost.ranges = joined;
        lost
    }

    fn add(&self, range: Range<u64>, why: &Error) {
        let mut lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lost.reasons.len() < REASONS {
            let why = why.to_string();
            if !lost.reasons.contains(&why) {
                lost.reasons.push(why);
            }
        }
        match lost.ranges.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => lost.ranges.push(range),
        }
    }
}

impl DiskReader {
    /// The same disk, with zeros where it is lost. What is read so is noted in `losses`.
    #[must_use]
    pub fn tolerating(mut self, losses: Arc<Losses>) -> Self {
        self.losses = Some(losses);
        self
    }

    /// Whether this tells of a loss that this reader lives with.
    pub(crate) fn tolerates(&self, error: &Error) -> bool {
        self.losses.is_some() && is_loss(error)
    }

    /// Notes a loss, if this reader lives with it.
    pub(crate) fn lose(&self, range: Range<u64>, error: Error) -> Result<(), Error> {
        match &self.losses {
            Some(losses) if is_loss(&error) => {
                losses.add(range, &error);
                Ok(())
            }
            _ => Err(error),
        }
    }
}

/// Whether an error tells that bytes are gone, and not that they are not to be had just now.
fn is_loss(error: &Error) -> bool {
    match error {
        Error::Store(store::Error::Io { source, .. }) => {
            // EIO; ERROR_CRC, ERROR_SECTOR_NOT_FOUND and ERROR_IO_DEVICE.
            let broken: &[i32] = match cfg!(windows) {
                true => &[23, 27, 1117],
                false => &[5],
            };
            error.is_of_map() && source.raw_os_error().is_some_and(|n| broken.contains(&n))
        }
        _ => error.is_of_map(),
    }
}
