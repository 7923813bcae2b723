//! Contents of files: in a record, or in clusters as they are.

use disk::ByteRange;

use super::stored::Clusters;
use super::volume::{Via, Volume};
use crate::error::{Error, Result};
use crate::fs::{Content, Lies, Place};

/// Contents that lie in a record.
pub(super) struct Resident(pub(super) Vec<u8>);

/// Checks that a read lies within contents.
pub(super) fn within(len: u64, offset: u64, buf: &[u8]) -> Result<()> {
    Ok(disk::block::check_bounds(len, offset, buf.len() as u64)?)
}

impl Content for Resident {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<()> {
        within(self.len(), offset, buf)?;
        let from = offset as usize;
        let part = self.0.get(from..from + buf.len());
        buf.copy_from_slice(part.ok_or_else(|| Error::NotFound(format!("byte {offset}")))?);
        Ok(())
    }

    fn next_data(&mut self, from: u64) -> Result<Option<ByteRange>> {
        Ok((from < self.len()).then(|| ByteRange::new(from, self.len())))
    }

    fn place(&mut self, from: u64) -> Result<Option<Place>> {
        Ok(Some(Place {
            range: ByteRange::new(from, self.len()),
            lies: Lies::Apart,
        }))
    }
}

/// Contents in clusters, with holes or without.
pub(super) struct Plain<'a> {
    pub(super) volume: &'a Volume,
    pub(super) clusters: Clusters,
}

impl Content for Plain<'_> {
    fn len(&self) -> u64 {
        self.clusters.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<()> {
        within(self.clusters.len, offset, buf)?;
        self.clusters.read(self.volume, Via::Past, offset, buf)
    }

    fn next_data(&mut self, from: u64) -> Result<Option<ByteRange>> {
        let size = self.volume.boot().cluster;
        let end = self.clusters.len.min(self.clusters.initialised);
        let mut found: Option<ByteRange> = None;
        let mut at = from;
        while at < end {
            let Some(run) = self.clusters.run(self.volume, at / size)? else {
                return Err(self.clusters.damaged(format!("no cluster for byte {at}")));
            };
            let next = (run.end() * size).min(end);
            match (run.lcn, &mut found) {
                (Some(_), None) => found = Some(ByteRange::new(at, next)),
                (Some(_), Some(found)) => found.end = next,
                (None, Some(_)) => break,
                (None, None) => (),
            }
            at = next;
        }
        Ok(found)
    }

    fn place(&mut self, from: u64) -> Result<Option<Place>> {
        let size = self.volume.boot().cluster;
        let end = self.clusters.len.min(self.clusters.initialised);
        let (end, lies) = match from < end {
            false => (self.clusters.len, Lies::Nowhere),
            true => {
                let Some(run) = self.clusters.run(self.volume, from / size)? else {
                    return Err(self.clusters.damaged(format!("no cluster for byte {from}")));
                };
                let at = |lcn: u64| Lies::At(lcn * size + from % size);
                (
                    (run.end() * size).min(end),
                    run.lcn.map_or(Lies::Nowhere, at),
                )
            }
        };
        let range = ByteRange::new(from, end);
        Ok(Some(Place { range, lies }))
    }
}
