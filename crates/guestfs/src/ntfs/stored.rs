//! The contents of an attribute: in its record, or in clusters whose run list may be cut into parts that
//! lie in many records.
//!
//! A part is decoded when it is met, and few are kept, so that a file of millions of fragments takes no more
//! memory than another. How many parts there are is bounded by what an attribute list can hold.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};

use super::attribute::{self, Attribute, Form, Spread};
use super::le::units;
use super::runs::{self, Run};
use super::volume::{Via, Volume};
use crate::error::{Error, Result};

/// Parts of a run list that are kept decoded.
const KEPT: usize = 16;
/// How deep parts of the MFT's own run list may lead to each other.
const DEEPEST: u32 = 8;
/// How many of them may be decoded for one record: each may need others, and these again.
const MOST_PARTS: u32 = 512;

/// How a record of the MFT is come by: its place may be told by other records, and theirs by others.
#[derive(Clone, Copy)]
pub(super) struct Way<'w> {
    depth: u32,
    /// Parts that may still be decoded.
    left: &'w Cell<u32>,
}

impl Way<'_> {
    /// Follows a new one.
    pub(super) fn along<T>(follow: impl FnOnce(Way<'_>) -> T) -> T {
        let left = Cell::new(MOST_PARTS);
        follow(Way {
            depth: 0,
            left: &left,
        })
    }

    /// One further; `None` when it leads too far.
    fn deeper(self) -> Option<Self> {
        let left = match self.depth {
            // What the caller itself wants is bounded by what it reads.
            0 => MOST_PARTS,
            _ => self.left.get().checked_sub(1)?,
        };
        self.left.set(left);
        let depth = self.depth + 1;
        (self.depth <= DEEPEST).then_some(Self { depth, ..self })
    }
}

/// An attribute's contents.
pub(super) struct Stored {
    pub(super) flags: u16,
    pub(super) body: Body,
}

/// Where they are.
pub(super) enum Body {
    Resident(Vec<u8>),
    Clusters(Clusters),
}

/// Contents in clusters.
pub(super) struct Clusters {
    pub(super) len: u64,
    /// What lies behind it reads as zeros.
    pub(super) initialised: u64,
    /// Bytes of clusters that are not holes, if known to be fewer than all.
    pub(super) stored: Option<u64>,
    /// Clusters of a unit of compression, as a power of two.
    pub(super) unit: u8,
    who: Who,
    parts: Vec<Part>,
    kept: Mutex<Vec<(usize, Arc<[Run]>)>>,
}

/// Which attribute of which file.
struct Who {
    record: u64,
    kind: u32,
    name: Vec<u8>,
}

struct Part {
    first: u64,
    place: Place,
}

enum Place {
    Decoded(Arc<[Run]>),
    /// In the record of this reference, as the attribute of this number.
    Record(u64, u16),
}

impl Stored {
    /// Takes an attribute's first part.
    pub(super) fn new(volume: &Volume, record: u64, attribute: &Attribute<'_>) -> Result<Self> {
        let body = match &attribute.form {
            Form::Resident(value) => Body::Resident(value.to_vec()),
            Form::Spread(spread) => {
                let who = Who {
                    record,
                    kind: attribute.kind,
                    name: attribute.name.to_vec(),
                };
                Body::Clusters(Clusters::new(volume, who, spread)?)
            }
        };
        Ok(Self {
            flags: attribute.flags,
            body,
        })
    }

    /// Says where a further part is. Parts come in their order.
    pub(super) fn add(&mut self, first: u64, reference: u64, id: u16) -> Result<()> {
        let Body::Clusters(clusters) = &mut self.body else {
            let why = format!("part {first} of contents that are in the record");
            return Err(Error::damaged("attribute list", why));
        };
        let last = clusters.parts.last().map_or(0, |part| part.first);
        if first <= last {
            let why = format!(
                "{} has a part at {first} behind {last}",
                clusters.who.told()
            );
            return Err(Error::damaged("attribute list", why));
        }
        let place = Place::Record(reference, id);
        clusters.parts.push(Part { first, place });
        Ok(())
    }

