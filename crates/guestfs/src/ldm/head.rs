//! Where on a dynamic disk the database is: private header and table of contents.

use std::sync::Arc;

use disk::{BlockRead, ByteRange};
use uuid::Uuid;

use super::SECTOR;
use super::database::Database;
use crate::error::{Error, Result};
use crate::fs::Device;
use crate::part::Part;
use crate::partitions::{Scheme, Table};

/// Bytes of a database that are looked at: Windows makes them of 1 MiB.
pub(super) const MOST: u64 = 4 << 20;
/// In which sector the first private header of a disk with an MBR is.
const FIRST: u64 = 6;
/// Where the last one is, in sectors from the start of the database; and the second.
const LATER: [u64; 2] = [2047, 1856];
/// Where tables of contents are, in sectors from the start of the database.
const TABLES: [u64; 4] = [1, 2, 2045, 2046];

/// A dynamic disk.
pub struct DynamicDisk {
    /// By what it is known.
    pub(super) id: String,
    /// By what its group is known.
    pub(super) group: String,
    /// What of it belongs to volumes.
    pub(super) data: Device,
    pub(super) database: Database,
}

/// A private header.
struct Header {
    disk: String,
    group: String,
    /// What belongs to volumes, and where the database is: in sectors of the disk.
    data: (u64, u64),
    config: (u64, u64),
}

fn bad(structure: &str, why: impl Into<String>) -> Error {
    Error::damaged(format!("dynamic disk's {structure}"), why)
}

impl DynamicDisk {
    /// Reads what a disk with such a table says of itself.
    ///
    /// # Errors
    /// [`Error::NotThis`] of a disk that is not dynamic; [`Error::Damaged`] when no copy of what it should have is
    /// whole; [`Error::Unsupported`] of what is not read.
    pub fn open(disk: &Device, table: &Table) -> Result<Self> {
        if !table.is_dynamic() {
            return Err(Error::NotThis("a dynamic disk"));
        }
        let geometry = disk.geometry();
        if u64::from(geometry.logical_sector) != SECTOR {
            let why = format!(
                "a dynamic disk with sectors of {} bytes",
                geometry.logical_sector
            );
            return Err(Error::Unsupported(why));
        }
        let header = header(disk, table)?;
        let range = |what: &str, (start, len): (u64, u64)| {
            let start = start.checked_mul(SECTOR);
            let end = start.and_then(|start| start.checked_add(len.checked_mul(SECTOR)?));
            match (start, end.filter(|end| *end <= geometry.len)) {
                (Some(start), Some(end)) if start < end => Ok(ByteRange::new(start, end)),
                _ => Err(bad(
                    "header",
                    format!("its {what} lies behind the end of the disk"),
                )),
            }
        };
        let data = Arc::new(Part::new(Arc::clone(disk), range("data", header.data)?));
        let config = range("database", header.config)?;
        if config.len() > MOST {
            let why = format!("a dynamic disk with a database of {} bytes", config.len());
            return Err(Error::Unsupported(why));
        }
        let mut bytes = vec![0; usize::try_from(config.len()).unwrap_or_default()];
        disk.read_at(config.start, &mut bytes)?;
        let database = Database::read(contents(&bytes)?)?;
        if !database.group_id.eq_ignore_ascii_case(&header.group) {
            return Err(bad("database", "it is that of another group of disks"));
        }
        Ok(Self {
            id: header.disk,
            group: header.group,
            data,
            database,
        })
    }
}

/// The first private header that is whole.
fn header(disk: &Device, table: &Table) -> Result<Header> {
    let sectors = disk.len() / SECTOR;
    let mut places = Vec::new();
    match table.scheme {
        Scheme::Gpt { .. } => {
            // In the partition that is there for the database, at its end.
            for one in table
                .partitions
                .iter()
                .filter(|one| one.kind.is_ldm_database())
            {
                let start = one.range.start / SECTOR;
                let end = one.range.end / SECTOR;
                places.extend([end.checked_sub(1), Some(start)].into_iter().flatten());
                places.extend(LATER.map(|at| start.saturating_add(at)));
            }
        }
        _ => {
            places.push(FIRST);
            let database = sectors.checked_sub(LATER[0] + 1);
            places.extend(
                database
                    .into_iter()
                    .flat_map(|start| LATER.map(|at| start + at)),
            );
        }
    }
    let mut failed = bad("header", "there is none where one should be");
    for at in places.into_iter().filter(|at| *at < sectors) {
        let mut sector = [0; SECTOR as usize];
        disk.read_at(at.saturating_mul(SECTOR), &mut sector)?;
        match parse(&sector) {
            Ok(Some(header)) => return Ok(header),
            Ok(None) => {}
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// A private header; `None` if there is none.
fn parse(sector: &[u8]) -> Result<Option<Header>> {
    if !sector.starts_with(b"PRIVHEAD") {
        return Ok(None);
    }
    let version = (be(sector, 12, 2), be(sector, 14, 2));
    if version.0 != 2 {
        let why = format!("a dynamic disk of version {}.{}", version.0, version.1);
        return Err(Error::Unsupported(why));
    }
    let id = |what: &str, at: usize| {
        let text = text(sector, at, 64);
        match Uuid::parse_str(&text) {
            Ok(_) => Ok(text.to_ascii_lowercase()),
            Err(_) => Err(bad("header", format!("“{text}” as the id of the {what}"))),
        }
    };
    Ok(Some(Header {
        disk: id("disk", 0x30)?,
        group: id("group", 0xb0)?,
        data: (be(sector, 0x11b, 8), be(sector, 0x123, 8)),
        config: (be(sector, 0x12b, 8), be(sector, 0x133, 8)),
    }))
}

/// The bytes of the database proper, by the first table of contents that is whole.
fn contents(config: &[u8]) -> Result<&[u8]> {
    let sector = |at: u64| {
        let start = usize::try_from(at.checked_mul(SECTOR)?).ok()?;
        config.get(start..start.checked_add(SECTOR as usize)?)
    };
    let tables = TABLES.into_iter().filter_map(sector);
    for table in tables.filter(|table| table.starts_with(b"TOCBLOCK")) {
        for entry in [0x24, 0x46] {
            if text(table, entry, 8) != "config" {
                continue;
            }
            let (start, len) = (be(table, entry + 10, 8), be(table, entry + 18, 8));
            let start = usize::try_from(start.saturating_mul(SECTOR)).unwrap_or(usize::MAX);
            let len = usize::try_from(len.saturating_mul(SECTOR)).unwrap_or(usize::MAX);
            let end = start.saturating_add(len);
            if let Some(bytes) = config.get(start..end).filter(|bytes| !bytes.is_empty()) {
                return Ok(bytes);
            }
        }
    }
    Err(bad("table of contents", "none of its copies is whole"))
}

/// A big-endian number; what is not there is zero.
pub(super) fn be(bytes: &[u8], at: usize, len: usize) -> u64 {
    let field = bytes.get(at..at.saturating_add(len)).unwrap_or_default();
    field
        .iter()
        .fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

/// Text in a field of fixed length, up to its first zero.
pub(super) fn text(bytes: &[u8], at: usize, len: usize) -> String {
    let field = bytes.get(at..at.saturating_add(len)).unwrap_or_default();
    let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}
