//! A restore of disks that writes nothing: everything is fetched, decrypted and compared with its
//! hash, goes through the writer of its format, and is forgotten.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::pipeline::Stop;
use crate::restore::contents::Contents;
use crate::restore::disks::{DiskError, begin, into_disk_error, write_error};
use crate::restore::existing::{Became, Spot};
use crate::restore::plan::DiskFile;
use crate::restore::room::{Size, nowhere};
use crate::restore::write::{Course, WriteError};
use crate::restore::{Opened, Task};

/// A file that a restore would make.
#[derive(Debug, Clone, Serialize)]
pub struct SimulatedFile {
    /// Where it would be.
    pub path: String,
    /// Bytes of data in it, all of which could be read.
    pub data: u64,
    /// How long it would be.
    pub bytes: u64,
    /// What it would take of a file system that keeps holes.
    pub room: u64,
    /// What it would mean for what is there.
    pub became: Became,
}

/// Makes one disk file nowhere.
pub(crate) fn simulate(
    task: &Task<'_>,
    point: &Opened,
    file: &DiskFile,
    spot: &Spot,
    contents: &Contents,
    data: u64,
) -> Result<SimulatedFile, Stop<DiskError>> {
    let path: &Path = &spot.path;
    let on_stop = |stop: Stop<WriteError>| stop.map(|error| write_error(path, error));
    let on_write = |e| Stop::Failed(into_disk_error(path, e));
    let nowhere = nowhere();
    let mut writer = contents.writer(Arc::clone(&nowhere)).map_err(on_write)?;
    let meter = begin(task, &point.details, &file.name, data);
    let mut course = Course {
        done: 0,
        every: u64::MAX,
        durable: &mut |_| Ok(()),
    };
    contents
        .write(task.run(&meter), &mut *writer, &mut course)
        .map_err(on_stop)?;
    let size = Size::ended(data, writer, &nowhere).map_err(on_write)?;
    Ok(SimulatedFile {
        path: path.display().to_string(),
        data: size.data,
        bytes: size.len,
        room: size.room,
        became: spot.became,
    })
}