    /// Bytes.
    pub(super) fn len(&self) -> u64 {
        match &self.body {
            Body::Resident(value) => value.len() as u64,
            Body::Clusters(clusters) => clusters.len,
        }
    }

    /// All of it, if it is not more than `most`.
    pub(super) fn whole(&self, volume: &Volume, most: u64, what: &str) -> Result<Vec<u8>> {
        let clusters = match &self.body {
            Body::Resident(value) => return Ok(value.clone()),
            Body::Clusters(clusters) => clusters,
        };
        if clusters.len > most {
            let why = format!("{} bytes, where at most {most} are known", clusters.len);
            return Err(Error::damaged(what, why));
        }
        if self.flags & (attribute::COMPRESSED | attribute::ENCRYPTED) != 0 {
            return Err(Error::damaged(what, "it is compressed or encrypted"));
        }
        let mut bytes = vec![0; clusters.len as usize];
        clusters.read(volume, Via::Kept, 0, &mut bytes)?;
        Ok(bytes)
    }
}

impl Who {
    fn told(&self) -> String {
        let name = String::from_utf16_lossy(&units(&self.name));
        format!(
            "attribute {:#x} \"{name}\" of MFT record {}",
            self.kind, self.record
        )
    }
}

impl Clusters {
    fn new(volume: &Volume, who: Who, spread: &Spread<'_>) -> Result<Self> {
        let damaged = |why: String| Error::damaged(who.told(), why);
        if spread.first != 0 {
            return Err(damaged(format!("it begins with cluster {}", spread.first)));
        }
        let boot = volume.boot();
        let decoded = runs::decode(spread.runs, (0, spread.next), (boot.clusters, boot.cluster))
            .map_err(damaged)?;
        let sizes = [spread.len, spread.initialised, spread.allocated];
        if sizes.iter().any(|size| i64::try_from(*size).is_err()) || spread.len > spread.allocated {
            let [len, initialised, allocated] = sizes;
            return Err(damaged(format!(
                "{len} bytes, {initialised} and {allocated}"
            )));
        }
        let first = Part {
            first: 0,
            place: Place::Decoded(decoded),
        };
        Ok(Self {
            len: spread.len,
            initialised: spread.initialised,
            stored: spread.stored.filter(|stored| *stored < spread.allocated),
            unit: spread.unit,
            who,
            parts: vec![first],
            kept: Mutex::default(),
        })
    }

    /// What to say of it when it is damaged.
    pub(super) fn damaged(&self, why: impl Into<String>) -> Error {
        Error::damaged(self.who.told(), why)
    }

    /// The rest of the run that has a cluster; `None` behind the last.
    pub(super) fn run(&self, volume: &Volume, cluster: u64) -> Result<Option<Run>> {
        Way::along(|way| self.run_within(volume, cluster, way))
    }

    fn run_within(&self, volume: &Volume, cluster: u64, way: Way<'_>) -> Result<Option<Run>> {
        let behind = self.parts.partition_point(|part| part.first <= cluster);
        let Some((at, part)) = behind
            .checked_sub(1)
            .and_then(|at| Some((at, self.parts.get(at)?)))
        else {
            return Ok(None);
        };
        let runs = match &part.place {
            Place::Decoded(runs) => runs.clone(),
            Place::Record(reference, id) => self.part(volume, at, (*reference, *id), way)?,
        };
        let behind = runs.partition_point(|run| run.at <= cluster);
        let run = behind.checked_sub(1).and_then(|at| runs.get(at));
        Ok(run.filter(|run| cluster < run.end()).map(|run| {
            let skipped = cluster - run.at;
            Run {
                at: cluster,
                len: run.len - skipped,
                lcn: run.lcn.map(|lcn| lcn + skipped),
            }
        }))
    }

