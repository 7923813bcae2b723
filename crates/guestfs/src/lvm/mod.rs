//! LVM2: volume groups over physical volumes that may lie on several disks, and their logical volumes as
//! devices.
//!
//! ```text
//! device ─► label ─► metadata areas ─► text ─┐
//! device ─► label ─► metadata areas ─► text ─┴► newest text of each group ─► logical volumes
//! ```
//!
//! Read are linear and striped volumes. Other kinds (thin, raids and mirrors, snapshot, cache) are named and
//! not read: which leg of a mirror is the newest one is told by records that are not read here.
//!
//! Invariants:
//!
//! - A group is what the text with the highest number says; texts whose checksum does not hold do not
//!   count. Two volumes with one id are told, and the group is not read.
//! - A volume of which any part is missing has no device: it says which one is missing.
//!
//! Sources: the format as libvslvm's documentation describes it, and texts as the tools of LVM2 write them.

mod label;
mod map;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use disk::ByteRange;

pub use self::label::PhysicalVolume;
pub(crate) use self::map::{Mapped, Segment};
use self::text::{Section, Value};
use crate::error::{Error, Result};
use crate::fs::Device;

/// Bytes of the sectors in which the text counts.
const SECTOR: u64 = 512;
/// Segments of a volume at most.
const MOST_SEGMENTS: usize = 1 << 16;

/// A volume group.
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its id, without hyphens.
    pub id: String,
    /// What is odd about it, such as disks that are missing.
    pub notes: Vec<String>,
    /// Its logical volumes that people see, by name.
    pub volumes: Vec<Volume>,
}

/// A logical volume.
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Bytes.
    pub len: u64,
    /// Kinds of its segments, in the words of its own tools: "linear", "striped", "thin"…
    pub kinds: BTreeSet<String>,
    /// The physical volumes that are there and that it lies on, by their places among all of them.
    pub physical: Vec<usize>,
    /// The volume, or why it is not to be had.
    pub device: Result<Device>,
}

/// Puts groups together out of all physical volumes of a machine.
pub fn groups(volumes: &[PhysicalVolume]) -> Vec<Group> {
    let mut texts: BTreeMap<String, (u64, &str, &Section)> = BTreeMap::new();
    for (number, text) in volumes.iter().filter_map(|one| one.metadata.as_ref()) {
        for (name, group) in text.sections() {
            let Ok(id) = group.text("id") else { continue };
            let newest = texts.get(id).is_none_or(|(other, _, _)| other < number);
            if newest {
                texts.insert(id.to_owned(), (*number, name, group));
            }
        }
    }
    let texts = texts.into_values();
    texts
        .map(|(_, name, group)| one_group(name, group, volumes))
        .collect()
}

fn one_group(name: &str, group: &Section, volumes: &[PhysicalVolume]) -> Group {
    let mut notes = Vec::new();
    let read = Reader::new(group, volumes, &mut notes);
    let mut group = Group {
        name: name.to_owned(),
        id: group.text("id").unwrap_or_default().replace('-', ""),
        notes,
        volumes: Vec::new(),
    };
    let reader = match read {
        Ok(reader) => reader,
        Err(error) => {
            group.notes.push(error.to_string());
            return group;
        }
    };
    let all = reader.volumes.iter().flat_map(|all| all.sections());
    for (name, section) in all.filter(|(_, one)| one.has("status", "VISIBLE")) {
        group
            .volumes
            .push(reader.volume(&group.name, name, section));
    }
    group
}

/// A physical volume of a group.
struct Physical {
    /// Its place among all of them, and its bytes, if it is there.
    found: Option<(usize, Device)>,
    /// Where its extents begin.
    start: u64,
}

/// What is needed to turn sections into devices.
struct Reader<'a> {
    /// Bytes of an extent.
    extent: u64,
    /// By the names that the text gives them.
    physical: BTreeMap<&'a str, Physical>,
    volumes: Option<&'a Section>,
    /// Volumes that are something else than their own segments tell.
    stores: BTreeMap<&'a str, &'static str>,
}

