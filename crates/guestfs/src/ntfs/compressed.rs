//! Contents of files that NTFS itself compresses.
//!
//! They are cut into units of mostly 16 clusters. One with all its clusters is stored as it is, one without
//! any is zeros, and one with some is LZNT1 in those, and a hole behind them.

use disk::ByteRange;

use super::contents::within;
use super::lznt1;
use super::stored::Clusters;
use super::volume::{Via, Volume};
use crate::error::{Error, Result};
use crate::fs::Content;

/// Bytes of a unit: 64 KiB as a rule.
const MOST_UNIT: u64 = 1 << 20;

/// Compressed contents.
pub(super) struct Compressed<'a> {
    volume: &'a Volume,
    clusters: Clusters,
    /// Bytes of a unit.
    unit: u64,
    /// The unit that was read last.
    kept: Option<(u64, Vec<u8>)>,
}

/// How a unit is stored.
enum Unit {
    Zeros,
    Plain,
    /// In its first clusters, so many bytes.
    Packed(u64),
}

impl<'a> Compressed<'a> {
    /// Contents whose units have a size that can be.
    pub(super) fn new(volume: &'a Volume, clusters: Clusters) -> Result<Self> {
        let cluster = volume.boot().cluster;
        let unit = cluster.checked_shl(clusters.unit.into()).unwrap_or(0);
        if clusters.unit == 0 || clusters.unit > 12 || !(cluster..=MOST_UNIT).contains(&unit) {
            return Err(clusters.damaged(format!("units of 2^{} clusters", clusters.unit)));
        }
        Ok(Self {
            volume,
            clusters,
            unit,
            kept: None,
        })
    }

    fn how(&self, number: u64) -> Result<Unit> {
        let cluster = self.volume.boot().cluster;
        let count = self.unit / cluster;
        let first = number * count;
        let (mut at, mut stored, mut hole) = (first, 0, false);
        while at < first + count {
            let Some(run) = self.clusters.run(self.volume, at)? else {
                break;
            };
            let end = run.end().min(first + count);
            match run.lcn {
                None => hole = true,
                Some(_) if hole => {
                    let why = format!("unit {number} goes on behind a hole");
                    return Err(self.clusters.damaged(why));
                }
                Some(_) => stored += end - at,
            }
            at = end;
        }
        Ok(match (stored, hole) {
            (0, true) => Unit::Zeros,
            (_, true) => Unit::Packed(stored * cluster),
            _ => Unit::Plain,
        })
    }

    /// Sees to it that a unit is kept.
    fn keep(&mut self, number: u64) -> Result<()> {
        if self.kept.as_ref().is_some_and(|(kept, _)| *kept == number) {
            return Ok(());
        }
        let start = number * self.unit;
        let mut plain = vec![0; self.unit as usize];
        match self.how(number)? {
            Unit::Zeros => (),
            Unit::Plain => {
                let len = self.unit.min(self.clusters.len - start) as usize;
                let part = plain.get_mut(..len).unwrap_or_default();
                self.clusters.read(self.volume, Via::Past, start, part)?;
            }
            Unit::Packed(len) => {
                let mut packed = vec![0; len as usize];
                self.clusters.read_stored(self.volume, start, &mut packed)?;
                let done = lznt1::decompress(&packed, &mut plain);
                done.map_err(|why| self.clusters.damaged(format!("unit {number}: {why}")))?;
                let written = self
                    .clusters
                    .initialised
                    .saturating_sub(start)
                    .min(self.unit);
                plain
                    .get_mut(written as usize..)
                    .unwrap_or_default()
                    .fill(0);
            }
        }
        self.kept = Some((number, plain));
        Ok(())
    }
}

impl Content for Compressed<'_> {
    fn len(&self) -> u64 {
        self.clusters.len
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<()> {
        within(self.clusters.len, offset, buf)?;
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            self.keep(at / self.unit)?;
            let from = (at % self.unit) as usize;
            let kept = self.kept.as_ref().and_then(|(_, unit)| unit.get(from..));
            let kept = kept.ok_or_else(|| Error::NotFound(format!("byte {at}")))?;
            let len = kept.len().min(rest.len());
            let (now, later) = rest.split_at_mut(len);
            now.copy_from_slice(kept.get(..len).unwrap_or_default());
            rest = later;
            at += len as u64;
        }
        Ok(())
    }

    fn next_data(&mut self, from: u64) -> Result<Option<ByteRange>> {
        let end = self.clusters.len.min(self.clusters.initialised);
        let mut at = from;
        while at < end {
            // Holes can be longer than all units that are worth a look.
            let cluster = self.volume.boot().cluster;
            let run = self.clusters.run(self.volume, at / cluster)?;
            let unit = at / self.unit;
            let next = (unit + 1) * self.unit;
            if !matches!(self.how(unit)?, Unit::Zeros) {
                return Ok(Some(ByteRange::new(at, next.min(end))));
            }
            let hole = run.filter(|run| run.lcn.is_none());
            let whole = hole.map_or(0, |run| run.end() * cluster / self.unit * self.unit);
            at = next.max(whole);
        }
        Ok(None)
    }
}