    /// The runs of a part that lies in a record of its own.
    fn part(
        &self,
        volume: &Volume,
        at: usize,
        place: (u64, u16),
        way: Way<'_>,
    ) -> Result<Arc<[Run]>> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, runs)) = kept().iter().find(|(kept, _)| *kept == at) {
            return Ok(runs.clone());
        }
        let Some(further) = way.deeper() else {
            return Err(self.damaged("its parts lead to each other too deep"));
        };
        let (reference, id) = place;
        let first = self.parts.get(at).map_or(0, |part| part.first);
        let next = self.parts.get(at + 1).map(|part| part.first);
        let record = volume.extension(self.who.record, reference, further)?;
        for attribute in record.attributes() {
            let attribute = attribute?;
            let Form::Spread(spread) = &attribute.form else {
                continue;
            };
            let mine = attribute.kind == self.who.kind && attribute.name == self.who.name;
            if !mine || attribute.id != id || spread.first != first {
                continue;
            }
            if next.is_some_and(|next| next != spread.next) {
                let why = format!("a part up to {} and the next from {next:?}", spread.next);
                return Err(self.damaged(why));
            }
            let boot = volume.boot();
            let runs = (first, spread.next);
            let runs = runs::decode(spread.runs, runs, (boot.clusters, boot.cluster));
            let runs = runs.map_err(|why| self.damaged(why))?;
            let mut kept = kept();
            if kept.len() >= KEPT {
                kept.remove(0);
            }
            kept.push((at, runs.clone()));
            return Ok(runs);
        }
        Err(self.damaged(format!(
            "its part at {first} is not in MFT record {}",
            record.number()
        )))
    }

    /// Fills `buf` from `offset` of the allocated clusters; what was never written is zeros.
    pub(super) fn read(
        &self,
        volume: &Volume,
        via: Via,
        offset: u64,
        buf: &mut [u8],
    ) -> Result<()> {
        Way::along(|way| self.read_within(volume, via, offset, buf, way))
    }

    pub(super) fn read_within(
        &self,
        volume: &Volume,
        via: Via,
        offset: u64,
        buf: &mut [u8],
        way: Way<'_>,
    ) -> Result<()> {
        let written = self
            .initialised
            .saturating_sub(offset)
            .min(buf.len() as u64);
        let (buf, zeros) = buf.split_at_mut(written as usize);
        zeros.fill(0);
        self.read_allocated(volume, via, offset, buf, way)
    }

    /// Fills `buf` from clusters, also behind what is initialised: compressed bytes are no contents.
    pub(super) fn read_stored(&self, volume: &Volume, offset: u64, buf: &mut [u8]) -> Result<()> {
        Way::along(|way| self.read_allocated(volume, Via::Past, offset, buf, way))
    }

    fn read_allocated(
        &self,
        volume: &Volume,
        via: Via,
        offset: u64,
        buf: &mut [u8],
        way: Way<'_>,
    ) -> Result<()> {
        let size = volume.boot().cluster;
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let Some(run) = self.run_within(volume, at / size, way)? else {
                return Err(self.damaged(format!("no cluster for byte {at}")));
            };
            let within = at % size;
            let len = (run.len * size - within).min(rest.len() as u64);
            let (now, later) = rest.split_at_mut(len as usize);
            match run.lcn {
                Some(lcn) => volume.read(via, lcn * size + within, now)?,
                None => now.fill(0),
            }
            rest = later;
            at += len;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goes into all that a hostile MFT leads to: each part is told by so many others.
    fn follow(way: Way<'_>, others: u32, met: &mut u32) {
        for _ in 0..others {
            if let Some(further) = way.deeper() {
                *met += 1;
                follow(further, others, met);
            }
        }
    }

    #[test]
    fn parts_that_lead_to_each_other_come_to_an_end() {
        // Each needs one: as deep as it goes.
        let mut met = 0;
        Way::along(|way| follow(way, 1, &mut met));
        assert_eq!(met, DEEPEST + 1);
        // Each needs ten, which would be a thousand millions; a new record begins anew.
        for records in [1, 5] {
            let mut met = 0;
            for _ in 0..records {
                Way::along(|way| follow(way, 10, &mut met));
            }
            let most = records * 10 * (1 + MOST_PARTS);
            assert!((records * 10..=most).contains(&met), "{met}");
        }
    }
}