impl<'a> Reader<'a> {
    fn new(
        group: &'a Section,
        volumes: &[PhysicalVolume],
        notes: &mut Vec<String>,
    ) -> Result<Self> {
        let sectors = group.number("extent_size")?;
        let extent = sectors.checked_mul(SECTOR).filter(|bytes| *bytes > 0);
        let mut physical = BTreeMap::new();
        let all = group.section("physical_volumes");
        for (name, section) in all.into_iter().flat_map(|all| all.sections()) {
            let id = section.text("id")?;
            let plain = id.replace('-', "");
            let mut here = volumes
                .iter()
                .enumerate()
                .filter(|(_, one)| one.id == plain);
            let found = here.next();
            if here.next().is_some() {
                let why = format!("two devices are its physical volume {id}");
                return Err(Error::Unsupported(why));
            }
            let found = found.filter(|_| !section.has("flags", "MISSING"));
            if found.is_none() {
                notes.push(format!("its physical volume {name} ({id}) is missing"));
            }
            let number = group.number("seqno")?;
            if let Some(own) = found.and_then(|(_, one)| one.metadata.as_ref())
                && own.0 != number
            {
                let own = own.0;
                notes.push(format!(
                    "physical volume {name} has metadata {own}, and the newest are {number}"
                ));
            }
            for note in found.into_iter().flat_map(|(_, one)| &one.notes) {
                notes.push(format!("physical volume {name}: {note}"));
            }
            let start = section.number("pe_start")?.saturating_mul(SECTOR);
            let found = found.map(|(at, one)| (at, one.device.clone()));
            physical.insert(name, Physical { found, start });
        }
        let volumes = group.section("logical_volumes");
        let mut stores = BTreeMap::new();
        for (_, volume) in volumes.into_iter().flat_map(|all| all.sections()) {
            for (_, segment) in segments(volume) {
                for (field, kind) in [("cow_store", "snapshot"), ("merging_store", "snapshot")] {
                    stores.extend(segment.text(field).ok().map(|name| (name, kind)));
                }
                if segment.text("merging_store").is_ok() {
                    let origin = segment.text("origin").ok();
                    stores.extend(origin.map(|name| (name, "snapshot that is being merged")));
                }
            }
        }
        Ok(Self {
            extent: extent
                .ok_or_else(|| Error::damaged("LVM metadata", "an extent has no bytes"))?,
            physical,
            volumes,
            stores,
        })
    }

    fn volume(&self, group: &str, name: &str, section: &Section) -> Volume {
        let mut kinds = BTreeSet::new();
        for (_, segment) in segments(section) {
            let kind = segment.text("type").unwrap_or("unknown");
            let is_linear = kind == "striped" && segment.number("stripe_count").unwrap_or(1) == 1;
            kinds.insert(if is_linear { "linear" } else { kind }.to_owned());
        }
        let counts = segments(section).filter_map(|(_, one)| one.number("extent_count").ok());
        let extents = counts.fold(0_u64, u64::saturating_add);
        let device = match self.stores.get(name) {
            None => self.device(&format!("{group}/{name}"), section),
            Some(kind) => {
                kinds.insert((*kind).to_owned());
                Err(Error::Unsupported(format!(
                    "logical volume {group}/{name} is of the kind {kind}, which is not read here: restore \
                     its disks, and read it in the guest"
                )))
            }
        };
        Volume {
            name: name.to_owned(),
            id: section.text("id").unwrap_or_default().replace('-', ""),
            len: extents.saturating_mul(self.extent),
            kinds,
            physical: self.physical_of(section),
            device,
        }
    }

    fn physical_of(&self, section: &Section) -> Vec<usize> {
        let mut all = Vec::new();
        for (_, segment) in segments(section) {
            for value in segment.list("stripes") {
                if let Value::Text(on) = value
                    && let Some(physical) = self.physical.get(on.as_str())
                    && let Some((at, _)) = &physical.found
                    && !all.contains(at)
                {
                    all.push(*at);
                }
            }
        }
        all
    }

