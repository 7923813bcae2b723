//! A disk of which it is counted how much is read, and whether all of it could be.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use disk::{BlockRead, ByteRange, Extent, Geometry};
use guestfs::Device;

/// How much has been read, and how much may be.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    read: Arc<AtomicU64>,
    failed: Arc<AtomicBool>,
    most: u64,
}

impl Meter {
    /// Of reads that all together take no more than `most` bytes.
    pub(super) fn new(most: u64) -> Self {
        Self {
            read: Arc::default(),
            failed: Arc::default(),
            most,
        }
    }

    /// Bytes that were read.
    pub(super) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Whether something that the disks have could not be read since this was asked last.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.swap(false, Ordering::Relaxed)
    }

    /// A disk that counts.
    pub(super) fn over(&self, disk: Device) -> Device {
        let meter = self.clone();
        Arc::new(Metered { disk, meter })
    }
}

struct Metered {
    disk: Device,
    meter: Meter,
}

impl BlockRead for Metered {
    fn geometry(&self) -> Geometry {
        self.disk.geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> disk::Result<()> {
        // What is asked for beyond the end is the reader's affair.
        disk::block::check_bounds(self.disk.len(), offset, buf.len() as u64)?;
        let read = self.bounded(offset, buf);
        if read.is_err() {
            self.meter.failed.store(true, Ordering::Relaxed);
        }
        read
    }

    fn extents(&self, range: ByteRange) -> disk::Result<Vec<Extent>> {
        self.disk.extents(range)
    }
}

impl Metered {
    fn bounded(&self, offset: u64, buf: &mut [u8]) -> disk::Result<()> {
        let (len, most) = (buf.len() as u64, self.meter.most);
        let before = self.meter.read.fetch_add(len, Ordering::Relaxed);
        if before.saturating_add(len) > most {
            let why = format!("it takes more than the {most} bytes that may be read for this");
            return Err(disk::Error::Invalid(why));
        }
        self.disk.read_at(offset, buf)
    }
}
