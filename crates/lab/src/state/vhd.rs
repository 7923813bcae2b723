//! The host's VHDs: made, written, and merged.
//!
//! A VHD has no log, and those of a lab are small: whatever changes in one, the file is made anew
//! beside itself and then takes its own place, so that nobody ever finds half of it. It keeps its
//! identity, as VHDs do that are written to.

use std::fs::{self, File, OpenOptions};
use std::path::Path;

use disk::layer::{VhdInfo, VhdKind};
use disk::vhd::{DEFAULT_BLOCK, VhdLayout, VhdParams, VhdWriter};
use disk::{BlockRead, ByteRange, Content, DiskWrite, LayerInfo, OpenAs, ParentLink, rebuild};
use uuid::Uuid;

use super::files::{FileError, disk, io};

/// What is copied at once.
const PIECE: usize = 1 << 20;
/// When all of them were made, in seconds since 2000: nothing follows from it.
const MADE: u32 = 0x2a00_0000;

/// Whether a path of the host names a VHD or a child of one.
pub(super) fn is_vhd(path: &str) -> bool {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    extension.eq_ignore_ascii_case("vhd") || extension.eq_ignore_ascii_case("avhd")
}

/// Makes a dynamic one that reads as zeros, in an empty file.
pub(super) fn create(file: File, len: u64, unique_id: Uuid) -> disk::Result<()> {
    let params = VhdParams {
        len,
        unique_id,
        timestamp: MADE,
        layout: VhdLayout::Dynamic {
            block_size: DEFAULT_BLOCK,
        },
    };
    Box::new(VhdWriter::create(file, &params)?).finish()
}

/// Makes an empty child in an empty file.
pub(super) fn create_child(
    file: File,
    parent: (&LayerInfo, &VhdInfo),
    link: ParentLink,
    unique_id: Uuid,
) -> disk::Result<()> {
    let (info, vhd) = parent;
    let child = LayerInfo {
        format: disk::Format::Vhd(VhdInfo {
            kind: VhdKind::Differencing,
            unique_id,
            block_size: Some(DEFAULT_BLOCK),
            ..vhd.clone()
        }),
        parent: Some(ParentLink {
            timestamp: Some(vhd.timestamp),
            ..link
        }),
        ..info.clone()
    };
    rebuild(file, &child, None)?.finish()
}

/// Makes one anew: what it says of itself may change, and then what is on it.
pub(super) fn remake(
    path: &str,
    local: &Path,
    restate: impl FnOnce(&mut LayerInfo),
    write: impl FnOnce(&mut dyn DiskWrite) -> disk::Result<()>,
) -> Result<(), FileError> {
    let file = File::open(local).map_err(io(path))?;
    let old = disk::open(file, OpenAs::by_name(local)).map_err(disk(path))?;
    let mut info = old.info().clone();
    restate(&mut info);
    let beside = local.with_extension("making");
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create_new(true)
        .open(&beside);
    let file = file.map_err(io(path))?;
    let made = rebuild(file, &info, None).and_then(|mut new| {
        copy(&*old, &mut *new)?;
        write(&mut *new)?;
        new.finish()
    });
    // Where files that are open cannot be replaced, nobody has it open.
    drop(old);
    let placed = match made {
        Ok(()) => fs::rename(&beside, local).map_err(io(path)),
        Err(error) => Err(disk(path)(error)),
    };
    if placed.is_err() {
        fs::remove_file(&beside).map_err(io(path))?;
    }
    placed
}

/// Writes what one image stores, itself, to another.
pub(super) fn copy<L: BlockRead + ?Sized>(from: &L, to: &mut dyn DiskWrite) -> disk::Result<()> {
    let mut buf = vec![0; PIECE];
    for extent in from.extents(ByteRange::new(0, from.len()))? {
        match extent.content {
            Content::Hole => {}
            Content::Zero => to.write_zeros(extent.range)?,
            Content::Data => {
                let mut at = extent.range.start;
                while at < extent.range.end {
                    let len = (extent.range.end - at).min(buf.len() as u64);
                    let part = buf.get_mut(..len as usize).unwrap_or_default();
                    from.read_at(at, part)?;
                    to.write_at(at, part)?;
                    at += len;
                }
            }
        }
    }
    Ok(())
}