    fn device(&self, name: &str, section: &Section) -> Result<Device> {
        let damaged = |why: &str| Error::damaged(format!("logical volume {name}"), why);
        let mut parts = Vec::new();
        for (_, segment) in segments(section) {
            if parts.len() >= MOST_SEGMENTS {
                return Err(damaged("it has too many segments"));
            }
            parts.push((segment.number("start_extent")?, segment));
        }
        parts.sort_by_key(|(start, _)| *start);
        if section.number("segment_count")? != parts.len() as u64 {
            return Err(damaged("segments of it are missing"));
        }
        let (mut all, mut end) = (Vec::new(), 0_u64);
        for (start, segment) in parts {
            let count = segment.number("extent_count")?;
            let start = start.checked_mul(self.extent);
            let len = count.checked_mul(self.extent).filter(|len| *len > 0);
            let (Some(start), Some(len)) = (start.filter(|start| *start == end), len) else {
                return Err(damaged("its segments do not lie one behind the other"));
            };
            let stop = start.checked_add(len).filter(|stop| *stop < 1 << 62);
            end = stop.ok_or_else(|| damaged("it is too large"))?;
            all.push(self.segment(name, segment, ByteRange::new(start, end))?);
        }
        Ok(Arc::new(Mapped::new(name.to_owned(), all)))
    }

    fn segment(&self, name: &str, segment: &Section, range: ByteRange) -> Result<Segment> {
        let damaged = |why: &str| Error::damaged(format!("logical volume {name}"), why);
        match segment.text("type")? {
            "striped" => {}
            other => {
                return Err(Error::Unsupported(format!(
                    "logical volume {name} is of the kind {other}, which is not read here: restore its \
                     disks, and read it in the guest"
                )));
            }
        }
        let pairs = segment.list("stripes").as_chunks::<2>().0;
        let count = segment.number("stripe_count")?;
        if count == 0
            || count != pairs.len() as u64
            || !segment.list("stripes").len().is_multiple_of(2)
        {
            return Err(damaged("its stripes are not as many as they should be"));
        }
        let mut stripes = Vec::new();
        for [on, first] in pairs {
            let (Value::Text(on), Value::Number(first)) = (on, first) else {
                return Err(damaged("a stripe is not of a name and a number"));
            };
            let (device, start) = self.on(name, on)?;
            let first = u64::try_from(*first)
                .ok()
                .and_then(|first| first.checked_mul(self.extent));
            let start = first.and_then(|first| first.checked_add(start));
            let share = range.len() / count;
            let end = start.and_then(|start| start.checked_add(share));
            let (Some(start), true) = (start, end.is_some_and(|end| end <= device.len())) else {
                return Err(damaged(&format!("it runs over the end of {on}")));
            };
            stripes.push((device, start));
        }
        let stripe = match count {
            1 => range.len(),
            _ => segment.number("stripe_size")?.saturating_mul(SECTOR),
        };
        if stripe == 0 || !range.len().is_multiple_of(count.saturating_mul(stripe)) {
            return Err(damaged("its stripes do not fill its extents"));
        }
        Ok(Segment {
            range,
            stripes,
            stripe,
        })
    }

    /// What a stripe lies on, and where the extents there begin.
    fn on(&self, name: &str, on: &str) -> Result<(Device, u64)> {
        let Some(physical) = self.physical.get(on) else {
            // A part of another kind of volume, or extents that are being moved.
            return Err(Error::Unsupported(format!(
                "logical volume {name} lies on {on}, which is no physical volume: restore its disks, and \
                 read it in the guest"
            )));
        };
        let missing = || {
            let what = format!("the physical volume {on}, on which logical volume {name} lies,");
            Error::NotFound(what)
        };
        let (_, device) = physical.found.clone().ok_or_else(missing)?;
        Ok((device, physical.start))
    }
}

fn segments(section: &Section) -> impl Iterator<Item = (&str, &Section)> {
    section.sections().filter(|(name, _)| {
        name.strip_prefix("segment")
            .is_some_and(|rest| rest.parse::<u32>().is_ok())
    })
}
