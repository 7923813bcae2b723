//! A volume as records and clusters: what everything else is read through.

use disk::BlockRead;

use super::attribute::{ATTRIBUTE_LIST, Attribute, DATA};
use super::boot::Boot;
use super::file::File;
use super::record::{NUMBER, Record};
use super::stored::{Body, Clusters, Stored, Way};
use crate::cache::Cached;
use crate::error::{Error, Result};
use crate::fs::Device;

/// Records that there is a copy of (`$MFTMirr`): the MFT, the copy itself, the log, the volume.
const COPIED: usize = 4;

/// Which way bytes are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    /// Through what is kept: metadata.
    Kept,
    /// Past it: contents of files.
    Past,
}

/// A volume.
pub(super) struct Volume {
    device: Device,
    kept: Cached<Device>,
    boot: Boot,
    /// What the MFT is; `None` until it has been found.
    mft: Option<Clusters>,
    /// Which of the first records are damaged, so that their copies are used.
    copied: [bool; COPIED],
}

impl Volume {
    /// Reads the boot sector, and finds the MFT.
    pub(super) fn open(device: Device) -> Result<Self> {
        let boot = Boot::read(&device)?;
        let mut volume = Self {
            kept: Cached::new(device.clone()),
            device,
            boot,
            mft: None,
            copied: [false; COPIED],
        };
        let begin = volume.first(volume.boot.mft, 0);
        volume.look_at_copy(0, begin)?;
        let unused = || Error::damaged("MFT record 0", "it is not in use");
        let record = volume
            .copy(0)
            .unwrap_or_else(|| volume.first(volume.boot.mft, 0))?;
        let record = record.ok_or_else(unused)?;
        // The first part of the MFT lies in its own record, and leads to all others.
        let mut whole = false;
        for attribute in record.attributes() {
            let attribute = attribute?;
            whole |= attribute.kind == ATTRIBUTE_LIST;
            if attribute.kind == DATA && attribute.name.is_empty() {
                volume.mft = Some(volume.mft_of(&attribute)?);
            }
        }
        if whole {
            let file = File::of(&volume, record)?;
            let stored = file.stored(&volume, DATA, &[])?;
            volume.mft = stored.and_then(|stored| match stored.body {
                Body::Clusters(clusters) => Some(clusters),
                Body::Resident(_) => None,
            });
        }
        if volume.mft.is_none() {
            return Err(Error::damaged("MFT record 0", "the MFT has no contents"));
        }
        for number in 1..COPIED {
            let record = volume.record(number as u64);
            volume.look_at_copy(number, record)?;
        }
        Ok(volume)
    }

    /// Turns to the copy of one of the first records if it could not be read, and its copy can.
    fn look_at_copy(&mut self, number: usize, record: Result<Option<Record>>) -> Result<()> {
        let Err(error) = record else { return Ok(()) };
        let copy = self.first(self.boot.mirror, number as u64);
        if self.boot.mirror == 0 || !matches!(copy, Ok(Some(_))) {
            return if number == 0 { Err(error) } else { Ok(()) };
        }
        if let Some(copied) = self.copied.get_mut(number) {
            *copied = true;
        }
        Ok(())
    }

    /// One of the first records, where the MFT or its copy begins.
    fn first(&self, cluster: u64, number: u64) -> Result<Option<Record>> {
        let size = self.boot.record;
        let mut bytes = vec![0; size];
        let offset = cluster * self.boot.cluster + number * size as u64;
        self.read(Via::Kept, offset, &mut bytes)?;
        Record::new(number, bytes)
    }

    /// The copy of a record that is damaged, if it has one.
    fn copy(&self, number: u64) -> Option<Result<Option<Record>>> {
        let copied = usize::try_from(number)
            .ok()
            .and_then(|number| self.copied.get(number));
        copied.filter(|copied| **copied)?;
        Some(self.first(self.boot.mirror, number))
    }

    /// The records whose copies are used.
    pub(super) fn copied(&self) -> impl Iterator<Item = usize> {
        let all = self.copied.iter().enumerate();
        all.filter(|(_, copied)| **copied).map(|(number, _)| number)
    }

    fn mft_of(&self, attribute: &Attribute<'_>) -> Result<Clusters> {
        match Stored::new(self, 0, attribute)?.body {
            Body::Clusters(clusters) => Ok(clusters),
            Body::Resident(_) => Err(Error::damaged(
                "MFT record 0",
                "the MFT is in its own record",
            )),
        }
    }

    pub(super) fn boot(&self) -> &Boot {
        &self.boot
    }

    /// Bytes of the device that it is on.
    pub(super) fn device_len(&self) -> u64 {
        self.device.len()
    }

    /// Fills `buf` from a place on the volume.
    pub(super) fn read(&self, via: Via, offset: u64, buf: &mut [u8]) -> Result<()> {
        match via {
            Via::Kept => self.kept.read_at(offset, buf)?,
            Via::Past => self.device.read_at(offset, buf)?,
        }
        Ok(())
    }

    /// A record of the MFT; `None` if there is none of this number, or it is not in use.
    pub(super) fn record(&self, number: u64) -> Result<Option<Record>> {
        Way::along(|way| self.record_within(number, way))
    }

    fn record_within(&self, number: u64, way: Way<'_>) -> Result<Option<Record>> {
        let Some(mft) = &self.mft else {
            return Err(Error::damaged(
                "MFT record 0",
                "its own contents are needed to find it",
            ));
        };
        if let Some(copy) = self.copy(number) {
            return copy;
        }
        let size = self.boot.record as u64;
        let offset = number.checked_mul(size);
        let end = offset.and_then(|offset| offset.checked_add(size));
        let Some((offset, _)) = offset.zip(end.filter(|end| *end <= mft.len.min(mft.initialised)))
        else {
            return Ok(None);
        };
        let mut bytes = vec![0; self.boot.record];
        mft.read_within(self, Via::Kept, offset, &mut bytes, way)?;
        Record::new(number, bytes)
    }

    /// The record that a reference means as a further one of a file.
    pub(super) fn extension(&self, file: u64, reference: u64, way: Way<'_>) -> Result<Record> {
        let number = reference & NUMBER;
        let what = || format!("MFT record {number}");
        let record = self.record_within(number, way)?;
        let Some(record) = record.filter(|record| record.is(reference)) else {
            let why = format!("record {file} goes on there, but it is used for something else");
            return Err(Error::damaged(what(), why));
        };
        let base = record.base() & NUMBER;
        if number != file && base != file {
            let why = format!("record {file} goes on there, but it belongs to {base}");
            return Err(Error::damaged(what(), why));
        }
        Ok(record)
    }
}
