//! Asking a host what changed.

use cim::job::Pace;
use cim::path::HYPER_V;
use cim::wsman::FaultKind;
use cim::{CimError, CimSession, Instance, Invoked, ObjectPath, PropertyError};
use disk::{ByteRange, ByteRanges};
use std::time::Duration;

/// Bytes that are asked for at once. The page of the method wants less than the disk has, and
/// published programs ask for all of it; so a large disk is asked for in parts.
const MOST_ASKED: u64 = 256 << 30;
/// Parts of a disk begin at multiples of this.
const UNIT: u64 = 1 << 20;
/// Calls for one disk, at most.
const MOST_CALLS: usize = 1 << 16;
/// Ranges of one disk, at most.
const MOST_RANGES: usize = 1 << 22;
/// How often a call whose answer was lost is made again: it changes nothing.
const MOST_TRIES: u32 = 3;
/// How long to wait before.
const WAIT: Duration = Duration::from_secs(5);

/// Why there is no answer that can be relied on: the disk is read in full.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoChanges {
    /// The host was not reached, or refuses.
    #[error(transparent)]
    Host(#[from] CimError),
    /// The answer is not as documented.
    #[error(transparent)]
    Property(#[from] PropertyError),
    /// The host refuses with a code.
    #[error("the host refuses to tell changes, with code {0}")]
    Refused(u32),
    /// The host goes on in a job, from which the changes cannot be had.
    #[error("the host answers with a job, from which changes cannot be had")]
    Job,
    /// The answer contradicts the question or itself.
    #[error("the host's answer about changes makes no sense: {0}")]
    Odd(&'static str),
}

/// The bytes of a disk that changed since a reference point.
///
/// `path` is the frozen disk on the host, `since` the tracking id of the *earlier* reference point,
/// `len` the size of the virtual disk. Offsets are the guest's.
///
/// # Errors
/// Whenever the answer does not surely cover the whole disk.
pub fn changes(
    session: &dyn CimSession,
    pace: &dyn Pace,
    path: &str,
    since: &str,
    len: u64,
) -> Result<ByteRanges, NoChanges> {
    let mut ask = Ask {
        session,
        pace,
        path,
        since,
        service: service(session)?,
        calls: 0,
    };
    let mut found: Vec<ByteRange> = Vec::new();
    let mut first: Vec<ByteRange> = Vec::new();
    let mut ambiguous = false;
    let mut most = MOST_ASKED;
    let mut at = 0;
    while at < len {
        let asked = most.min(len - at);
        let part = match ask.part(at, asked, len) {
            // By the page of the method even the whole of a small disk is too much.
            Err(NoChanges::Refused(4 | 32773)) if asked == len && len > UNIT => {
                most = (len / 2).next_multiple_of(UNIT);
                continue;
            }
            // Fewer bytes have fewer changes, and these make a smaller answer.
            Err(NoChanges::Host(error))
                if error.fault_kind() == Some(FaultKind::TooLarge) && asked > UNIT =>
            {
                most = (asked / 2).next_multiple_of(UNIT);
                continue;
            }
            part => part?,
        };
        if at == 0 {
            first.clone_from(&part.ranges);
        }
        // Counted from the part's beginning, an offset would lie before the part, and be odd,
        // unless the part is longer than what comes before it.
        ambiguous |= at > 0 && at < asked && !part.ranges.is_empty();
        found.extend(part.ranges);
        if found.len() > MOST_RANGES {
            return Err(NoChanges::Odd("there are more ranges than are accepted"));
        }
        at = part.end;
    }
    // Nobody documents from where offsets count; in the answer to the first part both are the same.
    if ambiguous {
        ask.probe(&first, len)?;
    }
    Ok(found.into_iter().collect())
}

fn service(session: &dyn CimSession) -> Result<ObjectPath, NoChanges> {
    let wql = "SELECT * FROM Msvm_ImageManagementService";
    let mut found = session.query_paths(HYPER_V, wql)?;
    match (found.pop(), found.is_empty()) {
        (Some(path), true) => Ok(path),
        _ => Err(NoChanges::Odd("there is not one service to ask")),
    }
}

struct Ask<'a> {
    session: &'a dyn CimSession,
    pace: &'a dyn Pace,
    path: &'a str,
    since: &'a str,
    service: ObjectPath,
    calls: usize,
}

struct Part {
    ranges: Vec<ByteRange>,
    end: u64,
}

impl Ask<'_> {
    /// The changes from `at` on, as far as the host got.
    fn part(&mut self, at: u64, asked: u64, len: u64) -> Result<Part, NoChanges> {
        self.calls += 1;
        if self.calls > MOST_CALLS {
            return Err(NoChanges::Odd("it does not come to an end"));
        }
        let inputs = Instance::default()
            .with("Path", self.path)
            .with("LimitId", self.since)
            .with("ByteOffset", at)
            .with("ByteLength", asked);
        let result = self.call(&inputs)?;
        match result.outcome()? {
            Invoked::Done => {}
            Invoked::Job(_) => return Err(NoChanges::Job),
            Invoked::Refused(code) => return Err(NoChanges::Refused(code)),
        }
        let processed: u64 = result.outputs.get("ProcessedByteLength")?;
        if processed == 0 {
            return Err(NoChanges::Odd("it does not get on"));
        }
        if processed > asked {
            return Err(NoChanges::Odd("it goes beyond what was asked for"));
        }
        let end = at + processed;
        let offsets: Vec<u64> = result.outputs.get_list("ChangedByteOffsets")?;
        let lengths: Vec<u64> = result.outputs.get_list("ChangedByteLengths")?;
        if offsets.len() != lengths.len() {
            return Err(NoChanges::Odd(
                "it tells more offsets than lengths, or fewer",
            ));
        }
        let mut ranges = Vec::with_capacity(offsets.len());
        for (offset, length) in offsets.into_iter().zip(lengths) {
            let range = ByteRange::at(offset, length);
            let range = range.ok_or(NoChanges::Odd("a range runs beyond 64 bits"))?;
            if range.is_empty() {
                continue;
            }
            // The host may tell of more than was asked for, but not of something else.
            if range.intersect(&ByteRange::new(at, end)).is_none() {
                return Err(NoChanges::Odd("a range lies outside of what was asked for"));
            }
            let disk = ByteRange::new(0, len);
            ranges.extend(range.intersect(&disk));
        }
        Ok(Part { ranges, end })
    }

    /// Asks from the beginning of a range that is known, which must begin there again.
    fn probe(&mut self, first: &[ByteRange], len: u64) -> Result<(), NoChanges> {
        let known = first.iter().find(|range| range.start > 0);
        let known = known.ok_or(NoChanges::Odd(
            "from where its offsets count cannot be told",
        ))?;
        let part = self.part(known.start, known.len(), len)?;
        let least = part.ranges.iter().map(|range| range.start).min();
        if least == Some(known.start) {
            return Ok(());
        }
        Err(NoChanges::Odd(
            "its offsets do not count from the beginning of the disk",
        ))
    }

    fn call(&self, inputs: &Instance) -> Result<cim::MethodResult, CimError> {
        let mut tries = MOST_TRIES;
        loop {
            tries -= 1;
            let answer = self
                .session
                .invoke(&self.service, "GetVirtualDiskChanges", inputs);
            match answer {
                Err(error) if tries > 0 && error.is_transient() => self.pace.sleep(WAIT),
                answer => return answer,
            }
        }
    }
}
