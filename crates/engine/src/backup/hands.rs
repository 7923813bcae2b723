//! What all VMs and disks of a job share while they are read.
//!
//! Whatever their number, no more units of all of them together are between reading and storing
//! than one disk alone may have, and the buffers go round among them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use vault::SegmentBuf;
use vault_format::Entropy;

use crate::backup::Job;
use crate::budget::Budget;

/// The largest segment of a vault by default: what one reader holds before it hands it over.
const UNIT: u64 = 4 << 20;

/// See the [module](self).
pub(crate) struct Hands<'a> {
    pub(crate) job: &'a Job<'a>,
    pub(crate) budget: Budget,
    pub(crate) pool: Pool,
    rng: Mutex<&'a mut (dyn Entropy + Send)>,
}

impl<'a> Hands<'a> {
    pub(crate) fn new(job: &'a Job<'a>, rng: &'a mut (dyn Entropy + Send)) -> Self {
        Self {
            job,
            budget: Budget::new(job.limits.in_flight.saturating_add(UNIT)),
            pool: Pool(Mutex::new(Vec::new())),
            rng: Mutex::new(rng),
        }
    }

    /// Random bytes, for any thread.
    pub(crate) fn rng(&self) -> impl Entropy + '_ {
        |out: &mut [u8]| {
            let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
            rng.fill(out);
        }
    }
}

/// Buffers go round instead of being made anew for every segment.
pub(crate) struct Pool(Mutex<Vec<SegmentBuf>>);

impl Pool {
    pub(crate) fn take(&self) -> SegmentBuf {
        let taken = self.lock().pop();
        let mut buf = taken.unwrap_or_default();
        buf.clear();
        buf
    }

    pub(crate) fn give(&self, buf: SegmentBuf) {
        self.lock().push(buf);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SegmentBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
