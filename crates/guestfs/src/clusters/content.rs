//! Contents of a file along its clusters.

use disk::{BlockRead as _, ByteRange};

use super::{Clusters, Walk};
use crate::error::{Error, Result};
use crate::fs::{Content, Lies, Place};

/// Clusters that are looked at to tell which lie in a row.
const ROW: u64 = 4096;

/// The contents of a file.
pub(crate) struct Clustered<'a> {
    clusters: &'a Clusters,
    /// `None` of a file without a byte.
    walk: Option<Walk<'a>>,
    len: u64,
    /// What lies behind it was never written, and is zeros.
    valid: u64,
}

impl<'a> Clustered<'a> {
    /// `len` bytes from the cluster `first` on; behind `valid` of them are zeros.
    pub(crate) fn new(
        clusters: &'a Clusters,
        first: u32,
        is_row: bool,
        len: u64,
        valid: u64,
    ) -> Result<Self> {
        let count = len.div_ceil(u64::from(clusters.shape.size));
        let walk = match (len, is_row) {
            (0, _) => None,
            (_, false) => Some(Walk::chain(clusters, first, count)?),
            (_, true) => Some(Walk::row(clusters, first, count)?),
        };
        Ok(Self {
            clusters,
            walk,
            len,
            valid: valid.min(len),
        })
    }
}

impl Content for Clustered<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<()> {
        disk::block::check_bounds(self.len, offset, buf.len() as u64)?;
        let valid = usize::try_from(self.valid.saturating_sub(offset)).unwrap_or(usize::MAX);
        let (mut rest, zeros) = buf.split_at_mut(valid.min(buf.len()));
        zeros.fill(0);
        let size = u64::from(self.clusters.shape.size);
        let mut at = offset;
        while !rest.is_empty()
            && let Some(walk) = &mut self.walk
        {
            let within = at % size;
            let most = (within + rest.len() as u64).div_ceil(size);
            let (cluster, count) = walk.run(at / size, most)?;
            let len = usize::try_from(count * size - within).unwrap_or(usize::MAX);
            let (now, later) = rest.split_at_mut(len.min(rest.len()));
            let place = self.clusters.place(cluster)? + within;
            self.clusters.device.read_at(place, now)?;
            at += now.len() as u64;
            rest = later;
        }
        // Only a chain that is known to end can be told from one that runs in a circle.
        match &mut self.walk {
            Some(walk) if at == self.valid && at > offset => match walk.follow_to_the_end() {
                // Behind what is needed nothing but a circle matters.
                Err(error @ Error::Damaged { .. }) if walk.is_circle() => Err(error),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn next_data(&mut self, from: u64) -> Result<Option<ByteRange>> {
        Ok((from < self.valid).then(|| ByteRange::new(from, self.valid)))
    }

    fn place(&mut self, from: u64) -> Result<Option<Place>> {
        let size = u64::from(self.clusters.shape.size);
        let (end, lies) = match &mut self.walk {
            Some(walk) if from < self.valid => {
                let (cluster, count) = walk.run(from / size, ROW)?;
                let at = self.clusters.place(cluster)? + from % size;
                let end = (from / size + count).saturating_mul(size);
                (end.min(self.valid), Lies::At(at))
            }
            _ => (self.len, Lies::Nowhere),
        };
        let range = ByteRange::new(from, end);
        Ok(Some(Place { range, lies }))
    }
}
